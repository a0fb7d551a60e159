//! Orders paid, cancelled and refunded by merchants and by payment systems.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use futures_util::FutureExt;
use serde::Serialize;

use super::answer::{Refused, idempotency_key, once, read_json_if_any};
use super::orders::{ChangeView, Shown, parsed};
use super::{Admin, Answered};
use crate::access::Actor;
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

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OrderChanged)]
pub(super) struct Answer {
    did: String,
    change: ChangeView,
    #[serde(flatten)]
    order: Shown,
}

/// `POST` of one act.
pub(super) fn of(asked: OrderAct) -> MethodRouter<Admin> {
    post(move |state, actor, place, headers, body| act(asked, state, actor, place, headers, body))
}

/// 200 with the order as it is then; a replay says so.
async fn act(
    act: OrderAct,
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Path((campaign, order)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let key = idempotency_key(&headers)?;
    let order = parsed(&order)?;
    let body: OrderActBody = read_json_if_any(&headers, body).await?;
    let operation =
        Operation::by(actor.name(), &campaign, act.kind()).asked(key.as_deref(), body.note.as_deref());
    let changed = admin.rules.act_on_order(operation, order, act, &body).await?;
    let is_replay = changed.is_replay;
    let answer = Answer {
        did: changed.did,
        change: changed.change.into(),
        order: Shown::of(campaign.clone(), changed.full),
    };
    Ok(once(Json(answer), is_replay))
}
