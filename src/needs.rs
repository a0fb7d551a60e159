//! What stages need of each other. They do not know each other: one asks through these traits, and another answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::audit::AuditLine;
use crate::campaign::{Campaign, Holdings};
use crate::order::{OrderEvent, ToldChange};
use crate::revision::Revision;
use crate::ruleset::{Active, Compiled};

/// How old may be what a gateway answers without asking: that a SKU is sold out, that a sale is over. Whoever opens a sale anew
/// says so only when nobody can answer from before.
pub const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Where rules come from when those that a gateway has are old, or are missing. Errors are sentences.
pub trait Rules: Send + Sync + 'static {
    /// Sees to it that the ruleset has the campaign under epoch `at_least` or a later one; `None`
    /// when there is no such campaign, or it is archived: then the ruleset says so.
    fn load<'a>(
        &'a self,
        campaign: &'a str,
        at_least: u64,
    ) -> BoxFuture<'a, Result<Option<Arc<Active>>, String>>;

    /// Reads a campaign anew that the ruleset says is archived, where that is older than [`ANSWER_MAX`]: it may have been
    /// opened again.
    fn renew<'a>(&'a self, _campaign: &'a str) -> BoxFuture<'a, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    /// Loads every live campaign that is new or has a newer activation.
    fn sync(&self) -> BoxFuture<'_, Result<(), String>>;

    /// A revision that need not be the active one: the one that an old entry was admitted under.
    fn revision<'a>(
        &'a self,
        campaign: &'a str,
        number: u32,
    ) -> BoxFuture<'a, Result<Option<Arc<Compiled>>, String>>;
}

/// Who rebuilds campaigns whose state the engine lost.
pub trait Rebuilder: Send + Sync + 'static {
    /// The engine has lost or never had the campaign's state under this epoch, or parts of it: somebody
    /// should rebuild it. Returns at once.
    fn lost(self: Arc<Self>, campaign: &str, epoch: u64);

    /// Orders come for a campaign whose gate is closed: if somebody is to rebuild it, that goes before campaigns
    /// nobody asks for. Returns at once.
    fn hurry(&self, _campaign: &str) {}

    /// Whether this gateway looks after what one gateway alone is to look after.
    fn lead(&self) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }
}

/// What became of a campaign that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    Gone,
    /// It has admitted somebody, and stays; its gate is closed.
    Stays(Holdings),
    /// It is not as whoever asks has seen it, and stays; its gate is closed. This is its tag.
    Changed(String),
}

/// What the engine has to hold before anybody can be admitted. Errors are sentences.
pub trait Gate: Send + Sync + 'static {
    /// Opens the gate of a campaign whose state the engine does not hold.
    fn open<'a>(&'a self, campaign: &'a str) -> BoxFuture<'a, Result<(), String>>;

    /// Puts the lists a revision asks for next to the campaign's shards. Behind a closed gate it does
    /// nothing: opening it does.
    fn provide<'a>(
        &'a self,
        campaign: &'a Campaign,
        revision: &'a Revision,
    ) -> BoxFuture<'a, Result<(), String>>;

    /// Closes the gate of a campaign and charges every order so far, in the database, on those of these counters of a revision that
    /// it was not charged on. Opening the gate restores them. After an error the gate may be closed.
    fn fill<'a>(
        &'a self,
        revision: &'a Compiled,
        counters: &'a [String],
    ) -> BoxFuture<'a, Result<(), String>>;

    /// Closes the gate of a campaign for good, waits until the database knows every order there may be, and removes the campaign
    /// from the database and the engine where there is none; the audit trail says so where it is removed. After an error the gate may
    /// be closed.
    fn remove<'a>(&'a self, campaign: &'a str, line: AuditLine<'a>)
    -> BoxFuture<'a, Result<Removal, String>>;

    /// Orders gave something back in the database just now: the engine is to have it back, too. Returns at once.
    fn give_back_soon(&self) {}
}

/// Records of one partition whose orders have landed or were moved: from the first up to, not including, `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub partition: i32,
    pub from: i64,
    pub next: i64,
}

/// Orders that one transaction of landing took.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenOrders {
    /// All of them were confirmed; `None`: some may have been there before, or are revoked, and the database says which.
    pub confirmed: Option<Confirmed>,
    pub orders: Vec<OrderEvent>,
}

/// When orders were confirmed. Moments in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    pub at: i64,
    /// Until when they are to be paid, by campaign, of those that have a hold.
    pub pay_by: BTreeMap<String, i64>,
}

/// Who tells everybody else what becomes of orders.
pub trait Teller: Send + Sync + 'static {
    /// All orders of these spans that landed are among these, committed. Returns at once, whatever Kafka does.
    fn landed(&self, topic: &str, spans: Vec<Span>, taken: Vec<TakenOrders>);

    /// Of a partition: what was told, in ascending stretches of offsets, each from the first up to, not including, the second.
    fn told(&self, topic: &str, partition: i32) -> Vec<(i64, i64)>;
}

/// Who keeps changes of orders for the endpoints that are to be told.
pub trait Hooks: Send + Sync + 'static {
    /// Keeps what each endpoint is to be told of these changes, once, however often they come. Errors are sentences.
    fn queue<'a>(&'a self, changes: &'a [ToldChange]) -> BoxFuture<'a, Result<(), String>>;
}
