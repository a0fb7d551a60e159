//! The producing side: idempotent, acknowledged by all in-sync replicas, keyed as Java clients do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};

use super::{ASK_LIMIT, Config, is_fatal, unusable};
use crate::bus::{Acknowledge, BusError, Forward, Outbound, Producer};

/// One published batch; the last delivery report of its orders answers it.
struct Batch {
    left: AtomicUsize,
    failure: Mutex<Option<BusError>>,
    acknowledge: Mutex<Option<Acknowledge>>,
    in_flight: Arc<AtomicUsize>,
}

impl Batch {
    /// `orders` of the batch are done; the first failure is the batch's answer.
    fn done(&self, orders: usize, failure: Option<BusError>) {
        if let Some(failure) = failure {
            let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(failure);
        }
        self.in_flight.fetch_sub(orders, Ordering::AcqRel);
        if self.left.fetch_sub(orders, Ordering::AcqRel) == orders {
            let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            let acknowledge = self
                .acknowledge
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(acknowledge) = acknowledge {
                acknowledge(failure.map_or(Ok(()), Err));
            }
        }
    }
}

/// Receives what librdkafka reports.
#[derive(Default)]
struct Reports {
    /// The idempotent producer has lost its place for good: only a new one helps.
    fatal: AtomicBool,
}

impl Reports {
    fn note(&self, error: &KafkaError) {
        if is_fatal(error) {
            self.fatal.store(true, Ordering::Release);
        }
    }
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error);
        tracing::warn!(%error, reason, "kafka producer");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Arc<Batch>) {
        match result {
            Ok(_) => batch.done(1, None),
            Err((error, _)) => {
                self.note(error);
                batch.done(1, Some(BusError::Unacknowledged(error.to_string())));
            }
        }
    }
}

type Client = ThreadedProducer<Reports>;

/// The producing side.
pub struct KafkaProducer {
    config: Config,
    client: ArcSwap<Client>,
    rebuilding: Mutex<()>,
    in_flight: Arc<AtomicUsize>,
}

impl KafkaProducer {
    /// Makes the client; it connects by itself, now or later. `Fatal` for a wrong option.
    pub fn new(config: Config) -> Result<Self, BusError> {
        let client = connect(&config)?;
        Ok(Self {
            config,
            client: ArcSwap::from_pointee(client),
            rebuilding: Mutex::new(()),
            in_flight: Arc::default(),
        })
    }

    /// The client, after making a new one where the old one is dead.
    fn client(&self) -> Result<Arc<Client>, BusError> {
        let client = self.client.load_full();
        if !client.context().fatal.load(Ordering::Acquire) {
            return Ok(client);
        }
        let _one = self.rebuilding.lock().unwrap_or_else(PoisonError::into_inner);
        let client = self.client.load_full();
        if !client.context().fatal.load(Ordering::Acquire) {
            return Ok(client);
        }
        tracing::warn!("the kafka producer met a fatal error and is made anew");
        let fresh = Arc::new(connect(&self.config)?);
        self.client.store(fresh.clone());
        // Dropping answers what the dead client still held, and takes up to half a second.
        std::thread::spawn(move || drop(client));
        Ok(fresh)
    }

    /// Enqueues all of them, or as many as fit: the others are answered as not acknowledged.
    fn send<'r, T>(
        &'r self,
        all: &'r [T],
        acknowledge: Acknowledge,
        record: impl Fn(&'r T, Arc<Batch>) -> BaseRecord<'r, [u8], [u8], Arc<Batch>>,
    ) {
        if all.is_empty() {
            return acknowledge(Ok(()));
        }
        let client = match self.client() {
            Ok(client) => client,
            Err(error) => return acknowledge(Err(error)),
        };
        self.in_flight.fetch_add(all.len(), Ordering::AcqRel);
        let batch = Arc::new(Batch {
            left: AtomicUsize::new(all.len()),
            failure: Mutex::new(None),
            acknowledge: Mutex::new(Some(acknowledge)),
            in_flight: self.in_flight.clone(),
        });
        for (sent, each) in all.iter().enumerate() {
            if let Err((error, _)) = client.send(record(each, batch.clone())) {
                // The queue is full, most likely: waiting here would hold up the caller, and the
                // outbox keeps what was not sent.
                client.context().note(&error);
                batch.done(
                    all.len() - sent,
                    Some(BusError::Unacknowledged(error.to_string())),
                );
                break;
            }
        }
    }

    /// Runs a blocking question on a thread that may block.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Config, &Client) -> Result<T, BusError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, BusError>> {
        let config = self.config.clone();
        let client = self.client();
        Box::pin(async move {
            let client = client?;
            tokio::task::spawn_blocking(move || question(&config, &client))
                .await
                .unwrap_or_else(|error| Err(BusError::Fatal(error.to_string())))
        })
    }
}

fn forwarded(record: &Forward, batch: Arc<Batch>) -> BaseRecord<'_, [u8], [u8], Arc<Batch>> {
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        });
    let base = BaseRecord::with_opaque_to(&record.topic, batch)
        .key(record.key.as_slice())
        .payload(record.payload.as_slice())
        .headers(headers);
    match record.partition {
        Some(partition) => base.partition(partition),
        None => base,
    }
}

fn connect(config: &Config) -> Result<Client, BusError> {
    let own = [
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("compression.type", "lz4"),
        ("partitioner", "murmur2_random"),
        ("linger.ms", &config.linger_ms.to_string()),
        ("message.timeout.ms", &config.delivery_timeout_ms.to_string()),
        ("queue.buffering.max.messages", "500000"),
    ];
    config
        .client(&own, &config.producer)
        .create_with_context(Reports::default())
        .map_err(unusable)
}

impl Producer for KafkaProducer {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn publish(&self, orders: Vec<Outbound>, acknowledge: Acknowledge) {
        self.send(&orders, acknowledge, |order, batch| {
            BaseRecord::with_opaque_to(&self.config.topic, batch)
                .key(order.key.as_bytes())
                .payload(order.payload.as_slice())
        });
    }

    fn forward(&self, records: Vec<Forward>, acknowledge: Acknowledge) {
        self.send(&records, acknowledge, forwarded);
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool> {
        let client = self.client.load_full();
        Box::pin(async move {
            let flushed = tokio::task::spawn_blocking(move || client.flush(limit).is_ok()).await;
            flushed.unwrap_or(false)
        })
    }

    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        let topic = topic.to_owned();
        self.ask(move |config, client| {
            let mut watermarks = BTreeMap::new();
            for partition in config.partitions(client.client(), &topic)? {
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
        self.ask(|config, client| config.partitions(client.client(), &config.topic).map(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_batch_answers_once_with_its_first_failure() {
        let (sender, answer) = mpsc::channel();
        let batch = Batch {
            left: AtomicUsize::new(3),
            failure: Mutex::new(None),
            acknowledge: Mutex::new(Some(Box::new(move |result| {
                sender.send(result).expect("waited for");
            }))),
            in_flight: Arc::new(AtomicUsize::new(3)),
        };
        batch.done(1, None);
        batch.done(1, Some(BusError::Unacknowledged("first".into())));
        assert!(answer.try_recv().is_err());
        batch.done(1, Some(BusError::Unacknowledged("second".into())));
        assert_eq!(answer.recv(), Ok(Err(BusError::Unacknowledged("first".into()))));
        assert_eq!(batch.in_flight.load(Ordering::Acquire), 0);
    }

    #[test]
    fn a_dead_client_is_replaced_once() {
        let producer = KafkaProducer::new(Config::new("127.0.0.1:1")).expect("made");
        let dead = producer.client().expect("there");
        dead.context().note(&KafkaError::MessageProduction(
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
