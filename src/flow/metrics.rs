//! How far landing is behind, for Prometheus, and how many orders were not taken for it.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::{Flow, Partition};
use crate::metrics::{self, gauge, gauges, metrics};

metrics! {
    /// What is counted of orders.
    pub struct Metrics {
        /// Orders not taken because landing was behind
        pub shed: Counter = "admission_orders_shed";
    }
}

/// Topic and number of a partition.
type Labels = [(&'static str, String); 2];

fn labels(partition: &Partition) -> Labels {
    [
        ("topic", partition.topic.clone()),
        ("partition", partition.number.to_string()),
    ]
}

impl Flow {
    /// Puts its metrics on the page of a gateway.
    pub fn register(self: &Arc<Self>, registry: &mut Registry) {
        metrics::register(registry, &self.metrics);
        self.register_lag(registry);
    }

    /// Puts on the page how far landing is behind: per partition, owned by a lander or not.
    pub fn register_lag(self: &Arc<Self>, registry: &mut Registry) {
        let flow = self.clone();
        let help = "Records of a partition that have not landed";
        gauges(registry, "landing_lag_records", help, move || {
            flow.told(|partition| i64::try_from(partition.lag).unwrap_or(i64::MAX))
        });
        let flow = self.clone();
        let help = "First offset of a partition that has not landed";
        gauges(registry, "landing_next_offset", help, move || {
            flow.told(|partition| partition.landed)
        });
        let flow = self.clone();
        let help = "Seconds for which nothing has landed of a partition that has records, beyond the delay of its topic";
        gauges(registry, "landing_standstill_seconds", help, move || {
            flow.still_seconds()
        });
        let flow = self.clone();
        let help = "Topics whose lag cannot be read, because Kafka or the database does not answer";
        gauge(registry, "landing_lag_unread", help, move || flow.unread());
    }

    fn told(&self, read: impl Fn(&Partition) -> i64) -> Vec<(Labels, i64)> {
        let partitions = self.partitions();
        partitions
            .iter()
            .map(|partition| (labels(partition), read(partition)))
            .collect()
    }

    /// 0 also while the lag cannot be read, which is told by itself.
    fn still_seconds(&self) -> Vec<(Labels, i64)> {
        let stalled = self.stalled();
        self.told(|partition| {
            let is_it =
                |other: &Partition| (&other.topic, other.number) == (&partition.topic, partition.number);
            let found = stalled.iter().find(|each| is_it(&each.partition));
            found.map_or(0, |each| each.still.as_secs() as i64)
        })
    }
}
