//! Orders: each record in the engine has to be in the database or on its way there, and each row that holds something has to
//! have a record.
//!
//! The ids of the landed orders are held in memory, 16 bytes each and two bits; the engine's records are read a few
//! buckets at a time.

use std::collections::{BTreeMap, HashSet};

use super::shard::Desk;
use super::{CompareError, Difference, Kind, Mend, Part, Place};
use crate::lua::keys;
use crate::lua::record::{NO_ENTRY, Record, kept};
use crate::order::{Holds, OrderId};
use crate::plan::decision::Placed;

/// Ids read from the database at a time.
const PAGE: u32 = 10_000;
/// Buckets of some 2,000 orders that one call reads: the engine does nothing else meanwhile.
pub(super) const BUCKETS_AT_ONCE: usize = 1;

/// Orders that only one side knows are looked up in groups of this size.
const VERIFY_AT_ONCE: usize = 5000;

/// Landed orders by id.
#[derive(Default)]
struct Landed {
    /// Ascending.
    ids: Vec<OrderId>,
    holding: Bits,
    seen: Bits,
}

/// One bit per order.
#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, at: usize) {
        if self.0.len() <= at / 64 {
            self.0.resize(at / 64 + 1, 0);
        }
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn get(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

impl Landed {
    fn push(&mut self, order: OrderId, holds: bool) {
        if holds {
            self.holding.set(self.ids.len());
        }
        self.ids.push(order);
    }

    /// Notes that the engine knows the order; says whether it landed.
    fn see(&mut self, order: OrderId) -> bool {
        match self.ids.binary_search(&order) {
            Ok(at) => {
                self.seen.set(at);
                true
            }
            Err(_) => false,
        }
    }

    /// They hold something, and the engine did not know them.
    fn unseen(&self) -> impl Iterator<Item = OrderId> {
        let ids = self.ids.iter().enumerate();
        ids.filter(|(at, _)| self.holding.get(*at) && !self.seen.get(*at))
            .map(|(_, order)| *order)
    }
}

impl Desk<'_> {
    pub(super) async fn compare_orders(&self) -> Result<Part, CompareError> {
        let moment = self.moment().await?;
        self.landed().await?;
        let mut landed = self.landed_orders().await?;
        let waiting = moment.outbox_ids();
        let mut stuck: BTreeMap<&str, Vec<OrderId>> = BTreeMap::new();
        let (mut part, mut missing) = (Part::default(), Vec::new());
        let buckets: Vec<String> = (0..self.buckets()).map(keys::buyers).collect();
        for keys in buckets.chunks(BUCKETS_AT_ONCE) {
            for bucket in self.read_buckets(keys).await? {
                let bucket = bucket.ok_or_else(|| CompareError::Incomplete(self.campaign().to_owned()))?;
                for (field, value) in bucket {
                    let Some(order) = std::str::from_utf8(&field).ok().and_then(|id| id.parse().ok()) else {
                        continue;
                    };
                    let record = Record::decode(&value)?;
                    if let Some((entry, _)) = moment.stuck.get_key_value(&record.entry) {
                        stuck.entry(entry).or_default().push(order);
                    }
                    // Those placed at that moment or later may be on their way.
                    let placed = &record.placed;
                    let settled = placed.placed_at < moment.ledger.now && !waiting.contains(&order);
                    if !landed.see(order) && settled && !placed.released {
                        missing.push((order, record));
                    }
                }
            }
            // Dead letters are among them.
            if missing.len() >= VERIFY_AT_ONCE {
                let missing = std::mem::take(&mut missing);
                part.add(self.lost(missing, &moment.stuck).await?);
            }
        }
        part.add(self.lost(missing, &moment.stuck).await?);
        for (entry, orders) in &moment.stuck {
            let known = stuck.remove(entry.as_str()).unwrap_or_default();
            part.add([self.stuck_entry(entry, *orders, known).await?]);
        }
        let unseen: Vec<OrderId> = landed.unseen().collect();
        for orders in unseen.chunks(VERIFY_AT_ONCE) {
            part.add(self.unknown(orders).await?);
        }
        part.compared = landed.ids.len() as u64;
        Ok(part)
    }

    async fn landed_orders(&self) -> Result<Landed, CompareError> {
        let (mut landed, mut after) = (Landed::default(), None);
        loop {
            let page = self
                .reconcile
                .store
                .order_ids_page(self.campaign(), after, PAGE)
                .await?;
            let Some((last, _)) = page.last() else {
                return Ok(landed);
            };
            after = Some(*last);
            for (order, holds) in page {
                landed.push(order, holds);
            }
        }
    }

    /// Of these, the orders that are still nowhere. Being in an entry that nobody can relay is being nowhere.
    async fn lost(
        &self,
        candidates: Vec<(OrderId, Record)>,
        stuck: &BTreeMap<String, usize>,
    ) -> Result<Vec<Difference>, CompareError> {
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<OrderId> = candidates.iter().map(|(order, _)| *order).collect();
        let users = candidates.iter().map(|(_, record)| record.placed.user.as_str());
        let of_users: Vec<_> = ids.iter().copied().zip(users).collect();
        let found = self.look_up(&of_users).await?;
        self.landed().await?;
        let known: HashSet<OrderId> = self.reconcile.store.orders_known(self.campaign(), &ids).await?;
        let mut lost = Vec::new();
        for ((order, record), found) in candidates.into_iter().zip(found) {
            let held = found.is_some_and(|found| {
                (!found.waiting || stuck.contains_key(&found.entry)) && !found.placed.released
            });
            if held && !known.contains(&order) {
                lost.push(self.lost_order(order, &record).await?);
            }
        }
        Ok(lost)
    }

    /// Of these, the orders that the engine still has no record of.
    async fn unknown(&self, candidates: &[OrderId]) -> Result<Vec<Difference>, CompareError> {
        let mut differences = Vec::new();
        let store = &self.reconcile.store;
        // Where a record lies its user says, and only the database knows him.
        let rows = store.orders_of(self.campaign(), candidates).await?;
        let of_users = rows
            .iter()
            .map(|row| (row.attempt.order, row.attempt.user.as_str()));
        let of_users: Vec<_> = of_users.collect();
        let found = self.look_up(&of_users).await?;
        let missing = of_users.iter().zip(found).filter(|(_, found)| found.is_none());
        for ((order, _), _) in missing {
            let row = store.order(self.campaign(), *order).await?;
            let Some(row) = row.filter(|row| row.holds != Holds::None) else {
                continue;
            };
            let record = Record {
                placed: Placed::of(&row),
                entry: NO_ENTRY.to_owned(),
                attributes: kept(&self.compiled.family.plan, &row.attempt.attributes),
            };
            let place = Place::of(row.attempt.order, &record.placed);
            let mend = Mend::Order {
                record: record.encode(),
            };
            differences.push(Difference::new(Kind::UnknownOrder, place, 0, 1, mend));
        }
        Ok(differences)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_that_hold_something_and_were_not_seen_stand_out() {
        let id = |n: u8| OrderId::fresh(i64::from(n), [n; 10]);
        let mut landed = Landed::default();
        for n in 0..200 {
            landed.push(id(n), n != 7);
        }
        for n in (0..200).filter(|n| ![7, 8, 130].contains(n)) {
            assert!(landed.see(id(n)));
        }
        assert!(!landed.see(id(201)));
        assert_eq!(landed.unseen().collect::<Vec<_>>(), [id(8), id(130)]);
    }
}
