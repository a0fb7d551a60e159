//! Four eyes: revisions approved, and changes that wait for another person.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::Serialize;

use super::answer::{Refused, read_json};
use super::caller::Caller;
use super::revisions::named;
use super::{Admin, Answered};
use crate::control::{
    APPROVE, ApproveBody, Approved, Carried, Control, Operation, PROPOSAL_APPROVE, PROPOSAL_WITHDRAW,
    ProposalView, WITHDRAW,
};

/// What the control plane asks of [`Control`] where two people have to agree.
pub trait Eyes: Send + Sync {
    fn approve<'a>(
        &'a self,
        operation: Operation<'a>,
        revision: u32,
        digest: &'a str,
    ) -> Answered<'a, Approved>;
    fn withdraw<'a>(&'a self, operation: Operation<'a>, revision: u32) -> Answered<'a, Approved>;
    fn proposals<'a>(&'a self, campaign: &'a str) -> Answered<'a, Vec<ProposalView>>;
    fn approve_proposal<'a>(
        &'a self,
        operation: Operation<'a>,
        id: &'a str,
        digest: &'a str,
    ) -> Answered<'a, Carried>;
    fn withdraw_proposal<'a>(&'a self, operation: Operation<'a>, id: &'a str) -> Answered<'a, ProposalView>;
}

impl Eyes for Control {
    fn approve<'a>(
        &'a self,
        operation: Operation<'a>,
        revision: u32,
        digest: &'a str,
    ) -> Answered<'a, Approved> {
        self.approve(operation, revision, digest).boxed()
    }

    fn withdraw<'a>(&'a self, operation: Operation<'a>, revision: u32) -> Answered<'a, Approved> {
        self.withdraw(operation, revision).boxed()
    }

    fn proposals<'a>(&'a self, campaign: &'a str) -> Answered<'a, Vec<ProposalView>> {
        self.proposals(campaign).boxed()
    }

    fn approve_proposal<'a>(
        &'a self,
        operation: Operation<'a>,
        id: &'a str,
        digest: &'a str,
    ) -> Answered<'a, Carried> {
        self.approve_proposal(operation, id, digest).boxed()
    }

    fn withdraw_proposal<'a>(&'a self, operation: Operation<'a>, id: &'a str) -> Answered<'a, ProposalView> {
        self.withdraw_proposal(operation, id).boxed()
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Proposals {
    /// Newest first.
    proposals: Vec<ProposalView>,
}

/// The revision is approved as it was looked at.
pub(super) async fn approve(
    State(admin): State<Admin>,
    caller: Caller,
    path: Result<Path<(String, u32)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let (id, revision) = named(path)?;
    let ApproveBody { digest, note } = read_json(&headers, body).await?;
    let operation = Operation::by(caller.by(), &id, APPROVE).asked(None, note.as_deref());
    let approved = admin.rules.approve(operation, revision, &digest).await?;
    Ok(Json(approved).into_response())
}

/// Nobody's approval of the revision counts any more.
pub(super) async fn withdraw(
    State(admin): State<Admin>,
    caller: Caller,
    path: Result<Path<(String, u32)>, PathRejection>,
) -> Result<Response, Refused> {
    let (id, revision) = named(path)?;
    let operation = Operation::by(caller.by(), &id, WITHDRAW);
    Ok(Json(admin.rules.withdraw(operation, revision).await?).into_response())
}

/// Newest first, whatever became of them.
pub(super) async fn proposals(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let proposals = admin.rules.proposals(&id).await?;
    Ok(Json(Proposals { proposals }).into_response())
}

/// Answers when the change is made.
pub(super) async fn approve_proposal(
    State(admin): State<Admin>,
    caller: Caller,
    Path((id, proposal)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let ApproveBody { digest, note } = read_json(&headers, body).await?;
    let operation = Operation::by(caller.by(), &id, PROPOSAL_APPROVE).asked(None, note.as_deref());
    let carried = admin
        .rules
        .approve_proposal(operation, &proposal, &digest)
        .await?;
    Ok(Json(carried).into_response())
}

/// It is not made any more.
pub(super) async fn withdraw_proposal(
    State(admin): State<Admin>,
    caller: Caller,
    Path((id, proposal)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let operation = Operation::by(caller.by(), &id, PROPOSAL_WITHDRAW);
    let withdrawn = admin.rules.withdraw_proposal(operation, &proposal).await?;
    Ok(Json(withdrawn).into_response())
}
