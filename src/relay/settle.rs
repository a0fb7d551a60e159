//! Settling: removes acknowledged entries from the outboxes, many per call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backon::Retryable;
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc;

use super::InFlight;
use crate::engine::{self, Engine, EngineError};
use crate::failpoint::{self, Point};
use crate::lua::keys::Shard;
use crate::lua::{calls, fixed};
use crate::seldom::Seldom;

/// Entries settled by one call at most.
const BATCH: usize = 512;
/// Between two turns: nobody waits for an entry to be settled, and a call costs about as much with one as with ten.
const EVERY: Duration = Duration::from_millis(20);
/// As much longer for each shard of a turn: they need a call each.
const EVERY_SHARD: Duration = Duration::from_millis(2);
/// Calls at a time.
const CALLS: usize = 64;
/// Tries before an entry is left to the sweep, which publishes and settles it again.
const TRIES: usize = 50;

/// An entry whose orders are all acknowledged.
pub(super) struct Settled {
    pub(super) shard: Shard,
    pub(super) id: String,
    /// Number of orders.
    pub(super) orders: usize,
    /// Admitted by this gateway, not found in the outbox.
    pub(super) own: bool,
}

pub(super) async fn run(
    engine: Arc<dyn Engine>,
    mut queue: mpsc::UnboundedReceiver<Settled>,
    in_flight: InFlight,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let trouble = Mutex::default();
    let mut next = tokio::time::Instant::now();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        // A lone entry is settled at once; those of a rush go together.
        tokio::time::sleep_until(next).await;
        let room = BATCH - batch.len();
        let _ = queue.recv_many(&mut batch, room).now_or_never();
        let mut shards: BTreeMap<Shard, Vec<(String, usize)>> = BTreeMap::new();
        let own = batch.iter().any(|settled: &Settled| settled.own);
        let relayed = batch.iter().any(|settled| !settled.own);
        for settled in batch.drain(..) {
            let entries = shards.entry(settled.shard).or_default();
            entries.push((settled.id, settled.orders));
        }
        if own {
            failpoint::hit(Point::G6);
        }
        next = tokio::time::Instant::now() + EVERY + EVERY_SHARD * shards.len() as u32;
        let (engine, trouble, in_flight) = (&*engine, &trouble, &in_flight);
        let settled = stream::iter(shards).for_each_concurrent(CALLS, |(shard, entries)| async move {
            settle(engine, &shard, &entries, trouble).await;
            let mut in_flight = in_flight.lock().expect("no panic holds this lock");
            for (id, _) in entries {
                in_flight.remove(&(shard.clone(), id));
            }
        });
        settled.await;
        if own {
            failpoint::hit(Point::G7);
        }
        if relayed {
            failpoint::hit(Point::R4);
        }
    }
}

/// Settling twice is harmless, so an unknown outcome is simply tried again.
async fn settle(engine: &dyn Engine, shard: &Shard, entries: &[(String, usize)], trouble: &Mutex<Seldom>) {
    let key = shard.state();
    let run = || engine.run(&fixed::SETTLE, &key, calls::settle_args(entries));
    let settled = run
        .retry(engine::tries(TRIES))
        .when(EngineError::is_transient)
        .await;
    match settled {
        Ok(_) => {}
        Err(error) if error.is_transient() => {
            tracing::warn!(campaign = %shard.campaign, entries = entries.len(), "acknowledged entries stay in the outbox for now");
        }
        Err(error) => {
            let mut trouble = trouble.lock().expect("no panic holds this lock");
            if trouble.met(&error.to_string(), Instant::now()).is_some() {
                tracing::error!(%error, campaign = %shard.campaign, "acknowledged entries are not settled");
            }
        }
    }
}
