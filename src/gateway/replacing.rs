//! Which order comes in the place of an expired one: there is one way back, so a second order that names the same one is refused.
//!
//! The database knows those that have landed. Until then this gateway knows those that it has placed itself: each is noted before
//! it is decided, and forgotten where it was not admitted. Two that reach two gateways before the first of them has landed are
//! both admitted, each within stock and limits like any other order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::generations::Generations;
use super::place::no_lookup_of;
use super::{Gateway, Orders};
use crate::admission::{AdmissionError, Placement};
use crate::order::{OrderId, OrderState};
use crate::wire::Problem;
use crate::wire::problem::{ALREADY_REPLACED, INVALID};

/// Replaced orders of one generation; the one before it is kept too.
const GENERATION: usize = 10_000;

/// By replaced order.
type Replacements = Generations<OrderId, Replacement, GENERATION>;

#[derive(Debug, Default)]
pub(super) struct Replacing(Mutex<Replacements>);

#[derive(Clone, Copy, Debug)]
struct Replacement {
    order: OrderId,
    /// Attempts at it that are being decided: a retry may overtake the first.
    under_way: u32,
    /// It was admitted, or may have been.
    stays: bool,
}

/// An order that is being placed instead of another. One that is dropped before it is settled may have been admitted.
pub(super) struct Claim {
    of: Arc<Replacing>,
    replaced: OrderId,
    order: OrderId,
    stays: bool,
}

impl Replacing {
    /// Notes that `order` is being placed instead of `replaced`; the error is another one that is, or was.
    fn claim(self: &Arc<Self>, replaced: OrderId, order: OrderId) -> Result<Claim, OrderId> {
        let mut there = self.locked();
        let fresh = Replacement {
            order,
            under_way: 0,
            stays: false,
        };
        let entry = there.entry(replaced, fresh);
        if entry.order != order {
            return Err(entry.order);
        }
        entry.under_way += 1;
        Ok(Claim {
            of: self.clone(),
            replaced,
            order,
            stays: true,
        })
    }

    /// `order` is not there, or has given back everything: another one may come instead. Not while it is being decided.
    fn forget(&self, replaced: OrderId, order: OrderId) {
        self.locked()
            .remove_if(&replaced, |entry| entry.order == order && entry.under_way == 0);
    }

    fn locked(&self) -> MutexGuard<'_, Replacements> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// What became of the attempt.
    pub(super) fn settle(mut self, decided: &Result<Placement, AdmissionError>) {
        self.stays = match decided {
            Ok(Placement::Order { .. }) => true,
            Ok(Placement::Rejected(_)) => false,
            Err(AdmissionError::Deadline(_) | AdmissionError::Engine(_)) => true,
            Err(_) => false,
        };
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let (order, stays) = (self.order, self.stays);
        self.of.locked().remove_if(&self.replaced, |entry| {
            if entry.order != order {
                return false;
            }
            entry.under_way = entry.under_way.saturating_sub(1);
            entry.stays |= stays;
            !entry.stays && entry.under_way == 0
        });
    }
}

impl<O: Orders> Gateway<O> {
    /// Whether this order may come instead of the one that it names: that one is this buyer's, was not paid in time, and no other
    /// order has come instead of it. `None` of a retry beside another one that has: it is answered like any retry.
    pub(super) async fn claim_replaced(
        &self,
        campaign: &str,
        user: &str,
        (replaced, order): (OrderId, OrderId),
    ) -> Result<Option<Claim>, Problem> {
        let row = self.landed(campaign, replaced).await?;
        let refused = |detail: String| Err(Problem::new(&INVALID, detail).pointer("/replaces"));
        match row.filter(|row| row.attempt.user == user) {
            Some(row) if row.state == OrderState::Expired => {}
            Some(row) => {
                let state = row.state.as_str();
                return refused(format!("the order that it names is {state}, and not expired"));
            }
            None => return refused("it names no order that you have in this campaign".to_owned()),
        }
        let asked = self.orders.replacement(campaign, user, replaced);
        let landed = self.in_time(asked).await.map_err(|error| no_lookup_of(&error))?;
        let other = match landed.filter(|other| *other != order) {
            Some(other) => other,
            None => match self.replacing.claim(replaced, order) {
                Ok(claim) => return Ok(Some(claim)),
                Err(other) => other,
            },
        };
        // Of one that this gateway has placed, and that cannot be looked up, it is taken that it is there.
        if landed != Some(other) && self.is_there(campaign, user, other).await? == Some(false) {
            self.replacing.forget(replaced, other);
            return self.replacing.claim(replaced, order).map(Some).map_err(already);
        }
        match self.is_there(campaign, user, order).await? {
            Some(true) => Ok(None),
            _ => Err(already(other)),
        }
    }

    /// Whether the database has an order and has not revoked it, or the engine has it; `None` where that cannot be said.
    async fn is_there(&self, campaign: &str, user: &str, order: OrderId) -> Result<Option<bool>, Problem> {
        if let Some(row) = self.landed(campaign, order).await? {
            return Ok(Some(row.state != OrderState::Revoked));
        }
        let found = self.orders.find(campaign, user, order).await;
        Ok(found.ok().map(|found| found.is_some()))
    }
}

fn already(other: OrderId) -> Problem {
    let detail = format!(
        "order {other} has come in the place of the order that it names: there is one way back. Leave replaces out for one more \
         order"
    );
    Problem::new(&ALREADY_REPLACED, detail)
        .pointer("/replaces")
        .member("replaced_by", &other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(n: usize) -> OrderId {
        OrderId::keyed("spring", "ada", &n.to_string())
    }

    fn failed() -> Result<Placement, AdmissionError> {
        Err(AdmissionError::Halted)
    }

    #[test]
    fn one_order_comes_instead_of_another_and_a_retry_is_the_same_one() {
        let replacing = Arc::new(Replacing::default());
        let first = replacing.claim(order(0), order(1)).expect("nobody's");
        let retry = replacing.claim(order(0), order(1)).expect("its own");
        assert_eq!(replacing.claim(order(0), order(2)).err(), Some(order(1)));
        first.settle(&failed());
        replacing.forget(order(0), order(1));
        assert_eq!(
            replacing.claim(order(0), order(2)).err(),
            Some(order(1)),
            "the retry is being decided"
        );
        retry.settle(&failed());
        let other = replacing.claim(order(0), order(2)).expect("it was not admitted");
        drop(other);
        assert_eq!(
            replacing.claim(order(0), order(3)).err(),
            Some(order(2)),
            "it may have been"
        );
        replacing.forget(order(0), order(2));
        assert!(replacing.claim(order(0), order(3)).is_ok(), "it was not");
    }

    #[test]
    fn what_was_replaced_last_is_remembered_in_bounded_memory() {
        let replacing = Arc::new(Replacing::default());
        for n in 0..=GENERATION {
            drop(replacing.claim(order(n), order(n + 1)));
        }
        assert_eq!(replacing.claim(order(0), order(7)).err(), Some(order(1)));
        for n in 1..=3 * GENERATION {
            drop(replacing.claim(order(n), order(n + 1)));
        }
        assert!(replacing.claim(order(1), order(7)).is_ok(), "long ago");
        let there = replacing.locked();
        assert!(there.len() <= 2 * GENERATION);
    }
}
