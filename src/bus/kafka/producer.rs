//! The producing side: idempotent, acknowledged by all in-sync replicas, keyed as Java clients do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};

use super::delivery::{Batch, Reports, Ticket, Waiting};
use super::lanes::Lanes;
use super::{ASK_LIMIT, Config, unusable};
use crate::bus::{Acknowledge, BusError, Forward, Outbound, Producer, sealed};

type Client = ThreadedProducer<Reports>;

/// The option that bounds what librdkafka holds, and with it what waits for it.
const QUEUE: &str = "queue.buffering.max.messages";
const ORDERS_MAX: u32 = 500_000;
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
            delivery_timeout: config.producer_ms("message.timeout.ms", config.delivery_timeout_ms),
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
            tokio::task::spawn_blocking(move || question(&config, &client))
                .await
                .unwrap_or_else(|error| Err(BusError::Fatal(error.to_string())))
        })
    }
}

/// Hands waiting orders over when their lane is free, until the producer is gone.
fn release(shared: &Weak<Shared>, freed: &Receiver<usize>) {
    for lane in freed {
        match shared.upgrade() {
            Some(shared) => shared.release(lane),
            None => break,
        }
    }
}

impl Shared {
    /// The client, after making a new one where the old one is dead.
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
        // Dropping answers what the dead client still held, and takes up to half a second.
        std::thread::spawn(move || drop(client));
        Ok(fresh)
    }

    /// A batch to fill, and the client to send it with; `None` where it is answered already.
    fn begin(&self, records: usize, acknowledge: Acknowledge) -> Option<(Arc<Client>, Arc<Batch>)> {
        if records == 0 {
            acknowledge(Ok(()));
            return None;
        }
        match self.client() {
            Ok(client) => Some((client, Batch::new(records, acknowledge, self.in_flight.clone()))),
            Err(error) => {
                acknowledge(Err(error));
                None
            }
        }
    }

    /// Hands an order over, or leaves it waiting in its lane.
    fn enter(&self, client: &Client, waiting: Waiting) {
        let Some(number) = self.lanes.of(waiting.order.key.as_bytes()) else {
            if let Err(error) = self.hand_over(client, &waiting, None) {
                waiting.batch.fail(1, error);
            }
            return;
        };
        let since = waiting.since;
        let mut lane = self.lanes.lock(number);
        let Some(order) = lane.enter(waiting, since, self.linger) else {
            return;
        };
        // Under the lock, which keeps orders of one key in order.
        let handed = self.hand_over(client, &order, Some(number));
        drop(lane);
        self.settle(number, &order, handed);
    }

    fn release(&self, number: usize) {
        let client = self.client();
        let mut lane = self.lanes.lock(number);
        let orders = lane.release(Instant::now());
        let hand_over = |order: &Waiting| match &client {
            _ if order.since.elapsed() > self.delivery_timeout => Err("it waited too long".to_owned()),
            Ok(client) => self.hand_over(client, order, Some(number)),
            Err(error) => Err(error.to_string()),
        };
        let handed: Vec<_> = orders.iter().map(hand_over).collect();
        drop(lane);
        for (order, handed) in orders.iter().zip(handed) {
            self.settle(number, order, handed);
        }
    }

    /// What librdkafka did not take is no longer on its way.
    fn settle(&self, lane: usize, order: &Waiting, handed: Result<(), String>) {
        if let Err(error) = handed {
            self.lanes.leave(lane);
            order.batch.fail(1, error);
        }
    }

    fn hand_over(&self, client: &Client, waiting: &Waiting, lane: Option<usize>) -> Result<(), String> {
        let batch = waiting.batch.clone();
        let (key, payload) = (waiting.order.key.as_bytes(), waiting.order.payload.as_slice());
        let mut record = BaseRecord::with_opaque_to(&self.config.topic, Box::new(Ticket { batch, lane }))
            .key(key)
            .payload(payload);
        if let Some(keys) = &self.config.seal {
            let seal = sealed::of_order(keys, &self.config.topic, key, payload);
            record = record.headers(owned(&[seal]));
        }
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
            // Between two requests of a lane librdkafka has nothing.
            tokio::time::sleep(FLUSH_EVERY).await;
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for waiting in self.lanes.clear() {
            waiting.batch.fail(1, "the producer was closed");
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

fn forwarded(record: &Forward, batch: Arc<Batch>) -> BaseRecord<'_, [u8], [u8], Box<Ticket>> {
    let ticket = Ticket { batch, lane: None };
    let base = BaseRecord::with_opaque_to(&record.topic, Box::new(ticket))
        .key(record.key.as_slice())
        .payload(record.payload.as_slice())
        .headers(owned(&record.headers));
    match record.partition {
        Some(partition) => base.partition(partition),
        None => base,
    }
}

fn owned(headers: &[(String, Vec<u8>)]) -> OwnedHeaders {
    let room = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(room, |owned, (key, value)| {
        owned.insert(Header {
            key,
            value: Some(value),
        })
    })
}

fn connect(config: &Config, lanes: &Arc<Lanes<Waiting>>) -> Result<Client, BusError> {
    let own = [
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("compression.type", "lz4"),
        ("partitioner", "murmur2_random"),
        ("linger.ms", &config.linger_ms.to_string()),
        ("message.timeout.ms", &config.delivery_timeout_ms.to_string()),
        (QUEUE, &ORDERS_MAX.to_string()),
    ];
    config
        .client(&own, &config.producer)
        .create_with_context(Reports::new(lanes.clone()))
        .map_err(unusable)
}

impl Producer for KafkaProducer {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn publish(&self, orders: Vec<Outbound>, acknowledge: Acknowledge) {
        let all = orders.len();
        let room = self.shared.orders_max.saturating_sub(self.in_flight());
        let Some((client, batch)) = self.shared.begin(all, acknowledge) else {
            return;
        };
        let since = Instant::now();
        for order in orders.into_iter().take(room) {
            let batch = batch.clone();
            self.shared.enter(&client, Waiting { order, batch, since });
        }
        if all > room {
            // The outbox keeps what does not fit.
            batch.fail(all - room, "too many orders wait for Kafka already");
        }
    }

    fn forward(&self, mut records: Vec<Forward>, acknowledge: Acknowledge) {
        if let Some(keys) = &self.shared.config.seal {
            records.iter_mut().for_each(|record| sealed::put(keys, record));
        }
        let Some((client, batch)) = self.shared.begin(records.len(), acknowledge) else {
            return;
        };
        for (sent, record) in records.iter().enumerate() {
            if let Err((error, _)) = client.send(forwarded(record, batch.clone())) {
                client.context().note(&error);
                return batch.fail(records.len() - sent, error);
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Acquire)
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool> {
        Box::pin(self.shared.flush(limit))
    }

    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        let topic = topic.to_owned();
        let lanes = self.shared.lanes.clone();
        self.ask(move |config, client| {
            let mut watermarks = BTreeMap::new();
            for partition in partitions(config, client, &lanes, &topic)? {
                let (_, high) = client
                    .client()
                    .fetch_watermarks(&topic, partition, ASK_LIMIT)
                    .map_err(|error| config.unreachable(&error))?;
                watermarks.insert(partition, high);
            }
            Ok(watermarks)
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
        config.extra.insert("no.such.option".into(), "1".into());
        let error = KafkaProducer::new(config).err().expect("refused");
        assert!(error.to_string().contains("no.such.option"), "{error}");
    }
}
