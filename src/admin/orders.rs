//! Orders of a campaign: listed in pages, all of them as CSV or lines of JSON, and one in full.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;
use serde_json::Value;

use super::answer::Refused;
use super::campaigns::limit;
use super::query::{parameters, query};
use super::table::{CSV_TYPE, LINES_TYPE, MARK, Table, cut_off, json_lines};
use super::{Admin, Answered};
use crate::control::{Control, ControlError, OrderInFull, OrdersStream};
use crate::order::{BODY, Charge, LandedOrder, OWN_ACTOR, OrderId, OrderState, REPLACES, array};
use crate::store::{ChangeRow, OrderFilter, OrderRow, Owned, Owner};
use crate::wire::problem::{MALFORMED, UNKNOWN};
use crate::wire::{Moment, Problem, echo, is_media_type, paged};

/// Orders of one page unless `limit` says otherwise.
const PAGE: u32 = 50;
/// Bytes of a line of a table, about.
const LINE_BYTES: usize = 192;
const COLUMNS: [&str; 11] = [
    "order",
    "state",
    "user",
    "sku",
    "quantity",
    "revision",
    "placed_at",
    "confirmed_at",
    "revoked_reason",
    "pay_by",
    "merchant",
];

/// What the control plane asks of [`Control`] about orders that landed.
pub trait LandedOrders: Send + Sync {
    /// The one placed last first, those that come behind `before`.
    fn orders<'a>(
        &'a self,
        campaign: &'a str,
        filter: &'a OrderFilter,
        before: Option<OrderId>,
        limit: u32,
    ) -> Answered<'a, Vec<OrderRow>>;
    /// All of them, read as they are taken.
    fn all_orders<'a>(&'a self, campaign: &'a str, filter: OrderFilter) -> Answered<'a, OrdersStream>;
    fn order<'a>(&'a self, campaign: &'a str, order: OrderId) -> Answered<'a, OrderInFull>;
}

impl LandedOrders for Control {
    fn orders<'a>(
        &'a self,
        campaign: &'a str,
        filter: &'a OrderFilter,
        before: Option<OrderId>,
        limit: u32,
    ) -> Answered<'a, Vec<OrderRow>> {
        self.orders(campaign, filter, before, limit).boxed()
    }

    fn all_orders<'a>(&'a self, campaign: &'a str, filter: OrderFilter) -> Answered<'a, OrdersStream> {
        self.all_orders(campaign, filter).boxed()
    }

    fn order<'a>(&'a self, campaign: &'a str, order: OrderId) -> Answered<'a, OrderInFull> {
        self.order(campaign, order).boxed()
    }
}

parameters! {
    struct OrdersQuery {
        /// One that a landed order may have.
        #[param(pattern = "^(confirmed|paid|cancelled|expired|refunded|revoked)$")]
        state: Option<String>,
        /// Of this buyer alone.
        user: Option<String>,
        /// Of this SKU alone.
        sku: Option<String>,
        /// Placed at this time or later; RFC 3339.
        #[param(format = DateTime)]
        from: Option<String>,
        /// Placed before this time; RFC 3339.
        #[param(format = DateTime)]
        to: Option<String>,
        /// Entries of the page at most.
        #[param(minimum = 1, maximum = 100, default = 50)]
        limit: Option<u32>,
        /// Id of the last order of the page before.
        #[param(pattern = "^[0-9a-f]{32}$")]
        before: Option<String>,
        /// `json`, `csv` or `jsonl`; without it, what the header `Accept` asks for.
        #[param(pattern = "^(json|csv|jsonl)$")]
        format: Option<String>,
    }
}

/// How orders are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Page,
    Csv,
    Lines,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Orders)]
pub(super) struct Page {
    orders: Vec<Line>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<OrderId>,
}

/// An order in a list.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ListedOrder)]
struct Line {
    order: OrderId,
    state: OrderState,
    user: String,
    sku: String,
    quantity: u32,
    revision: u32,
    placed_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmed_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_reason: Option<String>,
    /// Until when it can be paid; missing where it does not wait for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pay_by: Option<Moment>,
}

/// An order in full.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OrderInFull)]
pub(super) struct Shown {
    campaign: String,
    #[serde(flatten)]
    line: Line,
    /// What its gateway kept because a rule reads it.
    attributes: BTreeMap<String, Value>,
    /// What it was charged, whether it holds that or has given it back.
    charges: Vec<Charge>,
    /// What it holds of that: `all`, `stock`, `allowance` or `none`.
    holds: &'static str,
    /// The order that was not paid in time, in whose place it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<OrderId>,
    /// What became of it since it landed; empty where it has not.
    changes: Vec<ChangeView>,
}

/// One change of an order.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OrderChange)]
pub(super) struct ChangeView {
    /// Among the changes of its order, from 1.
    number: u32,
    /// Missing of the first: it had not landed.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<OrderState>,
    to: OrderState,
    /// Missing where nobody wrote it down: of an order that was revoked as it landed.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Moment>,
    actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<ChangeRow> for ChangeView {
    fn from(row: ChangeRow) -> Self {
        Self {
            number: row.number,
            from: row.from,
            to: row.to,
            at: Some(Moment(row.at)),
            actor: row.actor,
            reason: Some(row.reason),
            note: row.note,
        }
    }
}

impl ChangeView {
    /// That it landed, which has no row of its own.
    fn first(order: &LandedOrder) -> Option<Self> {
        let revoked = order.state == OrderState::Revoked;
        order.state.is_landed().then(|| Self {
            number: 1,
            from: None,
            to: if revoked {
                OrderState::Revoked
            } else {
                OrderState::Confirmed
            },
            at: order.confirmed_at.map(Moment),
            actor: OWN_ACTOR.to_owned(),
            reason: order.revoked_reason.clone(),
            note: None,
        })
    }

    fn all(order: &LandedOrder, rows: Vec<ChangeRow>) -> Vec<Self> {
        let has_first = rows.first().is_some_and(|row| row.number == 1);
        let first = Self::first(order).filter(|_| !has_first);
        first
            .into_iter()
            .chain(rows.into_iter().map(Self::from))
            .collect()
    }
}

impl From<OrderRow> for Line {
    fn from(row: OrderRow) -> Self {
        Self {
            order: row.order,
            state: row.state,
            user: row.user,
            sku: row.sku,
            quantity: row.quantity,
            revision: row.revision,
            placed_at: Moment(row.placed_at),
            confirmed_at: row.confirmed_at.map(Moment),
            revoked_reason: row.revoked_reason,
            pay_by: row.pay_by.map(Moment),
        }
    }
}

impl Shown {
    pub(super) fn of(campaign: String, OrderInFull { order, changes }: OrderInFull) -> Self {
        let changes = ChangeView::all(&order, changes);
        let attempt = order.attempt;
        let kept = attempt
            .attributes
            .into_iter()
            .filter(|(name, _)| ![BODY, REPLACES].contains(&name.as_str()));
        Self {
            campaign,
            line: Line {
                order: attempt.order,
                state: order.state,
                user: attempt.user,
                sku: attempt.sku,
                quantity: attempt.quantity,
                revision: order.revision,
                placed_at: Moment(order.placed_at),
                confirmed_at: order.confirmed_at.map(Moment),
                revoked_reason: order.revoked_reason,
                pay_by: order.pay_by.map(Moment),
            },
            attributes: kept.map(|(name, text)| (name, array::to_json(&text))).collect(),
            charges: order.charges,
            holds: order.holds.as_str(),
            replaces: order.replaces,
            changes,
        }
    }
}

/// A page of orders, the one placed last first; or all of them, as a table or as lines.
pub(super) async fn list(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    asked: Result<Query<OrdersQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let asked = query(asked)?;
    let (filter, format) = (filter(&asked)?, format(&asked, &headers)?);
    if format == Format::Page {
        return page(&admin, &id, &filter, &asked).await;
    }
    if asked.limit.is_some() || asked.before.is_some() {
        let detail = "limit and before are for pages of JSON; a table and lines hold every order that the filter lets through";
        return Err(Problem::new(&MALFORMED, detail).into());
    }
    let merchant = match admin.rules.owner(Owned::Campaign, &id).await? {
        Owner::One(merchant) => merchant,
        Owner::All | Owner::Missing => String::new(),
    };
    let orders = admin.rules.all_orders(&id, filter).await?;
    Ok(download((&id, merchant), format, orders))
}

async fn page(
    admin: &Admin,
    id: &str,
    filter: &OrderFilter,
    asked: &OrdersQuery,
) -> Result<Response, Refused> {
    let limit = limit(asked.limit, PAGE)?;
    let before = asked.before.as_deref().map(parsed).transpose()?;
    let rows = admin.rules.orders(id, filter, before, limit + 1).await?;
    let (rows, next) = paged(rows, limit, |row| row.order);
    let orders = rows.into_iter().map(Line::from).collect();
    Ok(([(header::VARY, "Accept")], Json(Page { orders, next })).into_response())
}

/// One order in full.
pub(super) async fn show(
    State(admin): State<Admin>,
    Path((id, order)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let order = parsed(&order)?;
    let found = admin.rules.order(&id, order).await?;
    Ok(Json(Shown::of(id, found)).into_response())
}

pub(super) fn parsed(order: &str) -> Result<OrderId, Refused> {
    let unknown = |error| Problem::new(&UNKNOWN, format!("no order {}: {error}", echo(order)));
    Ok(order.parse().map_err(unknown)?)
}

fn malformed(detail: String) -> Refused {
    Problem::new(&MALFORMED, detail).into()
}

/// A state that a landed order may have, by its name.
pub(super) fn landed_state(named: &str) -> Option<OrderState> {
    OrderState::of(named).filter(|state| state.is_landed())
}

fn filter(asked: &OrdersQuery) -> Result<OrderFilter, Refused> {
    let state = match asked.state.as_deref() {
        None => None,
        Some(named) => {
            let found = landed_state(named);
            let states = OrderState::LANDED.map(OrderState::as_str).join(", ");
            let wrong = || malformed(format!("state is {}; use {states}", echo(named)));
            Some(found.ok_or_else(wrong)?)
        }
    };
    let (from, to) = between(asked.from.as_deref(), asked.to.as_deref())?;
    Ok(OrderFilter {
        state,
        user: asked.user.clone(),
        sku: asked.sku.clone(),
        from,
        to,
    })
}

/// The parameters `from` and `to` of a list, milliseconds since 1970-01-01 UTC.
pub(super) fn between(from: Option<&str>, to: Option<&str>) -> Result<(Option<i64>, Option<i64>), Refused> {
    let moment = |name: &str, text: Option<&str>| -> Result<Option<i64>, Refused> {
        let Some(text) = text else { return Ok(None) };
        let parsed = text.parse::<jiff::Timestamp>().map_err(|_| {
            malformed(format!(
                "{name} is {}, which is no time: write 2026-11-27T10:00:00Z; the + of an offset is %2B in a query",
                echo(text)
            ))
        })?;
        Ok(Some(parsed.as_millisecond()))
    };
    let (from, to) = (moment("from", from)?, moment("to", to)?);
    match from.zip(to).is_some_and(|(from, to)| from >= to) {
        true => Err(malformed(
            "from is not before to: what is listed is of from or later, and before to".to_owned(),
        )),
        false => Ok((from, to)),
    }
}

fn format(asked: &OrdersQuery, headers: &HeaderMap) -> Result<Format, Refused> {
    match asked.format.as_deref() {
        Some("json") => return Ok(Format::Page),
        Some("csv") => return Ok(Format::Csv),
        Some("jsonl") => return Ok(Format::Lines),
        Some(other) => {
            return Err(malformed(format!(
                "format is {}; use json, csv or jsonl",
                echo(other)
            )));
        }
        None => {}
    }
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let named = accepted.find_map(|one| match one {
        one if is_media_type(one, "application/json") => Some(Format::Page),
        one if is_media_type(one, "text/csv") => Some(Format::Csv),
        one if is_media_type(one, LINES_TYPE) || is_media_type(one, "application/jsonl") => {
            Some(Format::Lines)
        }
        _ => None,
    });
    Ok(named.unwrap_or(Format::Page))
}

/// Every order, page by page as the client takes them. It ends where the client goes: nobody asks for the next page then.
fn download((id, merchant): (&str, String), format: Format, orders: OrdersStream) -> Response {
    let head = match format {
        Format::Csv => Some(Ok(Bytes::from(format!("{MARK}{}\r\n", COLUMNS.join(","))))),
        _ => None,
    };
    let pages = orders.map(move |page| match format {
        Format::Csv => page.and_then(|page| as_csv(page, &merchant)),
        _ => page.and_then(|page| as_lines(page, &merchant)),
    });
    let body = Body::from_stream(stream::iter(head).chain(cut_off(pages, "orders")));
    let (media_type, ending) = match format {
        Format::Csv => (CSV_TYPE, "csv"),
        _ => (LINES_TYPE, "jsonl"),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{id}-orders.{ending}\""),
        ),
        (header::VARY, "Accept".to_owned()),
    ];
    (headers, body).into_response()
}

fn as_csv(page: Vec<OrderRow>, merchant: &str) -> Result<Bytes, ControlError> {
    let mut table = Table::sized(page.len() * LINE_BYTES);
    for row in page {
        let (quantity, revision) = (row.quantity.to_string(), row.revision.to_string());
        let moment = |moment: Option<i64>| moment.map_or(String::new(), |at| Moment(at).to_string());
        let (order, placed_at) = (row.order.to_string(), moment(Some(row.placed_at)));
        let (confirmed_at, pay_by) = (moment(row.confirmed_at), moment(row.pay_by));
        let reason = row.revoked_reason.unwrap_or_default();
        let cells = [
            order.as_str(),
            row.state.as_str(),
            &row.user,
            &row.sku,
            &quantity,
            &revision,
            &placed_at,
            &confirmed_at,
            &reason,
            &pay_by,
            merchant,
        ];
        table.line(cells.map(str::as_bytes))?;
    }
    table.bytes()
}

/// A line of a download.
#[derive(Serialize)]
struct OfMerchant<'a> {
    #[serde(flatten)]
    line: Line,
    merchant: &'a str,
}

fn as_lines(page: Vec<OrderRow>, merchant: &str) -> Result<Bytes, ControlError> {
    let line = |row| OfMerchant {
        line: Line::from(row),
        merchant,
    };
    json_lines(page.into_iter().map(line), LINE_BYTES)
}
