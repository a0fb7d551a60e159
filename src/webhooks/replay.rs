//! Deliveries sent again because somebody asks: those of a time, or those of an order.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::desk::Desk;
use super::error::{WebhookError, fault};
use crate::audit::{AskedBy, AuditLine};
use crate::order::OrderId;
use crate::store::{DeliveryRange, DeliveryState};
use crate::wire::problem::Fault;
use crate::wire::{Moment, echo};

/// Deliveries that one request sends again.
const AT_MOST: u64 = 100_000;

/// Which deliveries are sent again: those of `order`, or those in `state` that were written down at `from` or later and before
/// `to`.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[schema(as = WebhookReplay)]
#[serde(deny_unknown_fields, default)]
pub struct Replay {
    pub order: Option<String>,
    pub from: Option<jiff::Timestamp>,
    pub to: Option<jiff::Timestamp>,
    /// `failed` where it is left out.
    pub state: Option<String>,
}

/// What is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookReplayed)]
pub struct Replayed {
    pub replayed: u64,
    /// There are more than one request takes: the same one, with this as `from`, goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_from: Option<Moment>,
}

enum Which {
    Order(OrderId),
    Range(DeliveryRange),
}

impl Replay {
    fn which(&self) -> Result<Which, Vec<Fault>> {
        if let Some(order) = &self.order {
            if self.from.is_some() || self.to.is_some() || self.state.is_some() {
                let detail = "order goes alone: all deliveries of the order are sent again";
                return Err(vec![fault("/order", detail, None)]);
            }
            let wrong = |error| vec![fault("/order", format!("is {}: {error}", echo(order)), None)];
            return order.parse().map(Which::Order).map_err(wrong);
        }
        let ms = |moment: Option<jiff::Timestamp>| moment.map(|moment| moment.as_millisecond());
        let (from, to) = (ms(self.from), ms(self.to));
        let mut faults = Vec::new();
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            faults.push(fault("/to", "is not after from", None));
        }
        let name = self.state.as_deref().unwrap_or(DeliveryState::Failed.as_str());
        let Some(state) = DeliveryState::named(name) else {
            let names = DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
            faults.push(fault("/state", format!("is {}; use {names}", echo(name)), None));
            return Err(faults);
        };
        if from.is_none() && to.is_none() && state == DeliveryState::Delivered {
            let detail = "is missing: what was delivered is sent again of a stretch of time alone";
            faults.push(fault("/from", detail, None));
        }
        match faults.is_empty() {
            true => Ok(Which::Range(DeliveryRange { state, from, to })),
            false => Err(faults),
        }
    }
}

impl Desk {
    /// Has deliveries sent again from now on, as if they had never been tried. Of an order still one after the other.
    pub async fn replay(
        &self,
        by: impl Into<AskedBy<'_>>,
        id: &str,
        asked: Replay,
    ) -> Result<Replayed, WebhookError> {
        self.row(id).await?;
        let which = asked.which().map_err(WebhookError::Invalid)?;
        let moment = |moment: Option<jiff::Timestamp>| moment.map(|moment| moment.to_string());
        let detail = json!({
            "order": asked.order, "state": asked.state, "from": moment(asked.from), "to": moment(asked.to),
        });
        let now = (self.clock)();
        // Before anything is sent: it is many transactions.
        let line = AuditLine::new(now, by, "webhook.replay", id, detail);
        self.store.audit(&[line]).await?;
        match which {
            Which::Range(range) => self.replay_range(id, range).await,
            Which::Order(order) => Ok(Replayed {
                replayed: self.store.replay_order(id, &order.to_string(), now).await?,
                more_from: None,
            }),
        }
    }

    /// What waits for another attempt is tried now.
    pub(super) async fn send_now(&self, id: &str) -> Result<(), WebhookError> {
        let waiting = DeliveryRange {
            state: DeliveryState::Waiting,
            from: None,
            to: None,
        };
        self.replay_range(id, waiting).await.map(drop)
    }

    async fn replay_range(&self, id: &str, range: DeliveryRange) -> Result<Replayed, WebhookError> {
        let now = (self.clock)();
        let (mut replayed, mut after) = (0, None);
        loop {
            let (some, last) = self
                .store
                .replay_deliveries(id, range, after.as_ref(), now)
                .await?;
            replayed += some;
            after = last;
            if after.is_none() || replayed >= AT_MOST {
                break;
            }
        }
        let more_from = after.map(|place| Moment(place.created_at));
        Ok(Replayed { replayed, more_from })
    }
}
