//! The life of orders as a merchant and a payment system have it go on: paid, cancelled, refunded. The database decides, once;
//! what comes back is on sale when the answer is given, as far as that can be waited for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::operations::{Operation, check_note};
use super::problem::Problem;
use super::{Control, ControlError};
use crate::lua::keys::Shard;
use crate::lua::{calls, fixed};
use crate::order::{
    EXPIRED, Holds, LandedOrder, OrderId, OrderState, OrderTerms, Release, check_reason, shown_sku,
};
use crate::store::{CampaignRow, ChangeRow, OrderChange, Outcome};
use crate::wire::Moment;

/// How long an answer waits until the engine has back what an order held.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(1);
/// Buckets that one call looks for an order in.
const BUCKETS_OF_A_CALL: usize = 256;

/// What can be asked for of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderAct {
    Pay,
    Cancel,
    Refund,
}

impl OrderAct {
    /// As the audit trail names it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Pay => "order.pay",
            Self::Cancel => "order.cancel",
            Self::Refund => "order.refund",
        }
    }

    /// The reason where none is given.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pay => "pay",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
        }
    }

    /// What it makes of the order.
    pub fn state(self) -> OrderState {
        match self {
            Self::Pay => OrderState::Paid,
            Self::Cancel => OrderState::Cancelled,
            Self::Refund => OrderState::Refunded,
        }
    }
}

/// What is said of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = OrderAct)]
#[serde(deny_unknown_fields, default)]
pub struct OrderActBody {
    /// A word that is counted; the act's own where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, pattern = "^[a-z0-9][a-z0-9-]{0,63}$")]
    pub reason: Option<String>,
    /// For whoever reads the order's changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
    /// What comes back; what the terms of the campaign say where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub releases: Option<Release>,
}

/// An order with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderInFull {
    pub order: LandedOrder,
    /// Those that have a row of their own.
    pub changes: Vec<ChangeRow>,
}

/// What an act answers.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderChanged {
    pub full: OrderInFull,
    /// What was done, in a sentence.
    pub did: String,
    pub change: ChangeRow,
    /// It was done before, under the same key.
    pub is_replay: bool,
}

impl Control {
    /// Has an order paid, cancelled or refunded, once per key of the order. Answers when what comes back of it is on sale, or a
    /// second later.
    pub async fn act_on_order(
        &self,
        operation: Operation<'_>,
        order: OrderId,
        act: OrderAct,
        body: &OrderActBody,
    ) -> Result<OrderChanged, ControlError> {
        let key = operation.key.ok_or(ControlError::KeyMissing)?;
        check(act, body)?;
        let (campaign, reason) = (operation.campaign, body.reason.as_deref().unwrap_or(act.word()));
        let terms = self.terms(campaign).await?;
        let change = OrderChange {
            to: act.state(),
            actor: operation.actor,
            reason,
            note: body.note.as_deref(),
            key: Some(key),
            release: body
                .releases
                .unwrap_or_else(|| terms.release(act.state(), reason)),
        };
        let changed = self.store.change_order(campaign, order, change).await?;
        let Some(changed) = changed else {
            return Err(self.not_landed(campaign, order).await?);
        };
        let there = &changed.order;
        match changed.outcome {
            Outcome::Made(row) => {
                self.tell_of(operation, order, change).await;
                self.changed(operation, changed.order, row, false).await
            }
            Outcome::MadeBefore(row) if row.note == body.note && gave_back(there, &row, body) => {
                self.changed(operation, changed.order, row, true).await
            }
            Outcome::MadeBefore(_) | Outcome::OtherChange(_) => Err(ControlError::KeyReused),
            Outcome::TooLate => {
                self.expire(campaign, order, &terms).await?;
                let release = terms.release(OrderState::Expired, EXPIRED);
                Err(expired(order, there.pay_by, release != Release::None))
            }
            Outcome::Forbidden if act == OrderAct::Pay && there.state == OrderState::Expired => Err(expired(
                order,
                None,
                !matches!(there.holds, Holds::All | Holds::Stock),
            )),
            Outcome::Forbidden => Err(forbidden(there, act)),
        }
    }

    /// A line in the audit trail for what a person did. A payment system does so to every order, and each order keeps its own
    /// changes.
    async fn tell_of(&self, operation: Operation<'_>, order: OrderId, change: OrderChange<'_>) {
        if operation.actor == super::PAYMENTS {
            return;
        }
        let mut detail = serde_json::json!({"order": order, "reason": change.reason});
        if change.to.releases() {
            detail["releases"] = change.release.as_str().into();
        }
        self.audit_operation(operation, detail).await;
    }

    async fn changed(
        &self,
        operation: Operation<'_>,
        order: LandedOrder,
        change: ChangeRow,
        is_replay: bool,
    ) -> Result<OrderChanged, ControlError> {
        let (campaign, id) = (operation.campaign, order.attempt.order);
        let mut is_back = true;
        if change.to.releases() && order.is_released() {
            self.gate.give_back_soon();
            // What was done stays done, and it comes back sooner or later.
            let waited = self.store.is_given_back(campaign, id, GIVEN_BACK_WITHIN).await;
            is_back = waited.unwrap_or(false);
        }
        Ok(OrderChanged {
            did: did(&order, change.to, is_back),
            full: OrderInFull {
                changes: self.store.changes_of(campaign, id).await?,
                order,
            },
            change,
            is_replay,
        })
    }

    /// Has an order expire whose payment came too late, before whoever does so by itself comes to it.
    async fn expire(&self, campaign: &str, order: OrderId, terms: &OrderTerms) -> Result<(), ControlError> {
        let change = OrderChange::expiry(terms);
        self.store.change_order(campaign, order, change).await?;
        self.gate.give_back_soon();
        Ok(())
    }

    /// Why an order that has not landed cannot be changed: it is on its way, or there is none.
    async fn not_landed(&self, campaign: &str, order: OrderId) -> Result<ControlError, ControlError> {
        let row = self.row(campaign).await?;
        let is_stranded = self.store.stranded_order(campaign, order).await?.is_some();
        match is_stranded || self.is_admitted(&row, order).await? {
            true => Ok(ControlError::NotLanded(format!(
                "order {order} is on its way to the database and cannot be changed before it is there: ask again in a second"
            ))),
            false => Ok(ControlError::Unknown(format!(
                "campaign {campaign:?} has no order {order}"
            ))),
        }
    }

    /// Whether the engine knows the order. Its bucket follows from its buyer, whom nobody has named: so it is looked for in all.
    async fn is_admitted(&self, row: &CampaignRow, order: OrderId) -> Result<bool, ControlError> {
        let campaign = &row.campaign;
        if row.schedule.is_archived((self.clock)()) {
            return Ok(false);
        }
        for shard in 0..campaign.shards {
            let key = Shard::new(&campaign.id, shard).state();
            for first in (0..campaign.buckets).step_by(BUCKETS_OF_A_CALL) {
                let end = campaign.buckets.min(first + BUCKETS_OF_A_CALL as u32);
                let args = calls::lookup_in_args(order, first..end);
                let reply = self.engine.run(&fixed::LOOKUP, &key, args).await;
                let reply = reply.map_err(|error| ControlError::Unavailable(error.to_string()))?;
                let found = calls::lookup_reply(reply);
                let found = found.map_err(|error| ControlError::Internal(error.to_string()))?;
                if found.fence.is_none() {
                    let detail = "the campaign's state is being restored: whether there is such an order is known afterwards";
                    return Err(ControlError::Unavailable(detail.to_owned()));
                }
                if found.orders.iter().any(Option::is_some) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

pub(super) fn check(act: OrderAct, body: &OrderActBody) -> Result<(), ControlError> {
    let mut problems = Vec::new();
    if let Some(Err(wrong)) = body.reason.as_deref().map(check_reason) {
        problems.push(Problem::new("/reason", wrong).hint("what is to be read by people goes into \"note\""));
    }
    if act == OrderAct::Pay && body.releases.is_some() {
        let detail = "is for a cancel or a refund: what is paid gives nothing back";
        problems.push(Problem::new("/releases", detail));
    }
    if !problems.is_empty() {
        return Err(ControlError::Invalid(problems));
    }
    check_note(body.note.as_deref())
}

/// Whether what came back then is what is asked for now, where that is said.
fn gave_back(order: &LandedOrder, change: &ChangeRow, body: &OrderActBody) -> bool {
    let Some(asked) = body.releases.filter(|_| change.to.releases()) else {
        return true;
    };
    let gave = match order.holds {
        Holds::All => Release::None,
        Holds::Allowance => Release::Stock,
        Holds::Stock | Holds::None => Release::All,
    };
    asked == gave
}

/// `is_on_sale`: its units came back.
fn expired(order: OrderId, pay_by: Option<i64>, is_on_sale: bool) -> ControlError {
    let units = match is_on_sale {
        true => "its units are on sale again",
        false => "its units do not come back",
    };
    let was_to = pay_by.map_or(String::new(), |at| format!(", by {}", Moment(at)));
    ControlError::OrderExpired(format!(
        "order {order} was not paid in time{was_to}, and has expired: {units}. Its buyer may place a new \
         order that names it in \"replaces\""
    ))
}

fn forbidden(order: &LandedOrder, act: OrderAct) -> ControlError {
    let (id, state, to) = (order.attempt.order, order.state, act.state().as_str());
    let detail = match act {
        OrderAct::Refund if state == OrderState::Confirmed => {
            format!("order {id} is confirmed and not paid: cancel it instead")
        }
        OrderAct::Cancel if state == OrderState::Paid => format!("order {id} is paid: refund it instead"),
        _ => format!("order {id} is {}, and cannot be {to}", state.as_str()),
    };
    ControlError::OrderState { state, detail }
}

/// What was done, in a sentence. `is_back`: the engine has what came back.
fn did(order: &LandedOrder, to: OrderState, is_back: bool) -> String {
    let done = match to {
        OrderState::Paid if order.pay_by.is_some() => return "Paid: it does not expire any more.".to_owned(),
        OrderState::Paid => return "Paid.".to_owned(),
        OrderState::Refunded => "Refunded",
        _ => "Cancelled",
    };
    let (units, sku) = (order.attempt.quantity, shown_sku(&order.attempt.sku));
    let its = if units == 1 { "unit" } else { "units" };
    let on_sale = match (is_back, units) {
        (true, 1) => "is on sale again",
        (true, _) => "are on sale again",
        (false, 1) => "comes back on sale within moments",
        (false, _) => "come back on sale within moments",
    };
    match order.holds {
        Holds::All | Holds::Stock => format!(
            "{done}: nothing comes back, neither its {units} {its} of {sku} nor what it used of the limits."
        ),
        Holds::Allowance => {
            format!("{done}: its {units} {its} of {sku} {on_sale}; what it used of the limits stays used.")
        }
        Holds::None => {
            format!("{done}: its {units} {its} of {sku} {on_sale}, and its buyer may buy as many as before.")
        }
    }
}
