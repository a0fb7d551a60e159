//! What the outbox carries: the admitted attempts of one batch, and the events they become.

use crate::lua::keys::Shard;
use crate::order::{Attempt, EVENT_VERSION, OrderEvent};
use crate::plan::eval;
use crate::ruleset::ActiveCampaign;

/// Called once with whether Kafka acknowledged every order of the entry.
pub type Acknowledged = Box<dyn FnOnce(bool) + Send>;

/// One entry of a shard's outbox, ready to be published.
pub struct Entry {
    pub shard: Shard,
    /// Redis stream id.
    pub id: String,
    /// Of its shard: see [`Campaign::partition_of`](crate::campaign::Campaign::partition_of).
    pub partition: Option<i32>,
    pub orders: Vec<OrderEvent>,
    pub acknowledged: Option<Acknowledged>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("shard", &self.shard)
            .field("id", &self.id)
            .field("orders", &self.orders.len())
            .finish()
    }
}

/// The event of an attempt that was admitted at `placed_at` under `active`. Charges follow from plan,
/// attempt and moment, so whoever finds the entry computes the same event as the gateway that
/// admitted it.
pub fn event(active: &ActiveCampaign, shard: u32, attempt: &Attempt, placed_at: i64) -> OrderEvent {
    let plan = &active.family.plan;
    OrderEvent {
        v: EVENT_VERSION,
        order: attempt.order,
        campaign: active.campaign.id.clone(),
        shard,
        sku: attempt.sku.clone(),
        user: attempt.user.clone(),
        quantity: attempt.quantity,
        revision: active.revision.number,
        plan: active.revision.plan_digest.clone(),
        modules: active
            .revision
            .rules
            .iter()
            .map(|rule| rule.digest.clone())
            .collect(),
        placed_at,
        fingerprint: attempt.fingerprint(),
        charges: eval::charges(plan, attempt, placed_at),
        attributes: attempt.attributes.clone(),
        ordinal: None,
    }
}
