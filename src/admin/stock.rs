//! The stock of a running sale: units added and taken back, and SKUs that come later.

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::Admin;
use super::answer::{Refused, changed, idempotency_key, read_json};
use super::caller::Caller;
use super::query::{parameters, query};
use crate::control::{NewSku, Operation, SKU_CREATE, STOCK_CHANGE, StockBody};

parameters! {
    struct StockQuery {
        /// Changes nothing, and says what it would be.
        #[serde(default)]
        dry_run: bool,
    }
}

/// Of the SKU in the path.
pub(super) async fn change(
    state: State<Admin>,
    caller: Caller,
    Path((id, sku)): Path<(String, String)>,
    asked: Result<Query<StockQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    change_of(state, caller, (&id, Some(&sku)), asked, headers, body).await
}

/// Of the SKU in the body: one with a slash passes every proxy there.
pub(super) async fn change_named(
    state: State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Result<Query<StockQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    change_of(state, caller, (&id, None), asked, headers, body).await
}

/// Answers when the units are on sale at every gateway, or none can sell them any more.
async fn change_of(
    State(admin): State<Admin>,
    caller: Caller,
    (campaign, sku): (&str, Option<&str>),
    asked: Result<Query<StockQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let StockQuery { dry_run } = query(asked)?;
    let key = idempotency_key(&headers)?;
    let body: StockBody = read_json(&headers, body).await?;
    let operation = Operation::by(caller.by(), campaign, STOCK_CHANGE)
        .asked(key.as_deref(), body.note.as_deref())
        .by_root(caller.is_root());
    let answered = admin.rules.change_stock(operation, sku, &body, dry_run).await?;
    Ok(changed(answered))
}

/// 201 with the SKU on sale at every gateway, or 200 for a dry run.
pub(super) async fn create(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Result<Query<StockQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let StockQuery { dry_run } = query(asked)?;
    let key = idempotency_key(&headers)?;
    let new: NewSku = read_json(&headers, body).await?;
    let operation = Operation::by(caller.by(), &id, SKU_CREATE)
        .asked(key.as_deref(), new.note.as_deref())
        .by_root(caller.is_root());
    let mut answer = changed(admin.rules.add_sku(operation, &new, dry_run).await?);
    if !dry_run && answer.status() == StatusCode::OK {
        *answer.status_mut() = StatusCode::CREATED;
    }
    Ok(answer)
}
