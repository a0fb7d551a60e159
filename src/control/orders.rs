//! The orders of a campaign, as a merchant looks at them: in pages, all of them one after the other, or one in full.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::{Control, ControlError, OrderInFull};
use crate::order::{LandedOrder, OrderId};
use crate::store::{OrderFilter, OrderRow};

/// Orders of one page at most, and one that says whether more follow.
const PAGE_MAX: u32 = 101;
/// Orders read at once where all are asked for: so many are in memory, however many there are.
const READ_AT_ONCE: u32 = 1000;

/// All orders that were asked for, some at a time; they are read as they are taken.
pub type OrdersStream = BoxStream<'static, Result<Vec<OrderRow>, ControlError>>;

impl Control {
    /// Orders that landed, the one placed last first, those that come behind the order `before`.
    pub async fn orders(
        &self,
        campaign: &str,
        filter: &OrderFilter,
        before: Option<OrderId>,
        limit: u32,
    ) -> Result<Vec<OrderRow>, ControlError> {
        self.row(campaign).await?;
        let place = match before {
            None => None,
            Some(order) => {
                let place = self.store.order_place(campaign, order).await?;
                Some(place.ok_or_else(|| unknown(campaign, order))?)
            }
        };
        let limit = limit.clamp(1, PAGE_MAX);
        Ok(self.store.listed_orders(campaign, filter, place, limit).await?)
    }

    /// The same without end: every order that landed until it is read.
    pub async fn all_orders(
        &self,
        campaign: &str,
        filter: OrderFilter,
    ) -> Result<OrdersStream, ControlError> {
        self.row(campaign).await?;
        let (store, campaign) = (self.store.clone(), campaign.to_owned());
        let pages = stream::try_unfold(Some(None), move |next| {
            let (store, campaign, filter) = (store.clone(), campaign.clone(), filter.clone());
            async move {
                let Some(before) = next else { return Ok(None) };
                let page = store.listed_orders(&campaign, &filter, before, READ_AT_ONCE);
                let page = page.await?;
                let is_full = page.len() == READ_AT_ONCE as usize;
                let last = page.last().filter(|_| is_full).map(OrderRow::place);
                Ok(Some((page, last.map(Some))))
            }
        });
        Ok(pages.boxed())
    }

    /// One order in full. One that was admitted and has not landed is here only where it waits among the dead letters.
    pub async fn order(&self, campaign: &str, order: OrderId) -> Result<OrderInFull, ControlError> {
        if let Some(order) = self.store.order(campaign, order).await? {
            let changes = self.store.changes_of(campaign, order.attempt.order).await?;
            return Ok(OrderInFull { order, changes });
        }
        self.row(campaign).await?;
        let stranded = self.store.stranded_order(campaign, order).await?;
        let stranded = stranded.map(|event| OrderInFull {
            order: LandedOrder::accepted(event),
            changes: Vec::new(),
        });
        stranded.ok_or_else(|| unknown(campaign, order))
    }
}

fn unknown(campaign: &str, order: OrderId) -> ControlError {
    ControlError::Unknown(format!(
        "campaign {campaign:?} has no landed order {order}; one that was just placed lands within moments"
    ))
}
