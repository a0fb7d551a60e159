//! Headers of a replayed record: where it was first, so that landing finds its row.
//!
//! Names and number formats are those of Spring Kafka's dead letters. Attempts and errors are left out: the
//! record begins anew.

use crate::bus::{Forward, Headers};
use crate::store::DeadLetter;

/// What Kafka calls a timestamp that the producer set.
const TIMESTAMP_TYPE: &str = "CreateTime";

pub(super) fn of_replay(letter: &DeadLetter, group: &str) -> Headers {
    let origin = &letter.origin;
    let header = |name: &str, value: &[u8]| (format!("kafka_dlt-original-{name}"), value.to_vec());
    let mut headers = vec![
        header("topic", origin.topic.as_bytes()),
        header("partition", &origin.partition.to_be_bytes()),
        header("offset", &origin.offset.to_be_bytes()),
    ];
    if let Some(at) = letter.recorded_at {
        headers.push(header("timestamp", &at.to_be_bytes()));
        headers.push(header("timestamp-type", TIMESTAMP_TYPE.as_bytes()));
    }
    headers.push(header("consumer-group", group.as_bytes()));
    headers
}

/// The record as it goes back: same topic, partition and key.
pub(super) fn record(letter: &DeadLetter, payload: Option<&[u8]>, group: &str) -> Forward {
    Forward {
        topic: letter.origin.topic.clone(),
        partition: Some(letter.origin.partition),
        key: letter.key.clone(),
        payload: payload.unwrap_or(&letter.payload).to_vec(),
        headers: of_replay(letter, group),
    }
}

/// A value as a person reads it: text, or the number its bytes are.
pub(super) fn readable(name: &str, value: &[u8]) -> String {
    let number = match name {
        "kafka_dlt-original-partition" => value.try_into().map(|bytes| i64::from(i32::from_be_bytes(bytes))),
        "kafka_dlt-original-offset" | "kafka_dlt-original-timestamp" => {
            value.try_into().map(i64::from_be_bytes)
        }
        _ => return String::from_utf8_lossy(value).into_owned(),
    };
    number.map_or_else(|_| value.escape_ascii().to_string(), |n| n.to_string())
}
