//! A revision once more, for one that is like it but for what a merchant changes: no rules are sent again for another list.

use super::ControlError;
use super::requests::{NewRevision, RuleSpec};
use crate::plan::Audiences;
use crate::revision::{PinnedRule, Revision};

/// What makes a revision once more.
#[derive(Clone, Debug)]
pub(super) struct Likeness {
    /// Everything is said, because what is left out is taken from the revision that is in force by then. Modules are named by
    /// their digests.
    pub(super) new: NewRevision,
    /// Its lists, in the versions it has pinned.
    pub(super) lists: Audiences,
}

/// The same revision again.
pub(super) fn like(revision: Revision) -> Result<Likeness, ControlError> {
    let schedule = revision.schedule;
    let shadow = revision.shadow.as_ref();
    Ok(Likeness {
        new: NewRevision {
            rules: specs(&revision.rules),
            fold: Some(revision.folds),
            shadow: shadow.map_or_else(Vec::new, |shadow| specs(&shadow.rules)),
            opens_at: Some(moment(schedule.opens_at)?),
            closes_at: Some(moment(schedule.closes_at)?),
            retention_days: Some(schedule.retention_days()),
            activate_at: None,
        },
        lists: revision.audiences,
    })
}

fn moment(at: i64) -> Result<jiff::Timestamp, ControlError> {
    jiff::Timestamp::from_millisecond(at)
        .map_err(|error| ControlError::Internal(format!("the schedule has no such moment: {error}")))
}

/// The rules again, under their names and with the modules they have.
fn specs(rules: &[PinnedRule]) -> Vec<RuleSpec> {
    let spec = |rule: &PinnedRule| RuleSpec {
        module: rule.digest.clone(),
        params: rule.params.clone(),
        name: Some(rule.name.clone()),
    };
    rules.iter().map(spec).collect()
}
