//! A service that mails buyers: reads the changes of orders in a consumer group of its own, and prints the line it would mail.
//!
//! `cargo run --example notifier -- BROKERS [TOPIC] [GROUP]`, beside `rushgate land`. The form of events is docs/EVENTS.md. An event
//! may come twice, and `paid` before `confirmed`: the highest number of each order is remembered, and nobody is mailed
//! what is older than what they know.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Message};
use serde::Deserialize;

const POLL: Duration = Duration::from_millis(500);

/// What is read of an event; it has more, and may get more.
#[derive(Deserialize)]
struct Change {
    order: String,
    campaign: String,
    user: String,
    sku: String,
    quantity: u32,
    state: String,
    number: u32,
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (brokers, rest) = match args.as_slice() {
        [brokers, rest @ ..] if rest.len() < 3 => (brokers, rest),
        _ => bail!("usage: notifier BROKERS [TOPIC] [GROUP]"),
    };
    let topic = rest.first().map_or("rushgate.order-events", String::as_str);
    let group = rest.get(1).map_or("notifier", String::as_str);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic])?;
    // In memory for the example; a service keeps it in its database, in the transaction that queues the mail.
    let mut told: HashMap<(String, String), u32> = HashMap::new();
    loop {
        let Some(message) = consumer.poll(POLL) else {
            continue;
        };
        let message = message.context("Kafka")?;
        match serde_json::from_slice::<Change>(message.payload().unwrap_or_default()) {
            Ok(change) => {
                let known = told
                    .entry((change.campaign.clone(), change.order.clone()))
                    .or_default();
                if change.number > *known {
                    *known = change.number;
                    let Change {
                        order,
                        campaign,
                        user,
                        sku,
                        quantity,
                        state,
                        ..
                    } = change;
                    println!("to {user}: order {order} of {quantity} {sku} in {campaign} is {state}");
                }
            }
            Err(error) => eprintln!("an event cannot be read: {error}"),
        }
        // After the work: whoever dies in between hears of it once more, and never not at all.
        consumer.commit_message(&message, CommitMode::Async)?;
    }
}
