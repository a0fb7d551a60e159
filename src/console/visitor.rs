//! Who looks at a page: a log-in that the cookie names, or this machine where there is no key; and how pages look to them.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::Console;
use super::api::Trouble;
use super::form::Form;
use super::words::Words;
use crate::admin::{Holder, KeyDigest};
use crate::clock::now_ms;

/// The cookie that has the id of a log-in.
pub(super) const SESSION: &str = "rushgate-session";
/// Cookies of what a browser was switched to; they also name the query parameters that do it.
pub(super) const LANG: &str = "lang";
pub(super) const THEME: &str = "theme";
/// Where one logs in.
pub(super) const LOG_IN: &str = "/console/login";
/// The field of a form that shows which page it comes from.
pub(super) const PROOF: &str = "csrf";
/// The header of a request that has a file in the place of a form.
pub(super) const PROOF_HEADER: &str = "x-csrf";

/// Whoever looks at a page.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) holder: Holder,
    /// `None` where there are no keys.
    pub(super) session: Option<Session>,
    /// What each of its forms sends.
    pub(super) proof: String,
    pub(super) look: Look,
    /// The page's path and query, without what only switches how it looks.
    pub(super) here: String,
    /// As JSON, as the API says it.
    pub(super) as_json: bool,
}

/// How pages look to somebody.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) words: &'static Words,
    pub(super) theme: &'static str,
}

/// A log-in, by what is kept of it.
#[derive(Clone)]
pub(super) struct Session {
    /// Hash of its id.
    pub(super) id: String,
    pub(super) key: KeyDigest,
}

/// Where a console is reached, as its visitor does.
#[derive(Clone)]
pub(super) struct Reached {
    pub(super) origin: String,
    pub(super) is_secure: bool,
}

/// The hash that is kept of a session's id.
pub(super) fn session_hash(id: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(id))
}

/// What forms of a session prove themselves with: whoever does not know its id cannot make it.
pub(super) fn proof_of(id: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("form of {id}")))
}

pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter();
    let pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
    named.find(|(of, _)| *of == name).map(|(_, value)| value)
}

impl Look {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok());
        Self {
            words: Words::of(cookie(headers, LANG), accepted),
            theme: theme(cookie(headers, THEME).unwrap_or_default()),
        }
    }
}

pub(super) fn theme(named: &str) -> &'static str {
    match named {
        "light" => "light",
        "dark" => "dark",
        _ => "auto",
    }
}

impl Console {
    /// Where this request reached it.
    pub(super) fn reached(&self, request: &Request) -> Reached {
        let headers = request.headers();
        let text = |name: &str| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let is_secure = self.has_tls || text("x-forwarded-proto") == Some("https");
        let authority = request.uri().authority().map(|authority| authority.as_str());
        let host = authority.or_else(|| text("host")).unwrap_or("localhost");
        let scheme = if is_secure { "https" } else { "http" };
        Reached {
            origin: format!("{scheme}://{host}"),
            is_secure,
        }
    }

    /// Whoever the request's cookie names; `None` where that is nobody, or nobody any more.
    pub(super) async fn known(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<(Holder, Option<Session>, String)>, Trouble> {
        if let Some(holder) = self.inside.local() {
            return Ok(Some((holder, None, self.proof.clone())));
        }
        let Some(id) = cookie(headers, SESSION) else {
            return Ok(None);
        };
        let session = session_hash(id);
        let found = self.session(&session).await?;
        Ok(found.map(|(holder, key)| {
            let session = Session { id: session, key };
            (holder, Some(session), proof_of(id))
        }))
    }

    /// Whose log-in this is, asked anew: its key may be good no longer.
    pub(super) async fn session(&self, hash: &str) -> Result<Option<(Holder, KeyDigest)>, Trouble> {
        let kept = self.store.session_key(hash, now_ms()).await.map_err(|error| {
            let detail = format!("the database does not say who is logged in: {error}");
            Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
        })?;
        let Some(key) = kept.and_then(|key| digest_of(&key)) else {
            return Ok(None);
        };
        match self.inside.holder(&key).await {
            Ok(holder) => Ok(Some((holder, key))),
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => Ok(None),
            Err(problem) => Err(problem.into()),
        }
    }
}

fn digest_of(hex: &str) -> Option<KeyDigest> {
    HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}

/// The log-in, from where somebody goes on to a page.
pub(super) fn log_in_for(next: &str) -> String {
    let mut query = Form::default();
    query.set("next", next.to_owned());
    format!("{LOG_IN}?{}", query.query(|_| false))
}

/// A path of the console, and nothing else: where somebody is sent after the log-in.
pub(super) fn inner_path(path: &str) -> &str {
    let is_inner = path == "/console" || path.starts_with("/console/") || path.starts_with("/console?");
    let is_plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_inner && is_plain { path } else { "/console" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_out_of_the_console() {
        for inner in ["/console", "/console/sales/a?b=c", "/console?before=x"] {
            assert_eq!(inner_path(inner), inner);
        }
        for outer in [
            "",
            "//evil.example",
            "https://evil.example",
            "/consoles",
            "/console/\\evil",
            "/console/\n",
        ] {
            assert_eq!(inner_path(outer), "/console", "{outer}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers: HeaderMap = [(
            header::COOKIE,
            HeaderValue::from_static("a=1; lang=zh;theme=dark"),
        )]
        .into_iter()
        .collect();
        assert_eq!(
            (cookie(&headers, "lang"), cookie(&headers, "b")),
            (Some("zh"), None)
        );
        assert_eq!(Look::of(&headers).theme, "dark");
    }
}
