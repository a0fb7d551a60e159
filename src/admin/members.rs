//! Members of a list: one asked for, put on it or taken off it, or all of a version downloaded.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;

use super::Admin;
use super::answer::Refused;
use super::audiences::{Activated, AudienceAnswer, Behind, campaigns, effect, number};
use super::caller::Caller;
use super::owners::may_repin;
use super::query::{parameters, query};
use super::table::{CSV_TYPE, MARK, Table, cut_off};
use crate::audience::unpack;
use crate::control::{AskedFolded, Changed, ControlError, MemberChange};
use crate::plan::Fold;

parameters! {
    struct AskQuery {
        /// The newest where it is left out.
        #[param(minimum = 1)]
        version: Option<u32>,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Member)]
pub(super) struct AskAnswer {
    id: String,
    version: u32,
    member: String,
    listed: bool,
    /// The member of the list that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    folded: Vec<FoldedAnswer>,
}

/// What an active revision finds that asks for the list folded.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = FoldedMember)]
struct FoldedAnswer {
    campaign: String,
    version: u32,
    fold: Fold,
    listed: bool,
}

impl From<AskedFolded> for FoldedAnswer {
    fn from(asked: AskedFolded) -> Self {
        Self {
            campaign: asked.campaign,
            version: asked.version,
            fold: asked.fold,
            listed: asked.listed,
        }
    }
}

parameters! {
    struct PutQuery {
        /// Whether what does not look like an id is refused.
        strict: Option<bool>,
        /// Campaigns that are to go by the change at once, joined by commas.
        #[param(pattern = "[^,]")]
        activate: Option<String>,
    }
}

parameters! {
    struct RemoveQuery {
        /// Campaigns that are to go by the change at once, joined by commas.
        #[param(pattern = "[^,]")]
        activate: Option<String>,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MemberChanged)]
pub(super) struct ChangeAnswer {
    #[serde(flatten)]
    audience: AudienceAnswer,
    member: String,
    listed: bool,
    /// The member of the list that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    folded: Vec<FoldedAnswer>,
    /// When the version takes effect, in a sentence.
    note: String,
    /// Active revisions that go on with another version.
    behind: Vec<Behind>,
    /// Of the campaigns in `activate`.
    activated: Vec<Activated>,
}

/// Whether the id is on the list, or an address in a range of it: 200 either way.
pub(super) async fn ask(
    State(admin): State<Admin>,
    Path((id, member)): Path<(String, String)>,
    asked: Result<Query<AskQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let AskQuery { version } = query(asked)?;
    let asked = admin.rules.is_member(&id, version, &member).await?;
    Ok(Json(AskAnswer {
        id,
        version: asked.version,
        member,
        listed: asked.listed,
        by: asked.by,
        folded: asked.folded.into_iter().map(FoldedAnswer::from).collect(),
    })
    .into_response())
}

/// 201 for a new version, 200 where the member is on the newest one already.
pub(super) async fn put(
    State(admin): State<Admin>,
    caller: Caller,
    Path((id, member)): Path<(String, String)>,
    how: Result<Query<PutQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let PutQuery { strict, activate } = query(how)?;
    let wanted = MemberChange {
        id,
        member,
        listed: true,
        strict: strict.unwrap_or(true),
        activate: campaigns(activate.as_deref())?,
    };
    change(&admin, &caller, wanted).await
}

/// 200 either way: the answer says which version is without the member.
pub(super) async fn remove(
    State(admin): State<Admin>,
    caller: Caller,
    Path((id, member)): Path<(String, String)>,
    how: Result<Query<RemoveQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let RemoveQuery { activate } = query(how)?;
    let wanted = MemberChange {
        id,
        member,
        listed: false,
        strict: false,
        activate: campaigns(activate.as_deref())?,
    };
    change(&admin, &caller, wanted).await
}

async fn change(admin: &Admin, caller: &Caller, wanted: MemberChange) -> Result<Response, Refused> {
    may_repin(&*admin.rules, caller.actor(), &wanted.activate).await?;
    let (member, listed) = (wanted.member.clone(), wanted.listed);
    let changed = admin.rules.change_member(caller.by(), wanted).await?;
    let status = match listed && changed.new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(answer(changed, member, listed))).into_response())
}

fn answer(changed: Changed, member: String, listed: bool) -> ChangeAnswer {
    let version = changed.row.version;
    let mut note = match (changed.new, listed) {
        (true, _) => format!("Revisions made from now on pin version {version}."),
        (false, true) => format!("Version {version} has this member already: nothing was stored."),
        (false, false) => format!("Version {version} does not have this member: nothing was stored."),
    };
    note += effect(&changed.behind, changed.pinned);
    if let (false, Some(range)) = (listed, &changed.asked.by) {
        note += &format!(" The list still has {range}, which covers this member.");
    }
    let spelt_otherwise = changed.asked.folded.iter();
    let mut spelt_otherwise = spelt_otherwise.filter(|asked| asked.listed && asked.version == version);
    if let (false, Some(asked)) = (listed, spelt_otherwise.next()) {
        note += &format!(
            " The list still has this member under another spelling, as the campaign {:?} reads it ({}): take that off as well.",
            asked.campaign, asked.fold
        );
    }
    if changed.row.members == 0 {
        note += " Nobody is on the list.";
    }
    ChangeAnswer {
        audience: changed.row.into(),
        member,
        listed: changed.asked.listed,
        by: changed.asked.by,
        folded: changed.asked.folded.into_iter().map(FoldedAnswer::from).collect(),
        note,
        behind: changed.behind.into_iter().map(Behind::from).collect(),
        activated: changed.activated.into_iter().map(Activated::from).collect(),
    }
}

/// All members, one per line, in no order; as CSV for whom asks for that.
pub(super) async fn download(
    State(admin): State<Admin>,
    Path((id, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let members = admin.rules.members(&id, number(&version)?).await?;
    let csv = wants_csv(&headers);
    let head = csv.then(|| Ok(Bytes::from(format!("{MARK}member\r\n"))));
    let rows = members.map(move |packed| match csv {
        true => packed.and_then(|packed| as_csv(&packed)),
        false => packed.map(Bytes::from),
    });
    let body = Body::from_stream(stream::iter(head).chain(cut_off(rows, "a list")));
    let media_type = match csv {
        true => CSV_TYPE,
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

/// A row for each member.
fn as_csv(packed: &[u8]) -> Result<Bytes, ControlError> {
    let mut table = Table::sized(packed.len() * 2);
    for member in unpack(packed) {
        table.line([member])?;
    }
    table.bytes()
}
