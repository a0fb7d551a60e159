//! A service that hears of orders: reads the orders topic in a consumer group of its own, and prints a line for each.
//!
//! `cargo run --example notifier -- BROKERS [TOPIC] [GROUP]`, beside `rushgate serve`. What stands in the topic was admitted;
//! whether it landed, and was not revoked, the database says.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Message};
use rushgate::order::{OrderEvent, OrderId};
use rushgate::record;

const POLL: Duration = Duration::from_millis(500);
/// Orders that are remembered: a record comes twice now and then, a mail should not.
const REMEMBERED: usize = 100_000;

/// The orders of one record; those that cannot be read are left out and said.
fn orders(bytes: &[u8]) -> Result<Vec<OrderEvent>> {
    let mut orders = Vec::new();
    for (position, order) in record::orders(bytes)?.into_iter().enumerate() {
        match order {
            Ok(order) => orders.push(order),
            Err(error) => eprintln!("order {position} of a record cannot be read: {error}"),
        }
    }
    Ok(orders)
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (brokers, rest) = match args.as_slice() {
        [brokers, rest @ ..] if rest.len() < 3 => (brokers, rest),
        _ => bail!("usage: notifier BROKERS [TOPIC] [GROUP]"),
    };
    let topic = rest.first().map_or("rushgate.orders", String::as_str);
    let group = rest.get(1).map_or("notifier", String::as_str);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic])?;
    let mut told: BTreeSet<OrderId> = BTreeSet::new();
    loop {
        let Some(message) = consumer.poll(POLL) else {
            continue;
        };
        let message = message.context("Kafka")?;
        match orders(message.payload().unwrap_or_default()) {
            Ok(orders) => {
                for order in orders.iter().filter(|order| told.insert(order.order)) {
                    println!(
                        "{} ordered {} of {} in {}: {}",
                        order.user, order.quantity, order.sku, order.campaign, order.order
                    );
                }
            }
            Err(error) => eprintln!("a record cannot be read: {error}"),
        }
        while told.len() > REMEMBERED {
            told.pop_first();
        }
        // After the work: whoever dies in between tells it once more, and never not at all.
        consumer.commit_message(&message, CommitMode::Async)?;
    }
}
