//! Options by the names of Kafka's Java clients, where librdkafka has others: taken where they mean the same, answered with
//! what to write otherwise.

use std::collections::BTreeMap;

use super::options::OptionError;

/// What an option of the Java clients is here.
enum Here {
    /// The same under another name.
    Is(&'static str),
    /// The same, with 0 for what Java calls -1: as the system has it.
    OfSystem(&'static str),
    /// The same, where librdkafka counts units of 1024 bytes.
    InKilobytes(&'static str),
    /// Nothing: what to do instead.
    Not(&'static str),
}

const CLASS: &str = "it names a Java class, and rushgate is none: leave it out";
const PEM: &str = "librdkafka reads certificates as PEM: export those of the trust store, and write \"ssl.ca.location\" = \
                   \"<their file>\"";
const LOGIN: &str = "write \"sasl.username\" and \"sasl.password\" (or \"sasl.password_file\") instead";
const BLOCKING: &str = "no call of rushgate's producer blocks: admission.queue bounds what waits before it, \
                        \"queue.buffering.max.messages\" and \"queue.buffering.max.kbytes\" what waits in it";
const LEVEL: &str = "write \"compression.level\", which is that of \"compression.type\"";
const SPREAD: &str = "which partition an order goes to is stored with its campaign: leave it out";

/// Of the last three, both names are librdkafka's; the right one is what rushgate itself sets, and of two names for one option
/// librdkafka would take either.
const NAMES: &[(&str, Here)] = &[
    ("buffer.memory", Here::InKilobytes("queue.buffering.max.kbytes")),
    ("max.request.size", Here::Is("message.max.bytes")),
    ("fetch.max.wait.ms", Here::Is("fetch.wait.max.ms")),
    ("send.buffer.bytes", Here::OfSystem("socket.send.buffer.bytes")),
    (
        "receive.buffer.bytes",
        Here::OfSystem("socket.receive.buffer.bytes"),
    ),
    ("ssl.truststore.certificates", Here::Is("ssl.ca.pem")),
    ("ssl.keystore.certificate.chain", Here::Is("ssl.certificate.pem")),
    ("ssl.keystore.key", Here::Is("ssl.key.pem")),
    ("ssl.truststore.location", Here::Not(PEM)),
    ("ssl.truststore.password", Here::Not(PEM)),
    ("ssl.truststore.type", Here::Not(PEM)),
    (
        "ssl.keystore.type",
        Here::Not(
            "\"ssl.keystore.location\" names a PKCS#12 file here; a certificate and key as PEM are \
             \"ssl.certificate.location\" and \"ssl.key.location\"",
        ),
    ),
    ("sasl.jaas.config", Here::Not(LOGIN)),
    ("sasl.login.class", Here::Not(CLASS)),
    ("sasl.login.callback.handler.class", Here::Not(CLASS)),
    ("sasl.client.callback.handler.class", Here::Not(CLASS)),
    (
        "max.poll.records",
        Here::Not("landing.batch says how many orders are landed at once"),
    ),
    ("max.block.ms", Here::Not(BLOCKING)),
    (
        "default.api.timeout.ms",
        Here::Not("write \"socket.timeout.ms\", which bounds every request"),
    ),
    (
        "socket.connection.setup.timeout.max.ms",
        Here::Not("write \"socket.connection.setup.timeout.ms\", which does not grow here"),
    ),
    ("compression.gzip.level", Here::Not(LEVEL)),
    ("compression.lz4.level", Here::Not(LEVEL)),
    ("compression.zstd.level", Here::Not(LEVEL)),
    ("partitioner.class", Here::Not(SPREAD)),
    ("partitioner.ignore.keys", Here::Not(SPREAD)),
    ("partitioner.adaptive.partitioning.enable", Here::Not(SPREAD)),
    ("partitioner.availability.timeout.ms", Here::Not(SPREAD)),
    ("key.serializer", Here::Not(CLASS)),
    ("value.serializer", Here::Not(CLASS)),
    ("key.deserializer", Here::Not(CLASS)),
    ("value.deserializer", Here::Not(CLASS)),
    ("interceptor.classes", Here::Not(CLASS)),
    ("metric.reporters", Here::Not(CLASS)),
    ("delivery.timeout.ms", Here::Is("message.timeout.ms")),
    ("queue.buffering.max.ms", Here::Is("linger.ms")),
    ("compression.codec", Here::Is("compression.type")),
];

/// The options under the names that rushgate and librdkafka know.
pub(super) fn renamed(options: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, OptionError> {
    let mut renamed = options.clone();
    for (name, here) in NAMES {
        let Some(value) = renamed.remove(*name) else {
            continue;
        };
        let (twin, value) = match here {
            Here::Is(twin) => (*twin, value),
            Here::OfSystem(twin) if value.trim() == "-1" => (*twin, "0".to_owned()),
            Here::OfSystem(twin) => (*twin, value),
            Here::InKilobytes(twin) => return Err(OptionError::hidden(name, in_kilobytes(twin, &value))),
            Here::Not(instead) => return Err(OptionError::hidden(name, *instead)),
        };
        if renamed.contains_key(twin) {
            let both = format!("it is the same as {twin}, which is given too: leave one of them out");
            return Err(OptionError::hidden(name, both));
        }
        renamed.insert(twin.to_owned(), value);
    }
    Ok(renamed)
}

/// What to write instead of a number of bytes; never more memory than was asked for.
fn in_kilobytes(twin: &str, bytes: &str) -> String {
    let instead = match bytes.trim().parse::<u64>() {
        Ok(bytes) => format!("write \"{twin}\" = {}", (bytes / 1024).max(1)),
        Err(_) => format!("write \"{twin}\""),
    };
    format!("it counts bytes, where librdkafka's twin counts kilobytes of 1024: {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> Result<BTreeMap<String, String>, String> {
        let options = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        renamed(&options).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_of_the_java_clients_is_taken_where_it_means_the_same() {
        for (name, value, twin, taken) in [
            ("max.request.size", "2000000", "message.max.bytes", "2000000"),
            ("fetch.max.wait.ms", "250", "fetch.wait.max.ms", "250"),
            ("send.buffer.bytes", "-1", "socket.send.buffer.bytes", "0"),
            (
                "receive.buffer.bytes",
                "65536",
                "socket.receive.buffer.bytes",
                "65536",
            ),
            ("delivery.timeout.ms", "9000", "message.timeout.ms", "9000"),
            ("linger.ms", "5", "linger.ms", "5"),
        ] {
            let taken = BTreeMap::from([(twin.to_owned(), taken.to_owned())]);
            assert_eq!(one(name, value), Ok(taken));
        }
    }

    #[test]
    fn another_unit_is_refused_with_the_value_to_write() {
        for (bytes, instead) in [
            ("33554432", "= 32768"),
            ("2047", "= 1"),
            ("5", "= 1"),
            ("32m", ""),
        ] {
            let error = one("buffer.memory", bytes).expect_err(bytes);
            let wanted = format!("write \"queue.buffering.max.kbytes\" {instead}");
            assert!(error.ends_with(wanted.trim_end()), "{error}");
        }
    }

    #[test]
    fn what_has_no_twin_is_answered_with_what_to_do_and_without_its_value() {
        for (name, instead) in [
            ("max.poll.records", "landing.batch"),
            ("sasl.jaas.config", "\"sasl.username\" and \"sasl.password\""),
            ("ssl.truststore.location", "\"ssl.ca.location\""),
            ("key.serializer", "leave it out"),
        ] {
            let error = one(name, "s3cret").expect_err(name);
            assert!(
                error.starts_with(&format!("option {name}: ")) && error.contains(instead),
                "{error}"
            );
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn both_names_at_once_are_refused() {
        let both = ["fetch.max.wait.ms", "fetch.wait.max.ms"];
        let options = both.map(|name| (name.to_owned(), "5".to_owned()));
        let error = renamed(&options.into()).expect_err("both").to_string();
        assert_eq!(
            error,
            "option fetch.max.wait.ms: it is the same as fetch.wait.max.ms, which is given too: leave one of them out"
        );
    }

    /// librdkafka has the names that are written here.
    #[test]
    fn every_twin_is_an_option() {
        for (name, here) in NAMES {
            let (Here::Is(twin) | Here::OfSystem(twin) | Here::InKilobytes(twin)) = here else {
                assert!(
                    rdkafka::ClientConfig::new()
                        .set(*name, "1")
                        .create_native_config()
                        .is_err()
                );
                continue;
            };
            let made = rdkafka::ClientConfig::new()
                .create_native_config()
                .expect("a client's options");
            assert!(
                made.get(twin).is_ok() || twin.ends_with(".pem") || twin.starts_with("message.timeout"),
                "{twin}"
            );
        }
    }
}
