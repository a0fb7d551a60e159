//! The producing side: acknowledged by all in-sync replicas; each order to its lane's partition, or, without one, keyed as
//! Java clients do. docs/PRODUCER.md says why no report that a record was delivered can be wrong.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use rdkafka::producer::{Producer as _, PurgeConfig};

use super::Config;
use super::client::{Client, ORDERS_MAX, QUEUE, connect, record};
use super::delivery::{Batch, CLOSED, Sending, Ticket, Waiting, go_on};
use super::lanes::{Free, Lanes};
use super::marks::Asker;
use crate::bus::{Acknowledge, BusError, Forward, Outbound, Producer, sealed};
use crate::seldom::Seldom;

/// A dead client answers what it held within this.
const DEAD_ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Between looks at whether everything is answered.
const FLUSH_EVERY: Duration = Duration::from_millis(1);

/// The producing side.
pub struct KafkaProducer {
    shared: Arc<Shared>,
}

/// What the thread that releases waiting orders works with, too.
struct Shared {
    config: Config,
    client: ArcSwap<Client>,
    rebuilding: Mutex<()>,
    in_flight: Arc<AtomicUsize>,
    lanes: Arc<Lanes<Waiting>>,
    /// Orders in flight at most, those that wait in their lane included.
    orders_max: usize,
    linger: Duration,
    delivery_timeout: Duration,
    /// Made when first needed.
    asker: Mutex<Option<Arc<Asker>>>,
    /// Orders whose partition the topic does not have.
    astray: Mutex<Seldom>,
}

impl KafkaProducer {
    /// Makes the client; it connects by itself, now or later. `Fatal` for a wrong option.
    pub fn new(config: Config) -> Result<Self, BusError> {
        let (free, freed) = mpsc::channel();
        let lanes = Arc::new(Lanes::new(free));
        let client = connect(&config, &lanes)?;
        let shared = Arc::new(Shared {
            orders_max: match config.producer_number(QUEUE, ORDERS_MAX) as usize {
                // As librdkafka takes it.
                0 => usize::MAX,
                orders => orders,
            },
            linger: config.producer_ms("linger.ms", config.linger_ms),
            delivery_timeout: match config.producer_ms("message.timeout.ms", config.delivery_timeout_ms) {
                // As librdkafka takes it.
                Duration::ZERO => Duration::MAX,
                timeout => timeout,
            },
            asker: Mutex::default(),
            astray: Mutex::default(),
            config,
            client: ArcSwap::from_pointee(client),
            rebuilding: Mutex::new(()),
            in_flight: Arc::default(),
            lanes,
        });
        let weak = Arc::downgrade(&shared);
        let thread = std::thread::Builder::new().name("kafka lanes".to_owned());
        let thread = thread.spawn(move || release(&weak, &freed));
        thread.map_err(|error| BusError::Fatal(format!("no thread for the producer: {error}")))?;
        Ok(Self { shared })
    }

    fn client(&self) -> Result<Arc<Client>, BusError> {
        self.shared.client()
    }

    /// Runs a blocking question on a thread that may block.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Config, &Client) -> Result<T, BusError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, BusError>> {
        let config = self.shared.config.clone();
        let client = self.client();
        Box::pin(async move {
            let client = client?;
            let asked =
                move || question(&config, &client).map_err(|error| client.context().heard.told(error));
            tokio::task::spawn_blocking(asked)
                .await
                .unwrap_or_else(|error| Err(BusError::Fatal(error.to_string())))
        })
    }
}

/// Hands waiting records over when they may go on, until the producer is gone.
fn release(shared: &Weak<Shared>, freed: &Receiver<Free<Waiting>>) {
    for free in freed {
        match (shared.upgrade(), free) {
            (Some(shared), Free::Lane(lane)) => shared.release(lane),
            (Some(shared), Free::Next(next)) => shared.go(next, Instant::now()),
            // Who waits in a lane has been answered by then.
            (None, Free::Lane(_)) => {}
            (None, Free::Next(next)) => next.batch.fail(1, CLOSED),
        }
    }
}

impl Shared {
    /// The client, after making a new one where the old one is dead: only one that is idempotent, by an option that
    /// was set by hand, can meet a fatal error.
    fn client(&self) -> Result<Arc<Client>, BusError> {
        let client = self.client.load_full();
        if !client.context().is_fatal() {
            return Ok(client);
        }
        let _one = self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
        let client = self.client.load_full();
        if !client.context().is_fatal() {
            return Ok(client);
        }
        tracing::warn!("the kafka producer met a fatal error and is made anew");
        let fresh = Arc::new(connect(&self.config, &self.lanes)?);
        self.client.store(fresh.clone());
        std::thread::spawn(move || {
            // What the dead client held is answered before it goes: whatever is not would be on its way for ever.
            client.purge(PurgeConfig::default().queue().inflight());
            if let Err(error) = client.flush(DEAD_ANSWER_WITHIN) {
                tracing::error!(%error, "a dead kafka producer does not answer what it held");
            }
        });
        Ok(fresh)
    }

    /// Who asks for watermarks.
    fn asker(&self) -> Result<Arc<Asker>, BusError> {
        let mut asker = self.asker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(asker) = &*asker {
            return Ok(asker.clone());
        }
        let made = Arc::new(Asker::new(&self.config)?);
        Ok(asker.insert(made).clone())
    }

    /// A batch to fill; `None` where it is answered already.
    fn begin(&self, records: usize, acknowledge: Acknowledge) -> Option<Arc<Batch>> {
        if records == 0 {
            acknowledge(Ok(()));
            return None;
        }
        let acknowledge = self.config.halt.enter(acknowledge)?;
        Some(Batch::new(records, acknowledge, self.in_flight.clone()))
    }

    /// The partition of an order, or, where the orders topic does not have it, another one, always the same: the topic was
    /// made anew with fewer, or this process has not heard yet that it was given more. Landing reads them all.
    fn there(&self, partition: Option<i32>) -> Option<i32> {
        let Some((named, partitions)) = partition.zip(self.lanes.partitions()) else {
            return partition;
        };
        let partitions = i32::try_from(partitions.get()).unwrap_or(i32::MAX);
        if named < partitions {
            return partition;
        }
        let instead = named % partitions;
        let mut astray = self.astray.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(orders) = astray.met(&format!("{named} of {partitions}"), Instant::now()) {
            let topic = &self.config.topic;
            tracing::warn!(
                topic,
                partition = named,
                partitions,
                instead,
                orders,
                "the topic lacks a partition that orders are for: they go to another one"
            );
        }
        Some(instead)
    }

    /// Lets a record go on, or wait for its key's turn.
    fn enter(&self, what: Sending, batch: &Arc<Batch>, since: Instant) {
        let turn = self.lanes.turn(what.in_turn());
        let waiting = Waiting {
            what,
            batch: batch.clone(),
            since,
            turn,
        };
        if let Some(waiting) = self.lanes.take(turn, waiting) {
            self.go(waiting, since);
        }
    }

    /// Hands over a record whose turn it is, or leaves it waiting in its lane. Only orders have lanes.
    fn go(&self, waiting: Waiting, now: Instant) {
        let client = self.client();
        let Sending::Order(order) = &waiting.what else {
            let handed = self.hand_over(&client, &waiting, None);
            return self.end_waiting(None, &waiting, handed);
        };
        let (number, mut lane) = self.lanes.lock_of(order);
        let Some(waiting) = lane.enter(waiting, now, self.linger) else {
            return;
        };
        // Under the lock, as what waited before it is.
        let handed = self.hand_over(&client, &waiting, Some(number));
        drop(lane);
        self.end_waiting(Some(number), &waiting, handed);
    }

    fn release(&self, number: usize) {
        let client = self.client();
        let mut lane = self.lanes.lock(number);
        let waiting = lane.release(Instant::now());
        let handed: Vec<_> = waiting
            .iter()
            .map(|waiting| self.hand_over(&client, waiting, Some(number)))
            .collect();
        drop(lane);
        for (waiting, handed) in waiting.iter().zip(handed) {
            self.end_waiting(Some(number), waiting, handed);
        }
    }

    /// What librdkafka did not take is no longer on its way.
    fn end_waiting(&self, lane: Option<usize>, waiting: &Waiting, handed: Result<(), String>) {
        if let Err(error) = handed {
            go_on(&self.lanes, lane, waiting.turn);
            waiting.batch.fail(1, error);
        }
    }

    fn hand_over(
        &self,
        client: &Result<Arc<Client>, BusError>,
        waiting: &Waiting,
        lane: Option<usize>,
    ) -> Result<(), String> {
        if let Some(why) = self.config.halt.why() {
            return Err(why.to_owned());
        }
        if waiting.since.elapsed() > self.delivery_timeout {
            return Err("it waited too long".to_owned());
        }
        let client = client.as_ref().map_err(ToString::to_string)?;
        let ticket = Box::new(Ticket {
            batch: waiting.batch.clone(),
            lane,
            turn: waiting.turn,
            number: client.context().number(),
        });
        let record = record(&self.config, &waiting.what, ticket);
        client.send(record).map_err(|(error, _)| {
            client.context().note(&error);
            error.to_string()
        })
    }

    /// Waits until everything is answered, also what still waits in its lane.
    async fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let client = self.client.load_full();
            let flushed = tokio::task::spawn_blocking(move || client.flush(left).is_ok()).await;
            if self.in_flight.load(Ordering::Acquire) == 0 {
                return true;
            }
            if left.is_zero() || !flushed.unwrap_or(false) {
                return false;
            }
            // Between two requests of a lane, or two records of a key, librdkafka has nothing.
            tokio::time::sleep(FLUSH_EVERY).await;
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for waiting in self.lanes.clear() {
            waiting.batch.fail(1, CLOSED);
        }
    }
}

/// Partitions of a topic; the lanes learn how many the orders have. Blocks.
fn partitions(
    config: &Config,
    client: &Client,
    lanes: &Lanes<Waiting>,
    topic: &str,
) -> Result<Vec<i32>, BusError> {
    let partitions = config.partitions(client.client(), topic)?;
    if topic == config.topic {
        lanes.set_partitions(partitions.len());
    }
    Ok(partitions)
}

impl Producer for KafkaProducer {
    fn orders_topic(&self) -> &str {
        &self.shared.config.topic
    }

    fn publish(&self, orders: Vec<Outbound>, acknowledge: Acknowledge) {
        let all = orders.len();
        let room = self.shared.orders_max.saturating_sub(self.in_flight());
        let Some(batch) = self.shared.begin(all, acknowledge) else {
            return;
        };
        let since = Instant::now();
        for order in orders.into_iter().take(room) {
            let partition = self.shared.there(order.partition);
            let order = Outbound { partition, ..order };
            self.shared.enter(Sending::Order(order), &batch, since);
        }
        if all > room {
            // The outbox keeps what does not fit.
            batch.fail(all - room, "too many orders wait for Kafka already");
        }
    }

    fn forward(&self, mut records: Vec<Forward>, acknowledge: Acknowledge) {
        for record in &mut records {
            if record.topic == self.shared.config.topic {
                record.partition = self.shared.there(record.partition);
            }
        }
        if let Some(keys) = &self.shared.config.seal {
            records.iter_mut().for_each(|record| sealed::put(keys, record));
        }
        let Some(batch) = self.shared.begin(records.len(), acknowledge) else {
            return;
        };
        let since = Instant::now();
        for record in records {
            self.shared.enter(Sending::Moved(record), &batch, since);
        }
    }

    fn halted(&self) -> Option<&str> {
        self.shared.config.halt.why()
    }

    fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Acquire)
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool> {
        Box::pin(self.shared.flush(limit))
    }

    fn partitions(&self) -> BoxFuture<'_, Result<u32, BusError>> {
        let lanes = self.shared.lanes.clone();
        self.ask(move |config, client| {
            let asked = partitions(config, client, &lanes, &config.topic).map(|all| all.len());
            let heard = || lanes.partitions().map(NonZeroUsize::get);
            let count = asked.or_else(|error| heard().ok_or(error))?;
            Ok(u32::try_from(count).unwrap_or(u32::MAX))
        })
    }

    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        let topic = topic.to_owned();
        let lanes = self.shared.lanes.clone();
        let asker = self.shared.asker();
        self.ask(move |config, client| {
            let partitions = partitions(config, client, &lanes, &topic)?;
            asker?.ends(config, &topic, &partitions)
        })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>> {
        let lanes = self.shared.lanes.clone();
        self.ask(move |config, client| partitions(config, client, &lanes, &config.topic).map(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_client_is_replaced_once() {
        let producer = KafkaProducer::new(Config::new("127.0.0.1:1")).expect("made");
        let dead = producer.client().expect("there");
        dead.context()
            .note(&rdkafka::error::KafkaError::MessageProduction(
                rdkafka::types::RDKafkaErrorCode::Fatal,
            ));
        let fresh = producer.client().expect("made anew");
        assert!(!Arc::ptr_eq(&dead, &fresh));
        assert!(Arc::ptr_eq(&fresh, &producer.client().expect("there")));
    }

    #[test]
    fn a_wrong_option_is_named() {
        let mut config = Config::new("127.0.0.1:1");
        config.options.insert("no.such.option".into(), "1".into());
        let error = KafkaProducer::new(config).err().expect("refused");
        assert!(error.to_string().contains("no.such.option"), "{error}");
    }
}
