//! Who bought: orders of a sale, filtered and paged; and all that a filter lets through cancelled or refunded, after a dry run has said
//! what that would be.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value, json};

use super::Console;
use super::acts::{faults_of, new_key};
use super::api::{Ask, Fault, Trouble, ask, quoted, segment};
use super::figures::{Bulk, Campaign, Job, Order, Orders};
use super::form::{Form, linked};
use super::look;
use super::page::{self, Frame};
use super::sale::{Heading, shown};
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill, grouped};

/// What a key needs to see them, and to change them.
const SCOPE: &str = "orders:read";
const SCOPE_TO_ACT: &str = "orders:write";
/// Orders of a page.
const PAGE: u32 = 50;
/// Fields of the filter, as the API names them.
const FILTER: [&str; 5] = ["state", "user", "sku", "from", "to"];
/// States that a landed order may have.
pub(super) const STATES: [&str; 6] = ["confirmed", "paid", "cancelled", "expired", "refunded", "revoked"];

/// An order's line.
struct Line {
    href: String,
    id: String,
    state: String,
    word: &'static str,
    user: String,
    sku: String,
    quantity: u32,
    placed: String,
}

impl Line {
    fn of(words: &'static Words, campaign: &str, order: Order) -> Self {
        Self {
            href: format!("{}/orders/{}", page::sale_path(campaign), segment(&order.order)),
            word: words.order_state(&order.state),
            placed: shown(order.placed_at),
            id: order.order,
            state: order.state,
            user: order.user,
            sku: order.sku,
            quantity: order.quantity,
        }
    }
}

/// What a change of all that match would be.
struct Tried {
    act: String,
    name: &'static str,
    did: String,
    expect: u64,
    key: String,
    curl: String,
}

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    frame: Frame,
    heading: Heading,
    action: String,
    /// Value and words of each state; whether it is chosen.
    states: Vec<(&'static str, &'static str, bool)>,
    skus: Vec<(String, bool)>,
    user: String,
    from: String,
    to: String,
    lines: Vec<Line>,
    is_filtered: bool,
    first: String,
    older: Option<String>,
    newest: Option<String>,
    faults: Vec<Fault>,
    tried: Option<Tried>,
}

fn listed(id: &str, form: &Form) -> Ask {
    let path = format!("/campaigns/{}/orders", segment(id));
    let (limit, filter) = (format!("limit={PAGE}"), form.filter_query(&FILTER));
    Ask::get(linked(&path, &[&limit, &filter, &form.before()]))
}

/// The body of a change of all that match.
fn bulk(form: &Form, expect: Option<u64>) -> Value {
    let filter = form.filter(&FILTER).into_iter();
    let filter: Map<String, Value> = filter
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let mut body = form.members(&["reason", "note"]);
    body.insert("filter".to_owned(), filter.into());
    if let Some(expect) = expect {
        body.insert("expect".to_owned(), expect.into());
    }
    Value::Object(body)
}

/// A command that places an order, for a sale that has none.
fn first(campaign: &Campaign) -> String {
    let sku = campaign.skus.first().map_or("mug", |sku| sku.id.as_str());
    let body = quoted(&json!({"sku": sku, "quantity": 1}).to_string());
    format!(
        "curl http://127.0.0.1:8080/v1/campaigns/{}/orders -H 'Authorization: Bearer dev:ada' \\\n  \
         -H 'Content-Type: application/json' -d {body}",
        segment(&campaign.id)
    )
}

async fn page_of(
    console: &Console,
    (visitor, reached): (&Visitor, &Reached),
    id: &str,
    form: &Form,
    (tried, faults): (Option<Tried>, Vec<Fault>),
) -> Result<OrdersPage, Trouble> {
    let words = visitor.look.words;
    let campaign: Campaign = ask(&console.inside, &visitor.holder, &look::campaign(id)).await?;
    let asked = listed(id, form);
    let (orders, faults) = match ask::<Orders>(&console.inside, &visitor.holder, &asked).await {
        Ok(orders) => (orders, faults),
        // What is wrong with the filter stands above it.
        Err(trouble) if trouble.status == 400 => {
            let orders = Orders {
                orders: Vec::new(),
                next: None,
            };
            (orders, faults_of(&trouble))
        }
        Err(trouble) => return Err(trouble),
    };
    let path = format!("{}/orders", page::sale_path(id));
    let filter = form.filter_query(&FILTER);
    let with = |more: &str| linked(&path, &[&filter, more]);
    let state = form.get("state");
    let sku = form.get("sku");
    let frame = Frame::of(visitor, format!("{}: {}", campaign.title, words.orders), "sales");
    Ok(OrdersPage {
        frame: frame.asking(&asked, reached, SCOPE),
        states: STATES
            .map(|of| (of, words.order_state(of), state == Some(of)))
            .into(),
        skus: campaign
            .skus
            .iter()
            .map(|one| (one.id.clone(), sku == Some(one.id.as_str())))
            .collect(),
        user: form.get("user").unwrap_or_default().to_owned(),
        from: form.get("from").unwrap_or_default().to_owned(),
        to: form.get("to").unwrap_or_default().to_owned(),
        first: first(&campaign),
        heading: Heading::of(&campaign, "orders"),
        lines: orders
            .orders
            .into_iter()
            .map(|order| Line::of(words, id, order))
            .collect(),
        is_filtered: !filter.is_empty(),
        older: orders.next.map(|id| with(&format!("before={}", segment(&id)))),
        newest: form.has("before").then(|| with("")),
        action: path,
        faults,
        tried,
    })
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    if let Some(json) = page::as_json(&console, &visitor, &listed(&id, &form)).await? {
        return Ok(json);
    }
    let page = page_of(&console, (&visitor, &reached), &id, &form, (None, Vec::new())).await?;
    Ok(page::show(&page))
}

/// What changing all that match would do, or, confirmed, the job that does it.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let (act, name) = match form.get("act") {
        Some("refund") => ("refund", words.refund),
        _ => ("cancel", words.cancel),
    };
    let path = format!("/campaigns/{}/orders/{act}", segment(&id));
    let expect = form.get("expect").and_then(|expect| expect.parse().ok());
    let confirmed = form.get("step") == Some("confirm") && expect.is_some();
    let refused = if confirmed {
        let asked = Ask::send(Method::POST, path.clone(), bulk(&form, expect)).keyed(form.get("key"));
        match ask::<Job>(&console.inside, &visitor.holder, &asked).await {
            Ok(job) => {
                let to = format!("{}/orders/jobs/{}", page::sale_path(&id), segment(&job.job));
                return Ok(Redirect::to(&to).into_response());
            }
            Err(trouble) => faults_of(&trouble),
        }
    } else {
        Vec::new()
    };
    let asked = Ask::send(Method::POST, format!("{path}?dry_run=true"), bulk(&form, None));
    let (tried, mut faults) = match ask::<Bulk>(&console.inside, &visitor.holder, &asked).await {
        Ok(would) => {
            let key = new_key();
            let asked = Ask::send(Method::POST, path, bulk(&form, Some(would.orders))).keyed(Some(&key));
            let tried = Tried {
                act: act.to_owned(),
                name,
                did: would.did,
                expect: would.orders,
                key,
                curl: asked.curl(&reached.origin, visitor.session.is_some()),
            };
            (Some(tried), Vec::new())
        }
        Err(trouble) => (None, faults_of(&trouble)),
    };
    faults.extend(refused);
    let status = page::status(&faults);
    let mut page = page_of(&console, (&visitor, &reached), &id, &form, (tried, faults)).await?;
    page.frame.scope = SCOPE_TO_ACT;
    Ok(page::show_as(status, &page))
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    frame: Frame,
    heading: Heading,
    job: Job,
    counts: String,
}

/// A change of many orders at work.
pub(super) async fn job(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Path((id, job)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let asked = Ask::get(format!(
        "/campaigns/{}/orders/jobs/{}",
        segment(&id),
        segment(&job)
    ));
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let job: Job = ask(&console.inside, &visitor.holder, &asked).await?;
    let campaign: Campaign = ask(&console.inside, &visitor.holder, &look::campaign(&id)).await?;
    let counts = fill(
        words.job_matched,
        &[
            ("changed", &grouped(job.changed)),
            ("matched", &grouped(job.matched)),
            ("skipped", &grouped(job.skipped)),
            ("failed", &grouped(job.failed)),
        ],
    );
    let frame = Frame::of(&visitor, words.job, "sales").asking(&asked, &reached, SCOPE);
    Ok(page::show(&JobPage {
        frame,
        heading: Heading::of(&campaign, "orders"),
        job,
        counts,
    }))
}
