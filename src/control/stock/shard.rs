//! What a change of the stock asks of the campaign's shard.

use super::{Control, ControlError, TRIES};
use crate::engine::EngineError;
use crate::lua::Args;
use crate::lua::calls::{self, ShardStatus};
use crate::lua::fence::Fence;
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::lua::places::CountAt;
use crate::lua::repair::{counts_args, counts_reply};
use crate::lua::restock::{Restocked, Step, restock_args, restock_reply};
use crate::state::Condition;
use crate::store::{CampaignRow, StockChange, StockChangeKind};

/// What came of asking a shard.
pub(super) enum Asked {
    /// It gave up so many units for the change.
    Done { taken: u64 },
    /// Something else happened meanwhile: look at everything again.
    Again,
}

impl Control {
    /// Readies the shard for change `number`, made after the epoch of the row. The gate is open afterwards, under that epoch.
    pub(super) async fn ready(
        &self,
        row: &CampaignRow,
        number: u64,
        sku: &str,
        is_new: bool,
    ) -> Result<Asked, ControlError> {
        let step = Step::Ready { is_new };
        self.ask_shard(row, (number, sku), step, Some(row.activation.epoch))
            .await
    }

    /// Has the shard give up what it has left of the units that a removal asks for: the same answer, however often.
    pub(super) async fn take(&self, row: &CampaignRow, change: &StockChange) -> Result<Asked, ControlError> {
        let step = Step::Take { units: change.asked };
        self.ask_shard(row, (change.number, &change.sku), step, None)
            .await
    }

    /// `epoch`: the one that the shard has to be at; any will do otherwise.
    async fn ask_shard(
        &self,
        row: &CampaignRow,
        (number, sku): (u64, &str),
        step: Step,
        epoch: Option<u64>,
    ) -> Result<Asked, ControlError> {
        let campaign = &row.campaign;
        let (incarnation, fence) = match self.whole(row).await? {
            Some(whole) => whole,
            // A rebuild opens the gate, under another epoch.
            None => return Ok(Asked::Again),
        };
        if epoch.is_some_and(|epoch| epoch != fence.epoch) {
            // An activation has not reached the shard, or this row is older than it.
            self.bring(&campaign.id, fence.epoch).await?;
            return Ok(Asked::Again);
        }
        let args = restock_args(&fence, number, sku, step);
        let shard = Shard::new(&campaign.id, 0);
        let reply = self
            .engine
            .run_on(&incarnation, &fixed::RESTOCK, &shard.state(), args)
            .await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(EngineError::Changed { .. }) => return Ok(Asked::Again),
            Err(error) if error.is_transient() => return Err(ControlError::Unavailable(error.to_string())),
            Err(error) => return Err(ControlError::Internal(error.to_string())),
        };
        match restock_reply(reply).map_err(|error| ControlError::Internal(error.to_string()))? {
            Restocked::Done { taken, .. } => Ok(Asked::Done { taken }),
            Restocked::Fenced(_) | Restocked::Late => Ok(Asked::Again),
            // The watch of a gateway finds out, too, and has it rebuilt.
            Restocked::Lost => Err(ControlError::Unavailable(format!(
                "the engine has lost the stock of campaign {:?}, which is being rebuilt",
                campaign.id
            ))),
        }
    }

    /// The server that has the whole state of the campaign, and its fence; `None` where the gate was closed, and was opened just
    /// now.
    async fn whole(&self, row: &CampaignRow) -> Result<Option<(String, Fence)>, ControlError> {
        let (campaign, shard) = (&row.campaign, Shard::new(&row.campaign.id, 0));
        let unavailable = |error: EngineError| ControlError::Unavailable(error.to_string());
        let incarnation = self.engine.incarnation().await.map_err(unavailable)?;
        let reply = self
            .engine
            .run_on(&incarnation, &fixed::WATCH, &shard.state(), Args::default())
            .await;
        let status = calls::watch_reply(reply.map_err(unavailable)?);
        let status = status.map_err(|error| ControlError::Internal(error.to_string()))?;
        match Condition::of(&status, campaign, &incarnation) {
            Condition::Whole(fence) => Ok(Some((incarnation, fence))),
            Condition::Foreign => Err(super::super::activate::foreign()),
            _ => {
                let opened = self.gate.open(&campaign.id).await;
                opened.map_err(ControlError::Unavailable)?;
                Ok(None)
            }
        }
    }

    /// Of a change that is under way: its SKU, and by how many units what is left of it differs from its total already or still.
    pub(in super::super) async fn half_way(
        &self,
        row: &CampaignRow,
        status: &ShardStatus,
    ) -> Result<Option<(String, i64)>, ControlError> {
        let last = self.store.last_stock_change(&row.campaign.id).await?;
        let Some(change) = last.filter(|change| !change.is_done) else {
            return Ok(None);
        };
        let fence = status.fence.as_ref().map_or(0, |fence| fence.epoch);
        let units = match change.epoch {
            // Its units come with the fence.
            Some(epoch) if epoch <= row.activation.epoch && fence < epoch => change.units.unwrap_or(0),
            Some(_) => 0,
            None => self.given_up(row, &change).await?,
        };
        let is_added = change.is_committed() && change.kind != StockChangeKind::Remove;
        let moves = is_added || !change.is_committed();
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        Ok(moves.then_some((change.sku, units)))
    }

    /// What the shard has given up for a removal that the total does not know of.
    async fn given_up(&self, row: &CampaignRow, change: &StockChange) -> Result<u64, ControlError> {
        let places = [CountAt::stock_change(), CountAt::stock_taken()];
        let shard = Shard::new(&row.campaign.id, 0);
        let args = counts_args(&places);
        let reply = self.engine.run(&fixed::COUNTS, &shard.state(), args).await;
        let reply = reply.map_err(|error| ControlError::Unavailable(error.to_string()))?;
        let (_, values) = counts_reply(reply).map_err(|error| ControlError::Internal(error.to_string()))?;
        let numbers = values.iter().map(|value| value.parse::<u64>().unwrap_or(0));
        match numbers.collect::<Vec<_>>()[..] {
            [number, taken] if number == change.number => Ok(taken),
            _ => Ok(0),
        }
    }

    /// Sees to it that every shard is at the newest activation, of epoch `at_least` or a later one, and has the units that were
    /// added.
    pub(super) async fn bring(&self, campaign: &str, at_least: u64) -> Result<(), ControlError> {
        for _ in 0..TRIES {
            let newest = self.store.activation(campaign).await?;
            let epoch = newest.map_or(at_least, |newest| newest.epoch.max(at_least));
            let loaded = self.loader.load(campaign, epoch).await;
            // One that was archived meanwhile has no shards.
            let Some(active) = loaded.map_err(ControlError::Unavailable)? else {
                return Ok(());
            };
            if self.move_fences(&active).await? {
                return Ok(());
            }
        }
        Err(ControlError::Unavailable(format!(
            "the change of campaign {campaign:?} is recorded and takes effect when the engine keeps its state: it was lost again \
             and again"
        )))
    }
}
