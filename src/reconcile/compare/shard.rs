//! What a comparison reads a campaign's shard with, and how it waits for landing.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::Reconcile;
use super::super::behind::behind;
use super::CompareError;
use crate::campaign::Campaign;
use crate::lua::calls::{self, Lookup};
use crate::lua::fence::Fence;
use crate::lua::places::CountAt;
use crate::lua::reply::Reply;

use crate::lua::keys::Shard;
use crate::lua::repair::{self, Bucket, Ledger, Repair, Repaired};
use crate::lua::{Args, Script, fixed};
use crate::order::{OrderEvent, OrderId};
use crate::outbox;
use crate::ruleset::Compiled;
use crate::state::Whose;
use crate::store::StoreError;

/// Orders of the outbox that a comparison takes in; with more it waits for the relay.
const OUTBOX_ORDERS_MAX: usize = 10_000;
/// What is over sooner is nobody's concern: while orders flow, something is always on its way.
const TELL_AFTER: Duration = Duration::from_millis(500);
/// Between two times that the same wait is told.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Orders one call looks up.
const LOOKUP_MAX: usize = 500;

/// One campaign under comparison.
pub(in crate::reconcile) struct Desk<'a> {
    pub(super) reconcile: &'a Reconcile,
    pub(super) shard: Shard,
    /// The active revision.
    pub(super) compiled: Compiled,
    fence: Fence,
    /// How long it waits for the outbox, and for landing.
    patience: Duration,
    /// Revisions that orders were admitted under; `None` for those that the database does not have.
    revisions: Mutex<BTreeMap<u32, Option<Arc<Compiled>>>>,
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
    /// Orders that were in the outbox too, and are the database's to tell of: see [`Desk::leave_out_released`].
    pub(super) released: HashSet<OrderId>,
    /// Entries that nobody can relay, with the number of their orders: none of these is on its way.
    pub(super) stuck: BTreeMap<String, usize>,
}

impl Moment {
    pub(super) fn outbox_ids(&self) -> HashSet<OrderId> {
        self.outbox.iter().map(|event| event.order).collect()
    }
}

impl<'a> Desk<'a> {
    pub(in crate::reconcile) async fn open(
        reconcile: &'a Reconcile,
        campaign: &str,
    ) -> Result<Self, CompareError> {
        Self::open_for(reconcile, campaign, reconcile.config.patience).await
    }

    pub(super) async fn open_for(
        reconcile: &'a Reconcile,
        campaign: &str,
        patience: Duration,
    ) -> Result<Self, CompareError> {
        let row = reconcile.store.campaign(campaign).await?;
        let row = row.ok_or_else(|| CompareError::UnknownCampaign(campaign.to_owned()))?;
        let number = row.activation.revision;
        let missing = || StoreError::Permanent(format!("revision {number} of {campaign:?} is missing"));
        let compiled = compile(reconcile, row.campaign, number).await?;
        let compiled = compiled.ok_or_else(missing)?;
        Ok(Self {
            reconcile,
            shard: Shard::new(campaign, 0),
            fence: compiled.fence(row.activation.epoch),
            compiled,
            patience,
            revisions: Mutex::default(),
        })
    }

    pub(super) fn campaign(&self) -> &str {
        &self.shard.campaign
    }

    pub(super) fn buckets(&self) -> u32 {
        self.compiled.campaign.buckets
    }

    pub(super) async fn run(&self, script: &Script, args: Args) -> Result<Reply, CompareError> {
        Ok(self
            .reconcile
            .engine
            .run(script, &self.shard.state(), args)
            .await?)
    }

    /// Every answer has to come from the state this comparison is about.
    fn check(&self, fence: Option<&Fence>) -> Result<(), CompareError> {
        let campaign = || self.campaign().to_owned();
        match Whose::of(fence, &self.fence.uid) {
            Whose::Nobodys => Err(CompareError::Closed(campaign())),
            Whose::Foreign => Err(CompareError::Foreign(campaign())),
            Whose::Ours(fence) if fence != &self.fence => Err(CompareError::Revised),
            Whose::Ours(_) => Ok(()),
        }
    }

    /// The shard now. Waits for the relay where too much is in the outbox.
    pub(super) async fn moment(&self) -> Result<Moment, CompareError> {
        let mut wait = Wait::begin(self.patience);
        loop {
            let reply = self
                .run(&fixed::LEDGER, repair::ledger_args(OUTBOX_ORDERS_MAX))
                .await?;
            let mut ledger = repair::ledger_reply(reply)?;
            self.check(ledger.fence.as_ref())?;
            if let Some(entries) = ledger.outbox.take() {
                let (mut outbox, mut stuck) = (Vec::new(), BTreeMap::new());
                for entry in entries {
                    match self.events(&entry).await? {
                        Some(events) => outbox.extend(events),
                        None => drop(stuck.insert(entry.id, entry.payloads.len())),
                    }
                }
                return Ok(Moment {
                    ledger,
                    outbox,
                    released: HashSet::new(),
                    stuck,
                });
            }
            let what = "the outbox to drain, which a gateway sends on as soon as Kafka takes it";
            self.reconcile
                .wait_a_little(&mut wait, Some(self.campaign()), what.to_owned())
                .await?;
        }
    }

    /// The entries of the outbox, where nobody can relay any of them; `None` where one is only on its way. Does not ask
    /// whether the gate is open.
    pub(in crate::reconcile) async fn only_stuck(&self) -> Result<Option<Vec<String>>, CompareError> {
        let reply = self
            .run(&fixed::LEDGER, repair::ledger_args(OUTBOX_ORDERS_MAX))
            .await?;
        let Some(entries) = repair::ledger_reply(reply)?.outbox else {
            return Ok(None);
        };
        let mut stuck = Vec::new();
        for entry in entries {
            match self.events(&entry).await? {
                Some(_) => return Ok(None),
                None => stuck.push(entry.id),
            }
        }
        Ok(Some(stuck))
    }

    /// What the relay makes of an entry; `None` where it cannot read it, which is then reported there.
    async fn events(&self, entry: &calls::RawEntry) -> Result<Option<Vec<OrderEvent>>, CompareError> {
        let Some(compiled) = self.admitted_under(entry.revision).await? else {
            return Ok(None);
        };
        Ok(outbox::events(&compiled, self.shard.number, entry).ok())
    }

    /// A revision as orders were admitted under it; `None` where the database does not have it.
    pub(super) async fn admitted_under(&self, number: u32) -> Result<Option<Arc<Compiled>>, CompareError> {
        let mut revisions = self.revisions.lock().await;
        if let Some(known) = revisions.get(&number) {
            return Ok(known.clone());
        }
        let campaign = self.compiled.campaign.clone();
        let compiled = compile(self.reconcile, campaign, number).await?.map(Arc::new);
        revisions.insert(number, compiled.clone());
        Ok(compiled)
    }

    /// Whether what the database says of units and what the shard has are of the same changes of the stock: none is under way, and
    /// none was made since this began.
    pub(super) async fn is_stock_settled(&self) -> Result<bool, CompareError> {
        let store = &self.reconcile.store;
        Ok(store.is_stock_settled(self.campaign(), self.fence.epoch).await?)
    }

    /// Waits until everything the bus holds now has landed or become a dead letter.
    pub(super) async fn landed(&self) -> Result<(), CompareError> {
        self.reconcile
            .landed_before(self.patience, Some(self.campaign()))
            .await
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

    /// What the engine knows of these users' orders, in their order.
    pub(super) async fn look_up(
        &self,
        orders: &[(OrderId, &str)],
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

impl Reconcile {
    /// Waits until everything the bus holds now has landed or become a dead letter.
    pub(in crate::reconcile) async fn landed_within(&self, patience: Duration) -> Result<(), CompareError> {
        self.landed_before(patience, None).await
    }

    /// The same for a campaign: whoever listens is told what it waits for.
    async fn landed_before(&self, patience: Duration, campaign: Option<&str>) -> Result<(), CompareError> {
        let mut wait = Wait::begin(patience);
        let topic = self.producer.orders_topic();
        let marks = self.producer.high_watermarks(topic).await?;
        loop {
            let landed = self.store.offsets(topic).await?;
            let Some(what) = behind(topic, &marks, &landed) else {
                return Ok(());
            };
            self.wait_a_little(&mut wait, campaign, what).await?;
        }
    }

    async fn wait_a_little(
        &self,
        wait: &mut Wait,
        campaign: Option<&str>,
        what: String,
    ) -> Result<(), CompareError> {
        let waited = wait.begun.elapsed();
        if waited > wait.patience {
            let waited = wait.patience;
            return Err(CompareError::Patience { what, waited });
        }
        if let (Some(campaign), Some(tell)) = (campaign, &self.tell)
            && waited >= wait.told_at
        {
            wait.told_at = waited + TELL_EVERY;
            tell(campaign, &what, wait.patience - waited);
        }
        tokio::time::sleep(self.config.poll).await;
        Ok(())
    }
}

/// Something that is waited for.
struct Wait {
    begun: Instant,
    patience: Duration,
    /// Whoever listens is told after so long.
    told_at: Duration,
}

impl Wait {
    fn begin(patience: Duration) -> Self {
        Self {
            begun: Instant::now(),
            patience,
            told_at: TELL_AFTER,
        }
    }
}

/// `None` where the database does not have the revision.
async fn compile(
    reconcile: &Reconcile,
    campaign: Campaign,
    number: u32,
) -> Result<Option<Compiled>, CompareError> {
    let found = reconcile.store.revision(&campaign.id, number).await?;
    let compiled = found.map(|revision| Compiled::build(campaign, revision));
    Ok(compiled.transpose()?)
}
