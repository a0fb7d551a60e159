//! Before any page: who asks is found out, a form has to prove where it comes from, and what goes wrong gets its page.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use subtle::ConstantTimeEq;

use super::Console;
use super::api::Trouble;
use super::form::Form;
use super::page;
use super::visitor::{LANG, Look, PROOF, PROOF_HEADER, Reached, THEME, Visitor, log_in_for, theme};
use super::words::Words;

/// Bytes of a form: a few rules with long tables.
const FORM_BYTES_MAX: usize = 1024 * 1024;

/// Refuses what another page sent: browsers say where a form comes from.
pub(super) fn check_origin(headers: &HeaderMap, reached: &Reached) -> bool {
    let host = |origin: &str| origin.split_once("://").map(|(_, host)| host.to_owned());
    let own = host(&reached.origin);
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value: &HeaderValue| value.to_str().unwrap_or("?"))
    };
    let origin_fits = text("origin").is_none_or(|origin| host(origin) == own);
    let site_fits = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    origin_fits && site_fits
}

/// Knows who asks before any page is made, reads forms, and shows what went wrong.
pub(super) async fn recognise(
    State(console): State<Arc<Console>>,
    mut request: Request,
    next: Next,
) -> Response {
    let look = Look::of(request.headers());
    let query = Form::read(request.uri().query().unwrap_or_default().as_bytes());
    let here = here(request.uri().path(), &query);
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if let (true, Some(switched)) = (is_read, switch(&query, &here)) {
        return switched;
    }
    let reached = console.reached(&request);
    let known = match console.known(request.headers()).await {
        Ok(Some(known)) => known,
        Ok(None) => return unknown(&request, &here),
        Err(trouble) => return page::trouble(look, None, &trouble),
    };
    let (holder, session, proof) = known;
    let peer = request.extensions().get().copied();
    let visitor = Visitor {
        holder: holder.from(peer),
        session,
        proof,
        look,
        here,
        as_json: query.get("as") == Some("json"),
    };
    let form = match is_read {
        true => query,
        false => match proven(&mut request, query, &visitor, &reached).await {
            Ok(form) => form,
            Err(trouble) => return page::trouble(look, Some(&visitor), &trouble),
        },
    };
    let extensions = request.extensions_mut();
    extensions.insert(visitor.clone());
    extensions.insert(form);
    extensions.insert(reached);
    let mut answer = next.run(request).await;
    match answer.extensions_mut().remove::<Trouble>() {
        Some(trouble) => page::trouble(look, Some(&visitor), &trouble),
        None => answer,
    }
}

/// The form of a request that changes something, if it is from a page of this visitor.
async fn proven(
    request: &mut Request,
    query: Form,
    visitor: &Visitor,
    reached: &Reached,
) -> Result<Form, Trouble> {
    let stale = || Trouble::new(StatusCode::FORBIDDEN, "forbidden", visitor.look.words.form_stale);
    if !check_origin(request.headers(), reached) {
        return Err(stale());
    }
    let is_proof = |sent: &[u8]| bool::from(sent.ct_eq(visitor.proof.as_bytes()));
    // A script sends a file as it is: what proves it stands beside it, and its fields in the query.
    if request.method() == Method::PUT {
        let sent = request.headers().get(PROOF_HEADER).map(HeaderValue::as_bytes);
        return match is_proof(sent.unwrap_or_default()) {
            true => Ok(query),
            false => Err(stale()),
        };
    }
    let body = std::mem::take(request.body_mut());
    let bytes = to_bytes(body, FORM_BYTES_MAX).await.map_err(|_| {
        let detail = format!("a form has at most {FORM_BYTES_MAX} bytes");
        Trouble::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail)
    })?;
    let form = Form::read(&bytes);
    match is_proof(form.raw(PROOF).unwrap_or_default().as_bytes()) {
        true => Ok(form),
        false => Err(stale()),
    }
}

/// Path and query, without what only switches how it looks.
pub(super) fn here(path: &str, query: &Form) -> String {
    let query = query.query(|name| [LANG, THEME, "as"].contains(&name));
    match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{query}"),
    }
}

/// The same page, with a cookie for another language or other colours.
pub(super) fn switch(query: &Form, here: &str) -> Option<Response> {
    let (name, value) = [LANG, THEME]
        .into_iter()
        .find_map(|name| query.get(name).map(|value| (name, value)))?;
    let value = match name {
        LANG => Words::of(Some(value), None).lang,
        _ => theme(value),
    };
    let cookie = format!("{name}={value}; Path=/console; Max-Age=31536000; SameSite=Lax");
    let mut answer = Redirect::to(here).into_response();
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Some(answer)
}

/// Sends somebody to the log-in who can follow; a script or a stream is told that it is over.
fn unknown(request: &Request, here: &str) -> Response {
    let is_script = request.headers().contains_key("hx-request");
    if request.method() != Method::GET || is_script {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    Redirect::to(&log_in_for(here)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_comes_from_the_page_itself() {
        let reached = Reached {
            origin: "https://gate.example:8081".into(),
            is_secure: true,
        };
        let fits = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)));
            check_origin(&pairs.collect(), &reached)
        };
        assert!(fits(&[]));
        assert!(fits(&[
            ("origin", "https://gate.example:8081"),
            ("sec-fetch-site", "same-origin")
        ]));
        for foreign in [
            "https://evil.example",
            "null",
            "https://gate.example",
            "http://localhost:3000",
        ] {
            assert!(!fits(&[("origin", foreign)]), "{foreign}");
        }
        for site in ["cross-site", "same-site"] {
            assert!(!fits(&[("sec-fetch-site", site)]), "{site}");
        }
    }
}
