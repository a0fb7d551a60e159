//! What is fuzzed: one function per target.
//!
//! Also compiled into the test binary `fences`, which replays the corpus without a fuzzer.

mod input;
mod modules;
mod plans;
mod replies;

/// Takes any bytes; panics where a promise is broken.
pub type Target = fn(&[u8]);

/// The targets by name: a folder of `corpus` each.
pub const TARGETS: &[(&str, Target)] = &[
    ("plan", plans::run),
    ("event", event),
    ("answer", modules::answer),
    ("descriptor", modules::descriptor),
    ("reply", replies::run),
];

/// Runs the target of this name.
pub fn run(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    found.expect("the target is in the list").1(data);
}

/// A record as landing reads it from Kafka, of one order or of many: refused, or the same again after a round trip.
fn event(data: &[u8]) {
    use rushgate::order::OrderEvent;
    use rushgate::record::{self, Payload};
    if let Ok(read) = record::decode(data) {
        let again = record::encode(&read.header, read.payloads.iter().copied())
            .expect("what was read can be written");
        assert_eq!(record::decode(&again).as_ref(), Ok(&read));
        for payload in &read.payloads {
            drop(Payload::read(payload).map(|payload| payload.attempt()));
        }
    }
    if let Ok(event) = OrderEvent::decode(data) {
        let again = OrderEvent::decode(&event.encode()).expect("what was written can be read");
        assert_eq!(again, event);
        assert!(event.key().starts_with(&event.campaign));
    }
}
