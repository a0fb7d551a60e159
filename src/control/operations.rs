//! Changes that a merchant asks for, each made once: under an `Idempotency-Key` the same request gets the same answer again,
//! and goes on with what an earlier one has left half done.

use std::future::Future;

use serde::Serialize;
use serde_json::json;

use super::problem::Problem;
use super::{Control, ControlError, PausedView};
use crate::audit::{AskedBy, AuditLine, Stale};
use crate::store::{OperationKey, OperationRow, StoreError, Undone};
use crate::wire::{self, Moment};

/// The kind of every activation, also of one that comes with another change: the history of revisions goes by it.
pub const ACTIVATE: &str = "revision.activate";
pub const CLONE: &str = "campaign.clone";
pub const DELETE: &str = "campaign.delete";

/// Who acts where a payment system does.
pub const PAYMENTS: &str = "payments";

/// A change that is asked for, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    pub by: AskedBy<'a>,
    /// Of `by`.
    pub actor: &'a str,
    pub campaign: &'a str,
    /// As the audit trail names it: `campaign.pause`.
    pub kind: &'static str,
    /// The `Idempotency-Key`.
    pub key: Option<&'a str>,
    /// What the merchant says about it, for the audit trail.
    pub note: Option<&'a str>,
    /// Where two people have to agree.
    pub(super) pass: Pass<'a>,
}

/// Why something may be done that two people have to agree to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pass<'a> {
    /// An approval says so, or it is not done.
    #[default]
    Approval,
    /// Whoever holds the root token may, and everybody hears of it.
    Root,
    /// Another person has approved this proposal, by its id.
    Proposal(&'a str),
    /// It sells nothing that was not sold before.
    Less,
}

impl<'a> Operation<'a> {
    /// One without a key or a note.
    pub fn by(by: impl Into<AskedBy<'a>>, campaign: &'a str, kind: &'static str) -> Self {
        let by = by.into();
        Self {
            by,
            actor: by.actor,
            campaign,
            kind,
            key: None,
            note: None,
            pass: Pass::Approval,
        }
    }

    /// The same where whoever holds the root token asks.
    pub fn by_root(self, is_root: bool) -> Self {
        match is_root {
            true => self.passing(Pass::Root),
            false => self,
        }
    }

    pub(super) fn passing(self, pass: Pass<'a>) -> Self {
        Self { pass, ..self }
    }

    /// The same as it is asked for: under this key, with this note.
    pub fn asked(self, key: Option<&'a str>, note: Option<&'a str>) -> Self {
        Self { key, note, ..self }
    }

    /// What comes behind its first step.
    pub(super) fn begun(self) -> Self {
        Self {
            by: self.by.begun(),
            ..self
        }
    }

    /// A part of it, as the audit trail names that.
    pub(super) fn of_kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// What the audit trail says of it, with the merchant's note.
    pub(super) fn line(&self, at: i64, detail: serde_json::Value) -> AuditLine<'a> {
        AuditLine::new(at, self.by, self.kind, self.campaign, detail).noted(self.note)
    }
}

/// What a change answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// JSON.
    pub body: String,
    /// It was answered before, and nothing was done now.
    pub is_replay: bool,
    /// Nothing is done yet: it waits for another person.
    pub is_proposed: bool,
}

impl Undone for ControlError {
    fn in_progress() -> Self {
        Self::InProgress
    }

    fn key_reused() -> Self {
        Self::KeyReused
    }

    fn leaves_open(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Internal(_))
    }
}

impl Control {
    /// Has `work` do the change of a campaign, once per key; it is handed the operation's id, under which it may make steps of its own once.
    /// `asked` is the whole request. Nothing is done to a campaign that is not as whoever asks has seen it.
    pub(super) async fn once<T, F>(
        &self,
        operation: Operation<'_>,
        asked: &impl Serialize,
        work: impl FnOnce(String) -> F,
    ) -> Result<Answered, ControlError>
    where
        T: Serialize,
        F: Future<Output = Result<T, ControlError>>,
    {
        check_note(operation.note)?;
        // What is kept about a campaign goes with it.
        self.row(operation.campaign).await?;
        let checked = async |id: String| {
            self.as_seen(operation).await?;
            work(id).await
        };
        let done = self.keyed(operation, asked, checked).await;
        match done {
            Err(ControlError::Changed(stale)) => Err(self.stale(operation.campaign, *stale).await),
            done => done,
        }
    }

    /// The same for what is made: its place among keys is `operation.campaign`, [`crate::store::place_of`] a merchant.
    pub(super) async fn keyed<T, F>(
        &self,
        operation: Operation<'_>,
        asked: &impl Serialize,
        work: impl FnOnce(String) -> F,
    ) -> Result<Answered, ControlError>
    where
        T: Serialize,
        F: Future<Output = Result<T, ControlError>>,
    {
        let new = OperationRow::of(operation.kind, asked)?;
        let work = async |id: String| {
            if let Some(only) = operation.by.only_if {
                only.condition().is_of(&id);
            }
            text_of(&work(id).await?)
        };
        let Some(key) = operation.key else {
            let body = work(new.id).await?;
            return Ok(Answered {
                body,
                is_replay: false,
                is_proposed: false,
            });
        };
        let under = OperationKey {
            campaign: operation.campaign,
            key,
        };
        let once = self.store.once(under, new, || (self.clock)(), work).await;
        once.map(|(body, is_replay)| Answered {
            body,
            is_replay,
            is_proposed: false,
        })
    }

    /// What is not as whoever asks has seen it is refused before anything is begun; every change looks once more, in its transaction.
    pub(super) async fn as_seen(&self, operation: Operation<'_>) -> Result<(), ControlError> {
        let Some(only) = operation.by.only_if else {
            return Ok(());
        };
        let row = self.row(operation.campaign).await?;
        match only.allows(&row.tag) {
            true => Ok(()),
            false => Err(StoreError::Changed(row.tag).into()),
        }
    }

    /// The same with how the campaign is by now, and what was done to it last.
    pub(super) async fn stale(&self, campaign: &str, stale: Stale) -> ControlError {
        let Ok(row) = self.row(campaign).await else {
            return ControlError::Changed(Box::new(stale));
        };
        let skus = row.campaign.skus.iter();
        let skus: Vec<_> = skus
            .map(|sku| json!({"id": sku.id, "stock": sku.stock}))
            .collect();
        let current = json!({"id": row.campaign.id, "title": row.campaign.title, "revision": row.activation.revision,
            "opens_at": Moment(row.schedule.opens_at), "closes_at": Moment(row.schedule.closes_at),
            "paused": PausedView::of(&row.pause, (self.clock)()), "skus": skus});
        let last = self.store.audited(campaign, 1).await.unwrap_or_default();
        let last = last.first();
        ControlError::Changed(Box::new(Stale {
            tag: row.tag,
            current,
            last_change: last
                .map(|line| json!({"at": Moment(line.at), "action": line.action, "by": line.actor})),
        }))
    }
}

pub(super) fn answered(done: &impl Serialize) -> Result<Answered, ControlError> {
    Ok(Answered {
        body: text_of(done)?,
        is_replay: false,
        is_proposed: false,
    })
}

/// An answer with one more member, which is not kept.
pub(super) fn with_member(body: &str, name: &str, value: &str) -> Result<String, ControlError> {
    let broken = |error: serde_json::Error| ControlError::Internal(error.to_string());
    let mut answer: serde_json::Value = serde_json::from_str(body).map_err(broken)?;
    answer[name] = value.into();
    serde_json::to_string(&answer).map_err(broken)
}

fn text_of(done: &impl Serialize) -> Result<String, ControlError> {
    serde_json::to_string(done).map_err(|error| ControlError::Internal(error.to_string()))
}

pub(super) fn check_note(note: Option<&str>) -> Result<(), ControlError> {
    let checked = note.map_or(Ok(()), wire::check_note);
    checked.map_err(|why| ControlError::Invalid(vec![Problem::new("/note", why)]))
}
