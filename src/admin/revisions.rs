//! Revisions of a campaign: made, looked at, compared and activated.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::answer::{Refused, changed, idempotency_key, read_json};
use super::caller::Caller;
use super::campaigns::{ScriptQuery, limit};
use super::query::{parameters, query};
use super::routes::needs;
use crate::access::Scope;
use crate::control::{
    ACTIVATE, ActivatedAt, NewRevision, Operation, REVISION_CREATE, RevisionAnswer, RevisionHead,
    StandingView,
};
use crate::plan::Folds;
use crate::revision::PinnedRule;
use crate::wire::problem::UNKNOWN;
use crate::wire::{Moment, Problem, paged};

/// Revisions of one page unless `limit` says otherwise.
const PAGE: u32 = 20;

parameters! {
    struct RevisionQuery {
        /// Changes nothing, and says what it would be.
        #[serde(default)]
        dry_run: bool,
        /// The answer holds the script.
        #[serde(default)]
        lua: bool,
    }
}

parameters! {
    struct PageQuery {
        /// Entries of the page at most.
        #[param(minimum = 1, maximum = 100, default = 20)]
        limit: Option<u32>,
        /// Number of the last revision of the page before.
        before: Option<u32>,
    }
}

parameters! {
    struct DiffQuery {
        /// The active revision unless it is named.
        #[param(minimum = 1)]
        against: Option<u32>,
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = Activate)]
#[serde(deny_unknown_fields)]
pub(super) struct ActivateBody {
    revision: u32,
    /// Ids of counters that may be re-keyed or dropped, or start at zero.
    #[serde(default)]
    accept: Vec<String>,
    /// What the merchant says about it, for the audit trail.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Revisions)]
pub(super) struct Page {
    revisions: Vec<Head>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u32>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ListedRevision)]
struct Head {
    revision: u32,
    active: bool,
    created_at: Moment,
    #[schema(required)]
    created_by: Option<String>,
    activations: Vec<Activation>,
    opens_at: Moment,
    closes_at: Moment,
    retention_days: u32,
    rules: Vec<PinnedRule>,
    #[serde(skip_serializing_if = "Folds::is_empty")]
    fold: Folds,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadow: Vec<PinnedRule>,
    /// Version of each list that the rules ask for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    lists: BTreeMap<String, u32>,
    plan_digest: String,
    changed: Vec<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Activation {
    epoch: u64,
    at: Moment,
    #[schema(required)]
    by: Option<String>,
}

/// The answer a revision was created with, and its history.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RevisionInFull)]
pub(super) struct Shown {
    #[serde(flatten)]
    answer: RevisionAnswer,
    active: bool,
    created_at: Moment,
    #[schema(required)]
    created_by: Option<String>,
    activations: Vec<Activation>,
    opens_at: Moment,
    closes_at: Moment,
    retention_days: u32,
    rules: Vec<PinnedRule>,
    #[serde(skip_serializing_if = "Folds::is_empty")]
    fold: Folds,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shadow: Vec<PinnedRule>,
    /// Version of each list that the rules ask for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    lists: BTreeMap<String, u32>,
    /// Against the revision before it.
    changed: Vec<String>,
    #[serde(flatten)]
    standing: StandingView,
}

impl From<ActivatedAt> for Activation {
    fn from(activated: ActivatedAt) -> Self {
        Self {
            epoch: activated.epoch,
            at: Moment(activated.at),
            by: activated.by,
        }
    }
}

impl From<RevisionHead> for Head {
    fn from(head: RevisionHead) -> Self {
        Self {
            revision: head.revision,
            active: head.active,
            created_at: Moment(head.created_at),
            created_by: head.created_by,
            activations: head.activations.into_iter().map(Activation::from).collect(),
            opens_at: Moment(head.schedule.opens_at),
            closes_at: Moment(head.schedule.closes_at),
            retention_days: head.schedule.retention_days(),
            rules: head.rules,
            fold: head.folds,
            shadow: head.shadow,
            lists: head.lists,
            plan_digest: head.plan_digest,
            changed: head.changed,
        }
    }
}

/// The campaign and the number in a path; what is no number names no revision.
pub(super) fn named(path: Result<Path<(String, u32)>, PathRejection>) -> Result<(String, u32), Refused> {
    match path {
        Ok(Path(named)) => Ok(named),
        Err(rejection) => {
            let detail = format!("a revision is named by its number: {}", rejection.body_text());
            Err(Problem::new(&UNKNOWN, detail).into())
        }
    }
}

/// 201 with the number of the new revision, or 200 without one for a dry run.
pub(super) async fn create(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Result<Query<RevisionQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let RevisionQuery { dry_run, lua } = query(asked)?;
    let new: NewRevision = read_json(&headers, body).await?;
    if new.activate_at.is_some() {
        needs(caller.actor(), Scope::RulesActivate)?;
    }
    let key = idempotency_key(&headers)?;
    let operation = Operation::by(caller.by(), &id, REVISION_CREATE).asked(key.as_deref(), None);
    let answered = admin
        .rules
        .create_revision(operation, new, (dry_run, lua))
        .await?;
    let status = if dry_run {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    Ok((status, changed(answered)).into_response())
}

/// Newest first.
pub(super) async fn list(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    page: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let page = query(page)?;
    let limit = limit(page.limit, PAGE)?;
    let heads = admin.rules.revisions(&id, page.before, limit + 1).await?;
    let (heads, next) = paged(heads, limit, |head| head.revision);
    let revisions = heads.into_iter().map(Head::from).collect();
    Ok(Json(Page { revisions, next }).into_response())
}

pub(super) async fn show(
    State(admin): State<Admin>,
    path: Result<Path<(String, u32)>, PathRejection>,
    asked: Result<Query<ScriptQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let (id, number) = named(path)?;
    let asked = query(asked)?;
    let view = admin.rules.revision(&id, number).await?;
    let head = Head::from(view.head);
    Ok(Json(Shown {
        answer: asked.cut(view.answer),
        active: head.active,
        created_at: head.created_at,
        created_by: head.created_by,
        activations: head.activations,
        opens_at: head.opens_at,
        closes_at: head.closes_at,
        retention_days: head.retention_days,
        rules: head.rules,
        fold: head.fold,
        shadow: head.shadow,
        lists: head.lists,
        changed: head.changed,
        standing: view.standing,
    })
    .into_response())
}

/// What a revision changes against another.
pub(super) async fn diff(
    State(admin): State<Admin>,
    path: Result<Path<(String, u32)>, PathRejection>,
    against: Result<Query<DiffQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let (id, number) = named(path)?;
    let DiffQuery { against } = query(against)?;
    let compared = admin.rules.compare_revisions(&id, number, against).await?;
    Ok(Json(compared).into_response())
}

/// Answers when no gateway can admit under an older revision any more.
pub(super) async fn activate(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let key = idempotency_key(&headers)?;
    let ActivateBody {
        revision,
        accept,
        note,
    } = read_json(&headers, body).await?;
    let operation = Operation::by(caller.by(), &id, ACTIVATE)
        .asked(key.as_deref(), note.as_deref())
        .by_root(caller.is_root());
    let answered = admin.rules.activate(operation, revision, &accept).await?;
    Ok(changed(answered))
}
