//! Simulations: the attempts come from the database, or line by line with the request.

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};

use super::Admin;
use super::answer::{JSON_BYTES_MAX, Refused, check_uncompressed, read_json};
use super::table::LINES_TYPE;
use crate::attempts::DecidedAttempt;
use crate::attempts::lines::Lines;
use crate::control::simulate::{AttemptSource, NewSimulation};
use crate::control::{self, ControlError};
use crate::wire::problem::{INVALID, MALFORMED, MEDIA_TYPE, TOO_LARGE};
use crate::wire::{Problem, is_media_type, json};

/// Of a body that was refused half-way, so much is read and dropped, so that its sender can be told.
const DISCARDED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Nothing is stored: 200 with what the new rules would have answered otherwise.
pub(super) async fn simulate(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if is_media_type(media_type, "application/json") {
        let new: NewSimulation = read_json(&headers, body).await?;
        return Ok(Json(admin.rules.simulate(&id, new, None).await?).into_response());
    }
    if !is_media_type(media_type, LINES_TYPE) {
        let detail = format!(
            "this path takes application/json, or {LINES_TYPE} with the attempts on lines behind a first one with the rules"
        );
        return Err(Problem::new(&MEDIA_TYPE, detail).into());
    }
    check_uncompressed(&headers)?;
    let mut frames = body.into_data_stream();
    let simulated = simulate_lines(&admin, &id, &mut frames).await;
    if simulated.is_err() {
        discard(&mut frames).await;
    }
    simulated
}

async fn simulate_lines(admin: &Admin, id: &str, frames: &mut BodyDataStream) -> Result<Response, Refused> {
    let (head, rest) = first_line(frames).await?;
    let mut new: NewSimulation = json::parse_owned(&head)?;
    match new.from {
        None | Some(AttemptSource::File) => new.from = Some(AttemptSource::File),
        Some(_) => {
            let detail = "the attempts come with this request: leave \"from\" out, or send the first line alone as \
                          application/json";
            return Err(Problem::new(&INVALID, detail).pointer("/from").into());
        }
    }
    let given = attempts(frames, rest).boxed();
    Ok(Json(admin.rules.simulate(id, new, Some(given)).await?).into_response())
}

/// The first line, and what arrived behind it.
async fn first_line(frames: &mut BodyDataStream) -> Result<(Vec<u8>, Vec<u8>), Refused> {
    let mut bytes = Vec::new();
    loop {
        let seen = bytes.len();
        match frames.next().await {
            Some(Ok(frame)) => bytes.extend_from_slice(&frame),
            Some(Err(error)) => return Err(Problem::new(&MALFORMED, cut_off(&error)).into()),
            None => return Ok((bytes, Vec::new())),
        }
        if let Some(end) = bytes[seen..].iter().position(|byte| *byte == b'\n') {
            let rest = bytes.split_off(seen + end + 1);
            return Ok((bytes, rest));
        }
        if bytes.len() > JSON_BYTES_MAX {
            let detail = format!(
                "the first line, which holds the rules, may have at most {} MiB",
                JSON_BYTES_MAX / (1024 * 1024)
            );
            return Err(Problem::new(&TOO_LARGE, detail).into());
        }
    }
}

fn cut_off(error: &axum::Error) -> String {
    format!("the body was cut off or badly framed: {error}")
}

fn invalid(detail: String) -> ControlError {
    ControlError::Invalid(vec![control::Problem {
        pointer: String::new(),
        detail,
        hint: None,
    }])
}

/// The attempts of the lines behind the first, as they arrive.
fn attempts(
    frames: &mut BodyDataStream,
    rest: Vec<u8>,
) -> impl Stream<Item = Result<Vec<DecidedAttempt>, ControlError>> + Send {
    let begin = (frames, Lines::after(1), Some(rest), false);
    stream::try_unfold(begin, async |(frames, mut lines, rest, ended)| {
        if ended {
            return Ok(None);
        }
        let wrong = |error: crate::attempts::lines::LineError| invalid(error.to_string());
        let read = match rest {
            Some(rest) => lines.push(&rest).map_err(wrong)?,
            None => match frames.next().await {
                Some(Ok(frame)) => lines.push(&frame).map_err(wrong)?,
                Some(Err(error)) => return Err(invalid(cut_off(&error))),
                None => {
                    let last = lines.end().map_err(wrong)?;
                    return Ok(Some((last.into_iter().collect(), (frames, lines, None, true))));
                }
            },
        };
        Ok(Some((read, (frames, lines, None, false))))
    })
}

/// Closing on a client that is still sending would reset the connection, and the client might never see
/// the answer.
async fn discard(frames: &mut BodyDataStream) {
    let mut left = DISCARDED_BYTES_MAX;
    while let Some(Ok(frame)) = frames.next().await {
        match left.checked_sub(frame.len()) {
            Some(less) => left = less,
            None => return,
        }
    }
}
