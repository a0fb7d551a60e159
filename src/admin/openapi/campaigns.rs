//! Campaigns, their stock, and the buttons of the running sale, described.

use super::super::campaigns::{CreateQuery, Page, PageQuery, ScriptQuery, Shown};
use super::super::lifetime::DeleteQuery;
use super::super::reconcile::Asked;
use super::super::running::{ChangeQuery, NoteBody, PauseBody};
use super::super::stock::StockQuery;
use crate::control::{
    CampaignChange, CampaignChanged, Ended, NewCampaign, NewClone, NewSku, PauseAnswer, Planned, Proposed,
    RevisionAnswer, StockBody, StockChanged,
};
use crate::reconcile::Summary;
use crate::wire::openapi::Operation;
use crate::wire::problem::{
    ACCEPT_MISSING, APPROVAL_NEEDED, APPROVAL_STALE, CONFLICT, INVALID, PROOF_FAILED,
};

/// Of a campaign in which two people have to agree.
const WAITS: &str = "Nothing is changed yet: it waits for the approval of another person.";

pub(super) fn operations() -> Vec<Operation> {
    let mut all = made();
    all.extend(running());
    all.extend(stock());
    all.push(reconciled());
    all
}

fn reconciled() -> Operation {
    Operation::post(
        "/admin/v1/campaigns/{id}/reconcile",
        "reconcileCampaign",
        "What Redis and the database have of it, compared, and put right where that is asked for",
    )
    .body_if_any::<Asked>()
    .answers::<Summary>(200, "The differences, by kind, with examples.")
    .of_something()
    .refuses(&[&CONFLICT])
}

fn made() -> Vec<Operation> {
    vec![
        Operation::post(
            "/admin/v1/campaigns",
            "createCampaign",
            "Creates a campaign with revision 1, active",
        )
        .says("`dry_run=true` refuses whatever creating it would be refused for, and writes nothing.")
        .query::<CreateQuery>()
        .keyed()
        .body::<NewCampaign>()
        .answers::<RevisionAnswer>(201, "What its revision answers.")
        .answers::<RevisionAnswer>(200, "Of a dry run, what its revision would answer.")
        .tells("Location", "The campaign.")
        .replays()
        .refuses(&[&CONFLICT, &PROOF_FAILED]),
        Operation::get("/admin/v1/campaigns", "listCampaigns", "Campaigns, newest first")
            .query::<PageQuery>()
            .answers::<Page>(200, "A page of campaigns.")
            .of_something(),
        Operation::get(
            "/admin/v1/campaigns/{id}",
            "showCampaign",
            "One campaign, with its figures",
        )
        .says("The ETag is another one after each change through the control plane, and stays while orders come and go: its figures, and the state \
            that time brings, go on under it.")
        .answers::<Shown>(200, "The campaign.")
        .tagged()
        .of_something(),
        Operation::patch(
            "/admin/v1/campaigns/{id}",
            "changeCampaign",
            "Other times, another title, other origins or terms of orders",
        )
        .says("What is left out stays. What is so already is answered 200 and changes nothing.")
        .query::<ChangeQuery>()
        .keyed()
        .body::<CampaignChange>()
        .answers::<CampaignChanged>(200, "Every gateway goes by it; of a dry run, what it would be.")
        .answers::<Proposed>(202, WAITS)
        .replays()
        .if_match()
        .of_something()
        .refuses(&[
            &APPROVAL_NEEDED,
            &APPROVAL_STALE,
            &CONFLICT,
            &ACCEPT_MISSING,
            &PROOF_FAILED,
        ]),
        Operation::delete(
            "/admin/v1/campaigns/{id}",
            "deleteCampaign",
            "Removes a campaign that never admitted anybody",
        )
        .query::<DeleteQuery>()
        .answers_nothing(204, "No gateway serves it any more; its id is free.")
        .if_match()
        .of_something()
        .refuses(&[&APPROVAL_NEEDED, &CONFLICT, &INVALID]),
        Operation::post(
            "/admin/v1/campaigns/{id}/clone",
            "cloneCampaign",
            "Creates a campaign like this one",
        )
        .query::<ScriptQuery>()
        .keyed()
        .body::<NewClone>()
        .answers::<RevisionAnswer>(201, "What the revision of the new campaign answers.")
        .tells("Location", "The new campaign.")
        .replays()
        .of_something()
        .refuses(&[&CONFLICT, &PROOF_FAILED]),
    ]
}

fn running() -> Vec<Operation> {
    vec![
        Operation::post(
            "/admin/v1/campaigns/{id}/pause",
            "pauseCampaign",
            "Stops admissions",
        )
        .says("At once, or with `pause_at` at that moment.")
        .keyed()
        .body_if_any::<PauseBody>()
        .answers_either::<PauseAnswer, Planned>(200, "No gateway admits any more, or the pause is scheduled.")
        .replays()
        .if_match()
        .of_something()
        .refuses(&[&APPROVAL_NEEDED, &CONFLICT]),
        Operation::post(
            "/admin/v1/campaigns/{id}/resume",
            "resumeCampaign",
            "Lets a paused sale go on",
        )
        .keyed()
        .body_if_any::<NoteBody>()
        .answers::<PauseAnswer>(200, "Every gateway takes orders again.")
        .replays()
        .if_match()
        .of_something()
        .refuses(&[&APPROVAL_NEEDED, &CONFLICT]),
        Operation::post(
            "/admin/v1/campaigns/{id}/end",
            "endCampaign",
            "Ends the sale now, for good",
        )
        .keyed()
        .body_if_any::<NoteBody>()
        .answers::<Ended>(200, "Every gateway says that the sale is over.")
        .replays()
        .if_match()
        .of_something()
        .refuses(&[&CONFLICT, &PROOF_FAILED]),
        Operation::delete(
            "/admin/v1/campaigns/{id}/scheduled/{change}",
            "unschedule",
            "Cancels what waits for its moment",
        )
        .keyed()
        .answers::<Planned>(200, "It is cancelled, now or before.")
        .replays()
        .if_match()
        .of_something()
        .refuses(&[&CONFLICT, &INVALID]),
    ]
}

fn stock() -> Vec<Operation> {
    let change = |path, id, summary| {
        Operation::post(path, id, summary)
            .says("The body has exactly one of `add`, `remove` and `set`.")
            .query::<StockQuery>()
            .keyed()
            .body::<StockBody>()
            .answers::<StockChanged>(200, "The units are on sale at every gateway, or those taken off at none; of a dry run, what it would be.")
            .answers::<Proposed>(202, WAITS)
            .replays()
            .if_match()
            .of_something()
            .refuses(&[&APPROVAL_NEEDED, &APPROVAL_STALE, &CONFLICT, &ACCEPT_MISSING, &PROOF_FAILED])
    };
    vec![
        Operation::post(
            "/admin/v1/campaigns/{id}/skus",
            "addSku",
            "Puts one more SKU on sale",
        )
        .query::<StockQuery>()
        .keyed()
        .body::<NewSku>()
        .answers::<StockChanged>(201, "It is on sale at every gateway.")
        .answers::<StockChanged>(200, "Of a dry run, what it would be.")
        .answers::<Proposed>(202, WAITS)
        .replays()
        .if_match()
        .of_something()
        .refuses(&[
            &APPROVAL_NEEDED,
            &APPROVAL_STALE,
            &CONFLICT,
            &ACCEPT_MISSING,
            &PROOF_FAILED,
        ]),
        change(
            "/admin/v1/campaigns/{id}/skus/{sku}/stock",
            "changeStock",
            "Changes how many units of a SKU there are",
        ),
        change(
            "/admin/v1/campaigns/{id}/stock",
            "changeStockOfNamed",
            "The same, with the SKU in the body as `sku`",
        ),
    ]
}
