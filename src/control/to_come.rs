//! What is to be done with a campaign at a moment, as it is kept and shown.

use serde::{Deserialize, Serialize};

use crate::store::{ScheduledRow, ScheduledState};
use crate::wire::Moment;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    Pause {
        resume_at: Option<i64>,
    },
    Activate {
        revision: u32,
        /// Its schedule is minded only as long as the sale has the times of this revision: the one in force when it was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        based_on: Option<u32>,
    },
}

/// A change that waits, or was refused when its moment came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Scheduled)]
pub struct ScheduledView {
    pub id: String,
    /// `pause` or `activate`.
    pub change: &'static str,
    pub at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Moment>,
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why it was not made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// `None` where a later build has scheduled something that this one does not know.
pub(super) fn view(row: ScheduledRow) -> Option<ScheduledView> {
    let change: Change = serde_json::from_value(row.change).ok()?;
    let (name, revision, resume_at) = match change {
        Change::Pause { resume_at } => ("pause", None, resume_at),
        Change::Activate { revision, .. } => ("activate", Some(revision), None),
    };
    Some(ScheduledView {
        id: row.id,
        change: name,
        at: Moment(row.due_at),
        revision,
        resume_at: resume_at.map(Moment),
        by: row.actor,
        note: row.note,
        failed: row.outcome.filter(|_| row.state == ScheduledState::Failed),
    })
}
