//! Counters compared by what is stored: the key of a count is the counter's id, the start of its window
//! and the subject's text, so what becomes of a count follows from those three and from the cost.

use std::collections::BTreeMap;

use super::shape::{Shape, shapes};
use super::{Change, Class, CounterChange, Counts, Part};

use crate::plan::explain::{duration, noun, rfc3339, window};
use crate::plan::reach::{needed, reachable_from};
use crate::plan::window::window_start;
use crate::plan::{Attribute, CheckedPlan, Counter, Expr, Window};

/// A counter as it is stored: what counts under the same id, key, window and cost can be read by
/// whichever revision asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub id: String,
    /// The revision that counted it.
    pub revision: u32,
    key: Vec<Attribute>,
    window: Window,
    cost: Shape,
}

/// The counters of a revision's plan.
pub fn stored(plan: &CheckedPlan, revision: u32) -> Vec<Stored> {
    // A cost reads no counter, so their names do not matter.
    let shapes = shapes(plan, |index| index.to_string(), "stock");
    let counters = plan.plan().counters.iter();
    counters
        .map(|counter| Stored {
            id: counter.id.clone(),
            revision,
            key: counter.key.clone(),
            window: counter.window.clone(),
            cost: shapes[counter.cost as usize],
        })
        .collect()
}

impl Stored {
    fn counts_like(&self, other: &Self) -> bool {
        self.id == other.id && self.key == other.key && self.window == other.window && self.cost == other.cost
    }
}

/// Counter id → whether old and new plan store the same under it; only ids both have.
pub(super) struct Pairs {
    same: BTreeMap<String, bool>,
    old: Vec<Stored>,
    new: Vec<Stored>,
}

impl Pairs {
    pub(super) fn is_same(&self, id: &str) -> bool {
        self.same.get(id).copied().unwrap_or(false)
    }
}

pub(super) fn pair(old: &CheckedPlan, new: &CheckedPlan) -> Pairs {
    let (old, new) = (stored(old, 0), stored(new, 0));
    let same = old
        .iter()
        .filter_map(|one| {
            let other = new.iter().find(|other| other.id == one.id)?;
            Some((one.id.clone(), one.counts_like(other)))
        })
        .collect();
    Pairs { same, old, new }
}

pub(super) fn changes(
    old: &CheckedPlan,
    new: &CheckedPlan,
    pairs: &Pairs,
    earlier: &[Stored],
    now: i64,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (index, counter) in (0..).zip(&new.plan().counters) {
        let before = old.plan().counters.iter().position(|old| old.id == counter.id);
        changes.push(match before {
            None => fresh((old, new), counter, &pairs.new[index as usize], earlier),
            Some(_) if pairs.is_same(&counter.id) => {
                let sentence = format!("{}: unchanged; counts are kept.", counter.id);
                change(&counter.id, Class::Unchanged, sentence, Counts::Kept)
            }
            Some(before) => re_keyed((old, before as u32), (new, index), pairs, now),
        });
    }
    for counter in &old.plan().counters {
        if !new.plan().counters.iter().any(|new| new.id == counter.id) {
            let dropped = dropped((old, new), counter, &changes);
            changes.push(dropped);
        }
    }
    changes
}

/// A counter that only the revision in force has. Its counts are lost to the rule, unless a filled one takes its place; those
/// that landed orders do not tell are lost in any case.
fn dropped((old, new): (&CheckedPlan, &CheckedPlan), counter: &Counter, changes: &[Change]) -> Change {
    let known = unknown_of_landed(old, counter).is_none();
    let later = match known && decides(new, rule_of(&counter.id)) {
        true => "a later revision of the rule that brings it back has it filled from all orders",
        false => "a later revision that brings it back goes on from them without the orders in between",
    };
    let sentence = format!(
        "{}: dropped; its counts stay stored and nothing reads them: {later}.",
        counter.id
    );
    let mut change = change(&counter.id, Class::Dropped, sentence, Counts::Unread);
    let is_replaced = known && is_replaced(changes, &change.rule);
    if let Some(counter) = &mut change.counter {
        counter.needs_accept = !is_replaced;
    }
    change
}

fn decides(plan: &CheckedPlan, rule: &str) -> bool {
    let mut constraints = plan.plan().constraints.iter();
    constraints.any(|constraint| constraint.rule == rule)
}

/// Whether counters that hold every order take the place of those that the rule no longer has.
fn is_replaced(changes: &[Change], rule: &str) -> bool {
    let mut new = changes
        .iter()
        .filter(|change| change.rule == rule && change.class == Class::New)
        .filter_map(|change| change.counter.as_ref())
        .peekable();
    new.peek().is_some() && new.all(|counter| counter.counts == Counts::Filled)
}

fn change(id: &str, class: Class, sentence: String, counts: Counts) -> Change {
    let mut change = Change::new(rule_of(id), Part::Counter, class, sentence);
    change.counter = Some(CounterChange {
        id: id.to_owned(),
        counts,
        needs_accept: matches!(class, Class::ReKeyed | Class::Dropped),
    });
    change
}

fn rule_of(id: &str) -> &str {
    id.split('/').next().unwrap_or_default()
}

/// A counter that the revision in force does not have. One of a rule that decides already stands for what that rule
/// counted, so it is to hold the orders so far, or nobody may take it for one that does.
fn fresh(
    (old, new): (&CheckedPlan, &CheckedPlan),
    counter: &Counter,
    stored: &Stored,
    earlier: &[Stored],
) -> Change {
    let id = &counter.id;
    let rule = rule_of(id);
    let decides = decides(old, rule);
    let unknown = unknown_of_landed(new, counter);
    if decides && unknown.is_none() {
        let sentence = format!(
            "{id}: new; filled by the activation from all orders so far, so who has bought has used it. The gate \
             is closed for a moment for that: orders that come then are to be sent again."
        );
        return change(id, Class::New, sentence, Counts::Filled);
    }
    let before = earlier.iter().filter(|old| old.counts_like(stored));
    let (counts, from) = match before.map(|old| old.revision).max() {
        Some(revision) => (
            Counts::Carried,
            format!(
                "back from revision {revision}; goes on from the counts it had then, without the orders since"
            ),
        ),
        None => (
            Counts::Zero,
            "new; starts at zero: orders admitted so far are not in it".to_owned(),
        ),
    };
    let why = match unknown.filter(|_| decides) {
        Some(attribute) => format!(", for the {attribute} of earlier orders is not known for certain"),
        None => String::new(),
    };
    let sentence = format!("{id}: {from}{why}. Who has bought may buy again.");
    let mut change = change(id, Class::New, sentence, counts);
    if let Some(counter) = &mut change.counter {
        counter.needs_accept = decides;
    }
    change
}

/// What the key or the cost of a counter reads that is not known of every order that landed: user, SKU, what that decides and
/// quantity are, and other attributes only as far as the rules of their time read them.
fn unknown_of_landed(plan: &CheckedPlan, counter: &Counter) -> Option<String> {
    let parts = plan.plan();
    let reached = reachable_from(parts, std::iter::once(counter.cost));
    let read = needed(parts, &reached).filter_map(|expr| match expr {
        Expr::Attribute(attribute) => Some(attribute),
        _ => None,
    });
    let mut read = counter.key.iter().chain(read);
    read.find(|attribute| !attribute.brought().is_given()).map(noun)
}

fn re_keyed(old: (&CheckedPlan, u32), new: (&CheckedPlan, u32), pairs: &Pairs, now: i64) -> Change {
    let (before, after) = (
        &old.0.plan().counters[old.1 as usize],
        &new.0.plan().counters[new.1 as usize],
    );
    let mut what = Vec::new();
    let mut counts = Counts::Kept;
    let mut effects = Vec::new();
    let mut note = |effect: (Counts, String)| {
        counts = counts.max(effect.0);
        effects.push(effect);
    };
    if before.key != after.key {
        what.push(format!("{} → {}", whom(&before.key), whom(&after.key)));
        note(key_effect(before, after));
    }
    if before.window != after.window {
        what.push(format!("{} → {}", window(&before.window), window(&after.window)));
        note(window_effect(old, new, now));
    }
    if pairs.old[old.1 as usize].cost != pairs.new[new.1 as usize].cost {
        let (from, to) = (cost(old.0, before), cost(new.0, after));
        what.push(format!("{from} → {to}"));
        note((
            Counts::Carried,
            format!("counts go on as numbers: what was counted in {from} is read in {to}"),
        ));
    }
    // Where one part begins at zero, nothing is left for the others to say.
    let effects: Vec<String> = effects
        .into_iter()
        .filter(|(of, _)| *of == counts)
        .map(|(_, text)| text)
        .collect();
    let sentence = format!(
        "{}: re-keyed, {}; {}.",
        after.id,
        what.join(", "),
        effects.join("; ")
    );
    change(&after.id, Class::ReKeyed, sentence, counts)
}

/// Subjects are texts: of one attribute its value, of several each value behind its length. What lies beside the buyers' orders
/// is not found among other counts.
fn key_effect(before: &Counter, after: &Counter) -> (Counts, String) {
    let text = match (before.key.as_slice(), after.key.as_slice()) {
        _ if before.is_of_buyer() != after.is_of_buyer() => "starts at zero".to_owned(),
        ([one], [other]) => format!(
            "starts at zero, except that {} with the same text as {} goes on from that one's count",
            a(other),
            a(one)
        ),
        ([], [other]) => format!(
            "starts at zero, except that orders without {} go on from the count of all orders",
            noun(other)
        ),
        ([one], []) => format!(
            "starts at zero, except that it goes on from the count of orders without {}",
            noun(one)
        ),
        _ => "starts at zero".to_owned(),
    };
    (Counts::Zero, text)
}

fn window_effect(old: (&CheckedPlan, u32), new: (&CheckedPlan, u32), now: i64) -> (Counts, String) {
    let before = &old.0.plan().counters[old.1 as usize].window;
    let after = &new.0.plan().counters[new.1 as usize].window;
    match (before, after) {
        (Window::Rolling { length_ms: from }, Window::Rolling { length_ms: to }) if to < from => (
            Counts::Kept,
            format!(
                "counts are kept; orders older than {} stop counting at once",
                duration(*to)
            ),
        ),
        (Window::Rolling { length_ms: from }, Window::Rolling { .. }) => (
            Counts::Carried,
            format!(
                "counts are kept, but orders older than {} of those who ordered again are forgotten already",
                duration(*from)
            ),
        ),
        (Window::Rolling { .. } | Window::Campaign, _) | (_, Window::Rolling { .. } | Window::Campaign) => {
            (Counts::Zero, "starts at zero".to_owned())
        }
        _ => periods_effect(old, new, now),
    }
}

/// Two windows that start anew again and again: a count is found where both have a window of the same start.
fn periods_effect(old: (&CheckedPlan, u32), new: (&CheckedPlan, u32), now: i64) -> (Counts, String) {
    let start = window_start(new.0, new.1, now);
    if start == window_start(old.0, old.1, now) {
        let text = format!(
            "the current window, from {}, goes on with its count",
            rfc3339(start)
        );
        return (Counts::Kept, text);
    }
    if start == window_start(old.0, old.1, start) {
        let later = window_start(old.0, old.1, now);
        let text = format!(
            "the current window, from {}, goes on with what the old window of the same start counted; what later \
             windows counted (the last from {}) is not in it",
            rfc3339(start),
            rfc3339(later)
        );
        return (Counts::Carried, text);
    }
    let text = format!("starts at zero with the window from {}", rfc3339(start));
    (Counts::Zero, text)
}

fn a(attribute: &Attribute) -> String {
    let noun = noun(attribute);
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'I']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {noun}")
}

fn whom(key: &[Attribute]) -> String {
    let nouns: Vec<String> = key.iter().map(noun).collect();
    match nouns.as_slice() {
        [] => "all orders together".to_owned(),
        several => format!("per {}", several.join(" and ")),
    }
}

fn cost(plan: &CheckedPlan, counter: &Counter) -> String {
    match &plan.plan().nodes[counter.cost as usize] {
        Expr::Int(1) => "orders".to_owned(),
        Expr::Int(each) => format!("{each} per order"),
        Expr::Attribute(Attribute::Quantity) => "units".to_owned(),
        _ => "a computed cost".to_owned(),
    }
}
