//! Which of librdkafka's options may be set by hand: all but those that the guarantees hang on.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

/// Who an option is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Both,
    Producer,
    Consumer,
}

/// An option that may not be set so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option {name}{value}: {why}")]
pub struct OptionError {
    pub name: String,
    /// ` = "…"`; empty where it may be a secret.
    value: String,
    why: Cow<'static, str>,
}

impl OptionError {
    pub(super) fn hidden(name: &str, why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.to_owned(),
            value: String::new(),
            why: why.into(),
        }
    }
}

/// Values an option may have; none: it is not to be set at all.
struct Fixed {
    side: Side,
    names: &'static [&'static str],
    allowed: &'static [&'static str],
    why: &'static str,
}

const ONLY_FALSE: &[&str] = &["false", "0"];

const FIXED: &[Fixed] = &[
    Fixed {
        side: Side::Both,
        names: &["bootstrap.servers", "metadata.broker.list"],
        allowed: &[],
        why: "set kafka.brokers",
    },
    Fixed {
        side: Side::Producer,
        names: &["acks", "request.required.acks"],
        allowed: &["all", "-1"],
        why: "an order is accepted only when all in-sync replicas have it",
    },
    Fixed {
        side: Side::Producer,
        names: &["delivery.report.only.error"],
        allowed: ONLY_FALSE,
        why: "an order whose delivery is not reported is never acknowledged",
    },
    Fixed {
        side: Side::Both,
        names: &["test.mock.num.brokers"],
        allowed: &["0"],
        why: "brokers that are none acknowledge orders that nobody keeps",
    },
    Fixed {
        side: Side::Producer,
        names: &["partitioner"],
        allowed: &["murmur2_random", "murmur2"],
        why: "orders of campaigns from before partitions were stored go by key: another partitioner moves their buyers, and \
              breaks the order of their orders",
    },
    Fixed {
        side: Side::Producer,
        names: &["transactional.id"],
        allowed: &[],
        why: "rushgate does not use Kafka's transactions",
    },
    Fixed {
        side: Side::Producer,
        names: &["retries", "message.send.max.retries"],
        allowed: &["2147483647"],
        why: "sending is tried again until delivery.timeout.ms is over: set that",
    },
    Fixed {
        side: Side::Consumer,
        names: &["enable.auto.commit", "enable.auto.offset.store"],
        allowed: ONLY_FALSE,
        why: "the database's offsets decide what has landed, and are written together with it",
    },
    Fixed {
        side: Side::Consumer,
        names: &["auto.offset.reset"],
        allowed: &["error"],
        why: "a reset would skip orders in silence",
    },
    Fixed {
        side: Side::Consumer,
        names: &["isolation.level"],
        allowed: &["read_committed"],
        why: "records of an aborted transaction are no orders",
    },
    Fixed {
        side: Side::Consumer,
        names: &["partition.assignment.strategy"],
        allowed: &["cooperative-sticky"],
        why: "all landers of a group need the same one",
    },
    Fixed {
        side: Side::Consumer,
        names: &["group.protocol"],
        allowed: &["classic"],
        why: "landing sets the assignor and the session timeout, which only the classic protocol takes",
    },
    Fixed {
        side: Side::Consumer,
        names: &["group.id"],
        allowed: &[],
        why: "all landers share one group",
    },
    Fixed {
        side: Side::Consumer,
        names: &["group.instance.id"],
        allowed: &[],
        why: "each consumer of each lander would have the same, and Kafka suffers one member of a name",
    },
];

/// Beginnings of the names of options that say how a client connects.
const CONNECTION: [&str; 3] = ["security.protocol", "sasl.", "ssl."];
const PROTOCOL: &str = "security.protocol";
const MECHANISM: [&str; 2] = ["sasl.mechanisms", "sasl.mechanism"];

/// Whether the options of all clients say how to connect so that nothing of it is passed over in silence: what concerns
/// encryption without encryption, a password without a login.
pub fn check_connection(options: &BTreeMap<String, String>) -> Result<(), OptionError> {
    let protocol = options
        .get(PROTOCOL)
        .map(|protocol| protocol.to_ascii_uppercase());
    let protocol = protocol.as_deref().unwrap_or("PLAINTEXT");
    for (prefix, word, why) in [
        (
            "ssl.",
            "SSL",
            "it does nothing unless \"security.protocol\" is \"SSL\" or \"SASL_SSL\"",
        ),
        (
            "sasl.",
            "SASL",
            "it does nothing unless \"security.protocol\" is \"SASL_SSL\" or \"SASL_PLAINTEXT\"",
        ),
    ] {
        let given = options.keys().find(|name| name.starts_with(prefix));
        if let Some(name) = given.filter(|_| !protocol.contains(word)) {
            return Err(OptionError::hidden(name, why));
        }
    }
    if protocol != "PLAINTEXT" && !cfg!(feature = "kafka-tls") {
        return Err(OptionError::hidden(
            PROTOCOL,
            "this build knows neither TLS nor logins of Kafka: build rushgate with its feature kafka-tls, as `cargo build` does \
             unless it is told --no-default-features",
        ));
    }
    if protocol.starts_with("SASL") && !MECHANISM.iter().any(|name| options.contains_key(*name)) {
        return Err(OptionError::hidden(
            PROTOCOL,
            "\"sasl.mechanisms\" is needed with it: \"SCRAM-SHA-512\", \"SCRAM-SHA-256\" or \"PLAIN\" (Kerberos, which librdkafka \
             takes otherwise, is not built in)",
        ));
    }
    Ok(())
}

/// Where the authorities stand that vouch for brokers, unless the options say it: librdkafka's OpenSSL is built in and does not
/// know where the machine keeps them.
pub(super) fn authorities(options: &BTreeMap<String, String>) -> Option<(&'static str, &'static str)> {
    let encrypted = options
        .get(PROTOCOL)
        .is_some_and(|protocol| protocol.to_ascii_uppercase().contains("SSL"));
    let named = options.keys().any(|name| name.starts_with("ssl.ca."));
    (encrypted && !named).then_some(("ssl.ca.location", "probe"))
}

/// Whether the options may be set for that side.
pub fn check_options(side: Side, options: &BTreeMap<String, String>) -> Result<(), OptionError> {
    for (name, value) in options {
        if side != Side::Both && CONNECTION.iter().any(|prefix| name.starts_with(prefix)) {
            let why = "every client connects in the same way: set it in kafka.options";
            return Err(OptionError::hidden(name, why));
        }
        let fixed = FIXED.iter().find(|fixed| {
            let concerns = side == Side::Both || fixed.side == Side::Both || fixed.side == side;
            concerns && fixed.names.contains(&name.as_str())
        });
        if let Some(fixed) = fixed.filter(|fixed| !fixed.allowed.contains(&value.as_str())) {
            return Err(OptionError {
                name: name.clone(),
                value: format!(" = {value:?}"),
                why: fixed.why.into(),
            });
        }
        is_known(name, value)?;
    }
    Ok(())
}

/// Whether librdkafka has an option of this name, and it may have this value; what the value is may be a secret whose option was
/// mistyped.
fn is_known(name: &str, value: &str) -> Result<(), OptionError> {
    // [`check_connection`] says what a build without TLS lacks.
    if !cfg!(feature = "kafka-tls") && CONNECTION.iter().any(|prefix| name.starts_with(prefix)) {
        return Ok(());
    }
    match ClientConfig::new().set(name, value).create_native_config() {
        Err(KafkaError::ClientConfig(_, why, ..)) => {
            let why = match value.is_empty() {
                true => why,
                false => why.replace(value, "…"),
            };
            Err(OptionError::hidden(name, why))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(side: Side, name: &str, value: &str) -> Result<(), String> {
        let options = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        check_options(side, &options).map_err(|error| error.to_string())
    }

    #[test]
    fn what_would_break_a_guarantee_is_refused_with_the_reason() {
        for (side, name, value) in [
            (Side::Producer, "acks", "1"),
            (Side::Producer, "delivery.report.only.error", "true"),
            (Side::Both, "test.mock.num.brokers", "3"),
            (Side::Both, "acks", "0"),
            (Side::Both, "enable.auto.commit", "true"),
            (Side::Consumer, "auto.offset.reset", "latest"),
            (Side::Consumer, "isolation.level", "read_uncommitted"),
            (Side::Consumer, "bootstrap.servers", "elsewhere:9092"),
        ] {
            let error = check(side, name, value).expect_err(name);
            assert!(
                error.starts_with(&format!("option {name} = {value:?}: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn everything_else_is_the_operators_business() {
        assert_eq!(check(Side::Producer, "linger.ms", "50"), Ok(()));
        assert_eq!(check(Side::Producer, "acks", "all"), Ok(()));
        assert_eq!(check(Side::Producer, "enable.idempotence", "true"), Ok(()));
        assert_eq!(check(Side::Producer, "enable.idempotence", "false"), Ok(()));
        assert_eq!(check(Side::Consumer, "session.timeout.ms", "6000"), Ok(()));
        assert_eq!(check(Side::Both, "security.protocol", "SSL"), Ok(()));
        assert_eq!(check(Side::Both, "compression.type", "zstd"), Ok(()));
        // An option of the other side does nothing here.
        assert_eq!(check(Side::Consumer, "acks", "1"), Ok(()));
    }

    #[test]
    fn what_librdkafka_does_not_know_is_refused_without_its_value() {
        for (name, value) in [
            ("sasl.pasword", "s3cret"),
            ("linger.msec", "s3cret"),
            ("linger.ms", "s3cret"),
        ] {
            let error = check(Side::Both, name, value).expect_err(name);
            assert!(error.starts_with(&format!("option {name}: ")), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    fn connection(options: &[(&str, &str)]) -> Result<(), String> {
        let options = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        check_connection(&options.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_would_be_passed_over_in_silence_is_refused() {
        for (options, words) in [
            (
                &[("ssl.ca.location", "/ca.pem")][..],
                "option ssl.ca.location: it does nothing unless",
            ),
            (
                &[("sasl.password", "s3cret")],
                "option sasl.password: it does nothing unless",
            ),
            (
                &[("security.protocol", "ssl"), ("sasl.password", "s3cret")],
                "option sasl.password: it does nothing unless",
            ),
            (
                &[
                    ("security.protocol", "sasl_plaintext"),
                    ("sasl.mechanism", "PLAIN"),
                    ("ssl.key.password", "s3cret"),
                ],
                "option ssl.key.password: it does nothing unless",
            ),
            (
                &[("security.protocol", "SASL_SSL")],
                "\"sasl.mechanisms\" is needed",
            ),
        ] {
            let error = connection(options).expect_err(words);
            assert!(error.contains(words) && !error.contains("s3cret"), "{error}");
        }
        assert_eq!(connection(&[]), Ok(()));
        assert_eq!(
            connection(&[("security.protocol", "ssl"), ("ssl.ca.location", "/ca.pem")]),
            Ok(())
        );
        let scram = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanisms", "SCRAM-SHA-512"),
            ("sasl.username", "u"),
        ];
        assert_eq!(connection(&scram), Ok(()));
        for name in ["security.protocol", "sasl.password", "ssl.ca.location"] {
            let error = check(Side::Consumer, name, "s3cret").expect_err(name);
            assert!(
                error.contains("set it in kafka.options") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_authorities_of_the_machine_are_looked_for() {
        let with = |options: &[(&str, &str)]| {
            let options = options
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            authorities(&options.collect())
        };
        assert_eq!(
            with(&[("security.protocol", "SASL_SSL")]),
            Some(("ssl.ca.location", "probe"))
        );
        assert_eq!(
            with(&[("security.protocol", "ssl"), ("ssl.ca.pem", "-----BEGIN")]),
            None
        );
        assert_eq!(with(&[]), None);
    }
}
