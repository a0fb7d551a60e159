//! How far each partition was told: stretches of offsets whose orders Kafka has acknowledged the events of. They come in any
//! order and join. Pure.

use std::collections::BTreeMap;

use crate::needs::Span;

/// Stretches of a partition that are remembered. Where there are more, the lowest are forgotten: what lies between them was put
/// off, and is told again with them.
const STRETCHES_MAX: usize = 16;

/// Of every topic and partition.
#[derive(Debug, Default)]
pub(super) struct Spans(BTreeMap<String, BTreeMap<i32, Partition>>);

#[derive(Debug, Default)]
struct Partition {
    /// Behind the newest records that were handed over.
    next: i64,
    /// Counts the times that the partition was read again from before.
    round: u64,
    /// By their first offset: one past their last. No two touch.
    told: BTreeMap<i64, i64>,
}

impl Spans {
    /// A span is about to be told; the round to say when it was. One that begins before what was handed over last means that
    /// the partition is read again: its offsets may stand for other records, and nothing that was told counts.
    pub(super) fn begin(&mut self, topic: &str, span: Span) -> u64 {
        let partition = self
            .0
            .entry(topic.to_owned())
            .or_default()
            .entry(span.partition)
            .or_default();
        if span.from < partition.next {
            partition.round += 1;
            partition.told.clear();
        }
        partition.next = span.next;
        partition.round
    }

    /// It was told in this round.
    pub(super) fn end(&mut self, topic: &str, span: Span, round: u64) {
        let partitions = self.0.get_mut(topic);
        let Some(partition) = partitions.and_then(|each| each.get_mut(&span.partition)) else {
            return;
        };
        if partition.round == round {
            partition.add(span.from, span.next);
        }
    }

    /// The stretches of a partition, ascending.
    pub(super) fn told(&self, topic: &str, partition: i32) -> Vec<(i64, i64)> {
        let partition = self.0.get(topic).and_then(|each| each.get(&partition));
        let told = partition.into_iter().flat_map(|partition| &partition.told);
        told.map(|(from, next)| (*from, *next)).collect()
    }

    /// The database knows that a partition was told up to here.
    pub(super) fn known(&mut self, topic: &str, partition: i32, told: i64) {
        let partitions = self.0.get_mut(topic);
        if let Some(partition) = partitions.and_then(|each| each.get_mut(&partition)) {
            partition.told.retain(|_, next| *next > told);
        }
    }

    /// Every partition that has some.
    pub(super) fn all(&self) -> Vec<(String, i32)> {
        let topics = self.0.iter();
        let all = topics.flat_map(|(topic, each)| {
            let some = each.iter().filter(|(_, partition)| !partition.told.is_empty());
            some.map(move |(partition, _)| (topic.clone(), *partition))
        });
        all.collect()
    }
}

impl Partition {
    fn add(&mut self, mut from: i64, mut next: i64) {
        let before = self.told.range(..=from).next_back();
        if let Some((first, last)) = before.map(|(first, last)| (*first, *last))
            && last >= from
        {
            self.told.remove(&first);
            (from, next) = (first, next.max(last));
        }
        while let Some((first, last)) = self.told.range(from..=next).next().map(|(a, b)| (*a, *b)) {
            self.told.remove(&first);
            next = next.max(last);
        }
        self.told.insert(from, next);
        while self.told.len() > STRETCHES_MAX {
            self.told.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(from: i64, next: i64) -> Span {
        Span {
            partition: 3,
            from,
            next,
        }
    }

    #[test]
    fn stretches_join_in_whatever_order_they_are_told() {
        let mut spans = Spans::default();
        let rounds = [(0, 5), (5, 9), (9, 12)].map(|(from, next)| spans.begin("o", span(from, next)));
        spans.end("o", span(9, 12), rounds[2]);
        spans.end("o", span(0, 5), rounds[0]);
        assert_eq!(spans.told("o", 3), [(0, 5), (9, 12)]);
        spans.end("o", span(5, 9), rounds[1]);
        assert_eq!(spans.told("o", 3), [(0, 12)]);
        assert_eq!(spans.all(), [("o".to_owned(), 3)]);
        spans.known("o", 3, 12);
        assert_eq!((spans.told("o", 3), spans.all()), (Vec::new(), Vec::new()));
        assert_eq!(spans.told("p", 3), []);
    }

    #[test]
    fn a_partition_that_is_read_again_forgets_what_was_told_of_it() {
        let mut spans = Spans::default();
        let first = spans.begin("o", span(90, 100));
        let late = spans.begin("o", span(100, 110));
        spans.end("o", span(90, 100), first);
        // The topic was made anew.
        let again = spans.begin("o", span(0, 10));
        assert_eq!(spans.told("o", 3), []);
        spans.end("o", span(100, 110), late);
        spans.end("o", span(0, 10), again);
        assert_eq!(spans.told("o", 3), [(0, 10)]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut spans = Spans::default();
        for n in 0..40 {
            let round = spans.begin("o", span(10 * n, 10 * n + 5));
            spans.end("o", span(10 * n, 10 * n + 5), round);
        }
        let told = spans.told("o", 3);
        assert_eq!((told.len(), told[0], told[15]), (16, (240, 245), (390, 395)));
    }

    proptest! {
        /// Whatever was told is in a stretch, and nothing else is.
        #[test]
        fn stretches_are_what_was_told(pieces in prop::collection::vec((0..30_i64, 1..4_i64), 0..12)) {
            let mut partition = Partition::default();
            let mut wanted = std::collections::BTreeSet::new();
            for (from, length) in pieces {
                partition.add(from, from + length);
                wanted.extend(from..from + length);
            }
            let mut found = std::collections::BTreeSet::new();
            let mut last = i64::MIN;
            for (from, next) in &partition.told {
                prop_assert!(*from > last, "no two touch");
                last = *next;
                found.extend(*from..*next);
            }
            prop_assert_eq!(found, wanted);
        }
    }
}
