//! An order as the database knows it.

use super::{Attempt, Charge, Holds, OrderEvent, OrderId, OrderState, replaced_by};

/// An order that landed, with where it stands; also one that is on its way there, among the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandedOrder {
    /// What was asked for; of the attributes, those that its gateway kept.
    pub attempt: Attempt,
    pub revision: u32,
    /// Redis' clock at the decision, milliseconds since 1970-01-01 UTC.
    pub placed_at: i64,
    pub fingerprint: String,
    /// What it was charged, whether it holds that or has given it back.
    pub charges: Vec<Charge>,
    pub state: OrderState,
    pub holds: Holds,
    /// Milliseconds since 1970-01-01 UTC.
    pub confirmed_at: Option<i64>,
    pub revoked_reason: Option<String>,
    /// Until when it waits for its payment, by the database's clock; `None` where it does not wait.
    pub pay_by: Option<i64>,
    /// The order that was not paid in time, in whose place this one came.
    pub replaces: Option<OrderId>,
}

impl LandedOrder {
    /// One that has not landed and may yet: its buyer was told that it is accepted.
    pub fn accepted(event: OrderEvent) -> Self {
        Self {
            replaces: replaced_by(&event.attributes),
            attempt: Attempt {
                order: event.order,
                user: event.user,
                sku: event.sku,
                quantity: event.quantity,
                attributes: event.attributes,
            },
            revision: event.revision,
            placed_at: event.placed_at,
            fingerprint: event.fingerprint,
            charges: event.charges,
            state: OrderState::Accepted,
            holds: Holds::All,
            confirmed_at: None,
            revoked_reason: None,
            pay_by: None,
        }
    }

    /// Whether it has given something back: it never gives back again.
    pub fn is_released(&self) -> bool {
        self.holds != Holds::All
    }
}
