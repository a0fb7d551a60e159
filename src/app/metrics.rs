//! The stages' own counters, as Prometheus reads them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::admission::Admission;
use crate::bus::Producer;
use crate::clock::now_ms;
use crate::flow::{Flow, Partition};
use crate::landing::{self, Awaits, Snapshot};
use crate::relay::Relay;
use crate::sampling::Sample;
use crate::wasm::{Host, PrecheckFigures};

/// Admission and relay of a gateway.
pub(super) struct GatewayFigures {
    pub(super) admission: Arc<Admission>,
    pub(super) relay: Arc<Relay>,
    pub(super) producer: Arc<dyn Producer>,
    pub(super) host: Host,
    pub(super) sample: Arc<Sample>,
    pub(super) flow: Arc<Flow>,
}

impl fmt::Debug for GatewayFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayFigures")
    }
}

impl Collector for GatewayFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.encode_admission(&mut encoder)?;
        self.encode_relay(&mut encoder)?;
        lag(&mut encoder, &self.flow)?;
        self.encode_prechecks(&mut encoder)?;
        self.encode_sample(&mut encoder)
    }
}

impl GatewayFigures {
    fn encode_relay(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let figures = self.relay.figures();
        gauge(
            encoder,
            "relay_entries_in_flight",
            "Entries not settled yet",
            self.relay.in_flight() as i64,
        )?;
        gauge(
            encoder,
            "bus_orders_in_flight",
            "Records not acknowledged yet",
            self.producer.in_flight() as i64,
        )?;
        counter(
            encoder,
            "relay_orders_published",
            "Own orders acknowledged",
            count(&figures.published),
        )?;
        counter(
            encoder,
            "relay_orders_relayed",
            "Orders found in the outbox and published",
            count(&figures.relayed),
        )?;
        counter(
            encoder,
            "relay_records",
            "Records acknowledged that carried those orders",
            count(&figures.records),
        )?;
        counter(
            encoder,
            "relay_batches_failed",
            "Batches not acknowledged",
            count(&figures.failed),
        )?;
        counter(
            encoder,
            "relay_entries_unreadable",
            "Outbox entries that were found to be no orders, or of no revision, each once",
            count(&figures.unreadable),
        )?;
        let help = "Outbox entries that cannot be relayed, of the campaigns this gateway looks after";
        let mut family = encoder.encode_descriptor("relay_entries_stuck", help, None, MetricType::Gauge)?;
        for (campaign, entries) in self.relay.stuck() {
            let labels = [("campaign", campaign.as_str())];
            let entries = i64::try_from(entries).unwrap_or(i64::MAX);
            ConstGauge::new(entries).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn encode_admission(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        gauge(
            encoder,
            "admission_waiting",
            "Attempts waiting for a decision",
            self.admission.waiting() as i64,
        )?;
        gauge(
            encoder,
            "outbox_orders",
            "Orders in the outboxes of all campaigns",
            i64::try_from(self.admission.in_outbox()).unwrap_or(i64::MAX),
        )?;
        gauge(
            encoder,
            "outbox_oldest_milliseconds",
            "Age of the oldest entry of any outbox",
            i64::try_from(self.admission.oldest_ms()).unwrap_or(i64::MAX),
        )?;
        gauge(
            encoder,
            "gates_closed",
            "Campaigns nobody can be admitted to, their state being lost or unverified",
            i64::try_from(self.admission.gates_closed()).unwrap_or(i64::MAX),
        )?;
        gauge(
            encoder,
            "admission_delivery_failing",
            "1 while orders are answered pending at once, because Kafka acknowledges none",
            i64::from(self.admission.delivery_fails()),
        )?;
        counter(
            encoder,
            "admission_orders_shed",
            "Orders not taken because landing was behind",
            self.flow.shed(),
        )
    }

    fn encode_prechecks(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let prechecks = self.host.precheck_figures();
        let runs = prechecks.iter().map(|module| (module, module.runs));
        by_module(encoder, "module_prechecks", "Prechecks run", runs)?;
        let failures = prechecks.iter().map(|module| (module, module.failures));
        by_module(
            encoder,
            "module_precheck_failures",
            "Prechecks that trapped, overran their budget or answered what is not declared",
            failures,
        )
    }

    fn encode_sample(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let figures = self.sample.figures();
        gauge(
            encoder,
            "sample_attempts_waiting",
            "Decided attempts not written yet",
            self.sample.waiting() as i64,
        )?;
        counter(
            encoder,
            "sample_attempts_recorded",
            "Decided attempts written into the sample",
            count(&figures.recorded),
        )?;
        counter(
            encoder,
            "sample_attempts_skipped",
            "Decided attempts of buyers outside of the sample",
            count(&figures.skipped),
        )?;
        counter(
            encoder,
            "sample_attempts_dropped",
            "Decided attempts the sample could not keep up with",
            count(&figures.dropped),
        )
    }
}

/// Landing, by topic.
#[derive(Debug)]
pub(super) struct LandingFigures(Vec<TopicFigures>);

/// What the consumers of one topic did.
#[derive(Clone, Debug)]
pub(super) struct TopicFigures {
    pub topic: String,
    pub consumers: Vec<Arc<landing::Figures>>,
}

impl TopicFigures {
    pub(super) fn read(&self) -> Snapshot {
        let now = now_ms();
        let each = self.consumers.iter().map(|figures| figures.read(now));
        let sum = each.reduce(|mut sum, each| {
            sum.add(each);
            sum
        });
        sum.unwrap_or_default()
    }
}

/// Name, help, and the figure.
type Figure<T> = (&'static str, &'static str, fn(&Snapshot) -> T);

const LANDING_COUNTERS: &[Figure<u64>] = &[
    ("landing_orders_confirmed", "Orders confirmed", |read| read.landed),
    ("landing_orders_revoked", "Orders revoked", |read| read.revoked),
    (
        "landing_orders_duplicate",
        "Orders that were there already",
        |read| read.duplicates,
    ),
    (
        "landing_records_forged",
        "Records that none of ours wrote, passed over",
        |read| read.forged,
    ),
    (
        "landing_records_forged_kept",
        "Of these, records that the database keeps",
        |read| read.forged_kept,
    ),
    (
        "landing_records_unsealed",
        "Records taken without a seal, before the cut-over",
        |read| read.unsealed,
    ),
    ("landing_slices_fenced", "Slices expected elsewhere", |read| {
        read.fenced
    }),
    ("landing_batches", "Batches landed", |read| read.batches),
    ("landing_retries", "Transactions and moves tried again", |read| {
        read.retries
    }),
    (
        "landing_commits_resolved",
        "Commits without an answer that were found out by reading",
        |read| read.commits_resolved,
    ),
    (
        "landing_log_gaps",
        "Times that the log did not hold what the database expected",
        |read| read.gaps,
    ),
    (
        "landing_records_missing",
        "Records that were removed from Kafka before they landed",
        |read| read.missing,
    ),
    (
        "landing_partitions_begun_anew",
        "Times that partitions which stood still were begun anew",
        |read| read.begun_anew,
    ),
    (
        "landing_rebalances",
        "Times that partitions were given or taken",
        |read| read.consumer.rebalances,
    ),
];

const LANDING_GAUGES: &[Figure<i64>] = &[
    (
        "landing_lag_milliseconds",
        "Age of the oldest order in hand",
        |read| read.lag_ms,
    ),
    (
        "landing_guard_tripped",
        "1 while too many records fail to move them away",
        |read| i64::from(read.guard.is_some()),
    ),
    ("landing_partitions_assigned", "Partitions assigned", |read| {
        read.consumer.assigned as i64
    }),
    (
        "landing_partitions_paused",
        "Assigned partitions that wait for their time, or for the database",
        |read| read.consumer.paused as i64,
    ),
];

impl LandingFigures {
    pub(super) fn new(levels: impl IntoIterator<Item = TopicFigures>) -> Self {
        Self(levels.into_iter().collect())
    }
}

impl Collector for LandingFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let read = self.0.iter().map(|level| (&level.topic, level.read()));
        let read: Vec<(&String, Snapshot)> = read.collect();
        for (name, help, value) in LANDING_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (topic, read) in &read {
                let labels = [("topic", topic.as_str())];
                ConstCounter::new(value(read)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, value) in LANDING_GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (topic, read) in &read {
                let labels = [("topic", topic.as_str())];
                ConstGauge::new(value(read)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help =
            "Partitions whose next record waits for a key of seals that this lander lacks, or for a revision";
        let mut family =
            encoder.encode_descriptor("landing_partitions_awaiting", help, None, MetricType::Gauge)?;
        for (topic, read) in &read {
            for what in Awaits::ALL {
                let labels = [("topic", topic.as_str()), ("what", what.as_str())];
                let partitions = read.awaits.get(&what).copied().unwrap_or(0) as i64;
                ConstGauge::new(partitions).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Records that do not land, by the class of their error and the topic they were moved to";
        let mut family =
            encoder.encode_descriptor("landing_records_moved", help, None, MetricType::Counter)?;
        for (topic, read) in &read {
            for ((class, to), records) in &read.moved {
                let labels = [("topic", topic.as_str()), ("class", *class), ("to", to.as_str())];
                ConstCounter::new(*records).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn counter(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let metric = ConstCounter::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// How far landing is behind, as a lander sees it.
pub(super) struct LagFigures(pub(super) Arc<Flow>);

impl fmt::Debug for LagFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LagFigures")
    }
}

impl Collector for LagFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        lag(&mut encoder, &self.0)
    }
}

/// Per partition, owned by a lander or not.
fn lag(encoder: &mut DescriptorEncoder<'_>, flow: &Flow) -> fmt::Result {
    let partitions = flow.partitions();
    let lag = |partition: &Partition| i64::try_from(partition.lag).unwrap_or(i64::MAX);
    for (name, help, read) in [
        (
            "landing_lag_records",
            "Records of a partition that have not landed",
            &lag as &dyn Fn(&Partition) -> i64,
        ),
        (
            "landing_next_offset",
            "First offset of a partition that has not landed",
            &|partition| partition.landed,
        ),
    ] {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for partition in &partitions {
            let number = partition.number.to_string();
            let labels = [("topic", partition.topic.as_str()), ("partition", &number)];
            ConstGauge::new(read(partition)).encode(family.encode_family(&labels)?)?;
        }
    }
    standing(encoder, flow, &partitions)
}

/// For how long nothing has landed of each partition that has records: 0 also while the lag cannot be read, which is
/// told by itself.
fn standing(encoder: &mut DescriptorEncoder<'_>, flow: &Flow, partitions: &[Partition]) -> fmt::Result {
    let still = flow.standing();
    let help =
        "Seconds for which nothing has landed of a partition that has records, beyond the delay of its topic";
    let mut family =
        encoder.encode_descriptor("landing_standstill_seconds", help, None, MetricType::Gauge)?;
    for partition in partitions {
        let found = still.iter().find(|each| {
            each.partition.topic == partition.topic && each.partition.number == partition.number
        });
        let seconds = found.map_or(0, |each| each.still.as_secs() as i64);
        let number = partition.number.to_string();
        let labels = [("topic", partition.topic.as_str()), ("partition", &number)];
        ConstGauge::new(seconds).encode(family.encode_family(&labels)?)?;
    }
    gauge(
        encoder,
        "landing_lag_unread",
        "Topics whose lag cannot be read, because Kafka or the database does not answer",
        i64::try_from(flow.unread()).unwrap_or(i64::MAX),
    )
}

fn by_module<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (&'a PrecheckFigures, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (module, value) in values {
        let labels = [
            ("module", module.module.as_str()),
            ("digest", module.digest.as_str()),
        ];
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    let metric = ConstGauge::new(value);
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
