//! Audiences: lists uploaded, looked at and removed.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Serialize;

use super::Admin;
use super::answer::{Refused, check_media_type};
use super::guard::Actor;
use crate::control::{AudienceUpload, Uploaded};
use crate::store::AudienceRow;
use crate::wire::problem::{MALFORMED, MEDIA_TYPE};
use crate::wire::{Moment, Problem, echo};

#[derive(Serialize)]
struct AudienceAnswer {
    id: String,
    version: u32,
    /// Different ids.
    members: u64,
    buckets: u32,
    digest: String,
    uploaded_at: Moment,
}

impl From<AudienceRow> for AudienceAnswer {
    fn from(row: AudienceRow) -> Self {
        Self {
            id: row.id,
            version: row.version,
            members: row.members,
            buckets: row.buckets,
            digest: row.digest,
            uploaded_at: Moment(row.uploaded_at),
        }
    }
}

#[derive(Serialize)]
struct UploadAnswer {
    #[serde(flatten)]
    audience: AudienceAnswer,
    /// When the version takes effect, in a sentence.
    note: String,
    /// Active revisions that go on with another version.
    behind: Vec<Behind>,
}

#[derive(Serialize)]
struct Behind {
    campaign: String,
    revision: u32,
    version: u32,
}

#[derive(Serialize)]
struct AudiencesAnswer {
    audiences: Vec<AudienceAnswer>,
}

#[derive(Serialize)]
struct VersionsAnswer {
    id: String,
    versions: Vec<AudienceAnswer>,
}

/// 201 for a new version, 200 where the newest has the same members.
pub(super) async fn upload(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    check_media_type(&headers, "text/plain")?;
    let gzip = is_gzip(&headers)?;
    let cut_off = |error: axum::Error| format!("the body was cut off or badly framed: {error}");
    let body = body
        .into_data_stream()
        .map(move |data| data.map_err(cut_off))
        .boxed();
    let uploaded = admin
        .rules
        .upload_audience(actor, AudienceUpload { id, gzip, body })
        .await?;
    let status = match uploaded.new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let location = [(
        header::LOCATION,
        format!("/admin/v1/audiences/{}", uploaded.row.id),
    )];
    Ok((status, location, Json(answer(uploaded))).into_response())
}

fn answer(uploaded: Uploaded) -> UploadAnswer {
    let Uploaded { new, row, behind } = uploaded;
    let version = row.version;
    let note = match (new, behind.is_empty()) {
        (false, _) => format!("Version {version} has these members already: nothing was stored."),
        (true, true) => format!("Revisions made from now on pin version {version}."),
        (true, false) => format!(
            "Revisions made from now on pin version {version}; campaigns under \"behind\" change when such a revision \
             is activated."
        ),
    };
    let behind = behind.into_iter().map(|(campaign, revision, version)| Behind {
        campaign,
        revision,
        version,
    });
    UploadAnswer {
        audience: row.into(),
        note,
        behind: behind.collect(),
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Refused> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(false);
    };
    match value.to_str().unwrap_or("?").trim() {
        gzip if gzip.eq_ignore_ascii_case("gzip") || gzip.eq_ignore_ascii_case("x-gzip") => Ok(true),
        plain if plain.eq_ignore_ascii_case("identity") => Ok(false),
        other => {
            let detail = format!("the header Content-Encoding may be gzip, not {}", echo(other));
            Err(Problem::new(&MEDIA_TYPE, detail)
                .accept_encoding("gzip, identity")
                .into())
        }
    }
}

/// The newest version of each list, the one uploaded last first.
pub(super) async fn list(State(admin): State<Admin>) -> Result<Response, Refused> {
    let mut rows = admin.rules.audiences().await?;
    rows.dedup_by(|next, kept| next.id == kept.id);
    let audiences = rows.into_iter().map(AudienceAnswer::from).collect();
    Ok(Json(AudiencesAnswer { audiences }).into_response())
}

/// Every version, newest first.
pub(super) async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Response, Refused> {
    let rows = admin.rules.audience(&id).await?;
    let versions = rows.into_iter().map(AudienceAnswer::from).collect();
    Ok(Json(VersionsAnswer { id, versions }).into_response())
}

pub(super) async fn delete(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    Path((id, version)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let number = version.parse().map_err(|_| {
        let detail = format!("the version {} is not a number", echo(&version));
        Problem::new(&MALFORMED, detail)
    })?;
    admin.rules.delete_audience(actor, &id, number).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
