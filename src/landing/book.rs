//! The book: what campaigns and revisions say about the orders that can have been admitted under them.
//!
//! Landing takes an order's receipt from a topic, and holds it against what the database knows without it. Revisions
//! never change, so each is read once; a campaign is read again when an order names a SKU it did not have.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Landing;
use super::batch::{Batch, Weight};
use super::figures::Awaits;
use super::wait::{Backoff, End};
use crate::order::{Attempt, NO_LIMIT, OrderEvent, fingerprint};
use crate::plan::{self, Attribute, CheckContext, CheckedPlan, eval};
use crate::revision::Revision;
use crate::store::CampaignRow;

/// Revisions remembered; when there are more, all are forgotten.
const REVISIONS_MAX: usize = 512;
/// The script compares the moment it writes, so none is needed; it is for campaigns made by other hands.
const SLACK_MS: i64 = 1000;

/// Campaign and revision.
type Wanted = (String, u32);

/// What the database knows of campaigns and their revisions.
#[derive(Debug, Default)]
pub(super) struct Book {
    campaigns: HashMap<String, Known>,
    revisions: HashMap<Wanted, Facts>,
}

#[derive(Debug)]
struct Known {
    shards: u32,
    skus: HashSet<String>,
}

/// What a revision says.
#[derive(Debug)]
struct Facts {
    /// Moments at which it admits somebody: from, and up to, not including.
    opens_at: i64,
    closes_at: i64,
    digest: String,
    /// `None` where this build cannot read it: then charges stay as they are.
    plan: Option<CheckedPlan>,
    /// Whether it reads what not every order carries.
    reads_attributes: bool,
}

impl Facts {
    fn of(row: &CampaignRow, revision: Revision) -> Self {
        let lead = revision.plan.early_access.iter().map(|early| early.lead_ms).max();
        let context = CheckContext {
            campaign: row.campaign.id.clone(),
            schedule: revision.schedule,
            skus: row.campaign.skus.clone(),
            audiences: revision.audiences,
            buckets: row.campaign.buckets,
        };
        let plan = plan::check(revision.plan, context).ok();
        let own = |attribute: &Attribute| {
            matches!(
                attribute,
                Attribute::Ip | Attribute::Claim(_) | Attribute::Client(_)
            )
        };
        Self {
            opens_at: revision
                .schedule
                .opens_at
                .saturating_sub(lead.unwrap_or(0).max(0)),
            closes_at: revision.schedule.closes_at,
            digest: revision.plan_digest,
            reads_attributes: plan
                .as_ref()
                .is_some_and(|plan| plan.attributes().iter().any(own)),
            plan,
        }
    }

    fn check(&self, event: &mut OrderEvent, sealed: bool) -> Result<(), String> {
        let (at, revision) = (event.placed_at, event.revision);
        if at < self.opens_at - SLACK_MS {
            return Err(format!(
                "placed_at {at} is before revision {revision} admits anybody"
            ));
        }
        if at >= self.closes_at + SLACK_MS {
            return Err(format!("placed_at {at} is after revision {revision} has closed"));
        }
        if event.plan != self.digest {
            return Err(format!("its plan is not the one of revision {revision}"));
        }
        if event.fingerprint != fingerprint(&event.sku, event.quantity) {
            return Err("its fingerprint is not that of its SKU and quantity".to_owned());
        }
        // Builds before attributes were kept left them out of their orders.
        let whole = sealed || !self.reads_attributes || !event.attributes.is_empty();
        match &self.plan {
            Some(plan) if whole => check_charges(plan, event),
            _ => Ok(()),
        }
    }
}

/// Holds the charges against those the plan makes of the same order, and takes over their limits: whatever the record
/// says, a limit is the revision's.
fn check_charges(plan: &CheckedPlan, event: &mut OrderEvent) -> Result<(), String> {
    if plan.plan().counters.is_empty() {
        return Ok(());
    }
    let attempt = Attempt {
        order: event.order,
        user: event.user.clone(),
        sku: event.sku.clone(),
        quantity: event.quantity,
        attributes: event.attributes.clone(),
    };
    let due = eval::charges(plan, &attempt, event.placed_at);
    let is_of_plan = |id: &String| plan.plan().counters.iter().any(|counter| counter.id == *id);
    let mut of_plan = 0;
    for charge in &mut event.charges {
        // Counters the plan does not have guard nothing here.
        if !is_of_plan(&charge.counter) {
            continue;
        }
        of_plan += 1;
        let whole = |charge: &crate::order::Charge| (charge.window, charge.rolling_ms, charge.cost);
        let own = due.iter().find(|due| due.counter == charge.counter);
        match own.filter(|due| whole(due) == whole(charge) && due.subject == charge.subject) {
            Some(due) => charge.limit = Some(due.limit.unwrap_or(NO_LIMIT)),
            None => {
                return Err(format!(
                    "its charge of counter {} is not the plan's",
                    charge.counter
                ));
            }
        }
    }
    let is_charged = |id: &String| event.charges.iter().any(|charge| charge.counter == *id);
    match due.iter().find(|due| !is_charged(&due.counter)) {
        Some(missing) => Err(format!("counter {} is not charged", missing.counter)),
        None if of_plan > due.len() => Err("a counter is charged twice".to_owned()),
        None => Ok(()),
    }
}

impl Book {
    /// What is to be read before these orders can be weighed.
    fn wanted(&self, batch: &Batch) -> BTreeSet<Wanted> {
        let orders = batch.slices.iter().flat_map(|slice| &slice.orders);
        let unknown = |event: &&OrderEvent| {
            let known = self.campaigns.get(&event.campaign);
            !known.is_some_and(|known| known.skus.contains(&event.sku)) || self.facts(event).is_none()
        };
        orders
            .map(|(_, event)| event)
            .filter(unknown)
            .map(|event| (event.campaign.clone(), event.revision))
            .collect()
    }

    fn facts(&self, event: &OrderEvent) -> Option<&Facts> {
        // One allocation per order, and no second way to spell the key.
        self.revisions.get(&(event.campaign.clone(), event.revision))
    }

    fn put(&mut self, row: CampaignRow, number: u32, revision: Option<Revision>) {
        if self.revisions.len() >= REVISIONS_MAX {
            self.campaigns.clear();
            self.revisions.clear();
        }
        let id = row.campaign.id.clone();
        if let Some(revision) = revision {
            self.revisions
                .insert((id.clone(), number), Facts::of(&row, revision));
        }
        let known = Known {
            shards: row.campaign.shards,
            skus: row.campaign.skus.into_iter().map(|sku| sku.id).collect(),
        };
        self.campaigns.insert(id, known);
    }

    fn weigh(&self, event: &mut OrderEvent, sealed: bool) -> Weight {
        let Some((known, facts)) = self.campaigns.get(&event.campaign).zip(self.facts(event)) else {
            let (campaign, revision) = (&event.campaign, event.revision);
            return Weight::Unknown(format!(
                "revision {revision} of campaign {campaign} is not in the database"
            ));
        };
        let checked = match known.skus.contains(&event.sku) {
            false => Err(format!("campaign {} has no SKU {}", event.campaign, event.sku)),
            true if event.shard >= known.shards => Err(format!(
                "campaign {} has no shard {}",
                event.campaign, event.shard
            )),
            true => facts.check(event, sealed),
        };
        checked.map_or_else(Weight::Implausible, |()| Weight::Plausible)
    }
}

impl Landing {
    /// Weighs the orders of a batch; partitions with an order of no known revision are held from there on.
    pub(super) fn weigh(&mut self, batch: &mut Batch) -> Result<(), End> {
        for wanted in self.book.wanted(batch) {
            self.read_up(wanted)?;
        }
        let book = &self.book;
        let waits = batch.weigh(|event, sealed| book.weigh(event, sealed));
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

    fn read_up(&mut self, (campaign, number): Wanted) -> Result<(), End> {
        let mut backoff = Backoff::default();
        loop {
            let (store, id) = (self.store.clone(), campaign.clone());
            let asked = async {
                let row = store.campaign(&id).await?;
                let revision = store.revision(&id, number).await?;
                crate::store::StoreResult::Ok(row.zip(Some(revision)))
            };
            match self.drive(asked)? {
                Ok(Some((row, revision))) => {
                    self.book.put(row, number, revision);
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
mod tests;
