//! The leg to Kafka.

mod login;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::leg::{Leg, Stopped, Wrong, aside, wrong};
use super::net::{Reached, reach};
use super::report::Finding;
use super::topics::{Wanted, judge, judge_settings};
use super::{Patient, Role};
use crate::bus::Topics;
use crate::bus::kafka::{ClusterFacts, Examination, Right};
use login::{logged_in, not_in, speaks};

pub(super) const STEPS: &[&str] = &[
    "options",
    "address",
    "login",
    "advertised",
    "topics",
    "settings",
    "rights",
];
const PORT: u16 = 9092;
const OPTIONS: &str = "[kafka.options]";

/// What a topic takes at most, in bytes.
const RECORD_MAX: &str = "max.message.bytes";

pub(super) async fn examine(patient: &Patient<'_>, leg: &mut Leg) -> Result<(), Stopped> {
    let config = patient.kafka.clone();
    let examination = leg
        .step("options", async {
            let limit = patient.limit;
            // It reads the files of its encryption.
            let made = aside(move || Examination::new(config, limit)).await;
            let made = made.ok_or_else(|| wrong("the client broke off", "try again"))?;
            made.map_err(|error| unusable(&error.to_string(), &patient.kafka.options))
        })
        .await?;
    let examination = Arc::new(examination);
    let security = patient.kafka.options.get("security.protocol");
    let security = security.map_or("plaintext".to_owned(), |protocol| protocol.to_lowercase());
    leg.ok("options", format!("security.protocol {security}"));
    let reached = leg.step("address", any_of(&patient.kafka.brokers)).await?;
    leg.note([addresses(&reached)])?;
    let names: Vec<String> = patient.topics.names().into_iter().map(str::to_owned).collect();
    let apart = leg.step("login", speaks(&reached, &security)).await?;
    leg.note(apart)?;
    let asked = examination.clone();
    // The client gives up by itself within the limit, and says why: the step lasts a little longer.
    let cluster = leg
        .longer_step("login", async {
            let answer =
                aside(move || asked.cluster(&names.iter().map(String::as_str).collect::<Vec<_>>())).await;
            match answer {
                Some(Ok(cluster)) => Ok(cluster),
                Some(Err(unreached)) => Err(not_in(&unreached, patient.config)),
                None => Err(wrong("the client broke off", "try again")),
            }
        })
        .await?;
    leg.note([logged_in(&security, &reached, &cluster)])?;
    let advertised = leg.step("advertised", advertised(&cluster)).await?;
    leg.ok("advertised", advertised);
    let wanted = Wanted {
        topics: &patient.topics,
        partitions: patient.partitions,
        replication: patient.replication,
    };
    leg.note(judge(&wanted, &cluster.topics))?;
    let settings = settings(&wanted, &examination, leg).await?;
    rights(patient, &examination, &settings, leg).await
}

/// A broker of the list, and what came of it.
type Tried = (String, Result<Reached, Wrong>);

/// Tries every broker of the list; each with what came of it. One is enough.
async fn any_of(brokers: &str) -> Result<Vec<Tried>, Wrong> {
    let tries = brokers
        .split(',')
        .map(str::trim)
        .filter(|broker| !broker.is_empty());
    let tries = tries.map(async |broker| {
        // librdkafka takes a protocol in front.
        let bare = broker.rsplit_once("://").map_or(broker, |(_, bare)| bare);
        let (host, port) = match bare.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (bare, Some(PORT)),
        };
        let reached = match port {
            Some(port) => reach(host, port, "kafka.brokers").await,
            None => Err(wrong(
                format!("{broker} has no port"),
                "write host:port in kafka.brokers",
            )),
        };
        (bare.to_owned(), reached)
    });
    let tried = futures_util::future::join_all(tries).await;
    if tried.iter().any(|(_, reached)| reached.is_ok()) {
        return Ok(tried);
    }
    let first = tried.into_iter().find_map(|(_, reached)| reached.err());
    Err(first.unwrap_or_else(|| wrong("kafka.brokers is empty", "write host:port in kafka.brokers")))
}

fn addresses(tried: &[Tried]) -> Finding {
    let away: Vec<&Wrong> = tried
        .iter()
        .filter_map(|(_, reached)| reached.as_ref().err())
        .collect();
    match away.first() {
        None => {
            let names: Vec<&str> = tried.iter().map(|(name, _)| name.as_str()).collect();
            Finding::ok("address", format!("{} takes connections", names.join(", ")))
        }
        Some(first) => Finding::warning(
            "address",
            format!(
                "{} of {} brokers are away: {}",
                away.len(),
                tried.len(),
                first.found
            ),
            first.todo.clone(),
        ),
    }
}

/// Why no client can be made: the option that librdkafka speaks of.
fn unusable(error: &str, options: &BTreeMap<String, String>) -> Wrong {
    let about = options.keys().find(|option| error.contains(option.as_str()));
    let todo = match about {
        Some(option) => format!("mend \"{option}\" in {OPTIONS}"),
        None => format!("mend {OPTIONS}, [kafka.producer] or [kafka.consumer]"),
    };
    wrong(error, todo)
}

/// Clients go where the brokers say, whatever address they began with.
async fn advertised(cluster: &ClusterFacts) -> Result<String, Wrong> {
    let mut names = Vec::new();
    for (host, port) in &cluster.brokers {
        if let Err(away) = reach(host, *port, "advertised.listeners").await {
            return Err(wrong(
                format!(
                    "a broker tells clients to come to {host}:{port}, and that does not work: {}",
                    away.found
                ),
                "set advertised.listeners of that broker to an address this machine can reach",
            ));
        }
        names.push(format!("{host}:{port}"));
    }
    Ok(format!("clients are told {}", names.join(", ")))
}

type Settings = BTreeMap<String, BTreeMap<String, String>>;

/// What cannot be read is no failure: a deployment may have given the right to nobody.
async fn settings(
    wanted: &Wanted<'_>,
    examination: &Examination,
    leg: &mut Leg,
) -> Result<Settings, Stopped> {
    let names = wanted.topics.names();
    let asked = leg
        .longer_step("settings", async { Ok(examination.settings(&names).await) })
        .await?;
    match asked {
        Ok(settings) => {
            leg.note(judge_settings(wanted, &settings))?;
            Ok(settings)
        }
        Err(why) => {
            leg.warn(
                "settings",
                format!("settings of topics may not be read: {why}"),
                "grant DescribeConfigs on the topics, or look yourself: kafka-configs.sh --describe --entity-type topics",
            );
            Ok(Settings::new())
        }
    }
}

async fn rights(
    patient: &Patient<'_>,
    examination: &Arc<Examination>,
    settings: &Settings,
    leg: &mut Leg,
) -> Result<(), Stopped> {
    let produced: Vec<&str> = match patient.role {
        Some(Role::Serve) => vec![patient.topics.orders.as_str()],
        _ => patient.topics.names(),
    };
    // Without knowing what a topic takes, a record that is surely too large cannot be made.
    let sizes: BTreeMap<String, usize> = settings
        .iter()
        .filter(|(topic, _)| produced.contains(&topic.as_str()))
        .filter_map(|(topic, settings)| Some((topic.clone(), settings.get(RECORD_MAX)?.parse().ok()?)))
        .collect();
    let (asked, topics) = (examination.clone(), patient.topics.clone());
    let consumes = patient.role != Some(Role::Serve);
    let answer = leg
        .longer_step("rights", async {
            let asking = move || {
                (
                    asked.may_produce(&sizes),
                    consumes.then(|| consume(&asked, &topics)),
                )
            };
            let answer = aside(asking).await;
            answer.ok_or_else(|| wrong("the client broke off", "try again"))
        })
        .await?;
    leg.note(judge_rights(&patient.kafka.group, &produced, answer.0, answer.1))
}

fn consume(examination: &Examination, topics: &Topics) -> BTreeMap<String, Right> {
    let landed = std::iter::once(&topics.orders).chain(topics.retries.iter().map(|retry| &retry.name));
    landed
        .map(|topic| (topic.clone(), examination.may_consume(topic)))
        .collect()
}

fn judge_rights(
    group: &str,
    produced: &[&str],
    produce: BTreeMap<String, Right>,
    consume: Option<BTreeMap<String, Right>>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let untried = produced.iter().filter(|topic| !produce.contains_key(**topic));
    let untried = untried.map(|topic| {
        (
            (*topic).to_owned(),
            Right::Unknown("its settings are not known".to_owned()),
        )
    });
    let produce: BTreeMap<String, Right> = untried.chain(produce.clone()).collect();
    let kinds = [
        ("write to", "Write", Some(&produce)),
        ("read", "Read", consume.as_ref()),
    ];
    for (what, operation, rights) in kinds {
        for (topic, right) in rights.into_iter().flatten() {
            let grant = match operation {
                "Read" => format!(
                    "kafka-acls.sh --add --allow-principal User:<user> --operation Read --topic {topic} --group {group}"
                ),
                _ => format!(
                    "kafka-acls.sh --add --allow-principal User:<user> --operation Write --topic {topic}"
                ),
            };
            match right {
                Right::Granted => {}
                Right::Denied(why) => {
                    findings.push(Finding::failed(
                        "rights",
                        format!("this user may not {what} {topic}: {why}"),
                        grant,
                    ));
                }
                Right::Unknown(why) => findings.push(Finding::warning(
                    "rights",
                    format!("whether this user may {what} {topic} is not known: {why}"),
                    format!("see kafka-acls.sh --list --topic {topic}"),
                )),
            }
        }
    }
    if findings.is_empty() {
        let reads = match consume {
            Some(_) => format!(", and read as group {group}"),
            None => String::new(),
        };
        findings.push(Finding::ok("rights", format!("this user may write{reads}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_that_is_missing_names_its_grant() {
        let denied = |topic: &str| (topic.to_owned(), Right::Denied("denied".to_owned()));
        let findings = judge_rights("g", &["o"], [denied("o")].into(), Some([denied("o")].into()));
        let lines: Vec<String> = findings
            .iter()
            .map(|finding| format!("{} -> {:?}", finding.found, finding.todo))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
        let granted = judge_rights("g", &["o"], [("o".to_owned(), Right::Granted)].into(), None);
        assert_eq!(granted, [Finding::ok("rights", "this user may write")]);
        let unknown = judge_rights("g", &["o"], BTreeMap::new(), None);
        assert!(
            unknown[0].found.contains("its settings are not known"),
            "{unknown:?}"
        );
    }
}
