//! Lists and their members, described.

use serde_json::json;

use super::super::audiences::{AudiencesAnswer, PageQuery, UploadAnswer, UploadQuery, VersionsAnswer};
use super::super::members::{AskAnswer, AskQuery, ChangeAnswer, PutQuery, RemoveQuery};
use crate::wire::openapi::Operation;
use crate::wire::problem::{ACCEPT_MISSING, CONFLICT, INVALID, PROOF_FAILED};

pub(super) fn operations() -> Vec<Operation> {
    let mut all = lists();
    all.extend(members());
    all
}

fn lists() -> Vec<Operation> {
    let text = || json!({"type": "string"});
    vec![
        Operation::get(
            "/admin/v1/audiences",
            "listLists",
            "The newest version of each list, the one that changed last first",
        )
        .answers::<AudiencesAnswer>(200, "All lists."),
        Operation::get(
            "/admin/v1/audiences/{id}",
            "showList",
            "Versions of a list, newest first",
        )
        .query::<PageQuery>()
        .answers::<VersionsAnswer>(200, "A page of versions; the ETag is of the newest.")
        .tagged()
        .of_something(),
        Operation::put(
            "/admin/v1/audiences/{id}",
            "uploadList",
            "Uploads a version of a list",
        )
        .says("The body may be compressed with gzip.")
        .query::<UploadQuery>()
        .if_match()
        .raw_body(
            "A member on each line, or a table.",
            &[("text/plain", text()), ("text/csv", text())],
        )
        .answers::<UploadAnswer>(201, "A new version.")
        .answers::<UploadAnswer>(200, "The newest version has the same members.")
        .of_something()
        .refuses(&[&CONFLICT, &INVALID, &ACCEPT_MISSING, &PROOF_FAILED]),
        Operation::delete(
            "/admin/v1/audiences/{id}/{version}",
            "deleteListVersion",
            "Removes a version that nothing pins",
        )
        .answers_nothing(204, "It is gone.")
        .of_something()
        .refuses(&[&CONFLICT]),
        Operation::get(
            "/admin/v1/audiences/{id}/{version}/members",
            "downloadMembers",
            "All members of a version, in no order",
        )
        .answers_with(
            200,
            "text/plain",
            "One on each line, or a table for whom asks for that.",
            text(),
        )
        .answers_with(
            200,
            "text/csv",
            "One on each line, or a table for whom asks for that.",
            text(),
        )
        .of_something(),
    ]
}

fn members() -> Vec<Operation> {
    let path = "/admin/v1/audiences/{id}/members/{member}";
    vec![
        Operation::get(path, "askMember", "Whether somebody is on a list")
            .query::<AskQuery>()
            .answers::<AskAnswer>(200, "Yes or no.")
            .of_something()
            .refuses(&[&INVALID]),
        Operation::put(
            path,
            "putMember",
            "Puts one member on the newest version, as a new one",
        )
        .query::<PutQuery>()
        .answers::<ChangeAnswer>(201, "A new version.")
        .answers::<ChangeAnswer>(200, "The member is on the list already.")
        .of_something()
        .refuses(&[&CONFLICT, &INVALID, &ACCEPT_MISSING, &PROOF_FAILED]),
        Operation::delete(path, "removeMember", "Takes one member off")
            .query::<RemoveQuery>()
            .answers::<ChangeAnswer>(200, "Which version is without the member.")
            .of_something()
            .refuses(&[&CONFLICT, &INVALID, &ACCEPT_MISSING, &PROOF_FAILED]),
    ]
}
