//! What librdkafka said last. Its answers to questions say that no broker was reached; why (a certificate that nobody vouches
//! for, a password that is wrong) it says beside them.

use std::sync::{Mutex, PoisonError};

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::bus::BusError;

/// Of a producer: what other clients say waits for a poll that their questions do not make.
#[derive(Default)]
pub(super) struct Heard(Mutex<Option<String>>);

impl Heard {
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        // It follows on the reason and tells less.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    /// A line of librdkafka's log: a broker that hangs up is spoken of there alone.
    pub(super) fn note_log(&self, facility: &str, message: &str) {
        if facility == "FAIL" {
            let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            said.get_or_insert_with(|| message.to_owned());
        }
    }

    /// The failure with what was said of it.
    pub(super) fn told(&self, error: BusError) -> BusError {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match (error, said) {
            (BusError::Unreachable { brokers, cause }, Some(said)) => BusError::Unreachable {
                brokers,
                cause: format!("{cause}: {said}{}", hint(&said)),
            },
            (error, _) => error,
        }
    }
}

fn hint(said: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&["ssl.ca.location", "certificate verify failed"]) {
        ": none of the authorities that are believed vouches for the broker, or not under this name: \"ssl.ca.location\" in \
         [kafka.options]"
    } else if says(&[
        "PLAINTEXT broker listener",
        "wrong version number",
        "record layer",
    ]) {
        ": what answers there does not speak TLS: \"security.protocol\" = \"SASL_PLAINTEXT\" or \"PLAINTEXT\", or another port"
    } else if says(&["SASL", "Authentication"]) {
        ": \"sasl.mechanisms\", \"sasl.username\" and \"sasl.password\" in [kafka.options]"
    } else if says(&["security.protocol", "SSL listener", "APIVERSION_QUERY"]) {
        ": \"security.protocol\" = \"SASL_SSL\" or \"SSL\" in [kafka.options]"
    } else if says(&["SSL_HANDSHAKE", "SSL connection closed by peer"]) {
        // A port without TLS that hangs up before it says what it is.
        ": what answers there hangs up on TLS: it does not speak TLS (\"security.protocol\" = \"SASL_PLAINTEXT\" or \"PLAINTEXT\", \
         or another port), or asks for a certificate (\"ssl.certificate.location\" and \"ssl.key.location\")"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_with_its_reason() {
        let failure = || BusError::Unreachable {
            brokers: "b:9092".into(),
            cause: "no metadata".into(),
        };
        let heard = Heard::default();
        assert_eq!(heard.told(failure()), failure());
        let global = |code| KafkaError::Global(code);
        let reason = "SASL authentication error: Authentication failed";
        heard.note(&global(RDKafkaErrorCode::Authentication), reason);
        heard.note(&global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let told = heard.told(failure()).to_string();
        assert!(
            told.starts_with("b:9092 not reachable: no metadata: SASL authentication error"),
            "{told}"
        );
        assert!(told.contains("sasl.password"), "{told}");
        let other = BusError::Fatal("x".into());
        assert_eq!(heard.told(other.clone()), other);
    }

    #[test]
    fn a_port_without_tls_is_known_by_whatever_it_does_to_a_handshake() {
        for said in [
            "SSL handshake failed: ... wrong version number: connecting to a PLAINTEXT broker listener?",
            "sasl_ssl://b:9092/bootstrap: Disconnected: SSL connection closed by peer (after 0ms in state SSL_HANDSHAKE)",
            "ssl://b:9092/bootstrap: Disconnected: connection reset by peer (after 1ms in state SSL_HANDSHAKE)",
        ] {
            assert!(hint(said).contains("does not speak TLS"), "{said}");
        }
        assert_eq!(hint("b:9092: Disconnected (after 3ms in state UP)"), "");
    }
}
