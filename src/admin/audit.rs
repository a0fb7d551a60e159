//! The audit trail, read.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::Serialize;

use super::answer::Refused;
use super::campaigns::limit;
use super::orders::between;
use super::owners::own;
use super::query::{parameters, query};
use super::{Admin, Answered};
use crate::access::Actor;
use crate::audit::{AuditEntry, AuditView, Head, HeadView};
use crate::control::Control;
use crate::store::AuditFilter;
use crate::wire::paged;

/// Lines of one page unless `limit` says otherwise.
const PAGE: u32 = 50;

/// What the control plane asks of [`Control`] about the audit trail.
pub trait Trail: Send + Sync {
    fn audit_page<'a>(
        &'a self,
        filter: &'a AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Answered<'a, Vec<AuditEntry>>;
    fn audit_heads(&self) -> Answered<'_, Vec<Head>>;
}

impl Trail for Control {
    fn audit_page<'a>(
        &'a self,
        filter: &'a AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Answered<'a, Vec<AuditEntry>> {
        self.audit_page(filter, before, limit).boxed()
    }

    fn audit_heads(&self) -> Answered<'_, Vec<Head>> {
        self.audit_heads().boxed()
    }
}

parameters! {
    struct AuditQuery {
        /// Of this merchant's chain alone, which is all that a key of one merchant sees.
        merchant: Option<String>,
        /// By this one alone: `admin`, `payments`, a key's name, who ran a command.
        actor: Option<String>,
        /// This one alone: `campaign.pause`; with `*` at its end, all that begin so.
        action: Option<String>,
        /// About this one alone: a campaign's id, a list's, a letter's.
        target: Option<String>,
        /// At this time or later; RFC 3339.
        #[param(format = DateTime)]
        from: Option<String>,
        /// Before this time; RFC 3339.
        #[param(format = DateTime)]
        to: Option<String>,
        /// Entries of the page at most.
        #[param(minimum = 1, maximum = 100, default = 50)]
        limit: Option<u32>,
        /// `seq` of the last line of the page before.
        before: Option<i64>,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuditTrail)]
pub(super) struct Page {
    lines: Vec<AuditView>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuditHeads)]
pub(super) struct Heads {
    heads: Vec<HeadView>,
}

/// Newest first.
pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    asked: Result<Query<AuditQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let asked = query(asked)?;
    let limit = limit(asked.limit, PAGE)?;
    let (from, to) = between(asked.from.as_deref(), asked.to.as_deref())?;
    let filter = AuditFilter {
        merchant: own(&actor, asked.merchant)?,
        actor: asked.actor,
        action: asked.action,
        target: asked.target,
        from,
        to,
    };
    let rows = admin.rules.audit_page(&filter, asked.before, limit + 1).await?;
    let (rows, next) = paged(rows, limit, |row| row.seq);
    let lines = rows.into_iter().map(AuditView::from).collect();
    Ok(Json(Page { lines, next }).into_response())
}

/// Of the chains that one sees.
pub(super) async fn heads(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Refused> {
    let heads = admin.rules.audit_heads().await?.into_iter();
    let seen = heads.filter(|head| actor.sees(&head.merchant));
    let heads = seen.map(HeadView::from).collect();
    Ok(Json(Heads { heads }).into_response())
}
