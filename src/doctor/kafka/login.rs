//! How brokers let this machine in: whether both sides speak TLS, and what librdkafka's reasons mean where they do not.

use super::{OPTIONS, Tried};
use crate::bus::kafka::{self, ClusterFacts, Unreached};
use crate::config::Config;
use crate::doctor::leg::{Wrong, wrong};
use crate::doctor::net::plain_answer;
use crate::doctor::report::Finding;

/// A question that brokers answer before anybody logged in: which versions of the protocol they speak (ApiVersions 0, without
/// a name of the client), after its length.
const VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
/// What a broker's answer in plain text begins with: a length below 16 MiB.
const PLAIN: u8 = 0;
/// What an alert of TLS begins with.
const ALERT: u8 = 0x15;

/// Fails where one side speaks TLS and the other does not: librdkafka only says that the broker hung up. Where other brokers of
/// the list are met as they want to be, it is a warning.
pub(super) async fn speaks(tried: &[Tried], security: &str) -> Result<Option<Finding>, Wrong> {
    let reached = tried
        .iter()
        .filter_map(|(name, reached)| Some((name, reached.as_ref().ok()?.address)));
    let asked = reached.map(async |(name, address)| {
        let first = plain_answer(address, &VERSIONS).await.first().copied();
        apart(name, first, security)
    });
    let asked = futures_util::future::join_all(asked).await;
    let all = asked.iter().all(Option::is_some);
    match asked.into_iter().flatten().next() {
        Some(wrong) if all => Err(wrong),
        Some(Wrong { found, todo }) => Ok(Some(Finding::warning("login", found, todo))),
        None => Ok(None),
    }
}

/// What is wrong about a broker whose answer to a question in plain text begins so.
fn apart(name: &str, first: Option<u8>, security: &str) -> Option<Wrong> {
    let encrypts = security.ends_with("ssl");
    match first? {
        ALERT if !encrypts => Some(wrong(
            format!("{name} speaks TLS, and security.protocol is {security}"),
            format!(
                "\"security.protocol\" = \"SSL\", or \"SASL_SSL\" with a login, and \"ssl.ca.location\" in {OPTIONS}, or give a \
                 port without TLS in kafka.brokers"
            ),
        )),
        PLAIN if encrypts => Some(wrong(
            format!("{name} speaks no TLS, and security.protocol is {security}"),
            format!(
                "give the port that speaks TLS in kafka.brokers, or set \"security.protocol\" = \"{}\" in {OPTIONS}",
                match security {
                    "ssl" => "PLAINTEXT",
                    _ => "SASL_PLAINTEXT",
                }
            ),
        )),
        _ => None,
    }
}

/// What librdkafka says of a broker that closes a connection: it depends on whether it was writing or reading.
const HUNG_UP: &[&str] = &[
    "Disconnected",
    "closed by peer",
    "Connection reset",
    "unexpected eof",
    "Send failed",
    "Receive failed",
    "Broken pipe",
    "APIVERSION",
    "TransportFailure",
];

/// What librdkafka's reasons mean.
pub(super) fn not_in(unreached: &Unreached, config: &Config) -> Wrong {
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
    } else if !has_login(kafka) && has(HUNG_UP) {
        format!(
            "the broker hangs up on whoever does not log in: \"security.protocol\" = \"SASL_SSL\" (or \"SASL_PLAINTEXT\"), \
             \"sasl.mechanisms\", \"sasl.username\" and \"sasl.password\" in {OPTIONS}, or, where it asks for a certificate, \
             \"ssl.certificate.location\" and \"ssl.key.location\""
        )
    } else if has(&["SSL connection closed by peer"]) {
        format!(
            "the port speaks no TLS, or asks for a certificate: \"security.protocol\", or \"ssl.certificate.location\" and \
             \"ssl.key.location\", in {OPTIONS}"
        )
    } else if has(&["SASL", "mechanism"]) {
        format!("set \"security.protocol\" and \"sasl.mechanisms\" in {OPTIONS} as the brokers have them")
    } else {
        format!("see the brokers' log, and \"security.protocol\" in {OPTIONS}")
    };
    wrong(said, todo)
}

fn has_login(kafka: &kafka::Config) -> bool {
    let protocol = kafka.options.get("security.protocol");
    protocol.is_some_and(|protocol| protocol.to_ascii_uppercase().starts_with("SASL"))
}

pub(super) fn logged_in(security: &str, tried: &[Tried], cluster: &ClusterFacts) -> Finding {
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::doctor::net::Reached;
    use crate::doctor::report::FindingLevel;

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
                "the broker hangs up on whoever does not log in",
            ),
            (
                "ssl://b:9092/bootstrap: Send failed: error:80000020:system library::Broken pipe: tls_retry_write_records failure",
                "the broker hangs up on whoever does not log in",
            ),
            (
                "ssl://b:9092/bootstrap: SSL handshake failed: error:0A000126:SSL routines::unexpected eof while reading",
                "the broker hangs up on whoever does not log in",
            ),
            ("b:9092/bootstrap: Connect failed", "see the brokers' log"),
        ] {
            assert!(todo(reason).starts_with(expected), "{reason}: {}", todo(reason));
        }
    }

    /// A broker that answers the first question so.
    fn broker(answer: u8) -> Tried {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.read_exact(&mut [0; VERSIONS.len()]).expect("a question");
            stream.write_all(&[answer]).expect("an answer");
        });
        let is_local = true;
        (format!("broker {answer:#x}"), Ok(Reached { address, is_local }))
    }

    #[tokio::test]
    async fn a_broker_that_is_met_wrongly_fails_the_leg_where_no_other_is_met() {
        let plain = speaks(&[broker(PLAIN), broker(PLAIN)], "plaintext").await;
        assert_eq!(plain, Ok(None));
        let away = ("away".to_owned(), Err(wrong("away", "start it")));
        let wrong = speaks(&[away, broker(ALERT)], "sasl_plaintext")
            .await
            .expect_err("TLS");
        assert_eq!(
            wrong.found,
            "broker 0x15 speaks TLS, and security.protocol is sasl_plaintext"
        );
        let one = speaks(&[broker(ALERT), broker(PLAIN)], "ssl")
            .await
            .expect("one of two");
        let one = one.expect("a warning");
        assert_eq!(one.level, FindingLevel::Warning);
        assert_eq!(
            one.found,
            "broker 0x0 speaks no TLS, and security.protocol is ssl"
        );
    }
}
