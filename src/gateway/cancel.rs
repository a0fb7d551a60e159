//! `POST /v1/campaigns/{campaign}/orders/{order}/cancel`: a buyer does not want an order any more that is not paid.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};
use serde::Deserialize;

use super::answer::{self, Answer};
use super::show::{no_lookup, show_row, unknown};
use super::{Gateway, Orders, body};
use crate::admission::AdmissionError;
use crate::order::{LandedOrder, OrderId};
use crate::store::StoreError;
use crate::wire::problem::{CANCEL_NOT_ALLOWED, NOT_LANDED_YET, ORDER_STATE, UNAVAILABLE};
use crate::wire::{Problem, check_uncompressed, idempotency_key, json};

/// A change that is not made so long after its turn is asked for again.
const WITHIN: Duration = Duration::from_secs(5);
/// How long a cancel waits for its turn.
pub(super) const CANCEL_TURN_LIMIT: Duration = Duration::from_secs(10);
/// When one that had no turn may be sent again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What became of an order that its buyer cancels.
#[derive(Clone, Debug, PartialEq)]
pub enum Cancelled {
    /// Now, or before by its buyer.
    Order(LandedOrder),
    /// The state it is in does not allow it.
    Forbidden(LandedOrder),
    /// Buyers of this campaign may not cancel.
    NotAllowed,
    /// It has not landed, or is somebody else's.
    NotThere,
    /// Too many are cancelled at the same time: it had no turn, and nothing was begun.
    NotTried,
}

/// There is nothing to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<O: Orders> Gateway<O> {
    /// 200 with the order, also where its buyer had cancelled it before: a key makes no difference.
    pub(super) async fn cancel<B>(
        &self,
        campaign: &str,
        order: &str,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Answer, Problem>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let buyer = self.buyer(campaign, headers).await?;
        let keys = headers.get_all("idempotency-key").iter();
        idempotency_key(keys.map(HeaderValue::as_bytes))?;
        check_uncompressed(headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes))?;
        let bytes = body::read(body, self.config.load().body_timeout).await?;
        if !bytes.is_empty() {
            json::parse::<Nothing>(&bytes)?;
        }
        let order: OrderId = order.parse().map_err(|_| unknown())?;
        let cancelling = self.orders.cancel(campaign, &buyer.user, order);
        match tokio::time::timeout(CANCEL_TURN_LIMIT + WITHIN, cancelling).await {
            Ok(Ok(Cancelled::Order(row))) => {
                self.told.note(order, row.state);
                self.changes().changed(campaign, &buyer.user, order, row.state);
                Ok(show_row(campaign, &row))
            }
            Ok(Ok(Cancelled::Forbidden(row))) => {
                self.told.note(order, row.state);
                let state = row.state.as_str();
                let detail = format!("the order is {state}, and cannot be cancelled");
                Err(Problem::new(&ORDER_STATE, detail).member("state", &row.state))
            }
            Ok(Ok(Cancelled::NotAllowed)) => Err(Problem::new(
                &CANCEL_NOT_ALLOWED,
                "orders of this sale are not cancelled by their buyers: ask whoever runs it",
            )),
            Ok(Ok(Cancelled::NotThere)) => Err(self.not_there(campaign, &buyer.user, order).await),
            Ok(Ok(Cancelled::NotTried)) => Err(not_tried()),
            Ok(Err(error)) => Err(not_cancelled(&error)),
            Err(_) => Err(not_cancelled(&StoreError::Transient(format!(
                "no answer within {} s of its turn",
                WITHIN.as_secs()
            )))),
        }
    }

    /// Why there is nothing to cancel: the order is on its way, or this buyer has none.
    async fn not_there(&self, campaign: &str, user: &str, order: OrderId) -> Problem {
        let on_its_way = || {
            Problem::new(
                &NOT_LANDED_YET,
                "the order is on its way and can be cancelled when it is confirmed: ask again in a second",
            )
        };
        match self.orders.find(campaign, user, order).await {
            Ok(Some((placed, _))) if placed.user == user => on_its_way(),
            Ok(_) => unknown(),
            Err(AdmissionError::Over { .. }) => match self.orders.stranded(campaign, order).await {
                Ok(Some(row)) if row.attempt.user == user => on_its_way(),
                Ok(_) => unknown(),
                Err(error) => {
                    tracing::warn!(%error, "an order could not be looked up");
                    no_lookup()
                }
            },
            Err(error) => answer::admission_error(&error),
        }
    }
}

fn not_tried() -> Problem {
    let detail = "too many orders are being cancelled at the same time, and this one had no turn: nothing was tried, and the order \
                  stands as it did. Send it again when Retry-After is over";
    Problem::new(&UNAVAILABLE, detail).retry_after(RETRY_AFTER)
}

fn not_cancelled(error: &StoreError) -> Problem {
    tracing::warn!(%error, "an order could not be cancelled");
    let detail = "whether the order is cancelled is not known: send it again, and it is cancelled once";
    Problem::new(&UNAVAILABLE, detail)
}
