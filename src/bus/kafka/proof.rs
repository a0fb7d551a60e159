//! Which delivery reports prove that a broker has the record: those with the offset that it answered.
//!
//! librdkafka reports two kinds of success that no broker has confirmed, both by its idempotent producer alone. A record
//! that was never answered counts as delivered when a later one of its partition is (`IMPLICITACK`): its offset is
//! -1001. And a batch that the broker calls a repetition counts as delivered (`DUPSEQ`): its offsets begin at -1 and
//! go on with 0, 1, 2, which look like true ones. So a report without an offset is no proof for its own record, and
//! takes away the proof from everything of its partition that was handed over before it came: the rest of its batch is
//! among that. docs/PRODUCER.md holds the argument.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts what is handed over, and remembers up to where reports prove nothing.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    handed_over: AtomicU64,
    /// Whether there ever was a doubt: as long as there was none, nobody takes the lock.
    doubts: AtomicBool,
    /// Topic and partition → the last number that was handed over before the last report without an offset.
    doubted: Mutex<HashMap<(String, i32), u64>>,
}

/// What a report says that is no error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
}

impl Proofs {
    /// The number of a record that is about to be handed over.
    pub(super) fn number(&self) -> u64 {
        self.handed_over.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Whether a report proves that the broker has the record of that number; otherwise why not. The reports of one
    /// batch have to come in its order, and from one thread.
    pub(super) fn check(&self, number: u64, said: Said<'_>) -> Result<(), String> {
        if said.offset >= 0 && !self.doubts.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (said.topic.to_owned(), said.partition);
        let up_to = doubted.get(&place).copied().unwrap_or(0);
        if said.offset < 0 {
            // Also where this record was doubted already: its batch may hold some that were handed over since.
            doubted.insert(place, self.handed_over.load(Ordering::Acquire));
            self.doubts.store(true, Ordering::Release);
            if number > up_to {
                tell(said);
            }
        } else if number > up_to {
            return Ok(());
        }
        Err(format!(
            "{} [{}]: reported as delivered without a broker's word for it (offset {})",
            said.topic, said.partition, said.offset
        ))
    }
}

fn tell(said: Said<'_>) {
    let Said {
        topic,
        partition,
        offset,
    } = said;
    tracing::warn!(
        topic,
        partition,
        offset,
        "kafka's client reports a record as delivered without the offset a broker gave it: nothing that is on its way \
         to this partition counts as acknowledged, and it is published again"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// librdkafka's `RD_KAFKA_OFFSET_INVALID`.
    const NO_OFFSET: i64 = -1001;

    fn said(partition: i32, offset: i64) -> Said<'static> {
        Said {
            topic: "o",
            partition,
            offset,
        }
    }

    #[test]
    fn a_true_offset_is_proof() {
        let proofs = Proofs::default();
        let (first, second) = (proofs.number(), proofs.number());
        assert_eq!(proofs.check(second, said(0, 0)), Ok(()));
        assert_eq!(proofs.check(first, said(3, 17)), Ok(()));
        assert!(!proofs.doubts.load(Ordering::Acquire));
    }

    #[test]
    fn an_implicit_acknowledgement_is_none() {
        let proofs = Proofs::default();
        let refused = proofs.number();
        let error = proofs.check(refused, said(0, NO_OFFSET)).expect_err("no proof");
        assert!(error.contains("o [0]") && error.contains("-1001"), "{error}");
    }

    #[test]
    fn the_numbers_of_a_repetition_are_no_offsets() {
        let proofs = Proofs::default();
        let batch: Vec<u64> = (0..4).map(|_| proofs.number()).collect();
        for (offset, number) in (-1..).zip(&batch) {
            assert!(proofs.check(*number, said(0, offset)).is_err(), "{offset}");
        }
    }

    #[test]
    fn a_doubt_takes_everything_of_its_partition_that_is_on_its_way_and_nothing_else() {
        let proofs = Proofs::default();
        let (before, doubtful, behind) = (proofs.number(), proofs.number(), proofs.number());
        let elsewhere = proofs.number();
        assert_eq!(
            proofs.check(before, said(0, 0)),
            Ok(()),
            "answered before the doubt"
        );
        assert!(proofs.check(doubtful, said(0, NO_OFFSET)).is_err());
        let later = proofs.number();
        assert!(proofs.check(behind, said(0, 1)).is_err());
        assert_eq!(proofs.check(elsewhere, said(1, 0)), Ok(()));
        assert_eq!(proofs.check(later, said(0, 2)), Ok(()));
        // The next doubt counts from its own moment on.
        assert!(proofs.check(later, said(0, -1)).is_err());
        assert_eq!(proofs.check(proofs.number(), said(0, 3)), Ok(()));
    }

    #[test]
    fn a_repetition_that_begins_with_a_doubted_record_is_doubted_whole() {
        let proofs = Proofs::default();
        let (doubtful, first) = (proofs.number(), proofs.number());
        assert!(proofs.check(doubtful, said(0, NO_OFFSET)).is_err());
        let second = proofs.number();
        assert!(proofs.check(first, said(0, -1)).is_err());
        assert!(
            proofs.check(second, said(0, 0)).is_err(),
            "handed over after the first doubt"
        );
    }
}
