//! The audit trail, described.

use super::super::audit::{AuditQuery, Heads, Page};
use crate::wire::openapi::Operation;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/admin/v1/audit", "listAudit", "Who changed what, newest first")
            .query::<AuditQuery>()
            .answers::<Page>(200, "A page of lines."),
        Operation::get(
            "/admin/v1/audit/head",
            "showAuditHeads",
            "The last line of each chain, to be noted elsewhere",
        )
        .answers::<Heads>(200, "The heads."),
    ]
}
