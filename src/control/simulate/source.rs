//! Where replayed attempts come from, page by page in the order of their moments.

use futures_util::StreamExt;

use super::{ControlError, Given, SIMULATED_MAX};
use crate::control::requests::Problem;
use crate::order::OrderId;
use crate::recorded::Recorded;
use crate::store::{AttemptsAt, SampleRow, Store};

/// Attempts of one page.
const PAGE: u32 = 2000;

pub(super) enum Feed<'a> {
    Sample {
        store: &'a Store,
        campaign: &'a str,
        halvings: u32,
        after: Option<AttemptsAt>,
        /// What arrived later is not part of this simulation.
        end: i64,
    },
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
        Ok(Self::Sample {
            store,
            campaign,
            halvings: sample.halvings,
            after: None,
            end: store.attempts_end().await?,
        })
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
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Recorded>>, ControlError> {
        match self {
            Self::Sample {
                store,
                campaign,
                halvings,
                after,
                end,
            } => {
                let (page, last) = store
                    .attempts_page(campaign, *halvings, *after, *end, PAGE)
                    .await?;
                *after = last.or(*after);
                Ok(last.map(|_| page))
            }
            Self::Orders { store, campaign, ids } => {
                let page: Vec<OrderId> = ids.take(PAGE as usize).collect();
                if page.is_empty() {
                    return Ok(None);
                }
                let attempts = store.orders_as_attempts(campaign, &page).await?;
                match attempts.len() == page.len() {
                    true => Ok(Some(attempts)),
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
