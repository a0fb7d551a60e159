//! Orders cancelled and refunded in bulk: jobs begun, listed, looked at and stopped.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use futures_util::FutureExt;
use serde::Serialize;

use super::answer::{Refused, changed, idempotency_key, read_json};
use super::campaigns::limit;
use super::query::{parameters, query};
use super::{Admin, Answered};
use crate::access::Actor;
use crate::control::{self, BULK_STOP, BulkBody, Control, JobView, Operation, OrderAct};
use crate::wire::paged;

/// Jobs of one page unless `limit` says otherwise.
const PAGE: u32 = 50;

/// What the control plane asks of [`Control`] about orders in bulk.
pub trait OrderJobs: Send + Sync {
    fn change_in_bulk<'a>(
        &'a self,
        operation: Operation<'a>,
        act: OrderAct,
        body: &'a BulkBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered>;
    fn order_jobs<'a>(
        &'a self,
        campaign: &'a str,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, Vec<JobView>>;
    fn order_job<'a>(&'a self, campaign: &'a str, id: &'a str) -> Answered<'a, JobView>;
    fn stop_order_job<'a>(&'a self, operation: Operation<'a>, id: &'a str) -> Answered<'a, JobView>;
}

impl OrderJobs for Control {
    fn change_in_bulk<'a>(
        &'a self,
        operation: Operation<'a>,
        act: OrderAct,
        body: &'a BulkBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered> {
        self.change_in_bulk(operation, act, body, dry_run).boxed()
    }

    fn order_jobs<'a>(
        &'a self,
        campaign: &'a str,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, Vec<JobView>> {
        self.order_jobs(campaign, before, limit).boxed()
    }

    fn order_job<'a>(&'a self, campaign: &'a str, id: &'a str) -> Answered<'a, JobView> {
        self.order_job(campaign, id).boxed()
    }

    fn stop_order_job<'a>(&'a self, operation: Operation<'a>, id: &'a str) -> Answered<'a, JobView> {
        self.stop_order_job(operation, id).boxed()
    }
}

parameters! {
    struct BulkQuery {
        /// Changes nothing, and says what it would be.
        #[serde(default)]
        dry_run: bool,
    }
}

parameters! {
    struct JobsQuery {
        /// Entries of the page at most.
        #[param(minimum = 1, maximum = 100, default = 50)]
        limit: Option<u32>,
        /// Id of the last job of the page before.
        before: Option<String>,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OrderJobs)]
pub(super) struct Jobs {
    jobs: Vec<JobView>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

type Asked = Result<Query<BulkQuery>, QueryRejection>;

/// `POST` of one act.
pub(super) fn of(act: OrderAct) -> MethodRouter<Admin> {
    post(move |state, actor, place, asked, headers, body| {
        begin(act, state, actor, place, asked, (headers, body))
    })
}

/// 202 with the job, or 200 for a dry run.
async fn begin(
    act: OrderAct,
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    asked: Asked,
    (headers, body): (HeaderMap, Body),
) -> Result<Response, Refused> {
    let BulkQuery { dry_run } = query(asked)?;
    let key = idempotency_key(&headers)?;
    let body: BulkBody = read_json(&headers, body).await?;
    let operation = Operation::by(actor.name(), &id, act.kind()).asked(key.as_deref(), body.note.as_deref());
    let mut answer = changed(admin.rules.change_in_bulk(operation, act, &body, dry_run).await?);
    if !dry_run {
        *answer.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(answer)
}

/// The one begun last first.
pub(super) async fn list(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    asked: Result<Query<JobsQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let asked = query(asked)?;
    let limit = limit(asked.limit, PAGE)?;
    let jobs = admin
        .rules
        .order_jobs(&id, asked.before.as_deref(), limit + 1)
        .await?;
    let (jobs, next) = paged(jobs, limit, |job| job.job.clone());
    Ok(Json(Jobs { jobs, next }).into_response())
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Path((id, job)): Path<(String, String)>,
) -> Result<Response, Refused> {
    Ok(Json(admin.rules.order_job(&id, &job).await?).into_response())
}

/// Also where it had ended.
pub(super) async fn stop(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Path((id, job)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let operation = Operation::by(actor.name(), &id, BULK_STOP);
    Ok(Json(admin.rules.stop_order_job(operation, &job).await?).into_response())
}
