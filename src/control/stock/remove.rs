//! Units that are taken back: the shard gives up what it has left, then the total is lowered by that.

use super::prepare::{Prepared, audit};
use super::shard::Asked as Shard;
use super::{Asked, Control, ControlError, Operation, STOCK_CHANGE, StockChanged, TRIES, half_done};
use crate::audit::AskedBy;
use crate::campaign::Sku;
use crate::failpoint::{self, Point};
use crate::order::shown_sku;
use crate::store::{CampaignRow, Commit, NewStockChange, StockChange, StockChangeKind, Warrant};

/// Where units stand that nobody has asked for in this request.
const NO_BODY: &str = "";

impl Control {
    /// Takes so many units off, or those that are left. `None` where the campaign is
    /// not as `row` says any more, and nothing was begun.
    pub(super) async fn remove(
        &self,
        asked: &Asked<'_>,
        row: &CampaignRow,
        sku: &Sku,
        units: u64,
    ) -> Result<Option<StockChanged>, ControlError> {
        let operation = asked.operation;
        // What is refused is refused before anything is taken.
        let left = self.left(&row.campaign, &sku.id).await;
        let fewer = as_left(sku, units, left);
        let mut prepared = self.prepare(row, &fewer, asked.wanted.pointer()).await?;
        prepared.check(&asked.wanted.accept)?;
        self.can_put_in_force(&mut prepared).await?;
        let new = NewStockChange {
            campaign: &row.campaign.id,
            operation: asked.id,
            sku: &sku.id,
            kind: StockChangeKind::Remove,
            asked: units,
            actor: operation.actor,
            note: operation.note,
        };
        let line = operation.line((self.clock)(), serde_json::json!({}));
        let begun = self.store.begin_removal(new, row.activation.epoch, &line).await?;
        if begun.is_none() {
            return Ok(None);
        }
        failpoint::hit(Point::S2);
        let change = self.begun(asked.id).await?;
        let prepared = self.finish_removal(change, Some(operation.by.begun())).await?;
        let change = self.begun(asked.id).await?;
        self.answer(row, &change, prepared.unwrap_or_default())
            .await
            .map(Some)
    }

    async fn begun(&self, operation: &str) -> Result<StockChange, ControlError> {
        let change = self.store.stock_change(operation).await?;
        change.ok_or_else(|| ControlError::Internal("a change that was begun is gone".to_owned()))
    }

    /// Does what is left to do of a removal; `by`: who asks for it just now. Answers what was put in force with it, where that was done
    /// here.
    pub(super) async fn finish_removal(
        &self,
        change: StockChange,
        by: Option<AskedBy<'_>>,
    ) -> Result<Option<Prepared>, ControlError> {
        let (campaign, operation) = (change.campaign.clone(), change.operation.clone());
        let mut change = change;
        let mut prepared = None;
        for _ in 0..TRIES {
            if change.is_done {
                return Ok(prepared);
            }
            if change.is_committed() {
                let finished = self.finish_committed(&change).await;
                finished.map_err(|error| half_done(&change, error))?;
                return Ok(prepared);
            }
            prepared = self
                .commit_removal(&change, by)
                .await
                .map_err(|error| half_done(&change, error))?;
            change = self.begun(&operation).await?;
        }
        match change.is_done {
            true => Ok(prepared),
            false => Err(ControlError::Unavailable(format!(
                "units of {} are being taken off campaign {campaign:?}, and others change it again and again; a gateway goes on \
                 with it",
                shown_sku(&change.sku)
            ))),
        }
    }

    /// Takes the units, and lowers the total. `None` where somebody else was faster, or nothing was to be taken.
    async fn commit_removal(
        &self,
        change: &StockChange,
        by: Option<AskedBy<'_>>,
    ) -> Result<Option<Prepared>, ControlError> {
        let row = self.row(&change.campaign).await?;
        let taken = match change.units {
            // A rebuild has decided it.
            Some(units) => units,
            // Its shard is gone, and nobody sells any more.
            None if row.schedule.is_archived((self.clock)()) => 0,
            None => match self.take(&row, change).await? {
                Shard::Done { taken } => taken,
                Shard::Again => return Ok(None),
            },
        };
        failpoint::hit(Point::S3);
        let detail =
            serde_json::json!({ "sku": change.sku, "kind": change.kind.as_str(), "asked": change.asked });
        let by = by.unwrap_or(change.actor.as_str().into());
        let operation = Operation::by(by, &change.campaign, STOCK_CHANGE).asked(None, change.note.as_deref());
        let now = (self.clock)();
        let mut lines = audit(operation, now, detail, &[]);
        if taken == 0 {
            lines.truncate(1);
            self.store.drop_removal(change, lines, now).await?;
            return Ok(None);
        }
        // What was taken is to be written down whatever the rules say of it; they have taken fewer units before.
        let mut prepared = match self.prepare_without(&row, change, taken).await {
            Err(ControlError::Invalid(problems)) => {
                tracing::warn!(
                    campaign = change.campaign,
                    ?problems,
                    "the rules stay as they are for less stock"
                );
                None
            }
            prepared => Some(prepared?),
        };
        if let Some(prepared) = &mut prepared {
            self.can_put_in_force(prepared).await?;
            let changes = prepared.compared.iter().flat_map(|compared| &compared.changes);
            let counters = changes.filter_map(|change| change.counter.as_ref());
            let all: Vec<String> = counters.map(|counter| counter.id.clone()).collect();
            self.fill_for(prepared, &all).await?;
        }
        let active = self
            .stored_revision(&change.campaign, row.activation.revision)
            .await?;
        let revision = match &prepared {
            Some(prepared) => prepared.revision()?,
            None => &active.revision,
        };
        let commit = Commit {
            seen: row.activation.epoch,
            revision,
            audit: lines,
            now,
            warrant: Warrant::Less,
        };
        let committed = self.store.commit_removal(change, taken, commit).await?;
        Ok(committed.and(prepared))
    }

    async fn prepare_without(
        &self,
        row: &CampaignRow,
        change: &StockChange,
        taken: u64,
    ) -> Result<Prepared, ControlError> {
        let there = row.campaign.skus.iter().find(|sku| sku.id == change.sku);
        let sku = there.ok_or_else(|| ControlError::Internal(format!("the SKU {:?} is gone", change.sku)))?;
        let fewer = Sku {
            stock: sku.stock.saturating_sub(taken),
            ..sku.clone()
        };
        self.prepare(row, &fewer, NO_BODY).await
    }
}

/// The SKU when so many units are taken off it, of which so many are left; `None`: nobody knows.
pub(super) fn as_left(sku: &Sku, units: u64, left: Option<i64>) -> Sku {
    let left = left.map_or(units, |left| u64::try_from(left).unwrap_or(0));
    Sku {
        stock: sku.stock.saturating_sub(units.min(left)),
        ..sku.clone()
    }
}
