//! Bodies as Standard Webhooks has them, and which events there are.

use serde::Serialize;

use crate::order::{OrderState, ToldChange};
use crate::store::{DeliveryOf, Disabled, WebhookRow};
use crate::wire::Moment;

/// That an endpoint was disabled, for the others.
pub(super) const DISABLED: &str = "webhook.disabled";
/// What is sent to try an endpoint out.
pub(super) const TEST: &str = "webhook.test";

/// Every event that an endpoint may ask for.
pub fn events() -> Vec<String> {
    let states = OrderState::LANDED.into_iter().map(of_state);
    states.chain([DISABLED.to_owned()]).collect()
}

fn of_state(state: OrderState) -> String {
    format!("order.{}", state.as_str())
}

/// The event of a change.
pub(super) fn event(change: &ToldChange) -> String {
    of_state(change.state)
}

/// What a delivery of a change is about.
pub(super) fn of(change: &ToldChange) -> DeliveryOf {
    DeliveryOf {
        campaign: change.campaign.clone(),
        order: change.order.to_string(),
        number: i64::from(change.number),
    }
}

#[derive(Serialize)]
struct Body<'a, T> {
    r#type: &'a str,
    timestamp: Moment,
    data: T,
}

/// A body: what happened, when, and all there is to say of it.
pub(super) fn body(event: &str, at: i64, data: &impl Serialize) -> String {
    let body = Body {
        r#type: event,
        timestamp: Moment(at),
        data,
    };
    serde_json::to_string(&body).expect("a message is plain data")
}

/// What the others are told of an endpoint that was disabled. Nothing of its URL: that may hold a secret.
#[derive(Serialize)]
struct DisabledData<'a> {
    webhook: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    why: Option<&'a str>,
    at: Moment,
}

pub(super) fn disabled_body(hook: &WebhookRow, disabled: &Disabled) -> String {
    let data = DisabledData {
        webhook: &hook.id,
        campaign: hook.campaign.as_deref(),
        note: hook.note.as_deref(),
        why: disabled.why.as_deref(),
        at: Moment(disabled.at),
    };
    body(DISABLED, disabled.at, &data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::fixture::event as admitted;

    #[test]
    fn a_body_is_the_event_in_the_envelope_of_standard_webhooks() {
        let change = ToldChange::confirmed(admitted(7), 1_795_176_000_123);
        let body = body(&event(&change), change.at, &change);
        let read: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(read["type"], "order.confirmed");
        assert_eq!(read["timestamp"], "2026-11-20T12:00:00.123Z");
        let data = ToldChange::decode(read["data"].to_string().as_bytes());
        assert_eq!(data.expect("the event of the topic"), change);
        assert_eq!(of(&change).id(), change.id());
        assert!(events().contains(&event(&change)) && events().contains(&DISABLED.to_owned()));
    }
}
