//! Pages of the buttons of a running sale: what it will do, in a sentence and as a command; then it is confirmed, and done once.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::Console;
use super::act::{Act, Field, Kind, place};
use super::api::{Ask, Fault, Trouble, ask as ask_api, ask_once, ask_tagged};
use super::figures::{Campaign, Did};
use super::form::Form;
use super::look;
use super::page::{self, Frame};
use super::sale::{Heading, Notice, with_notice};
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill};

/// What a form asks for: to be tried, or to be done.
const STEP: &str = "step";
const CONFIRM: &str = "confirm";
/// The key under which it is done once.
const KEY: &str = "key";
/// The tag of the sale that its form was filled in for.
const TAG: &str = "tag";

/// What it would do, or what is wrong with it.
#[derive(Template)]
#[template(path = "act_preview.html")]
struct Preview {
    t: &'static Words,
    did: String,
    sentences: Vec<String>,
    /// Counters to be accepted: id, words, and whether it is.
    accept: Vec<(String, String, bool)>,
    faults: Vec<Fault>,
    curl: String,
}

#[derive(Template)]
#[template(path = "act.html")]
struct ActPage {
    frame: Frame,
    heading: Heading,
    name: &'static str,
    does: &'static str,
    is_dangerous: bool,
    can_be_tried: bool,
    action: String,
    key: String,
    /// Empty where it does not matter how the sale is.
    tag: String,
    /// Which scheduled change it is about.
    change: String,
    fields: Vec<Field>,
    preview: Preview,
}

/// A form in the making.
struct Asked<'a> {
    act: Act,
    campaign: Campaign,
    /// Of the sale by now.
    tag: Option<String>,
    visitor: &'a Visitor,
    reached: &'a Reached,
    form: Form,
}

impl<'a> Asked<'a> {
    async fn of(
        console: &Console,
        visitor: &'a Visitor,
        reached: &'a Reached,
        (id, act): &(String, String),
        form: Form,
    ) -> Result<Self, Trouble> {
        let known = || {
            Trouble::new(
                StatusCode::NOT_FOUND,
                "not-found",
                format!("there is no button {act:?}"),
            )
        };
        let act = Act::named(act).ok_or_else(known)?;
        let (campaign, tag) = ask_tagged(&console.inside, &visitor.holder, &look::campaign(id)).await?;
        Ok(Self {
            act,
            campaign,
            tag,
            visitor,
            reached,
            form,
        })
    }

    fn words(&self) -> &'static Words {
        self.visitor.look.words
    }

    fn request(&self) -> Ask {
        let key = self.form.get(KEY);
        let asked = self.act.ask(&self.campaign, &self.form, false);
        asked.keyed(key).seen(self.seen())
    }

    /// The tag that the form was made for, where it says how the sale is to be and not what to do.
    fn seen(&self) -> Option<&str> {
        self.form.get(TAG).filter(|_| self.act.is_of_what_was_seen())
    }

    /// Asks what it would do.
    async fn tried(&self, console: &Console) -> Result<Did, Trouble> {
        if !self.act.can_be_tried() {
            return Ok(Did::default());
        }
        let tried = self.act.ask(&self.campaign, &self.form, true).seen(self.seen());
        ask_api(&console.inside, &self.visitor.holder, &tried).await
    }

    fn preview(&self, did: Did, faults: Vec<Fault>) -> Preview {
        let words = self.words();
        let accepted: Vec<&str> = self.form.all("accept").collect();
        let line = |id: String| {
            let is_accepted = accepted.contains(&id.as_str());
            (id.clone(), fill(words.accept_change, &[("id", &id)]), is_accepted)
        };
        Preview {
            t: words,
            did: did.did,
            sentences: did.changes.into_iter().map(|change| change.sentence).collect(),
            accept: did.accept.into_iter().map(line).collect(),
            faults,
            curl: self
                .request()
                .curl(&self.reached.origin, self.visitor.session.is_some()),
        }
    }

    fn page(&self, status: StatusCode, fields: Vec<Field>, preview: Preview) -> Response {
        let (name, does) = self.act.words(self.words());
        let heading = Heading::of(&self.campaign, "");
        let action = self.visitor.here.split('?').next().unwrap_or_default().to_owned();
        let frame = Frame::of(self.visitor, name, "sales");
        page::show_as(
            status,
            &ActPage {
                frame: Frame {
                    scope: self.act.scope(),
                    ..frame
                },
                heading,
                name,
                does,
                is_dangerous: self.act.is_dangerous(),
                can_be_tried: self.act.can_be_tried(),
                action,
                key: self.form.get(KEY).unwrap_or_default().to_owned(),
                tag: self.seen().unwrap_or_default().to_owned(),
                change: self.form.get("change").unwrap_or_default().to_owned(),
                fields,
                preview,
            },
        )
    }

    fn fields(&self) -> Vec<Field> {
        self.act.fields(self.words(), &self.campaign, &self.form)
    }

    /// The form with what is wrong at its fields. Only a request of which nobody knows what became of it keeps its key.
    fn refused(mut self, trouble: &Trouble) -> Response {
        if trouble.status < 500 {
            self.form.set(KEY, new_key());
        }
        if trouble.reason == "precondition-failed" {
            // It shows the sale as it is by now: what was filled in for another one would undo what somebody else has done.
            self.form.forget(&Act::TIMES);
            if let Some(tag) = self.tag.clone() {
                self.form.set(TAG, tag);
            }
        }
        let mut fields = self.fields();
        let mut left = place(&mut fields, trouble);
        if trouble.faults().is_empty() {
            left.push(Fault {
                detail: trouble.detail.clone(),
                ..Fault::default()
            });
        }
        let accept = Did {
            accept: trouble.accept.clone(),
            ..Did::default()
        };
        let preview = self.preview(accept, left);
        let status = trouble.status_code();
        self.page(status, fields, preview)
    }
}

/// One for each form that is shown.
pub(super) fn new_key() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// The form.
pub(super) async fn ask(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(mut query): Extension<Form>,
    Path(place): Path<(String, String)>,
) -> Result<Response, Trouble> {
    query.set(KEY, new_key());
    let mut asked = Asked::of(&console, &visitor, &reached, &place, query).await?;
    if let Some(tag) = asked.tag.clone() {
        asked.form.set(TAG, tag);
    }
    let preview = asked.preview(Did::default(), Vec::new());
    Ok(asked.page(StatusCode::OK, asked.fields(), preview))
}

/// What it would do, or, confirmed, what it did.
pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path(place): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let asked = Asked::of(&console, &visitor, &reached, &place, form).await?;
    if asked.form.get(STEP) == Some(CONFIRM) {
        return confirmed(&console, asked).await;
    }
    let tried = asked.tried(&console).await;
    // A script asks for this part alone, while its user types.
    if headers.contains_key("hx-request") {
        let preview = match tried {
            Ok(did) => asked.preview(did, Vec::new()),
            Err(trouble) => asked.preview(Did::default(), faults_of(&trouble)),
        };
        return Ok(page::show(&preview));
    }
    Ok(match tried {
        Ok(did) => asked.page(StatusCode::OK, asked.fields(), asked.preview(did, Vec::new())),
        Err(trouble) => asked.refused(&trouble),
    })
}

/// What is wrong, for a page that does not show it at fields.
pub(super) fn faults_of(trouble: &Trouble) -> Vec<Fault> {
    match trouble.faults() {
        none if none.is_empty() => vec![Fault {
            detail: trouble.detail.clone(),
            ..Fault::default()
        }],
        faults => faults,
    }
}

/// What a page that is shown again says of what was asked: what was done, or what is wrong.
pub(super) type Said = (Option<Notice>, Vec<Fault>);

/// The same, and the status of that page.
pub(super) fn said(done: Result<Notice, Trouble>) -> (StatusCode, Said) {
    match done {
        Ok(notice) => (StatusCode::OK, (Some(notice), Vec::new())),
        Err(trouble) => (trouble.status_code(), (None, faults_of(&trouble))),
    }
}

async fn confirmed(console: &Console, asked: Asked<'_>) -> Result<Response, Trouble> {
    if let Some(fault) = asked.act.check(asked.words(), &asked.campaign, &asked.form) {
        let mut fields = asked.fields();
        if let Some(field) = fields.first_mut() {
            field.faults.push(fault);
        }
        let preview = asked.preview(Did::default(), Vec::new());
        return Ok(asked.page(StatusCode::UNPROCESSABLE_ENTITY, fields, preview));
    }
    let done = ask_once::<Did>(&console.inside, &asked.visitor.holder, &asked.request()).await;
    let (did, is_replay) = match done {
        Ok((did, is_replay)) => (did.did, is_replay),
        Err(trouble) => return Ok(asked.refused(&trouble)),
    };
    let did = if did.is_empty() {
        asked.words().done.to_owned()
    } else {
        did
    };
    let notice = Notice { did, is_replay };
    console
        .looks
        .forget(&asked.visitor.holder, &asked.campaign.id)
        .await;
    with_notice(
        console,
        asked.visitor,
        asked.reached,
        &asked.campaign.id,
        Some(notice),
    )
    .await
}
