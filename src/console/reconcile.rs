//! What Redis and the database have of a sale: compared when somebody asks for it, by kind of difference, and put right once that is
//! confirmed.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::Console;
use super::acts::faults_of;
use super::api::{Ask, Fault, Trouble, ask, segment};
use super::figures::{Campaign, DifferencesOfKind, Reconciled};
use super::form::Form;
use super::look;
use super::page::{self, Frame};
use super::sale::Heading;
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill, grouped};

const SCOPE: &str = "letters";

#[derive(Template)]
#[template(path = "reconcile.html")]
struct ReconcilePage {
    frame: Frame,
    heading: Heading,
    action: String,
    faults: Vec<Fault>,
    /// What was compared, in a sentence; empty where nothing was yet.
    compared: String,
    unsettled: String,
    /// Differences that were found, and where something was repaired those that are left.
    sections: Vec<(&'static str, Vec<DifferencesOfKind>)>,
    /// Whether something is left that a repair may put right.
    can_be_repaired: bool,
    curl: String,
    curl_of_repair: String,
}

fn asked(id: &str, repair: bool, lost: &str) -> Ask {
    let body = match repair {
        false => json!({"repair": false}),
        true => json!({"repair": true, "lost": lost}),
    };
    let path = format!("/campaigns/{}/reconcile", segment(id));
    Ask::send(Method::POST, path, body)
}

async fn page_of(
    console: &Console,
    (visitor, reached): (&Visitor, &Reached),
    id: &str,
    (found, faults): (Option<Reconciled>, Vec<Fault>),
) -> Result<ReconcilePage, Trouble> {
    let words = visitor.look.words;
    let campaign: Campaign = ask(&console.inside, &visitor.holder, &look::campaign(id)).await?;
    let frame = Frame::of(
        visitor,
        format!("{}: {}", campaign.title, words.reconcile),
        "sales",
    );
    let compared = found.as_ref().map(|found| {
        let seconds = format!("{:.1}", found.took_ms as f64 / 1000.0);
        fill(
            words.compared,
            &[
                ("orders", &grouped(found.orders)),
                ("skus", &grouped(found.skus)),
                ("subjects", &grouped(found.subjects)),
                ("seconds", &seconds),
            ],
        )
    });
    let unsettled = found.as_ref().filter(|found| found.unsettled > 0);
    let command = |asked: &Ask| asked.curl(&reached.origin, visitor.session.is_some());
    Ok(ReconcilePage {
        frame: Frame {
            scope: SCOPE,
            ..frame
        },
        heading: Heading::of(&campaign, "reconcile"),
        action: format!("{}/reconcile", page::sale_path(id)),
        compared: compared.unwrap_or_default(),
        unsettled: unsettled.map_or_else(String::new, |found| {
            fill(words.unsettled, &[("count", &grouped(found.unsettled))])
        }),
        can_be_repaired: found
            .as_ref()
            .is_some_and(|found| found.left.iter().any(|of| of.repairable)),
        sections: found.map_or_else(Vec::new, |found| sections(words, found)),
        faults,
        curl: command(&asked(id, false, "")),
        curl_of_repair: command(&asked(id, true, "send-again")),
    })
}

fn sections(words: &'static Words, found: Reconciled) -> Vec<(&'static str, Vec<DifferencesOfKind>)> {
    if found.kinds.is_empty() {
        return Vec::new();
    }
    let left = found.repaired.then_some((words.left_after, found.left));
    [(words.differences, found.kinds)]
        .into_iter()
        .chain(left)
        .collect()
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let page = page_of(&console, (&visitor, &reached), &id, (None, Vec::new())).await?;
    Ok(page::show(&page))
}

/// Compares, or puts right what was found.
pub(super) async fn compare(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let repair = form.get("act") == Some("repair");
    let lost = if form.has("give_up") {
        "give-up"
    } else {
        "send-again"
    };
    let asked = asked(&id, repair, lost);
    let (status, told) = match ask::<Reconciled>(&console.inside, &visitor.holder, &asked).await {
        Ok(found) => (StatusCode::OK, (Some(found), Vec::new())),
        Err(trouble) => (trouble.status_code(), (None, faults_of(&trouble))),
    };
    let page = page_of(&console, (&visitor, &reached), &id, told).await?;
    Ok(page::show_as(status, &page))
}
