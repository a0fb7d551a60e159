//! Kafka over SASL_SSL: what each failure says.

use std::collections::BTreeMap;

use rushgate::bus::Producer;
use rushgate::bus::kafka::{Config, KafkaProducer, migrate_topics};
use rushgate::bus::{Topics, orders_topic};

use crate::legs::stack::{Stack, authority};

fn options() -> BTreeMap<String, String> {
    let text = Stack::shared().variable("RUSHGATE_KAFKA_OPTIONS");
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn settings() -> Config {
    Config {
        options: options(),
        ..Config::new(&Stack::shared().variable("RUSHGATE_KAFKA_BROKERS"))
    }
}

async fn refused(config: Config) -> String {
    let producer = KafkaProducer::new(config).expect("made");
    producer.ping().await.expect_err("refused").to_string()
}

#[tokio::test]
async fn whoever_lacks_something_is_told_what() {
    let folder = tempfile::tempdir().expect("a folder");
    authority(&folder.path().join("other"), "DNS:localhost");
    let other = folder.path().join("other/ca.pem").display().to_string();
    let with = |change: &dyn Fn(&mut Config)| {
        let mut config = settings();
        change(&mut config);
        config
    };
    let set = |name: &'static str, value: &str| {
        with(&|config: &mut Config| {
            config.options.insert(name.to_owned(), value.to_owned());
        })
    };
    for (config, words) in [
        (set("sasl.password", "s3cret"), vec!["sasl.password"]),
        (set("sasl.mechanisms", "SCRAM-SHA-256"), vec!["SCRAM-SHA-512"]),
        (
            set("ssl.ca.location", &other),
            vec!["ssl.ca.location", "certificate verify failed"],
        ),
        (
            with(&|config| {
                config.options.remove("ssl.ca.location");
            }),
            vec!["ssl.ca.location", "certificate verify failed"],
        ),
        (
            with(&|config| config.options.clear()),
            vec!["\"security.protocol\" = \"SASL_SSL\""],
        ),
        (
            with(&|config| config.brokers = Stack::shared().plain_kafka()),
            vec!["does not speak TLS"],
        ),
    ] {
        let error = refused(config).await;
        let all = words.iter().all(|words| error.contains(words));
        assert!(all && !error.contains("s3cret"), "{words:?}: {error}");
    }
}

#[tokio::test]
async fn what_is_not_granted_is_told_from_what_is_missing() {
    let foreign = settings().with_prefix("elsewhere");
    let topics = Topics::new(&orders_topic("elsewhere"), "5s").expect("topics");
    let error = migrate_topics(&foreign, &topics, 1, 1)
        .await
        .expect_err("refused");
    assert!(error.to_string().to_lowercase().contains("authoriz"), "{error}");
    let error = refused(foreign).await;
    assert!(error.contains("docs/CONNECTIONS.md"), "{error}");
}
