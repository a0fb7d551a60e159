//! What this gateway told of orders: no buyer is told an older state afterwards.
//!
//! The database and the engine learn of a step one after the other, and one of them may be away. Between Kafka's
//! acknowledgement and its settlement the engine still says `pending` of an order that was answered `accepted`, and while
//! the database is silent the engine does not know what is `confirmed`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::order::{OrderId, OrderState};

/// Orders of one generation; the one before it is kept too.
const GENERATION: usize = 100_000;

/// What was told last, as far as it can matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Accepted,
    /// Confirmed or revoked: the database has it.
    Landed,
}

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<OrderId, Step>,
    old: HashMap<OrderId, Step>,
}

impl Told {
    /// The buyer is being told this.
    pub(super) fn note(&self, order: OrderId, state: OrderState) {
        let step = match state {
            OrderState::Pending => return,
            OrderState::Accepted => Step::Accepted,
            OrderState::Confirmed | OrderState::Revoked => Step::Landed,
        };
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.young.len() >= GENERATION {
            told.old = std::mem::take(&mut told.young);
        }
        let before = told.old.get(&order).copied();
        let there = told.young.entry(order).or_insert(step);
        *there = before.unwrap_or(step).max(step).max(*there);
    }

    pub(super) fn of(&self, order: OrderId) -> Option<Step> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.young.get(&order).or_else(|| told.old.get(&order)).copied()
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
        assert_eq!(told.of(order(0)), Some(Step::Landed));
    }

    #[test]
    fn the_newest_orders_are_remembered_in_bounded_memory() {
        let told = Told::default();
        told.note(order(0), OrderState::Confirmed);
        for n in 1..=GENERATION {
            told.note(order(n), OrderState::Accepted);
        }
        told.note(order(0), OrderState::Accepted);
        assert_eq!(told.of(order(0)), Some(Step::Landed), "of the generation before");
        for n in 1..=2 * GENERATION {
            told.note(order(n), OrderState::Accepted);
        }
        assert_eq!(told.of(order(0)), None);
        assert_eq!(told.of(order(2 * GENERATION)), Some(Step::Accepted));
        let generations = told.0.lock().expect("no panic");
        let kept = generations.young.len() + generations.old.len();
        assert!(kept <= 2 * GENERATION, "{kept}");
    }
}
