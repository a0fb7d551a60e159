//! What this gateway told of orders: no buyer is told an older state afterwards.
//!
//! The database and the engine learn of a step one after the other, and one of them may be away. Between Kafka's
//! acknowledgement and its settlement the engine still says `pending` of an order that was answered `accepted`, and while
//! the database is silent the engine does not know what is `confirmed`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::generations::Generations;
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

type Steps = Generations<OrderId, LastTold, GENERATION>;

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Steps>);

impl Told {
    /// The buyer is being told this.
    pub(super) fn note(&self, order: OrderId, state: OrderState) {
        if let Some(step) = LastTold::of(state) {
            let mut steps = self.locked();
            let there = steps.entry(order, step);
            *there = step.max(*there);
        }
    }

    /// What the buyer was told before. Where that was nothing, the buyer is being told this.
    pub(super) fn of_or_note(&self, order: OrderId, state: OrderState) -> Option<LastTold> {
        let mut steps = self.locked();
        let before = steps.get(&order).copied();
        if let (None, Some(step)) = (before, LastTold::of(state)) {
            steps.insert(order, step);
        }
        before
    }

    pub(super) fn of(&self, order: OrderId) -> Option<LastTold> {
        self.locked().get(&order).copied()
    }

    fn locked(&self) -> MutexGuard<'_, Steps> {
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
        let kept = told.0.lock().expect("no panic").len();
        assert!(kept <= 2 * GENERATION, "{kept}");
    }
}
