//! The book: what campaigns and revisions say about the orders that can have been admitted under them.
//!
//! Landing takes an order's receipt from a topic, and holds it against what the database knows without it. Revisions
//! never change, so each is read once; a campaign is read again when an order names a SKU it did not have.

mod facts;

use std::collections::{BTreeSet, HashMap};

use self::facts::Facts;
use super::batch::{Batch, Weight};
use super::figures::Awaits;
use super::wait::{Backoff, End};
use super::{Landing, now};
use crate::order::OrderEvent;
use crate::revision::Revision;
use crate::store::CampaignRow;

/// Revisions remembered; when there are more, all are forgotten.
const REVISIONS_MAX: usize = 512;

/// Campaign and revision.
type Wanted = (String, u32);

/// What the database knows of campaigns and their revisions.
#[derive(Debug, Default)]
pub(super) struct Book {
    campaigns: HashMap<String, Known>,
}

#[derive(Debug, Default)]
struct Known {
    shards: u32,
    /// Units by SKU.
    skus: HashMap<String, u64>,
    revisions: HashMap<u32, Facts>,
}

impl Book {
    /// What is to be read before these orders can be weighed.
    fn wanted(&self, batch: &Batch) -> BTreeSet<Wanted> {
        let orders = batch.slices.iter().flat_map(|slice| &slice.orders);
        let unknown = |event: &&OrderEvent| {
            let known = self.campaigns.get(&event.campaign);
            !known.is_some_and(|known| {
                known.skus.contains_key(&event.sku) && known.revisions.contains_key(&event.revision)
            })
        };
        orders
            .map(|(_, event)| event)
            .filter(unknown)
            .map(|event| (event.campaign.clone(), event.revision))
            .collect()
    }

    /// Forgets everything where there is too much of it, before a batch is read up on: what that wants stays.
    fn trim(&mut self) {
        let remembered = self.campaigns.values().map(|known| known.revisions.len());
        if remembered.sum::<usize>() >= REVISIONS_MAX {
            self.campaigns.clear();
        }
    }

    fn put(&mut self, row: CampaignRow, number: u32, revision: Option<Revision>) {
        let facts = revision.map(|revision| Facts::of(&row, number, revision));
        let shards = row.campaign.shards;
        let skus = row.campaign.skus.into_iter().map(|sku| (sku.id, sku.stock));
        let skus: HashMap<String, u64> = skus.collect();
        let known = self.campaigns.entry(row.campaign.id).or_default();
        // Plans are checked against the SKUs there are, and limits may follow from their units.
        if (known.shards, &known.skus) != (shards, &skus) {
            let revisions = HashMap::new();
            *known = Known {
                shards,
                skus,
                revisions,
            };
        }
        known.revisions.extend(facts.map(|facts| (number, facts)));
    }

    /// `now`: milliseconds since 1970-01-01 UTC.
    fn weigh(&self, event: &mut OrderEvent, sealed: bool, now: i64) -> Weight {
        let known = self.campaigns.get(&event.campaign);
        let facts = known.and_then(|known| known.revisions.get(&event.revision));
        let Some((known, facts)) = known.zip(facts) else {
            let (campaign, revision) = (&event.campaign, event.revision);
            return Weight::Unknown(format!(
                "revision {revision} of campaign {campaign} is not in the database"
            ));
        };
        let checked = match known.skus.contains_key(&event.sku) {
            false => Err(format!("campaign {} has no SKU {}", event.campaign, event.sku)),
            true if event.shard >= known.shards => Err(format!(
                "campaign {} has no shard {}",
                event.campaign, event.shard
            )),
            true => facts.check(event, sealed, now),
        };
        checked.map_or_else(Weight::Implausible, |()| Weight::Plausible)
    }
}

impl Landing {
    /// Weighs the orders of a batch; partitions with an order of no known revision are held from there on.
    pub(super) fn weigh(&mut self, batch: &mut Batch) -> Result<(), End> {
        self.book.trim();
        let wanted = self.book.wanted(batch);
        for wanted in &wanted {
            self.read_up(wanted)?;
        }
        // Revisions that were known are read again where their campaign turned out to have other SKUs by now.
        for again in self.book.wanted(batch).difference(&wanted) {
            self.read_up(again)?;
        }
        let (book, now) = (&self.book, now());
        let waits = batch.weigh(|event, sealed| book.weigh(event, sealed, now));
        for slice in &batch.slices {
            if !waits.iter().any(|(partition, ..)| *partition == slice.partition) {
                self.figures.awaits_no_more(slice.partition, Awaits::Revision);
            }
        }
        for (partition, offset, what) in waits {
            self.await_at(partition, offset, Awaits::Revision, &what);
        }
        Ok(())
    }

    fn read_up(&mut self, (campaign, number): &Wanted) -> Result<(), End> {
        let mut backoff = Backoff::default();
        loop {
            let (store, id) = (self.store.clone(), campaign.clone());
            let asked = async {
                let row = store.campaign(&id).await?;
                let revision = store.revision(&id, *number).await?;
                crate::store::StoreResult::Ok(row.zip(Some(revision)))
            };
            match self.drive(asked)? {
                Ok(Some((row, revision))) => {
                    self.book.put(row, *number, revision);
                    return Ok(());
                }
                Ok(None) => return Ok(()),
                Err(error) => self.trouble("landing waits for the database", error.to_string()),
            }
            self.wait(backoff.next())?;
        }
    }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
