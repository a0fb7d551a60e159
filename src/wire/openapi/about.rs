//! What each plane says of itself: its contract, as JSON and as a page, and its problems.

use serde_json::json;

use super::{Operation, PAGE_PATH, PATH};
use crate::wire::problem::{LIST_PATH, List, NOT_FOUND};

/// The routes that both planes have, described.
pub fn about() -> Vec<Operation> {
    let text = || json!({"type": "string"});
    vec![
        Operation::get(PATH, "showContract", "This document")
            .open()
            .answers_with(200, super::JSON, "OpenAPI 3.1.", json!({"type": "object"})),
        Operation::get(
            PAGE_PATH,
            "showContractPage",
            "This document as a page for people",
        )
        .open()
        .answers_with(200, "text/html", "The page, without script.", text()),
        Operation::get(LIST_PATH, "listProblems", "Every problem there is")
            .open()
            .answers::<List>(200, "All of them; those of rules' modules are one row."),
        Operation::get(
            "/problems/{slug}",
            "explainProblem",
            "What a problem means, and what to do",
        )
        .says("`/problems/rule/{reason}` explains the reasons of modules.")
        .open()
        .answers_with(200, "text/plain", "A text.", text())
        .refuses(&[&NOT_FOUND]),
    ]
}
