//! What everybody else was told: the events of the campaign, against the changes that the database has.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Context, Result};
use rdkafka::Message;
use serde::Deserialize;
use testkit::topics::{self, Offsets};

use crate::database::{Books, Row};
use crate::findings::Findings;

const ORDER_EVENTS: &str = "rushgate.order-events";

/// What one event says, as far as it is held against the database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Event {
    pub order: String,
    pub number: i64,
    pub state: String,
    pub user: String,
    pub sku: String,
    pub quantity: i64,
}

/// Every event of the campaign, copies included, as they stand in the topic.
pub fn read(brokers: &str, campaign: &str) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    let is_ours = |topic: &str| topic == ORDER_EVENTS;
    topics::each(brokers, campaign, (&is_ours, &Offsets::new()), |message| {
        let bytes = message.payload().unwrap_or_default();
        let place = || format!("{ORDER_EVENTS}/{}@{}", message.partition(), message.offset());
        events.push(serde_json::from_slice(bytes).with_context(place)?);
        Ok(())
    })?;
    Ok(events)
}

/// Every change is told, and nothing else is.
pub fn judge(found: &mut Findings, events: &[Event], books: &Books) {
    let rows: BTreeMap<&str, &Row> = books.rows.iter().map(|row| (row.order.as_str(), row)).collect();
    let mut told: BTreeMap<(&str, i64), &Event> = BTreeMap::new();
    for event in events {
        let first = match told.entry((&event.order, event.number)) {
            Entry::Vacant(free) => *free.insert(event),
            Entry::Occupied(there) => {
                found.told_again += 1;
                there.get()
            }
        };
        if first != event {
            found.mistold += 1;
            found.case(format!("{event:?} was told before as {first:?}"));
        }
    }
    found.told = told.len() as u64;
    for row in rows.values() {
        for (number, state) in changes(row, books) {
            match told.remove(&(row.order.as_str(), number)) {
                None => {
                    found.untold += 1;
                    found.case(format!(
                        "nobody was told that order {} was {state} ({number})",
                        row.order
                    ));
                }
                Some(event) if says(event, row, state) => {}
                Some(event) => {
                    found.mistold += 1;
                    found.case(format!("{row:?} was told as {event:?}"));
                }
            }
        }
    }
    for event in told.values() {
        found.mistold += 1;
        found.case(format!("{event:?} was told, and no row says so"));
    }
}

/// Of an order, from the first.
fn changes<'a>(row: &Row, books: &'a Books) -> impl Iterator<Item = (i64, &'a str)> + use<'a> {
    let landed = if row.confirmed { "confirmed" } else { "revoked" };
    let steps = books.steps.get(&row.order).into_iter().flatten();
    // One that a person gave up has a row for it.
    let later = steps.filter(|step| step.number > 1);
    std::iter::once((1, landed)).chain(later.map(|step| (step.number, step.to.as_str())))
}

fn says(event: &Event, row: &Row, state: &str) -> bool {
    event.state == state
        && (event.user.as_str(), event.sku.as_str(), event.quantity)
            == (row.user.as_str(), row.sku.as_str(), row.quantity)
}
