//! librdkafka's producer as rushgate sets it up, and the records it is given.

use std::sync::Arc;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ThreadedProducer};

use super::delivery::{Reports, Sending, Ticket, Waiting};
use super::lanes::Lanes;
use super::{Config, unusable};
use crate::bus::{BusError, Forward, sealed};

pub(super) type Client = ThreadedProducer<Reports>;
pub(super) type Record<'a> = BaseRecord<'a, [u8], [u8], Box<Ticket>>;

/// The option that bounds what librdkafka holds, and with it what waits for it.
pub(super) const QUEUE: &str = "queue.buffering.max.messages";
pub(super) const ORDERS_MAX: u32 = 500_000;
/// What is sent, as librdkafka takes it. Orders are sealed here; what is moved was, before it waited.
pub(super) fn record<'a>(config: &'a Config, what: &'a Sending, ticket: Box<Ticket>) -> Record<'a> {
    match what {
        Sending::Order(order) => {
            let record = BaseRecord::with_opaque_to(&config.topic, ticket)
                .key(order.key.as_bytes())
                .payload(order.payload.as_slice());
            let record = into(order.partition, record);
            match &config.seal {
                Some(keys) => record.headers(owned(&[sealed::of_order(keys, &config.topic, order)])),
                None => record,
            }
        }
        Sending::Moved(record) => moved(record, ticket),
    }
}

fn moved(record: &Forward, ticket: Box<Ticket>) -> Record<'_> {
    let base = BaseRecord::with_opaque_to(&record.topic, ticket)
        .key(record.key.as_slice())
        .payload(record.payload.as_slice())
        .headers(owned(&record.headers));
    into(record.partition, base)
}

fn into(partition: Option<i32>, record: Record<'_>) -> Record<'_> {
    match partition {
        Some(partition) => record.partition(partition),
        None => record,
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

/// Makes the client; it connects by itself, now or later. `Fatal` for a wrong option.
pub(super) fn connect(config: &Config, lanes: &Arc<Lanes<Waiting>>) -> Result<Client, BusError> {
    let own = [
        // With it, librdkafka reports records as delivered that no broker has: docs/PRODUCER.md.
        ("enable.idempotence", "false"),
        ("acks", "all"),
        ("compression.type", "lz4"),
        ("partitioner", "murmur2_random"),
        ("linger.ms", &config.linger_ms.to_string()),
        ("message.timeout.ms", &config.delivery_timeout_ms.to_string()),
        (QUEUE, &ORDERS_MAX.to_string()),
    ];
    config
        .hearing(&own, &config.producer)
        .create_with_context(Reports::new(lanes.clone()))
        .map_err(unusable)
}
