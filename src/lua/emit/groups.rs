//! Counts that lie together: those of one subject that live as long as the campaign are fields of one
//! hash, read by one command and written by another. A window that changes has hashes of its own.

use crate::plan::{Attribute, CheckedPlan, Counter, Window};

/// Counters whose counts of one subject lie in one hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) key: Vec<Attribute>,
    /// Indices into the plan's counters; the place of a count in its row is one more than its place here.
    pub(super) counters: Vec<u32>,
    /// Whether it lives as long as the campaign.
    pub(super) lasting: bool,
    /// Whether it lies in the buyers' buckets, which every call reads.
    pub(super) of_buyer: bool,
}

/// Counts of a shadow lie apart, its buyers' too.
pub(super) fn groups(plan: &CheckedPlan, is_shadow: bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, counter) in (0..).zip(&plan.plan().counters) {
        let lasting = counter.is_lasting();
        let same = |group: &&mut Group| lasting && group.lasting && group.key == counter.key;
        match groups.iter_mut().find(same) {
            Some(group) => group.counters.push(index),
            None => groups.push(Group {
                key: counter.key.clone(),
                counters: vec![index],
                lasting,
                of_buyer: counter.is_of_buyer() && !is_shadow,
            }),
        }
    }
    groups
}

/// Whether any counter has a calendar window.
pub(super) fn any_calendar(plan: &CheckedPlan) -> bool {
    let counters = &plan.plan().counters;
    counters
        .iter()
        .any(|counter| matches!(counter.window, Window::Calendar { .. }))
}

pub(super) fn any_rolling(plan: &CheckedPlan) -> bool {
    plan.plan().counters.iter().any(is_rolling)
}

pub(super) fn is_rolling(counter: &Counter) -> bool {
    matches!(counter.window, Window::Rolling { .. })
}
