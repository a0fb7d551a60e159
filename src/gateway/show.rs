//! `GET` of an order, for its owner, and of a campaign, for everybody.

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::Serialize;

use super::answer::{self, Answer, OrderAnswer};
use super::{Gateway, Orders, now_ms};
use crate::admission::AdmissionError;
use crate::order::{OrderId, OrderState};
use crate::plan::eval::Placed;
use crate::store::OrderRow;
use crate::wire::problem::{UNAVAILABLE, UNKNOWN};
use crate::wire::{Moment, Problem, campaign_state};

#[derive(Serialize)]
struct CampaignAnswer<'a> {
    campaign: &'a str,
    state: &'static str,
    opens_at: Moment,
    closes_at: Moment,
    skus: Vec<SkuAnswer>,
}

#[derive(Serialize)]
struct SkuAnswer {
    id: String,
    sold_out: bool,
}

impl<O: Orders> Gateway<O> {
    /// The database knows landed orders, the engine the others. An order of somebody else is
    /// answered like one that does not exist.
    pub(super) async fn show_order(
        &self,
        campaign: &str,
        order: &str,
        headers: &HeaderMap,
    ) -> Result<Answer, Problem> {
        let identity = self.authenticate(headers)?;
        let order: OrderId = order.parse().map_err(|_| unknown())?;
        let landed = self.orders.landed(campaign, order).await;
        if let Ok(Some(row)) = &landed {
            return match row.user == identity.user {
                true => Ok(show_row(campaign, row)),
                false => Err(unknown()),
            };
        }
        let found = self.orders.find(campaign, order).await;
        match (found, landed) {
            (Ok(Some((placed, state))), _) if placed.user == identity.user => {
                Ok(show_placed(campaign, order, &placed, state))
            }
            (Ok(Some(_)), _) | (Ok(None), Ok(_)) => Err(unknown()),
            (Err(AdmissionError::Over { .. }), Ok(_)) => {
                self.show_stranded(campaign, order, &identity.user).await
            }
            (Err(AdmissionError::UnknownCampaign(id)), Ok(_)) => Err(answer::unknown_campaign(&id)),
            (Err(error), Ok(_)) => Err(answer::admission_error(&error)),
            // Neither place could say that there is no such order.
            (_, Err(error)) => {
                tracing::warn!(%error, "an order could not be looked up");
                Err(Problem::new(
                    &UNAVAILABLE,
                    "the order cannot be looked up right now",
                ))
            }
        }
    }

    pub(super) async fn show_campaign(&self, campaign: &str) -> Result<Answer, Problem> {
        let found = self.orders.campaign(campaign).await;
        let view = found
            .map_err(|error| answer::admission_error(&error))?
            .ok_or_else(|| answer::unknown_campaign(campaign))?;
        let shown = CampaignAnswer {
            campaign,
            state: campaign_state(view.schedule, now_ms()),
            opens_at: Moment(view.schedule.opens_at),
            closes_at: Moment(view.schedule.closes_at),
            skus: view
                .skus
                .into_iter()
                .map(|(id, sold_out)| SkuAnswer { id, sold_out })
                .collect(),
        };
        Ok(answer::json(StatusCode::OK, &shown))
    }
}

pub(super) fn unknown() -> Problem {
    Problem::new(&UNKNOWN, "you have no order of this id in this campaign")
}

pub(super) fn show_row(campaign: &str, row: &OrderRow) -> Answer {
    let shown = OrderAnswer {
        order: row.order,
        state: row.state,
        campaign,
        sku: &row.sku,
        quantity: row.quantity,
        revision: row.revision,
        placed_at: Moment(row.placed_at),
        confirmed_at: row.confirmed_at.map(Moment),
        revoked_reason: row.revoked_reason.as_deref(),
    };
    answer::json(StatusCode::OK, &shown)
}

fn show_placed(campaign: &str, order: OrderId, placed: &Placed, state: OrderState) -> Answer {
    let shown = OrderAnswer {
        order,
        state,
        campaign,
        sku: &placed.sku,
        quantity: placed.quantity,
        revision: placed.revision,
        placed_at: Moment(placed.placed_at),
        confirmed_at: None,
        revoked_reason: None,
    };
    answer::json(StatusCode::OK, &shown)
}
