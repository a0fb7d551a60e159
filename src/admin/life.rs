//! Orders paid, cancelled and refunded by merchants and by payment systems.

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use futures_util::FutureExt;
use serde::Serialize;

use super::answer::{Refused, idempotency_key, read_json_if_any};
use super::guard::Actor;
use super::orders::{ChangeView, Shown, parsed};
use super::{Admin, Answered};
use crate::control::{Control, Operation, OrderAct, OrderActBody, OrderChanged};
use crate::order::OrderId;

/// What the control plane asks of [`Control`] about the life of orders.
pub trait OrderLife: Send + Sync {
    fn act_on_order<'a>(
        &'a self,
        operation: Operation<'a>,
        order: OrderId,
        act: OrderAct,
        body: &'a OrderActBody,
    ) -> Answered<'a, OrderChanged>;
}

impl OrderLife for Control {
    fn act_on_order<'a>(
        &'a self,
        operation: Operation<'a>,
        order: OrderId,
        act: OrderAct,
        body: &'a OrderActBody,
    ) -> Answered<'a, OrderChanged> {
        self.act_on_order(operation, order, act, body).boxed()
    }
}

#[derive(Serialize)]
struct Answer {
    did: String,
    change: ChangeView,
    #[serde(flatten)]
    order: Shown,
}

type Place = Path<(String, String)>;

pub(super) async fn pay(
    state: State<Admin>,
    actor: Extension<Actor>,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    act(OrderAct::Pay, state, actor, place, headers, body).await
}

pub(super) async fn cancel(
    state: State<Admin>,
    actor: Extension<Actor>,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    act(OrderAct::Cancel, state, actor, place, headers, body).await
}

pub(super) async fn refund(
    state: State<Admin>,
    actor: Extension<Actor>,
    place: Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    act(OrderAct::Refund, state, actor, place, headers, body).await
}

/// 200 with the order as it is then; a replay says so.
async fn act(
    act: OrderAct,
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    Path((campaign, order)): Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let key = idempotency_key(&headers)?;
    let order = parsed(&order)?;
    let body: OrderActBody = read_json_if_any(&headers, body).await?;
    let operation = Operation::by(actor, &campaign, act.kind()).asked(key.as_deref(), body.note.as_deref());
    let changed = admin.rules.act_on_order(operation, order, act, &body).await?;
    let is_replay = changed.is_replay;
    let answer = Answer {
        did: changed.did,
        change: changed.change.into(),
        order: Shown::of(campaign.clone(), changed.full),
    };
    let mut response = Json(answer).into_response();
    if is_replay {
        let name = http::HeaderName::from_static("idempotent-replayed");
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static("true"));
    }
    Ok(response)
}
