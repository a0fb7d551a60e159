//! Changes of the stock that a rebuild meets. What was added is in the totals. What was to be taken off, and is not, is decided
//! here: the shard that had given it up may have lost that.

use std::collections::BTreeMap;

use super::RebuildError;
use super::work::Work;
use crate::campaign::Activation;
use crate::store::StockChangeKind;

/// What a shard is to remember of the last change of its stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LastChange {
    /// 0 where there is none.
    pub(super) number: u64,
    /// Units that it took off.
    pub(super) taken: u64,
    /// That is decided by this rebuild, and to be written down.
    is_news: bool,
}

impl Work<'_> {
    /// The last change of the campaign's stock. Where it is a removal that is not in the total, its units come off `stock`, units
    /// left by SKU: everything that is on its way has landed, so no buyer has them.
    pub(super) async fn weigh_change(
        &self,
        campaign: &str,
        stock: &mut BTreeMap<String, i64>,
    ) -> Result<LastChange, RebuildError> {
        let Some(change) = self.reconcile.store.last_stock_change(campaign).await? else {
            return Ok(LastChange::default());
        };
        let mut last = LastChange {
            number: change.number,
            ..LastChange::default()
        };
        let is_open = !change.is_committed() && !change.is_done;
        if change.kind != StockChangeKind::Remove || !is_open {
            return Ok(last);
        }
        if let Some(left) = stock.get_mut(&change.sku) {
            let there = u64::try_from(*left).unwrap_or(0);
            last.taken = change.units.unwrap_or(change.asked.min(there));
            last.is_news = change.units.is_none();
            *left = i64::try_from(there.saturating_sub(last.taken)).unwrap_or(0);
        }
        Ok(last)
    }

    /// Appends the activation that opens the gate. `None` where another one, or a change of the stock, came in between.
    pub(super) async fn raise_epoch(
        &self,
        campaign: &str,
        seen: Activation,
        last: &LastChange,
    ) -> Result<Option<Activation>, RebuildError> {
        let (store, now) = (&self.reconcile.store, (self.reconcile.clock)());
        if last.is_news {
            let decided = (last.number, last.taken);
            let raised = store.insert_activation_deciding((campaign, seen), decided, now);
            return Ok(raised.await?);
        }
        let raised = store.insert_activation_after(campaign, seen.revision, seen.epoch, now);
        Ok(raised.await?)
    }
}
