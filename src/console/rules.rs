//! The rules of a sale: what the active revision says in sentences, and a form of its rules, drawn from each module's JSON Schema. While
//! somebody types, the control plane is asked what it would be; saving makes a revision, which its own page activates.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value, json};

use super::Console;
use super::acts::{faults_of, new_key};
use super::api::{Ask, Fault, Trouble, ask, segment};
use super::figures::{Campaign, Module, Modules, Revision, Rule};
use super::form::Form;
use super::look;
use super::meaning::Meaning;
use super::page::{self, Frame};
use super::sale::Heading;
use super::schema::{Drawn, Node, Place, Schema};
use super::visitor::{Reached, Visitor};
use super::words::Words;

/// What a key needs to see them, and to save a revision.
const SCOPE: &str = "campaigns:read";
const SCOPE_TO_SAVE: &str = "campaigns:write";
/// Rules of a revision.
const RULES_MAX: usize = 8;

/// A rule in the form.
struct RuleForm {
    index: usize,
    title: String,
    summary: String,
    module: String,
    name: String,
    node: Node,
}

#[derive(Template)]
#[template(path = "rules.html")]
struct RulesPage {
    frame: Frame,
    heading: Heading,
    action: String,
    key: String,
    rules: Vec<RuleForm>,
    /// Modules that a rule can be added of: selector and title.
    modules: Vec<(String, String)>,
    can_add: bool,
    faults: Vec<Fault>,
    meaning: Meaning,
}

/// Reads the active revision of a campaign.
pub(super) fn asked(id: &str, revision: u32) -> Ask {
    Ask::get(format!("/campaigns/{}/revisions/{revision}", segment(id)))
}

async fn module(console: &Console, visitor: &Visitor, selector: &str) -> Result<Module, Trouble> {
    let asked = Ask::get(format!("/modules/{}", segment(selector)));
    ask(&console.inside, &visitor.holder, &asked).await
}

/// A rule as a request names it: pinned as it is.
pub(super) fn spec(rule: &Rule) -> Value {
    let mut spec = json!({"module": rule.digest, "params": rule.params});
    if rule.name != rule.module {
        spec["name"] = rule.name.clone().into();
    }
    spec
}

/// A sale's rules on their way to another revision.
struct Draft<'a> {
    console: &'a Console,
    visitor: &'a Visitor,
    reached: &'a Reached,
    campaign: Campaign,
    active: Revision,
    /// Body of the request: `rules`, and `shadow` as it is.
    body: Value,
}

impl<'a> Draft<'a> {
    async fn of(
        console: &'a Console,
        visitor: &'a Visitor,
        reached: &'a Reached,
        id: &str,
    ) -> Result<Self, Trouble> {
        let campaign: Campaign = ask(&console.inside, &visitor.holder, &look::campaign(id)).await?;
        let active: Revision = ask(&console.inside, &visitor.holder, &asked(id, campaign.revision)).await?;
        let mut body = json!({"rules": active.rules.iter().map(spec).collect::<Vec<_>>()});
        if !active.shadow.is_empty() {
            body["shadow"] = active.shadow.iter().map(spec).collect();
        }
        Ok(Self {
            console,
            visitor,
            reached,
            campaign,
            active,
            body,
        })
    }

    fn words(&self) -> &'static Words {
        self.visitor.look.words
    }

    /// Takes the rules that a form has in the place of the active ones.
    async fn read(&mut self, form: &Form) -> Result<(), Trouble> {
        let count: usize = form
            .get("/rules#")
            .and_then(|count| count.parse().ok())
            .unwrap_or(0);
        let mut rules = Vec::new();
        for index in 0..count.min(RULES_MAX + 1) {
            let at = format!("/rules/{index}");
            let selector = form.get(&format!("{at}/module")).unwrap_or_default();
            let module = module(self.console, self.visitor, selector).await?;
            let schema = Schema::new(&module.descriptor["params_schema"]);
            let params = schema.read(&Place::new(&format!("{at}/params")), form);
            let mut rule =
                json!({"module": selector, "params": params.unwrap_or_else(|| Value::Object(Map::new()))});
            if let Some(name) = form.get(&format!("{at}/name")).filter(|name| *name != module.id) {
                rule["name"] = name.into();
            }
            rules.push(rule);
        }
        self.body["rules"] = rules.into();
        Ok(())
    }

    /// What a button of the form does to it: a rule or an entry more, or one less. `false`: it was no such button.
    fn step(&mut self, form: &Form) -> bool {
        let step = form.get("step").unwrap_or_default();
        match step.split_once(':') {
            None if step == "add" => {
                let module = form.get("add-module").unwrap_or_default();
                if let Some(rules) = self.body["rules"].as_array_mut() {
                    rules.push(json!({"module": module, "params": {}}));
                }
            }
            Some(("more", pointer)) => more(&mut self.body, pointer),
            Some(("drop", pointer)) => {
                let Some((list, index)) = pointer.rsplit_once('/') else {
                    return false;
                };
                let list = self.body.pointer_mut(list).and_then(Value::as_array_mut);
                if let (Some(list), Ok(index)) = (list, index.parse::<usize>())
                    && index < list.len()
                {
                    list.remove(index);
                }
            }
            _ => return false,
        }
        true
    }

    fn request(&self, query: &str) -> Ask {
        let path = format!("/campaigns/{}/revisions{query}", segment(&self.campaign.id));
        Ask::send(Method::POST, path, self.body.clone())
    }

    /// Asks what it would be.
    async fn tried(&self) -> Result<Meaning, Trouble> {
        let tried: Revision = ask(
            &self.console.inside,
            &self.visitor.holder,
            &self.request("?dry_run=true"),
        )
        .await?;
        Ok(Meaning::of(self.words(), &tried))
    }

    async fn page(&self, key: &str, mut faults: Vec<Fault>, meaning: Meaning) -> Result<RulesPage, Trouble> {
        let words = self.words();
        let mut rules = Vec::new();
        for (index, rule) in self.body["rules"].as_array().into_iter().flatten().enumerate() {
            let selector = rule["module"].as_str().unwrap_or_default().to_owned();
            let module = module(self.console, self.visitor, &selector).await?;
            let place = Place::new(&format!("/rules/{index}/params"));
            let mut drawn = Drawn {
                words,
                faults: &mut faults,
            };
            let schema = Schema::new(&module.descriptor["params_schema"]);
            rules.push(RuleForm {
                index,
                title: format!("{} {}", module.id, module.version),
                summary: module.descriptor["summary"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                node: schema.node(&mut drawn, &place, "", Some(&rule["params"]), true),
                name: rule["name"].as_str().unwrap_or_default().to_owned(),
                module: selector,
            });
        }
        let all: Modules = ask(&self.console.inside, &self.visitor.holder, &Ask::get("/modules")).await?;
        let frame = Frame::of(
            self.visitor,
            format!("{}: {}", self.campaign.title, words.rules),
            "sales",
        );
        let asked = asked(&self.campaign.id, self.campaign.revision);
        Ok(RulesPage {
            frame: frame.asking(&asked, self.reached, SCOPE),
            heading: Heading::of(&self.campaign, "rules"),
            action: format!("{}/rules", page::sale_path(&self.campaign.id)),
            key: key.to_owned(),
            can_add: rules.len() < RULES_MAX,
            rules,
            modules: newest(all),
            faults,
            meaning,
        })
    }
}

/// One entry more in a list of the body, which may not be there yet.
fn more(body: &mut Value, pointer: &str) {
    match body.pointer_mut(pointer) {
        Some(Value::Array(list)) => list.push(json!({})),
        Some(other) => *other = json!([{}]),
        None => {
            if let Some((parent, key)) = pointer.rsplit_once('/')
                && let Some(Value::Object(parent)) = body.pointer_mut(parent)
            {
                parent.insert(key.replace("~1", "/").replace("~0", "~"), json!([{}]));
            }
        }
    }
}

/// Each module once, in the version that its id alone stands for.
fn newest(all: Modules) -> Vec<(String, String)> {
    let mut ids: Vec<(String, String)> = Vec::new();
    for module in all.modules {
        if !ids.iter().any(|(id, _)| *id == module.id) {
            let title = module.descriptor["title"].as_str().unwrap_or(&module.id);
            ids.push((module.id.clone(), format!("{}: {title}", module.id)));
        }
    }
    ids.sort();
    ids
}

/// The rules as they are, and the form.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let draft = Draft::of(&console, &visitor, &reached, &id).await?;
    if let Some(json) = page::as_json(&console, &visitor, &asked(&id, draft.campaign.revision)).await? {
        return Ok(json);
    }
    let mut meaning = Meaning::of(draft.words(), &draft.active);
    // It is the one that is in force.
    meaning.has_comparison = false;
    Ok(page::show(&draft.page(&new_key(), Vec::new(), meaning).await?))
}

/// The form as it is after a button, or what it would be; saved, it is a revision.
pub(super) async fn edit(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Extension(form): Extension<Form>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Trouble> {
    let mut draft = Draft::of(&console, &visitor, &reached, &id).await?;
    draft.read(&form).await?;
    let key = form.get("key").unwrap_or_default().to_owned();
    let is_stepped = draft.step(&form);
    if form.get("step") == Some("save") {
        return save(&draft, &key).await;
    }
    let tried = draft.tried().await;
    if headers.contains_key("hx-request") {
        let meaning = tried.unwrap_or_else(|trouble| Meaning::wrong(draft.words(), faults_of(&trouble)));
        return Ok(page::show(&meaning));
    }
    let (faults, meaning) = match tried {
        Ok(meaning) => (Vec::new(), meaning),
        // An entry that was added just now is empty, which nobody has to be told.
        Err(_) if is_stepped => (Vec::new(), Meaning::wrong(draft.words(), Vec::new())),
        Err(trouble) => (faults_of(&trouble), Meaning::wrong(draft.words(), Vec::new())),
    };
    Ok(page::show(&draft.page(&key, faults, meaning).await?))
}

/// Stores it, once per form, and goes to its page, where it is activated.
async fn save(draft: &Draft<'_>, key: &str) -> Result<Response, Trouble> {
    let saved = draft.console.saved.of(draft.visitor.holder.name(), key);
    // A second click waits for the first one's answer.
    let mut saved = saved.lock().await;
    let number = match *saved {
        Some(number) => Ok(number),
        None => {
            let made =
                ask::<Revision>(&draft.console.inside, &draft.visitor.holder, &draft.request("")).await;
            made.map(|made| made.revision.unwrap_or(draft.campaign.revision))
        }
    };
    match number {
        Ok(number) => {
            *saved = Some(number);
            let to = format!("{}/revisions/{number}", page::sale_path(&draft.campaign.id));
            Ok(Redirect::to(&to).into_response())
        }
        Err(trouble) => {
            let meaning = Meaning::wrong(draft.words(), Vec::new());
            let mut page = draft.page(key, faults_of(&trouble), meaning).await?;
            page.frame.scope = SCOPE_TO_SAVE;
            let status = trouble.status_code();
            Ok(page::show_as(status, &page))
        }
    }
}
