//! Watermarks: one question per broker for all partitions of a topic, where asking partition by partition takes two each.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{ASK_LIMIT, Config, unusable};
use crate::bus::BusError;

/// A client that only asks: librdkafka gives this question to consumers alone. It joins no group and reads nothing.
pub(super) struct Asker(BaseConsumer);

impl Asker {
    pub(super) fn new(config: &Config) -> Result<Self, BusError> {
        let own = [("enable.auto.commit", "false")];
        let made = config.client(&own, &BTreeMap::new()).create();
        made.map(Self).map_err(unusable)
    }

    /// One past the last record of each of these partitions. Blocks.
    pub(super) fn ends(
        &self,
        config: &Config,
        topic: &str,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, i64>, BusError> {
        let mut asked = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            let added = asked.add_partition_offset(topic, *partition, Offset::End);
            added.map_err(|error| config.unreachable(&error))?;
        }
        // What it has to say meanwhile (errors, tokens that run out) is heard here alone.
        drop(self.0.poll(Duration::ZERO));
        let answered = self.0.offsets_for_times(asked, ASK_LIMIT);
        let answered = answered.map_err(|error| config.unreachable(&error))?;
        let mut ends = BTreeMap::new();
        for element in answered.elements_for_topic(topic) {
            element.error().map_err(|error| config.unreachable(&error))?;
            match element.offset() {
                Offset::Offset(end) => ends.insert(element.partition(), end),
                other => return Err(unclear(topic, element.partition(), other)),
            };
        }
        match partitions.iter().find(|partition| !ends.contains_key(partition)) {
            Some(partition) => Err(unclear(topic, *partition, Offset::Invalid)),
            None => Ok(ends),
        }
    }
}

fn unclear(topic: &str, partition: i32, said: Offset) -> BusError {
    BusError::Unreadable(format!(
        "Kafka does not say where partition {partition} of {topic} ends ({said:?})"
    ))
}
