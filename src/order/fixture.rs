//! An order's event, for unit tests: as bare as one can be.

use super::{Attempt, OrderEvent, OrderId};

/// One shoe of the campaign `spring`, for user `u<n>`, without charges.
pub(crate) fn event(n: u8) -> OrderEvent {
    let attempt = Attempt {
        order: OrderId::fresh(1, [n; 10]),
        user: format!("u{n}"),
        sku: "shoe".into(),
        quantity: 1,
        attributes: Default::default(),
    };
    OrderEvent::of(attempt, "spring", 0, (1, ""), 1)
}
