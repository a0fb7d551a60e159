//! Dead letters: records that failed to land, where they were first and where they are now.
//!
//! Landing writes the rows; `query` finds them, `moves` moves them on for people, `discard` gives them up with their orders.

pub(in crate::store) mod moved;
pub(in crate::store) mod places;

use std::fmt;
use std::str::FromStr;

use crate::order::OrderEvent;

mod discard;
mod moves;
mod query;

pub use discard::{DISCARDED, Discarded};

/// Where a record, or an order of one, was when it failed first: the id of a dead letter,
/// `<topic>/<partition>/<offset>`, and `:<position>` where that is not 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Of the order in its record.
    pub position: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)?;
        match self.position {
            0 => Ok(()),
            position => write!(f, ":{position}"),
        }
    }
}

/// The text is no id of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no id of a dead letter: write <topic>/<partition>/<offset> or <topic>/<partition>/<offset>:<position>, \
     as `rushgate dlt list` prints it"
)]
pub struct OriginError(String);

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let odd = || OriginError(text.to_owned());
        let mut parts = text.rsplitn(3, '/');
        let place = parts.next().map(|part| match part.split_once(':') {
            Some((offset, position)) => (offset, position),
            None => (part, "0"),
        });
        let offset = place
            .and_then(|(offset, _)| offset.parse().ok())
            .filter(|n| *n >= 0);
        let position = place
            .and_then(|(_, position)| position.parse().ok())
            .filter(|n| i32::try_from(*n).is_ok());
        let partition = parts
            .next()
            .and_then(|part| part.parse().ok())
            .filter(|n| *n >= 0);
        let topic = parts.next().filter(|topic| !topic.is_empty());
        Ok(Self {
            topic: topic.ok_or_else(odd)?.to_owned(),
            partition: partition.ok_or_else(odd)?,
            offset: offset.ok_or_else(odd)?,
            position: position.ok_or_else(odd)?,
        })
    }
}

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
    pub origin: Origin,
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
    fn ids_read_back_and_wrong_ones_say_what_is_right() {
        let origin: Origin = "rushgate.orders/3/17".parse().expect("an id");
        assert_eq!((origin.partition, origin.offset, origin.position), (3, 17, 0));
        assert_eq!(origin.to_string(), "rushgate.orders/3/17");
        let seventh: Origin = "rushgate.orders/3/17:7".parse().expect("an id");
        assert_eq!((seventh.offset, seventh.position), (17, 7));
        assert_eq!(seventh.to_string(), "rushgate.orders/3/17:7");
        assert!(origin < seventh, "in the order of the record");
        for wrong in [
            "",
            "3/17",
            "/3/17",
            "t/x/1",
            "t/1/-1",
            "t/1",
            "t/1/2/x",
            "t/1/2:",
            "t/1/2:x",
            "t/1/:2",
            "t/1/2:-1",
            "t/1/2:3000000000",
        ] {
            let error = wrong.parse::<Origin>().expect_err(wrong).to_string();
            assert!(error.contains("<topic>/<partition>/<offset>"), "{error}");
        }
        assert!("soon".parse::<Stage>().expect_err("none").contains("parked"));
    }
}
