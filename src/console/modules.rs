//! Rule modules that there are: what each says of itself, in all its versions.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use serde_json::Value;

use super::Console;
use super::api::{Ask, Trouble, ask, segment};
use super::figures::{Module, Modules};
use super::page::{self, Frame};
use super::sale::shown;
use super::visitor::{Reached, Visitor};

const SCOPE: &str = "campaigns:read";

/// A module's line.
struct Line {
    href: String,
    id: String,
    version: String,
    title: String,
    uploaded: String,
}

#[derive(Template)]
#[template(path = "modules.html")]
struct ModulesPage {
    frame: Frame,
    lines: Vec<Line>,
}

#[derive(Template)]
#[template(path = "module.html")]
struct ModulePage {
    frame: Frame,
    id: String,
    version: String,
    title: String,
    summary: String,
    digest: String,
    uploaded: String,
    /// Code, words, and whether trying again can help.
    reasons: Vec<(String, String, bool)>,
    attributes: Vec<(String, bool)>,
    examples: usize,
    has_precheck: bool,
    schema: String,
    /// Of its other versions: name and link.
    others: Vec<(String, String)>,
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_default().to_owned()
}

fn items<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of[name].as_array().into_iter().flatten()
}

/// `user`, or what is named: `claim:tier`.
fn attribute(of: &Value) -> String {
    match &of["attribute"] {
        Value::String(name) => name.clone(),
        Value::Object(named) => named
            .iter()
            .map(|(kind, name)| format!("{kind}:{}", name.as_str().unwrap_or_default()))
            .collect(),
        other => other.to_string(),
    }
}

fn path(module: &Module) -> String {
    let selector = format!("{}@{}", module.id, module.version);
    format!("/console/modules/{}", segment(&selector))
}

async fn all(console: &Console, visitor: &Visitor) -> Result<Vec<Module>, Trouble> {
    let found: Modules = ask(&console.inside, &visitor.holder, &Ask::get("/modules")).await?;
    Ok(found.modules)
}

pub(super) async fn list(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let asked = Ask::get("/modules");
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let modules = all(&console, &visitor).await?;
    let frame = Frame::of(&visitor, words.modules, "modules");
    let line = |module: Module| Line {
        href: path(&module),
        title: text(&module.descriptor, "title"),
        uploaded: shown(module.uploaded_at),
        id: module.id,
        version: module.version,
    };
    Ok(page::show(&ModulesPage {
        frame: frame.asking(&asked, &reached, SCOPE),
        lines: modules.into_iter().map(line).collect(),
    }))
}

/// One module.
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(reached): Extension<Reached>,
    Path(selector): Path<String>,
) -> Result<Response, Trouble> {
    let words = visitor.look.words;
    let asked = Ask::get(format!("/modules/{}", segment(&selector)));
    if let Some(json) = page::as_json(&console, &visitor, &asked).await? {
        return Ok(json);
    }
    let module: Module = ask(&console.inside, &visitor.holder, &asked).await?;
    let others = all(&console, &visitor).await?;
    let others = others
        .iter()
        .filter(|other| other.id == module.id && other.digest != module.digest)
        .map(|other| (other.version.clone(), path(other)));
    let of = &module.descriptor;
    let reason = |reason: &Value| {
        let retryable = reason["retryable"].as_bool().unwrap_or_default();
        (text(reason, "code"), text(reason, "title"), retryable)
    };
    let needed = |one: &Value| (attribute(one), one["required"].as_bool().unwrap_or_default());
    let frame = Frame::of(&visitor, format!("{}: {}", words.modules, module.id), "modules");
    Ok(page::show(&ModulePage {
        frame: frame.asking(&asked, &reached, SCOPE),
        title: text(of, "title"),
        summary: text(of, "summary"),
        uploaded: shown(module.uploaded_at),
        reasons: items(of, "reasons").map(reason).collect(),
        attributes: items(of, "attributes").map(needed).collect(),
        examples: items(of, "examples").count(),
        has_precheck: of["precheck"].as_bool().unwrap_or_default(),
        schema: serde_json::to_string_pretty(&of["params_schema"]).unwrap_or_default(),
        others: others.collect(),
        id: module.id,
        version: module.version,
        digest: module.digest,
    }))
}
