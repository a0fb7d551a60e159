//! Where replayed attempts come from, page by page in the order of their moments.

use futures_util::StreamExt;

use super::sampled::Sampled;
use super::{ControlError, Given, SIMULATED_MAX};
use crate::attempts::DecidedAttempt;
use crate::control::Problem;
use crate::order::OrderId;
use crate::store::{SampleRow, Store};

/// Attempts of one page.
const PAGE: u32 = 2000;

pub(super) enum Feed<'a> {
    Sample(Box<Sampled<'a>>),
    /// By their ids: a page is looked up by key, and nobody holds a connection for the whole replay.
    Orders {
        store: &'a Store,
        campaign: &'a str,
        ids: std::vec::IntoIter<OrderId>,
    },
    Given(Given<'a>),
}

impl<'a> Feed<'a> {
    pub(super) async fn sample(
        store: &'a Store,
        campaign: &'a str,
        sample: SampleRow,
    ) -> Result<Self, ControlError> {
        let sampled = Sampled::begin(store, campaign, sample).await?;
        Ok(Self::Sample(Box::new(sampled)))
    }

    pub(super) async fn orders(store: &'a Store, campaign: &'a str) -> Result<Self, ControlError> {
        let ids = store.order_ids_by_moment(campaign, SIMULATED_MAX + 1).await?;
        Ok(Self::Orders {
            store,
            campaign,
            ids: ids.into_iter(),
        })
    }

    /// `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<DecidedAttempt>>, ControlError> {
        match self {
            Self::Sample(sampled) => sampled.next().await,
            Self::Orders { store, campaign, ids } => {
                let page: Vec<OrderId> = ids.take(PAGE as usize).collect();
                if page.is_empty() {
                    return Ok(None);
                }
                let orders = store.orders_of(campaign, &page).await?;
                match orders.len() == page.len() {
                    true => Ok(Some(orders.into_iter().map(DecidedAttempt::from).collect())),
                    false => {
                        let why = "orders disappeared from the database while they were read";
                        Err(ControlError::Invalid(vec![Problem::new("/from", why)]))
                    }
                }
            }
            Self::Given(attempts) => attempts.next().await.transpose(),
        }
    }
}
