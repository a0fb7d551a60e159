//! What every page has around it, and how it goes out: under a policy that lets nothing run but the console's own scripts.

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::Console;
use super::api::{Ask, Fault, Trouble, ask, segment};
use super::assets;
use super::visitor::{Look, Reached, Visitor};
use super::words::{Words, fill};
use crate::access::{Scope, Scopes};

/// What a page may load, run, and be in.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// How htmx behaves: no styles in the page, nothing run from attributes, streams that come back within two seconds.
const HTMX: &str = r#"{"includeIndicatorCSS":false,"defaultTimeout":10000,"sse":{"reconnectDelay":500,"reconnectMaxDelay":2000,"connectTimeout":4000}}"#;

/// Around a page.
pub(super) struct Frame {
    pub(super) t: &'static Words,
    pub(super) theme: &'static str,
    pub(super) assets: &'static str,
    pub(super) htmx: &'static str,
    pub(super) title: String,
    /// The entry of the menu that it is under.
    pub(super) entry: &'static str,
    /// Who looks at it; empty before the log-in.
    pub(super) holder: String,
    pub(super) can_log_out: bool,
    /// What whoever looks at it may do.
    pub(super) scopes: Scopes,
    pub(super) proof: String,
    /// Its path and query, for links that switch how it looks.
    pub(super) here: String,
    /// What a key needs for it.
    pub(super) scope: &'static str,
    /// What makes it, as a command; empty where nothing does.
    pub(super) curl: String,
}

impl Frame {
    pub(super) fn new(look: Look, title: impl Into<String>) -> Self {
        Self {
            t: look.words,
            theme: look.theme,
            assets: assets::folder(),
            htmx: HTMX,
            title: title.into(),
            entry: "",
            holder: String::new(),
            can_log_out: false,
            scopes: Scopes::default(),
            proof: String::new(),
            here: "/console".to_owned(),
            scope: "",
            curl: String::new(),
        }
    }

    /// Around a page of somebody.
    pub(super) fn of(visitor: &Visitor, title: impl Into<String>, entry: &'static str) -> Self {
        Self {
            entry,
            holder: visitor.holder.name().to_owned(),
            can_log_out: visitor.session.is_some(),
            scopes: visitor.holder.scopes().clone(),
            proof: visitor.proof.clone(),
            here: visitor.here.clone(),
            ..Self::new(visitor.look, title)
        }
    }

    /// With what it asks of the API.
    pub(super) fn asking(mut self, asked: &Ask, reached: &Reached, scope: &'static str) -> Self {
        self.curl = asked.curl(&reached.origin, self.can_log_out);
        self.scope = scope;
        self
    }

    /// Whether whoever looks at it has this scope: a button that would be refused is not shown.
    pub(super) fn may(&self, scope: &str) -> bool {
        Scope::named(scope).is_some_and(|scope| self.scopes.has(scope))
    }

    /// Why a button is not there, in words.
    pub(super) fn lacks(&self, scope: &str) -> String {
        fill(self.t.lacks_scope, &[("scope", &scope)])
    }

    /// What a key needs, in words.
    pub(super) fn needs(&self) -> String {
        fill(self.t.needs_scope, &[("scope", &self.scope)])
    }

    /// A link to the same page with one more parameter.
    pub(super) fn with(&self, parameter: &str) -> String {
        let sign = if self.here.contains('?') { '&' } else { '?' };
        format!("{}{sign}{parameter}", self.here)
    }
}

/// The page of something that went wrong.
#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'a> {
    frame: Frame,
    trouble: &'a Trouble,
}

/// Left to whoever knows the visitor, who makes the page.
impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let status = self.status_code();
        let mut answer = status.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

pub(super) fn trouble(look: Look, visitor: Option<&Visitor>, trouble: &Trouble) -> Response {
    let frame = match visitor {
        Some(visitor) => Frame::of(visitor, trouble.title.clone(), ""),
        None => Frame::new(look, trouble.title.clone()),
    };
    let status = trouble.status_code();
    show_as(status, &TroublePage { frame, trouble })
}

/// The path of a sale's page, which those of its other pages begin with.
pub(super) fn sale_path(id: &str) -> String {
    format!("/console/sales/{}", segment(id))
}

/// Of a page that has these faults on it.
pub(super) fn status(faults: &[Fault]) -> StatusCode {
    match faults.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// A page as it goes out.
pub(super) fn show(page: &impl Template) -> Response {
    show_as(StatusCode::OK, page)
}

pub(super) fn show_as(status: StatusCode, page: &impl Template) -> Response {
    let html = match page.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "a page of the console cannot be written");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut answer = (status, Html(html)).into_response();
    guard_headers(&mut answer);
    answer
}

/// What goes with every page and every part of one.
pub(super) fn guard_headers(answer: &mut Response) {
    let headers = answer.headers_mut();
    let set: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "cookie, accept-language"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// What the API says, where a page is asked for that.
pub(super) async fn as_json(
    console: &Console,
    visitor: &Visitor,
    asked: &Ask,
) -> Result<Option<Response>, Trouble> {
    if !visitor.as_json {
        return Ok(None);
    }
    let value = ask(&console.inside, &visitor.holder, asked).await?;
    Ok(Some(json(&value)))
}

/// A value as it goes out, for people to read, too.
pub(super) fn json(value: &serde_json::Value) -> Response {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut answer = ([(header::CONTENT_TYPE, "application/json")], text).into_response();
    guard_headers(&mut answer);
    answer
}
