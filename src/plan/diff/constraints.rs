//! Constraints and early access compared: which of the new plan is which of the old one, what it means for
//! the orders, in a sentence with numbers.

use super::compare::{Compare, Difference, Relation};
use super::counters::Pairs;
use super::{Change, Class, Part};
use crate::plan::explain::{duration, noun};
use crate::plan::{CheckedPlan, Constraint, Counter, EarlyAccess, Expr};

/// Differences shown in one sentence.
const SHOWN: usize = 5;

pub(super) fn changes(old: &CheckedPlan, new: &CheckedPlan, counters: &Pairs) -> Vec<Change> {
    let mut compare = Compare::new(old, new, counters);
    let pairs = pair(old, new, &compare);
    let mut changes = Vec::new();
    for (index, constraint) in (0..).zip(&new.plan().constraints) {
        let before = pairs
            .iter()
            .find(|(_, after)| *after == index)
            .map(|(before, _)| *before);
        let change = match before {
            None => Change::new(
                &constraint.rule,
                Part::Constraint,
                Class::New,
                format!("{}: new: {}", name(constraint), constraint.sentence),
            ),
            Some(before) => changed(&mut compare, old, new, before, index),
        };
        changes.push(change);
    }
    for (index, constraint) in (0..).zip(&old.plan().constraints) {
        if !pairs.iter().any(|(before, _)| *before == index) {
            let sentence = format!("{}: dropped: {}", name(constraint), constraint.sentence);
            changes.push(Change::new(
                &constraint.rule,
                Part::Constraint,
                Class::Dropped,
                sentence,
            ));
        }
    }
    changes
}

fn name(constraint: &Constraint) -> String {
    format!("{}/{}", constraint.rule, constraint.reason)
}

/// Constraints of the same name go together: those that are the same first, the others in order.
fn pair(old: &CheckedPlan, new: &CheckedPlan, compare: &Compare<'_>) -> Vec<(u32, u32)> {
    let (before, after) = (&old.plan().constraints, &new.plan().constraints);
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let whens = |a: Option<u32>, b: Option<u32>| match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => compare.is_same(a, b),
        _ => false,
    };
    let same =
        |a: &Constraint, b: &Constraint| compare.is_same(a.require, b.require) && whens(a.when, b.when);
    for only_same in [true, false] {
        for (at, one) in (0..).zip(before) {
            let other = (0..).zip(after).find(|(to, other)| {
                let free = !pairs.iter().any(|(a, b)| *a == at || b == to);
                free && name(one) == name(other) && (!only_same || same(one, other))
            });
            if let Some((to, _)) = other {
                pairs.push((at, to));
            }
        }
    }
    pairs
}

fn changed(
    compare: &mut Compare<'_>,
    old: &CheckedPlan,
    new: &CheckedPlan,
    before: u32,
    after: u32,
) -> Change {
    let (one, other) = (
        &old.plan().constraints[before as usize],
        &new.plan().constraints[after as usize],
    );
    compare.differences.clear();
    let applies = match (one.when, other.when) {
        (None, None) => Relation::Same,
        // `when` narrows a constraint: without one it applies to every order.
        (Some(_), None) => Relation::More,
        (None, Some(_)) => Relation::Less,
        (Some(one), Some(other)) => compare.nodes(one, other),
    };
    let require = compare.nodes(one.require, other.require);
    let differences = std::mem::take(&mut compare.differences);
    let class = match require.and(applies.reversed()) {
        Relation::Same => Class::Unchanged,
        Relation::Less => Class::Tighter,
        Relation::More => Class::Looser,
        Relation::Unknown => Class::Changed,
    };
    let mut parts = vec![format!("{}: {}", name(other), word(class))];
    let scope = match applies {
        Relation::More => Some("applies to more orders"),
        Relation::Less => Some("applies to fewer orders"),
        _ => None,
    };
    parts[0] += &listed(&differences).map_or(String::new(), |list| format!(", {list}"));
    parts.extend(scope.filter(|_| class != Class::Unchanged).map(str::to_owned));
    if class != Class::Unchanged {
        parts.extend(consequence(old, new, one, other));
    }
    let mut change = Change::new(&other.rule, Part::Constraint, class, parts.join("; "));
    change.indices = Some((before, after));
    change
}

fn word(class: Class) -> &'static str {
    match class {
        Class::Tighter => "tighter",
        Class::Looser => "looser",
        Class::Unchanged => "unchanged",
        _ => "changed",
    }
}

/// `3 → 2`, `gold: 5 → 3, silver: 2 → 1 and 4 more`.
fn listed(differences: &[Difference]) -> Option<String> {
    let one = |Difference { entry, old, new }: &Difference| match entry {
        None => format!("{old} → {new}"),
        Some(entry) => format!("{entry}: {old} → {new}"),
    };
    let shown: Vec<String> = differences.iter().take(SHOWN).map(one).collect();
    if shown.is_empty() {
        return None;
    }
    Some(match differences.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    })
}

/// What a limit that moved means for those who have counted up to it.
fn consequence(old: &CheckedPlan, new: &CheckedPlan, one: &Constraint, other: &Constraint) -> Option<String> {
    let (before, after) = (one.measure?, other.measure?);
    let counter = &new.plan().counters[after.counter as usize];
    if counter.id != old.plan().counters[before.counter as usize].id {
        return None;
    }
    let constant = |plan: &CheckedPlan, node: u32| match plan.plan().nodes[node as usize] {
        Expr::Int(number) => Some(number),
        _ => None,
    };
    let kept = "counts are kept".to_owned();
    let limits = constant(old, before.limit).zip(constant(new, after.limit));
    Some(match limits {
        Some((from, to)) if to < from => {
            let whom = whom(counter);
            format!("{kept}; {} more is refused for {whom} {to}", from - to)
        }
        Some((from, to)) if to > from => {
            let whom = whom(counter);
            format!("{kept}; {} more is admitted for {whom} {from}", to - from)
        }
        _ => kept,
    })
}

/// `every user who has`, `every device that has`, `all orders together at`.
fn whom(counter: &Counter) -> String {
    let nouns: Vec<String> = counter.key.iter().map(noun).collect();
    match nouns.as_slice() {
        [] => "all orders together at".to_owned(),
        [user] if user == "user" => "every user who has".to_owned(),
        several => format!("every {} that has", several.join(" and ")),
    }
}

/// Early access, by its place in the plan: one plan brings few.
pub(super) fn early(old: &CheckedPlan, new: &CheckedPlan, counters: &Pairs) -> Vec<Change> {
    let mut compare = Compare::new(old, new, counters);
    let (before, after) = (&old.plan().early_access, &new.plan().early_access);
    let mut changes: Vec<Change> = before
        .iter()
        .zip(after)
        .map(|(one, other)| early_changed(&mut compare, one, other))
        .collect();
    let whole = |class, verb: &str, early: &EarlyAccess| {
        let lead = duration(early.lead_ms);
        let sentence = format!("Early access of {lead}: {verb}: {}", early.sentence);
        Change::new("", Part::EarlyAccess, class, sentence)
    };
    let common = before.len().min(after.len());
    changes.extend(
        after[common..]
            .iter()
            .map(|early| whole(Class::New, "new", early)),
    );
    changes.extend(
        before[common..]
            .iter()
            .map(|early| whole(Class::Dropped, "dropped", early)),
    );
    changes
}

fn early_changed(compare: &mut Compare<'_>, one: &EarlyAccess, other: &EarlyAccess) -> Change {
    compare.differences.clear();
    let lead = match other.lead_ms.cmp(&one.lead_ms) {
        std::cmp::Ordering::Less => Relation::Less,
        std::cmp::Ordering::Equal => Relation::Same,
        std::cmp::Ordering::Greater => Relation::More,
    };
    let class = match lead.and(compare.nodes(one.when, other.when)) {
        Relation::Same => Class::Unchanged,
        Relation::Less => Class::Tighter,
        Relation::More => Class::Looser,
        Relation::Unknown => Class::Changed,
    };
    let mut sentence = format!("Early access: {}", word(class));
    if lead != Relation::Same {
        sentence += &format!(
            ", {} → {} before the opening",
            duration(one.lead_ms),
            duration(other.lead_ms)
        );
    }
    if let Some(list) = listed(&std::mem::take(&mut compare.differences)) {
        sentence += &format!(", {list}");
    }
    Change::new("", Part::EarlyAccess, class, sentence + ": " + &other.sentence)
}
