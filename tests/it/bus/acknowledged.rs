//! Whatever is acknowledged is in the topic: right after it was made, while it grows, after it was made anew; with
//! and without librdkafka's idempotence, which reports some records as delivered that no broker has.

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;

use super::*;

/// Many, so that the brokers take a while to lead them all.
const MANY: usize = 24;
const ORDERS: usize = 300;

type Answers = Vec<(String, Receiver<Result<(), BusError>>)>;

fn admin(config: &Config) -> AdminClient<DefaultClientContext> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &config.brokers);
    client.create().expect("made")
}

async fn make(config: &Config, partitions: usize) {
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(20));
    loop {
        match migrate_topics(config, &topics(config), partitions, 1).await {
            Ok(reports) if reports[0].created => return,
            // A topic of this name is still being deleted.
            Ok(_) | Err(_) => assert!(begun.elapsed() < LIMIT, "the topic is not made"),
        }
        often.tick().await;
    }
}

/// Names that no topic has yet, and options of the producer.
fn cold(name: &str, idempotence: &str) -> Config {
    let mut config = Config::new(&brokers());
    let now = jiff::Timestamp::now().as_nanosecond();
    config.topic = format!("rushgate.test.{name}.{idempotence}.{now}.{}", std::process::id());
    config.group = config.topic.clone();
    let option = ("enable.idempotence".to_owned(), idempotence.to_owned());
    config.producer.extend([option]);
    config
}

/// One batch for each order, so that each has an answer of its own.
fn publish_each(producer: &KafkaProducer, orders: std::ops::Range<usize>) -> Answers {
    let order = |n: usize| {
        let name = format!("spring/u{n}");
        (name.clone(), publish(producer, vec![outbound(&name, &name)]))
    };
    orders.map(order).collect()
}

/// The orders that were acknowledged.
fn acknowledged_of(answers: &Answers) -> BTreeSet<String> {
    let is_ok = |(_, answer): &&(String, Receiver<Result<(), BusError>>)| acknowledged(answer).is_ok();
    answers
        .iter()
        .filter(is_ok)
        .map(|(name, _)| name.clone())
        .collect()
}

/// What the topic holds.
async fn held(config: &Config, producer: &KafkaProducer) -> BTreeSet<String> {
    let ends = producer.high_watermarks(&config.topic).await.expect("asked");
    let records: i64 = ends.values().sum();
    let mut consumer = KafkaConsumer::new(config.clone(), from_beginning()).expect("made");
    let slices = read(&mut consumer, records as usize);
    let records = slices.iter().flat_map(|slice| &slice.records);
    let text = |record: &rushgate::bus::Record| String::from_utf8_lossy(&record.payload).into_owned();
    records.map(text).collect()
}

async fn nothing_is_missing(config: &Config, producer: &KafkaProducer, told: &BTreeSet<String>) {
    let held = held(config, producer).await;
    let missing: Vec<_> = told.difference(&held).collect();
    assert!(
        missing.is_empty(),
        "acknowledged, and in no partition: {missing:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_right_after_topics_were_made_is_in_them() {
    for idempotence in ["false", "true"] {
        let config = cold("cold", idempotence);
        let producer = KafkaProducer::new(config.clone()).expect("made");
        // Some are published before there is a topic, and wait for it.
        let mut answers = publish_each(&producer, 0..ORDERS / 2);
        make(&config, MANY).await;
        answers.extend(publish_each(&producer, ORDERS / 2..ORDERS));
        let told = acknowledged_of(&answers);
        assert_eq!(told.len(), ORDERS, "idempotence {idempotence}");
        nothing_is_missing(&config, &producer, &told).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_while_partitions_are_added_is_in_them() {
    for idempotence in ["false", "true"] {
        let mut config = cold("grown", idempotence);
        let refresh = ("topic.metadata.refresh.interval.ms".to_owned(), "50".to_owned());
        config.options.extend([refresh]);
        make(&config, PARTITIONS).await;
        let producer = Arc::new(KafkaProducer::new(config.clone()).expect("made"));
        let mut told = acknowledged_of(&publish_each(&producer, 0..ORDERS));
        let grown = NewPartitions::new(&config.topic, MANY);
        let grown = admin(&config)
            .create_partitions(&[grown], &AdminOptions::new())
            .await;
        grown.expect("asked")[0].as_ref().expect("added");
        let (mut next, begun) = (ORDERS, Instant::now());
        // Until every new partition has been given something.
        loop {
            let more = publish_each(&producer, next..next + ORDERS);
            told.extend(acknowledged_of(&more));
            next += ORDERS;
            let ends = producer.high_watermarks(&config.topic).await.unwrap_or_default();
            if ends.len() == MANY && ends.values().all(|end| *end > 0) {
                break;
            }
            assert!(begun.elapsed() < LIMIT, "not all are used: {ends:?}");
        }
        assert_eq!(told.len(), next, "idempotence {idempotence}");
        nothing_is_missing(&config, &producer, &told).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_after_a_topic_was_made_anew_is_in_the_new_one() {
    for idempotence in ["false", "true"] {
        let config = cold("anew", idempotence);
        make(&config, PARTITIONS).await;
        let producer = KafkaProducer::new(config.clone()).expect("made");
        assert_eq!(acknowledged_of(&publish_each(&producer, 0..ORDERS)).len(), ORDERS);
        let deleted = admin(&config)
            .delete_topics(topics(&config).names().as_slice(), &AdminOptions::new())
            .await;
        deleted.expect("asked")[0].as_ref().expect("deleted");
        make(&config, PARTITIONS).await;
        // What is on its way while the client still takes the topic for missing is told as not acknowledged.
        let (mut next, begun) = (ORDERS, Instant::now());
        let mut told = BTreeSet::new();
        while told.len() < ORDERS {
            assert!(begun.elapsed() < LIMIT, "only {} are acknowledged", told.len());
            told.extend(acknowledged_of(&publish_each(&producer, next..next + ORDERS)));
            next += ORDERS;
        }
        nothing_is_missing(&config, &producer, &told).await;
    }
}
