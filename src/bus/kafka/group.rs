//! A consumer group seen from outside: the partitions that no member has, and how the group is made to share them out.
//!
//! Kafka hands a static member that comes back what it had, without a rebalance. A member that dies after it was told to let
//! go of partitions, and before it says that it did, comes back without them; the one that was to get them waits for that
//! word. They are nobody's then until anything else makes the group rebalance.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::groups::GroupMemberInfo;
use rdkafka::producer::Producer as _;

use super::consumer::join;
use super::{ASK_LIMIT, Config, KafkaProducer};
use crate::bus::BusError;

/// The state of a group whose members all know what they have.
const STABLE: &str = "Stable";
/// How long a member that comes only to make the group rebalance stays at most. A group waits for its members.
const STAY_MAX: Duration = Duration::from_secs(30);

impl KafkaProducer {
    /// Partitions of a topic that have no leader: nobody can read them.
    pub fn leaderless(&self, topic: &str) -> BoxFuture<'_, Result<BTreeSet<i32>, BusError>> {
        let topic = topic.to_owned();
        self.ask(move |config, client| {
            let metadata = client.client().fetch_metadata(Some(&topic), ASK_LIMIT);
            let metadata = metadata.map_err(|error| config.unreachable(&error))?;
            let found = metadata.topics().iter().find(|each| each.name() == topic);
            let partitions = found.ok_or_else(|| config.no_topic(&topic))?.partitions();
            let leaderless = partitions.iter().filter(|partition| partition.leader() < 0);
            Ok(leaderless.map(|partition| partition.id()).collect())
        })
    }

    /// Partitions of a topic that no member of a group has; none while the group rebalances, and none for a group
    /// without members.
    pub fn unassigned(&self, topic: &str, group: &str) -> BoxFuture<'_, Result<BTreeSet<i32>, BusError>> {
        let (topic, group) = (topic.to_owned(), group.to_owned());
        self.ask(move |config, client| {
            let list = client
                .client()
                .fetch_group_list(Some(&group), ASK_LIMIT)
                .map_err(|error| config.unreachable(&error))?;
            let stable = list
                .groups()
                .iter()
                .find(|each| each.name() == group && each.state() == STABLE);
            let Some(stable) = stable else {
                return Ok(BTreeSet::new());
            };
            let all = config.partitions(client.client(), &topic)?;
            let mut unassigned = BTreeSet::from_iter(all);
            for member in stable.members() {
                let assigned = assigned(member, &topic).ok_or_else(|| unclear(&group))?;
                unassigned.retain(|partition| !assigned.contains(partition));
            }
            Ok(unassigned)
        })
    }
}

fn unclear(group: &str) -> BusError {
    BusError::Unreadable(format!(
        "what a member of group {group} has is written in no known form"
    ))
}

/// Makes the group share out its partitions: joins it as a member of no name, for which Kafka always rebalances, and
/// leaves. Reads nothing. Blocks for seconds.
pub fn rebalance(config: &Config) -> Result<(), BusError> {
    let visitor = Config {
        instance: None,
        ..config.clone()
    };
    let consumer = join(&visitor, Visit::default())?;
    let begun = Instant::now();
    while !consumer.context().shared.load(Ordering::Relaxed) && begun.elapsed() < STAY_MAX {
        // Records and errors are the others' business.
        drop(consumer.poll(Duration::from_millis(100)));
    }
    Ok(())
}

/// Learns that the group has shared out its partitions.
#[derive(Default)]
struct Visit {
    shared: AtomicBool,
}

impl ClientContext for Visit {}

impl ConsumerContext for Visit {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.shared.store(true, Ordering::Relaxed);
    }
}

fn assigned(member: &GroupMemberInfo, topic: &str) -> Option<BTreeSet<i32>> {
    match member.assignment() {
        None | Some([]) => Some(BTreeSet::new()),
        Some(bytes) => Reader(bytes).assignment(topic),
    }
}

/// Kafka's consumer protocol, as group members write it: big-endian, lengths before contents.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(i32::from_be_bytes(self.bytes()?)).ok()
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(i16::from_be_bytes(self.bytes()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    /// A version, the topics with their partitions, and data of the assignor's own, which is not read.
    fn assignment(mut self, topic: &str) -> Option<BTreeSet<i32>> {
        let _version = self.bytes::<2>()?;
        let mut partitions = BTreeSet::new();
        for _ in 0..self.length()? {
            let wanted = self.text()? == topic.as_bytes();
            for _ in 0..self.length()? {
                let partition = i32::from_be_bytes(self.bytes()?);
                if wanted {
                    partitions.insert(partition);
                }
            }
        }
        Some(partitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 0; `a` with 0 and 3, `bc` with 1; no data.
    const BYTES: &[u8] = &[
        0, 0, 0, 0, 0, 2, 0, 1, b'a', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 2, b'b', b'c', 0, 0, 0, 1, 0, 0,
        0, 1, 0, 0, 0, 0,
    ];

    #[test]
    fn an_assignment_is_read() {
        assert_eq!(Reader(BYTES).assignment("a"), Some(BTreeSet::from([0, 3])));
        assert_eq!(Reader(BYTES).assignment("bc"), Some(BTreeSet::from([1])));
        assert_eq!(Reader(BYTES).assignment("b"), Some(BTreeSet::new()));
    }

    #[test]
    fn half_an_assignment_is_none() {
        let read = BYTES.len() - 4;
        for length in 0..read {
            assert_eq!(Reader(&BYTES[..length]).assignment("a"), None, "{length}");
        }
        let negative = [&[0, 0], &(-1_i32).to_be_bytes()[..]].concat();
        assert_eq!(Reader(&negative).assignment("a"), None);
    }
}
