//! Looking for missing orders, always, on one gateway at a time; and what that found, as Prometheus reads it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::MissedTickBehavior;

use crate::clock::now_ms;
use crate::reconcile::Reconcile;
use crate::reconcile::missing::{CampaignFigures, Figures, Looks};
use crate::ruleset::Ruleset;

/// Between rounds; each looks only at the campaigns whose turn it is.
const EVERY: Duration = Duration::from_secs(2);

/// What was found so far, for the registry.
#[derive(Debug, Default)]
pub(super) struct MissingFigures(Mutex<Figures>);

/// Starts it; ends with the process.
pub(super) fn spawn(reconcile: Arc<Reconcile>, ruleset: Arc<Ruleset>) -> Arc<MissingFigures> {
    let figures = Arc::new(MissingFigures::default());
    let told = figures.clone();
    tokio::spawn(async move {
        let mut looks = Looks::default();
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // An outage is told when it begins, and again when its cause changes.
        let mut last = String::new();
        loop {
            tick.tick().await;
            // The right to look runs out, and goes to a gateway that can send them again.
            if reconcile.halted().is_some() {
                continue;
            }
            looks.rest(now_ms(), |campaign| ruleset.is_quiet(campaign));
            let why = match reconcile.find_missing(&mut looks, now_ms()).await {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            };
            if !why.is_empty() && why != last {
                tracing::warn!(error = why, "missing orders are not looked for, for now");
            }
            last = why;
            *told.0.lock().unwrap_or_else(PoisonError::into_inner) = looks.figures.clone();
        }
    });
    figures
}

/// The collector over them.
#[derive(Debug)]
pub(super) struct MissingCollector(pub(super) Arc<MissingFigures>);

type Of = fn(&CampaignFigures) -> i64;

const GAUGES: [(&str, &str, Of); 4] = [
    (
        "missing_units",
        "Units that were admitted and nobody has, by campaign, of the newest look",
        |of| of.units,
    ),
    (
        "surplus_units",
        "Units that are on sale and that somebody has, by campaign, of the newest look",
        |of| of.surplus,
    ),
    (
        "missing_orders",
        "Orders that were admitted and nobody had, of the newest scan; those that could be were sent again",
        |of| i64::try_from(of.orders).unwrap_or(i64::MAX),
    ),
    (
        "missing_orders_for_operator",
        "Of these, orders that cannot be sent again by themselves",
        |of| i64::try_from(of.for_operator).unwrap_or(i64::MAX),
    ),
];

impl Collector for MissingCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, help, value) in [
            (
                "missing_orders_sent_again",
                "Orders that nobody had and that were sent again",
                figures.sent_again,
            ),
            (
                "missing_scans",
                "Times that all orders of a campaign were read to name the missing ones",
                figures.scans,
            ),
            (
                "missing_looks_failed",
                "Looks for missing orders that failed",
                figures.failed,
            ),
        ] {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        for (name, help, value) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (campaign, of) in &figures.campaigns {
                let labels = [("campaign", campaign.as_str())];
                ConstGauge::new(value(of)).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
