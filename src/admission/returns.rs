//! Whether units of a SKU that is sold out may come back. Those of an order that has not landed may: the database can refuse
//! it yet, or somebody gives it up. Once every unit belongs to a landed order, nobody has to ask again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;

use crate::needs::ANSWER_MAX;

/// How long an order that was just refused waits to be told whether a retry can help.
const PATIENCE: Duration = Duration::from_millis(250);

/// What the database says of a campaign's units.
pub trait Unsold: Send + Sync + 'static {
    /// Per SKU, units that no landed order has.
    fn unsold<'a>(&'a self, campaign: &'a str) -> BoxFuture<'a, Result<HashMap<String, u64>, String>>;
}

/// What was read of one campaign.
struct Read {
    /// When it was asked for: it is not older.
    at: Instant,
    /// Nothing where the database did not answer.
    unsold: HashMap<String, u64>,
}

impl Read {
    fn is_recent(&self) -> bool {
        self.at.elapsed() <= ANSWER_MAX
    }

    /// Whether an order may fit, when all that has not landed comes back.
    fn may_fit(&self, sku: &str, quantity: u32) -> bool {
        let unsold = self.unsold.get(sku);
        unsold.is_none_or(|unsold| *unsold >= u64::from(quantity))
    }
}

/// What is known of the units of one campaign. The database is asked when somebody is refused for want of units, once a second
/// at most.
#[derive(Default)]
pub(super) struct Returns {
    last: ArcSwapOption<Read>,
    reading: tokio::sync::Mutex<()>,
}

impl Returns {
    /// Whether an order of so many units may fit later; `None` where that is not known just now.
    pub(super) fn recent(&self, sku: &str, quantity: u32) -> Option<bool> {
        let last = self.last.load();
        let last = last.as_ref().filter(|last| last.is_recent())?;
        Some(last.may_fit(sku, quantity))
    }

    /// The same, asking where it is not known. Without an answer it may: nobody is sent away for good on a guess.
    pub(super) async fn may_fit(
        &self,
        campaign: &str,
        (sku, quantity): (&str, u32),
        units: Option<&dyn Unsold>,
    ) -> bool {
        if let Some(known) = self.recent(sku, quantity) {
            return known;
        }
        let Some(units) = units else { return true };
        let _one = match (self.reading.try_lock(), self.last.load_full()) {
            (Ok(one), _) => one,
            // Somebody asks already; until then what was known is good enough.
            (Err(_), Some(last)) => return last.may_fit(sku, quantity),
            (Err(_), None) => self.reading.lock().await,
        };
        if let Some(known) = self.recent(sku, quantity) {
            return known;
        }
        let at = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, units.unsold(campaign)).await;
        let unsold = match answer.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(unsold) => unsold,
            Err(why) => {
                tracing::debug!(campaign, why, "whether units may come back is not known");
                HashMap::new()
            }
        };
        let read = Arc::new(Read { at, unsold });
        self.last.store(Some(read.clone()));
        read.may_fit(sku, quantity)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;

    use super::*;

    /// A database that has so many mugs unsold; `None`: that is down.
    struct Database {
        unsold: Option<u64>,
        asked: AtomicUsize,
    }

    impl Database {
        fn with(unsold: impl Into<Option<u64>>) -> Self {
            Self {
                unsold: unsold.into(),
                asked: AtomicUsize::new(0),
            }
        }
    }

    impl Unsold for Database {
        fn unsold<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<HashMap<String, u64>, String>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let unsold = self.unsold.ok_or_else(|| "down".to_owned());
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok([("mug".to_owned(), unsold?)].into())
            }
            .boxed()
        }
    }

    #[tokio::test]
    async fn so_many_units_may_come_back_as_no_landed_order_has() {
        for (unsold, quantity, may) in [(0, 1, false), (1, 1, true), (1, 2, false), (5, 5, true)] {
            let (returns, database) = (Returns::default(), Database::with(unsold));
            assert_eq!(returns.recent("mug", quantity), None);
            let may_fit = returns
                .may_fit("spring", ("mug", quantity), Some(&database))
                .await;
            assert_eq!(may_fit, may, "{quantity} of {unsold}");
            assert_eq!(returns.recent("mug", quantity), Some(may));
        }
    }

    #[tokio::test]
    async fn who_is_not_answered_does_not_send_buyers_away() {
        let (returns, down) = (Returns::default(), Database::with(None));
        assert!(returns.may_fit("spring", ("mug", 1), None).await);
        assert!(returns.may_fit("spring", ("mug", 1), Some(&down)).await);
        assert_eq!(returns.recent("mug", 1), Some(true));
    }

    #[tokio::test]
    async fn one_asks_for_all() {
        let (returns, database) = (Returns::default(), Database::with(0));
        let all = (0..50).map(|_| returns.may_fit("spring", ("mug", 1), Some(&database)));
        assert_eq!(futures_util::future::join_all(all).await, [false; 50]);
        assert_eq!(database.asked.load(Ordering::SeqCst), 1);
        tokio::time::sleep(ANSWER_MAX + Duration::from_millis(10)).await;
        assert_eq!(returns.recent("mug", 1), None, "a second later it is asked again");
        let all = (0..50).map(|_| returns.may_fit("spring", ("mug", 1), Some(&database)));
        assert_eq!(futures_util::future::join_all(all).await, [false; 50]);
        assert_eq!(database.asked.load(Ordering::SeqCst), 2);
    }
}
