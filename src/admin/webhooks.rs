//! Webhooks: endpoints made, changed and removed, their log, and what is sent again.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use super::Admin;
use super::answer::{Refused, changed_since, idempotency_key, once, read_json, read_json_if_any, tagged};
use super::caller::Caller;
use super::campaigns::limit;
use super::owners::own;
use super::query::{parameters, query};
use crate::access::Actor;
use crate::audit::AskedBy;
use crate::store::{DeliveryPlace, DeliveryRow, DeliveryState};
use crate::webhooks::{
    Desk, NewWebhook, Replay, Replayed, Rotated, Rotation, Tried, WebhookChange, WebhookError, WebhookView,
};
use crate::wire::problem::{
    CONFLICT, IN_PROGRESS, INTERNAL, INVALID, KEY_REUSED, MALFORMED, UNAVAILABLE, UNKNOWN,
};
use crate::wire::tags::quoted;
use crate::wire::{Moment, Problem, echo, paged};

/// Deliveries of one page unless `limit` says otherwise.
const PAGE: u32 = 50;

type Done<'a, T> = BoxFuture<'a, Result<T, WebhookError>>;

/// What the control plane asks of [`Desk`].
pub trait Webhooks: Send + Sync + 'static {
    /// Once per key; and whether it was made before.
    fn create<'a>(
        &'a self,
        by: AskedBy<'a>,
        key: Option<&'a str>,
        new: NewWebhook,
    ) -> Done<'a, (Value, bool)>;
    /// Of one merchant where it is named.
    fn list<'a>(&'a self, merchant: Option<&'a str>) -> Done<'a, Vec<WebhookView>>;
    /// With its tag.
    fn show<'a>(&'a self, id: &'a str) -> Done<'a, (WebhookView, String)>;
    fn change<'a>(
        &'a self,
        by: AskedBy<'a>,
        id: &'a str,
        change: WebhookChange,
    ) -> Done<'a, (WebhookView, String)>;
    fn rotate<'a>(&'a self, by: AskedBy<'a>, id: &'a str, rotation: Rotation) -> Done<'a, Rotated>;
    fn remove<'a>(&'a self, by: AskedBy<'a>, id: &'a str) -> Done<'a, ()>;
    fn deliveries<'a>(
        &'a self,
        id: &'a str,
        state: Option<DeliveryState>,
        before: Option<&'a DeliveryPlace>,
        limit: u32,
    ) -> Done<'a, Vec<DeliveryRow>>;
    fn replay<'a>(&'a self, by: AskedBy<'a>, id: &'a str, asked: Replay) -> Done<'a, Replayed>;
    fn test<'a>(&'a self, by: AskedBy<'a>, id: &'a str) -> Done<'a, Tried>;
}

impl Webhooks for Desk {
    fn create<'a>(
        &'a self,
        by: AskedBy<'a>,
        key: Option<&'a str>,
        new: NewWebhook,
    ) -> Done<'a, (Value, bool)> {
        self.create_once(by, key, new).boxed()
    }

    fn list<'a>(&'a self, merchant: Option<&'a str>) -> Done<'a, Vec<WebhookView>> {
        self.list(merchant).boxed()
    }

    fn show<'a>(&'a self, id: &'a str) -> Done<'a, (WebhookView, String)> {
        self.show_tagged(id).boxed()
    }

    fn change<'a>(
        &'a self,
        by: AskedBy<'a>,
        id: &'a str,
        change: WebhookChange,
    ) -> Done<'a, (WebhookView, String)> {
        self.change_tagged(by, id, change).boxed()
    }

    fn rotate<'a>(&'a self, by: AskedBy<'a>, id: &'a str, rotation: Rotation) -> Done<'a, Rotated> {
        self.rotate(by, id, rotation).boxed()
    }

    fn remove<'a>(&'a self, by: AskedBy<'a>, id: &'a str) -> Done<'a, ()> {
        self.remove(by, id).boxed()
    }

    fn deliveries<'a>(
        &'a self,
        id: &'a str,
        state: Option<DeliveryState>,
        before: Option<&'a DeliveryPlace>,
        limit: u32,
    ) -> Done<'a, Vec<DeliveryRow>> {
        self.deliveries(id, state, before, limit).boxed()
    }

    fn replay<'a>(&'a self, by: AskedBy<'a>, id: &'a str, asked: Replay) -> Done<'a, Replayed> {
        self.replay(by, id, asked).boxed()
    }

    fn test<'a>(&'a self, by: AskedBy<'a>, id: &'a str) -> Done<'a, Tried> {
        self.test(by, id).boxed()
    }
}

impl From<WebhookError> for Refused {
    fn from(error: WebhookError) -> Self {
        let problem = match error {
            WebhookError::Unknown(detail) => Problem::new(&UNKNOWN, detail),
            WebhookError::Conflict(detail) => Problem::new(&CONFLICT, detail),
            WebhookError::InProgress => Problem::new(&IN_PROGRESS, error.to_string()),
            WebhookError::KeyReused => Problem::new(&KEY_REUSED, error.to_string()),
            WebhookError::Changed(ref stale) => changed_since(error.to_string(), stale),
            WebhookError::Invalid(faults) => {
                let detail = match faults.as_slice() {
                    [only] => format!("{} {}", only.pointer, only.detail),
                    all => format!("{} things are wrong, see errors", all.len()),
                };
                Problem::new(&INVALID, detail).errors(faults)
            }
            WebhookError::Unavailable(detail) => {
                tracing::warn!(detail, "webhooks cannot be looked after");
                Problem::new(&UNAVAILABLE, detail)
            }
            WebhookError::Internal(detail) => {
                tracing::error!(detail, "the control plane failed");
                let detail = "the request could not be carried out; the log of the gateway says why";
                Problem::new(&INTERNAL, detail)
            }
        };
        problem.into()
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Webhooks)]
pub(super) struct List {
    webhooks: Vec<WebhookView>,
}

/// 201 with the endpoint and its secret.
pub(super) async fn create(
    State(admin): State<Admin>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let mut new: NewWebhook = read_json(&headers, body).await?;
    new.merchant = own(caller.actor(), new.merchant)?;
    let key = idempotency_key(&headers)?;
    let (created, is_replay) = admin.webhooks.create(caller.by(), key.as_deref(), new).await?;
    let id = created["id"].as_str().unwrap_or_default();
    let headers = [
        (header::LOCATION, format!("/admin/v1/webhooks/{id}")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok(once((StatusCode::CREATED, headers, Json(created)), is_replay))
}

/// All of them, the oldest first.
pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Refused> {
    let webhooks = admin.webhooks.list(actor.merchant()).await?;
    Ok(Json(List { webhooks }).into_response())
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (view, tag) = admin.webhooks.show(&id).await?;
    tagged(&headers, &tag, Json(view))
}

/// 200 with the endpoint as it is now.
pub(super) async fn change(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let change: WebhookChange = read_json(&headers, body).await?;
    let (view, tag) = admin.webhooks.change(caller.by(), &id, change).await?;
    Ok(([(header::ETAG, quoted(&tag))], Json(view)).into_response())
}

/// 200 with another secret.
pub(super) async fn rotate(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let rotation: Rotation = read_json_if_any(&headers, body).await?;
    Ok(Json(admin.webhooks.rotate(caller.by(), &id, rotation).await?).into_response())
}

pub(super) async fn remove(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    admin.webhooks.remove(caller.by(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// 200 with how many are sent again.
pub(super) async fn replay(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let asked: Replay = read_json_if_any(&headers, body).await?;
    Ok(Json(admin.webhooks.replay(caller.by(), &id, asked).await?).into_response())
}

/// 200 with what came of it, whatever that is.
pub(super) async fn test(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    Ok(Json(admin.webhooks.test(caller.by(), &id).await?).into_response())
}

parameters! {
    struct DeliveriesQuery {
        /// In this state alone.
        #[param(pattern = "^(waiting|delivered|failed)$")]
        state: Option<String>,
        /// Entries of the page at most.
        #[param(minimum = 1, maximum = 100, default = 50)]
        limit: Option<u32>,
        /// `next` of the page before.
        #[param(pattern = r"^[0-9]{1,18}\.[^.]*\.[0-9]{1,18}$")]
        before: Option<String>,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Deliveries)]
pub(super) struct Page {
    deliveries: Vec<Line>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Delivery)]
struct Line {
    /// `webhook-id` of the message.
    id: String,
    event: String,
    /// Missing: of an event that is of no order.
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<String>,
    order: String,
    number: i64,
    state: &'static str,
    attempts: u32,
    created_at: Moment,
    /// Of one that waits: not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_at: Option<Moment>,
    /// What came of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
}

impl From<DeliveryRow> for Line {
    fn from(row: DeliveryRow) -> Self {
        let waits = row.state == DeliveryState::Waiting;
        Self {
            id: row.of.id(),
            event: row.event,
            campaign: Some(row.of.campaign).filter(|campaign| !campaign.is_empty()),
            order: row.of.order,
            number: row.of.number,
            state: row.state.as_str(),
            attempts: row.attempts,
            created_at: Moment(row.created_at),
            next_at: waits.then_some(Moment(row.next_at)),
            delivered_at: row.delivered_at.map(Moment),
            status: row.last.status,
            error: row.last.error,
            answer: row.last.answer,
        }
    }
}

/// A page of the log, the one written down last first.
pub(super) async fn deliveries(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    asked: Result<Query<DeliveriesQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let asked = query(asked)?;
    let limit = limit(asked.limit, PAGE)?;
    let state = asked.state.as_deref().map(state).transpose()?;
    let before = asked.before.as_deref().map(place).transpose()?;
    let rows = admin
        .webhooks
        .deliveries(&id, state, before.as_ref(), limit + 1)
        .await?;
    let (rows, next) = paged(rows, limit, |row| named(&row.place()));
    let deliveries = rows.into_iter().map(Line::from).collect();
    Ok(Json(Page { deliveries, next }).into_response())
}

fn state(name: &str) -> Result<DeliveryState, Refused> {
    DeliveryState::named(name).ok_or_else(|| {
        let names = DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
        let detail = format!("state is {}; use {names}", echo(name));
        Problem::new(&MALFORMED, detail).into()
    })
}

/// A place in the log, as a page names it.
fn named(place: &DeliveryPlace) -> String {
    format!("{}.{}.{}", place.created_at, place.order, place.number)
}

fn place(text: &str) -> Result<DeliveryPlace, Refused> {
    let read = || {
        let (created_at, rest) = text.split_once('.')?;
        let (order, number) = rest.split_once('.')?;
        Some(DeliveryPlace {
            created_at: created_at.parse().ok()?,
            order: order.to_owned(),
            number: number.parse().ok()?,
        })
    };
    read().ok_or_else(|| {
        let detail = format!(
            "before is {}; use the value of next of the page before",
            echo(text)
        );
        Problem::new(&MALFORMED, detail).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_where_the_next_one_begins() {
        let there = DeliveryPlace {
            created_at: 1_795_176_000_123,
            order: "0a".into(),
            number: 2,
        };
        assert_eq!(place(&named(&there)).expect("read back"), there);
        for wrong in ["", "1", "1.a", "x.a.1", "1.a.b"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
