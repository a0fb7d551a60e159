//! Telling what lands as it lands: each portion in a task of its own, so that landing waits for nobody. What cannot be told at
//! once is let go: the database says that it is to be told, and `again.rs` sees to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;

use super::publish::Publisher;
use super::spans::Spans;
use crate::needs::{Confirmed, Span, TakenOrders, Teller};
use crate::order::{OrderEvent, OrderId, ToldChange};
use crate::seldom::Seldom;
use crate::store::{Store, StoreResult};

/// Orders that may be in hand, until Kafka has acknowledged their events: some fifty megabytes.
const IN_HAND_MAX: usize = 50_000;

/// Who is told by landing.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    store: Store,
    publisher: Publisher,
    runtime: Handle,
    spans: Mutex<Spans>,
    in_hand: AtomicUsize,
    /// Kafka may be away for long.
    troubles: Mutex<Seldom>,
}

/// How far each partition was told.
pub(super) type Stretches = BTreeMap<(String, i32), Vec<(i64, i64)>>;

/// What one portion has landed.
struct Portion {
    topic: String,
    /// Each with its round.
    spans: Vec<(Span, u64)>,
    taken: Vec<TakenOrders>,
}

impl Live {
    /// Tasks run on `runtime`.
    pub(super) fn new(store: Store, publisher: Publisher, runtime: Handle) -> Self {
        Self(Arc::new(Shared {
            store,
            publisher,
            runtime,
            spans: Mutex::default(),
            in_hand: AtomicUsize::new(0),
            troubles: Mutex::default(),
        }))
    }

    pub(super) fn spans(&self) -> MutexGuard<'_, Spans> {
        self.0.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down how far telling is where landing has not done so: where it has moved since `before`, the next transaction
    /// does. Gives back what is for the next time.
    pub(super) async fn note(&self, before: &Stretches) -> StoreResult<Stretches> {
        let now = self.stretches();
        for (key, stretches) in now.iter().filter(|(key, told)| before.get(*key) == Some(*told)) {
            let (topic, partition) = key;
            for stretch in stretches {
                let told = self.0.store.note_told(topic, *partition, *stretch).await?;
                self.spans().known(topic, *partition, told);
            }
        }
        Ok(now)
    }

    fn stretches(&self) -> Stretches {
        let spans = self.spans();
        let all = spans.all().into_iter();
        all.map(|(topic, partition)| {
            let told = spans.told(&topic, partition);
            ((topic, partition), told)
        })
        .collect()
    }

    /// Whether nothing is in hand.
    pub(super) fn is_idle(&self) -> bool {
        self.0.in_hand.load(Ordering::Acquire) == 0
    }
}

impl Teller for Live {
    fn landed(&self, topic: &str, spans: Vec<Span>, taken: Vec<TakenOrders>) {
        let orders: usize = taken.iter().map(|taken| taken.orders.len()).sum();
        let mut known = self.spans();
        let begun = spans.into_iter().map(|span| (span, known.begin(topic, span)));
        let portion = Portion {
            topic: topic.to_owned(),
            spans: begun.collect(),
            taken,
        };
        if orders == 0 {
            return portion.note(&mut known);
        }
        drop(known);
        if self.0.in_hand.fetch_add(orders, Ordering::AcqRel) + orders > IN_HAND_MAX {
            self.0.in_hand.fetch_sub(orders, Ordering::AcqRel);
            self.0.publisher.metrics.put_off.inc_by(orders as u64);
            return;
        }
        let live = self.clone();
        self.0.runtime.spawn(async move {
            live.tell(portion).await;
            live.0.in_hand.fetch_sub(orders, Ordering::AcqRel);
        });
    }

    fn told(&self, topic: &str, partition: i32) -> Vec<(i64, i64)> {
        self.spans().told(topic, partition)
    }
}

impl Live {
    async fn tell(&self, mut portion: Portion) {
        let Shared { store, publisher, .. } = &*self.0;
        let told = match changes(store, std::mem::take(&mut portion.taken)).await {
            Ok(changes) => publisher.tell(changes).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match told {
            Ok(()) => portion.note(&mut self.spans()),
            Err(error) => {
                publisher.metrics.failures.inc();
                let mut troubles = self.0.troubles.lock().unwrap_or_else(PoisonError::into_inner);
                if troubles.met(&error, Instant::now()).is_some() {
                    tracing::warn!(
                        topic = publisher.topic,
                        error,
                        "changes of orders are not told for now: landing goes on, and they are told later"
                    );
                }
            }
        }
    }
}

impl Portion {
    /// All of it was told.
    fn note(self, known: &mut Spans) {
        for (span, round) in self.spans {
            known.end(&self.topic, span, round);
        }
    }
}

/// What became of orders: of those that are all new, nobody needs to ask.
async fn changes(store: &Store, taken: Vec<TakenOrders>) -> StoreResult<Vec<ToldChange>> {
    let mut changes = Vec::with_capacity(taken.iter().map(|taken| taken.orders.len()).sum());
    for TakenOrders { confirmed, orders } in taken {
        if let Some(Confirmed { at, pay_by }) = confirmed {
            let pay_by = |order: &OrderEvent| pay_by.get(&order.campaign).copied();
            let confirmed = orders.into_iter().map(|order| ToldChange {
                pay_by: pay_by(&order),
                ..ToldChange::confirmed(order, at)
            });
            changes.extend(confirmed);
            continue;
        }
        let mut asked: BTreeMap<&str, Vec<OrderId>> = BTreeMap::new();
        for order in &orders {
            asked.entry(&order.campaign).or_default().push(order.order);
        }
        for (campaign, ids) in asked {
            changes.extend(store.first_changes(campaign, &ids).await?);
        }
    }
    Ok(changes)
}
