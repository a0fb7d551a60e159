//! Revisions of a sale: listed, each in sentences and against the one in force, activated or rolled back to; and the script that Redis
//! runs for them.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::Console;
use super::acts::{faults_of, new_key};
use super::api::{Ask, Fault, Trouble, ask, ask_once, segment};
use super::figures::{Campaign, Change, Revision, Revisions};
use super::form::{Form, linked};
use super::look;
use super::meaning::Meaning;
use super::page::{self, Frame};
use super::rules::asked;
use super::sale::{Heading, Notice, shown, with_notice};
use super::standing::Standing;
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill};

const SCOPE: &str = "campaigns:read";
const SCOPE_TO_ACTIVATE: &str = "rules:activate";
/// Revisions of a page.
const PAGE: u32 = 20;

struct Line {
    number: u32,
    href: String,
    is_active: bool,
    made: String,
    by: String,
    changed: Vec<String>,
    in_force: Vec<String>,
}

#[derive(Template)]
#[template(path = "revisions.html")]
struct RevisionsPage {
    frame: Frame,
    heading: Heading,
    lines: Vec<Line>,
    older: Option<String>,
}

/// A counter that is asked about: id, words, whether it was accepted.
type Accept = (String, String, bool);

#[derive(Template)]
#[template(path = "revision.html")]
pub(super) struct RevisionPage {
    pub(super) frame: Frame,
    heading: Heading,
    number: u32,
    is_active: bool,
    is_older: bool,
    made: String,
    rules: Vec<(String, String)>,
    lists: Vec<(String, u32)>,
    meaning: Meaning,
    accept: Vec<Accept>,
    does: String,
    action: String,
    key: String,
    faults: Vec<Fault>,
    curl: String,
    /// Where two people have to agree.
    standing: Option<Standing>,
}

impl RevisionPage {
    /// Why it cannot be put in force; empty where it can.
    fn lacks(&self) -> &str {
        self.standing.as_ref().map_or("", |standing| &standing.lacks)
    }
}

#[derive(Template)]
#[template(path = "lua.html")]
struct LuaPage {
    frame: Frame,
    heading: Heading,
    lua: String,
}

/// What an activation says that it did.
#[derive(Deserialize)]
struct Activated {
    #[serde(default)]
    meaning: Vec<String>,
}

fn all(id: &str, form: &Form) -> Ask {
    let (path, limit) = (
        format!("/campaigns/{}/revisions", segment(id)),
        format!("limit={PAGE}"),
    );
    Ask::get(linked(&path, &[&limit, &form.before()]))
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(query): Extension<Form>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let asked = all(&id, &query);
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let campaign: Campaign = ask(&console.inside, &visitor.holder, &look::campaign(&id)).await?;
    let found: Revisions = ask(&console.inside, &visitor.holder, &asked).await?;
    let path = format!("{}/revisions", page::sale_path(&id));
    let lines = found.revisions.into_iter().map(|head| Line {
        number: head.revision,
        href: format!("{path}/{}", head.revision),
        is_active: head.active,
        made: shown(head.created_at),
        by: by(words, head.created_by.as_deref()),
        in_force: head
            .activations
            .iter()
            .map(|one| format!("{} {}", shown(one.at), by(words, one.by.as_deref())))
            .collect(),
        changed: head.changed,
    });
    let frame = Frame::of(
        &visitor,
        format!("{}: {}", campaign.title, words.revisions),
        "sales",
    );
    Ok(page::show(&RevisionsPage {
        frame: frame.asking(&asked, &reached, SCOPE),
        heading: Heading::of(&campaign, "revisions"),
        lines: lines.collect(),
        older: found.next.map(|next| format!("{path}?before={next}")),
    }))
}

fn by(words: &Words, who: Option<&str>) -> String {
    who.map_or_else(String::new, |who| fill(words.by, &[("who", &who)]))
}

/// Counters whose change has to be asked for by name.
fn accepts(words: &Words, changes: &[Change], form: &Form) -> Vec<Accept> {
    let accepted: Vec<&str> = form.all("accept").collect();
    let counters = changes.iter().filter_map(|change| change.counter.as_ref());
    let mut found: Vec<Accept> = Vec::new();
    for counter in counters.filter(|counter| counter.needs_accept) {
        if !found.iter().any(|(id, _, _)| *id == counter.id) {
            let text = fill(words.accept_change, &[("id", &counter.id)]);
            let text = format!("{text}: {}", words.counts(&counter.counts));
            found.push((counter.id.clone(), text, accepted.contains(&counter.id.as_str())));
        }
    }
    found
}

fn activation(id: &str, number: u32, form: &Form) -> Ask {
    let accept: Vec<&str> = form.all("accept").collect();
    let mut body = json!({"revision": number});
    if !accept.is_empty() {
        body["accept"] = json!(accept);
    }
    if let Some(note) = form.get("note") {
        body["note"] = note.into();
    }
    Ask::send(Method::POST, format!("/campaigns/{}/activate", segment(id)), body)
}

/// The page of a revision, with what went wrong.
pub(super) async fn page_of(
    console: &Console,
    (visitor, reached): (&Visitor, &Reached),
    (id, number): (&str, u32),
    form: &Form,
    faults: Vec<Fault>,
) -> Result<RevisionPage, Trouble> {
    let words = visitor.look.words;
    let campaign: Campaign = ask(&console.inside, &visitor.holder, &look::campaign(id)).await?;
    let asked = asked(id, number);
    let revision: Revision = ask(&console.inside, &visitor.holder, &asked).await?;
    let frame = Frame::of(visitor, format!("{} {number}", words.revision), "sales");
    let by = by(words, revision.created_by.as_deref());
    let made = revision.created_at.map(shown).unwrap_or_default();
    let (active, accept) = (revision.active, accepts(words, &revision.changes, form));
    let mut meaning = Meaning::of(words, &revision);
    meaning.has_comparison &= !active;
    let looks = (reached, visitor.session.is_some());
    let standing = Standing::of(words, (&campaign, &revision), number, looks);
    Ok(RevisionPage {
        standing,
        frame: frame.asking(&asked, reached, SCOPE),
        heading: Heading::of(&campaign, "revisions"),
        number,
        is_active: active,
        is_older: number < campaign.revision,
        made: format!("{made} {by}"),
        rules: revision
            .rules
            .iter()
            .map(|rule| {
                (
                    format!("{} ({} {})", rule.name, rule.module, rule.version),
                    rule.params.to_string(),
                )
            })
            .collect(),
        lists: revision.lists.into_iter().collect(),
        meaning,
        accept,
        does: fill(words.activate_does, &[("n", &number)]),
        action: format!("{}/revisions/{number}", page::sale_path(id)),
        key: new_key(),
        faults,
        curl: activation(id, number, form).curl(&reached.origin, visitor.session.is_some()),
    })
}

/// One revision.
pub(super) async fn revision(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(query): Extension<Form>,
    Path((id, number)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let number = numbered(&number)?;
    if let Some(json) = page::as_json(&console, &visitor, &asked(&id, number)).await? {
        return Ok(json);
    }
    let page = page_of(&console, (&visitor, &reached), (&id, number), &query, Vec::new()).await?;
    Ok(page::show(&page))
}

pub(super) fn numbered(text: &str) -> Result<u32, Trouble> {
    let unknown = |_| {
        Trouble::new(
            StatusCode::NOT_FOUND,
            "unknown",
            format!("a revision is named by its number, not {text:?}"),
        )
    };
    text.parse().map_err(unknown)
}

/// Puts it in force; the sale's page says what that means.
pub(super) async fn activate(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path((id, number)): Path<(String, String)>,
) -> Result<Response, Trouble> {
    let number = numbered(&number)?;
    let asked = activation(&id, number, &form).keyed(form.get("key"));
    match ask_once::<Activated>(&console.inside, &visitor.holder, &asked).await {
        Ok((activated, is_replay)) => {
            let notice = Notice {
                did: activated.meaning.join(" "),
                is_replay,
            };
            console.looks.forget(&visitor.holder, &id).await;
            with_notice(&console, &visitor, &reached, &id, Some(notice)).await
        }
        Err(trouble) => {
            let status = trouble.status_code();
            let faults = faults_of(&trouble);
            let mut page = page_of(&console, (&visitor, &reached), (&id, number), &form, faults).await?;
            page.frame.scope = SCOPE_TO_ACTIVATE;
            Ok(page::show_as(status, &page))
        }
    }
}

/// The script of the revision in force.
pub(super) async fn lua(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let campaign: Campaign = ask(&console.inside, &visitor.holder, &look::campaign(&id)).await?;
    let mut asked = asked(&id, campaign.revision);
    asked.path += "?lua=true";
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let revision: Revision = ask(&console.inside, &visitor.holder, &asked).await?;
    let frame = Frame::of(&visitor, format!("{}: Lua", campaign.title), "sales");
    Ok(page::show(&LuaPage {
        frame: frame.asking(&asked, &reached, SCOPE),
        heading: Heading::of(&campaign, "lua"),
        lua: revision.lua.unwrap_or_default(),
    }))
}
