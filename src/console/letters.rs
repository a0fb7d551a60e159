//! Dead letters: orders that could not land. They are filtered, ticked, and sent back, taken up again or given up after a dry run; one
//! is shown with its payload, which can be repaired.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::Console;
use super::act::number;
use super::acts::{Said, faults_of, said};
use super::api::{Ask, Fault, Trouble, ask, segment};
use super::figures::{Did, Letter, LetterHeader, LetterTotal, Letters};
use super::form::{Form, linked, moment};
use super::page::{self, Frame};
use super::sale::{Notice, shown};
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill, grouped};

const SCOPE: &str = "letters";
const PATH: &str = "/console/letters";
/// Letters of a page.
const PAGE: u32 = 50;
/// Fields of the filter, as the API names them.
const FILTER: [&str; 7] = ["campaign", "class", "key", "error", "stage", "from", "to"];
const STAGES: [&str; 7] = [
    "dead",
    "parked",
    "retry",
    "replayed",
    "discarded",
    "landed",
    "forged",
];

impl Words {
    fn stage(&self, code: &str) -> &'static str {
        match code {
            "retry" => self.stage_retry,
            "dead" => self.stage_dead,
            "replayed" => self.stage_replayed,
            "parked" => self.stage_parked,
            "discarded" => self.stage_discarded,
            "landed" => self.stage_landed,
            "forged" => self.stage_forged,
            _ => self.any,
        }
    }

    fn letter_act(&self, act: &str) -> &'static str {
        match act {
            "cancel" => self.take_replay_back,
            "unpark" => self.unpark,
            "discard" => self.give_up,
            _ => self.send_back,
        }
    }
}

fn badge(stage: &str) -> &'static str {
    match stage {
        "landed" => "ok",
        "retry" | "replayed" | "parked" => "degraded",
        "discarded" => "",
        _ => "failed",
    }
}

/// What a button names; a replay where it names nothing that there is.
fn named(act: Option<&str>) -> &'static str {
    match act {
        Some("cancel") => "cancel",
        Some("unpark") => "unpark",
        Some("discard") => "discard",
        _ => "replay",
    }
}

/// A letter's line.
struct Line {
    tick: String,
    is_ticked: bool,
    href: String,
    word: &'static str,
    badge: &'static str,
    since: String,
    replay_at: String,
    letter: Letter,
}

impl Line {
    fn of(words: &'static Words, letter: Letter, ticked: &[&str]) -> Self {
        Self {
            tick: fill(words.tick, &[("id", &letter.id)]),
            is_ticked: ticked.contains(&letter.id.as_str()),
            href: format!("{PATH}/{}", letter.id),
            word: words.stage(&letter.stage),
            badge: badge(&letter.stage),
            since: shown(letter.since),
            replay_at: letter.replay_at.map(shown).unwrap_or_default(),
            letter,
        }
    }
}

/// How many letters of a stage there are, and of which classes.
struct Total {
    href: String,
    word: &'static str,
    letters: String,
    classes: String,
}

/// What an act would do, to be confirmed.
struct Tried {
    act: &'static str,
    name: &'static str,
    did: String,
    curl: String,
}

#[derive(Template)]
#[template(path = "letters.html")]
struct LettersPage {
    frame: Frame,
    /// Value and words of each stage; whether it is chosen.
    stages: Vec<(&'static str, &'static str, bool)>,
    /// Fields of the filter and of what is to be done, as they were sent.
    form: Form,
    totals: Vec<Total>,
    lines: Vec<Line>,
    older: Option<String>,
    newest: Option<String>,
    tried: Option<Tried>,
    notice: Option<Notice>,
    faults: Vec<Fault>,
}

impl LettersPage {
    fn text(&self, name: &str) -> &str {
        self.form.get(name).unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "letter.html")]
struct LetterPage {
    frame: Frame,
    path: String,
    letter: Letter,
    word: &'static str,
    badge: &'static str,
    since: String,
    failed_at: String,
    replay_at: String,
    /// Page of its order.
    order: Option<String>,
    trail: String,
    headers: Vec<LetterHeader>,
    payload: String,
    /// What was no JSON.
    base64: String,
    can_be_repaired: bool,
    /// Buttons: value and words.
    acts: Vec<(&'static str, &'static str)>,
    reason: String,
    notice: Option<Notice>,
    faults: Vec<Fault>,
}

fn listed(form: &Form) -> Ask {
    let (limit, filter) = (format!("limit={PAGE}"), form.filter_query(&FILTER));
    Ask::get(linked("/letters", &[&limit, &filter, &form.before()]))
}

/// What the API is asked to do: to letters that are ticked, or to all that match.
fn asked(act: &str, form: &Form, dry_run: bool) -> Ask {
    let mut body = Map::new();
    let ids: Vec<&str> = form.all("id").collect();
    if ids.is_empty() {
        let filter = form.filter(&FILTER).into_iter();
        let filter: Map<String, Value> = filter
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        body.insert("filter".to_owned(), filter.into());
    } else {
        body.insert("ids".to_owned(), json!(ids));
    }
    match act {
        "replay" => {
            if let Some(rate) = number(form.get("rate")) {
                body.insert("rate".to_owned(), rate);
            }
            if let Some(at) = form.get("at") {
                body.insert("at".to_owned(), moment(at).into());
            }
            if form.has("force") {
                body.insert("force".to_owned(), true.into());
            }
        }
        "discard" => {
            let reason = form.get("reason").unwrap_or_default();
            body.insert("reason".to_owned(), reason.into());
        }
        _ => {}
    }
    let tried = if dry_run { "?dry_run=true" } else { "" };
    Ask::send(Method::POST, format!("/letters/{act}{tried}"), body.into())
}

fn totals(words: &'static Words, form: &Form, found: &[LetterTotal]) -> Vec<Total> {
    let mut rest = form.clone();
    let stages = STAGES.into_iter().filter_map(|stage| {
        let of_stage: Vec<&LetterTotal> = found.iter().filter(|total| total.stage == stage).collect();
        if of_stage.is_empty() {
            return None;
        }
        rest.set("stage", stage.to_owned());
        let filter = rest.query(|name| !FILTER.contains(&name));
        let classes = of_stage
            .iter()
            .map(|total| format!("{} {}", grouped(total.letters), total.class));
        Some(Total {
            href: linked(PATH, &[&filter]),
            word: words.stage(stage),
            letters: grouped(of_stage.iter().map(|total| total.letters).sum::<u64>()),
            classes: classes.collect::<Vec<_>>().join(", "),
        })
    });
    stages.collect()
}

async fn page_of(
    console: &Console,
    (visitor, reached): (&Visitor, &Reached),
    form: &Form,
    tried: Option<Tried>,
    (notice, mut faults): Said,
) -> Result<LettersPage, Trouble> {
    let words = visitor.look.words;
    let asked = listed(form);
    let found = match ask::<Letters>(&console.inside, &visitor.holder, &asked).await {
        Ok(found) => found,
        // What is wrong with the filter stands above it.
        Err(trouble) if trouble.status == 400 => {
            faults.extend(faults_of(&trouble));
            Letters::default()
        }
        Err(trouble) => return Err(trouble),
    };
    let filter = form.filter_query(&FILTER);
    let with = |more: &str| linked(PATH, &[&filter, more]);
    let stage = form.get("stage").unwrap_or("dead");
    let ticked: Vec<&str> = form.all("id").collect();
    let stages = STAGES.into_iter().chain(["any"]);
    Ok(LettersPage {
        frame: Frame::of(visitor, words.letters, "letters").asking(&asked, reached, SCOPE),
        stages: stages.map(|of| (of, words.stage(of), stage == of)).collect(),
        totals: totals(words, form, &found.totals),
        lines: found
            .letters
            .into_iter()
            .map(|letter| Line::of(words, letter, &ticked))
            .collect(),
        older: found.next.map(|id| with(&format!("before={}", segment(&id)))),
        newest: form.has("before").then(|| with("")),
        form: form.clone(),
        tried,
        notice,
        faults,
    })
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    if let Some(json) = page::as_json(&console, &visitor, &listed(&form)).await? {
        return Ok(json);
    }
    let page = page_of(&console, (&visitor, &reached), &form, None, (None, Vec::new())).await?;
    Ok(page::show(&page))
}

/// What an act would do to those that are ticked, or to all that match; or, confirmed, what it did.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let act = named(form.get("act"));
    let confirmed = form.get("step") == Some("confirm");
    let done = ask::<Did>(&console.inside, &visitor.holder, &asked(act, &form, !confirmed)).await;
    let (status, tried, said) = match done {
        Ok(did) if !confirmed => {
            let command = asked(act, &form, false);
            let tried = Tried {
                act,
                name: words.letter_act(act),
                did: did.did,
                curl: command.curl(&reached.origin, visitor.session.is_some()),
            };
            (StatusCode::OK, Some(tried), (None, Vec::new()))
        }
        done => {
            let (status, said) = said(done.map(|did| Notice::of(did.did)));
            (status, None, said)
        }
    };
    let page = page_of(&console, (&visitor, &reached), &form, tried, said).await?;
    Ok(page::show_as(status, &page))
}

type Place = Path<(String, String, String)>;

fn id((topic, partition, offset): &(String, String, String)) -> String {
    format!("{}/{}/{offset}", segment(topic), segment(partition))
}

fn one(id: &str) -> Ask {
    Ask::get(format!("/letters/{id}"))
}

async fn page_of_one(
    console: &Console,
    (visitor, reached): (&Visitor, &Reached),
    id: &str,
    form: &Form,
    (notice, faults): Said,
) -> Result<LetterPage, Trouble> {
    let words = visitor.look.words;
    let asked = one(id);
    let letter: Letter = ask(&console.inside, &visitor.holder, &asked).await?;
    let frame = Frame::of(visitor, format!("{}: {id}", words.letter), "letters");
    let payload = letter.payload.as_ref();
    let payload = payload.map(|json| serde_json::to_string_pretty(json).unwrap_or_default());
    let acts: &[&str] = match letter.stage.as_str() {
        "dead" if letter.replay_at.is_some() => &["cancel", "discard"],
        "dead" => &["replay", "discard"],
        "parked" => &["unpark", "discard"],
        "forged" => &["discard"],
        _ => &[],
    };
    let order = letter.campaign.as_ref().zip(letter.order.as_ref());
    Ok(LetterPage {
        frame: frame.asking(&asked, reached, SCOPE),
        path: format!("{PATH}/{id}"),
        word: words.stage(&letter.stage),
        badge: badge(&letter.stage),
        since: shown(letter.since),
        failed_at: shown(letter.failed_at),
        replay_at: letter.replay_at.map(shown).unwrap_or_default(),
        order: order
            .map(|(campaign, order)| format!("{}/orders/{}", page::sale_path(campaign), segment(order))),
        trail: format!("/console/audit?target={}", segment(&letter.id)),
        headers: letter.headers.clone(),
        payload: form
            .raw("payload")
            .map_or_else(|| payload.unwrap_or_default(), str::to_owned),
        base64: letter.payload_base64.clone().unwrap_or_default(),
        can_be_repaired: matches!(letter.stage.as_str(), "dead" | "parked"),
        acts: acts.iter().map(|act| (*act, words.letter_act(act))).collect(),
        reason: form.get("reason").unwrap_or_default().to_owned(),
        letter,
        notice,
        faults,
    })
}

/// One letter, with what it holds.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Path(place): Place,
) -> Result<Response, Trouble> {
    let id = id(&place);
    if let Some(json) = page::as_json(&console, &visitor, &one(&id)).await? {
        return Ok(json);
    }
    let of = (&visitor, &reached);
    let page = page_of_one(&console, of, &id, &Form::default(), (None, Vec::new())).await?;
    Ok(page::show(&page))
}

/// Saves another payload.
async fn repaired(console: &Console, visitor: &Visitor, id: &str, text: &str) -> Result<(), Trouble> {
    let words = visitor.look.words;
    let payload: Value = serde_json::from_str(text).map_err(|error| {
        let detail = format!("payload {}: {error}", words.payload_is_no_json);
        Trouble::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    })?;
    let asked = Ask::send(
        Method::POST,
        format!("/letters/{id}/repair"),
        json!({"payload": payload}),
    );
    ask::<Value>(&console.inside, &visitor.holder, &asked)
        .await
        .map(drop)
}

/// Repairs it, or does to it what a button says.
pub(super) async fn change(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path(place): Place,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let id = id(&place);
    let done = match form.get("act") {
        Some("repair") => {
            let text = form.raw("payload").unwrap_or_default();
            let done = repaired(&console, &visitor, &id, text).await;
            done.map(|()| words.payload_saved.to_owned())
        }
        act => {
            let mut named_one = form.clone();
            named_one.set("id", id.clone());
            let asked = asked(named(act), &named_one, false);
            let done = ask::<Did>(&console.inside, &visitor.holder, &asked).await;
            done.map(|did| did.did)
        }
    };
    let kept = if done.is_ok() { Form::default() } else { form };
    let (status, said) = said(done.map(Notice::of));
    let page = page_of_one(&console, (&visitor, &reached), &id, &kept, said).await?;
    Ok(page::show_as(status, &page))
}
