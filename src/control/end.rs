//! The end of a sale before its time: admissions stop at once, and then the schedule says so.

use serde::Serialize;
use serde_json::{Value, json};

use super::activate::Beside;
use super::considered::REVISION_CREATE;
use super::operations::{Answered, Operation, Pass};
use super::pause::{PAUSE, RESUME};
use super::{Activated, Control, ControlError};
use crate::campaign::Schedule;
use crate::revision::Revision;
use crate::ruleset::Compiled;
use crate::store::CampaignRow;
use crate::wire::Moment;

/// As the audit trail names it.
pub const END: &str = "campaign.end";

/// What an end answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Ended {
    pub campaign: String,
    pub state: &'static str,
    /// What was done, in a sentence or two.
    pub did: String,
    pub closes_at: Moment,
    /// Missing where it was over already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

impl Control {
    /// Answers when every gateway says that the sale is over. What it answers is an [`Ended`].
    pub async fn end(&self, operation: Operation<'_>) -> Result<Answered, ControlError> {
        self.once(operation, &operation.note, async |_| {
            self.end_now(operation).await
        })
        .await
    }

    async fn end_now(&self, operation: Operation<'_>) -> Result<Ended, ControlError> {
        let (row, now) = self.running(operation.campaign).await?;
        if row.schedule.is_over(now) {
            self.forget_pause(operation).await;
            let at = Moment(row.schedule.closes_at);
            let cancelled = self.unschedule_all(operation).await?;
            let did = match cancelled.is_empty() {
                true => format!("It was over already, since {at}: nothing was changed."),
                false => format!("It was over already, since {at}.{cancelled}"),
            };
            return Ok(Ended::of(&row, row.schedule, None, did));
        }
        // Whatever the rules say to other times, nobody is admitted any more.
        let (_, is_begun) = self.stop_now(operation.of_kind(PAUSE), None).await?;
        let operation = match is_begun {
            true => operation.begun(),
            false => operation,
        };
        // What was ordered until then was ordered before it closed.
        let now = self.running(operation.campaign).await?.1;
        let closed = self.close(operation, now).await;
        let (ended, schedule, as_it_was) = closed.map_err(stays_paused)?;
        let operation = operation.begun();
        self.forget_pause(operation).await;
        // What is being made at this moment is refused, because the times have changed.
        let cancelled = self.unschedule_all(operation).await?;
        let did = did(row.schedule, schedule, now, as_it_was) + &cancelled;
        Ok(Ended::of(&row, schedule, Some(ended), did))
    }

    /// A sale that is over needs no pause: one that is opened again is not to be found paused.
    async fn forget_pause(&self, operation: Operation<'_>) {
        if let Err(error) = self.go_on(operation.of_kind(RESUME)).await {
            tracing::warn!(campaign = operation.campaign, %error, "it is over, and is still called paused");
        }
    }

    /// Puts a schedule in force by which the sale closed at `now`; says why the rules were not made for it, where they were
    /// not.
    async fn close(
        &self,
        operation: Operation<'_>,
        now: i64,
    ) -> Result<(Activated, Schedule, Option<String>), ControlError> {
        let operation = operation.passing(Pass::Less);
        let before = self.row(operation.campaign).await?.schedule;
        let told = |revision, after| told(revision, (before, after));
        let beside = Beside {
            told: Some(&told),
            ..Beside::default()
        };
        let refused = match self
            .revise((operation, &beside), &[], None, |there| closed(there, now))
            .await
        {
            Ok(activated) => {
                let row = self.row(operation.campaign).await?;
                return Ok((activated, row.schedule, None));
            }
            Err(error) if is_about_rules(&error) => error,
            Err(error) => return Err(error),
        };
        let why = reasons(&refused);
        tracing::warn!(campaign = operation.campaign, why, "the plan is closed as it is");
        let activated = self.close_as_it_is((operation, &beside), now).await?;
        let row = self.row(operation.campaign).await?;
        Ok((activated, row.schedule, Some(why)))
    }

    /// The active plan under the other schedule, whatever its modules would make of that: nobody is admitted by it.
    async fn close_as_it_is(
        &self,
        (operation, beside): (Operation<'_>, &Beside<'_>),
        now: i64,
    ) -> Result<Activated, ControlError> {
        let row = self.row(operation.campaign).await?;
        let active = self
            .stored_revision(operation.campaign, row.activation.revision)
            .await?;
        let mut revision = active.revision.clone();
        revision.schedule = closed(revision.schedule, now);
        revision.created_at = (self.clock)();
        let compiled = Compiled::build(row.campaign, revision).map_err(|error| {
            ControlError::Conflict(format!("its plan is refused under the other times: {error}"))
        })?;
        let plan_digest = compiled.family.plan.digest().to_owned();
        let revision = Revision {
            plan_digest,
            ..compiled.revision
        };
        let detail = json!({"closes_at": Moment(revision.schedule.closes_at)});
        let line = operation.of_kind(REVISION_CREATE).line((self.clock)(), detail);
        let number = self.store.insert_revision(&revision, vec![line]).await?;
        let operation = operation.begun();
        let expected = Some(active.revision.number);
        let activated = self.activate_instead_of(expected, operation, number, &[], beside);
        let activated = activated.await?;
        activated.ok_or_else(|| {
            ControlError::Conflict("somebody else has activated another revision at the same time".to_owned())
        })
    }
}

impl Ended {
    fn of(row: &CampaignRow, schedule: Schedule, ended: Option<Activated>, did: String) -> Self {
        Self {
            campaign: row.campaign.id.clone(),
            state: "closed",
            did,
            closes_at: Moment(schedule.closes_at),
            revision: ended.as_ref().map(|ended| ended.revision),
            epoch: ended.map(|ended| ended.epoch),
        }
    }
}

/// What the audit trail says.
fn told(revision: u32, (before, after): (Schedule, Schedule)) -> Value {
    json!({"revision": revision, "closes_at": Moment(after.closes_at),
        "from": {"closes_at": Moment(before.closes_at)}, "to": {"closes_at": Moment(after.closes_at)}})
}

/// The schedule of a sale that closed at `now`. One that has not opened never does.
fn closed(there: Schedule, now: i64) -> Schedule {
    Schedule {
        opens_at: there.opens_at.min(now - 1),
        closes_at: there.closes_at.min(now),
        ..there
    }
}

/// Whether the rules do not take the other times; anything else would refuse any schedule.
fn is_about_rules(error: &ControlError) -> bool {
    matches!(
        error,
        ControlError::Invalid(_)
            | ControlError::Module { .. }
            | ControlError::AcceptMissing(_)
            | ControlError::Proof(_)
    )
}

fn stays_paused(error: ControlError) -> ControlError {
    let done =
        "nobody is admitted, for the sale is paused and stays so until somebody resumes it; it is not ended";
    let error = match error {
        error if is_about_rules(&error) => ControlError::Conflict(reasons(&error)),
        error => error,
    };
    error.after(done)
}

/// Why rules were refused, in words.
pub(super) fn reasons(error: &ControlError) -> String {
    let sentences: Vec<String> = match error {
        ControlError::Invalid(problems) => {
            let each = problems.iter();
            each.map(|problem| format!("{} {}", problem.pointer, problem.detail))
                .collect()
        }
        ControlError::AcceptMissing(changes) => {
            changes.iter().map(|change| change.sentence.clone()).collect()
        }
        error => vec![error.to_string()],
    };
    sentences.join("; ")
}

fn did(before: Schedule, after: Schedule, now: i64, as_it_was: Option<String>) -> String {
    let at = Moment(after.closes_at);
    let mut did = match now < before.opens_at {
        true => format!("Ended at {at}, before it opened: it does not open any more."),
        false => {
            format!("Ended at {at}: orders are answered that the sale is over. What was ordered goes on.")
        }
    };
    if let Some(why) = as_it_was {
        did.push_str(" Its plan is as it was, because its rules do not take the other times (");
        did.push_str(&why);
        did.push_str(").");
    }
    did
}
