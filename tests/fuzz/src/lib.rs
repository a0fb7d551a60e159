//! What is fuzzed: one function per target, each taking any bytes. They panic where a promise is broken.
//!
//! Also compiled into the test binary `fences`, which replays the corpus without a fuzzer.

mod input;
mod modules;
mod plans;
mod replies;

/// The targets by name: a folder of `corpus` each.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
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

/// An order event as landing reads it from Kafka: refused, or the same again after a round trip.
fn event(data: &[u8]) {
    use rushgate::order::OrderEvent;
    if let Ok(event) = OrderEvent::decode(data) {
        let again = OrderEvent::decode(&event.encode()).expect("what was written can be read");
        assert_eq!(again, event);
        assert!(event.key().starts_with(&event.campaign));
    }
}
