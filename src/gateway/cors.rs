//! Pages of other origins (CORS): which of them may read what is answered. Browsers ask for it and keep to it; it is no
//! authorization, and whatever comes of a request is the same without it.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize, Serializer};

use super::{Answer, Content, Gateway, Orders, routes};
use crate::campaign::Origins;
use crate::serving::Page;
use crate::wire::Unfit;

/// Headers that a page may send besides those that every page may.
const ALLOW_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, content-type, idempotency-key, prefer, last-event-id");
/// On every path: another method is answered by a problem, which the page can read.
const ALLOW_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");
/// Headers of answers that a page may read besides those that every page may.
const EXPOSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "location, retry-after, idempotent-replayed, preference-applied, allow, accept-encoding, www-authenticate",
);
const ANY: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const BY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
/// Chromium remembers a preflight for two hours at most, Firefox for a day.
const MAX_AGE_MAX: u32 = 86_400;

/// What holds for campaigns that say nothing else, and for paths that are of none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whose pages may read answers; none where it is empty.
    #[serde(serialize_with = "as_text")]
    pub origins: Origins,
    /// Seconds for which a browser may remember what a preflight said.
    pub max_age_s: u32,
    /// Whether pages may have browsers send cookies and certificates along, for what stands in front of the gateway.
    pub credentials: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            origins: Origins::default(),
            max_age_s: 600,
            credentials: false,
        }
    }
}

impl Config {
    /// Whether what is set fits together.
    pub fn check(&self) -> Result<(), Unfit> {
        if self.credentials && self.origins.is_any() {
            return Err(Unfit::new(
                "cors.credentials",
                "cors.origins is \"*\", and no browser sends cookies for every origin: name the origins, or leave this false",
            ));
        }
        if self.max_age_s > MAX_AGE_MAX {
            let message = format!("{} is more than {MAX_AGE_MAX}, a day", self.max_age_s);
            return Err(Unfit::new("cors.max_age_s", message));
        }
        Ok(())
    }
}

/// Files say it as a list or as a text, and so it is shown.
fn as_text<S: Serializer>(origins: &Origins, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(origins)
}

/// What a page may do with an answer.
#[derive(Debug, PartialEq, Eq)]
enum Readable {
    /// Nobody's pages may: there is nothing to say.
    Nobody,
    /// Those of other origins may.
    ByOthers,
    ByIt,
    ByAll,
}

impl Readable {
    fn of(origins: &Origins, origin: &HeaderValue) -> Self {
        match origins.contain(origin.as_bytes()) {
            _ if origins.is_empty() => Self::Nobody,
            false => Self::ByOthers,
            true if origins.is_any() => Self::ByAll,
            true => Self::ByIt,
        }
    }

    fn is_by_it(&self) -> bool {
        matches!(self, Self::ByIt | Self::ByAll)
    }

    fn say(&self, origin: &HeaderValue, credentials: bool, headers: &mut HeaderMap) {
        match self {
            Self::Nobody => return,
            Self::ByAll => drop(headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY)),
            Self::ByIt | Self::ByOthers => drop(headers.append(VARY, BY_ORIGIN)),
        }
        if *self == Self::ByIt {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            if credentials {
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
            }
        }
    }
}

/// Whether a browser asks whether it may ask.
pub(super) fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && (head.uri.path().starts_with("/v1/") || head.uri.path().starts_with("/problems"))
}

impl<O: Orders> Gateway<O> {
    /// Marks the answer to a page's request, whatever became of it: a problem is to be read, too.
    pub(super) fn mark_for(&self, page: &Page, headers: &mut HeaderMap) {
        let readable = self.readable(page.uri.path(), &page.origin);
        readable.say(&page.origin, self.config.load().cors.credentials, headers);
        if readable.is_by_it() {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSE_HEADERS);
        }
    }

    /// 204, with what a page may send where it may read what comes of it; that it may is said where the answer is marked.
    pub(super) async fn preflight(&self, head: &Parts, begun: Instant) -> Answer {
        let path = head.uri.path();
        if let Some(campaign) = campaign_of(path) {
            self.orders.meet(&campaign).await;
        }
        let mut answer = Response::new(Content::from(Bytes::new()));
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let origin = head.headers.get(ORIGIN);
        if origin.is_some_and(|origin| self.readable(path, origin).is_by_it()) {
            let headers = answer.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOW_METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.config.load().cors.max_age_s.into());
        }
        self.metrics.request("preflight", answer.status().as_u16(), begun);
        answer
    }

    fn readable(&self, path: &str, origin: &HeaderValue) -> Readable {
        let own = campaign_of(path).and_then(|campaign| self.orders.origins(&campaign));
        match own {
            Some(own) => Readable::of(&own, origin),
            None => Readable::of(&self.config.load().cors.origins, origin),
        }
    }
}

/// The campaign that a path is of.
pub(super) fn campaign_of(path: &str) -> Option<Cow<'_, str>> {
    let rest = path.strip_prefix("/v1/campaigns/")?;
    routes::campaign_id(rest.split('/').next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(text: &str) -> Origins {
        serde_json::from_value(text.into()).expect("origins")
    }

    /// What an answer says to a page of this origin.
    fn said(of: &str, origin: &'static str, credentials: bool) -> Vec<(String, String)> {
        let (origin, mut headers) = (HeaderValue::from_static(origin), HeaderMap::new());
        Readable::of(&origins(of), &origin).say(&origin, credentials, &mut headers);
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        let said = headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)));
        said.collect()
    }

    #[test]
    fn an_origin_is_named_only_where_it_is_listed() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let vary = header("vary", "Origin");
        let allow = |origin: &str| header("access-control-allow-origin", origin);
        let two = "https://a.example,https://b.example";
        assert_eq!(
            said(two, "https://b.example", false),
            [vary.clone(), allow("https://b.example")]
        );
        assert_eq!(said(two, "https://c.example", true), std::slice::from_ref(&vary));
        assert_eq!(said("", "https://b.example", true), []);
        let credentials = header("access-control-allow-credentials", "true");
        assert_eq!(
            said(two, "https://a.example", true),
            [vary, allow("https://a.example"), credentials]
        );
        // A campaign may be open to every page where the configuration has credentials: without them, then.
        for origin in ["https://c.example", "null"] {
            assert_eq!(said("*", origin, true), [allow("*")]);
        }
    }

    #[test]
    fn credentials_for_every_origin_are_refused() {
        let config = |text: &str| Config {
            origins: origins(text),
            credentials: true,
            ..Config::default()
        };
        let refused = config("*").check().expect_err("every origin");
        assert_eq!(refused.key, "cors.credentials");
        assert_eq!(config("https://a.example").check(), Ok(()));
        let long = Config {
            max_age_s: 86_401,
            ..Config::default()
        };
        assert_eq!(long.check().expect_err("too long").key, "cors.max_age_s");
    }

    #[test]
    fn paths_of_a_campaign_are_known_by_their_beginning() {
        for path in [
            "/v1/campaigns/spring",
            "/v1/campaigns/sp%72ing/orders/1",
            "/v1/campaigns/spring/nothing",
        ] {
            assert_eq!(campaign_of(path).as_deref(), Some("spring"), "{path}");
        }
        for path in [
            "/v1/campaigns",
            "/v1/campaigns/",
            "/v1/orders",
            "/problems",
            "/v1/campaigns/a%2Fb",
        ] {
            assert_eq!(campaign_of(path), None, "{path}");
        }
    }
}
