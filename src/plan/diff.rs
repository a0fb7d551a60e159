//! What a revision changes against another: every constraint and counter classed as tighter, looser,
//! re-keyed, dropped, new or unchanged, with what becomes of the counts, in sentences.

mod compare;
mod constraints;
mod counters;
mod shape;

use serde::{Deserialize, Serialize};

use super::CheckedPlan;
use super::explain::rfc3339;
pub use counters::{Stored, stored};

/// What a change does to the orders it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ChangeClass)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Refuses orders that were admitted, admits none that were refused.
    Tighter,
    /// The other way round.
    Looser,
    /// The same counter id counts something else from now on.
    ReKeyed,
    Dropped,
    New,
    Unchanged,
    /// Neither can be said from the structure.
    Changed,
}

/// Which part of a revision a change is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ChangePart)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Which module a rule pins.
    Module,
    /// Which version of an uploaded list.
    Audience,
    Schedule,
    EarlyAccess,
    Attribute,
    Constraint,
    Counter,
}

/// What becomes of what a counter has counted so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// They go on as they are.
    Kept,
    /// The activation counts every order that landed.
    Filled,
    /// They go on, but do not hold all that the counter now means.
    Carried,
    Zero,
    /// Nothing reads them any more.
    Unread,
}

/// What a change does to a counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CounterChange {
    pub id: String,
    pub counts: Counts,
    /// Whether activating it must be asked for by name.
    pub needs_accept: bool,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Change {
    /// Name of the rule; empty for the schedule and for early access.
    pub rule: String,
    pub part: Part,
    pub class: Class,
    pub sentence: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<CounterChange>,
    /// The constraint's index in the old and in the new plan, where both have it.
    #[serde(skip)]
    pub indices: Option<(u32, u32)>,
}

impl Change {
    /// One that is about no counter.
    pub fn new(rule: &str, part: Part, class: Class, sentence: String) -> Self {
        Self {
            rule: rule.to_owned(),
            part,
            class,
            sentence,
            counter: None,
            indices: None,
        }
    }
}

/// Counters whose change must be asked for by name, in order.
pub fn needs_accept(changes: &[Change]) -> impl Iterator<Item = (&str, &Change)> {
    changes.iter().filter_map(|change| {
        let counter = change.counter.as_ref().filter(|counter| counter.needs_accept)?;
        Some((counter.id.as_str(), change))
    })
}

/// Everything `new` changes against `old`, both of the same campaign, activated at `now` (milliseconds
/// since 1970-01-01 UTC). `earlier` are counters of revisions that were active before `old`.
pub fn diff(old: &CheckedPlan, new: &CheckedPlan, earlier: &[Stored], now: i64) -> Vec<Change> {
    let counters = counters::pair(old, new);
    let mut changes = schedule(old, new);
    changes.extend(constraints::early(old, new, &counters));
    changes.extend(attributes(old, new));
    changes.extend(constraints::changes(old, new, &counters));
    changes.extend(counters::changes(old, new, &counters, earlier, now));
    changes
}

/// Counters that are to hold every order that landed before the change is in force.
pub fn filled(changes: &[Change]) -> Vec<String> {
    let counters = changes.iter().filter_map(|change| change.counter.as_ref());
    let filled = counters.filter(|counter| counter.counts == Counts::Filled);
    filled.map(|counter| counter.id.clone()).collect()
}

fn schedule(old: &CheckedPlan, new: &CheckedPlan) -> Vec<Change> {
    let (old, new) = (old.context().schedule, new.context().schedule);
    let mut changes = Vec::new();
    for (verb, before, after, earlier_is) in [
        ("opens", old.opens_at, new.opens_at, Class::Looser),
        ("closes", old.closes_at, new.closes_at, Class::Tighter),
    ] {
        if before == after {
            continue;
        }
        let (word, class) = match (after < before, earlier_is) {
            (true, class) => ("earlier", class),
            (false, Class::Looser) => ("later", Class::Tighter),
            (false, _) => ("later", Class::Looser),
        };
        let sentence = format!(
            "The sale {verb} {word}: {} instead of {}.",
            rfc3339(after),
            rfc3339(before)
        );
        changes.push(Change::new("", Part::Schedule, class, sentence));
    }
    changes
}

/// Attributes that orders must carry from now on, or no longer.
fn attributes(old: &CheckedPlan, new: &CheckedPlan) -> Vec<Change> {
    let (before, after) = (&old.plan().required, &new.plan().required);
    let added = after
        .iter()
        .filter(|attribute| !before.contains(attribute))
        .map(|attribute| {
            let sentence = format!("Orders without {attribute} are refused from now on.");
            Change::new("", Part::Attribute, Class::Tighter, sentence)
        });
    let removed = before
        .iter()
        .filter(|attribute| !after.contains(attribute))
        .map(|attribute| {
            let sentence = format!("Orders without {attribute} are no longer refused for that.");
            Change::new("", Part::Attribute, Class::Looser, sentence)
        });
    added.chain(removed).collect()
}

#[cfg(test)]
mod tests;
