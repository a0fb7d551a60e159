//! Changes that a merchant asks for, each made once: under an `Idempotency-Key` the same request gets the same answer again,
//! and goes on with what an earlier one has left half done.

use std::future::Future;

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::{Control, ControlError};
use crate::audit::{AskedBy, AuditLine};
use crate::store::{OperationKey, OperationRow};
use crate::wire;

/// For how long one request has a change for itself; then the same request may go on with it. Two at once do no harm: every
/// step is fenced, or is made once under the operation's id.
const BUSY_MS: i64 = 30_000;

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

impl Control {
    /// Has `work` do the change, once per key; it is handed the operation's id, under which it may make steps of its own once.
    /// `asked` is the whole request. A refusal is not kept: who mends the request may use the key again. After an error that
    /// leaves open what was done, the same request goes on under the same id.
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
        let new = OperationRow {
            id: uuid::Uuid::now_v7().simple().to_string(),
            kind: operation.kind.to_owned(),
            asked: fingerprint(asked)?,
            answer: None,
        };
        let Some(key) = operation.key else {
            return answered(&work(new.id).await?);
        };
        let under = OperationKey {
            campaign: operation.campaign,
            key,
        };
        // What is kept about a campaign goes with it.
        self.row(operation.campaign).await?;
        let there = self
            .store
            .begin_operation(under, new.clone(), (self.clock)())
            .await?;
        if (&there.kind, &there.asked) != (&new.kind, &new.asked) {
            return Err(ControlError::KeyReused);
        }
        if let Some(body) = there.answer {
            return Ok(Answered {
                body,
                is_replay: true,
                is_proposed: false,
            });
        }
        let id = there.id;
        if !self
            .store
            .take_operation(under, &id, (self.clock)(), BUSY_MS)
            .await?
        {
            return Err(ControlError::InProgress);
        }
        let done = work(id.clone()).await.and_then(|done| answered(&done));
        let kept = match &done {
            Ok(answer) => self.store.end_operation(under, &id, &answer.body).await,
            Err(error) if error.leaves_open() => self.store.leave_operation(under, &id).await,
            Err(_) => self.store.forget_operation(under, &id).await,
        };
        if let Err(error) = kept {
            tracing::warn!(campaign = operation.campaign, kind = operation.kind, %error, "what became of it is not kept");
        }
        done
    }
}

pub(super) fn answered(done: &impl Serialize) -> Result<Answered, ControlError> {
    let body = serde_json::to_string(done).map_err(|error| ControlError::Internal(error.to_string()))?;
    Ok(Answered {
        body,
        is_replay: false,
        is_proposed: false,
    })
}

fn fingerprint(asked: &impl Serialize) -> Result<String, ControlError> {
    let json = serde_json::to_vec(asked).map_err(|error| ControlError::Internal(error.to_string()))?;
    Ok(HEXLOWER.encode(&Sha256::digest(json)))
}

pub(super) fn check_note(note: Option<&str>) -> Result<(), ControlError> {
    let checked = note.map_or(Ok(()), wire::check_note);
    checked.map_err(|why| ControlError::Invalid(vec![Problem::new("/note", why)]))
}
