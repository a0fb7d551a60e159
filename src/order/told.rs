//! A change of an order's state as everybody else hears of it: the body of an event of the topic `order-events`. Its form is
//! contract: docs/EVENTS.md.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{OrderEvent, OrderId, OrderState};
use crate::wire::Moment;

/// One change of one order. Fields may be added; whoever reads it passes over those it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldChange {
    pub order: OrderId,
    pub campaign: String,
    /// Whose campaign it is. Missing of changes that releases before merchants told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
    pub user: String,
    pub sku: String,
    pub quantity: u32,
    /// The one that admitted it.
    pub revision: u32,
    /// The state it changed to.
    pub state: OrderState,
    /// Counts the changes of the order, from 1. The same number is the same change, however often it is told.
    pub number: u32,
    /// When it changed, milliseconds since 1970-01-01 UTC; RFC 3339 in the JSON, as the other moments.
    #[serde(with = "moment")]
    pub at: i64,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who did it, where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(with = "moment")]
    pub placed_at: i64,
    /// Until when it is to be paid; missing where nothing waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_moment")]
    pub pay_by: Option<i64>,
    /// The order that was not paid in time, in whose place this one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<OrderId>,
}

impl ToldChange {
    /// That an order was confirmed which landed at this moment, in milliseconds since 1970-01-01 UTC.
    pub fn confirmed(order: OrderEvent, at: i64) -> Self {
        Self {
            order: order.order,
            campaign: order.campaign,
            merchant: None,
            user: order.user,
            sku: order.sku,
            quantity: order.quantity,
            revision: order.revision,
            state: OrderState::Confirmed,
            number: OrderState::Confirmed.number(),
            at,
            reason: None,
            actor: None,
            placed_at: order.placed_at,
            pay_by: None,
            replaces: None,
        }
    }

    /// Names the change, whoever tells it how often: `<order>.<number>`.
    pub fn id(&self) -> String {
        format!("{}.{}", self.order, self.number)
    }

    /// Kafka key: all changes of a buyer's orders of one campaign are in one partition.
    pub fn key(&self) -> String {
        format!("{}/{}", self.campaign, self.user)
    }

    /// What happened, as a type of CloudEvents: `rushgate.order.confirmed`.
    pub fn kind(&self) -> String {
        format!("rushgate.order.{}", self.state.as_str())
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a change is plain data")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// A moment in RFC 3339.
mod moment {
    use super::*;

    pub(super) fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        Moment(*ms).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        jiff::Timestamp::deserialize(deserializer).map(jiff::Timestamp::as_millisecond)
    }
}

/// The same where there may be none.
mod maybe_moment {
    use super::*;

    pub(super) fn serialize<S: Serializer>(ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        ms.map(Moment).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        let moment = Option::<jiff::Timestamp>::deserialize(deserializer)?;
        Ok(moment.map(jiff::Timestamp::as_millisecond))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::fixture::event;

    #[test]
    fn a_change_is_told_in_the_form_that_the_documentation_has() {
        let mut change = ToldChange::confirmed(event(7), 1_795_176_000_123);
        let order = change.order.to_string();
        assert_eq!(change.id(), format!("{order}.1"));
        assert_eq!(
            (change.key().as_str(), change.kind().as_str()),
            ("spring/u7", "rushgate.order.confirmed")
        );
        let told: serde_json::Value = serde_json::from_slice(&change.encode()).expect("JSON");
        let wanted = serde_json::json!({
            "order": order, "campaign": "spring", "user": "u7", "sku": "shoe", "quantity": 1, "revision": 1,
            "state": "confirmed", "number": 1, "at": "2026-11-20T12:00:00.123Z", "placed_at": "1970-01-01T00:00:00.001Z",
        });
        assert_eq!(told, wanted);
        change.state = OrderState::Revoked;
        (change.reason, change.actor) = (Some("lost".into()), Some("eve".into()));
        (change.pay_by, change.replaces) = (Some(1), Some(change.order));
        change.merchant = Some("a".into());
        assert_eq!(ToldChange::decode(&change.encode()).expect("read back"), change);
    }

    #[test]
    fn the_examples_of_the_documentation_are_read_and_written_alike() {
        let page = include_str!("../../docs/EVENTS.md");
        let mut examples = 0;
        for (at, _) in page.match_indices("    {\"order\":") {
            let example = &page[at..][..page[at..].find("\"}").expect("its end") + 2];
            let change = ToldChange::decode(example.as_bytes()).expect(example);
            let written: serde_json::Value = serde_json::from_slice(&change.encode()).expect("JSON");
            let read: serde_json::Value = serde_json::from_str(example).expect("JSON");
            assert_eq!(written, read);
            assert_eq!(change.number, change.state.number());
            examples += 1;
        }
        assert_eq!(examples, 2);
    }

    #[test]
    fn whoever_reads_passes_over_what_is_new() {
        let change = ToldChange::confirmed(event(1), 5);
        let mut told: serde_json::Value = serde_json::from_slice(&change.encode()).expect("JSON");
        told["colour"] = "red".into();
        let read = ToldChange::decode(told.to_string().as_bytes());
        assert_eq!(read.expect("read"), change);
    }
}
