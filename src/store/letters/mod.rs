//! Dead letters: records that failed to land, where they were first and where they are now.
//!
//! Landing writes the rows; `query` finds them, `moves` moves them on for people, `discard` gives them up with their orders.

pub(in crate::store) mod moved;
pub(in crate::store) mod places;

use std::fmt;
use std::str::FromStr;

use crate::order::OrderEvent;
use crate::record::LetterId;

mod discard;
mod moves;
pub(in crate::store) mod query;

pub use discard::Discarded;

/// Where a dead letter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Waits in a retry topic.
    Retry,
    /// In the dead letters: a person has to look.
    Dead,
    /// Sent back to its topic; it has not landed since.
    Replayed,
    /// Failed after so many replays that it is left alone.
    Parked,
    /// Given up by a person.
    Discarded,
    /// In the database after all.
    Landed,
    /// None of ours wrote it: it is kept for people to look at, and holds nothing.
    Forged,
}

impl Stage {
    pub const ALL: [Self; 7] = [
        Self::Retry,
        Self::Dead,
        Self::Replayed,
        Self::Parked,
        Self::Discarded,
        Self::Landed,
        Self::Forged,
    ];

    /// Stages whose orders may land yet: they hold their stock and what they count.
    pub const OPEN: [Self; 4] = [Self::Retry, Self::Dead, Self::Replayed, Self::Parked];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Dead => "dead",
            Self::Replayed => "replayed",
            Self::Parked => "parked",
            Self::Discarded => "discarded",
            Self::Landed => "landed",
            Self::Forged => "forged",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|stage| stage.as_str() == text);
        found.ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no stage; stages are {all}")
        })
    }
}

/// One row of `dead_letters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub origin: LetterId,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    /// The last one.
    pub error: String,
    pub stage: Stage,
    pub class: String,
    /// Landings that were tried.
    pub attempts: i64,
    /// Times it was sent back to its topic.
    pub replays: i64,
    /// `None` where the record is no order; so the three below.
    pub order: Option<String>,
    pub campaign: Option<String>,
    pub sku: Option<String>,
    pub quantity: Option<i64>,
    pub failed_at: i64,
    /// The timestamp it had in its topic.
    pub recorded_at: Option<i64>,
    /// When it came to its stage, if not by its first failure.
    pub changed_at: Option<i64>,
    /// When it is going to be sent back, if somebody asked for that.
    pub replay_at: Option<i64>,
    /// To this topic, if not to the one it came from.
    pub replay_to: Option<String>,
}

/// Which dead letters; what is empty matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    pub campaign: Option<String>,
    /// Of a campaign of this merchant. What is no order is of none.
    pub merchant: Option<String>,
    /// The record's whole key, or its start.
    pub key: Option<KeyMatch>,
    pub classes: Vec<String>,
    /// Contained in the error.
    pub error: Option<String>,
    /// In its stage since this moment or a later one.
    pub since: Option<i64>,
    /// In its stage since before this moment.
    pub until: Option<i64>,
    pub stages: Vec<Stage>,
    /// Whose record was in one of these topics first.
    pub topics: Vec<String>,
    /// Replayed less often than this.
    pub replays_below: Option<i64>,
    pub replay: ReplayMatch,
}

/// Whether a replay is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplayMatch {
    #[default]
    Any,
    /// Nobody asked for one.
    None,
    /// Somebody did, for whatever moment.
    Asked,
    /// One was to happen at this moment or before.
    Due(i64),
}

/// Which letters come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LetterOrder {
    /// By topic, partition and offset.
    Origin,
    /// Those longest in their stage.
    Oldest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMatch {
    Exact(Vec<u8>),
    Prefix(Vec<u8>),
}

/// How many dead letters of a stage and class there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterTotal {
    pub stage: Stage,
    pub class: String,
    pub letters: u64,
}

/// A dead letter on its way to another stage, by somebody.
#[derive(Clone, Debug)]
pub struct LetterMove<'a> {
    /// As it was read.
    pub letter: &'a DeadLetter,
    pub to: Stage,
    /// What was sent instead of the payload that failed.
    pub repaired: Option<(&'a [u8], &'a OrderEvent)>,
    /// What its number of replays becomes.
    pub count: Count,
    /// For the audit trail.
    pub detail: serde_json::Value,
}

/// What a move does to the number of replays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Keep,
    /// One more, also where the letter was moved on meanwhile: it was sent.
    Add,
    Reset,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_stage_says_which_there_are() {
        assert!("soon".parse::<Stage>().expect_err("none").contains("parked"));
    }
}
