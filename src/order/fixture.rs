//! An order's event, for unit tests: as bare as one can be.

use super::{EVENT_VERSION, OrderEvent, OrderId};

/// One shoe of the campaign `spring`, for user `u<n>`, without charges.
pub(crate) fn event(n: u8) -> OrderEvent {
    OrderEvent {
        v: EVENT_VERSION,
        order: OrderId::fresh(1, [n; 10]),
        campaign: "spring".into(),
        shard: 0,
        sku: "shoe".into(),
        user: format!("u{n}"),
        quantity: 1,
        revision: 1,
        plan: String::new(),
        modules: Vec::new(),
        placed_at: 1,
        fingerprint: String::new(),
        charges: Vec::new(),
        attributes: Default::default(),
        ordinal: None,
    }
}
