//! A buyer's orders among the dead letters. No column names the buyer, so all letters are looked through, some at a time.

use sqlx::AssertSqlSafe;

use super::buyer::BuyerName;
use super::erasures::ErasureRow;
use crate::order::OrderEvent;
use crate::record::LetterId;
use crate::store::letters::query::{ORIGIN, bind_origin};
use crate::store::{DeadLetter, LetterFilter, Store, StoreResult};

/// Letters that are looked at together.
const LOOKED_AT_ONCE: u32 = 256;

/// A letter whose record is an order of the buyer.
#[derive(Clone, Debug, PartialEq)]
pub struct BuyerLetter {
    pub letter: DeadLetter,
    pub order: OrderEvent,
}

impl Store {
    /// A buyer's letters among the next ones behind `after`, and where to go on; `None` at the end. Forged ones too: they say that
    /// they are the buyer's.
    pub async fn buyer_letters(
        &self,
        buyer: impl Into<BuyerName<'_>>,
        after: Option<&LetterId>,
    ) -> StoreResult<(Vec<BuyerLetter>, Option<LetterId>)> {
        let buyer = buyer.into();
        let letters = self
            .dead_letters(&LetterFilter::default(), after, LOOKED_AT_ONCE)
            .await?;
        let is_full = letters.len() == LOOKED_AT_ONCE as usize;
        let next = letters
            .last()
            .filter(|_| is_full)
            .map(|letter| letter.origin.clone());
        let of_buyer = |letter: DeadLetter| {
            let order = OrderEvent::decode(&letter.payload).ok()?;
            (order.user == buyer.user).then_some(BuyerLetter { letter, order })
        };
        let mut found = Vec::new();
        for one in letters.into_iter().filter_map(of_buyer) {
            if self.is_meant(buyer, &one.order.campaign).await? {
                found.push(one);
            }
        }
        Ok((found, next))
    }

    /// Puts the pseudonym into a letter that is worked off: one that landed, was discarded or was forged. `false` where it is none
    /// of these any more.
    pub async fn erase_letter(&self, erasure: &ErasureRow, letter: BuyerLetter) -> StoreResult<bool> {
        let mask = erasure.mask()?;
        let BuyerLetter { letter, order } = letter;
        let order = mask.event(order);
        let sql = format!(
            "UPDATE dead_letters SET record_key = ?, payload = ?, error = ? WHERE {ORIGIN} \
             AND stage IN ('landed', 'discarded', 'forged')"
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(order.key().into_bytes())
            .bind(order.encode())
            .bind(mask.text(&letter.error));
        let erased = bind_origin(query, &letter.origin).execute(&self.pool).await?;
        Ok(erased.rows_affected() > 0)
    }
}
