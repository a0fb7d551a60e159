//! Changes of the stock of campaigns: units that merchants add or take back, and SKUs that come later.
//!
//! ```text
//!  add, sku:  total, revision and activation, in one transaction ─▶ the shard gets the units with the fence ─▶ done
//!  remove:    the row ─▶ the shard gives up what it has left ─▶ total, revision and activation ─▶ the fence ─▶ done
//! ```

pub(in crate::store) mod commit;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::store::rows::{int, maybe_int, maybe_text, narrow, text};
use crate::store::{Store, StoreError, StoreResult};

const COLUMNS: &str = "campaign_id, number, operation_id, sku_id, kind, asked, units, total, revision, epoch, actor, note, \
     CASE WHEN done_at IS NULL THEN 0 ELSE 1 END";

/// Changes that are looked through at once.
const OPEN_MAX: i64 = 100;

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockChangeKind {
    /// Units more.
    Add,
    /// Units fewer, as far as they are left.
    Remove,
    /// A SKU that was not there.
    Sku,
}

impl StockChangeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Sku => "sku",
        }
    }

    fn of(text: &str) -> StoreResult<Self> {
        let all = [Self::Add, Self::Remove, Self::Sku];
        let found = all.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| StoreError::Permanent(format!("a change of the stock of kind {text:?}")))
    }
}

/// A change that is about to begin.
#[derive(Clone, Copy, Debug)]
pub struct NewStockChange<'a> {
    pub campaign: &'a str,
    /// Names it: it is begun once.
    pub operation: &'a str,
    pub sku: &'a str,
    pub kind: StockChangeKind,
    /// Units.
    pub asked: u64,
    pub actor: &'a str,
    pub note: Option<&'a str>,
}

/// A change that is begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockChange {
    pub campaign: String,
    /// Of the campaign's changes, from 1. One is done before the next begins.
    pub number: u64,
    pub operation: String,
    pub sku: String,
    pub kind: StockChangeKind,
    /// Units.
    pub asked: u64,
    /// By how many the total has changed, or is to change; `None` of a removal for which that is not decided.
    pub units: Option<u64>,
    /// Total of the SKU after it; `None` where the total is as it was.
    pub total: Option<u64>,
    /// Revision and epoch that were activated with it.
    pub revision: Option<u32>,
    pub epoch: Option<u64>,
    pub actor: String,
    pub note: Option<String>,
    /// The shard has it, too.
    pub is_done: bool,
}

impl StockChange {
    /// Whether the total has changed.
    pub fn is_committed(&self) -> bool {
        self.epoch.is_some()
    }
}

impl Store {
    /// The change that an operation has begun.
    pub async fn stock_change(&self, operation: &str) -> StoreResult<Option<StockChange>> {
        let sql = format!("SELECT {COLUMNS} FROM stock_changes WHERE operation_id = ?");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(operation)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(change).transpose()
    }

    /// The campaign's last change.
    pub async fn last_stock_change(&self, campaign: &str) -> StoreResult<Option<StockChange>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM stock_changes WHERE campaign_id = ? AND number = \
             (SELECT c.stock_change FROM campaigns c WHERE c.campaign_id = ?)"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(campaign)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(change).transpose()
    }

    /// Changes of all campaigns that are not done, one of a campaign at most.
    pub async fn open_stock_changes(&self) -> StoreResult<Vec<StockChange>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM stock_changes WHERE done_at IS NULL ORDER BY campaign_id, number LIMIT ?"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(OPEN_MAX)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(change).collect()
    }

    /// Whether units and epoch of a campaign are certain: no change is under way, and its epoch is this one.
    pub async fn is_stock_settled(&self, campaign: &str, epoch: u64) -> StoreResult<bool> {
        let row = sqlx::query(
            "SELECT c.epoch, (SELECT COUNT(*) FROM stock_changes x WHERE x.campaign_id = c.campaign_id \
             AND x.number = c.stock_change AND x.done_at IS NULL) FROM campaigns c WHERE c.campaign_id = ?",
        )
        .bind(campaign)
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(false) };
        Ok(narrow::<u64>(&row, 0)? == epoch && int(&row, 1)? == 0)
    }
}

fn change(row: &AnyRow) -> StoreResult<StockChange> {
    let maybe = |at| maybe_int(row, at).map(|value| value.is_some());
    Ok(StockChange {
        campaign: text(row, 0)?,
        number: narrow(row, 1)?,
        operation: text(row, 2)?,
        sku: text(row, 3)?,
        kind: StockChangeKind::of(&text(row, 4)?)?,
        asked: narrow(row, 5)?,
        units: maybe(6)?.then(|| narrow(row, 6)).transpose()?,
        total: maybe(7)?.then(|| narrow(row, 7)).transpose()?,
        revision: maybe(8)?.then(|| narrow(row, 8)).transpose()?,
        epoch: maybe(9)?.then(|| narrow(row, 9)).transpose()?,
        actor: text(row, 10)?,
        note: maybe_text(row, 11)?,
        is_done: int(row, 12)? == 1,
    })
}
