//! Asking the control plane's API, and what it refused. The console knows nothing that the API does not say, so that everything it
//! shows or does can be had by a program.

use std::ops::Deref;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::request::Builder;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admin::{Holder, Inside};
use crate::wire::Problem;

/// Bytes of an answer: a thousand SKUs, or a long script.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Where the API stands.
pub(super) const ROOT: &str = "/admin/v1";
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Part of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// What the control plane refused, as a page shows it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Trouble(Box<Told>);

impl Deref for Trouble {
    type Target = Told;

    fn deref(&self) -> &Told {
        &self.0
    }
}

/// A problem document, as far as it is shown.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Told {
    pub(super) status: u16,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) detail: String,
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) pointer: Option<String>,
    #[serde(default)]
    pub(super) errors: Vec<Fault>,
    /// Counters that have to be named.
    #[serde(default)]
    pub(super) accept: Vec<String>,
}

/// What is wrong at one place of a body.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Fault {
    pub(super) pointer: String,
    pub(super) detail: String,
    #[serde(default)]
    pub(super) hint: Option<String>,
}

impl From<Told> for Trouble {
    fn from(told: Told) -> Self {
        Self(Box::new(told))
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        serde_json::from_slice(&problem.to_json()).unwrap_or_else(|error| unread(&error))
    }
}

impl Trouble {
    /// Of the console itself.
    pub(super) fn new(status: StatusCode, reason: &str, detail: impl Into<String>) -> Self {
        Self::from(Told {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            detail: detail.into(),
            reason: reason.to_owned(),
            ..Told::default()
        })
    }

    /// The status that it goes out with.
    pub(super) fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Of each place that something is wrong with.
    pub(super) fn faults(&self) -> Vec<Fault> {
        match (&self.errors[..], &self.pointer) {
            ([], Some(pointer)) => vec![Fault {
                pointer: pointer.clone(),
                detail: self.detail.clone(),
                hint: None,
            }],
            (errors, _) => errors.to_vec(),
        }
    }
}

/// Something that is asked of the API.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Behind `/admin/v1`, with its query.
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// Sent behind the body, all of it as a line of JSON each; mostly none.
    pub(super) lines: Vec<Value>,
    pub(super) key: Option<String>,
}

impl Ask {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::bare(Method::GET, path)
    }

    /// Without a body.
    pub(super) fn bare(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: None,
            lines: Vec::new(),
            key: None,
        }
    }

    pub(super) fn send(method: Method, path: impl Into<String>, body: Value) -> Self {
        Self {
            body: Some(body),
            ..Self::bare(method, path)
        }
    }

    /// Method and path of the request.
    fn request(&self) -> Builder {
        let path = format!("{ROOT}{}", self.path);
        Request::builder().method(self.method.clone()).uri(path)
    }

    /// With lines behind its body.
    pub(super) fn with_lines(self, lines: Vec<Value>) -> Self {
        Self { lines, ..self }
    }

    /// Media type and text of what is sent; `None` where nothing is.
    fn content(&self) -> Option<(&'static str, String)> {
        let body = self.body.as_ref()?.to_string();
        Some(match self.lines.is_empty() {
            true => ("application/json", body),
            false => {
                let lines = self.lines.iter().map(|line| format!("\n{line}"));
                (
                    "application/x-ndjson",
                    lines.fold(body, |text, line| text + &line),
                )
            }
        })
    }

    /// Made once, however often it is sent.
    pub(super) fn keyed(mut self, key: Option<&str>) -> Self {
        self.key = key.map(str::to_owned);
        self
    }

    /// The same as a command that can be pasted. `origin` is where the control plane is reached.
    pub(super) fn curl(&self, origin: &str, with_token: bool) -> String {
        let mut command = "curl".to_owned();
        if self.method != Method::GET {
            command += &format!(" -X {}", self.method);
        }
        command += &format!(" {}", quoted(&format!("{origin}{ROOT}{}", self.path)));
        if with_token {
            command += " \\\n  -H \"Authorization: Bearer $RUSHGATE_ADMIN_TOKEN\"";
        }
        if let Some(key) = &self.key {
            command += &format!(" \\\n  -H {}", quoted(&format!("Idempotency-Key: {key}")));
        }
        if let Some((media_type, text)) = self.content() {
            // The other form would take the ends of lines away.
            let data = if self.lines.is_empty() {
                "-d"
            } else {
                "--data-binary"
            };
            command += &format!(
                " \\\n  -H 'Content-Type: {media_type}' \\\n  {data} {}",
                quoted(&text)
            );
        }
        command
    }
}

/// A word of a shell, whatever is in it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Asks, and reads what is answered.
pub(super) async fn ask<T: DeserializeOwned>(
    inside: &Inside,
    holder: &Holder,
    asked: &Ask,
) -> Result<T, Trouble> {
    Ok(ask_once(inside, holder, asked).await?.0)
}

/// The same, and whether it is the answer of a request that was made before under the same key.
pub(super) async fn ask_once<T: DeserializeOwned>(
    inside: &Inside,
    holder: &Holder,
    asked: &Ask,
) -> Result<(T, bool), Trouble> {
    let (bytes, is_replay) = answer(inside, holder, asked).await?;
    let read = serde_json::from_slice(&bytes).map_err(|error| unread(&error))?;
    Ok((read, is_replay))
}

/// Asks for something that is answered with nothing.
pub(super) async fn do_it(inside: &Inside, holder: &Holder, asked: &Ask) -> Result<(), Trouble> {
    answer(inside, holder, asked).await.map(drop)
}

/// Asks for a text outside of the API's own paths: health.
pub(super) async fn text(inside: &Inside, holder: &Holder, path: &str) -> String {
    let Ok(request) = Request::get(path).body(Body::empty()) else {
        return String::new();
    };
    let answer = inside.ask(holder, request).await;
    let bytes = to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await;
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

async fn answer(inside: &Inside, holder: &Holder, asked: &Ask) -> Result<(Bytes, bool), Trouble> {
    let mut request = asked.request();
    if let Some(key) = &asked.key {
        let value = HeaderValue::from_str(key).map_err(|error| unread(&error))?;
        request = request.header("idempotency-key", value);
    }
    let body = match asked.content() {
        None => Body::empty(),
        Some((media_type, text)) => {
            request = request.header(header::CONTENT_TYPE, media_type);
            Body::from(text)
        }
    };
    let request = request.body(body).map_err(|error| unread(&error))?;
    answered(inside.ask(holder, request).await).await
}

/// Sends what somebody else sends, as it comes, and reads what is answered. The headers that say what it is go with it.
pub(super) async fn pass_on<T: DeserializeOwned>(
    inside: &Inside,
    holder: &Holder,
    asked: &Ask,
    sent: Request,
) -> Result<T, Trouble> {
    let mut request = asked.request();
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        if let Some(value) = sent.headers().get(&name) {
            request = request.header(name, value);
        }
    }
    let request = request.body(sent.into_body()).map_err(|error| unread(&error))?;
    let (bytes, _) = answered(inside.ask(holder, request).await).await?;
    serde_json::from_slice(&bytes).map_err(|error| unread(&error))
}

/// An answer's bytes, and whether it is one of before.
async fn answered(answer: Response) -> Result<(Bytes, bool), Trouble> {
    let status = answer.status();
    let is_replay = answer.headers().contains_key("idempotent-replayed");
    let bytes = to_bytes(answer.into_body(), ANSWER_BYTES_MAX)
        .await
        .map_err(|error| unread(&error))?;
    match status.is_success() {
        true => Ok((bytes, is_replay)),
        false => Err(serde_json::from_slice(&bytes).unwrap_or_else(|error| unread(&error))),
    }
}

fn unread(error: &dyn std::fmt::Display) -> Trouble {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Trouble::new(
        status,
        "internal",
        format!("what the control plane answers cannot be read: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_can_be_pasted_whatever_is_in_it() {
        let ask =
            Ask::send(Method::POST, "/campaigns/a/pause", json!({"note": "it's late"})).keyed(Some("k1"));
        assert_eq!(
            ask.curl("https://gate", true),
            "curl -X POST 'https://gate/admin/v1/campaigns/a/pause' \\\n  -H \"Authorization: Bearer $RUSHGATE_ADMIN_TOKEN\" \\\n  \
             -H 'Idempotency-Key: k1' \\\n  -H 'Content-Type: application/json' \\\n  -d '{\"note\":\"it'\\''s late\"}'"
        );
        assert_eq!(
            Ask::get("/campaigns").curl("http://x", false),
            "curl 'http://x/admin/v1/campaigns'"
        );
        assert_eq!(segment("a/b c"), "a%2Fb%20c");
        let lines = Ask::send(Method::POST, "/x", json!({"a": 1})).with_lines(vec![json!({"b": 2})]);
        assert_eq!(
            lines.curl("http://x", false),
            "curl -X POST 'http://x/admin/v1/x' \\\n  -H 'Content-Type: application/x-ndjson' \\\n  --data-binary '{\"a\":1}\n{\"b\":2}'"
        );
    }

    #[test]
    fn a_problem_names_its_places() {
        let trouble: Trouble = serde_json::from_value(json!({
            "status": 422, "title": "Invalid", "detail": "no", "reason": "invalid", "pointer": "/id", "retryable": false,
        }))
        .expect("a problem");
        assert_eq!(trouble.faults()[0].pointer, "/id");
    }
}
