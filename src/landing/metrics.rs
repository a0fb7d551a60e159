//! What landing counts, and how its consumers stand, by topic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::batch::Class;
use super::state::{Awaits, State};
use crate::clock::now_ms;
use crate::metrics::{counters, gauges, metrics, register_by};
use crate::store::Landed;

metrics! {
    /// What is counted of one topic: all of its consumers count into the same.
    pub struct Metrics {
        /// Orders confirmed
        pub confirmed: Counter = "landing_orders_confirmed";
        /// Orders revoked
        pub revoked: Counter = "landing_orders_revoked";
        /// Orders that were there already
        pub duplicates: Counter = "landing_orders_duplicate";
        /// Records that none of ours wrote, passed over
        pub forged: Counter = "landing_records_forged";
        /// Of these, records that the database keeps
        pub forged_kept: Counter = "landing_records_forged_kept";
        /// Records taken without a seal, before the cut-over
        pub unsealed: Counter = "landing_records_unsealed";
        /// Slices expected elsewhere
        pub fenced: Counter = "landing_slices_fenced";
        /// Batches landed
        pub batches: Counter = "landing_batches";
        /// Transactions and moves tried again
        pub retries: Counter = "landing_retries";
        /// Commits without an answer that were found out by reading
        pub commits_resolved: Counter = "landing_commits_resolved";
        /// Times that the log did not hold what the database expected
        pub gaps: Counter = "landing_log_gaps";
        /// Records that were removed from Kafka before they landed
        pub missing: Counter = "landing_records_missing";
        /// Times that partitions which stood still were begun anew
        pub begun_anew: Counter = "landing_partitions_begun_anew";
        /// Times that partitions were given or taken
        pub rebalances: Counter = "landing_rebalances";
    } and {
        /// Records that do not land.
        pub moved: Moved;
    }
}

impl Metrics {
    /// A batch is done with.
    pub(super) fn count(&self, landed: &Landed) {
        self.confirmed.inc_by(landed.confirmed);
        self.revoked.inc_by(landed.revoked);
        self.duplicates.inc_by(landed.duplicates);
        self.forged.inc_by(landed.forged);
        self.forged_kept.inc_by(landed.forged_kept);
        self.fenced.inc_by(landed.fenced.len() as u64);
        self.batches.inc();
    }
}

/// Records moved away, by the class of their error and the topic they went to. Clones count into the same.
#[derive(Clone, Debug, Default)]
pub struct Moved(Arc<Mutex<Sums>>);

type Sums = BTreeMap<(&'static str, String), u64>;

impl Moved {
    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, moved: BTreeMap<(Class, String), u64>) {
        let mut sums = self.lock();
        for ((class, to), records) in moved {
            *sums.entry((class.as_str(), to)).or_default() += records;
        }
    }

    /// (class, topic, records)
    pub fn all(&self) -> Vec<(&'static str, String, u64)> {
        let sums = self.lock();
        let all = sums
            .iter()
            .map(|((class, to), records)| (*class, to.clone(), *records));
        all.collect()
    }

    /// To whichever topic.
    #[cfg(feature = "testing")]
    pub fn total(&self) -> u64 {
        self.lock().values().sum()
    }
}

/// One topic that is landed, and who lands it.
#[derive(Clone, Debug)]
pub struct Watched {
    pub topic: String,
    pub metrics: Metrics,
    pub consumers: Vec<Arc<State>>,
}

impl Watched {
    /// Adds up what each of its consumers has.
    fn sum(&self, read: impl Fn(&State) -> u64) -> u64 {
        self.consumers.iter().map(|consumer| read(consumer)).sum()
    }

    /// What the guard of a consumer holds back, the worst where there are several: (failing, seen).
    pub fn guard(&self) -> Option<(usize, usize)> {
        self.consumers
            .iter()
            .filter_map(|consumer| consumer.guard())
            .max()
    }

    fn lag_ms(&self, now: i64) -> i64 {
        let lags = self.consumers.iter().map(|consumer| consumer.lag_ms(now));
        lags.max().unwrap_or(0)
    }
}

/// Puts the metrics of these topics on the page.
pub fn register(registry: &mut Registry, topics: Vec<Watched>) {
    let counted = topics
        .iter()
        .map(|each| (each.topic.clone(), each.metrics.clone()));
    register_by(registry, "topic", counted.collect());
    let topics: Arc<[Watched]> = topics.into();
    let mut gauge = |name, help, read: fn(&Watched) -> i64| {
        let topics = topics.clone();
        gauges(registry, name, help, move || {
            let told = topics
                .iter()
                .map(|each| ([("topic", each.topic.clone())], read(each)));
            told.collect()
        });
    };
    gauge(
        "landing_lag_milliseconds",
        "Age of the oldest order in hand",
        |each| each.lag_ms(now_ms()),
    );
    gauge(
        "landing_guard_tripped",
        "1 while too many records fail to move them away",
        |each| i64::from(each.guard().is_some()),
    );
    gauge("landing_partitions_assigned", "Partitions assigned", |each| {
        each.sum(|consumer| consumer.consumer().assigned) as i64
    });
    gauge(
        "landing_partitions_paused",
        "Assigned partitions that wait for their time, or for the database",
        |each| each.sum(|consumer| consumer.consumer().paused) as i64,
    );
    register_awaiting(registry, topics.clone());
    let help = "Records that do not land, by the class of their error and the topic they were moved to";
    counters(registry, "landing_records_moved", help, move || {
        let of = |each: &Watched| {
            let topic = each.topic.clone();
            let labels =
                move |class: &str, to| [("topic", topic.clone()), ("class", class.to_owned()), ("to", to)];
            let moved = each.metrics.moved.all().into_iter();
            moved.map(move |(class, to, records)| (labels(class, to), records))
        };
        topics.iter().flat_map(of).collect()
    });
}

fn register_awaiting(registry: &mut Registry, topics: Arc<[Watched]>) {
    let help =
        "Partitions whose next record waits for a key of seals that this lander lacks, or for a revision";
    gauges(registry, "landing_partitions_awaiting", help, move || {
        let of = |each: &Watched| {
            Awaits::ALL.map(|what| {
                let labels = [("topic", each.topic.clone()), ("what", what.as_str().to_owned())];
                (labels, each.sum(|consumer| consumer.awaiting(what)))
            })
        };
        topics.iter().flat_map(of).collect()
    });
}

#[cfg(test)]
mod tests {
    use super::super::guard::Tripped;
    use super::*;
    use crate::bus::ConsumerState;

    #[test]
    fn consumers_of_one_topic_are_told_as_one() {
        let metrics = Metrics::default();
        let [one, two] = [Arc::<State>::default(), Arc::default()];
        let other = Arc::new(State::default());
        let watched = |topic: &str, metrics: Metrics, consumers| Watched {
            topic: topic.to_owned(),
            metrics,
            consumers,
        };
        let mut registry = Registry::default();
        register(
            &mut registry,
            vec![
                watched("o", metrics.clone(), vec![one.clone(), two.clone()]),
                watched("o.retry", Metrics::default(), vec![other]),
            ],
        );
        for (consumer, confirmed, records, lag_ms) in [(&one, 5, 1, 10), (&two, 7, 2, 30)] {
            metrics.confirmed.inc_by(confirmed);
            metrics
                .moved
                .add([((Class::Refused, "o.dlt".to_owned()), records)].into());
            consumer.see(ConsumerState {
                assigned: 6,
                ..ConsumerState::default()
            });
            consumer.begin(Some(1000), 1000);
            consumer.done(1000 + lag_ms);
            assert!(consumer.awaits(0, Awaits::Key));
        }
        metrics.forged.inc_by(3);
        assert!(two.awaits(1, Awaits::Key) && two.awaits(1, Awaits::Revision));
        two.trip(Tripped {
            failing: 600,
            seen: 1000,
        });
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).expect("encodes");
        for line in [
            "landing_orders_confirmed_total{topic=\"o\"} 12",
            "landing_orders_confirmed_total{topic=\"o.retry\"} 0",
            "landing_records_forged_total{topic=\"o\"} 3",
            "landing_records_moved_total{topic=\"o\",class=\"refused\",to=\"o.dlt\"} 3",
            "landing_partitions_assigned{topic=\"o\"} 12",
            "landing_partitions_awaiting{topic=\"o\",what=\"key\"} 3",
            "landing_partitions_awaiting{topic=\"o\",what=\"revision\"} 1",
            "landing_lag_milliseconds{topic=\"o\"} 30",
            "landing_guard_tripped{topic=\"o\"} 1",
            "landing_guard_tripped{topic=\"o.retry\"} 0",
        ] {
            assert!(page.lines().any(|told| told == line), "{line}: {page}");
        }
    }
}
