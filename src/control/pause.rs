//! Pauses: admissions stopped in a running sale, and let go on. Written first in the database, then put into the engine, where
//! the admission script reads it: when the answer is given, it holds at every gateway.

use serde::Serialize;
use serde_json::json;

use super::eyes::needs_two;
use super::operations::{Answered, Operation, Pass};
use super::problem::Problem;
use super::{Control, ControlError};
use crate::campaign::{Campaign, FourEyes, Pause, Paused, Schedule};
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::lua::pause::{Put, pause_args, pause_reply};
use crate::state::Whose;
use crate::store::{CampaignRow, PauseRow};
use crate::wire::Moment;

/// The kind of every pause, also of the one that comes with an end.
pub const PAUSE: &str = "campaign.pause";
pub const RESUME: &str = "campaign.resume";

/// Tries where others pause and resume the same campaign.
const TRIES: u32 = 5;
/// Tries of one shard while the engine does not answer, and looks at a gate that closes again.
const PUT_TRIES: u32 = 5;

/// Since when and until when a sale is paused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Paused)]
pub struct PausedView {
    pub since: Moment,
    /// Missing where somebody has to resume it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl PausedView {
    /// `None` where it is not paused at `now`, which is the engine's.
    pub fn of(row: &PauseRow, now: i64) -> Option<Self> {
        let paused = row.pause.at(now)?;
        Some(Self {
            since: Moment(row.since?),
            resume_at: paused.resume_at.map(Moment),
            note: row.note.clone(),
        })
    }
}

/// What a pause or a resume answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = PauseChanged)]
pub struct PauseAnswer {
    pub campaign: String,
    pub state: &'static str,
    /// What was done, in a sentence or two.
    pub did: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<PausedView>,
}

impl PauseAnswer {
    fn of(row: &CampaignRow, pause: &PauseRow, now: i64, did: String) -> Self {
        Self {
            campaign: row.campaign.id.clone(),
            state: row.schedule.state(now, pause.pause.at(now)),
            did,
            paused: PausedView::of(pause, now),
        }
    }
}

impl Control {
    /// Stops admissions until `resume_at`, or until somebody resumes them. What it answers is a [`PauseAnswer`].
    pub async fn pause(
        &self,
        operation: Operation<'_>,
        resume_at: Option<jiff::Timestamp>,
    ) -> Result<Answered, ControlError> {
        let resume_at = resume_at.map(jiff::Timestamp::as_millisecond);
        let asked = (resume_at, operation.note);
        self.once(operation, &asked, async |_| self.stop(operation, resume_at).await)
            .await
    }

    /// Lets a paused sale go on. What it answers is a [`PauseAnswer`].
    pub async fn resume(&self, operation: Operation<'_>) -> Result<Answered, ControlError> {
        self.once(operation, &operation.note, async |_| self.go_on(operation).await)
            .await
    }

    pub(super) async fn stop(
        &self,
        operation: Operation<'_>,
        resume_at: Option<i64>,
    ) -> Result<PauseAnswer, ControlError> {
        self.stop_now(operation, resume_at)
            .await
            .map(|(answer, _)| answer)
    }

    /// The same, and whether anything was changed.
    pub(super) async fn stop_now(
        &self,
        operation: Operation<'_>,
        resume_at: Option<i64>,
    ) -> Result<(PauseAnswer, bool), ControlError> {
        for _ in 0..TRIES {
            let (row, now) = self.running(operation.campaign).await?;
            check_resume_at(row.schedule, resume_at, now)?;
            waits_until(&row, resume_at)?;
            let there = row.pause.pause.at(now);
            if there == Some(Paused { resume_at }) {
                // Who paused it may not have come so far as to put it into the engine.
                self.put_pause(&row.campaign, row.pause.pause).await?;
                let did = already_paused(&row.pause);
                return Ok((PauseAnswer::of(&row, &row.pause, now, did), false));
            }
            let earlier = there.and(row.pause.note.as_deref());
            let next = PauseRow {
                pause: Pause {
                    number: row.pause.pause.number + 1,
                    paused: Some(Paused { resume_at }),
                },
                since: there.and(row.pause.since).or(Some(now)),
                note: operation.note.or(earlier).map(str::to_owned),
            };
            let to = pause_state(Some(Paused { resume_at }));
            let detail = json!({"resume_at": resume_at.map(Moment), "from": pause_state(there), "to": to});
            if self.put_behind(operation, &row, &next, detail).await? {
                let did = paused(&row, there, resume_at, now);
                return Ok((PauseAnswer::of(&row, &next, now, did), true));
            }
        }
        Err(contested(operation.campaign))
    }

    pub(super) async fn go_on(&self, operation: Operation<'_>) -> Result<PauseAnswer, ControlError> {
        for _ in 0..TRIES {
            let (row, now) = self.running(operation.campaign).await?;
            if row.pause.pause.at(now).is_none() {
                self.put_pause(&row.campaign, row.pause.pause).await?;
                return Ok(PauseAnswer::of(&row, &row.pause, now, not_paused(&row.pause)));
            }
            self.may_begin(&row, operation).await?;
            let next = PauseRow {
                pause: Pause {
                    number: row.pause.pause.number + 1,
                    paused: None,
                },
                since: None,
                note: None,
            };
            let from = pause_state(row.pause.pause.at(now));
            let detail =
                json!({"paused_at": row.pause.since.map(Moment), "from": from, "to": pause_state(None)});
            if self.put_behind(operation, &row, &next, detail).await? {
                return Ok(PauseAnswer::of(&row, &next, now, resumed(&row, now)));
            }
        }
        Err(contested(operation.campaign))
    }

    /// A sale whose first revision waits for its approval is not resumed before it has it; by the root token alone, and everybody hears of it.
    async fn may_begin(&self, row: &CampaignRow, operation: Operation<'_>) -> Result<(), ControlError> {
        if row.four_eyes != FourEyes::Waiting {
            return Ok(());
        }
        if operation.pass != Pass::Root {
            return Err(needs_two(
                &format!("that campaign {:?} begins", row.campaign.id),
                &format!(
                    "it is paused until another person has approved revision {}",
                    row.activation.revision
                ),
            ));
        }
        let bypass = operation.bypass((self.clock)());
        self.store.begin_unapproved(&row.campaign.id, &[bypass]).await?;
        self.alarm(operation, true);
        Ok(())
    }

    /// A campaign that can still be changed, and the engine's clock.
    pub(super) async fn running(&self, campaign: &str) -> Result<(CampaignRow, i64), ControlError> {
        let row = self.row(campaign).await?;
        if row.schedule.is_archived((self.clock)()) {
            return Err(ControlError::Conflict(format!(
                "campaign {campaign:?} is archived since {}: its sale closed at {}",
                Moment(row.schedule.archived_at()),
                Moment(row.schedule.closes_at)
            )));
        }
        // A sale can be paused while the engine does not answer.
        let now = match self.status(&row.campaign).await {
            Ok((status, _)) => status.now,
            Err(_) => (self.clock)(),
        };
        Ok((row, now))
    }

    /// Records what comes after the pause of the row, and puts it in force; `false`, with nothing changed, where that is not
    /// the last any more.
    async fn put_behind(
        &self,
        operation: Operation<'_>,
        row: &CampaignRow,
        next: &PauseRow,
        detail: serde_json::Value,
    ) -> Result<bool, ControlError> {
        let (campaign, seen) = (&row.campaign, row.pause.pause.number);
        let line = [operation.line((self.clock)(), detail)];
        let put = self.store.insert_pause_after(&campaign.id, seen, next, &line);
        if !put.await? {
            return Ok(false);
        }
        self.put_pause(campaign, next.pause).await?;
        Ok(true)
    }

    /// Puts what the database has into every shard. A gate that is closed is opened first: whoever opens it may have read
    /// the database before.
    async fn put_pause(&self, campaign: &Campaign, pause: Pause) -> Result<(), ControlError> {
        if pause.number == 0 {
            return Ok(());
        }
        for number in 0..campaign.shards {
            self.put_pause_of(campaign, &Shard::new(&campaign.id, number), pause)
                .await
                .map_err(|error| match error {
                    ControlError::Unavailable(_) => {
                        error.after("it is recorded, and takes effect when the engine is back")
                    }
                    error => error,
                })?;
        }
        Ok(())
    }

    async fn put_pause_of(
        &self,
        campaign: &Campaign,
        shard: &Shard,
        pause: Pause,
    ) -> Result<(), ControlError> {
        let mut last = "its gate closes again and again".to_owned();
        for _ in 0..PUT_TRIES {
            let args = pause_args(&campaign.uid, pause);
            let reply = match self.engine.run(&fixed::PAUSE, &shard.state(), args).await {
                Ok(reply) => reply,
                Err(error) if error.is_transient() => {
                    last = error.to_string();
                    continue;
                }
                Err(error) => return Err(ControlError::Internal(error.to_string())),
            };
            let put = pause_reply(reply).map_err(|error| ControlError::Internal(error.to_string()))?;
            let fence = match put {
                Put::There(there) if there == pause => return Ok(()),
                Put::There(_) => return Err(contested(&campaign.id)),
                Put::Fenced(fence) => fence,
            };
            match Whose::of(fence.as_ref(), &campaign.uid) {
                Whose::Foreign => return Err(super::activate::foreign()),
                // Nobody is admitted meanwhile.
                Whose::Nobodys | Whose::Ours(_) => {
                    let opened = self.gate.open(&campaign.id).await;
                    opened.map_err(ControlError::Unavailable)?;
                }
            }
        }
        Err(ControlError::Unavailable(last))
    }
}

/// A sale whose first revision waits for its approval does not begin by itself.
fn waits_until(row: &CampaignRow, resume_at: Option<i64>) -> Result<(), ControlError> {
    match (row.four_eyes, resume_at) {
        (FourEyes::Waiting, Some(_)) => Err(needs_two(
            "a pause that ends by itself",
            "leave resume_at out: the sale is paused until its first revision is approved",
        )),
        _ => Ok(()),
    }
}

pub(super) fn check_resume_at(
    schedule: Schedule,
    resume_at: Option<i64>,
    now: i64,
) -> Result<(), ControlError> {
    let Some(at) = resume_at else { return Ok(()) };
    let (closes_at, hint) = (
        schedule.closes_at,
        "leave it out to pause until somebody resumes it",
    );
    let detail = if at <= now {
        format!("has passed: it is {} now", Moment(now))
    } else if now < closes_at && at >= closes_at {
        format!("is not before the sale closes, at {}", Moment(closes_at))
    } else {
        return Ok(());
    };
    Err(ControlError::Invalid(vec![
        Problem::new("/resume_at", detail).hint(hint),
    ]))
}

/// As the audit trail says what was before, and is then.
fn pause_state(paused: Option<Paused>) -> serde_json::Value {
    match paused {
        None => json!("running"),
        Some(Paused { resume_at: None }) => json!("paused"),
        Some(Paused { resume_at: Some(at) }) => json!({"paused_until": Moment(at)}),
    }
}

fn contested(campaign: &str) -> ControlError {
    ControlError::Conflict(format!(
        "somebody else has paused or resumed campaign {campaign:?} at the same time, and that is in force: look at it and \
         try again"
    ))
}

/// How long a pause goes on.
pub(super) fn lasts(resume_at: Option<i64>) -> String {
    match resume_at {
        None => "until somebody resumes it".to_owned(),
        Some(at) => format!("until {}", Moment(at)),
    }
}

fn already_paused(there: &PauseRow) -> String {
    let resume_at = there.pause.paused.and_then(|paused| paused.resume_at);
    let since = there
        .since
        .map_or_else(String::new, |since| format!(" since {}", Moment(since)));
    format!(
        "It was paused already{since}, {}: nothing was changed.",
        lasts(resume_at)
    )
}

fn paused(row: &CampaignRow, before: Option<Paused>, resume_at: Option<i64>, now: i64) -> String {
    let until = lasts(resume_at);
    if let Some(before) = before {
        return format!(
            "It was paused already, {}; now it is {until}.",
            lasts(before.resume_at)
        );
    }
    let Schedule {
        opens_at, closes_at, ..
    } = row.schedule;
    match row.schedule.state(now, None) {
        "scheduled" if resume_at.is_some_and(|at| at <= opens_at) => format!(
            "Paused {until}, which is over when it opens, at {}: gateways take orders from then on.",
            Moment(opens_at)
        ),
        "scheduled" => format!(
            "Paused before it opens, at {}: then, too, no gateway takes an order {until}.",
            Moment(opens_at)
        ),
        "closed" => format!(
            "Paused, although the sale is over since {}: should it be opened again, no gateway takes an order {until}.",
            Moment(closes_at)
        ),
        _ => format!("Paused: no gateway takes an order any more, {until}. What was ordered goes on."),
    }
}

fn not_paused(there: &PauseRow) -> String {
    match there.pause.paused.and_then(|paused| paused.resume_at) {
        None => "It was not paused: nothing was changed.".to_owned(),
        Some(at) => format!(
            "It was not paused any more: the pause ended by itself at {}. Nothing was changed.",
            Moment(at)
        ),
    }
}

fn resumed(row: &CampaignRow, now: i64) -> String {
    let Schedule {
        opens_at, closes_at, ..
    } = row.schedule;
    let begun = row.pause.since.unwrap_or(now);
    let seconds = now.saturating_sub(begun).max(0) / 1000;
    let orders = match row.schedule.state(now, None) {
        "scheduled" => format!("orders are taken when it opens, at {}", Moment(opens_at)),
        "closed" => format!(
            "the sale is over, since {}, and takes no orders",
            Moment(closes_at)
        ),
        _ => "every gateway takes orders again".to_owned(),
    };
    format!("Resumed: {orders}. It was paused for {seconds} s.")
}
