//! One buyer's data, handed out and erased. docs/PRIVACY.md says where it is; `src/store/privacy` takes it out of the database.
//!
//! An erasure is a row before anything is erased (`request.rs`), and is worked off from it by whichever gateway holds the lease
//! (`worker.rs`). Each of its steps may be made again: what is erased no longer names the buyer, and is not found by the next look.

mod export;
mod lists;
mod request;
mod view;
mod worker;

pub use export::BuyerLines;
pub use request::EraseBody;
pub use view::{CampaignErasure, ErasureView, ListedIn};

use super::operations::answered;
use super::{Control, ControlError, audiences, operations};
use crate::store::BuyerName;
use crate::wire::{check_text, echo};

/// Of the audit trail.
pub use crate::store::ERASE;
pub const EXPORT: &str = "buyer.export";

impl Control {
    /// Whether somebody can be meant: a merchant that is named is there, and its buyer can have this id.
    async fn check_buyer(&self, buyer: BuyerName<'_>) -> Result<(), ControlError> {
        check_user(buyer.user)?;
        match buyer.merchant {
            Some(merchant) if self.store.merchant(merchant).await?.is_none() => {
                Err(ControlError::Unknown(format!("no merchant {}", echo(merchant))))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a text can be a buyer's id.
fn check_user(user: &str) -> Result<(), ControlError> {
    let wrong = |why: String| ControlError::Malformed(format!("the buyer's id {why}"));
    match user {
        "" => Err(wrong("is empty".to_owned())),
        user => check_text(user).map_err(wrong),
    }
}
