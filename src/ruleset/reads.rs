//! What the rules that decide read of an order, and what of that an order has in a form that no rule can read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::Precheck;
use crate::order::UNREADABLE;
use crate::plan::{ANY_NAME, Attribute, CheckedPlan};

/// Claims about the token that a module which reads every claim has not asked for: a token for several services has
/// several audiences.
const UNASKED: [&str; 2] = ["claim:aud", "claim:iss"];

/// Attributes by their text form, those of the plan and those that prechecks are handed. A shadow rule decides nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads(BTreeSet<String>);

impl Reads {
    pub fn of(plan: &CheckedPlan, prechecks: &[Arc<dyn Precheck>]) -> Self {
        let handed = prechecks.iter().flat_map(|precheck| precheck.reads());
        let read = plan.attributes();
        Self(read.iter().chain(handed).map(Attribute::to_string).collect())
    }

    /// The first attribute that is read, is there and cannot be read, by its text form, with why. `attributes` are those
    /// of an attempt, or what is left of them.
    pub fn unreadable<'a>(&self, attributes: &'a BTreeMap<String, String>) -> Option<(&'a str, &'a str)> {
        marks(attributes).find(|(name, _)| self.has(name))
    }

    fn has(&self, name: &str) -> bool {
        let of_any = |kind: &str| name.starts_with(kind) && self.0.contains(&format!("{kind}{ANY_NAME}"));
        self.0.contains(name) || ((of_any("claim:") || of_any("client:")) && !UNASKED.contains(&name))
    }
}

/// Attributes that cannot be read, by their text form, with why.
pub fn marks(attributes: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    attributes
        .range::<str, _>((Bound::Included(UNREADABLE), Bound::Unbounded))
        .map_while(|(name, why)| Some((name.strip_prefix(UNREADABLE)?, why.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(names: &[&str]) -> Reads {
        Reads(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn only_what_is_read_counts() {
        let attributes: BTreeMap<String, String> = [
            ("claim:tier", "gold"),
            ("unreadable:claim:aud", "is an array"),
            ("unreadable:claim:groups", "is an array"),
            ("zone", "7"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let groups = Some(("claim:groups", "is an array"));
        for (names, found) in [
            (&["claim:tier", "ip"][..], None),
            (&[], None),
            (&["claim:groups"], groups),
            (&["claim:*"], groups),
            (&["client:*"], None),
            (&["claim:aud"], Some(("claim:aud", "is an array"))),
        ] {
            assert_eq!(reads(names).unreadable(&attributes), found, "{names:?}");
        }
    }
}
