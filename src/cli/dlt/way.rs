//! Where `--to` sends a record.

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use super::Desk;
use crate::bus::BusError;
use crate::letters::Route;

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
