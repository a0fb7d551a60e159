//! Telling again what is not known to be told: after a lander died, or let go of what it could not tell at once. One lander
//! looks for all: a partition that was told nothing for a while, although it has landed further, is read again from where it
//! was told, and the state of its orders is asked of the database. Where Kafka has removed the records, or nobody keeps them,
//! the orders themselves are read, from the moment on that the partition's row remembers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::publish::Publisher;
use crate::bus::{Held, Log};
use crate::order::{OrderId, TIME_MAX_MS, TIME_MIN_MS, ToldChange};
use crate::record;
use crate::store::{OrderPlace, Store, Untold};

/// Whoever tells as it lands writes down every second how far it is.
const STALE: Duration = Duration::from_secs(3);
/// Records of one read: each may have a thousand orders.
const RECORDS: usize = 500;
/// Reads of one partition, before the others have their turn.
const READS: usize = 50;
/// Orders of one page.
const PAGE: u32 = 1000;

/// Looks after partitions that stand still.
pub(super) struct Again {
    pub store: Store,
    pub publisher: Publisher,
    /// None where records are kept nowhere once they have landed.
    pub log: Option<Arc<dyn Log>>,
    pub topics: Vec<String>,
    /// How far each partition was told when that moved last.
    seen: BTreeMap<(String, i32), (i64, Instant)>,
    /// Partitions that are being told again, and have more.
    unfinished: BTreeSet<(String, i32)>,
}

impl Again {
    pub(super) fn new(
        store: Store,
        publisher: Publisher,
        log: Option<Arc<dyn Log>>,
        topics: Vec<String>,
    ) -> Self {
        publisher.metrics.behind.see(nothing(&topics), 0);
        Self {
            store,
            publisher,
            log,
            topics,
            seen: BTreeMap::new(),
            unfinished: BTreeSet::new(),
        }
    }

    /// Looks how far telling is; gives back the partitions that have stood still for too long, or all where nobody tells.
    pub(super) async fn look(&mut self, tells: bool) -> anyhow::Result<Vec<Untold>> {
        let untold = self.store.untold(&self.topics).await?;
        let now = Instant::now();
        let mut seen = BTreeMap::new();
        let (mut stale, mut longest) = (Vec::new(), Duration::ZERO);
        let mut records = nothing(&self.topics);
        for row in untold {
            let key = (row.topic.clone(), row.partition);
            let known = self.seen.get(&key).filter(|(told, _)| *told == row.told);
            let since = known.map_or(now, |(_, since)| *since);
            let unfinished = self.unfinished.contains(&key);
            seen.insert(key, (row.told, since));
            let stands = now - since;
            longest = longest.max(stands);
            *records.entry(row.topic.clone()).or_default() += u64::try_from(row.next - row.told).unwrap_or(0);
            if !tells || unfinished || stands >= STALE {
                stale.push(row);
            }
        }
        self.seen = seen;
        self.publisher.metrics.behind.see(records, longest.as_secs());
        Ok(stale)
    }

    /// Tells what of a partition had landed when it was looked at, a good part of it at least.
    pub(super) async fn tell(&mut self, row: &Untold) -> anyhow::Result<()> {
        let Untold {
            topic,
            partition,
            next,
            ..
        } = row;
        let key = (topic.clone(), *partition);
        self.unfinished.remove(&key);
        let (mut told, mut reads) = (row.told, 0);
        while told < *next {
            if reads == READS {
                self.unfinished.insert(key);
                return Ok(());
            }
            reads += 1;
            let held = match &self.log {
                Some(log) => log.read(topic, *partition, (told, *next), RECORDS).await?,
                None => Held::Gone,
            };
            let end = match held {
                Held::Records { records, next } => {
                    for (campaign, ids) in orders(records) {
                        self.publish(self.store.first_changes(&campaign, &ids).await?)
                            .await?;
                    }
                    next
                }
                Held::Gone => {
                    self.tell_stored(row.since).await?;
                    *next
                }
            };
            let before = told;
            told = self.store.note_told(topic, *partition, (told, end)).await?;
            anyhow::ensure!(
                told > before,
                "{topic}/{partition} is landed anew from before {before}"
            );
        }
        tracing::info!(topic, partition, from = row.told, next, "what had landed is told");
        Ok(())
    }

    async fn publish(&self, changes: Vec<ToldChange>) -> anyhow::Result<()> {
        let count = changes.len() as u64;
        self.publisher.tell_in_parts(&changes).await?;
        self.publisher.metrics.again.inc_by(count);
        Ok(())
    }

    /// Tells every order that was placed at a moment or later and is in the database by now.
    async fn tell_stored(&self, since: i64) -> anyhow::Result<()> {
        let since = since.clamp(TIME_MIN_MS + 1, TIME_MAX_MS);
        for (campaign, last) in self.store.last_orders(since).await? {
            let mut after = OrderPlace {
                placed_at: since - 1,
                order: OrderId::from_bytes([0xff; 16]),
            };
            loop {
                let changes = self
                    .store
                    .first_changes_page(&campaign, after, last, PAGE)
                    .await?;
                let Some(newest) = changes.last() else { break };
                after = OrderPlace {
                    placed_at: newest.placed_at,
                    order: newest.order,
                };
                self.publish(changes).await?;
            }
        }
        Ok(())
    }
}

/// The orders of records, by campaign. What is none was moved, and is told from where it went.
fn orders(records: Vec<crate::bus::Record>) -> BTreeMap<String, Vec<OrderId>> {
    let mut by_campaign: BTreeMap<String, Vec<OrderId>> = BTreeMap::new();
    for record in records {
        let orders = record::orders(&record.payload).unwrap_or_default();
        for order in orders.into_iter().flatten() {
            by_campaign.entry(order.campaign).or_default().push(order.order);
        }
    }
    by_campaign
}

/// Every topic is on the page, also one of which everything is told.
fn nothing(topics: &[String]) -> BTreeMap<String, u64> {
    topics.iter().map(|topic| (topic.clone(), 0)).collect()
}
