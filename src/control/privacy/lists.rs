//! Lists that a buyer is on. They are the merchant's rules: a buyer is taken off them only where the merchant says so.

use super::audiences::MemberChange;
use super::{Control, ControlError};
use crate::audience::ListKind;
use crate::store::{AudienceRow, BuyerName, ErasureRow};

impl Control {
    /// The newest versions of lists of texts that have exactly this id, of the merchant that is meant.
    pub(super) async fn lists_of(&self, buyer: BuyerName<'_>) -> Result<Vec<AudienceRow>, ControlError> {
        let mut found = Vec::new();
        let lists = self.store.audiences().await?;
        for row in self.store.lists_meant(buyer, lists, |row| &row.id).await? {
            if row.kind != ListKind::Texts {
                continue;
            }
            if self.has(&row.id, (row.version, row.buckets), buyer.user).await? {
                found.push(row);
            }
        }
        Ok(found)
    }

    /// Takes an erased buyer off lists, and writes down that it is done: how many lists.
    pub(super) async fn take_off_lists(
        &self,
        erasure: &ErasureRow,
        buyer: BuyerName<'_>,
    ) -> Result<u64, ControlError> {
        let mut changed = 0;
        for row in self.lists_of(buyer).await? {
            let change = MemberChange {
                id: row.id,
                member: buyer.user.to_owned(),
                listed: false,
                strict: false,
                activate: Vec::new(),
            };
            self.change_member(erasure.actor.as_str(), change).await?;
            changed += 1;
        }
        self.store.note_off_lists(erasure, (self.clock)()).await?;
        Ok(changed)
    }
}
