//! Where a replay sends records: back, into a retry topic, or as copies for somebody to look at.

use std::collections::BTreeSet;

use crate::bus::origin::{ATTEMPTS, CLASS, MESSAGE};
use crate::bus::{Forward, Headers};
use crate::store::DeadLetter;

/// Where records go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// To the topic and partition each came from.
    #[default]
    Back,
    /// To a retry topic that landing reads: each is tried once it has waited there.
    Retry {
        topic: String,
        partitions: BTreeSet<i32>,
    },
    /// To a topic that landing does not read. The letters stay what they are.
    Copy { topic: String },
}

impl Route {
    /// The topic, where it is not the one each record came from.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Self::Back => None,
            Self::Retry { topic, .. } | Self::Copy { topic } => Some(topic),
        }
    }

    pub(crate) fn is_copy(&self) -> bool {
        matches!(self, Self::Copy { .. })
    }

    /// Turns a record that would go back to where it came from to this way.
    pub(super) fn turn(&self, letter: &DeadLetter, mut back: Forward) -> Forward {
        match self {
            Self::Back => {}
            Self::Retry { topic, partitions } => {
                back.topic.clone_from(topic);
                back.partition = back.partition.filter(|partition| partitions.contains(partition));
            }
            Self::Copy { topic } => {
                back.topic.clone_from(topic);
                back.partition = None;
                back.headers.extend(what_is_wrong(letter));
            }
        }
        back
    }
}

pub(super) fn what_is_wrong(letter: &DeadLetter) -> Headers {
    let attempts = i32::try_from(letter.attempts).unwrap_or(i32::MAX);
    vec![
        (CLASS.into(), letter.class.clone().into_bytes()),
        (MESSAGE.into(), letter.error.clone().into_bytes()),
        (ATTEMPTS.into(), attempts.to_be_bytes().to_vec()),
    ]
}
