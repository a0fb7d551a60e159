//! Golden examples: orders in a small campaign, and what must come of them.

use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::Attribute;
use crate::bindings::exports::rushgate::policy::types as wit;
use crate::rule::Reason;

/// 2026-01-01T00:00:00Z: when the campaigns of examples open.
const OPENS_AT_MS: u64 = 1_767_225_600_000;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A golden case. Its campaign is open for one day and sells one SKU, `ticket`, of which there are 100.
#[derive(Clone, Debug)]
pub struct Example(wit::Example);

impl Example {
    /// `params` as a merchant would write them: `json!({"limit": 2})`.
    pub fn new(name: &str, params: serde_json::Value) -> Self {
        Self(wit::Example {
            name: name.to_owned(),
            context: wit::Context {
                campaign: "example".to_owned(),
                opens_at_ms: OPENS_AT_MS,
                closes_at_ms: OPENS_AT_MS + DAY_MS,
                skus: vec![wit::Sku {
                    id: "ticket".to_owned(),
                    stock: 100,
                }],
                contract: "1.0.0".to_owned(),
            },
            params: params.to_string(),
            audiences: Vec::new(),
            attempts: Vec::new(),
        })
    }

    /// Sells one more SKU.
    pub fn sku(mut self, id: &str, stock: u64) -> Self {
        self.0.context.skus.push(wit::Sku {
            id: id.to_owned(),
            stock,
        });
        self
    }

    /// Keeps the campaign open for so long.
    pub fn open_for(mut self, length: Duration) -> Self {
        self.0.context.closes_at_ms = OPENS_AT_MS + length.as_millis() as u64;
        self
    }

    /// Uploads a list.
    pub fn audience(mut self, id: &str, members: &[&str]) -> Self {
        let members: Vec<String> = members.iter().map(|member| (*member).to_owned()).collect();
        self.0.audiences.push((id.to_owned(), members));
        self
    }

    /// The next order must be admitted.
    pub fn admits(self, order: Order) -> Self {
        self.attempt(order, wit::Expected::Admitted)
    }

    /// The next order must be rejected with this reason.
    pub fn rejects(self, order: Order, reason: &Reason) -> Self {
        self.attempt(order, wit::Expected::Rejected(reason.code.to_owned()))
    }

    /// The next order must be rejected by the gateway itself: `sold-out`, `not-open`, `closed`.
    pub fn gateway_rejects(self, order: Order, reason: &str) -> Self {
        self.attempt(order, wit::Expected::Rejected(reason.to_owned()))
    }

    fn attempt(mut self, order: Order, expect: wit::Expected) -> Self {
        self.0.attempts.push(wit::ExampleAttempt { expect, ..order.0 });
        self
    }

    pub(crate) fn finish(self) -> wit::Example {
        self.0
    }
}

/// One order of an example: one unit of `ticket` at the moment the campaign opens, unless said otherwise.
#[derive(Clone, Debug)]
pub struct Order(wit::ExampleAttempt);

impl Order {
    pub fn by(user: &str) -> Self {
        Self(wit::ExampleAttempt {
            at_ms: 0,
            user: user.to_owned(),
            sku: "ticket".to_owned(),
            quantity: 1,
            attributes: Vec::new(),
            expect: wit::Expected::Admitted,
        })
    }

    pub fn units(mut self, quantity: u32) -> Self {
        self.0.quantity = quantity;
        self
    }

    pub fn of(mut self, sku: &str) -> Self {
        self.0.sku = sku.to_owned();
        self
    }

    /// So long after the opening.
    pub fn after(mut self, delay: Duration) -> Self {
        self.0.at_ms = delay.as_millis() as i64;
        self
    }

    /// So long before the opening.
    pub fn before(mut self, lead: Duration) -> Self {
        self.0.at_ms = -(lead.as_millis() as i64);
        self
    }

    /// The value of an `ip`, `claim` or `client` attribute.
    pub fn with(mut self, attribute: Attribute, value: &str) -> Self {
        self.0.attributes.push((attribute.0, value.to_owned()));
        self
    }
}
