//! What people may do to a letter, besides having it sent back.

use serde_json::json;

use crate::record::LetterId;
use crate::store::{Count, DeadLetter, LetterMove, Stage};

pub(crate) fn is_discardable(stage: Stage) -> bool {
    matches!(stage, Stage::Dead | Stage::Parked | Stage::Forged)
}

pub(crate) fn not_discardable(id: &LetterId, stage: Stage) -> String {
    format!(
        "{id} is in stage {stage}: only dead, parked and forged letters can be discarded{}",
        hint(stage)
    )
}

/// A copy of it is on its way, and lands whatever is written down here.
pub(crate) fn hint(stage: Stage) -> &'static str {
    match stage {
        Stage::Retry | Stage::Replayed => "; its record is on its way, and is dead again if it does not land",
        _ => "",
    }
}

/// A parked letter is a dead one again, and may be replayed as often as others.
pub(crate) fn unpark(letter: &DeadLetter) -> LetterMove<'_> {
    LetterMove {
        letter,
        to: Stage::Dead,
        repaired: None,
        count: Count::Reset,
        detail: json!({"replays": letter.replays}),
    }
}
