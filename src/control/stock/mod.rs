//! The stock of a running sale: units that are added or taken back, and SKUs that come later, each change once.
//!
//! ```text
//!  add, new SKU:  compile ─▶ shard: ready ─▶ database: total, revision, activation ─▶ shard: fence and units ─▶ answer
//!  remove:        compile ─▶ database: begun ─▶ shard: gives up what is left ─▶ compile for what that was
//!                 ─▶ database: total, revision, activation ─▶ shard: fence ─▶ answer
//! ```
//!
//! Changes of a campaign are numbered, and one is done before the next begins. Whoever finds one half done does the rest: the
//! next change, the same request again, any gateway that looks ([`Control::keep_finishing`]), and a rebuild.

mod add;
mod answer;
mod asked;
mod finish;
mod prepare;
mod remove;
mod shard;

use std::collections::HashSet;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::operations::{Answered, Operation};
use super::{Control, ControlError};
use crate::campaign::Campaign;
use crate::order::shown_sku;
use crate::store::{CampaignRow, StockChange, StockChangeKind};

use answer::{Told, follow, units};
use asked::{Step, Wanted, Wish};
use prepare::Prepared;

pub(super) use prepare::older_stock;

pub use answer::StockChanged;
pub use asked::{NewSku, StockBody};

/// Kinds of these operations, as the audit trail names them.
pub const STOCK_CHANGE: &str = "stock.change";
pub const SKU_CREATE: &str = "sku.create";

/// What a dry run says first.
const NOTHING_DONE: &str = "Nothing was done.";
/// Tries of one step while others change the campaign.
const TRIES: u32 = 5;

/// Changes that were begun here, or were seen half done.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Operations that a request is at.
    here: Mutex<HashSet<String>>,
}

/// A request that is asked for once.
struct Asked<'a> {
    operation: Operation<'a>,
    /// Of the operation.
    id: &'a str,
    wanted: &'a Wanted,
}

impl Control {
    /// Changes the stock of a SKU, of which the path may be `path`; with `dry_run` only says what it would be. What it answers is
    /// a [`StockChanged`]: units that were added are on sale, and none that was taken off can be sold any more.
    pub async fn change_stock(
        &self,
        operation: Operation<'_>,
        path: Option<&str>,
        body: &StockBody,
        dry_run: bool,
    ) -> Result<Answered, ControlError> {
        let wanted = Wanted::of(body, path)?;
        let asked = (path, body);
        let kept = Self::stock_proposal(path, body);
        self.restock(operation, &asked, (&wanted, &kept), dry_run).await
    }

    /// Adds a SKU to a campaign, as [`Self::change_stock`] adds units.
    pub async fn add_sku(
        &self,
        operation: Operation<'_>,
        new: &NewSku,
        dry_run: bool,
    ) -> Result<Answered, ControlError> {
        let wanted = Wanted::of_new(new)?;
        self.restock(operation, new, (&wanted, &json!(new)), dry_run)
            .await
    }

    /// Units that come, and SKUs, wait for another person where a campaign needs two; units that are taken off do not.
    async fn proposed(
        &self,
        operation: Operation<'_>,
        wanted: &Wanted,
        kept: &Value,
    ) -> Result<Option<Answered>, ControlError> {
        let row = self.row(operation.campaign).await?;
        if !Self::is_proposed(&row, operation) {
            return Ok(None);
        }
        match wanted.step(&self.row_in_use(operation.campaign).await?)? {
            Step::Nothing | Step::Remove(..) => Ok(None),
            Step::Add(..) | Step::New(_) => {
                let would = self.would_restock(operation, wanted).await?.did;
                let would = would.trim_start_matches(NOTHING_DONE).trim_start();
                self.propose(operation, kept, would.to_owned()).await.map(Some)
            }
        }
    }

    async fn restock(
        &self,
        operation: Operation<'_>,
        asked: &impl serde::Serialize,
        (wanted, kept): (&Wanted, &Value),
        dry_run: bool,
    ) -> Result<Answered, ControlError> {
        if dry_run {
            let would = self.would_restock(operation, wanted).await?;
            return super::operations::answered(&would);
        }
        if let Some(proposed) = self.proposed(operation, wanted, kept).await? {
            return Ok(proposed);
        }
        self.once(operation, asked, async |id| {
            let _here = self.under_way.here(&id);
            let asked = Asked {
                operation,
                id: &id,
                wanted,
            };
            self.restock_once(&asked).await
        })
        .await
    }

    async fn restock_once(&self, asked: &Asked<'_>) -> Result<StockChanged, ControlError> {
        let campaign = asked.operation.campaign;
        if let Some(change) = self.store.stock_change(asked.id).await? {
            // An earlier try of the same request has begun it.
            return self.finish_begun(change).await;
        }
        for _ in 0..TRIES {
            let row = self.row_in_use(campaign).await?;
            if let Some(open) = self.store.last_stock_change(campaign).await?
                && !open.is_done
            {
                self.finish(open).await?;
                continue;
            }
            let done = match asked.wanted.step(&row)? {
                Step::Nothing => Some(self.nothing(&row, asked.wanted).await?),
                Step::Add(sku, units) => self.add(asked, &row, &sku, units).await?,
                Step::New(sku) => self.add(asked, &row, &sku, sku.stock).await?,
                Step::Remove(sku, units) => self.remove(asked, &row, &sku, units).await?,
            };
            if let Some(done) = done {
                return Ok(done);
            }
        }
        Err(ControlError::Conflict(format!(
            "others change campaign {campaign:?} at the same time: look at it and try again"
        )))
    }

    /// Nothing changes; what it would be with `dry_run`.
    async fn would_restock(
        &self,
        operation: Operation<'_>,
        wanted: &Wanted,
    ) -> Result<StockChanged, ControlError> {
        let row = self.row_in_use(operation.campaign).await?;
        let (sku, units, kind) = match wanted.step(&row)? {
            Step::Nothing => return self.nothing(&row, wanted).await,
            Step::Add(sku, units) => (sku, units, StockChangeKind::Add),
            Step::New(sku) => {
                let units = sku.stock;
                (sku, units, StockChangeKind::Sku)
            }
            Step::Remove(sku, units) => (sku, units, StockChangeKind::Remove),
        };
        let left = self.left(&row.campaign, &sku.id).await;
        // Buyers go on: as many as are left by now.
        let (then, can) = match kind {
            StockChangeKind::Remove => {
                let fewer = remove::as_left(&sku, units, left);
                let can = sku.stock - fewer.stock;
                (fewer, can)
            }
            _ => (sku.clone(), units),
        };
        let prepared = self.prepare(&row, &then, wanted.pointer()).await?;
        let told = Told {
            sku: &sku.id,
            kind,
            asked: units,
            units: can,
            total: then.stock,
            is_over: self.is_over(&row),
        };
        Ok(StockChanged {
            did: format!("{NOTHING_DONE} {}", told.would()),
            before: told.before(),
            stock: told.total,
            units: told.signed(),
            remaining: left,
            ..prepared.answer(&row.campaign.id, &sku.id)
        })
    }

    /// The stock is what was asked for.
    async fn nothing(&self, row: &CampaignRow, wanted: &Wanted) -> Result<StockChanged, ControlError> {
        let sku = wanted.sku();
        let total = match wanted.wish {
            Wish::Set { total, .. } => total,
            _ => 0,
        };
        Ok(StockChanged {
            campaign: row.campaign.id.clone(),
            sku: sku.to_owned(),
            did: format!("Nothing was done: the stock is {} already.", units(total)),
            before: total,
            stock: total,
            units: 0,
            remaining: self.left(&row.campaign, sku).await,
            revision: None,
            epoch: None,
            follow: Vec::new(),
            changes: Vec::new(),
            diagnostics: Vec::new(),
        })
    }

    /// Ends a change that an earlier try of the same request has begun, and answers it. What its revision changes is not known
    /// any more.
    async fn finish_begun(&self, change: StockChange) -> Result<StockChanged, ControlError> {
        let id = change.operation.clone();
        self.finish(change).await?;
        let change = self.store.stock_change(&id).await?;
        let change =
            change.ok_or_else(|| ControlError::Internal("a change that was begun is gone".to_owned()))?;
        let row = self.row(&change.campaign).await?;
        self.answer(&row, &change, Prepared::default()).await
    }

    /// What a change answers that is done.
    async fn answer(
        &self,
        row: &CampaignRow,
        change: &StockChange,
        prepared: Prepared,
    ) -> Result<StockChanged, ControlError> {
        let told = Told::of(change, self.is_over(row));
        Ok(StockChanged {
            did: told.did(),
            before: told.before(),
            stock: told.total,
            units: told.signed(),
            remaining: self.left(&row.campaign, &change.sku).await,
            revision: change.revision,
            epoch: change.epoch,
            ..prepared.answer(&change.campaign, &change.sku)
        })
    }

    /// Units left of a SKU, where the engine says it.
    async fn left(&self, campaign: &Campaign, sku: &str) -> Option<i64> {
        let (status, condition) = self.status(campaign).await.ok()?;
        condition
            .is_whole()
            .then(|| status.stock.get(sku).copied())
            .flatten()
    }

    fn is_over(&self, row: &CampaignRow) -> bool {
        row.schedule.is_over((self.clock)())
    }
}

/// What went wrong leaves the change half done: the same request may go on with it.
fn half_done(change: &StockChange, error: ControlError) -> ControlError {
    let what = format!(
        "the stock of {} in campaign {:?} is being changed, and a gateway goes on with that",
        shown_sku(&change.sku),
        change.campaign
    );
    match error {
        ControlError::Unavailable(why) => ControlError::Unavailable(format!("{what}: {why}")),
        other => ControlError::Internal(format!("{what}: {other}")),
    }
}

impl UnderWay {
    /// Says that a request of this process is at the operation, as long as what is answered lives.
    fn here(&self, id: &str) -> Here<'_> {
        self.lock().insert(id.to_owned());
        Here {
            under_way: self,
            id: id.to_owned(),
        }
    }

    fn is_here(&self, id: &str) -> bool {
        self.lock().contains(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.here.lock().expect("no panic holds this lock")
    }
}

struct Here<'a> {
    under_way: &'a UnderWay,
    id: String,
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.under_way.lock().remove(&self.id);
    }
}
