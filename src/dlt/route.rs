//! Where a replay sends records: back, into a retry topic, or as copies for somebody to look at.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use super::Desk;
use crate::bus::origin::{ATTEMPTS, CLASS, MESSAGE};
use crate::bus::{BusError, Forward, Headers};
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

    pub(super) fn is_copy(&self) -> bool {
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

impl Desk {
    /// What `--to` names. Asks the bus whether the topic is there, so that none is made by a slip of the keyboard.
    pub(super) async fn route(&self, to: Option<&str>) -> anyhow::Result<Route> {
        let Some(topic) = to else { return Ok(Route::Back) };
        let topic = topic.to_owned();
        if self.targets.contains(&topic) {
            return Ok(Route::Back);
        }
        if topic == self.dead_letters {
            bail!("--to {topic}: the dead letters are there already, and nobody reads that topic");
        }
        let is_retry = self.retries.contains(&topic);
        if !is_retry && (topic.ends_with(".orders") || topic.contains(".orders.")) {
            let retries = self.retries.join(", ");
            bail!(
                "--to {topic}: it is named like a topic of another deployment, which would land these orders; name one \
                 of this one's retry topics ({retries}), or a topic for analysis"
            );
        }
        let Some(producer) = &self.producer else {
            // A trial reaches no bus.
            return Ok(match is_retry {
                true => Route::Retry {
                    topic,
                    partitions: BTreeSet::new(),
                },
                false => Route::Copy { topic },
            });
        };
        let marks = match producer.high_watermarks(&topic).await {
            // Whoever made the topics of this deployment did not make that one.
            Err(BusError::NoTopic { brokers, .. }) => {
                bail!(
                    "--to {topic}: Kafka at {brokers} has no such topic; {}",
                    self.ways(is_retry)
                )
            }
            marks => marks.with_context(|| format!("--to {topic}: nothing was sent"))?,
        };
        if marks.is_empty() {
            bail!("--to {topic}: there is no such topic; {}", self.ways(is_retry));
        }
        Ok(match is_retry {
            true => Route::Retry {
                topic,
                partitions: marks.into_keys().collect(),
            },
            false => Route::Copy { topic },
        })
    }

    /// What `--to` may name instead of a topic that is not there.
    fn ways(&self, is_retry: bool) -> String {
        if is_retry {
            return "it is a retry topic of this deployment, which `rushgate migrate` makes. Nothing was sent".to_owned();
        }
        let (own, retries) = (self.targets.join(", "), self.retries.join(", "));
        let retries = match retries.is_empty() {
            true => String::new(),
            false => format!("a retry topic, to land from there: {retries}; "),
        };
        format!(
            "nothing was sent. It may name {retries}or a topic for analysis, which has to be made first. Without --to each \
             record goes back to where it came from: {own}"
        )
    }
}
