//! Everything an engine keeps for one campaign shard, in its plainest form, and what an order does to it.

use std::collections::{BTreeMap, BTreeSet};

use super::decision::Placed;
use super::window::is_live;
use crate::campaign::Pause;
use crate::order::{Attempt, Charge};

/// Everything an engine keeps for one campaign shard, in its plainest form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub stock: BTreeMap<String, i64>,
    /// (counter id, window start, subject) → used. Without rolling counters.
    pub counters: BTreeMap<(String, i64, String), i64>,
    /// (counter id, subject) → (moment, cost), oldest first.
    pub rolling: BTreeMap<(String, String), Vec<(i64, i64)>>,
    /// Order id as text → record.
    pub orders: BTreeMap<String, Placed>,
    /// Audience id → members.
    pub audiences: BTreeMap<String, BTreeSet<String>>,
    /// Whether the sale is paused.
    pub pause: Pause,
    /// What rules in shadow have counted.
    pub shadow: ShadowState,
}

/// Counts of rules in shadow, and how they compare with the rules that decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowState {
    /// As [`State::counters`].
    pub counters: BTreeMap<(String, i64, String), i64>,
    /// As [`State::rolling`].
    pub rolling: BTreeMap<(String, String), Vec<(i64, i64)>>,
    /// (outcome of the rules, outcome of the shadow) → attempts: see [`outcome`](super::outcome).
    pub figures: BTreeMap<(String, String), u64>,
}

impl State {
    /// Takes an admitted order's units, and counts its charges.
    pub(super) fn apply(&mut self, attempt: &Attempt, charges: &[Charge], now: i64) {
        if let Some(remaining) = self.stock.get_mut(&attempt.sku) {
            *remaining -= i64::from(attempt.quantity);
        }
        for charge in charges {
            if charge.rolling_ms > 0 {
                let key = (charge.counter.clone(), charge.subject.clone());
                let entries = self.rolling.entry(key).or_default();
                entries.retain(|(moment, _)| is_live(*moment, now, charge.rolling_ms));
                entries.push((now, charge.cost));
            } else {
                let key = (charge.counter.clone(), charge.window, charge.subject.clone());
                let used = self.counters.entry(key).or_default();
                *used = used.saturating_add(charge.cost);
            }
        }
    }

    /// Takes back an order's charges and stock, exactly once; says whether it did. A count that comes
    /// down to nothing is forgotten, one that is already gone stays gone.
    #[cfg(feature = "testing")]
    pub fn release(&mut self, order: &str, charges: &[Charge]) -> bool {
        let Some(placed) = self.orders.get_mut(order).filter(|placed| !placed.released) else {
            return false;
        };
        placed.released = true;
        if let Some(remaining) = self.stock.get_mut(&placed.sku) {
            *remaining += i64::from(placed.quantity);
        }
        for charge in charges {
            if charge.rolling_ms > 0 {
                let key = (charge.counter.clone(), charge.subject.clone());
                let Some(entries) = self.rolling.get_mut(&key) else {
                    continue;
                };
                let entry = (charge.window, charge.cost);
                if let Some(index) = entries.iter().position(|there| *there == entry) {
                    entries.remove(index);
                }
                if entries.is_empty() {
                    self.rolling.remove(&key);
                }
            } else {
                let key = (charge.counter.clone(), charge.window, charge.subject.clone());
                match self.counters.get_mut(&key) {
                    Some(used) if *used > charge.cost => *used -= charge.cost,
                    _ => {
                        self.counters.remove(&key);
                    }
                }
            }
        }
        true
    }
}
