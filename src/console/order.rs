//! One order: what it is, what it holds, what became of it; and paid, cancelled or refunded by hand.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::Console;
use super::acts::{Said, new_key, said};
use super::api::{Ask, Fault, Trouble, ask, ask_once, segment};
use super::figures::{Campaign, Order};
use super::form::Form;
use super::look;
use super::page::{self, Frame};
use super::sale::{Heading, Notice, shown};
use super::visitor::{Reached, Visitor};
use super::words::Words;

const SCOPE: &str = "orders:read";

struct ChangeLine {
    number: u32,
    word: String,
    to: String,
    at: String,
    actor: String,
    why: String,
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    frame: Frame,
    heading: Heading,
    notice: Option<Notice>,
    faults: Vec<Fault>,
    order: Order,
    word: &'static str,
    placed: String,
    confirmed: String,
    pay_by: String,
    attributes: Vec<(String, String)>,
    changes: Vec<ChangeLine>,
    /// Value and words of what can be done with it.
    acts: Vec<(&'static str, &'static str)>,
    action: String,
    key: String,
}

/// What a change of it says that it did.
#[derive(Deserialize)]
struct Done {
    did: String,
}

fn path(id: &str, order: &str) -> String {
    format!("/campaigns/{}/orders/{}", segment(id), segment(order))
}

/// What the state of an order allows.
fn acts(words: &Words, state: &str) -> Vec<(&'static str, &'static str)> {
    match state {
        "confirmed" => vec![("pay", words.pay), ("cancel", words.cancel)],
        "paid" => vec![("refund", words.refund)],
        _ => Vec::new(),
    }
}

fn changes(words: &Words, order: &Order) -> Vec<ChangeLine> {
    let line = |change: &super::figures::OrderChange| ChangeLine {
        number: change.number,
        word: change.to.clone(),
        to: words.order_state(&change.to).to_owned(),
        at: change.at.map(shown).unwrap_or_default(),
        actor: change.actor.clone(),
        why: [&change.reason, &change.note]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(": "),
    };
    order.changes.iter().map(line).collect()
}

async fn page_of(
    console: &Console,
    (visitor, reached): (&Visitor, &Reached),
    (id, order): (&str, &str),
    (notice, faults): Said,
) -> Result<OrderPage, Trouble> {
    let words = visitor.look.words;
    let asked = Ask::get(path(id, order));
    let order: Order = ask(&console.inside, &visitor.holder, &asked).await?;
    let campaign: Campaign = ask(&console.inside, &visitor.holder, &look::campaign(id)).await?;
    let frame = Frame::of(visitor, format!("{} {}", words.order, order.order), "sales");
    Ok(OrderPage {
        frame: frame.asking(&asked, reached, SCOPE),
        heading: Heading::of(&campaign, "orders"),
        notice,
        faults,
        word: words.order_state(&order.state),
        placed: shown(order.placed_at),
        confirmed: order.confirmed_at.map(shown).unwrap_or_default(),
        pay_by: order.pay_by.map(shown).unwrap_or_default(),
        attributes: order
            .attributes
            .iter()
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect(),
        changes: changes(words, &order),
        acts: acts(words, &order.state),
        action: format!("{}/orders/{}", page::sale_path(id), segment(&order.order)),
        key: new_key(),
        order,
    })
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Path((id, order)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    if let Some(json) = page::as_json(&console, &visitor, &Ask::get(path(&id, &order))).await? {
        return Ok(json);
    }
    let page = page_of(&console, (&visitor, &reached), (&id, &order), (None, Vec::new())).await?;
    Ok(page::show(&page))
}

/// Changes it, once per form, and shows it as it is then.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path((id, order)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let act = form
        .get("act")
        .filter(|act| ["pay", "cancel", "refund"].contains(act));
    let Some(act) = act else {
        let detail = "the form names no act: pay, cancel or refund";
        return Err(Trouble::new(StatusCode::BAD_REQUEST, "malformed", detail));
    };
    let body = form.members(&["reason", "note"]);
    let path = format!("{}/{act}", path(&id, &order));
    let asked = Ask::send(Method::POST, path, body.into()).keyed(form.get("key"));
    let done = ask_once::<Done>(&console.inside, &visitor.holder, &asked).await;
    let (status, said) = said(done.map(|(Done { did }, is_replay)| Notice { did, is_replay }));
    let page = page_of(&console, (&visitor, &reached), (&id, &order), said).await?;
    Ok(page::show_as(status, &page))
}
