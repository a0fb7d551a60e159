//! What the control plane answers, as far as pages show it. What a page does not know it leaves alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// A campaign with its figures, which are those of all gateways: units of the database, and what Redis counted.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Campaign {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) revision: u32,
    pub(super) state: String,
    #[serde(default)]
    pub(super) paused: Option<Paused>,
    pub(super) opens_at: Timestamp,
    pub(super) closes_at: Timestamp,
    pub(super) skus: Vec<Sku>,
    pub(super) rejected: BTreeMap<String, u64>,
    pub(super) orders_to_kafka: u64,
    pub(super) units_to_database: u64,
    pub(super) redis_whole: bool,
    #[serde(default)]
    pub(super) scheduled: Vec<Scheduled>,
    #[serde(default)]
    pub(super) four_eyes: bool,
    /// Where rules of the active revision decide in shadow.
    #[serde(default)]
    pub(super) shadow: Option<Shadow>,
}

/// What the shadow said since its revision was first in force.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Shadow {
    pub(super) agree: u64,
    /// The most frequent first.
    pub(super) differ: Vec<Otherwise>,
}

/// Attempts with one outcome by the rules and another by the shadow.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Otherwise {
    pub(super) live: String,
    pub(super) shadow: String,
    pub(super) count: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Paused {
    #[serde(default)]
    pub(super) resume_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) note: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sku {
    pub(super) id: String,
    pub(super) stock: u64,
    pub(super) remaining: i64,
    pub(super) admitted: i64,
    pub(super) landed: i64,
}

/// A change that waits for its moment, or was refused then.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Scheduled {
    pub(super) id: String,
    pub(super) at: Timestamp,
    #[serde(default)]
    pub(super) revision: Option<u32>,
    pub(super) by: String,
    #[serde(default)]
    pub(super) failed: Option<String>,
}

impl Campaign {
    pub(super) fn admitted(&self) -> i64 {
        self.skus.iter().map(|sku| sku.admitted).sum()
    }

    pub(super) fn landed(&self) -> i64 {
        self.skus.iter().map(|sku| sku.landed).sum()
    }

    pub(super) fn remaining(&self) -> i64 {
        self.skus.iter().map(|sku| sku.remaining.max(0)).sum()
    }

    pub(super) fn stock(&self) -> u64 {
        self.skus.iter().map(|sku| sku.stock).sum()
    }

    pub(super) fn rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// The state in one word: as the control plane says it, and what a merchant wants to know besides.
    pub(super) fn word(&self) -> &str {
        match self.state.as_str() {
            "archived" => "archived",
            _ if !self.redis_whole => "gate-closed",
            "open" if self.remaining() == 0 => "sold-out",
            other => other,
        }
    }
}

/// A campaign in a list.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Campaigns {
    pub(super) campaigns: Vec<Listed>,
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// What a change answers that is done or would be.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Did {
    #[serde(default)]
    pub(super) did: String,
    /// Counters that have to be accepted.
    #[serde(default)]
    pub(super) accept: Vec<String>,
    #[serde(default)]
    pub(super) changes: Vec<Change>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Change {
    pub(super) class: String,
    pub(super) sentence: String,
    #[serde(default)]
    pub(super) counter: Option<Counter>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Counter {
    pub(super) id: String,
    pub(super) counts: String,
    pub(super) needs_accept: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) module: String,
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) params: Value,
}

/// A person, and what is theirs.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Named {
    pub(super) person: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Approval {
    pub(super) person: String,
    pub(super) at: Timestamp,
    #[serde(default)]
    pub(super) withdrawn_at: Option<Timestamp>,
}

/// A revision: stored, or as a dry run says it would be.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Revision {
    #[serde(default)]
    pub(super) digest: Option<String>,
    #[serde(default)]
    pub(super) made_by: Option<Named>,
    #[serde(default)]
    pub(super) approvals: Vec<Approval>,
    #[serde(default)]
    pub(super) approved: bool,
    #[serde(default)]
    pub(super) may_activate: bool,
    #[serde(default)]
    pub(super) lacks: Option<String>,
    #[serde(default)]
    pub(super) revision: Option<u32>,
    pub(super) explain: Vec<String>,
    #[serde(default)]
    pub(super) lua: Option<String>,
    pub(super) cost: Cost,
    #[serde(default)]
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) sharding: String,
    #[serde(default)]
    pub(super) against: Option<u32>,
    #[serde(default)]
    pub(super) changes: Vec<Change>,
    #[serde(default)]
    pub(super) rules: Vec<Rule>,
    #[serde(default)]
    pub(super) shadow: Vec<Rule>,
    #[serde(default)]
    pub(super) active: bool,
    #[serde(default)]
    pub(super) created_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) created_by: Option<String>,
    #[serde(default)]
    pub(super) lists: BTreeMap<String, u32>,
    #[serde(default)]
    pub(super) opens_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) closes_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) fold: Value,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Cost {
    pub(super) commands: u32,
    pub(super) bytes: u32,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Diagnostic {
    pub(super) pointer: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) hint: Option<String>,
}

/// A revision in the list of them.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RevisionHead {
    pub(super) revision: u32,
    pub(super) active: bool,
    pub(super) created_at: Timestamp,
    #[serde(default)]
    pub(super) created_by: Option<String>,
    pub(super) activations: Vec<Activation>,
    pub(super) changed: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Activation {
    pub(super) at: Timestamp,
    #[serde(default)]
    pub(super) by: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Revisions {
    pub(super) revisions: Vec<RevisionHead>,
    #[serde(default)]
    pub(super) next: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Module {
    pub(super) id: String,
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) uploaded_at: Timestamp,
    pub(super) descriptor: Value,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Modules {
    pub(super) modules: Vec<Module>,
}

/// An order in a list; in full it has more.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Order {
    pub(super) order: String,
    pub(super) state: String,
    pub(super) user: String,
    pub(super) sku: String,
    pub(super) quantity: u32,
    pub(super) revision: u32,
    pub(super) placed_at: Timestamp,
    #[serde(default)]
    pub(super) confirmed_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) revoked_reason: Option<String>,
    #[serde(default)]
    pub(super) pay_by: Option<Timestamp>,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) holds: String,
    #[serde(default)]
    pub(super) changes: Vec<OrderChange>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct OrderChange {
    pub(super) number: u32,
    pub(super) to: String,
    #[serde(default)]
    pub(super) at: Option<Timestamp>,
    pub(super) actor: String,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) note: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Orders {
    pub(super) orders: Vec<Order>,
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// What a change of many orders would do.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Bulk {
    pub(super) did: String,
    #[serde(default)]
    pub(super) orders: u64,
}

/// A change of many orders at work.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Job {
    pub(super) job: String,
    pub(super) did: String,
    pub(super) state: String,
    pub(super) matched: u64,
    pub(super) changed: u64,
    pub(super) skipped: u64,
    pub(super) failed: u64,
}

/// What rules would have answered to attempts, beside what others would have.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Simulation {
    pub(super) attempts: u64,
    pub(super) new: Side,
    /// The most frequent of the old side first.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) flipped: u64,
    #[serde(default)]
    pub(super) flipped_all: Option<Estimate>,
    pub(super) flips: Vec<Flip>,
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Side {
    pub(super) explain: Vec<String>,
}

/// How often one outcome was answered on each side.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Outcome {
    pub(super) outcome: String,
    pub(super) recorded: u64,
    pub(super) old: u64,
    pub(super) new: u64,
}

/// Attempts that one side answers so, and the other otherwise.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Flip {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) count: u64,
    #[serde(default)]
    pub(super) all: Option<Estimate>,
    pub(super) examples: Vec<FlipExample>,
}

/// Of all buyers, where only a share of them was looked at.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Estimate {
    pub(super) count: u64,
    pub(super) margin: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct FlipExample {
    pub(super) at: Timestamp,
    pub(super) user: String,
    pub(super) sku: String,
    pub(super) quantity: u32,
}

/// A version of a list.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct List {
    pub(super) id: String,
    pub(super) version: u32,
    pub(super) members: u64,
    pub(super) digest: String,
    pub(super) uploaded_at: Timestamp,
    pub(super) kind: String,
}

/// A version that was uploaded just now.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Uploaded {
    pub(super) version: u32,
    pub(super) members: u64,
    /// When it takes effect, in a sentence.
    pub(super) note: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Lists {
    pub(super) audiences: Vec<List>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct ListVersions {
    pub(super) versions: Vec<List>,
    #[serde(default)]
    pub(super) next: Option<u32>,
}

/// Whether somebody is on a list.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Member {
    pub(super) version: u32,
    pub(super) listed: bool,
    /// The member of the list that says so.
    #[serde(default)]
    pub(super) by: Option<String>,
}

/// An endpoint that hears what becomes of orders.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Webhook {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) campaign: Option<String>,
    pub(super) events: Vec<String>,
    #[serde(default)]
    pub(super) note: Option<String>,
    #[serde(default)]
    pub(super) failing_since: Option<Timestamp>,
    #[serde(default)]
    pub(super) disabled_why: Option<String>,
    #[serde(default)]
    pub(super) waiting: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Webhooks {
    pub(super) webhooks: Vec<Webhook>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Delivery {
    pub(super) event: String,
    pub(super) order: String,
    pub(super) number: i64,
    pub(super) state: String,
    pub(super) attempts: u32,
    pub(super) created_at: Timestamp,
    #[serde(default)]
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) campaign: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Deliveries {
    pub(super) deliveries: Vec<Delivery>,
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// What is sent again.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Replayed {
    pub(super) replayed: u64,
}

/// A line of the audit trail.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Audited {
    pub(super) at: Timestamp,
    pub(super) actor: String,
    #[serde(default)]
    pub(super) person: Option<String>,
    #[serde(default)]
    pub(super) address: Option<String>,
    pub(super) action: String,
    pub(super) target: String,
    pub(super) detail: Value,
    #[serde(default)]
    pub(super) note: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Trail {
    pub(super) lines: Vec<Audited>,
    #[serde(default)]
    pub(super) next: Option<i64>,
}

/// A key, but for its text.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) person: String,
    #[serde(default)]
    pub(super) merchant: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) state: String,
    pub(super) created_at: Timestamp,
    pub(super) created_by: String,
    #[serde(default)]
    pub(super) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) revoked_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) last_used_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Keys {
    pub(super) keys: Vec<Key>,
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// A new key with its text, which is shown once.
#[derive(Deserialize)]
pub(super) struct MadeKey {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) key: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Merchant {
    pub(super) id: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Merchants {
    pub(super) merchants: Vec<Merchant>,
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// An order that could not land; its payload stands in it where it is shown alone.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Letter {
    pub(super) id: String,
    pub(super) stage: String,
    pub(super) class: String,
    pub(super) error: String,
    pub(super) attempts: i64,
    pub(super) replays: i64,
    #[serde(default)]
    pub(super) key: Option<String>,
    #[serde(default)]
    pub(super) campaign: Option<String>,
    #[serde(default)]
    pub(super) order: Option<String>,
    #[serde(default)]
    pub(super) sku: Option<String>,
    #[serde(default)]
    pub(super) quantity: Option<i64>,
    pub(super) failed_at: Timestamp,
    pub(super) since: Timestamp,
    #[serde(default)]
    pub(super) replay_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) headers: Vec<LetterHeader>,
    #[serde(default)]
    pub(super) payload: Option<Value>,
    #[serde(default)]
    pub(super) payload_base64: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct LetterHeader {
    pub(super) name: String,
    pub(super) value: String,
}

/// How many letters of a stage and class there are.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct LetterTotal {
    pub(super) stage: String,
    pub(super) class: String,
    pub(super) letters: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Letters {
    pub(super) letters: Vec<Letter>,
    pub(super) totals: Vec<LetterTotal>,
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// What Redis and the database have of a sale, compared.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Reconciled {
    pub(super) orders: u64,
    pub(super) skus: u64,
    pub(super) subjects: u64,
    pub(super) unsettled: u64,
    pub(super) took_ms: u64,
    pub(super) repaired: bool,
    pub(super) kinds: Vec<DifferencesOfKind>,
    pub(super) left: Vec<DifferencesOfKind>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct DifferencesOfKind {
    pub(super) kind: String,
    pub(super) means: String,
    pub(super) repairable: bool,
    pub(super) found: u64,
    pub(super) mended: u64,
    pub(super) examples: Vec<Difference>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Difference {
    pub(super) sentence: String,
}
