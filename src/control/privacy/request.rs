//! Asking for a buyer to be erased, and what stands of it.

use serde::{Deserialize, Serialize};

use super::operations::{Answered, Operation, check_note};
use super::view::ErasureView;
use super::{Control, ControlError, answered};
use crate::failpoint::{self, Point};
use crate::store::{BegunErasure, BuyerName, NewErasure};
use crate::wire::echo;

/// What the answer begins with where an erasure was asked for before and is open.
const MOVED_ON: &str = "An erasure of this buyer is open already; it covers all up to now.";

/// Body of `POST …/erase`; all of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NewErasure)]
#[serde(deny_unknown_fields, default)]
pub struct EraseBody {
    /// Why, for the audit trail.
    #[schema(max_length = 500)]
    pub note: Option<String>,
    /// Whether the buyer is taken off lists as well.
    pub lists: bool,
}

impl Control {
    /// Writes down that a buyer is to be erased, or with `dry_run` says what that would be. What it answers is an
    /// [`ErasureView`]. Who asks while an earlier request is open gets that one, which covers all up to now from then on.
    pub async fn erase_buyer(
        &self,
        operation: Operation<'_>,
        buyer: BuyerName<'_>,
        body: &EraseBody,
        dry_run: bool,
    ) -> Result<Answered, ControlError> {
        self.check_buyer(buyer).await?;
        check_note(operation.note)?;
        if dry_run {
            return answered(&self.erasure_tried(buyer, body.lists).await?);
        }
        let new = NewErasure {
            buyer,
            key: operation.key.ok_or(ControlError::KeyMissing)?,
            lists: body.lists,
            by: operation.by,
            note: operation.note,
        };
        let (row, is_replay, is_open) = match self.store.begin_erasure(new, (self.clock)()).await? {
            BegunErasure::OtherRequest => return Err(ControlError::BuyerKeyReused),
            BegunErasure::There(row) => (row, true, true),
            BegunErasure::Open(row) => (row, false, true),
            BegunErasure::New(row) => (row, false, false),
        };
        if !is_replay {
            failpoint::hit(Point::P1);
        }
        let mut view = self.erasure_view(buyer, row).await?;
        if is_open && !is_replay {
            view.did = format!("{MOVED_ON} {}", view.did);
        }
        let answer = answered(&view)?;
        Ok(Answered { is_replay, ..answer })
    }

    /// What stands of the newest request to erase a buyer.
    pub async fn erasure(&self, buyer: BuyerName<'_>) -> Result<ErasureView, ControlError> {
        self.check_buyer(buyer).await?;
        let unknown = || {
            ControlError::Unknown(format!(
                "nobody has asked to erase the buyer {}, or it was done more than a year ago",
                echo(buyer.user)
            ))
        };
        let row = self.store.erasure(buyer).await?.ok_or_else(unknown)?;
        self.erasure_view(buyer, row).await
    }
}
