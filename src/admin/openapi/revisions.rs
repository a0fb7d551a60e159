//! Revisions and simulations, described.

use super::super::campaigns::ScriptQuery;
use super::super::eyes::Proposals;
use super::super::revisions::{ActivateBody, DiffQuery, Page, PageQuery, RevisionQuery, Shown};
use super::super::table::LINES_TYPE;
use crate::control::simulate::{NewSimulation, Simulation};
use crate::control::{
    Activated, ApproveBody, Approved, Carried, Compared, NewRevision, ProposalView, RevisionAnswer,
};
use crate::wire::openapi::Operation;
use crate::wire::problem::{
    ACCEPT_MISSING, ANOTHER_PERSON, APPROVAL_NEEDED, APPROVAL_STALE, CONFLICT, PROOF_FAILED,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/admin/v1/campaigns/{id}/revisions", "createRevision", "Makes a revision")
            .says("Nothing changes for orders until it is activated, which `activate_at` has done by itself.")
            .query::<RevisionQuery>()
            .keyed()
            .if_match()
            .body::<NewRevision>()
            .answers::<RevisionAnswer>(201, "The revision is stored.")
            .answers::<RevisionAnswer>(200, "Of a dry run: nothing is stored.")
            .replays()
            .of_something()
            .refuses(&[&CONFLICT, &ACCEPT_MISSING, &PROOF_FAILED]),
        Operation::get("/admin/v1/campaigns/{id}/revisions", "listRevisions", "Revisions, newest first")
            .query::<PageQuery>()
            .answers::<Page>(200, "A page of revisions.")
            .of_something(),
        Operation::get("/admin/v1/campaigns/{id}/revisions/{revision}", "showRevision", "One revision, with its history")
            .query::<ScriptQuery>()
            .answers::<Shown>(200, "What it answered when it was made, and what became of it.")
            .of_something(),
        Operation::get("/admin/v1/campaigns/{id}/revisions/{revision}/diff", "compareRevisions", "What a revision changes against another")
            .query::<DiffQuery>()
            .answers::<Compared>(200, "The changes.")
            .of_something(),
        Operation::post("/admin/v1/campaigns/{id}/revisions/{revision}/approve", "approveRevision", "Approves a revision that another person made")
            .says("The digest is that of what was looked at: what has changed since is not approved.")
            .body::<ApproveBody>()
            .answers::<Approved>(200, "It is approved, now or before.")
            .of_something()
            .refuses(&[&ANOTHER_PERSON, &APPROVAL_NEEDED, &APPROVAL_STALE, &CONFLICT]),
        Operation::delete("/admin/v1/campaigns/{id}/revisions/{revision}/approve", "withdrawApproval", "Takes all approvals of a revision back that is not in force")
            .answers::<Approved>(200, "Nobody's approval counts any more.")
            .of_something()
            .refuses(&[&CONFLICT]),
        Operation::get("/admin/v1/campaigns/{id}/proposals", "listProposals", "Changes that wait for another person, and what became of others")
            .answers::<Proposals>(200, "The newest hundred, newest first.")
            .of_something(),
        Operation::post("/admin/v1/campaigns/{id}/proposals/{proposal}/approve", "approveProposal", "Approves a change that another person proposed, and makes it")
            .body::<ApproveBody>()
            .answers::<Carried>(200, "The change is made.")
            .of_something()
            .refuses(&[&ANOTHER_PERSON, &APPROVAL_NEEDED, &APPROVAL_STALE, &CONFLICT, &ACCEPT_MISSING, &PROOF_FAILED]),
        Operation::delete("/admin/v1/campaigns/{id}/proposals/{proposal}", "withdrawProposal", "Takes a proposal back that waits")
            .answers::<ProposalView>(200, "It is not made any more.")
            .of_something()
            .refuses(&[&CONFLICT]),
        Operation::post("/admin/v1/campaigns/{id}/activate", "activateRevision", "Puts a revision in force, an earlier one as well")
            .keyed()
            .if_match()
            .body::<ActivateBody>()
            .answers::<Activated>(200, "No gateway can admit under an older revision any more.")
            .replays()
            .of_something()
            .refuses(&[&APPROVAL_NEEDED, &APPROVAL_STALE, &CONFLICT, &ACCEPT_MISSING, &PROOF_FAILED]),
        Operation::post("/admin/v1/campaigns/{id}/simulate", "simulate", "Replays recorded attempts under other rules")
            .says("Nothing is stored. As JSON lines, the first line is the same body and the attempts come on those behind it.")
            .body::<NewSimulation>()
            .or_lines(LINES_TYPE)
            .answers::<Simulation>(200, "What the new rules would have answered otherwise.")
            .of_something()
            .refuses(&[&CONFLICT]),
    ]
}
