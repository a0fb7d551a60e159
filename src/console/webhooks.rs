//! Webhooks: endpoints that hear what becomes of orders, what each was sent and what came of it; tried, enabled, and sent again.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

use super::Console;
use super::acts::{Said, said};
use super::api::{Ask, Fault, Trouble, ask, segment};
use super::figures::{Deliveries, Delivery, Replayed, Webhook, Webhooks};
use super::form::{Form, linked};
use super::page::{self, Frame};
use super::sale::{Notice, shown};
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill, grouped};

const SCOPE: &str = "webhooks";
/// Deliveries of a page.
const PAGE: u32 = 50;
/// Fields of the filter, as the API names them.
const FILTER: [&str; 1] = ["state"];
const STATES: [&str; 3] = ["waiting", "delivered", "failed"];

impl Words {
    fn webhook_state(&self, code: &str) -> &'static str {
        match code {
            "enabled" => self.enabled,
            "failing" => self.failing,
            "disabled" => self.disabled,
            "waiting" => self.waiting,
            "delivered" => self.delivered,
            "failed" => self.failed,
            _ => "",
        }
    }
}

/// An endpoint's line.
struct Line {
    href: String,
    url: String,
    word: &'static str,
    badge: &'static str,
    campaign: String,
    events: String,
    note: String,
}

fn badge(state: &str) -> &'static str {
    match state {
        "enabled" | "delivered" => "ok",
        "failing" | "waiting" => "degraded",
        _ => "failed",
    }
}

impl Line {
    fn of(words: &'static Words, hook: &Webhook) -> Self {
        Self {
            href: path(&hook.id),
            url: hook.url.clone(),
            word: words.webhook_state(&hook.state),
            badge: badge(&hook.state),
            campaign: hook
                .campaign
                .clone()
                .unwrap_or_else(|| words.all_sales.to_owned()),
            events: match hook.events.is_empty() {
                true => words.any.to_owned(),
                false => hook.events.join(", "),
            },
            note: hook.note.clone().unwrap_or_default(),
        }
    }
}

struct DeliveryLine {
    created: String,
    event: String,
    order: String,
    href: Option<String>,
    number: i64,
    word: &'static str,
    badge: &'static str,
    attempts: u32,
    came: String,
}

impl DeliveryLine {
    fn of(words: &'static Words, delivery: Delivery) -> Self {
        let status = delivery.status.map(|status| status.to_string());
        let came = status.into_iter().chain(delivery.error);
        Self {
            created: shown(delivery.created_at),
            href: delivery.campaign.map(|campaign| {
                format!(
                    "{}/orders/{}",
                    page::sale_path(&campaign),
                    segment(&delivery.order)
                )
            }),
            event: delivery.event,
            order: delivery.order,
            number: delivery.number,
            word: words.webhook_state(&delivery.state),
            badge: badge(&delivery.state),
            attempts: delivery.attempts,
            came: came.collect::<Vec<_>>().join(": "),
        }
    }
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    lines: Vec<Line>,
    make: String,
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    frame: Frame,
    path: String,
    line: Line,
    is_disabled: bool,
    why: String,
    waiting: String,
    /// Value and words of each state; whether it is chosen.
    states: Vec<(&'static str, &'static str, bool)>,
    lines: Vec<DeliveryLine>,
    older: Option<String>,
    notice: Option<Notice>,
    faults: Vec<Fault>,
}

fn path(id: &str) -> String {
    format!("/console/webhooks/{}", segment(id))
}

fn of(id: &str, rest: &str) -> String {
    format!("/webhooks/{}{rest}", segment(id))
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let asked = Ask::get("/webhooks");
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let found: Webhooks = ask(&console.inside, &visitor.holder, &asked).await?;
    let new = json!({"url": "https://shop.example/hooks"});
    let make = Ask::send(Method::POST, "/webhooks", new).curl(&reached.origin, visitor.session.is_some());
    let frame = Frame::of(&visitor, words.webhooks, "webhooks");
    Ok(page::show(&WebhooksPage {
        frame: frame.asking(&asked, &reached, SCOPE),
        lines: found.webhooks.iter().map(|hook| Line::of(words, hook)).collect(),
        make,
    }))
}

fn deliveries(id: &str, form: &Form) -> Ask {
    let (limit, filter) = (format!("limit={PAGE}"), form.filter_query(&FILTER));
    Ask::get(linked(&of(id, "/deliveries"), &[&limit, &filter, &form.before()]))
}

async fn page_of(
    console: &Console,
    (visitor, reached): (&Visitor, &Reached),
    id: &str,
    form: &Form,
    (notice, faults): Said,
) -> Result<WebhookPage, Trouble> {
    let words = visitor.look.words;
    let hook: Webhook = ask(&console.inside, &visitor.holder, &Ask::get(of(id, ""))).await?;
    let asked = deliveries(id, form);
    let found: Deliveries = ask(&console.inside, &visitor.holder, &asked).await?;
    let state = form.get("state");
    let filter = form.filter_query(&FILTER);
    let failing = hook.failing_since.map(|since| {
        let since = shown(since);
        fill(words.failing_since, &[("since", &since)])
    });
    let frame = Frame::of(visitor, format!("{}: {}", words.webhooks, hook.url), "webhooks");
    Ok(WebhookPage {
        frame: frame.asking(&asked, reached, SCOPE),
        path: path(id),
        line: Line::of(words, &hook),
        is_disabled: hook.state == "disabled",
        why: hook.disabled_why.or(failing).unwrap_or_default(),
        waiting: grouped(hook.waiting.unwrap_or(0)),
        states: STATES
            .map(|of| (of, words.webhook_state(of), state == Some(of)))
            .into(),
        older: found
            .next
            .map(|next| linked(&path(id), &[&filter, &format!("before={}", segment(&next))])),
        lines: found
            .deliveries
            .into_iter()
            .map(|one| DeliveryLine::of(words, one))
            .collect(),
        notice,
        faults,
    })
}

/// One endpoint, with what it was sent.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(query): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    if let Some(json) = page::as_json(&console, &visitor, &deliveries(&id, &query)).await? {
        return Ok(json);
    }
    let page = page_of(&console, (&visitor, &reached), &id, &query, (None, Vec::new())).await?;
    Ok(page::show(&page))
}

/// What a button does, and what it says then.
async fn done(console: &Console, visitor: &Visitor, id: &str, act: &str) -> Result<String, Trouble> {
    let words = visitor.look.words;
    match act {
        "test" => {
            let asked = Ask::bare(Method::POST, of(id, "/test"));
            let tried: Value = ask(&console.inside, &visitor.holder, &asked).await?;
            let text = match tried["delivered"].as_bool() {
                Some(true) => words.tried_delivered,
                _ => words.tried_failed,
            };
            let came = [&tried["status"], &tried["error"], &tried["answer"]].into_iter();
            let came: Vec<String> = came
                .filter(|value| !value.is_null())
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect();
            Ok(format!("{text} {}", came.join(", ")))
        }
        "replay" => {
            let asked = Ask::send(Method::POST, of(id, "/replay"), json!({"state": "failed"}));
            let again: Replayed = ask(&console.inside, &visitor.holder, &asked).await?;
            let count = grouped(again.replayed);
            Ok(fill(words.replayed, &[("count", &count)]))
        }
        act => {
            let body = json!({"disabled": act == "disable"});
            let asked = Ask::send(Method::PATCH, of(id, ""), body);
            let hook: Webhook = ask(&console.inside, &visitor.holder, &asked).await?;
            Ok(words.webhook_state(&hook.state).to_owned())
        }
    }
}

/// Tries it, disables or enables it, or sends again what failed.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let done = done(&console, &visitor, &id, form.get("act").unwrap_or_default()).await;
    let (status, said) = said(done.map(Notice::of));
    let page = page_of(&console, (&visitor, &reached), &id, &form, said).await?;
    Ok(page::show_as(status, &page))
}
