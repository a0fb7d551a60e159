//! What is in Kafka: every record of the campaign in every topic of the pipeline.

use anyhow::Result;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use rushgate::bus::origin;
use rushgate::order::{OrderEvent, Ordinal};
use rushgate::record;
use testkit::topics::{self, Offsets};

const ORDERS: &str = "rushgate.orders";

/// One order of a record of the orders topic.
#[derive(Clone, Debug)]
pub struct Copy {
    pub order: String,
    /// Its buyer's: campaign and user.
    pub key: Vec<u8>,
    /// Its shard, and where it stands among the orders of it, where its record says so.
    pub turn: Option<(u32, Ordinal)>,
    pub placed_at: i64,
    pub quantity: u32,
}

/// What the topics hold of one campaign.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// The orders topic, partition by partition in the order of offsets, without what was sent there again.
    pub orders: Vec<Copy>,
    /// Orders of the orders topic, and records of it, that are nobody's.
    pub unreadable: u64,
    /// Records in the retry topics.
    pub retried: u64,
    /// Records among the dead letters.
    pub dead: u64,
    /// Records sent to the orders topic again, out of the dead letters.
    pub replayed: u64,
}

/// Reads every topic whose name begins like the orders topic, up to where it ends now.
pub fn read(brokers: &str, campaign: &str, since: &Offsets) -> Result<Logs> {
    let mut logs = Logs::default();
    let is_ours = |topic: &str| topic.starts_with(ORDERS);
    topics::each(brokers, campaign, (&is_ours, since), |message| {
        note(&mut logs, message);
        Ok(())
    })?;
    Ok(logs)
}

fn note(logs: &mut Logs, message: &BorrowedMessage<'_>) {
    let topic = message.topic();
    if topic.ends_with(".dlt") {
        logs.dead += 1;
    } else if topic != ORDERS {
        logs.retried += 1;
    } else if is_moved(message) {
        logs.replayed += 1;
    } else {
        for event in orders(message.payload().unwrap_or_default()) {
            match event {
                Some(event) if event.quantity > 0 => logs.orders.push(Copy {
                    order: event.order.to_string(),
                    key: event.key().into_bytes(),
                    turn: event.ordinal.map(|ordinal| (event.shard, ordinal)),
                    placed_at: event.placed_at,
                    quantity: event.quantity,
                }),
                _ => logs.unreadable += 1,
            }
        }
    }
}

/// Whether it says where it was first.
fn is_moved(message: &BorrowedMessage<'_>) -> bool {
    use rdkafka::message::Headers as _;
    rdkafka::message::Message::headers(message)
        .is_some_and(|headers| headers.iter().any(|header| header.key == origin::TOPIC))
}

/// The orders of a record; `None` for each that cannot be read.
fn orders(bytes: &[u8]) -> Vec<Option<OrderEvent>> {
    match record::orders(bytes) {
        Ok(orders) => orders.into_iter().map(Result::ok).collect(),
        Err(_) => vec![None],
    }
}
