//! Merging the plans of several rules into one: counters are namespaced by the rule's name, node
//! indices shifted, constraints kept in the order of the rules.

use std::collections::BTreeSet;

use super::names::is_name;
use super::{Attribute, Constraint, Counter, Expr, NAME_BYTES_MAX, Node, PLAN_NODES_MAX, Plan, PlanError};
use crate::campaign::RULES_MAX;

/// One rule's part of a merged plan.
#[derive(Clone, Debug)]
pub struct RulePlan {
    /// The rule's name: prefix of its counters and constraints.
    pub name: String,
    pub plan: Plan,
    /// The descriptor's closed list: (code, retryable).
    pub reasons: Vec<(String, bool)>,
    /// The descriptor's attributes: (attribute, required). A plan may read only these.
    pub attributes: Vec<(Attribute, bool)>,
}

/// Refuses references out of the rule's own plan, and reasons and attributes that are not declared;
/// `at` starts with `rules/<index>/`. User, SKU and quantity need no declaration: every order has them.
pub fn merge(rules: Vec<RulePlan>) -> Result<Plan, PlanError> {
    if rules.len() > RULES_MAX {
        let message = format!("{} rules; at most {RULES_MAX} are allowed", rules.len());
        return Err(PlanError::new("rules", "bound", message));
    }
    let nodes: usize = rules.iter().map(|rule| rule.plan.nodes.len()).sum();
    if nodes > PLAN_NODES_MAX {
        let message = format!("the plans have {nodes} nodes together; at most {PLAN_NODES_MAX} are allowed");
        return Err(PlanError::new("rules", "bound", message));
    }
    let mut merged = Plan::default();
    let mut names = BTreeSet::new();
    let mut required = BTreeSet::new();
    for (index, rule) in rules.into_iter().enumerate() {
        let here = |error: PlanError| PlanError {
            at: format!("rules/{index}/{}", error.at),
            ..error
        };
        check_rule(&rule).map_err(here)?;
        if !names.insert(rule.name.clone()) {
            let message = format!(
                "two rules are named {:?}; give one of them another name",
                rule.name
            );
            return Err(here(PlanError::new("name", "name", message)));
        }
        required.extend(rule.plan.required.iter().cloned());
        let declared = rule.attributes.iter().filter(|(_, required)| *required);
        required.extend(declared.map(|(attribute, _)| attribute.clone()));
        append(&mut merged, rule);
    }
    merged.required = required
        .into_iter()
        .filter(|attribute| !attribute.is_given())
        .collect();
    Ok(merged)
}

/// What the counter of a rule that names this attribute counts by.
fn counted(attribute: Attribute) -> Attribute {
    match attribute {
        Attribute::Ip => Attribute::IpNetwork,
        other => other,
    }
}

/// After this, nothing in the rule's plan points outside of it, so that shifting cannot make it
/// point into another rule's.
fn check_rule(rule: &RulePlan) -> Result<(), PlanError> {
    if !is_name(&rule.name) {
        let message = format!(
            "the rule name {:?} is not of lower-case letters, digits and hyphens, at most {NAME_BYTES_MAX}",
            rule.name
        );
        return Err(PlanError::new("name", "name", message));
    }
    let plan = &rule.plan;
    for (index, expr) in plan.nodes.iter().enumerate() {
        let at = || format!("nodes/{index}");
        if let Some(node) = expr.operands().find(|node| *node as usize >= index) {
            let message = format!("operand {node} is not before node {index}");
            return Err(PlanError::new(at(), "index", message));
        }
        match expr {
            Expr::Counter(counter) => check_index(at(), *counter, plan.counters.len(), "counter")?,
            Expr::Attribute(attribute) | Expr::Member { of: attribute, .. } => {
                check_declared(at(), attribute, rule)?;
            }
            _ => {}
        }
    }
    for (index, counter) in plan.counters.iter().enumerate() {
        check_counter(index, counter, rule)?;
    }
    for (index, constraint) in plan.constraints.iter().enumerate() {
        check_constraint(index, constraint, rule)?;
    }
    for (index, early) in plan.early_access.iter().enumerate() {
        check_index(
            format!("early_access/{index}/when"),
            early.when,
            plan.nodes.len(),
            "node",
        )?;
    }
    for (index, attribute) in plan.required.iter().enumerate() {
        check_declared(format!("required/{index}"), attribute, rule)?;
    }
    Ok(())
}

fn check_counter(index: usize, counter: &Counter, rule: &RulePlan) -> Result<(), PlanError> {
    if !is_name(&counter.id) {
        let message = format!(
            "the id {:?} is not of lower-case letters, digits and hyphens",
            counter.id
        );
        return Err(PlanError::new(format!("counters/{index}/id"), "name", message));
    }
    for attribute in &counter.key {
        check_declared(format!("counters/{index}/key"), attribute, rule)?;
    }
    let cost = format!("counters/{index}/cost");
    check_index(cost, counter.cost, rule.plan.nodes.len(), "node")
}

fn check_constraint(index: usize, constraint: &Constraint, rule: &RulePlan) -> Result<(), PlanError> {
    let at = |part: &str| format!("constraints/{index}/{part}");
    let nodes = rule.plan.nodes.len();
    if let Some(when) = constraint.when {
        check_index(at("when"), when, nodes, "node")?;
    }
    check_index(at("require"), constraint.require, nodes, "node")?;
    if let Some(measure) = constraint.measure {
        check_index(
            at("measure/counter"),
            measure.counter,
            rule.plan.counters.len(),
            "counter",
        )?;
        check_index(at("measure/limit"), measure.limit, nodes, "node")?;
    }
    if rule.reasons.iter().any(|(code, _)| *code == constraint.reason) {
        return Ok(());
    }
    let message = format!("the module does not declare the reason {:?}", constraint.reason);
    Err(PlanError::new(at("reason"), "name", message))
}

fn check_index(at: String, index: u32, count: usize, what: &str) -> Result<(), PlanError> {
    if (index as usize) < count {
        return Ok(());
    }
    Err(PlanError::new(
        at,
        "index",
        format!("the plan has no {what} {index}"),
    ))
}

fn check_declared(at: String, attribute: &Attribute, rule: &RulePlan) -> Result<(), PlanError> {
    let attribute = attribute.brought();
    if attribute.is_given()
        || rule
            .attributes
            .iter()
            .any(|(declared, _)| declared.declares(attribute))
    {
        return Ok(());
    }
    let message = format!("the module does not declare the attribute {attribute}");
    Err(PlanError::new(at, "attribute", message))
}

/// The caller has made sure that the sum of all nodes fits; counters and constraints are counted by
/// the checker, and no index here is used before that.
fn append(merged: &mut Plan, rule: RulePlan) {
    let nodes = merged.nodes.len() as Node;
    let counters = u32::try_from(merged.counters.len()).unwrap_or(u32::MAX);
    let RulePlan {
        name, plan, reasons, ..
    } = rule;
    merged
        .nodes
        .extend(plan.nodes.into_iter().map(|expr| expr.shifted(nodes, counters)));
    merged
        .counters
        .extend(plan.counters.into_iter().map(|counter| Counter {
            id: format!("{name}/{}", counter.id),
            cost: counter.cost + nodes,
            key: counter.key.into_iter().map(counted).collect(),
            ..counter
        }));
    for mut constraint in plan.constraints {
        constraint.when = constraint.when.map(|when| when + nodes);
        constraint.require += nodes;
        if let Some(measure) = &mut constraint.measure {
            measure.counter = measure.counter.saturating_add(counters);
            measure.limit += nodes;
        }
        constraint.rule.clone_from(&name);
        constraint.retryable = reasons
            .iter()
            .any(|(code, retryable)| *retryable && *code == constraint.reason);
        merged.constraints.push(constraint);
    }
    for mut early in plan.early_access {
        early.when += nodes;
        merged.early_access.push(early);
    }
}

#[cfg(test)]
mod tests;
