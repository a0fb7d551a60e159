//! What Kafka's topics should look like, held against what they do.

use std::collections::BTreeMap;

use super::report::Finding;
use crate::bus::Topics;
use crate::bus::kafka::{TopicFacts, WEEK_MS, wanted_retention};

/// What the configuration wants.
pub(super) struct Wanted<'a> {
    pub(super) topics: &'a Topics,
    pub(super) partitions: usize,
    pub(super) replication: usize,
}

const MIGRATE: &str = "run `rushgate migrate`";
const DAY_MS: f64 = 24.0 * 3600.0 * 1000.0;

/// Whether the topics are there, with enough partitions and replicas.
pub(super) fn judge(wanted: &Wanted<'_>, there: &BTreeMap<String, TopicFacts>) -> Vec<Finding> {
    let names = wanted.topics.names();
    let missing: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !there.contains_key(*name))
        .collect();
    if !missing.is_empty() {
        return vec![Finding::failed(
            "topics",
            format!("{} not there, or not shown to this user", are(&missing)),
            MIGRATE,
        )];
    }
    let of = |name: &str| there.get(name).cloned().unwrap_or_default();
    let orders = of(&wanted.topics.orders).partitions;
    let mut findings = Vec::new();
    for name in names {
        let least = if wanted.topics.keeps_partitions(name) {
            orders
        } else {
            1
        };
        findings.extend(partitions(name, &of(name), least));
    }
    if orders < wanted.partitions {
        let found = format!(
            "{} has {orders} partitions, not {}",
            wanted.topics.orders, wanted.partitions
        );
        findings.push(Finding::warning("topics", found, MIGRATE));
    }
    let fewest = there.values().map(|topic| topic.replicas).min().unwrap_or(0);
    if fewest < wanted.replication {
        findings.push(Finding::warning(
            "topics",
            format!("topics have {fewest} replicas, not {}", wanted.replication),
            "add replicas with kafka-reassign-partitions.sh: `rushgate migrate` leaves topics that are there as they are",
        ));
    }
    if findings.is_empty() {
        let replicas = if fewest == 1 {
            "1 replica".to_owned()
        } else {
            format!("{fewest} replicas")
        };
        findings.push(Finding::ok(
            "topics",
            format!("{} topics of {orders} partitions, {replicas}", there.len()),
        ));
    }
    findings
}

fn partitions(name: &str, topic: &TopicFacts, orders: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    if topic.led < topic.partitions {
        findings.push(Finding::failed(
            "topics",
            format!(
                "{} of {} partitions of {name} have no leader",
                topic.partitions - topic.led,
                topic.partitions
            ),
            "start the brokers that are away",
        ));
    }
    if topic.partitions < orders {
        findings.push(Finding::failed(
            "topics",
            format!("{name} has {} partitions, fewer than the {orders} of the orders: a record that is moved keeps its number", topic.partitions),
            MIGRATE,
        ));
    }
    if topic.in_sync < topic.replicas {
        findings.push(Finding::warning(
            "topics",
            format!(
                "a partition of {name} has {} of {} replicas in sync",
                topic.in_sync, topic.replicas
            ),
            "start the brokers that are away: kafka-topics.sh --describe --under-replicated-partitions",
        ));
    }
    findings
}

fn are(names: &[&str]) -> String {
    match names {
        [one] => format!("topic {one} is"),
        several => format!("topics {} are", several.join(", ")),
    }
}

/// Whether the topics keep what they are given.
pub(super) fn judge_settings(
    wanted: &Wanted<'_>,
    settings: &BTreeMap<String, BTreeMap<String, String>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in wanted.topics.names() {
        let Some(settings) = settings.get(name) else {
            continue;
        };
        let set = |key: &str| settings.get(key).map(String::as_str).unwrap_or_default();
        findings.extend(kept(name, wanted.topics, &set));
        findings.extend(safe(name, wanted.replication, &set));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(
            "settings",
            "records are kept long enough, and written to enough replicas",
        ));
    }
    findings
}

fn alter(topic: &str, setting: &str) -> String {
    format!("kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {setting}")
}

fn kept<'a>(topic: &str, topics: &Topics, set: &impl Fn(&str) -> &'a str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if set("cleanup.policy").contains("compact") {
        findings.push(Finding::failed(
            "settings",
            format!("{topic} is compacted: of each buyer's orders all but the last are removed"),
            alter(topic, "cleanup.policy=delete"),
        ));
    }
    let wants = wanted_retention(topics, topic).unwrap_or(WEEK_MS);
    // Below zero: for ever.
    if let Some(has) = set("retention.ms")
        .parse()
        .ok()
        .filter(|has| (0..wants).contains(has))
    {
        findings.push(Finding::warning(
            "settings",
            format!(
                "{topic} keeps records for {:.1} days, not {:.1}: an order that waits longer for the database is lost",
                has as f64 / DAY_MS,
                wants as f64 / DAY_MS
            ),
            alter(topic, &format!("retention.ms={wants}")),
        ));
    }
    if set("retention.bytes")
        .parse::<i64>()
        .is_ok_and(|bytes| bytes >= 0)
    {
        findings.push(Finding::warning(
            "settings",
            format!(
                "{topic} keeps {} bytes of a partition only: a sale may write more before it lands",
                set("retention.bytes")
            ),
            alter(topic, "retention.bytes=-1"),
        ));
    }
    findings
}

fn safe<'a>(topic: &str, replication: usize, set: &impl Fn(&str) -> &'a str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let in_sync: usize = set("min.insync.replicas").parse().unwrap_or(1);
    let wants = replication.saturating_sub(1).max(1);
    if in_sync < wants {
        findings.push(Finding::warning(
            "settings",
            format!("{topic} acknowledges what {in_sync} of {replication} replicas have: the loss of a broker may lose it"),
            alter(topic, &format!("min.insync.replicas={wants}")),
        ));
    }
    if in_sync > wants {
        findings.push(Finding::warning(
            "settings",
            format!("{topic} takes nothing unless {in_sync} replicas have it, of {replication}: no broker may ever be away"),
            alter(topic, &format!("min.insync.replicas={wants}")),
        ));
    }
    if set("unclean.leader.election.enable") == "true" {
        findings.push(Finding::warning(
            "settings",
            format!("{topic} lets a broker lead that lacks records: what was acknowledged may be gone"),
            alter(topic, "unclean.leader.election.enable=false"),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Topics::new("o", "5s").expect("delays")
    }

    fn facts(partitions: usize) -> TopicFacts {
        TopicFacts {
            partitions,
            led: partitions,
            replicas: 3,
            in_sync: 3,
        }
    }

    fn told(findings: Vec<Finding>) -> String {
        let line = |finding: Finding| {
            let todo = finding.todo.unwrap_or_default();
            format!("{:?}: {} -> {todo}", finding.level, finding.found)
        };
        findings.into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn topics_that_are_not_as_they_should_be_are_told() {
        let topics = topics();
        let wanted = Wanted {
            topics: &topics,
            partitions: 4,
            replication: 3,
        };
        let there = |orders, retry, dead| {
            let names = ["o", "o.retry.5s", "o.dlt"].map(str::to_owned);
            names
                .into_iter()
                .zip([orders, retry, dead])
                // No record is moved there, so it may have fewer.
                .chain([("o.order-events".to_owned(), facts(2))])
                .collect::<BTreeMap<_, _>>()
        };
        let mut one = there(facts(4), facts(4), facts(4));
        let well = told(judge(&wanted, &one));
        one.remove("o.dlt");
        let lame = TopicFacts {
            led: 3,
            in_sync: 1,
            ..facts(4)
        };
        let cases = [
            well,
            told(judge(&wanted, &one)),
            told(judge(&wanted, &BTreeMap::new())),
            told(judge(&wanted, &there(facts(2), facts(2), facts(2)))),
            told(judge(&wanted, &there(facts(4), facts(2), facts(4)))),
            told(judge(&wanted, &there(lame, facts(4), facts(4)))),
            told(judge(
                &Wanted {
                    replication: 5,
                    ..wanted
                },
                &there(facts(4), facts(4), facts(4)),
            )),
        ];
        insta::assert_snapshot!(cases.join("\n\n"));
    }

    #[test]
    fn settings_that_lose_records_are_told() {
        let topics = topics();
        let wanted = Wanted {
            topics: &topics,
            partitions: 4,
            replication: 3,
        };
        let set = |pairs: &[(&str, &str)]| {
            let settings = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let settings = BTreeMap::from([("o".to_owned(), settings.collect())]);
            told(judge_settings(&wanted, &settings))
        };
        let good = [
            ("min.insync.replicas", "2"),
            ("retention.ms", "604800000"),
            ("cleanup.policy", "delete"),
        ];
        assert!(set(&good).starts_with("Ok: "), "{}", set(&good));
        assert!(set(&[("min.insync.replicas", "2"), ("retention.ms", "-1")]).starts_with("Ok: "));
        let bad = set(&[
            ("min.insync.replicas", "1"),
            ("retention.ms", "86400000"),
            ("retention.bytes", "1000"),
            ("cleanup.policy", "compact"),
            ("unclean.leader.election.enable", "true"),
        ]);
        let strict = set(&[("min.insync.replicas", "3")]);
        insta::assert_snapshot!(format!("{bad}\n\n{strict}"));
    }
}
