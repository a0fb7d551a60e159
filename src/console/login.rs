//! Logging in with a key, and out again, here or everywhere. A cookie has a random id; what is kept of it and of the key are hashes.

use std::sync::Arc;

use askama::Template;
use axum::body::to_bytes;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use data_encoding::HEXLOWER;

use super::Console;
use super::api::Trouble;
use super::entry::{check_origin, here, switch};
use super::form::Form;
use super::page::{self, Frame};
use super::visitor::{LOG_IN, Look, SESSION, Visitor, cookie, inner_path, log_in_for, session_hash};
use crate::admin::{Address, key_digest};
use crate::clock::now_ms;
use crate::store::{StoreError, new_secret};

/// A log-in ends after so long: a working day.
const SESSION_SECONDS: i64 = 12 * 3600;
/// Bytes of the form.
const FORM_BYTES_MAX: usize = 16 * 1024;

#[derive(Template)]
#[template(path = "login.html")]
struct LogIn {
    frame: Frame,
    next: String,
    wrong: bool,
}

fn form(look: Look, next: &str, wrong: bool) -> Response {
    let frame = Frame {
        here: log_in_for(next),
        ..Frame::new(look, look.words.log_in)
    };
    let status = if wrong {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::OK
    };
    let next = next.to_owned();
    page::show_as(status, &LogIn { frame, next, wrong })
}

/// The page where one logs in.
pub(super) async fn ask(State(console): State<Arc<Console>>, request: Request) -> Response {
    let query = Form::read(request.uri().query().unwrap_or_default().as_bytes());
    let next = inner_path(query.get("next").unwrap_or_default());
    if let Some(switched) = switch(&query, &here(LOG_IN, &query)) {
        return switched;
    }
    if console.inside.local().is_some() {
        return Redirect::to(next).into_response();
    }
    form(Look::of(request.headers()), next, false)
}

/// Begins a session where the key is one.
pub(super) async fn log_in(State(console): State<Arc<Console>>, request: Request) -> Response {
    let (look, reached) = (Look::of(request.headers()), console.reached(&request));
    if !check_origin(request.headers(), &reached) {
        let trouble = Trouble::new(StatusCode::FORBIDDEN, "forbidden", look.words.form_stale);
        return page::trouble(look, None, &trouble);
    }
    let address = request.extensions().get::<Address>().copied();
    // One who was logged in with another key is no longer.
    let before = cookie(request.headers(), SESSION).map(session_hash);
    let bytes = to_bytes(request.into_body(), FORM_BYTES_MAX)
        .await
        .unwrap_or_default();
    let sent = Form::read(&bytes);
    let next = inner_path(sent.get("next").unwrap_or_default()).to_owned();
    let key = key_digest(sent.get("key").unwrap_or_default());
    let known = match address {
        Some(address) => console.inside.log_in(&key, address).await,
        None => console.inside.holder(&key).await,
    };
    match known {
        Ok(_) => {}
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => return form(look, &next, true),
        Err(problem) => return page::trouble(look, None, &problem.into()),
    }
    let id = new_secret();
    let now = now_ms();
    let begun = async {
        if let Some(before) = before {
            console.store.end_session(&before).await?;
        }
        let (session, key) = (session_hash(&id), HEXLOWER.encode(&key));
        console
            .store
            .begin_session(&session, &key, now, now + SESSION_SECONDS * 1000)
            .await
    };
    if let Err(error) = begun.await {
        return page::trouble(look, None, &unkept(&error));
    }
    with_cookie(
        Redirect::to(&next).into_response(),
        &id,
        SESSION_SECONDS,
        reached.is_secure,
    )
}

/// Ends this session, or with the field `everywhere` every one of the same key.
pub(super) async fn log_out(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(sent): Extension<Form>,
) -> Result<Response, Trouble> {
    if let Some(session) = &visitor.session {
        let ended = match sent.has("everywhere") {
            true => {
                console
                    .store
                    .end_sessions_of(&HEXLOWER.encode(&session.key))
                    .await
            }
            false => console.store.end_session(&session.id).await,
        };
        ended.map_err(|error| unkept(&error))?;
    }
    Ok(with_cookie(Redirect::to(LOG_IN).into_response(), "", 0, false))
}

fn unkept(error: &StoreError) -> Trouble {
    let detail = format!("the database does not take the log-in: {error}");
    Trouble::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
}

fn with_cookie(mut answer: Response, id: &str, seconds: i64, is_secure: bool) -> Response {
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie =
        format!("{SESSION}={id}; Path=/console; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
