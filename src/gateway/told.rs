//! What this gateway told of orders: no buyer is told an older state afterwards.
//!
//! The database and the engine learn of a step one after the other, and one of them may be away. Between Kafka's
//! acknowledgement and its settlement the engine still says `pending` of an order that was answered `accepted`, and while
//! the database is silent the engine does not know what is `confirmed`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::order::{OrderId, OrderState};

/// Orders of one generation; the one before it is kept too.
const GENERATION: usize = 100_000;

/// What was told last, as far as it can matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LastTold {
    Accepted,
    /// The database has it: confirmed, revoked, or what became of it since.
    Landed,
}

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<OrderId, LastTold>,
    old: HashMap<OrderId, LastTold>,
}

impl Told {
    /// The buyer is being told this.
    pub(super) fn note(&self, order: OrderId, state: OrderState) {
        if let Some(step) = LastTold::of(state) {
            self.locked().note(order, step);
        }
    }

    /// What the buyer was told before. Where that was nothing, the buyer is being told this.
    pub(super) fn of_or_note(&self, order: OrderId, state: OrderState) -> Option<LastTold> {
        match LastTold::of(state) {
            Some(step) => self.locked().of_or_note(order, step),
            None => self.of(order),
        }
    }

    pub(super) fn of(&self, order: OrderId) -> Option<LastTold> {
        self.locked().of(order)
    }

    fn locked(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LastTold {
    /// `None` of a state that anything may follow.
    fn of(state: OrderState) -> Option<Self> {
        match state {
            OrderState::Pending => None,
            OrderState::Accepted => Some(Self::Accepted),
            state => state.is_landed().then_some(Self::Landed),
        }
    }
}

impl Generations {
    fn of_or_note(&mut self, order: OrderId, step: LastTold) -> Option<LastTold> {
        let before = self.of(order);
        if before.is_none() {
            self.make_room();
            self.young.insert(order, step);
        }
        before
    }

    fn make_room(&mut self) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
    }

    fn note(&mut self, order: OrderId, step: LastTold) {
        self.make_room();
        let before = self.old.get(&order).copied();
        let there = self.young.entry(order).or_insert(step);
        *there = before.unwrap_or(step).max(step).max(*there);
    }

    fn of(&self, order: OrderId) -> Option<LastTold> {
        self.young.get(&order).or_else(|| self.old.get(&order)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(n: usize) -> OrderId {
        OrderId::keyed("spring", "ada", &n.to_string())
    }

    #[test]
    fn the_newest_state_counts_whatever_the_order_of_answers() {
        let told = Told::default();
        told.note(order(0), OrderState::Pending);
        assert_eq!(told.of(order(0)), None);
        for state in [OrderState::Accepted, OrderState::Revoked, OrderState::Accepted] {
            told.note(order(0), state);
        }
        assert_eq!(told.of(order(0)), Some(LastTold::Landed));
    }

    #[test]
    fn what_was_told_first_is_noted_with_one_question() {
        let told = Told::default();
        assert_eq!(told.of_or_note(order(0), OrderState::Pending), None);
        assert_eq!(told.of_or_note(order(0), OrderState::Accepted), None);
        assert_eq!(
            told.of_or_note(order(0), OrderState::Revoked),
            Some(LastTold::Accepted)
        );
        assert_eq!(
            told.of(order(0)),
            Some(LastTold::Accepted),
            "the caller notes what comes of it"
        );
    }

    #[test]
    fn the_newest_orders_are_remembered_in_bounded_memory() {
        let told = Told::default();
        told.note(order(0), OrderState::Confirmed);
        for n in 1..=GENERATION {
            told.note(order(n), OrderState::Accepted);
        }
        told.note(order(0), OrderState::Accepted);
        assert_eq!(
            told.of(order(0)),
            Some(LastTold::Landed),
            "of the generation before"
        );
        for n in 1..=2 * GENERATION {
            told.note(order(n), OrderState::Accepted);
        }
        assert_eq!(told.of(order(0)), None);
        assert_eq!(told.of(order(2 * GENERATION)), Some(LastTold::Accepted));
        let generations = told.0.lock().expect("no panic");
        let kept = generations.young.len() + generations.old.len();
        assert!(kept <= 2 * GENERATION, "{kept}");
    }
}
