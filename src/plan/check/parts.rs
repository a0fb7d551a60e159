//! Checks of constraints, early access, names and attributes.

use std::collections::BTreeSet;

use crate::order::CLIENT_ATTRIBUTES_MAX;
use crate::plan::error::PlanError;
use crate::plan::kind::Kind;
use crate::plan::names::{check_attribute, is_name, is_reason};
use crate::plan::nodes::Nodes;
use crate::plan::{
    Attribute, Constraint, EARLY_ACCESS_MS_MAX, EarlyAccess, NAME_BYTES_MAX, Node, PLAN_ATTRIBUTES_MAX,
    PLAN_TEXT_BYTES_MAX, Plan, slots,
};
use crate::rejection::Own;

pub(super) fn check_constraint(plan: &Plan, constraint: &Constraint, nodes: &Nodes) -> Result<(), PlanError> {
    if let Some(when) = constraint.when {
        check_bool("when", when, nodes)?;
    }
    check_bool("require", constraint.require, nodes)?;
    if !is_reason(&constraint.reason) {
        let message = format!(
            "the reason {:?} is not of lower-case words joined by hyphens, at most {NAME_BYTES_MAX} bytes",
            constraint.reason
        );
        return Err(PlanError::new("reason", "name", message));
    }
    if Own::ALL.iter().any(|own| own.name() == constraint.reason) {
        let message = format!("the reason {:?} is the gateway's own", constraint.reason);
        return Err(PlanError::new("reason", "name", message));
    }
    if !(constraint.rule.is_empty() || is_name(&constraint.rule)) {
        let message = format!("the rule name {:?} is not allowed", constraint.rule);
        return Err(PlanError::new("rule", "name", message));
    }
    check_sentence(&constraint.sentence)?;
    let Some(measure) = constraint.measure else {
        return Ok(());
    };
    if measure.counter as usize >= plan.counters.len() {
        let message = format!("the plan has no counter {}", measure.counter);
        return Err(PlanError::new("measure/counter", "index", message));
    }
    match node_kind(measure.limit, nodes) {
        Ok(Kind::Int { .. }) => Ok(()),
        Ok(other) => {
            let message = format!("is {}; an integer is needed", other.name());
            Err(PlanError::new("measure/limit", "type", message))
        }
        Err(error) => Err(PlanError {
            at: "measure/limit".into(),
            ..error
        }),
    }
}

pub(super) fn check_early(early: &EarlyAccess, nodes: &Nodes) -> Result<(), PlanError> {
    if !(0..=EARLY_ACCESS_MS_MAX).contains(&early.lead_ms) {
        let message = format!("{} ms is not within 0 to {EARLY_ACCESS_MS_MAX} ms", early.lead_ms);
        return Err(PlanError::new("lead_ms", "window", message));
    }
    check_bool("when", early.when, nodes)?;
    let reads = nodes.reads[early.when as usize];
    if reads.counters || reads.stock {
        return Err(PlanError::new(
            "when",
            "type",
            "early access cannot depend on counters or stock",
        ));
    }
    check_sentence(&early.sentence)
}

fn check_bool(at: &str, node: Node, nodes: &Nodes) -> Result<(), PlanError> {
    match node_kind(node, nodes) {
        Ok(Kind::Bool) => Ok(()),
        Ok(other) => {
            let message = format!("is {}; a boolean is needed", other.name());
            Err(PlanError::new(at, "type", message))
        }
        Err(error) => Err(PlanError {
            at: at.to_owned(),
            ..error
        }),
    }
}

pub(super) fn node_kind(node: Node, nodes: &Nodes) -> Result<Kind, PlanError> {
    nodes
        .kinds
        .get(node as usize)
        .copied()
        .ok_or_else(|| PlanError::new("", "index", format!("the plan has no node {node}")))
}

/// Sentences become comments of the script and lines of the explanation.
fn check_sentence(sentence: &str) -> Result<(), PlanError> {
    if sentence.trim().is_empty() || sentence.len() > PLAN_TEXT_BYTES_MAX {
        let message = format!("a sentence has 1 to {PLAN_TEXT_BYTES_MAX} bytes");
        return Err(PlanError::new("sentence", "bound", message));
    }
    if sentence.chars().any(char::is_control) {
        return Err(PlanError::new(
            "sentence",
            "bound",
            "a sentence is one line without control characters",
        ));
    }
    Ok(())
}

pub(super) fn check_attributes(plan: &Plan, reached: &[bool]) -> Result<Vec<Attribute>, PlanError> {
    for (index, attribute) in plan.required.iter().enumerate() {
        check_attribute(attribute)
            .map_err(|(code, message)| PlanError::new(format!("required/{index}"), code, message))?;
    }
    let attributes = slots::attributes(plan, reached);
    let clients = attributes
        .iter()
        .filter(|attribute| matches!(attribute, Attribute::Client(_)))
        .count();
    let of_skus: BTreeSet<&Attribute> = slots::read(plan, reached)
        .filter(|attribute| matches!(attribute, Attribute::OfSku(_)))
        .collect();
    let read = attributes.len() + of_skus.len();
    if read > PLAN_ATTRIBUTES_MAX || clients > CLIENT_ATTRIBUTES_MAX {
        let message = format!(
            "reads {read} attributes, {clients} of them sent by the client; at most {PLAN_ATTRIBUTES_MAX} and \
             {CLIENT_ATTRIBUTES_MAX} are allowed"
        );
        return Err(PlanError::new("nodes", "attribute", message));
    }
    Ok(attributes.into_iter().collect())
}
