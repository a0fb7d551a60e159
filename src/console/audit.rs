//! The audit trail: who changed what, from where, newest first, filtered and paged.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::response::Response;
use serde_json::Value;

use super::Console;
use super::acts::faults_of;
use super::api::{Ask, Fault, Trouble, ask};
use super::figures::{Audited, Trail};
use super::form::{Form, linked};
use super::page::{self, Frame};
use super::sale::shown;
use super::visitor::{Reached, Visitor};

const SCOPE: &str = "audit";
/// Lines of a page.
const PAGE: u32 = 50;
/// Fields of the filter, as the API names them.
const FILTER: [&str; 5] = ["actor", "action", "target", "from", "to"];
const PATH: &str = "/console/audit";

/// A line of the trail.
struct Line {
    at: String,
    who: String,
    address: String,
    action: String,
    target: String,
    what: String,
    note: String,
}

impl From<Audited> for Line {
    fn from(line: Audited) -> Self {
        let person = line.person.map(|person| format!(" ({person})"));
        Self {
            at: shown(line.at),
            who: line.actor + &person.unwrap_or_default(),
            address: line.address.unwrap_or_default(),
            what: what(&line.detail),
            action: line.action,
            target: line.target,
            note: line.note.unwrap_or_default(),
        }
    }
}

/// From what to what; or else all that is said.
fn what(detail: &Value) -> String {
    let short = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match (&detail["from"], &detail["to"]) {
        (Value::Null, Value::Null) if detail.as_object().is_none_or(serde_json::Map::is_empty) => {
            String::new()
        }
        (Value::Null, Value::Null) => detail.to_string(),
        (Value::Null, to) => format!("→ {}", short(to)),
        (from, Value::Null) => short(from),
        (from, to) => format!("{} → {}", short(from), short(to)),
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    actor: String,
    action: String,
    target: String,
    from: String,
    to: String,
    lines: Vec<Line>,
    older: Option<String>,
    newest: Option<String>,
    faults: Vec<Fault>,
}

fn listed(form: &Form) -> Ask {
    let (limit, filter) = (format!("limit={PAGE}"), form.filter_query(&FILTER));
    Ask::get(linked("/audit", &[&limit, &filter, &form.before()]))
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let asked = listed(&form);
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let (trail, faults) = match ask::<Trail>(&console.inside, &visitor.holder, &asked).await {
        Ok(trail) => (trail, Vec::new()),
        // What is wrong with the filter stands above it.
        Err(trouble) if trouble.status == 400 => (Trail::default(), faults_of(&trouble)),
        Err(trouble) => return Err(trouble),
    };
    let filter = form.filter_query(&FILTER);
    let with = |more: &str| linked(PATH, &[&filter, more]);
    let text = |name: &str| form.get(name).unwrap_or_default().to_owned();
    let frame = Frame::of(&visitor, visitor.look.words.audit, "audit");
    Ok(page::show(&AuditPage {
        frame: frame.asking(&asked, &reached, SCOPE),
        actor: text("actor"),
        action: text("action"),
        target: text("target"),
        from: text("from"),
        to: text("to"),
        lines: trail.lines.into_iter().map(Line::from).collect(),
        older: trail.next.map(|seq| with(&format!("before={seq}"))),
        newest: form.has("before").then(|| with("")),
        faults,
    }))
}
