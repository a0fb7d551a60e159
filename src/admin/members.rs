//! Members of a list: one asked for, or all of a version downloaded.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use csv::{Terminator, WriterBuilder};
use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::Refused;
use super::audiences::number;
use super::campaigns::query;
use crate::audience::unpack;
use crate::control::ControlError;
use crate::wire::Problem;
use crate::wire::problem::MALFORMED;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskQuery {
    version: Option<u32>,
}

#[derive(Serialize)]
struct AskAnswer {
    id: String,
    version: u32,
    member: String,
    listed: bool,
}

fn named(path: Result<Path<(String, String)>, PathRejection>) -> Result<(String, String), Refused> {
    match path {
        Ok(Path(named)) => Ok(named),
        Err(rejection) => Err(Problem::new(&MALFORMED, rejection.body_text()).into()),
    }
}

/// Whether the id is on the list, spelt exactly so: 200 either way.
pub(super) async fn ask(
    State(admin): State<Admin>,
    path: Result<Path<(String, String)>, PathRejection>,
    asked: Result<Query<AskQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let (id, member) = named(path)?;
    let AskQuery { version } = query(asked)?;
    let asked = admin.rules.is_member(&id, version, &member).await?;
    Ok(Json(AskAnswer {
        id,
        version: asked.version,
        member,
        listed: asked.listed,
    })
    .into_response())
}

/// All members, one per line, in no order; as CSV for whom asks for that.
pub(super) async fn download(
    State(admin): State<Admin>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (id, version) = named(path)?;
    let members = admin.rules.members(&id, number(&version)?).await?;
    let csv = wants_csv(&headers);
    let head = csv.then(|| Ok(Bytes::from_static("\u{feff}member\r\n".as_bytes())));
    let rows = members.map(move |packed| match csv {
        true => packed.and_then(|packed| as_csv(&packed)),
        false => packed.map(Bytes::from),
    });
    // An error in the midst of the download cuts it off, which a client of HTTP sees.
    let rows = rows.inspect(|outcome| {
        if let Err(error) = outcome {
            tracing::warn!(%error, "the download of a list is cut off");
        }
    });
    let body = Body::from_stream(stream::iter(head).chain(rows));
    let media_type = match csv {
        true => "text/csv; charset=utf-8; header=present",
        false => "text/plain; charset=utf-8",
    };
    let headers = [(header::CONTENT_TYPE, media_type), (header::VARY, "Accept")];
    Ok((headers, body).into_response())
}

/// Whether the header `Accept` names CSV.
fn wants_csv(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| crate::wire::is_media_type(one, "text/csv"))
}

/// A row for each member. What a spreadsheet would take for a formula stands behind an apostrophe, which makes it text.
fn as_csv(packed: &[u8]) -> Result<Bytes, ControlError> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::with_capacity(packed.len() * 2));
    let lost = |error: &dyn std::fmt::Display| ControlError::Internal(format!("writing CSV: {error}"));
    for member in unpack(packed) {
        let mut cell = Vec::with_capacity(member.len() + 1);
        if matches!(member.first(), Some(b'=' | b'+' | b'-' | b'@')) {
            cell.push(b'\'');
        }
        cell.extend_from_slice(member);
        writer.write_record([cell]).map_err(|error| lost(&error))?;
    }
    let written = writer.into_inner().map_err(|error| lost(&error))?;
    Ok(Bytes::from(written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_reads_text_and_no_formula() {
        let csv = as_csv(b"ann\n=1+1\n-5\n@x\n+49\nb;c,d\n\"q\"\n").expect("written");
        let expected = "ann\r\n'=1+1\r\n'-5\r\n'@x\r\n'+49\r\n\"b;c,d\"\r\n\"\"\"q\"\"\"\r\n";
        assert_eq!(csv, expected);
    }
}
