//! A dead letter as one line of JSON, and back with a repaired payload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::letters::{as_json, order_in};
use crate::order::OrderEvent;
use crate::record::LetterId;
use crate::store::DeadLetter;

/// What `export` writes.
#[derive(Serialize)]
struct Line<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    stage: &'static str,
    class: &'a str,
    error: &'a str,
    attempts: i64,
    replays: i64,
    origin: Place<'a>,
    failed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

#[derive(Serialize)]
struct Place<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    /// Of an order that came with others in its record.
    #[serde(skip_serializing_if = "is_first")]
    position: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
}

fn is_first(position: &u32) -> bool {
    *position == 0
}

/// One line, without its end.
pub(super) fn write(letter: &DeadLetter) -> String {
    let key = std::str::from_utf8(&letter.key).ok();
    let payload = as_json(&letter.payload);
    let line = Line {
        id: letter.origin.to_string(),
        key,
        key_base64: key.is_none().then(|| BASE64.encode(&letter.key)),
        stage: letter.stage.as_str(),
        class: &letter.class,
        error: &letter.error,
        attempts: letter.attempts,
        replays: letter.replays,
        origin: Place {
            topic: &letter.origin.topic,
            partition: letter.origin.partition,
            offset: letter.origin.offset,
            position: letter.origin.position,
            timestamp: letter.recorded_at.map(rfc3339),
        },
        failed_at: rfc3339(letter.failed_at),
        payload_base64: payload.is_none().then(|| BASE64.encode(&letter.payload)),
        payload,
    };
    serde_json::to_string(&line).expect("a line is plain data with text keys")
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| format!("{ms} ms"),
        |at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
    )
}

/// What `import` reads of a line; the rest is for people.
#[derive(Deserialize)]
struct Repaired<'a> {
    id: String,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(default)]
    payload_base64: Option<String>,
}

/// A line that landing would take.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checked {
    pub(super) id: LetterId,
    pub(super) payload: Vec<u8>,
    pub(super) event: OrderEvent,
}

/// Reads a line and asks everything of its payload that landing is going to ask.
pub(super) fn read(line: &str) -> Result<Checked, String> {
    let repaired: Repaired<'_> =
        serde_json::from_str(line).map_err(|error| format!("not a line of an export: {error}"))?;
    let id: LetterId = repaired
        .id
        .parse()
        .map_err(|error: crate::record::LetterIdError| error.to_string())?;
    let payload = match (repaired.payload, repaired.payload_base64) {
        (Some(json), None) => json.get().as_bytes().to_vec(),
        (None, Some(text)) => BASE64
            .decode(&text)
            .map_err(|error| format!("payload_base64 is not base64: {error}"))?,
        (None, None) => return Err("it has neither payload nor payload_base64".to_owned()),
        (Some(_), Some(_)) => {
            return Err(
                "it has both payload and payload_base64: remove the one that was not repaired".to_owned(),
            );
        }
    };
    let event = order_in(&payload)?;
    Ok(Checked { id, payload, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Stage;

    fn letter(payload: &[u8]) -> DeadLetter {
        DeadLetter {
            origin: "rushgate.orders/3/17".parse().expect("an id"),
            key: b"spring/ada".to_vec(),
            payload: payload.to_vec(),
            error: "order event of version 9; \"this\" build reads 1".into(),
            stage: Stage::Dead,
            class: "unknown-version".into(),
            attempts: 1,
            replays: 0,
            order: None,
            campaign: None,
            sku: None,
            quantity: None,
            failed_at: 1000,
            recorded_at: Some(1),
            changed_at: None,
            replay_at: None,
            replay_to: None,
        }
    }

    #[test]
    fn json_stays_as_it_was_and_everything_else_becomes_base64() {
        let line = write(&letter(br#"{"v": 9,"b":1.0,"a":1e3}"#));
        assert_eq!(
            line,
            r#"{"id":"rushgate.orders/3/17","key":"spring/ada","stage":"dead","class":"unknown-version","error":"order event of version 9; \"this\" build reads 1","attempts":1,"replays":0,"origin":{"topic":"rushgate.orders","partition":3,"offset":17,"timestamp":"1970-01-01T00:00:00.001Z"},"failed_at":"1970-01-01T00:00:01.000Z","payload":{"v": 9,"b":1.0,"a":1e3}}"#
        );
        let mut third = letter(b"{}");
        third.origin.position = 2;
        let line = write(&third);
        assert!(line.starts_with(r#"{"id":"rushgate.orders/3/17:2""#), "{line}");
        assert!(line.contains(r#""offset":17,"position":2,"#), "{line}");
        assert!(write(&letter(b"{\"v\":1")).ends_with(r#""payload_base64":"eyJ2Ijox"}"#));
        assert!(write(&letter(b"")).ends_with(r#""payload_base64":""}"#));
        assert!(write(&letter(b"{\n \"v\": 1\n}")).ends_with(r#""payload":{"v":1}}"#));
    }

    #[test]
    fn a_line_is_checked_as_landing_would() {
        let refused = |line: &str, why: &str| {
            let error = read(line).expect_err(line);
            assert!(error.contains(why), "{error}");
        };
        refused("{", "not a line of an export");
        refused(r#"{"id":"x","payload":{}}"#, "<topic>/<partition>/<offset>");
        refused(r#"{"id":"t/0/1"}"#, "neither");
        refused(r#"{"id":"t/0/1","payload":{},"payload_base64":""}"#, "both");
        refused(r#"{"id":"t/0/1","payload_base64":"?"}"#, "not base64");
        refused(r#"{"id":"t/0/1","payload":{"v":9}}"#, "version 9");
        refused(&write(&letter(b"{\"v\":1")), "not an order event");
        let with = |attributes: &str| {
            let mut event = serde_json::to_value(crate::order::fixture::event(1)).expect("JSON");
            event["attributes"] = serde_json::from_str(attributes).expect("JSON");
            let payload = serde_json::to_vec(&event).expect("JSON");
            write(&letter(&payload))
        };
        read(&with(r#"{"claim:g":["a","b"],"client:d":"x","body:2":"00"}"#)).expect("as a gateway takes it");
        refused(
            &with(r#"{"claim:g":"\u001fa\u001fb"}"#),
            "control character '\\u{1f}'",
        );
        refused(
            &with(r#"{"claim:g":["a","b\n"]}"#),
            "has an element that contains",
        );
        refused(&with(r#"{"client:d":["a","b"]}"#), "only that of a claim");
    }
}
