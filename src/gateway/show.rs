//! `GET` of an order, for its owner, and of a campaign, for everybody.

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::Serialize;

use super::answer::{self, Answer, OrderAnswer};
use super::buyer::Buyer;
use super::told::LastTold;
use super::{Gateway, Orders};
use crate::admission::AdmissionError;
use crate::order::{LandedOrder, OrderId, OrderState};
use crate::plan::decision::Placed;
use crate::wire::problem::{UNAVAILABLE, UNKNOWN};
use crate::wire::{Moment, Problem};

/// An order as it is known.
pub(super) enum Shown {
    /// By the database.
    Landed(LandedOrder),
    /// By the engine.
    Placed(Placed, OrderState),
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Campaign)]
pub(super) struct CampaignAnswer<'a> {
    campaign: &'a str,
    state: &'static str,
    opens_at: Moment,
    closes_at: Moment,
    /// When a pause ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_at: Option<Moment>,
    skus: Vec<SkuAnswer>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SkuOnSale)]
pub(super) struct SkuAnswer {
    pub(super) id: String,
    pub(super) sold_out: bool,
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
        let buyer = self.buyer(campaign, headers).await?;
        let order: OrderId = order.parse().map_err(|_| unknown())?;
        match self.looked_up(campaign, order, &buyer).await? {
            Shown::Landed(row) => Ok(show_row(campaign, &row)),
            Shown::Placed(placed, state) => Ok(show_placed(campaign, order, &placed, state)),
        }
    }

    /// How an order stands, for its owner.
    pub(super) async fn looked_up(
        &self,
        campaign: &str,
        order: OrderId,
        buyer: &Buyer,
    ) -> Result<Shown, Problem> {
        let landed = self.landed_in_time(campaign, order).await;
        let landed = match landed {
            Ok(Some(row)) if row.attempt.user != buyer.user => return Err(unknown()),
            Ok(Some(row)) => {
                self.told.note(order, row.state);
                return Ok(Shown::Landed(row));
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let found = self.orders.find(campaign, &buyer.user, order).await;
        let told = self.told.of(order);
        match (found, landed) {
            (Ok(Some((placed, _))), _) if placed.user != buyer.user => Err(unknown()),
            (Ok(Some((placed, state))), Ok(_)) => {
                let state = not_before(state, told)?;
                self.told.note(order, state);
                Ok(Shown::Placed(placed, state))
            }
            // What still waits in the outbox was told to nobody as more than that; of anything else the database may
            // know more, and have said so.
            (Ok(Some((placed, OrderState::Pending))), Err(error)) if told.is_none() => {
                tracing::debug!(%error, "a lookup goes without the database");
                Ok(Shown::Placed(placed, OrderState::Pending))
            }
            (Ok(None), Ok(_)) => Err(unknown()),
            (Err(AdmissionError::Over { .. }), Ok(_)) => {
                let row = self.stranded(campaign, order, &buyer.user).await?;
                Ok(Shown::Landed(row))
            }
            (Err(AdmissionError::UnknownCampaign(id)), Ok(_)) => Err(answer::unknown_campaign(&id)),
            (Err(error), Ok(_)) => Err(answer::admission_error(&error)),
            // Neither place could say that there is no such order.
            (_, Err(error)) => {
                tracing::warn!(%error, "an order could not be looked up");
                Err(no_lookup())
            }
        }
    }

    pub(super) async fn show_campaign(&self, campaign: &str) -> Result<Answer, Problem> {
        let found = self.orders.campaign(campaign).await;
        let view = found
            .map_err(|error| answer::admission_error(&error))?
            .ok_or_else(|| answer::unknown_campaign(campaign))?;
        let paused = view.paused.filter(|_| view.schedule.is_open(view.now));
        let shown = CampaignAnswer {
            campaign,
            state: view.schedule.state(view.now, paused),
            opens_at: Moment(view.schedule.opens_at),
            closes_at: Moment(view.schedule.closes_at),
            resume_at: paused.and_then(|paused| paused.resume_at).map(Moment),
            skus: view
                .skus
                .into_iter()
                .map(|(id, sold_out)| SkuAnswer { id, sold_out })
                .collect(),
        };
        Ok(answer::json(StatusCode::OK, &shown))
    }
}

/// The state to tell of an order that the engine knows and the database does not have: never an older one than was told.
pub(super) fn not_before(state: OrderState, told: Option<LastTold>) -> Result<OrderState, Problem> {
    match told {
        None => Ok(state),
        Some(LastTold::Accepted) => Ok(OrderState::Accepted),
        // The database lost it, or another one answers: the order lands again.
        Some(LastTold::Landed) => Err(no_lookup()),
    }
}

pub(super) fn no_lookup() -> Problem {
    Problem::new(&UNAVAILABLE, "the order cannot be looked up right now")
}

pub(super) fn unknown() -> Problem {
    Problem::new(&UNKNOWN, "you have no order of this id in this campaign")
}

pub(super) fn show_row(campaign: &str, row: &LandedOrder) -> Answer {
    answer::json(StatusCode::OK, &OrderAnswer::landed(campaign, row))
}

fn show_placed(campaign: &str, order: OrderId, placed: &Placed, state: OrderState) -> Answer {
    answer::json(
        StatusCode::OK,
        &OrderAnswer::placed(campaign, order, placed, state),
    )
}
