//! What an attempt is answered: admitted, admitted before, or rejected, and why.

use super::CheckedPlan;
use crate::campaign::Paused;
use crate::order::{Attempt, LandedOrder, OrderId, fingerprint, may_be_same_body};
use crate::rejection::Own;

/// How long everything that refuses an attempt goes on to, nothing but time changing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until this moment, milliseconds since 1970-01-01 UTC; it is before closing.
    Until(i64),
    /// A retry may help; when, cannot be said: something else than time has to come, or it took too long to find out.
    Unknown,
    /// Until the sale has closed.
    Forever,
}

impl Wait {
    pub fn until(self) -> Option<i64> {
        match self {
            Self::Until(at) => Some(at),
            Self::Unknown | Self::Forever => None,
        }
    }

    /// Whether a retry can help.
    pub fn ends(self) -> bool {
        self != Self::Forever
    }
}

/// Why an attempt was rejected: what is asked first names the reason. How long it is so follows from all that refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The sale has not opened for this buyer.
    NotOpen {
        wait: Wait,
    },
    Closed,
    UnknownSku,
    /// The sale is open for this buyer, and somebody has paused it.
    Paused(Paused),
    /// Fewer units are left than the order asks for.
    SoldOut {
        remaining: i64,
    },
    /// A rolling window holds as many orders of this subject as can be counted exactly.
    WindowFull {
        counter: u32,
        wait: Wait,
    },
    /// Index into the constraints of the plan: the first that failed.
    Constraint {
        index: u32,
        measure: Option<Measured>,
        wait: Wait,
    },
}

impl Rejection {
    /// The own reason, or the index of the plan's constraint that failed.
    pub fn own(&self) -> Result<Own, u32> {
        match self {
            Self::NotOpen { .. } => Ok(Own::NotOpen),
            Self::Closed => Ok(Own::Closed),
            Self::UnknownSku => Ok(Own::UnknownSku),
            Self::Paused(_) => Ok(Own::Paused),
            Self::SoldOut { .. } => Ok(Own::SoldOut),
            Self::WindowFull { .. } => Ok(Own::WindowFull),
            Self::Constraint { index, .. } => Err(*index),
        }
    }

    /// The name of the own reason, or the code of the constraint's.
    pub fn reason<'a>(&self, plan: &'a CheckedPlan) -> &'a str {
        match self.own() {
            Ok(own) => own.name(),
            Err(index) => &plan.plan().constraints[index as usize].reason,
        }
    }
}

/// The numbers of a failed constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub used: i64,
    pub limit: i64,
}

/// The record of an admitted order, as kept in Redis and by the interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub placed_at: i64,
    pub revision: u32,
    pub quantity: u32,
    pub sku: String,
    pub user: String,
    pub released: bool,
    /// See [`Attempt::body`].
    pub body: Option<String>,
    /// The order that was not paid in time, in whose place it came.
    pub replaces: Option<OrderId>,
}

impl Placed {
    /// The record of an order that the database has.
    pub fn of(order: &LandedOrder) -> Self {
        Self {
            placed_at: order.placed_at,
            revision: order.revision,
            quantity: order.attempt.quantity,
            sku: order.attempt.sku.clone(),
            user: order.attempt.user.clone(),
            released: order.is_released(),
            body: order.attempt.body().map(str::to_owned),
            replaces: order.replaces,
        }
    }

    /// Whether a retry under the order's id asks for what the order is: another body is another order.
    pub fn is_of(&self, attempt: &Attempt) -> bool {
        (self.sku.as_str(), self.quantity) == (attempt.sku.as_str(), attempt.quantity)
            && may_be_same_body(self.body.as_deref(), attempt.body())
    }

    /// See [`Attempt::fingerprint`].
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.sku, self.quantity)
    }
}

/// The answer to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Admitted,
    /// The same order was admitted before.
    Existing(Placed),
    Rejected(Rejection),
}
