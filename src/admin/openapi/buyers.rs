//! One buyer's data, described.

use serde_json::json;

use super::super::buyers::{BuyerQuery, EraseQuery};
use super::super::table::LINES_TYPE;
use crate::control::{EraseBody, ErasureView};
use crate::wire::openapi::Operation;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/admin/v1/buyers/{user}/data",
            "exportBuyer",
            "All there is of a buyer",
        )
        .query::<BuyerQuery>()
        .answers_with(
            200,
            LINES_TYPE,
            "An object on each line with its `kind`, and `end` as the last one.",
            json!({"type": "string"}),
        )
        .tells("Content-Disposition", "The name of the file.")
        .of_something(),
        Operation::post(
            "/admin/v1/buyers/{user}/erase",
            "eraseBuyer",
            "Asks for a buyer to be erased",
        )
        .query::<EraseQuery>()
        .keyed()
        .body_if_any::<EraseBody>()
        .answers::<ErasureView>(202, "The erasure, or the one that is open already.")
        .answers::<ErasureView>(200, "Of a dry run, what there is.")
        .of_something()
        .replays(),
        Operation::get(
            "/admin/v1/buyers/{user}/erasure",
            "showErasure",
            "What stands of the newest erasure of a buyer",
        )
        .query::<BuyerQuery>()
        .answers::<ErasureView>(200, "The erasure.")
        .of_something(),
    ]
}
