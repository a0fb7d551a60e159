//! How many dead letters lie where, from the database: counters of a process begin at zero with it, letters do not. And
//! how many this process sent again because their record was gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::metrics::{gauges, metrics};
use crate::store::{LetterFilter, LetterTotal, Stage, Store};

metrics! {
    /// What a lander counts of letters.
    pub struct Metrics {
        /// Letters that waited to be tried again and were sent again, because Kafka had lost their record
        pub sent_again: Counter = "dead_letters_sent_again";
    }
}

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

/// Puts on the page how many dead letters there are whose orders may land yet; needs a runtime.
pub fn register(store: &Store, registry: &mut Registry) {
    let letters = Letters::watch(store);
    let help = "Records that have not landed and may yet, by stage and class of their error, as the database has them";
    gauges(registry, "dead_letters", help, move || {
        letters.told(Instant::now())
    });
}

struct Letters {
    seen: Arc<Mutex<Seen>>,
    watch: tokio::task::JoinHandle<()>,
}

impl Letters {
    /// Looks again and again, until it is dropped.
    fn watch(store: &Store) -> Self {
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

    fn told(&self, now: Instant) -> Vec<([(&'static str, String); 2], u64)> {
        let counts = told(&self.seen, now).into_iter();
        let labels = |stage: Stage, class| [("stage", stage.as_str().to_owned()), ("class", class)];
        counts
            .map(|((stage, class), letters)| (labels(stage, class), letters))
            .collect()
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        self.watch.abort();
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
        let store = Store::connect(&store::Config::new(url, 1)).await.expect("opened");
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
        let mut registry = Registry::with_prefix("rushgate");
        register(&store, &mut registry);
        let mut text = String::new();
        while !text.contains("rushgate_dead_letters{") {
            tokio::task::yield_now().await;
            text.clear();
            prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        }
        for line in [
            "rushgate_dead_letters{stage=\"dead\",class=\"refused\"} 2",
            "rushgate_dead_letters{stage=\"retry\",class=\"failing\"} 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
