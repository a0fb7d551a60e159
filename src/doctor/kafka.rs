//! The leg to Kafka.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::leg::{Leg, Stopped, Wrong, aside, wrong};
use super::net::{Reached, plain_answer, reach};
use super::report::Finding;
use super::topics::{Wanted, judge, judge_settings};
use super::{Patient, Role};
use crate::bus::Topics;
use crate::bus::kafka::{ClusterFacts, Examination, Right, Unreached};
use crate::config::{Config, Kafka};

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
            made.map_err(|error| unusable(&error.to_string(), &patient.kafka.extra))
        })
        .await?;
    let examination = Arc::new(examination);
    let security = patient.kafka.extra.get("security.protocol");
    let security = security.map_or("plaintext".to_owned(), |protocol| protocol.to_lowercase());
    leg.ok("options", format!("security.protocol {security}"));
    let reached = leg.step("address", any_of(&patient.kafka.brokers)).await?;
    leg.note([addresses(&reached)])?;
    let names: Vec<String> = patient.topics.names().into_iter().map(str::to_owned).collect();
    leg.step("login", speaks(&reached, &security)).await?;
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

/// Tries every broker of the list; each with what came of it. One is enough.
async fn any_of(brokers: &str) -> Result<Vec<(String, Result<Reached, Wrong>)>, Wrong> {
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

fn addresses(tried: &[(String, Result<Reached, Wrong>)]) -> Finding {
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

/// A question that brokers answer before anybody logged in: which versions of the protocol they speak (ApiVersions 0, without
/// a name of the client), after its length.
const VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
/// What a broker's answer in plain text begins with: a length below 16 MiB.
const PLAIN: u8 = 0;
/// What an alert of TLS begins with.
const ALERT: u8 = 0x15;

/// Fails where one side speaks TLS and the other does not: librdkafka only says that the broker hung up.
async fn speaks(tried: &[(String, Result<Reached, Wrong>)], security: &str) -> Result<(), Wrong> {
    let encrypts = security.ends_with("ssl");
    for (name, reached) in tried {
        let Ok(reached) = reached else { continue };
        let first = plain_answer(reached.address, &VERSIONS).await.first().copied();
        match first {
            Some(ALERT) if !encrypts => {
                return Err(wrong(
                    format!("{name} speaks TLS, and security.protocol is {security}"),
                    format!(
                        "\"security.protocol\" = \"SSL\", or \"SASL_SSL\" with a login, and \"ssl.ca.location\" in {OPTIONS}, or \
                         give a port without TLS in kafka.brokers"
                    ),
                ));
            }
            Some(PLAIN) if encrypts => {
                return Err(wrong(
                    format!("{name} speaks no TLS, and security.protocol is {security}"),
                    format!(
                        "give the port that speaks TLS in kafka.brokers, or set \"security.protocol\" = \"{}\" in {OPTIONS}",
                        match security {
                            "ssl" => "PLAINTEXT",
                            _ => "SASL_PLAINTEXT",
                        }
                    ),
                ));
            }
            _ => {}
        }
    }
    Ok(())
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

/// What librdkafka's reasons mean.
fn not_in(unreached: &Unreached, config: &Config) -> Wrong {
    let said = unreached.reasons.join("; ");
    let kafka = &config.kafka;
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let todo = if has(&["SSL listener"]) {
        format!(
            "\"security.protocol\" = \"SSL\", or \"SASL_SSL\" with a login, in {OPTIONS}, or give a port without TLS"
        )
    } else if has(&["PLAINTEXT broker listener", "wrong version number"]) {
        format!("the port speaks no TLS: give one that does, or set \"security.protocol\" in {OPTIONS}")
    } else if has(&["certificate verify failed", "unable to get local issuer"]) {
        let or = "or write hosts into kafka.brokers that those name";
        match kafka.options.get("ssl.ca.location") {
            Some(path) => format!(
                "put the authority that signed the brokers' certificates into \"ssl.ca.location\" in {OPTIONS} ({path}), {or}"
            ),
            None => format!(
                "\"ssl.ca.location\" = \"/path/ca.pem\" in {OPTIONS}: the authority that signed the brokers' certificates, {or}"
            ),
        }
    } else if has(&[
        "authentication fail",
        "Authentication fail",
        "Invalid username",
        "invalid credentials",
    ]) {
        let password = match kafka.sasl_password_file {
            Some(_) => "the password in kafka.sasl_password_file",
            None => "\"sasl.password\" (or kafka.sasl_password_file)",
        };
        format!(
            "set \"sasl.username\" in {OPTIONS} and {password}, and \"sasl.mechanisms\" as the brokers have it"
        )
    } else if has(&["SSL connection closed by peer"]) {
        format!(
            "the port speaks no TLS, or asks for a certificate: \"security.protocol\", or \"ssl.certificate.location\" and \
             \"ssl.key.location\", in {OPTIONS}"
        )
    } else if !has_login(kafka) && has(&["Disconnected", "APIVERSION", "TransportFailure"]) {
        format!(
            "the broker hangs up on whoever does not log in: \"security.protocol\" = \"SASL_SSL\" (or \"SASL_PLAINTEXT\"), \
             \"sasl.mechanisms\", \"sasl.username\" and \"sasl.password\" in {OPTIONS}, or give a port that wants no login"
        )
    } else if has(&["SASL", "mechanism"]) {
        format!("set \"security.protocol\" and \"sasl.mechanisms\" in {OPTIONS} as the brokers have them")
    } else {
        format!("see the brokers' log, and \"security.protocol\" in {OPTIONS}")
    };
    wrong(said, todo)
}

fn has_login(kafka: &Kafka) -> bool {
    let protocol = kafka.options.get("security.protocol");
    protocol.is_some_and(|protocol| protocol.to_ascii_uppercase().starts_with("SASL"))
}

fn logged_in(security: &str, tried: &[(String, Result<Reached, Wrong>)], cluster: &ClusterFacts) -> Finding {
    let brokers = match cluster.brokers.len() {
        1 => "1 broker".to_owned(),
        n => format!("{n} brokers"),
    };
    let is_local = tried
        .iter()
        .filter_map(|(_, reached)| reached.as_ref().ok())
        .all(|reached| reached.is_local);
    match security.ends_with("ssl") || is_local {
        true => Finding::ok("login", format!("{brokers}, over {security}")),
        false => Finding::warning(
            "login",
            format!("{brokers}; nothing is encrypted on the way to them"),
            format!("give the brokers a TLS listener and set \"security.protocol\" in {OPTIONS}"),
        ),
    }
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

    fn todo(reason: &str) -> String {
        let reasons = vec![reason.to_owned()];
        not_in(&Unreached { reasons }, &Config::default()).todo
    }

    #[test]
    fn what_the_client_says_becomes_something_to_do() {
        for (reason, expected) in [
            (
                "b:9092/bootstrap: Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol \
                 configuration (connecting to a SSL listener?)",
                "\"security.protocol\" = \"SSL\"",
            ),
            (
                "ssl://b:9092/bootstrap: SSL handshake failed: ssl/record/ssl3_record.c:354:ssl3_get_record wrong version \
                 number: : connecting to a PLAINTEXT broker listener?",
                "the port speaks no TLS",
            ),
            (
                "ssl://b:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker \
                 certificate could not be verified",
                "\"ssl.ca.location\"",
            ),
            (
                "sasl_ssl://b:9093/bootstrap: SASL authentication error: Authentication failed during authentication due to \
                 invalid credentials with SASL mechanism SCRAM-SHA-512",
                "set \"sasl.username\"",
            ),
            (
                "ssl://b:9092/bootstrap: Disconnected: SSL connection closed by peer",
                "the port speaks no TLS, or asks for a certificate",
            ),
            ("b:9092/bootstrap: Connect failed", "see the brokers' log"),
        ] {
            assert!(todo(reason).starts_with(expected), "{reason}: {}", todo(reason));
        }
    }

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
