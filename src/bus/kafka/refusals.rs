//! Which batches brokers refused, from librdkafka's log. It tries them again and tells it nowhere else, and there only
//! where its option `debug` names `msg`.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How librdkafka calls what it says about a batch.
const FACILITY: &str = "MSGSET";
const BATCH: &str = "]: MessageSet with";
const TAKEN: &str = " delivered";
/// A broker's answer; what librdkafka itself finds, such as no answer in time, is `Local`.
const REFUSED: &str = "encountered error: Broker:";

/// Remembers which partitions have taken something, as long as somebody asks for it.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// `topic [partition`
    taken: Mutex<HashSet<String>>,
}

/// A batch that a broker refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Its partition has not taken anything yet from this producer.
    pub first: bool,
}

impl Refusals {
    /// Hears a line of the log.
    pub(super) fn hear(&self, facility: &str, message: &str) -> Option<Refused> {
        let (before, said) = message.split_once(BATCH).filter(|_| facility == FACILITY)?;
        let place = before.rsplit(": ").next()?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if said.ends_with(TAKEN) && !taken.contains(place) {
            taken.insert(place.to_owned());
        }
        let refused = Refused {
            first: !taken.contains(place),
        };
        said.contains(REFUSED).then_some(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_batches_are_told_from_others() {
        let refusals = Refusals::default();
        let hear = |partition: u32, what: &str| {
            let place = format!("[thrd:10.0.0.1:9092/2]: 10.0.0.1:9092/2: rushgate.orders [{partition}]");
            let line = format!("{place}: MessageSet with 4 message(s) (MsgId 0, BaseSeq -1) {what}");
            refusals.hear("MSGSET", &line)
        };
        let refused = "encountered error: Broker: Not leader for partition (actions Refresh,MsgNotPersisted)";
        assert_eq!(hear(1, refused), Some(Refused { first: true }));
        assert_eq!(hear(2, "delivered"), None);
        assert_eq!(hear(2, refused), Some(Refused { first: false }));
        assert_eq!(hear(1, refused), Some(Refused { first: true }));
        let silent = "encountered error: Local: Timed out (actions Retry,MsgPossiblyPersisted)";
        assert_eq!(hear(3, silent), None);
        assert_eq!(refusals.hear("FAIL", "10.0.0.1:9092/2: Connect failed"), None);
    }
}
