//! How a request folds attributes: what may be folded, and what rules then compare in vain.

use std::collections::BTreeSet;

use super::places::places_of;
use super::problem::Problem;
use crate::plan::diff::{Change, Class, Part};
use crate::plan::fold::{foldable, never_met, read_by};
use crate::plan::{Folds, Plan};
use crate::wasm::Diagnostic;
use crate::wire::echo;
use crate::wire::json::escape;

/// Attributes that one revision folds at most.
const FOLDED_MAX: usize = 16;
/// Characters of a name that are repeated where it is wrong.
const NAME_SHOWN: usize = 80;

/// Everything that is wrong with what a request folds; its steps were read already.
pub(super) fn check_folds(folds: &Folds, problems: &mut Vec<Problem>) {
    let count = folds.iter().count();
    if count > FOLDED_MAX {
        let detail = format!("folds {count} attributes; at most {FOLDED_MAX} are allowed");
        problems.push(Problem::new("/fold", detail));
    }
    for (name, _) in folds.iter() {
        if let Err(why) = foldable(name) {
            let shown: String = name.chars().take(NAME_SHOWN).collect();
            let detail = format!("{} cannot be folded: {why}", echo(&shown));
            problems.push(Problem::new(format!("/fold/{}", escape(&shown)), detail));
        }
    }
}

/// A warning for each attribute that is folded and that none of these plans reads, nor a precheck is handed: another one may
/// have been meant.
pub(super) fn unread<'a>(folds: &Folds, plans: impl Iterator<Item = &'a Plan>) -> Vec<Diagnostic> {
    let read: BTreeSet<String> = plans
        .flat_map(read_by)
        .map(|attribute| attribute.brought().to_string())
        .collect();
    let unread = folds.iter().filter(|(name, _)| !read.contains(*name));
    unread
        .map(|(name, _)| {
            let message = format!("no rule reads {name}, so that folding it changes nothing");
            Diagnostic::warning(format!("/fold/{}", escape(name)), "unread", message)
        })
        .collect()
}

/// What a revision folds otherwise than another.
pub(super) fn changes(old: &Folds, new: &Folds) -> Vec<Change> {
    let names: BTreeSet<&str> = old.iter().chain(new.iter()).map(|(name, _)| name).collect();
    let said = |folds: &Folds, name: &str| {
        let found = folds.iter().find(|(known, _)| *known == name);
        found.map_or("as it is".to_owned(), |(_, fold)| format!("folded ({fold})"))
    };
    let changed = names.into_iter().filter_map(|name| {
        let (from, to) = (said(old, name), said(new, name));
        let sentence = || format!("rules read {name} {to}; before, {from}");
        (from != to).then(|| Change::new("", Part::Attribute, Class::Changed, sentence()))
    });
    changed.collect()
}

/// Problems for a text that the plan of the rule at `at` compares with a folded value that is never that text.
pub(super) fn never_met_problems(at: &str, plan: &Plan, params: &serde_json::Value) -> Vec<Problem> {
    let Some(found) = never_met(plan) else {
        return Vec::new();
    };
    let detail = format!(
        "no order meets {:?}: the revision folds {} before the rule reads it",
        found.text, found.attribute
    );
    let hint = match found.instead.as_str() {
        "" => format!("leave {} out of \"fold\", or fold it otherwise", found.attribute),
        instead => format!("write {instead:?}"),
    };
    let mut places = places_of(params, &found.text, &format!("{at}/params"));
    if places.is_empty() {
        places.push(at.to_owned());
    }
    let problem = |place| Problem::new(place, detail.clone()).hint(hint.clone());
    places.into_iter().map(problem).collect()
}
