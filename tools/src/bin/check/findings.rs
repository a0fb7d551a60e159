//! The figures of a run, and which of them must be 0.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Cases that are named; the others are counted.
const NAMED_MAX: usize = 8;

/// The figures of a run. Those of the first group must be 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Told of an order that is neither in the database nor among the dead letters, or in Kafka and nowhere else.
    pub lost: u64,
    /// Units and charges that the database counted more than once.
    pub doubled: u64,
    /// Units sold beyond the stock.
    pub oversold: u64,
    /// Orders beyond a buyer's or a device's limit, counted from rows alone.
    pub over_limit: u64,
    /// Confirmed orders whose every answer was a no, or that nobody asked for.
    pub phantom: u64,
    /// Units and charges that confirmed rows hold and stock or usage do not count.
    pub uncounted: u64,
    /// Rows that say something else than the buyer asked for.
    pub altered: u64,
    /// Answers that cannot all be true: another order's id, a no about an order there is (unless Redis lost writes).
    pub contradicted: u64,
    /// Told accepted and then revoked although Redis lost nothing.
    pub revoked_wrongly: u64,
    /// Changes of the stock that are half done, and SKUs whose total is not what their last change made it.
    pub half_changed: u64,
    /// What was released and is not on sale again, once: orders whose rows do not say the same of it, or units that Redis has too few or
    /// too many of (unless it lost writes).
    pub unreleased: u64,
    /// Orders whose state does not follow from their changes, and answers of the control plane that no row bears out.
    pub misstated: u64,
    /// Changes of orders that the topic `order-events` has no event of.
    pub untold: u64,
    /// Events that say something else than the rows, or than another event of the same change.
    pub mistold: u64,

    pub attempts: u64,
    pub ok: u64,
    pub rejected: u64,
    pub unknown: u64,
    /// Unknown attempts that became an order.
    pub unknown_landed: u64,
    /// What a shop asked of the control plane, and how often it was refused.
    pub acts: u64,
    pub acts_refused: u64,
    pub rows: u64,
    /// Rows by state.
    pub states: BTreeMap<String, u64>,
    pub confirmed: u64,
    /// Revoked orders by reason.
    pub revoked: BTreeMap<String, u64>,
    pub accepted_then_revoked: u64,
    /// Orders told `pending` that are gone, where Redis lost writes.
    pub pending_gone: u64,
    /// Orders that are not in `orders`, by the stage of their dead letter.
    pub dead: BTreeMap<String, u64>,
    /// Copies in the orders topic beyond the first of each order: each would have been a doubled order.
    pub duplicates_absorbed: u64,
    /// Changes of orders that were told, and copies beyond the first event of each.
    pub told: u64,
    pub told_again: u64,
    /// Orders in the orders topic.
    pub in_kafka: u64,
    pub unreadable: u64,
    pub retried: u64,
    pub dead_lettered: u64,
    pub replayed: u64,
    /// Orders placed before the one ahead of them under the same key, or, where records say so, in the same shard. An outbox entry that a dead gateway left
    /// behind comes late by design.
    pub inverted: u64,
    /// Units neither sold, nor left, nor held by a dead letter; below 0 there is more left than there may be.
    pub leaked: Option<i64>,
    /// The first few cases of whatever must not be.
    pub cases: Vec<String>,
}

impl Findings {
    /// Whether nothing is there that must not be.
    pub fn is_right(&self) -> bool {
        self.wrong().iter().all(|(_, count)| *count == 0)
    }

    /// The figures that must be 0.
    pub fn wrong(&self) -> [(&'static str, u64); 14] {
        [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("oversold", self.oversold),
            ("over limit", self.over_limit),
            ("phantom", self.phantom),
            ("uncounted", self.uncounted),
            ("altered", self.altered),
            ("contradicted", self.contradicted),
            ("revoked wrongly", self.revoked_wrongly),
            ("half changed", self.half_changed),
            ("unreleased", self.unreleased),
            ("misstated", self.misstated),
            ("untold", self.untold),
            ("mistold", self.mistold),
        ]
    }

    /// Every figure and case, and once more as `wrong` those figures that must be 0 and are not: nobody else has to know which
    /// these are.
    pub fn document(&self) -> serde_json::Value {
        let wrong = self.wrong().into_iter().filter(|(_, count)| *count > 0);
        let wrong: BTreeMap<&str, u64> = wrong.collect();
        let mut document = serde_json::json!(self);
        document["wrong"] = serde_json::json!(wrong);
        document
    }

    /// Names a case, as long as there are few.
    pub fn case(&mut self, text: String) {
        if self.cases.len() < NAMED_MAX {
            self.cases.push(text);
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} attempts: {} ok, {} rejected, {} unknown ({} of them became orders)",
            self.attempts, self.ok, self.rejected, self.unknown, self.unknown_landed
        )?;
        writeln!(
            f,
            "{} rows: {:?}, revoked {:?}; dead letters {:?}; {} duplicates absorbed, {} inverted, leaked {:?}; \
             {} changes told, {} of them again",
            self.rows,
            self.states,
            self.revoked,
            self.dead,
            self.duplicates_absorbed,
            self.inverted,
            self.leaked,
            self.told,
            self.told_again
        )?;
        for (name, count) in self.wrong() {
            let verdict = if count == 0 { "ok   " } else { "WRONG" };
            writeln!(f, "  {verdict}  {name}: {count}")?;
        }
        for case in &self.cases {
            writeln!(f, "  case   {case}")?;
        }
        Ok(())
    }
}
