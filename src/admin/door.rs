//! Before anybody is asked who they are: one request that all readers read alike, with the parameters that its path knows, and, where there
//! is no token, from no page in a browser.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::answer::Refused;
use crate::wire::problem::FORBIDDEN;
use crate::wire::{self, Problem, check_headers};

/// Without a token anybody on this machine may do anything, and a page in a browser on this machine
/// must not: it would come under a foreign host name (DNS rebinding) or say its origin. The host may stand in the
/// request's target, too, as it does over h2.
fn local(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let all = |name| {
        let values = headers.get_all(name).iter();
        values.map(|value: &axum::http::HeaderValue| value.to_str().unwrap_or("?"))
    };
    let target = uri.authority().map(|authority| authority.as_str());
    let host_is_local = target.into_iter().chain(all(header::HOST)).all(is_local);
    let origin_is_local = all(header::ORIGIN).all(|origin| {
        origin
            .split_once("://")
            .is_some_and(|(_, authority)| is_local(authority))
    });
    match host_is_local && origin_is_local {
        true => Ok(()),
        false => Err(Problem::new(
            &FORBIDDEN,
            "without RUSHGATE_ADMIN_TOKEN the control plane is for programs of this machine: call it as \
             localhost or 127.0.0.1",
        )),
    }
}

/// Whether `host` or `host:port` names this machine.
fn is_local(authority: &str) -> bool {
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    let ip = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// The query parameters of a route, by its method and pattern.
pub type Parameters = fn(&Method, &str) -> &'static [&'static str];

/// What is known of routes, by method and pattern.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub parameters: Parameters,
    /// Whether the route may take this method. Of one that it does not take, the router says so, whatever stands in the query.
    pub takes: fn(&Method, &str) -> bool,
}

/// Refuses a request of which two readers could see different ones, without a host, or with a query parameter that its
/// path does not know.
pub(super) async fn once(State(known): State<Known>, request: Request, next: Next) -> Response {
    match is_one(&request, known) {
        Ok(()) => next.run(request).await,
        Err(problem) => Refused::from(problem).into_response(),
    }
}

fn is_one(request: &Request, known: Known) -> Result<(), Problem> {
    let headers = request.headers();
    let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    check_headers(values)?;
    let (authority, host) = hosts(request);
    wire::check_host(request.version() > Version::HTTP_10, authority, host)?;
    match request.extensions().get::<MatchedPath>() {
        Some(path) => {
            let (method, path) = (request.method(), path.as_str());
            let asked = wire::check_query(request.uri().query(), (known.parameters)(method, path));
            asked.or_else(|problem| match (known.takes)(method, path) {
                true => Err(problem),
                false => Ok(()),
            })
        }
        None => Ok(()),
    }
}

/// The host of the request's target, and that of its header.
fn hosts(request: &Request) -> (Option<&str>, Option<&[u8]>) {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    (
        authority,
        request.headers().get(header::HOST).map(HeaderValue::as_bytes),
    )
}

/// Refuses what pages in a browser may send, on every path, where there is no token that such a page does not have.
pub(super) async fn check_host(State(has_token): State<bool>, request: Request, next: Next) -> Response {
    let allowed = match has_token {
        true => Ok(()),
        false => local(request.uri(), request.headers()),
    };
    let (authority, host) = hosts(&request);
    match allowed.and_then(|()| wire::check_same_host(authority, host)) {
        Ok(()) => next.run(request).await,
        Err(problem) => Refused::from(problem).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine() {
        for local in [
            "localhost",
            "LocalHost:8081",
            "127.0.0.1:8081",
            "127.8.8.8",
            "[::1]:8081",
            "[::1]",
        ] {
            assert!(is_local(local), "{local}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "10.0.0.1:8081",
            "[::2]:1",
            "localhost:1@evil.example",
            "null",
        ] {
            assert!(!is_local(foreign), "{foreign}");
        }
    }
}
