//! What a comparison reads a campaign's shard with, and how it waits for landing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::Reconcile;
use super::CompareError;
use crate::bus::ORDERS_TOPIC;
use crate::campaign::{Activation, Campaign};
use crate::lua::calls::{self, Lookup};
use crate::lua::codec::{Fence, Reply};
use crate::lua::keys::Shard;
use crate::lua::repair::{self, Bucket, CountAt, Ledger, Repair, Repaired};
use crate::lua::{Script, fixed};
use crate::order::{Attempt, OrderEvent, OrderId};
use crate::outbox;
use crate::ruleset::ActiveCampaign;
use crate::store::StoreError;

/// Orders of the outbox that a comparison takes in; with more it waits for the relay.
const OUTBOX_ORDERS_MAX: usize = 10_000;
/// Orders one call looks up.
const LOOKUP_MAX: usize = 500;

/// One campaign under comparison.
pub(super) struct Desk<'a> {
    pub(super) reconcile: &'a Reconcile,
    pub(super) shard: Shard,
    pub(super) active: ActiveCampaign,
    fence: Fence,
    /// Revisions that orders in the outbox were admitted under.
    revisions: Mutex<BTreeMap<u32, ActiveCampaign>>,
}

/// Counts at one moment.
pub(super) struct Counts {
    /// While it is the same, no order has given anything back.
    pub(super) reopened: String,
    /// Per place asked for.
    pub(super) texts: Vec<String>,
}

/// The shard at one moment, with what is in its outbox.
pub(super) struct Moment {
    pub(super) ledger: Ledger,
    /// As landing is going to get them.
    pub(super) outbox: Vec<OrderEvent>,
}

impl Moment {
    pub(super) fn outbox_ids(&self) -> HashSet<OrderId> {
        self.outbox.iter().map(|event| event.order).collect()
    }
}

impl<'a> Desk<'a> {
    pub(super) async fn open(reconcile: &'a Reconcile, campaign: &str) -> Result<Self, CompareError> {
        let row = reconcile.store.campaign(campaign).await?;
        let row = row.ok_or_else(|| CompareError::UnknownCampaign(campaign.to_owned()))?;
        let active = build(reconcile, row.campaign, row.activation).await?;
        Ok(Self {
            reconcile,
            shard: Shard::new(campaign, 0),
            fence: active.fence(),
            active,
            revisions: Mutex::default(),
        })
    }

    pub(super) fn campaign(&self) -> &str {
        &self.shard.campaign
    }

    pub(super) fn buckets(&self) -> u32 {
        self.active.campaign.buckets
    }

    pub(super) async fn run(&self, script: &Script, args: Vec<Vec<u8>>) -> Result<Reply, CompareError> {
        Ok(self
            .reconcile
            .engine
            .run(script, &self.shard.state(), args)
            .await?)
    }

    /// Every answer has to come from the state this comparison is about.
    fn check(&self, fence: Option<&Fence>) -> Result<(), CompareError> {
        let campaign = || self.campaign().to_owned();
        match fence {
            None => Err(CompareError::Closed(campaign())),
            Some(fence) if fence.uid != self.fence.uid => Err(CompareError::Foreign(campaign())),
            Some(fence) if fence != &self.fence => Err(CompareError::Revised),
            Some(_) => Ok(()),
        }
    }

    /// The shard now. Waits for the relay where too much is in the outbox.
    pub(super) async fn moment(&self) -> Result<Moment, CompareError> {
        let begun = Instant::now();
        loop {
            let reply = self
                .run(&fixed::LEDGER, repair::ledger_args(OUTBOX_ORDERS_MAX))
                .await?;
            let mut ledger = repair::ledger_reply(reply)?;
            self.check(ledger.fence.as_ref())?;
            if let Some(entries) = ledger.outbox.take() {
                let mut outbox = Vec::new();
                for entry in entries {
                    outbox.extend(self.events(entry).await?);
                }
                return Ok(Moment { ledger, outbox });
            }
            self.wait(begun, "the outbox to drain").await?;
        }
    }

    async fn events(&self, entry: calls::RawEntry) -> Result<Vec<OrderEvent>, CompareError> {
        let mut revisions = self.revisions.lock().await;
        let active = match revisions.entry(entry.revision) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(missing) => {
                let activation = Activation {
                    revision: entry.revision,
                    ..self.active.activation
                };
                let campaign = self.active.campaign.clone();
                missing.insert(build(self.reconcile, campaign, activation).await?)
            }
        };
        // What is no attempt cannot be relayed either, and is reported there.
        let attempts = entry
            .payloads
            .iter()
            .filter_map(|payload| serde_json::from_slice::<Attempt>(payload).ok());
        Ok(attempts
            .map(|attempt| outbox::event(active, self.shard.number, &attempt, entry.placed_at))
            .collect())
    }

    async fn wait(&self, begun: Instant, what: &'static str) -> Result<(), CompareError> {
        let patience = self.reconcile.config.patience;
        if begun.elapsed() > patience {
            return Err(CompareError::Patience {
                what,
                waited: patience,
            });
        }
        tokio::time::sleep(self.reconcile.config.poll).await;
        Ok(())
    }

    /// Waits until everything the bus holds now has landed or become a dead letter.
    pub(super) async fn landed(&self) -> Result<(), CompareError> {
        let begun = Instant::now();
        let marks = self.reconcile.producer.high_watermarks(ORDERS_TOPIC).await?;
        loop {
            let landed = self.reconcile.store.offsets(ORDERS_TOPIC).await?;
            let passed = |(partition, mark): (&i32, &i64)| {
                *mark == 0 || landed.get(partition).is_some_and(|offset| offset >= mark)
            };
            if marks.iter().all(passed) {
                return Ok(());
            }
            self.wait(
                begun,
                "landing to pass the watermark (is `rushgate land` running?)",
            )
            .await?;
        }
    }

    /// Whole buckets; `None` for one without its mark.
    pub(super) async fn read_buckets(&self, keys: &[String]) -> Result<Vec<Option<Bucket>>, CompareError> {
        let args = keys.iter().map(|key| key.clone().into_bytes()).collect();
        let (fence, buckets) = repair::buckets_reply(self.run(&fixed::BUCKETS, args).await?)?;
        self.check(fence.as_ref())?;
        Ok(buckets)
    }

    /// The values at these places, as text; the empty text for none.
    pub(super) async fn read_counts(&self, places: &[CountAt]) -> Result<Counts, CompareError> {
        let reopened = CountAt::reopened();
        let all = std::iter::once(&reopened).chain(places);
        let reply = self.run(&fixed::COUNTS, repair::counts_args(all)).await?;
        let (fence, mut texts) = repair::counts_reply(reply)?;
        self.check(fence.as_ref())?;
        let reopened = texts.remove(0);
        Ok(Counts { reopened, texts })
    }

    /// What the engine knows of these orders, in their order.
    pub(super) async fn look_up(
        &self,
        orders: &[OrderId],
    ) -> Result<Vec<Option<calls::Found>>, CompareError> {
        let mut found = Vec::with_capacity(orders.len());
        for chunk in orders.chunks(LOOKUP_MAX) {
            let args = calls::lookup_args(chunk.iter().copied(), self.buckets());
            let Lookup { fence, orders } = calls::lookup_reply(self.run(&fixed::LOOKUP, args).await?)?;
            self.check(fence.as_ref())?;
            found.extend(orders);
        }
        Ok(found)
    }

    pub(super) async fn repair(&self, repair: &Repair<'_>) -> Result<Repaired, CompareError> {
        let args = repair::repair_args(&self.fence, repair);
        Ok(repair::repair_reply(self.run(&fixed::REPAIR, args).await?)?)
    }
}

async fn build(
    reconcile: &Reconcile,
    campaign: Campaign,
    activation: Activation,
) -> Result<ActiveCampaign, CompareError> {
    let number = activation.revision;
    let revision = reconcile.store.revision(&campaign.id, number).await?;
    let missing = || StoreError::Permanent(format!("revision {number} of {:?} is missing", campaign.id));
    let revision = revision.ok_or_else(missing)?;
    Ok(ActiveCampaign::build(campaign, revision, activation)?)
}
