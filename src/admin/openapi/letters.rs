//! Dead letters, described.

use super::super::letters::{ActQuery, LettersQuery, Page, Repair};
use crate::letters::{Asked, Done, LetterInFull};
use crate::wire::openapi::Operation;
use crate::wire::problem::{CONFLICT, UNKNOWN};

pub(super) fn operations() -> Vec<Operation> {
    let act = |path, name, summary| {
        Operation::post(path, name, summary)
            .query::<ActQuery>()
            .body::<Asked>()
            .answers::<Done>(200, "What was done, or would be.")
            .refuses(&[&CONFLICT, &UNKNOWN])
    };
    vec![
        Operation::get(
            "/admin/v1/letters",
            "listLetters",
            "Orders that could not land, in order of their records",
        )
        .query::<LettersQuery>()
        .answers::<Page>(
            200,
            "A page of letters, and how many there are of each stage and class.",
        )
        .refuses(&[&UNKNOWN]),
        act(
            "/admin/v1/letters/replay",
            "replayLetters",
            "Has a lander send letters back to where they came from",
        ),
        act(
            "/admin/v1/letters/cancel",
            "cancelReplays",
            "Takes back replays that are still to come",
        ),
        act(
            "/admin/v1/letters/unpark",
            "unparkLetters",
            "Makes parked letters dead ones again, as if they had never been replayed",
        ),
        act(
            "/admin/v1/letters/discard",
            "discardLetters",
            "Gives letters up, and their orders with them",
        ),
        Operation::get(
            "/admin/v1/letters/{topic}/{partition}/{offset}",
            "showLetter",
            "One letter with its payload, which is a buyer's order",
        )
        .answers::<LetterInFull>(200, "The letter.")
        .of_something(),
        Operation::post(
            "/admin/v1/letters/{topic}/{partition}/{offset}/repair",
            "repairLetter",
            "Another payload for a letter, which is sent instead of what failed",
        )
        .body::<Repair>()
        .answers::<LetterInFull>(200, "The letter as it is now.")
        .of_something()
        .refuses(&[&CONFLICT]),
    ]
}
