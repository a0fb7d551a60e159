//! Audiences: lists uploaded, looked at and removed.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Serialize;

use super::Admin;
use super::answer::{Refused, tagged};
use super::caller::Caller;
use super::campaigns::limit;
use super::owners::{may_repin, own};
use super::query::{parameters, query};
use crate::access::Actor;
use crate::audience::{ListKind, TableOptions, TableRead};
use crate::control::{AudienceUpload, Format, Reading, Repinned, Uploaded};
use crate::store::AudienceRow;
use crate::wire::problem::{MALFORMED, MEDIA_TYPE, UNKNOWN};
use crate::wire::{Moment, Problem, echo, is_media_type, paged};

/// Versions of one page unless `limit` says otherwise.
const PAGE: u32 = 20;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = List)]
pub(super) struct AudienceAnswer {
    id: String,
    version: u32,
    /// Different ids.
    members: u64,
    buckets: u32,
    digest: String,
    uploaded_at: Moment,
    /// What its members are: `texts` or `addresses`.
    kind: &'static str,
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
            kind: row.kind.name(),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = UploadedList)]
pub(super) struct UploadAnswer {
    #[serde(flatten)]
    audience: AudienceAnswer,
    /// When the version takes effect, in a sentence.
    note: String,
    /// Active revisions that go on with another version.
    behind: Vec<Behind>,
    /// Of the campaigns in `activate`.
    activated: Vec<Activated>,
    /// How a table was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<TableAnswer>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = TableRead)]
struct TableAnswer {
    /// The number of the column, from 1.
    column: usize,
    /// Its name, unless the first line is a row like the others.
    #[schema(required)]
    name: Option<String>,
    delimiter: String,
    rows: u64,
    /// Rows with nothing in the column.
    blank: u64,
    /// Members that lost spaces or invisible marks around them.
    trimmed: u64,
}

impl From<TableRead> for TableAnswer {
    fn from(read: TableRead) -> Self {
        Self {
            column: read.column,
            name: read.name,
            delimiter: read.delimiter.to_string(),
            rows: read.rows,
            blank: read.blank,
            trimmed: read.trimmed,
        }
    }
}

parameters! {
    struct UploadQuery {
        /// `false` takes lines that do not look like ids, or that are meant as addresses and are none.
        strict: Option<bool>,
        /// What the members are: `texts` or `addresses`.
        #[param(pattern = "^(texts|addresses)$")]
        kind: Option<String>,
        /// Of a table, the column of the ids: its name, or its number from 1. See [`TableOptions`].
        column: Option<String>,
        /// Of a table, what separates columns.
        #[param(pattern = r"^(comma|semicolon|tab|[,;\t])$")]
        delimiter: Option<String>,
        /// Of a table, whether the first line names the columns.
        header: Option<bool>,
        /// Campaigns that are to go by the version at once, joined by commas.
        #[param(pattern = "[^,]")]
        activate: Option<String>,
        /// Whose a new list is, where the key is one of all merchants; `default` where it does not say so.
        #[param(max_length = 64)]
        merchant: Option<String>,
    }
}

parameters! {
    struct PageQuery {
        /// Entries of the page at most.
        #[param(minimum = 1, maximum = 100, default = 20)]
        limit: Option<u32>,
        /// Number of the last version of the page before.
        before: Option<u32>,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Behind {
    campaign: String,
    revision: u32,
    version: u32,
}

impl From<(String, u32, u32)> for Behind {
    fn from((campaign, revision, version): (String, u32, u32)) -> Self {
        Self {
            campaign,
            revision,
            version,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ActivatedList)]
pub(super) struct Activated {
    campaign: String,
    revision: u32,
    epoch: u64,
}

impl From<Repinned> for Activated {
    fn from(repinned: Repinned) -> Self {
        Self {
            campaign: repinned.campaign,
            revision: repinned.revision,
            epoch: repinned.epoch,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Lists)]
pub(super) struct AudiencesAnswer {
    audiences: Vec<AudienceAnswer>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ListVersions)]
pub(super) struct VersionsAnswer {
    id: String,
    versions: Vec<AudienceAnswer>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

/// Campaigns that are named in a query; none where it has no such parameter.
pub(super) fn campaigns(joined: Option<&str>) -> Result<Vec<String>, Problem> {
    let Some(joined) = joined else {
        return Ok(Vec::new());
    };
    let campaigns = joined.split(',').filter(|campaign| !campaign.is_empty());
    let campaigns: Vec<String> = campaigns.map(str::to_owned).collect();
    match campaigns.is_empty() {
        // Somebody's variable may be empty, who expects the campaigns in it to go by the change.
        true => {
            let detail = "activate names no campaign: send ?activate=spring,summer, or leave it out";
            Err(Problem::new(&MALFORMED, detail))
        }
        false => Ok(campaigns),
    }
}

/// What of the active revisions is to be said beside a version, each sentence behind a space.
pub(super) fn effect(behind: &[(String, u32, u32)], pinned: bool) -> &'static str {
    match (behind, pinned) {
        (_, false) => {
            " No active revision asks for this list: it lets nobody in or out until one with a rule that asks for it is \
             activated."
        }
        ([], true) => "",
        (_, true) => {
            " Campaigns under \"behind\" go on with the version that is named there: ?activate=<campaign> changes that."
        }
    }
}

/// 201 for a new version, 200 where the newest has the same members.
pub(super) async fn upload(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    how: Result<Query<UploadQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let mut how = query(how)?;
    let activate = campaigns(how.activate.as_deref())?;
    may_repin(&*admin.rules, caller.actor(), &activate).await?;
    let merchant = own(caller.actor(), how.merchant.take())?;
    let reading = reading(&headers, how)?;
    let gzip = is_gzip(&headers)?;
    let cut_off = |error: axum::Error| format!("the body was cut off or badly framed: {error}");
    let body = body
        .into_data_stream()
        .map(move |data| data.map_err(cut_off))
        .boxed();
    let upload = AudienceUpload {
        id,
        gzip,
        reading,
        activate,
        body,
    };
    admin.rules.claim_list(&upload.id, merchant.as_deref()).await?;
    let uploaded = admin.rules.upload_audience(caller.by(), upload).await?;
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

/// How the body is to be read: by its media type, and what the path asks for.
fn reading(headers: &HeaderMap, how: UploadQuery) -> Result<Reading, Refused> {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok()).unwrap_or_default();
    check_charset(given)?;
    let strict = how.strict.unwrap_or(true);
    let malformed = |detail: String| Problem::new(&MALFORMED, detail);
    let kind = how.kind.map(|name| {
        let unknown = || {
            malformed(format!(
                "the kind {} is not known: use texts or addresses",
                echo(&name)
            ))
        };
        ListKind::named(&name).ok_or_else(unknown)
    });
    let kind = kind.transpose()?;
    if is_media_type(given, "text/csv") {
        let delimiter = how.delimiter.map(|text| text.parse()).transpose();
        let format = Format::Table(TableOptions {
            column: how.column,
            delimiter: delimiter.map_err(malformed)?,
            header: how.header,
        });
        return Ok(Reading { strict, format, kind });
    }
    if !is_media_type(given, "text/plain") {
        let detail = "this path takes text/plain, one id per line, or text/csv: send the header Content-Type: text/plain \
                      or Content-Type: text/csv";
        return Err(Problem::new(&MEDIA_TYPE, detail).into());
    }
    let of_tables = [
        ("column", how.column.is_some()),
        ("delimiter", how.delimiter.is_some()),
        ("header", how.header.is_some()),
    ];
    if let Some((name, _)) = of_tables.iter().find(|(_, given)| *given) {
        let detail = format!("?{name}= is for tables: send them with the header Content-Type: text/csv");
        return Err(malformed(detail).into());
    }
    let format = Format::Lines;
    Ok(Reading { strict, format, kind })
}

/// Refuses what says that it is in another encoding than UTF-8.
fn check_charset(media_type: &str) -> Result<(), Problem> {
    let parameters = media_type
        .split(';')
        .skip(1)
        .filter_map(|one| one.split_once('='));
    let charset = parameters
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, value)| value.trim().trim_matches('"'))
        .find(|charset| {
            !["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(charset))
        });
    match charset {
        None => Ok(()),
        Some(charset) => {
            let detail = format!(
                "a list is UTF-8, not {}: save the file in that encoding",
                echo(charset)
            );
            Err(Problem::new(&MEDIA_TYPE, detail))
        }
    }
}

fn answer(uploaded: Uploaded) -> UploadAnswer {
    let Uploaded {
        new,
        row,
        behind,
        pinned,
        activated,
        table,
    } = uploaded;
    let version = row.version;
    let note = match new {
        true => format!("Revisions made from now on pin version {version}."),
        false => format!("Version {version} has these members already: nothing was stored."),
    };
    let note = note + effect(&behind, pinned);
    UploadAnswer {
        audience: row.into(),
        note,
        behind: behind.into_iter().map(Behind::from).collect(),
        activated: activated.into_iter().map(Activated::from).collect(),
        table: table.map(TableAnswer::from),
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

/// The newest version of each list, the one that changed last first.
pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Refused> {
    let rows = admin.rules.audiences(actor.merchant()).await?;
    let audiences = rows.into_iter().map(AudienceAnswer::from).collect();
    Ok(Json(AudiencesAnswer { audiences }).into_response())
}

/// Its versions, newest first.
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    page: Result<Query<PageQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let page = query(page)?;
    let limit = limit(page.limit, PAGE)?;
    let rows = admin.rules.audience(&id, page.before, limit + 1).await?;
    let (rows, next) = paged(rows, limit, |row| row.version);
    // The first page begins with the newest.
    let newest = rows.first().filter(|_| page.before.is_none());
    let tag = newest.map(AudienceRow::tag);
    let versions = rows.into_iter().map(AudienceAnswer::from).collect();
    let answer = Json(VersionsAnswer { id, versions, next });
    match tag {
        Some(tag) => tagged(&headers, &tag, answer),
        None => Ok(answer.into_response()),
    }
}

pub(super) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
    Path((id, version)): Path<(String, String)>,
) -> Result<Response, Refused> {
    admin
        .rules
        .delete_audience(caller.by(), &id, number(&version)?)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A version as a path names it.
pub(super) fn number(version: &str) -> Result<u32, Problem> {
    let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    version.parse().map_err(|_| match is_number {
        // No list has as many.
        true => Problem::new(&UNKNOWN, format!("there is no version {}", echo(version))),
        false => Problem::new(
            &MALFORMED,
            format!("the version {} is not a number", echo(version)),
        ),
    })
}
