//! The sweep: looks for outbox entries that nobody settled and publishes them again. Quiet campaigns are left out: whoever
//! looks at one of them and finds entries in its outbox makes it heard again.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, Weak};
use std::time::Instant;

use futures_util::{StreamExt, stream};

use super::Relay;
use super::stuck::Stuck;
use crate::failpoint::{self, Point};
use crate::lua::calls::{self, RawEntry};
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::outbox::{self, Entry, Orders};
use crate::ruleset::{Active, Compiled};

/// What became of an entry.
enum Relayed {
    UnderWay,
    /// Nobody can relay it for now.
    Stuck,
}

/// Entries read by one call.
const PAGE: usize = 64;

/// Shards swept at the same time: their calls go to the engine together.
const SHARDS_AT_ONCE: usize = 16;

pub(super) async fn run(relay: Weak<Relay>) {
    // Where the last sweep found something: as long as it does, quiet or not, another follows.
    let mut found = HashSet::new();
    loop {
        let Some(strong) = relay.upgrade() else { return };
        let every = strong.config.every;
        // The right to a shard runs out, and goes to a gateway that may send.
        found = match strong.producer.halted() {
            None => strong.sweep_all(&found).await,
            Some(_) => HashSet::new(),
        };
        let served = |campaign: &str| strong.producer.halted().is_none() && strong.ruleset.has(campaign);
        strong.stuck_here().keep_served(served);
        drop(strong);
        tokio::time::sleep(every).await;
    }
}

impl Relay {
    /// One sweep over every shard that is not quiet, or is named. Says which had entries.
    async fn sweep_all(self: &Arc<Self>, named: &HashSet<Shard>) -> HashSet<Shard> {
        let mut sweeps = Vec::new();
        for active in self.ruleset.all() {
            let quiet = self.ruleset.is_quiet(&active.campaign.id);
            for number in 0..active.campaign.shards {
                let shard = Shard::new(&active.campaign.id, number);
                if !quiet || named.contains(&shard) {
                    sweeps.push(self.sweep_one(active.clone(), shard));
                }
            }
        }
        let swept: Vec<Option<Shard>> = stream::iter(sweeps)
            .buffer_unordered(SHARDS_AT_ONCE)
            .collect()
            .await;
        swept.into_iter().flatten().collect()
    }

    /// The shard, where it had entries or could not be asked.
    async fn sweep_one(self: &Arc<Self>, active: Arc<Active>, shard: Shard) -> Option<Shard> {
        match self.sweep(&active, &shard).await {
            Ok(0) => None,
            Ok(_) => Some(shard),
            Err(why) => {
                tracing::debug!(campaign = %shard.campaign, why, "sweep");
                Some(shard)
            }
        }
    }

    /// Publishes every entry of a shard that is old enough and not already on its way from here. Says how many
    /// there were.
    async fn sweep(self: &Arc<Self>, active: &Arc<Active>, shard: &Shard) -> Result<usize, String> {
        let (mut after, mut there, mut failed) = ("-".to_owned(), 0, None);
        let (mut stuck, mut all) = (HashSet::new(), false);
        let (lease, age) = (
            self.config.lease.as_millis() as u64,
            self.config.age.as_millis() as u64,
        );
        while self.on_their_way.load(Ordering::Relaxed) < self.config.in_flight_max {
            let args = calls::outbox_args(&self.owner, lease, age, &after, PAGE);
            let reply = self.engine.run(&fixed::OUTBOX, &shard.state(), args).await;
            let entries = calls::outbox_reply(reply.map_err(|error| error.to_string())?);
            let Some(entries) = entries.map_err(|error| error.to_string())? else {
                self.stuck_here().forget(shard);
                break;
            };
            let Some(last) = entries.last() else {
                all = true;
                break;
            };
            failpoint::hit(Point::R1);
            after = last.id.clone();
            there += entries.len();
            let full = entries.len() == PAGE;
            for raw in entries {
                // One that has to wait for its revision holds up no other.
                let id = raw.id.clone();
                match self.republish(active, shard, raw).await {
                    Ok(Relayed::Stuck) => drop(stuck.insert(id)),
                    Ok(Relayed::UnderWay) => {}
                    Err(why) => failed = Some(why),
                }
            }
            if !full {
                all = true;
                break;
            }
        }
        if all && failed.is_none() {
            self.stuck_here().keep(shard, &stuck);
        }
        failed.map_or(Ok(there), Err)
    }

    async fn republish(
        self: &Arc<Self>,
        active: &Arc<Active>,
        shard: &Shard,
        raw: RawEntry,
    ) -> Result<Relayed, String> {
        if self.stuck_here().rests(shard, &raw.id, Instant::now()) {
            return Ok(Relayed::Stuck);
        }
        let known = self
            .in_flight
            .lock()
            .expect("no panic holds this lock")
            .contains(&(shard.clone(), raw.id.clone()));
        if known {
            return Ok(Relayed::UnderWay);
        }
        let admitted_under = match raw.revision {
            0 => Err("its fields are not those of an entry"),
            number if number == active.revision.number => Ok(active.compiled.clone()),
            number => self
                .rules
                .revision(&shard.campaign, number)
                .await?
                .ok_or("its revision is not in the database"),
        };
        let orders = admitted_under.map_err(str::to_owned).and_then(|compiled| {
            self.tell_unsealed(&compiled, shard, &raw);
            Orders::of(&compiled, shard.number, &raw)
        });
        match orders {
            Ok(orders) => {
                let entry = Entry {
                    shard: shard.clone(),
                    id: raw.id,
                    partition: active.campaign.partition_of(shard.number),
                    orders,
                    acknowledged: None,
                };
                self.publish(entry, |metrics| &metrics.relayed);
                Ok(Relayed::UnderWay)
            }
            Err(why) => {
                self.tell_stuck(shard, &raw.id, &why);
                Ok(Relayed::Stuck)
            }
        }
    }

    /// Whoever wrote these orders into the outbox is no gateway. They are sent on like the others of their entry, because
    /// landing sets each apart that is forged.
    fn tell_unsealed(&self, compiled: &Compiled, shard: &Shard, raw: &RawEntry) {
        let Some(keys) = &self.config.keys else { return };
        let positions = outbox::unsealed(compiled, shard.number, raw, keys);
        if !positions.is_empty() {
            tracing::error!(
                campaign = %shard.campaign,
                entry = raw.id,
                ?positions,
                "orders in the outbox that no gateway has sealed"
            );
        }
    }

    fn tell_stuck(&self, shard: &Shard, id: &str, why: &str) {
        let found = self.stuck_here().found(shard, id, why, Instant::now());
        if found.new {
            self.metrics.unreadable.inc();
        }
        if found.tell {
            let campaign = &shard.campaign;
            let entries = self.stuck_here().count().get(campaign).copied();
            tracing::error!(
                campaign,
                entry = id,
                entries,
                why,
                "outbox entries cannot be relayed, and stay; each is looked at again"
            );
        }
    }

    fn stuck_here(&self) -> MutexGuard<'_, Stuck> {
        self.stuck.lock().expect("no panic holds this lock")
    }
}
