//! How the keys of tokens stand, for Prometheus.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Auth, Issuers};

/// Of whatever checks tokens now, and of merchants' issuers. No label names a merchant: their number has no bound.
pub(in crate::gateway) struct KeyFigures(
    pub(in crate::gateway) Arc<ArcSwap<Auth>>,
    pub(in crate::gateway) Arc<Issuers>,
);

impl fmt::Debug for KeyFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFigures")
    }
}

impl Collector for KeyFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let issuers = self.1.counts();
        for (name, help, value) in [
            (
                "issuers",
                "Merchants whose buyers have an issuer of their own",
                issuers.all,
            ),
            (
                "issuers_unread",
                "Of them, those whose keys cannot be read; those read last are used",
                issuers.unread,
            ),
            (
                "issuers_without_keys",
                "Of them, those without any keys: their buyers cannot order",
                issuers.without,
            ),
        ] {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let auth = self.0.load();
        // A gateway for trying out has no keys, and nothing is wrong with that.
        let Some(keeper) = &auth.keeper else {
            return Ok(());
        };
        let status = keeper.status();
        let mut gauge = |name: &str, help: &str, value: i64| {
            let metric = ConstGauge::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        gauge(
            "token_keys",
            "Keys that tokens are checked with; with 0 nobody can order",
            i64::try_from(status.keys).unwrap_or(i64::MAX),
        )?;
        if let Some(age) = status.age {
            let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
            gauge(
                "token_keys_age_seconds",
                "Since the keys of tokens could be read last",
                seconds,
            )?;
        }
        gauge(
            "token_keys_unread",
            "1 while the keys of tokens cannot be read, and those read last are used",
            i64::from(status.trouble.is_some()),
        )?;
        let help = "Readings of the keys of tokens, by outcome";
        let mut family = encoder.encode_descriptor("token_keys_readings", help, None, MetricType::Counter)?;
        let counts = keeper.counts();
        for (outcome, count) in [("good", &counts.good), ("failed", &counts.failed)] {
            let labels = [("outcome", outcome)];
            count.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
