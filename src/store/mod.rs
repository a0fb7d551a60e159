//! The store: MySQL/MariaDB or SQLite through sqlx. One code over both; what differs in SQL is in
//! `dialect`.

use std::collections::BTreeMap;

use crate::campaign::{Activation, Campaign, Revision, Schedule};
use crate::order::{Charge, OrderEvent, OrderId, OrderState};

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Connection lost, deadlock, lock wait, too many connections: the same call may succeed.
    #[error("database: {0}")]
    Transient(String),
    /// Another writer holds what this call needs: a newer owner, an id already taken.
    #[error("database: {0}")]
    Conflict(String),
    /// The call can never succeed.
    #[error("database: {0}")]
    Permanent(String),
}

impl StoreError {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

pub type StoreResult<T> = Result<T, StoreError>;

/// A stored rule module.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleRow {
    /// Lower-case hex SHA-256 of the bytes.
    pub digest: String,
    pub id: String,
    pub version: String,
    /// The descriptor as JSON.
    pub descriptor: serde_json::Value,
    pub uploaded_at: i64,
}

/// A campaign with what is active.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignRow {
    pub campaign: Campaign,
    pub activation: Activation,
    /// Schedule of the active revision.
    pub schedule: Schedule,
}

/// Stock of one SKU as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockRow {
    pub sku: String,
    pub total: i64,
    pub sold: i64,
}

/// An order as it landed.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderRow {
    pub order: OrderId,
    pub campaign: String,
    pub sku: String,
    pub user: String,
    pub quantity: u32,
    pub revision: u32,
    pub state: OrderState,
    pub placed_at: i64,
    pub confirmed_at: Option<i64>,
    pub revoked_reason: Option<String>,
    pub fingerprint: String,
    pub charges: Vec<Charge>,
}

/// One partition's part of a landing transaction: its records from `from` up to `next`.
#[derive(Clone, Debug, PartialEq)]
pub struct LandingSlice {
    pub partition: i32,
    pub from: i64,
    pub next: i64,
    pub orders: Vec<OrderEvent>,
}

/// What a landing transaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landed {
    pub confirmed: u64,
    pub revoked: u64,
    /// Orders that were in the database already.
    pub duplicates: u64,
    /// Partitions whose expected offset was another one, with the offset the database expects.
    /// Nothing of these slices was written; the other slices were.
    pub fenced: BTreeMap<i32, i64>,
}

/// The database.
#[derive(Clone, Debug)]
pub struct Store {}

/// How to reach it.
#[derive(Clone, Debug)]
pub struct Config {
    /// `mysql://user:password@host:port/name`, `sqlite:///path`, or `sqlite::memory:`.
    pub url: String,
    pub connections: u32,
}

#[allow(unused_variables)]
impl Store {
    /// Connects, with a session in UTC; does not migrate.
    pub async fn connect(config: &Config) -> StoreResult<Self> {
        todo!("store")
    }

    /// Applies what is missing of `migrations/`; the number applied.
    pub async fn migrate(&self) -> StoreResult<usize> {
        todo!("store")
    }

    /// Fails with what to run when the schema is older or newer than this build.
    pub async fn check_schema(&self) -> StoreResult<()> {
        todo!("store")
    }

    pub async fn ping(&self) -> StoreResult<()> {
        todo!("store")
    }

    /// Stores a module; `false` when these bytes were stored before.
    pub async fn insert_module(&self, module: &ModuleRow, bytes: &[u8]) -> StoreResult<bool> {
        todo!("store")
    }

    /// Newest upload first.
    pub async fn modules(&self) -> StoreResult<Vec<ModuleRow>> {
        todo!("store")
    }

    /// By `id` (newest upload), `id@version` (newest upload of it) or digest.
    pub async fn module(&self, selector: &str) -> StoreResult<Option<ModuleRow>> {
        todo!("store")
    }

    pub async fn module_bytes(&self, digest: &str) -> StoreResult<Option<Vec<u8>>> {
        todo!("store")
    }

    /// Campaign, stock rows, revision 1 and its activation with epoch 1, in one transaction.
    /// `Conflict` when the id is taken.
    pub async fn insert_campaign(&self, campaign: &Campaign, first: &Revision) -> StoreResult<()> {
        todo!("store")
    }

    pub async fn campaign(&self, id: &str) -> StoreResult<Option<CampaignRow>> {
        todo!("store")
    }

    /// Newest first, those created before `before` (id of the last one seen), at most `limit`.
    pub async fn campaigns(&self, before: Option<&str>, limit: u32) -> StoreResult<Vec<CampaignRow>> {
        todo!("store")
    }

    /// Those whose retention has not ended at `now`.
    pub async fn live_campaigns(&self, now: i64) -> StoreResult<Vec<CampaignRow>> {
        todo!("store")
    }

    /// Stores the revision under the next free number (its own `number` is ignored) and returns it.
    pub async fn insert_revision(&self, revision: &Revision) -> StoreResult<u32> {
        todo!("store")
    }

    pub async fn revision(&self, campaign: &str, number: u32) -> StoreResult<Option<Revision>> {
        todo!("store")
    }

    /// Appends an activation with the next epoch. `Conflict` when the revision does not exist.
    /// Also how a rebuild raises the epoch: with the revision that is active.
    pub async fn insert_activation(
        &self,
        campaign: &str,
        revision: u32,
        now: i64,
    ) -> StoreResult<Activation> {
        todo!("store")
    }

    /// Highest epoch of the campaign.
    pub async fn activation(&self, campaign: &str) -> StoreResult<Option<Activation>> {
        todo!("store")
    }

    /// The order if it landed.
    pub async fn order(&self, campaign: &str, order: OrderId) -> StoreResult<Option<OrderRow>> {
        todo!("store")
    }

    pub async fn stock(&self, campaign: &str) -> StoreResult<Vec<StockRow>> {
        todo!("store")
    }

    /// Landed orders of a campaign in order of id, after `after`, at most `limit`: for a rebuild.
    pub async fn orders_page(
        &self,
        campaign: &str,
        after: Option<OrderId>,
        limit: u32,
    ) -> StoreResult<Vec<OrderRow>> {
        todo!("store")
    }

    /// Next offset per partition; partitions never landed are missing.
    pub async fn offsets(&self, topic: &str) -> StoreResult<BTreeMap<i32, i64>> {
        todo!("store")
    }

    /// Lands slices of several partitions in one transaction: offset rows locked and compared,
    /// orders inserted once, usage added, stock last and conditionally.
    pub async fn land(&self, topic: &str, slices: &[LandingSlice], now: i64) -> StoreResult<Landed> {
        todo!("store")
    }

    /// Appends to the audit trail.
    pub async fn audit(
        &self,
        now: i64,
        actor: &str,
        action: &str,
        target: &str,
        detail: &serde_json::Value,
    ) -> StoreResult<()> {
        todo!("store")
    }

    /// Takes or renews a named lease until `now + for_ms`; says whether `owner` holds it.
    pub async fn lease(&self, name: &str, owner: &str, now: i64, for_ms: i64) -> StoreResult<bool> {
        todo!("store")
    }
}
