//! Keys of the control plane: who has one, what each may do, when it was used last; one more, which is shown once, or one that is nobody's any more.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::Console;
use super::act::{Field, Kind, number, place};
use super::acts::{Said, faults_of, new_key, said};
use super::api::{Ask, Fault, Trouble, ask, do_it, segment};
use super::figures::{Key, Keys, MadeKey, Merchants};
use super::form::{Form, linked};
use super::page::{self, Frame};
use super::sale::{Notice, shown};
use super::visitor::{Reached, Visitor};
use super::words::{Words, fill};
use crate::access::{Role, Scope, Scopes};

const SCOPE: &str = "keys";
const PATH: &str = "/console/keys";
/// Keys of a page.
const PAGE: u32 = 50;
/// Merchants that are offered by name; with more of them the name is typed.
const MERCHANTS_MAX: u32 = 100;
/// The field of a form that says which one it is.
const KEY: &str = "key";

impl Words {
    fn key_state(&self, code: &str) -> (&'static str, &'static str) {
        match code {
            "good" => ("ok", self.key_good),
            "expired" => ("degraded", self.key_expired),
            _ => ("revoked", self.key_revoked),
        }
    }
}

/// A key's line.
struct Line {
    id: String,
    name: String,
    person: String,
    merchant: String,
    scopes: String,
    badge: &'static str,
    word: &'static str,
    /// When it was revoked; empty where it was not.
    revoked: String,
    used: String,
    expires: String,
    made: String,
    /// How it is revoked, as a command; `None` where it is.
    revoke: Option<String>,
}

impl Line {
    fn of(words: &'static Words, key: Key, command: impl Fn(&Ask) -> String) -> Self {
        let (badge, word) = words.key_state(&key.state);
        Self {
            badge,
            word,
            merchant: key.merchant.unwrap_or_else(|| words.all_merchants.to_owned()),
            scopes: match key.scopes.len() == Scope::ALL.len() {
                true => words.all_scopes.to_owned(),
                false => key.scopes.join(", "),
            },
            revoke: key.revoked_at.is_none().then(|| command(&revoke(&key.id))),
            revoked: key.revoked_at.map(shown).unwrap_or_default(),
            used: key.last_used_at.map_or_else(|| words.never.to_owned(), shown),
            expires: key.expires_at.map_or_else(|| words.never.to_owned(), shown),
            made: format!(
                "{} {}",
                shown(key.created_at),
                fill(words.by, &[("who", &key.created_by)])
            ),
            id: key.id,
            name: key.name,
            person: key.person,
        }
    }
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    lines: Vec<Line>,
    older: Option<String>,
    newest: Option<String>,
    notice: Option<Notice>,
    faults: Vec<Fault>,
}

/// A scope that a key can be given.
struct Choice {
    code: &'static str,
    text: &'static str,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "key_new.html")]
struct NewPage {
    frame: Frame,
    key: String,
    fields: Vec<Field>,
    scopes: Vec<Choice>,
    /// What is wrong with the scopes.
    scope_faults: Vec<Fault>,
    command: Command,
}

/// What the form is going to ask, as a command; goes along with what is typed.
#[derive(Template)]
#[template(path = "key_command.html")]
struct Command {
    t: &'static Words,
    faults: Vec<Fault>,
    curl: String,
}

#[derive(Template)]
#[template(path = "key_made.html")]
struct MadePage {
    frame: Frame,
    name: String,
    key: String,
    curl: String,
}

fn revoke(id: &str) -> Ask {
    Ask::bare(Method::DELETE, format!("/keys/{}", segment(id)))
}

fn listed(form: &Form) -> Ask {
    Ask::get(linked("/keys", &[&format!("limit={PAGE}"), &form.before()]))
}

async fn page_of(
    console: &Console,
    (visitor, reached): (&Visitor, &Reached),
    form: &Form,
    (notice, faults): Said,
) -> Result<KeysPage, Trouble> {
    let words = visitor.look.words;
    let asked = listed(form);
    let found: Keys = ask(&console.inside, &visitor.holder, &asked).await?;
    let command = |asked: &Ask| asked.curl(&reached.origin, visitor.session.is_some());
    let frame = Frame::of(visitor, words.keys, "keys");
    Ok(KeysPage {
        frame: frame.asking(&asked, reached, SCOPE),
        lines: found
            .keys
            .into_iter()
            .map(|key| Line::of(words, key, command))
            .collect(),
        older: found
            .next
            .map(|next| linked(PATH, &[&format!("before={}", segment(&next))])),
        newest: form.has("before").then(|| PATH.to_owned()),
        notice,
        faults,
    })
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(query): Extension<Form>,
) -> Result<Response, Trouble> {
    if let Some(json) = page::as_json(&console, &visitor, &listed(&query)).await? {
        return Ok(json);
    }
    let page = page_of(&console, (&visitor, &reached), &query, (None, Vec::new())).await?;
    Ok(page::show(&page))
}

/// Revokes one.
pub(super) async fn change(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let id = form.get("id").unwrap_or_default();
    let done = do_it(&console.inside, &visitor.holder, &revoke(id)).await;
    let (status, said) = said(done.map(|()| Notice::of(fill(words.key_was_revoked, &[("id", &id)]))));
    let page = page_of(&console, (&visitor, &reached), &Form::default(), said).await?;
    Ok(page::show_as(status, &page))
}

/// Roles that somebody with these scopes can give.
fn roles(held: &Scopes) -> impl Iterator<Item = Role> {
    let can_be_given = |role: &Role| role.scopes().beyond(held).is_empty();
    Role::ALL.into_iter().filter(can_be_given)
}

/// Merchants that are offered; `None` where there are more.
async fn merchants(console: &Console, visitor: &Visitor) -> Result<Option<Vec<String>>, Trouble> {
    let asked = Ask::get(format!("/merchants?limit={MERCHANTS_MAX}"));
    let found: Merchants = ask(&console.inside, &visitor.holder, &asked).await?;
    let all = found.next.is_none();
    Ok(all.then(|| found.merchants.into_iter().map(|merchant| merchant.id).collect()))
}

/// A form in the making.
struct New<'a> {
    console: &'a Console,
    visitor: &'a Visitor,
    reached: &'a Reached,
    form: &'a Form,
}

impl New<'_> {
    fn words(&self) -> &'static Words {
        self.visitor.look.words
    }

    async fn fields(&self) -> Result<Vec<Field>, Trouble> {
        let words = self.words();
        let field = |name: &'static str, pointer, label: &str, kind| Field {
            name,
            pointer,
            label: label.to_owned(),
            kind,
            value: self.form.raw(name).unwrap_or_default().to_owned(),
            is_required: matches!(name, "name" | "person"),
            faults: Vec::new(),
        };
        let mut fields = vec![
            field("name", "/name", words.key_name, Kind::Text),
            field("person", "/person", words.key_person, Kind::Text),
        ];
        if self.visitor.holder.merchant().is_none() {
            let kind = match merchants(self.console, self.visitor).await? {
                None => Kind::Text,
                Some(ids) => {
                    let all = (String::new(), words.all_merchants.to_owned());
                    let named = ids.into_iter().map(|id| (id.clone(), id));
                    Kind::Choice([all].into_iter().chain(named).collect())
                }
            };
            fields.push(field("merchant", "/merchant", words.merchant, kind));
        }
        fields.push(field("days", "/expires_in_days", words.key_days, Kind::Number));
        let none = (String::new(), words.scopes_below.to_owned());
        let roles = roles(self.visitor.holder.scopes())
            .map(|role| (role.as_str().to_owned(), role.as_str().to_owned()));
        let roles = Kind::Choice([none].into_iter().chain(roles).collect());
        fields.push(field("role", "/role", words.role, roles));
        Ok(fields)
    }

    fn ask(&self) -> Ask {
        let mut body: Map<String, Value> = self.form.members(&["merchant", "role"]);
        for name in ["name", "person"] {
            let said = self.form.get(name).unwrap_or_default();
            body.insert(name.to_owned(), said.into());
        }
        let scopes: Vec<&str> = self.form.all("scope").collect();
        if !scopes.is_empty() {
            body.insert("scopes".to_owned(), json!(scopes));
        }
        if let Some(days) = number(self.form.get("days")) {
            body.insert("expires_in_days".to_owned(), days);
        }
        Ask::send(Method::POST, "/keys", Value::Object(body))
    }

    fn command(&self, faults: Vec<Fault>) -> Command {
        let with_token = self.visitor.session.is_some();
        Command {
            t: self.words(),
            faults,
            curl: self.ask().curl(&self.reached.origin, with_token),
        }
    }

    /// The form, with what is wrong at its fields.
    async fn page(&self, key: String, refused: Option<&Trouble>) -> Result<NewPage, Trouble> {
        let words = self.words();
        let mut fields = self.fields().await?;
        let left = refused.map_or_else(Vec::new, |trouble| match trouble.faults().is_empty() {
            true => faults_of(trouble),
            false => place(&mut fields, trouble),
        });
        let is_of_scopes = |fault: &Fault| fault.pointer.starts_with("/scopes");
        let (scope_faults, left) = left.into_iter().partition(is_of_scopes);
        let chosen: Vec<&str> = self.form.all("scope").collect();
        let held = self.visitor.holder.scopes().iter();
        let scopes = held.map(|scope| Choice {
            code: scope.as_str(),
            text: words.scope(scope),
            is_chosen: chosen.contains(&scope.as_str()),
        });
        let frame = Frame::of(self.visitor, words.make_key, "keys");
        Ok(NewPage {
            frame: Frame {
                scope: SCOPE,
                ..frame
            },
            key,
            fields,
            scopes: scopes.collect(),
            scope_faults,
            command: self.command(left),
        })
    }
}

/// The form of a new one.
pub(super) async fn ask_for_new(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
) -> Result<Response, Trouble> {
    let (console, visitor) = (&*console, &visitor);
    let new = New {
        console,
        visitor,
        reached: &reached,
        form: &form,
    };
    Ok(page::show(&new.page(new_key(), None).await?))
}

/// Makes it, and shows it this once.
pub(super) async fn make(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let (console, visitor) = (&*console, &visitor);
    let new = New {
        console,
        visitor,
        reached: &reached,
        form: &form,
    };
    // A script asks for this part alone, while its user types.
    if headers.contains_key("hx-request") {
        return Ok(page::show(&new.command(Vec::new())));
    }
    let words = new.words();
    let made = console
        .made
        .of(visitor.holder.name(), form.get(KEY).unwrap_or_default());
    let mut made = made.lock().await;
    if let Some(id) = &*made {
        let fault = Fault {
            detail: fill(words.key_made_before, &[("id", id)]),
            ..Fault::default()
        };
        let page = page_of(
            console,
            (visitor, &reached),
            &Form::default(),
            (None, vec![fault]),
        )
        .await?;
        return Ok(page::show_as(StatusCode::CONFLICT, &page));
    }
    let key: MadeKey = match ask(&console.inside, &visitor.holder, &new.ask()).await {
        Ok(key) => key,
        Err(trouble) => {
            let page = new.page(new_key(), Some(&trouble)).await?;
            return Ok(page::show_as(trouble.status_code(), &page));
        }
    };
    *made = Some(key.id);
    let frame = Frame::of(visitor, words.key_made, "keys");
    Ok(page::show(&MadePage {
        frame: Frame {
            scope: SCOPE,
            ..frame
        },
        name: key.name,
        key: key.key,
        curl: new.command(Vec::new()).curl,
    }))
}
