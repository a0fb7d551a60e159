//! Handing on what has landed, for everybody else to hear of it. Landing waits for nobody: what is not told is told later,
//! from where the database says.

use std::collections::BTreeMap;

use super::Landing;
use super::batch::Batch;
use crate::needs::{Span, TakenOrders};

/// What becomes of a portion: where each of its partitions began, and what its transactions took.
pub(super) struct Tale {
    from: BTreeMap<i32, i64>,
    taken: Vec<TakenOrders>,
}

impl Tale {
    pub fn new(batch: &Batch<'_>) -> Self {
        let from = batch.slices.iter().map(|slice| (slice.partition, slice.from));
        Self {
            from: from.collect(),
            taken: Vec::new(),
        }
    }

    pub fn add(&mut self, taken: TakenOrders) {
        if !taken.orders.is_empty() {
            self.taken.push(taken);
        }
    }
}

impl Landing {
    /// Has it told, whole: an order may have landed before one in front of it was moved away.
    pub(super) fn hand_on(&self, tale: Tale, batch: &Batch<'_>) {
        let Some(teller) = &self.teller else { return };
        let spans = batch.ends().into_iter().filter_map(|(partition, next)| {
            let from = *tale.from.get(&partition)?;
            (from < next).then_some(Span {
                partition,
                from,
                next,
            })
        });
        let spans: Vec<Span> = spans.collect();
        if !spans.is_empty() {
            teller.landed(&self.config.topic, spans, tale.taken);
        }
    }

    /// What was told by now goes into the next transaction.
    pub(super) fn note_told(&self, batch: &mut Batch<'_>) {
        if let Some(teller) = &self.teller {
            for slice in &mut batch.slices {
                slice.told = teller.told(&self.config.topic, slice.partition);
            }
        }
    }
}
