//! An order as the database knows it.

use super::{Attempt, Charge, OrderEvent, OrderState};

/// An order that landed, with where it stands; also one that is on its way there, among the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandedOrder {
    /// What was asked for; of the attributes, those that its gateway kept.
    pub attempt: Attempt,
    pub revision: u32,
    /// Redis' clock at the decision, milliseconds since 1970-01-01 UTC.
    pub placed_at: i64,
    pub fingerprint: String,
    /// What it was charged, whether it holds that or was revoked.
    pub charges: Vec<Charge>,
    pub state: OrderState,
    /// Milliseconds since 1970-01-01 UTC.
    pub confirmed_at: Option<i64>,
    pub revoked_reason: Option<String>,
}

impl LandedOrder {
    /// One that has not landed and may yet: its buyer was told that it is accepted.
    pub fn accepted(event: OrderEvent) -> Self {
        Self {
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
            confirmed_at: None,
            revoked_reason: None,
        }
    }

    /// It holds nothing for good.
    pub fn is_revoked(&self) -> bool {
        self.state == OrderState::Revoked
    }
}
