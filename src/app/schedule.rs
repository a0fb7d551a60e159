//! Comparing on a schedule: one gateway at a time, for logs and metrics; it repairs only where it is told to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::clock::now_ms;
use crate::config::Config;
use crate::reconcile::{CompareError, Comparison, Kind, Reconcile};
use crate::store::{Store, StoreError};

const LEASE: &str = "reconcile";
const ACTOR: &str = "rushgate serve";

/// What the schedule found so far.
#[derive(Debug, Default)]
pub(super) struct Figures(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    compared: u64,
    failed: u64,
    repaired: u64,
    /// By campaign, then by kind: of its newest comparison.
    differences: BTreeMap<String, BTreeMap<Kind, i64>>,
}

/// Starts it where `reconcile.every_ms` asks for it; ends with the process.
pub(super) fn spawn(config: &Config, reconcile: Arc<Reconcile>, store: Store) -> Option<Arc<Figures>> {
    let every = config.reconcile.every;
    if every.is_zero() {
        return None;
    }
    let (figures, repair) = (Arc::new(Figures::default()), config.reconcile.repair);
    let owner = uuid::Uuid::now_v7().simple().to_string();
    let counting = figures.clone();
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
    Some(figures)
}

async fn round(
    reconcile: &Reconcile,
    store: &Store,
    owner: &str,
    every: Duration,
    repair: bool,
    figures: &Figures,
) -> Result<(), StoreError> {
    if !store
        .lease(LEASE, owner, now_ms(), every.as_millis() as i64 * 2)
        .await?
    {
        figures.forget();
        return Ok(());
    }
    for row in store.live_campaigns(now_ms()).await? {
        let campaign = row.campaign.id;
        match reconcile.compare(&campaign, repair.then_some(ACTOR)).await {
            Ok(comparison) => {
                for difference in &comparison.differences {
                    tracing::warn!(campaign, outcome = ?difference.outcome, "{}", difference.sentence);
                }
                figures.count(&comparison);
            }
            Err(CompareError::Archived { .. }) => {}
            Err(error) => {
                tracing::warn!(campaign, %error, "not compared");
                figures.lock().failed += 1;
            }
        }
    }
    Ok(())
}

impl Figures {
    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another gateway does it now: what this one found is old.
    fn forget(&self) {
        self.lock().differences.clear();
    }

    fn count(&self, comparison: &Comparison) {
        let mut counts = self.lock();
        counts.compared += 1;
        if comparison.repaired {
            counts.repaired += (comparison.differences.len()
                - comparison.left.len().min(comparison.differences.len()))
                as u64;
        }
        let mut kinds: BTreeMap<Kind, i64> = Kind::ALL.into_iter().map(|kind| (kind, 0)).collect();
        for difference in comparison.now() {
            *kinds.entry(difference.kind).or_default() += 1;
        }
        counts.differences.insert(comparison.campaign.clone(), kinds);
    }
}

/// For the registry.
#[derive(Debug)]
pub(super) struct ReconcileFigures(pub(super) Arc<Figures>);

impl Collector for ReconcileFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.0.lock();
        for (name, help, value) in [
            ("reconcile_comparisons", "Campaigns compared", counts.compared),
            (
                "reconcile_failures",
                "Campaigns that could not be compared",
                counts.failed,
            ),
            ("reconcile_repairs", "Differences repaired", counts.repaired),
        ] {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        let help = "Differences between engine and database, of the newest comparison";
        let mut family = encoder.encode_descriptor("reconcile_differences", help, None, MetricType::Gauge)?;
        for (campaign, kinds) in &counts.differences {
            for (kind, value) in kinds {
                let labels = [("campaign", campaign.as_str()), ("kind", kind.as_str())];
                ConstGauge::new(*value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
