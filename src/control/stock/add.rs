//! Units that come: in the database first, then in the shard.

use super::prepare::audit;
use super::shard::Asked as Shard;
use super::{Asked, Control, ControlError, StockChanged};
use crate::campaign::Sku;
use crate::failpoint::{self, Point};
use crate::needs::ANSWER_MAX;
use crate::store::{CampaignRow, Commit, NewStockChange, StockChangeKind, StoreError};

impl Control {
    /// Adds so many units: `sku` is as it is to be. `None` where the campaign is not as `row` says any more.
    pub(super) async fn add(
        &self,
        asked: &Asked<'_>,
        row: &CampaignRow,
        sku: &Sku,
        units: u64,
    ) -> Result<Option<StockChanged>, ControlError> {
        let (operation, campaign) = (asked.operation, &row.campaign.id);
        let is_new = !row.campaign.skus.iter().any(|there| there.id == sku.id);
        let mut prepared = self.prepare(row, sku, asked.wanted.pointer()).await?;
        prepared.check(&asked.wanted.accept)?;
        self.can_put_in_force(&mut prepared).await?;
        // As of the row's epoch: a change that came since would not be counted, and this one is not written then.
        let number = row.stock_change + 1;
        if let Shard::Again = self.ready(row, number, &sku.id, is_new).await? {
            return Ok(None);
        }
        self.fill_for(&prepared, &asked.wanted.accept).await?;
        let may_be_sold_out = !is_new
            && self
                .left(&row.campaign, &sku.id)
                .await
                .is_none_or(|left| left <= 0);
        failpoint::hit(Point::S1);
        let kind = match is_new {
            true => StockChangeKind::Sku,
            false => StockChangeKind::Add,
        };
        let new = NewStockChange {
            campaign,
            operation: asked.id,
            sku: &sku.id,
            kind,
            asked: units,
            actor: operation.actor,
            note: operation.note,
        };
        let now = (self.clock)();
        let before = sku.stock - units;
        let bypass = operation.bypass(now);
        let commit = Commit {
            seen: row.activation.epoch,
            revision: prepared.revision()?,
            audit: audit(
                operation,
                now,
                serde_json::json!({"sku": sku.id, "kind": kind.as_str(), "from": before, "to": sku.stock}),
                &asked.wanted.accept,
            ),
            now,
            warrant: operation.pass.warrant(None, &bypass),
        };
        let committed = self.store.commit_addition(new, number, sku, commit).await;
        if matches!(&committed, Err(StoreError::Unapproved(_))) {
            // What was filled has closed the gate.
            self.open_again(campaign).await;
        }
        let Some(committed) = committed? else {
            return Ok(None);
        };
        self.alarm(operation, committed.is_bypass);
        let change = self.store.stock_change(asked.id).await?;
        let change = change.ok_or_else(|| ControlError::Internal("what was written is gone".to_owned()))?;
        self.finish(change.clone()).await?;
        if may_be_sold_out && !self.is_over(row) {
            // Gateways that have told buyers so may go on for that long, without asking.
            tokio::time::sleep(ANSWER_MAX).await;
        }
        self.answer(row, &change, prepared).await.map(Some)
    }
}
