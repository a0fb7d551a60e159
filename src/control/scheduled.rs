//! Changes that are to be made at a moment: kept in the database, made once by whichever gateway is alive, shown and cancelled
//! until then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use super::compile::check_accepted;
use super::end::reasons;
use super::operations::{ACTIVATE, Answered, Operation};
use super::pause::{PAUSE, check_resume_at, lasts};
use super::problem::Problem;
use super::to_come::{Change, ScheduledView, view};
use super::{Control, ControlError};
use crate::audit::AskedBy;
use crate::clock;
use crate::plan;
use crate::seldom::Seldom;
use crate::store::{CampaignRow, ScheduledRow, ScheduledState, Undone as _};
use crate::wire::Moment;

/// As the audit trail names what became of it.
const SCHEDULED: &str = "campaign.scheduled";
const ACTIVATE_LATER: &str = "revision.schedule";
const PAUSE_LATER: &str = "campaign.schedule-pause";
pub const UNSCHEDULE: &str = "campaign.unschedule";
/// Between looks at what is due.
const EVERY: Duration = Duration::from_millis(500);
/// Who looks holds this, so that the others need not.
const LEASE: &str = "scheduled-changes";
const LEASE_MS: i64 = 5_000;
/// What is made so long after its moment is late.
const LATE_MS: i64 = 2_000;
/// While others change the campaign, or are at the same change, it is tried again for so long.
const CONFLICT_MS: i64 = 60_000;
/// Changes of one look.
const LOOK_MAX: u32 = 100;
/// Changes that wait, of one campaign; and those that failed, as far as they are shown.
const WAITING_MAX: u32 = 50;

/// What a schedule answers, or a cancellation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = PauseScheduled)]
pub struct Planned {
    pub campaign: String,
    /// What was done, in a sentence or two.
    pub did: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<ScheduledView>,
}

impl Control {
    /// Makes changes when they are due, as long as no other gateway does and the handle is kept.
    pub fn keep_schedule(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let control = self.clone();
        let owner = uuid::Uuid::now_v7().simple().to_string();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tick = clock::every(EVERY);
            let mut trouble = Seldom::default();
            loop {
                tick.tick().await;
                if let Err(error) = control.make_due(&owner).await
                    && trouble.met(&error.to_string(), Instant::now()).is_some()
                {
                    tracing::warn!(%error, "scheduled changes could not be made");
                }
            }
        }))
    }

    /// Pauses later. What it answers is a [`Planned`].
    pub async fn pause_later(
        &self,
        operation: Operation<'_>,
        pause_at: jiff::Timestamp,
        resume_at: Option<jiff::Timestamp>,
    ) -> Result<Answered, ControlError> {
        let (at, resume_at) = (
            pause_at.as_millisecond(),
            resume_at.map(jiff::Timestamp::as_millisecond),
        );
        let asked = (at, resume_at, operation.note);
        self.once(operation, &asked, async |id| {
            let (row, now) = self.running(operation.campaign).await?;
            check_at("/pause_at", at, now)?;
            if row.schedule.is_over(at) {
                let closes_at = Moment(row.schedule.closes_at);
                let detail = format!("is not before the sale closes, at {closes_at}");
                return Err(ControlError::Invalid(vec![Problem::new("/pause_at", detail)]));
            }
            if let Some(resume_at) = resume_at.filter(|resume_at| *resume_at <= at) {
                let detail = format!(
                    "is not after pause_at: {} is not after {}",
                    Moment(resume_at),
                    Moment(at)
                );
                return Err(ControlError::Invalid(vec![Problem::new("/resume_at", detail)]));
            }
            check_resume_at(row.schedule, resume_at, at)?;
            let did = format!("It is to be paused at {}, {}.", Moment(at), lasts(resume_at));
            let operation = operation.of_kind(PAUSE_LATER);
            self.plan(operation, id, Change::Pause { resume_at }, at, did)
                .await
        })
        .await
    }

    /// Whether a revision that changes this may be activated by itself: nobody is there to accept anything.
    pub(super) fn may_be_activated_at(
        &self,
        at: i64,
        changes: &[plan::diff::Change],
    ) -> Result<(), ControlError> {
        check_at("/activate_at", at, (self.clock)())?;
        check_accepted(changes, &[])
    }

    /// Puts a stored revision in force later.
    pub(super) async fn activate_later(
        &self,
        by: AskedBy<'_>,
        (campaign, id): (&str, String),
        revision: u32,
        at: i64,
    ) -> Result<ScheduledView, ControlError> {
        let operation = Operation::by(by, campaign, ACTIVATE_LATER);
        let based_on = Some(self.row(campaign).await?.activation.revision);
        let change = Change::Activate { revision, based_on };
        let planned = self.plan(operation, id, change, at, String::new());
        let scheduled = planned.await?.scheduled;
        scheduled.ok_or_else(|| ControlError::Internal("nothing was scheduled".to_owned()))
    }

    async fn plan(
        &self,
        operation: Operation<'_>,
        id: String,
        change: Change,
        at: i64,
        did: String,
    ) -> Result<Planned, ControlError> {
        let campaign = operation.campaign;
        // Asked again under its key, it is there already.
        let there = self.store.scheduled_change(campaign, &id).await?;
        let row = match there {
            Some(there) => there,
            None => {
                let waiting = self
                    .store
                    .scheduled(campaign, ScheduledState::Waiting, WAITING_MAX)
                    .await?;
                if waiting.len() >= WAITING_MAX as usize {
                    let detail = format!(
                        "{WAITING_MAX} changes of campaign {campaign:?} wait already: cancel one first"
                    );
                    return Err(ControlError::Conflict(detail));
                }
                let row = ScheduledRow {
                    id,
                    campaign: campaign.to_owned(),
                    change: json!(change),
                    due_at: at,
                    actor: operation.actor.to_owned(),
                    note: operation.note.map(str::to_owned),
                    state: ScheduledState::Waiting,
                    outcome: None,
                };
                let (now, detail) = (
                    (self.clock)(),
                    json!({"scheduled": row.id, "at": Moment(at), "to": row.change}),
                );
                let line = operation.line(now, detail);
                self.store.insert_scheduled(&row, now, &[line]).await?;
                row
            }
        };
        Ok(Planned {
            campaign: campaign.to_owned(),
            did,
            scheduled: view(row),
        })
    }

    /// Takes a change that waits back. What it answers is a [`Planned`].
    pub async fn unschedule(&self, operation: Operation<'_>, id: &str) -> Result<Answered, ControlError> {
        self.once(operation, &id, async |_| {
            let campaign = operation.campaign;
            self.row(campaign).await?;
            let found = self.store.scheduled_change(campaign, id).await?;
            let unknown =
                || ControlError::Unknown(format!("campaign {campaign:?} has no scheduled change {id:?}"));
            let row = found.ok_or_else(unknown)?;
            let did = match row.state {
                ScheduledState::Cancelled => "It was cancelled already.".to_owned(),
                ScheduledState::Waiting if self.take_back(operation, &row).await? => {
                    format!(
                        "Cancelled: what was to be done at {} is not done.",
                        Moment(row.due_at)
                    )
                }
                _ if self.is_taken_back(&row).await? => "It was cancelled already.".to_owned(),
                _ => {
                    let detail = "it has been made, or tried, already: there is nothing to cancel";
                    return Err(ControlError::Conflict(detail.to_owned()));
                }
            };
            Ok(Planned {
                campaign: campaign.to_owned(),
                did,
                scheduled: None,
            })
        })
        .await
    }

    /// Whether somebody else has taken it back since it was read.
    async fn is_taken_back(&self, row: &ScheduledRow) -> Result<bool, ControlError> {
        let there = self.store.scheduled_change(&row.campaign, &row.id).await?;
        Ok(there.is_some_and(|there| there.state == ScheduledState::Cancelled))
    }

    /// What waits of a campaign, and what was refused.
    pub(super) async fn to_come(&self, row: &CampaignRow) -> Result<Vec<ScheduledView>, ControlError> {
        let id = &row.campaign.id;
        let mut rows = self
            .store
            .scheduled(id, ScheduledState::Waiting, WAITING_MAX)
            .await?;
        rows.extend(
            self.store
                .scheduled(id, ScheduledState::Failed, WAITING_MAX)
                .await?,
        );
        Ok(rows.into_iter().filter_map(view).collect())
    }

    async fn make_due(&self, owner: &str) -> Result<(), ControlError> {
        let now = (self.clock)();
        let due = self.store.scheduled_due(now, LOOK_MAX).await?;
        if due.is_empty() || !self.store.lease(LEASE, owner, now, LEASE_MS).await? {
            return Ok(());
        }
        // One that cannot be made holds no other up.
        let mut made = Ok(());
        for row in due {
            made = self.make_scheduled(row).await.and(made);
        }
        made
    }

    /// Made under a key of its own: whoever finds it half done goes on with it. What is being made cannot be cancelled.
    async fn make_scheduled(&self, row: ScheduledRow) -> Result<(), ControlError> {
        let Ok(change) = serde_json::from_value::<Change>(row.change.clone()) else {
            return Ok(());
        };
        let (waiting, making) = (ScheduledState::Waiting, ScheduledState::Making);
        let store = &self.store;
        if row.state == waiting && !store.move_scheduled(&row.id, waiting, making, None, &[]).await? {
            return Ok(());
        }
        let late_ms = (self.clock)() - row.due_at;
        let (state, outcome) = match self.make_now(&row, change).await {
            Ok(_) => (ScheduledState::Done, "made".to_owned()),
            // The next look goes on with it.
            Err(error) if error.leaves_open() => return Err(error),
            Err(ControlError::Conflict(_)) if late_ms < CONFLICT_MS => return Ok(()),
            Err(error) => (ScheduledState::Failed, reasons(&error)),
        };
        let mut detail = json!({"scheduled": row.id, "at": Moment(row.due_at), "outcome": outcome});
        if late_ms >= LATE_MS {
            detail["late_ms"] = late_ms.into();
        }
        let operation = Operation::by(&row.actor, &row.campaign, SCHEDULED);
        let line = operation.line((self.clock)(), detail);
        self.store
            .move_scheduled(&row.id, making, state, Some(&outcome), &[line])
            .await?;
        Ok(())
    }

    async fn make_now(&self, row: &ScheduledRow, change: Change) -> Result<Answered, ControlError> {
        let key = format!("scheduled:{}", row.id);
        let kind = match change {
            Change::Pause { .. } => PAUSE,
            Change::Activate { .. } => ACTIVATE,
        };
        let operation = Operation::by(&row.actor, &row.campaign, kind);
        let operation = operation.asked(Some(&key), row.note.as_deref());
        match change {
            Change::Pause { resume_at } => {
                let resume_at = self.longer_pause(&row.campaign, resume_at).await?;
                let resume_at = resume_at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
                self.pause(operation, resume_at).await
            }
            Change::Activate { revision, based_on } => {
                self.times_are_still(&row.campaign, revision, based_on).await?;
                self.activate(operation, revision, &[]).await
            }
        }
    }

    /// A pause that somebody has begun meanwhile is not shortened by one that was scheduled before.
    async fn longer_pause(
        &self,
        campaign: &str,
        resume_at: Option<i64>,
    ) -> Result<Option<i64>, ControlError> {
        let (row, now) = self.running(campaign).await?;
        let there = row.pause.pause.at(now);
        Ok(there.map_or(resume_at, |there| Some(there.resume_at?.max(resume_at?))))
    }

    /// A revision that was made before the sale was ended, or got other times, does not bring the old ones back.
    async fn times_are_still(
        &self,
        campaign: &str,
        revision: u32,
        based_on: Option<u32>,
    ) -> Result<(), ControlError> {
        let row = self.row(campaign).await?;
        if row.activation.revision == revision {
            // It was made before, by somebody who did not come so far as to say so.
            return Ok(());
        }
        // Scheduled by an earlier build, it says nothing of that.
        let Some(known) = based_on else { return Ok(()) };
        let known = self.stored_revision(campaign, known).await?.revision.schedule;
        if known == row.schedule {
            return Ok(());
        }
        let detail = format!(
            "the times of the sale have changed since it was scheduled: it opens at {} and closes at {} now, and revision \
             {revision} would undo that",
            Moment(row.schedule.opens_at),
            Moment(row.schedule.closes_at)
        );
        Err(ControlError::Invalid(vec![
            Problem::new("", detail).hint("make the revision again"),
        ]))
    }

    /// Takes back one that waits; `false` where it does not any more.
    async fn take_back(&self, operation: Operation<'_>, row: &ScheduledRow) -> Result<bool, ControlError> {
        let (waiting, cancelled) = (ScheduledState::Waiting, ScheduledState::Cancelled);
        let detail = json!({"scheduled": row.id, "at": Moment(row.due_at), "from": row.change});
        let line = operation.line((self.clock)(), detail);
        Ok(self
            .store
            .move_scheduled(&row.id, waiting, cancelled, None, &[line])
            .await?)
    }

    /// Takes back all that is to be done with a sale that has ended, and says what that was.
    pub(super) async fn unschedule_all(&self, operation: Operation<'_>) -> Result<String, ControlError> {
        let operation = operation.of_kind(UNSCHEDULE);
        let waiting = self
            .store
            .scheduled(operation.campaign, ScheduledState::Waiting, WAITING_MAX)
            .await?;
        let mut did = String::new();
        for row in waiting {
            if !self.take_back(operation, &row).await? {
                continue;
            }
            let at = Moment(row.due_at);
            let what = match view(row).and_then(|view| view.revision) {
                Some(revision) => format!("the activation of revision {revision}"),
                None => "the pause".to_owned(),
            };
            did.push_str(&format!(" Cancelled: {what} that was scheduled for {at}."));
        }
        Ok(did)
    }
}

/// A moment to come.
pub(super) fn check_at(place: &str, at: i64, now: i64) -> Result<(), ControlError> {
    if at > now {
        return Ok(());
    }
    let detail = format!("has passed: it is {} now", Moment(now));
    let hint = "leave it out to have it done at once";
    Err(ControlError::Invalid(vec![
        Problem::new(place, detail).hint(hint),
    ]))
}
