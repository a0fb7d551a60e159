//! How many dead letters lie where, from the database: counters of a process begin at zero with it, letters do not. And
//! how many this process sent again because their record was gone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

use crate::store::{LetterFilter, LetterTotal, Stage, Store};

/// Between looks at the database, whoever scrapes how often.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// What is older says nothing any more, and is not told.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// By stage and class. One that was there once goes on being told, as 0.
type Counts = BTreeMap<(Stage, String), u64>;

#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    counts: Counts,
}

/// Dead letters whose orders may land yet, for the registry.
pub(super) struct Letters {
    seen: Arc<Mutex<Seen>>,
    watch: tokio::task::JoinHandle<()>,
}

impl Letters {
    /// Looks again and again, until it is dropped; needs a runtime.
    pub(super) fn watch(store: &Store) -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (store, kept) = (store.clone(), seen.clone());
        let watch = tokio::spawn(async move {
            loop {
                match count(&store).await {
                    Ok(totals) => take(&kept, totals, Instant::now()),
                    Err(error) => tracing::debug!(%error, "dead letters are not counted"),
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Self { seen, watch }
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letters")
    }
}

/// One statement, which an index alone answers.
async fn count(store: &Store) -> crate::store::StoreResult<Vec<LetterTotal>> {
    let open = LetterFilter {
        stages: Stage::OPEN.to_vec(),
        ..LetterFilter::default()
    };
    store.dead_letter_totals(&open).await
}

fn take(seen: &Mutex<Seen>, totals: Vec<LetterTotal>, now: Instant) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.at = Some(now);
    seen.counts.values_mut().for_each(|letters| *letters = 0);
    for total in totals {
        seen.counts.insert((total.stage, total.class), total.letters);
    }
}

fn told(seen: &Mutex<Seen>, now: Instant) -> Counts {
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let is_known = seen.at.is_some_and(|at| now.duration_since(at) < KNOWN_FOR);
    match is_known {
        true => seen.counts.clone(),
        false => Counts::new(),
    }
}

impl Collector for Letters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Records that have not landed and may yet, by stage and class of their error, as the database has them";
        let mut family = encoder.encode_descriptor("dead_letters", help, None, MetricType::Gauge)?;
        for ((stage, class), letters) in told(&self.seen, Instant::now()) {
            let labels = [("stage", stage.as_str()), ("class", class.as_str())];
            let letters = i64::try_from(letters).unwrap_or(i64::MAX);
            ConstGauge::new(letters).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Letters that this process sent again, for the registry.
#[derive(Debug)]
pub(super) struct SentAgain(pub(super) Arc<AtomicU64>);

impl Collector for SentAgain {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help =
            "Letters that waited to be tried again and were sent again, because Kafka had lost their record";
        let metric = ConstCounter::new(self.0.load(Ordering::Relaxed));
        let name = "dead_letters_sent_again";
        metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{DeadRecord, LandingSlice};
    use crate::store;

    #[test]
    fn what_is_gone_is_zero_and_what_is_old_is_not_told() {
        let (seen, start) = (Mutex::default(), Instant::now());
        assert_eq!(told(&seen, start), Counts::new());
        let dead = |letters| LetterTotal {
            stage: Stage::Dead,
            class: "failing".to_owned(),
            letters,
        };
        take(&seen, vec![dead(3)], start);
        let counts = |letters| Counts::from([((Stage::Dead, "failing".to_owned()), letters)]);
        assert_eq!(told(&seen, start), counts(3));
        take(&seen, Vec::new(), start);
        assert_eq!(told(&seen, start), counts(0));
        assert_eq!(told(&seen, start + KNOWN_FOR), Counts::new());
    }

    #[tokio::test]
    async fn letters_of_the_database_are_told_by_stage_and_class() {
        let url = "sqlite::memory:".to_owned();
        let store = Store::connect(&store::Config { url, connections: 1 })
            .await
            .expect("opened");
        store.migrate().await.expect("migrated");
        let record = |offset: i64, retry, class| DeadRecord {
            at: offset.into(),
            retry,
            class,
            attempts: 1,
            ..DeadRecord::default()
        };
        let slice = LandingSlice {
            next: 3,
            dead: vec![
                record(0, false, "refused"),
                record(1, true, "failing"),
                record(2, false, "refused"),
            ],
            ..LandingSlice::default()
        };
        store
            .land("o", &[slice], 1_795_176_000_000)
            .await
            .expect("landed");
        let mut registry = crate::telemetry::registry();
        let letters = Letters::watch(&store);
        let seen = letters.seen.clone();
        registry.register_collector(Box::new(letters));
        while told(&seen, Instant::now()).is_empty() {
            tokio::task::yield_now().await;
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        for line in [
            "rushgate_dead_letters{stage=\"dead\",class=\"refused\"} 2",
            "rushgate_dead_letters{stage=\"retry\",class=\"failing\"} 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
