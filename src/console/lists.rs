//! Lists of buyers that rules ask for: each with its versions, who is on it, and one buyer more or less.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::Console;
use super::acts::{Said, faults_of, said};
use super::api::{Ask, Fault, Trouble, ask, segment};
use super::figures::{List, ListVersions, Lists, Member};
use super::form::{Form, linked};
use super::page::{self, Frame};
use super::sale::{Notice, shown};
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill, grouped};

const SCOPE: &str = "lists:read";
const SCOPE_TO_CHANGE: &str = "lists:write";
/// Versions of a page.
const PAGE: u32 = 20;

/// A version's line.
struct Line {
    id: String,
    href: String,
    version: u32,
    members: String,
    kind: &'static str,
    uploaded: String,
    digest: String,
}

impl Line {
    fn of(words: &'static Words, list: List) -> Self {
        Self {
            href: path(&list.id),
            version: list.version,
            members: grouped(list.members),
            kind: match list.kind.as_str() {
                "addresses" => words.kind_addresses,
                _ => words.kind_texts,
            },
            uploaded: shown(list.uploaded_at),
            digest: list.digest.chars().take(12).collect(),
            id: list.id,
        }
    }
}

#[derive(Template)]
#[template(path = "lists.html")]
struct ListsPage {
    frame: Frame,
    lines: Vec<Line>,
    upload: String,
    /// Of the form for a new one: nobody's yet.
    id: &'static str,
}

#[derive(Template)]
#[template(path = "list.html")]
struct ListPage {
    frame: Frame,
    id: String,
    path: String,
    lines: Vec<Line>,
    older: Option<String>,
    member: String,
    /// Whether the member is on it, in words.
    is_listed: Option<(bool, String)>,
    activate: String,
    notice: Option<Notice>,
    faults: Vec<Fault>,
    upload: String,
}

pub(super) fn path(id: &str) -> String {
    format!("/console/lists/{}", segment(id))
}

/// Where the API has it.
fn of(id: &str, rest: &str) -> String {
    format!("/audiences/{}{rest}", segment(id))
}

/// An upload of a version, but for the list itself.
pub(super) fn put(id: &str, query: &str) -> Ask {
    Ask::bare(Method::PUT, linked(&of(id, ""), &[query]))
}

/// The command that uploads a version.
fn upload(origin: &str, id: &str, with_token: bool) -> String {
    let command = put(id, "").curl(origin, with_token);
    format!("{command} \\\n  -H 'Content-Type: text/plain' --data-binary @{id}.txt")
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let asked = Ask::get("/audiences");
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let found: Lists = ask(&console.inside, &visitor.holder, &asked).await?;
    let frame = Frame::of(&visitor, words.lists, "lists");
    Ok(page::show(&ListsPage {
        frame: frame.asking(&asked, &reached, SCOPE),
        lines: found
            .audiences
            .into_iter()
            .map(|list| Line::of(words, list))
            .collect(),
        upload: upload(&reached.origin, "vip", visitor.session.is_some()),
        id: "",
    }))
}

fn versions(id: &str, form: &Form) -> Ask {
    let limit = format!("limit={PAGE}");
    Ask::get(linked(&of(id, ""), &[&limit, &form.before()]))
}

fn membership(id: &str, member: &str) -> String {
    of(id, &format!("/members/{}", segment(member)))
}

/// Whether somebody is on it, in words; what is wrong with the question.
async fn listed(
    console: &Console,
    visitor: &Visitor,
    id: &str,
    member: &str,
) -> Result<(bool, String), Trouble> {
    let words = visitor.look.words;
    let asked = Ask::get(membership(id, member));
    let found: Member = ask(&console.inside, &visitor.holder, &asked).await?;
    let text = if found.listed {
        words.is_listed
    } else {
        words.is_not_listed
    };
    let by = found
        .by
        .filter(|by| by != member)
        .map_or_else(String::new, |by| format!(" ({by})"));
    let text = fill(text, &[("member", &member), ("version", &found.version)]);
    Ok((found.listed, text + &by))
}

async fn page_of(
    console: &Console,
    (visitor, reached): (&Visitor, &Reached),
    id: &str,
    form: &Form,
    (notice, mut faults): Said,
) -> Result<ListPage, Trouble> {
    let words = visitor.look.words;
    let asked = versions(id, form);
    let found: ListVersions = ask(&console.inside, &visitor.holder, &asked).await?;
    let member = form.get("member").unwrap_or_default();
    let is_listed = match member {
        "" => None,
        member => match listed(console, visitor, id, member).await {
            Ok(listed) => Some(listed),
            Err(trouble) if trouble.status < 500 => {
                faults.extend(faults_of(&trouble));
                None
            }
            Err(trouble) => return Err(trouble),
        },
    };
    let frame = Frame::of(visitor, format!("{}: {id}", words.lists), "lists");
    Ok(ListPage {
        frame: frame.asking(&asked, reached, SCOPE),
        id: id.to_owned(),
        older: found.next.map(|next| format!("{}?before={next}", path(id))),
        lines: found
            .versions
            .into_iter()
            .map(|list| Line::of(words, list))
            .collect(),
        path: path(id),
        member: member.to_owned(),
        is_listed,
        activate: form.get("activate").unwrap_or_default().to_owned(),
        notice,
        faults,
        upload: upload(&reached.origin, id, visitor.session.is_some()),
    })
}

/// One list: its versions, and whether somebody is on it.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(query): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let asked = versions(&id, &query);
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let page = page_of(&console, (&visitor, &reached), &id, &query, (None, Vec::new())).await?;
    Ok(page::show(&page))
}

/// Puts one buyer on it or takes one off.
pub(super) async fn change(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let method = match form.get("act") {
        Some("remove") => Method::DELETE,
        _ => Method::PUT,
    };
    let Some(member) = form.get("member") else {
        let fault = Fault {
            pointer: "member".to_owned(),
            detail: words.member_missing.to_owned(),
            hint: None,
        };
        let page = page_of(&console, (&visitor, &reached), &id, &form, (None, vec![fault])).await?;
        return Ok(page::show_as(StatusCode::UNPROCESSABLE_ENTITY, &page));
    };
    let activate = form
        .get("activate")
        .map_or_else(String::new, |activate| format!("?activate={}", segment(activate)));
    let asked = Ask::bare(method, membership(&id, member) + &activate);
    let done = ask::<Value>(&console.inside, &visitor.holder, &asked).await;
    let (status, said) = said(done.map(|done| {
        let version = done["version"].to_string();
        Notice::of(fill(words.list_changed, &[("id", &id), ("version", &version)]))
    }));
    let mut page = page_of(&console, (&visitor, &reached), &id, &form, said).await?;
    page.frame.scope = SCOPE_TO_CHANGE;
    Ok(page::show_as(status, &page))
}
