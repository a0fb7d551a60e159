//! Comparing on a schedule: one gateway at a time, for logs and metrics; it repairs only where it is told to.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::clock::now_ms;
use crate::config::Config;
use crate::metrics::{self, metrics};
use crate::reconcile::{CompareError, Comparison, Kind, Reconcile};
use crate::store::{Store, StoreError};

const LEASE: &str = "reconcile";
const ACTOR: &str = "rushgate serve";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DifferenceLabels {
    campaign: String,
    kind: &'static str,
}

metrics! {
    /// What the schedule found so far.
    struct Metrics {
        /// Campaigns compared
        comparisons: Counter = "reconcile_comparisons";
        /// Campaigns that could not be compared
        failures: Counter = "reconcile_failures";
        /// Differences repaired
        repairs: Counter = "reconcile_repairs";
        /// Differences between engine and database, of the newest comparison
        differences: Family<DifferenceLabels, Gauge> = "reconcile_differences";
    }
}

/// Starts it where `reconcile.every_ms` asks for it; ends with the process.
pub(super) fn spawn(config: &Config, reconcile: Arc<Reconcile>, store: Store, registry: &mut Registry) {
    let every = config.reconcile.every;
    if every.is_zero() {
        return;
    }
    let (counting, repair) = (Metrics::default(), config.reconcile.repair);
    metrics::register(registry, &counting);
    let owner = uuid::Uuid::now_v7().simple().to_string();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(every).await;
            // Another gateway can put right what it finds.
            if reconcile.halted().is_some() {
                continue;
            }
            if let Err(error) = round(&reconcile, &store, &owner, every, repair, &counting).await {
                tracing::warn!(%error, "campaigns are not compared for now");
            }
        }
    });
}

async fn round(
    reconcile: &Reconcile,
    store: &Store,
    owner: &str,
    every: Duration,
    repair: bool,
    metrics: &Metrics,
) -> Result<(), StoreError> {
    if !store
        .lease(LEASE, owner, now_ms(), every.as_millis() as i64 * 2)
        .await?
    {
        // Another gateway does it now: what this one found is old.
        metrics.differences.clear();
        return Ok(());
    }
    for row in store.live_campaigns(now_ms()).await? {
        let campaign = row.campaign.id;
        match reconcile.compare(&campaign, repair.then_some(ACTOR)).await {
            Ok(comparison) => {
                for difference in &comparison.differences {
                    tracing::warn!(campaign, outcome = ?difference.outcome, "{}", difference.sentence);
                }
                metrics.count(&comparison);
            }
            Err(CompareError::Archived { .. }) => {}
            Err(error) => {
                tracing::warn!(campaign, %error, "not compared");
                metrics.failures.inc();
            }
        }
    }
    Ok(())
}

impl Metrics {
    fn count(&self, comparison: &Comparison) {
        self.comparisons.inc();
        let found = comparison.differences.len();
        if comparison.repaired {
            self.repairs
                .inc_by(found.saturating_sub(comparison.left.len()) as u64);
        }
        let now = comparison.now();
        for kind in Kind::ALL {
            let differences = now.iter().filter(|difference| difference.kind == kind).count();
            let labels = DifferenceLabels {
                campaign: comparison.campaign.clone(),
                kind: kind.as_str(),
            };
            self.differences.get_or_create(&labels).set(differences as i64);
        }
    }
}
