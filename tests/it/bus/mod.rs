//! The Kafka bus against a real broker, named by `RUSHGATE_KAFKA_BROKERS`.

mod acknowledged;
mod gaps;
mod landers;
mod migration;
mod partitions;
mod pauses;
mod records;
mod seals;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use database::{NOW, order, sale, until};
use rushgate::bus::kafka::{Config, KafkaConsumer, KafkaProducer, TopicReport, migrate_topics};
use rushgate::bus::{BusError, Consumer, Outbound, Producer, Slice, StartOffsets, Topics};
use rushgate::landing::{self, Landing, LandingHandle, Metrics};
use rushgate::store::Store;
use testkit::database;
use tokio::runtime::Handle;

const LIMIT: Duration = Duration::from_secs(60);
const PARTITIONS: usize = 4;
/// Java's `toPositive(murmur2(key)) % 4` of `foobar`, `21`, `spring/alice`, `spring/bob`.
const JAVA_PARTITIONS: [i32; 4] = [2, 0, 1, 3];
/// Where nobody listens.
const NOWHERE: &str = "127.0.0.1:1";

fn brokers() -> String {
    std::env::var("RUSHGATE_KAFKA_BROKERS").unwrap_or_else(|_| {
        panic!(
            "these tests need a Kafka broker: run them through `./x test`, or start one with `./x stack up` and \
             set RUSHGATE_KAFKA_BROKERS as `./x stack env` prints it"
        )
    })
}

/// A topic and a group of this test's own.
async fn fresh() -> Config {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "rushgate.test.{}.{}.{}",
        jiff::Timestamp::now().as_millisecond(),
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let mut config = Config::new(&brokers());
    config.topic = name.clone();
    config.group = name;
    let reports = migrate_topics(&config, &topics(&config), PARTITIONS, 1)
        .await
        .expect("topics are made");
    assert!(reports.iter().all(|report| report.created), "{reports:?}");
    for topic in topics(&config).names() {
        until_ready(&config, topic).await;
    }
    config
}

/// The orders topic of a test, one retry topic and the dead letters.
fn topics(config: &Config) -> Topics {
    Topics::new(&config.topic, "700ms").expect("delays")
}

/// A topic exists for a moment before all of its partitions have a leader.
async fn until_ready(config: &Config, topic: &str) {
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(50));
    while let Err(error) = producer.high_watermarks(topic).await {
        assert!(begun.elapsed() < LIMIT, "{error}");
        often.tick().await;
    }
}

fn publish(producer: &KafkaProducer, batch: Vec<Outbound>) -> Receiver<Result<(), BusError>> {
    let (sender, answer) = mpsc::channel();
    // A test that ended early no longer listens.
    producer.publish(batch, Box::new(move |result| drop(sender.send(result))));
    answer
}

fn acknowledged(answer: &Receiver<Result<(), BusError>>) -> Result<(), BusError> {
    answer.recv_timeout(LIMIT).expect("answered in time")
}

fn outbound(key: &str, payload: &str) -> Outbound {
    Outbound {
        partition: None,
        key: key.to_owned(),
        payload: payload.as_bytes().to_vec(),
    }
}

fn from_beginning() -> StartOffsets {
    Box::new(|_| Ok(BTreeMap::new()))
}

/// Polls until so many records have come.
fn read(consumer: &mut KafkaConsumer, records: usize) -> Vec<Slice> {
    let begun = Instant::now();
    let mut slices: Vec<Slice> = Vec::new();
    while slices.iter().map(|slice| slice.records.len()).sum::<usize>() < records {
        assert!(begun.elapsed() < LIMIT, "only {slices:?}");
        // Trouble on the way is told and passes.
        if let Ok(more) = consumer.poll(1000, Duration::from_millis(20)) {
            slices.extend(more);
        }
    }
    slices
}

fn texts(slices: &[Slice], partition: i32) -> Vec<String> {
    let records = slices.iter().filter(|slice| slice.partition == partition);
    records
        .flat_map(|slice| &slice.records)
        .map(|record| String::from_utf8_lossy(&record.payload).into_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_made_once_and_get_the_partitions_they_lack() {
    let config = fresh().await;
    let longer = Topics::new(&config.topic, "700ms,90s").expect("delays");
    let again = migrate_topics(&config, &longer, PARTITIONS + 1, 1)
        .await
        .expect("one to do");
    let created: Vec<bool> = again.iter().map(|report| report.created).collect();
    assert_eq!(created, [false, false, true, false, false], "{again:?}");
    let partitions =
        |reports: &[TopicReport]| -> Vec<usize> { reports.iter().map(|report| report.partitions).collect() };
    const MORE: usize = PARTITIONS + 1;
    // A buyer's events stay where they are.
    assert_eq!(
        partitions(&again),
        [MORE, MORE, MORE, MORE, PARTITIONS],
        "{again:?}"
    );
    let grown: Vec<Option<usize>> = again.iter().map(|report| report.grown_from).collect();
    assert_eq!(
        grown,
        [Some(PARTITIONS), Some(PARTITIONS), None, Some(PARTITIONS), None]
    );
    // Fewer are wanted: none go, and a new topic has as many as the orders.
    let longest = Topics::new(&config.topic, "700ms,90s,3h").expect("delays");
    let fewer = migrate_topics(&config, &longest, 2, 1).await.expect("one to do");
    assert_eq!(
        partitions(&fewer),
        [MORE, MORE, MORE, MORE, MORE, PARTITIONS],
        "{fewer:?}"
    );
    assert_eq!((fewer[3].created, fewer[0].grown_from), (true, None));
    let note = fewer[0].note.as_deref().unwrap_or_default();
    assert!(note.contains("has 5 partitions, not 2"), "{note}");
    let names: Vec<&str> = again.iter().map(|report| report.topic.as_str()).collect();
    assert_eq!(names, longer.names());
    assert!(
        names[2].ends_with(".retry.90s") && names[3].ends_with(".dlt"),
        "{names:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_forgets_too_soon_is_told() {
    let orders = fresh().await;
    // Its orders topic has the brokers' seven days, which are too few for dead letters.
    let mut topics = topics(&orders);
    std::mem::swap(&mut topics.orders, &mut topics.dead_letters);
    let reports = migrate_topics(&orders, &topics, PARTITIONS, 1)
        .await
        .expect("nothing to do");
    let note = reports[2].note.as_deref().unwrap_or_default();
    assert!(
        note.contains("keeps records for 7.0 days, not 30.0") && note.contains("retention.ms"),
        "{reports:?}"
    );
    assert_eq!(reports[0].note, None, "longer than needed");
    assert_eq!(reports[1].note, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_one_key_stay_in_order_in_the_partition_java_would_choose() {
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let all_end_at = |end: i64| (0..PARTITIONS as i32).map(|partition| (partition, end)).collect();
    let empty: BTreeMap<i32, i64> = all_end_at(0);
    assert_eq!(producer.high_watermarks(&config.topic).await, Ok(empty));
    let keys = ["foobar", "21", "spring/alice", "spring/bob"];
    let mut answers = Vec::new();
    for n in 0..50 {
        let batch = keys
            .iter()
            .map(|key| outbound(key, &format!("{key}#{n}")))
            .collect();
        answers.push(publish(&producer, batch));
    }
    for answer in &answers {
        assert_eq!(acknowledged(answer), Ok(()));
    }
    assert_eq!(producer.in_flight(), 0);
    assert_eq!(acknowledged(&publish(&producer, Vec::new())), Ok(()));
    assert_eq!(
        producer.high_watermarks(&config.topic).await,
        Ok(all_end_at(50)),
        "each of the keys has a partition of its own"
    );

    let mut consumer = KafkaConsumer::new(config, from_beginning()).expect("made");
    let slices = read(&mut consumer, 200);
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for slice in &slices {
        assert_eq!(
            slice.from,
            next.get(&slice.partition).copied().unwrap_or(0),
            "no gap"
        );
        assert_eq!(slice.next, slice.from + slice.records.len() as i64);
        next.insert(slice.partition, slice.next);
    }
    for (key, partition) in keys.into_iter().zip(JAVA_PARTITIONS) {
        let mine = texts(&slices, partition)
            .into_iter()
            .filter(|text| text.starts_with(key));
        let expected: Vec<String> = (0..50).map(|n| format!("{key}#{n}")).collect();
        assert_eq!(mine.collect::<Vec<_>>(), expected, "{key}");
    }
    let first = &slices[0].records[0];
    assert!(keys.contains(&String::from_utf8_lossy(&first.key).as_ref()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_that_wait_for_their_partition_keep_their_order_and_are_flushed() {
    const BATCHES: usize = 100;
    const EACH: usize = 120;
    /// Enough for each partition to have several requests' worth on its way, few enough for a key to wait for itself.
    const KEYS: usize = 200;
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    // From here on it knows the partitions, and makes orders wait for them, too.
    producer.ping().await.expect("there");
    let order = |n: usize| {
        let key = format!("spring/u{}", n % KEYS);
        outbound(&key, &format!("{key}#{n}"))
    };
    let batches = (0..BATCHES).map(|batch| {
        let orders = (batch * EACH..(batch + 1) * EACH).map(order);
        publish(&producer, orders.collect())
    });
    let answers: Vec<_> = batches.collect();
    assert!(producer.flush(LIMIT).await);
    assert_eq!(producer.in_flight(), 0);
    assert!(answers.iter().all(|answer| answer.try_recv() == Ok(Ok(()))));

    let mut consumer = KafkaConsumer::new(config, from_beginning()).expect("made");
    let slices = read(&mut consumer, BATCHES * EACH);
    let mut read: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for text in (0..PARTITIONS as i32).flat_map(|partition| texts(&slices, partition)) {
        let (key, number) = text.split_once('#').expect("written so");
        let numbers = read.entry(key.to_owned()).or_default();
        numbers.push(number.parse().expect("a number"));
    }
    assert_eq!(read.len(), KEYS);
    for (key, numbers) in read {
        let first: usize = key
            .strip_prefix("spring/u")
            .expect("u")
            .parse()
            .expect("a number");
        let expected: Vec<usize> = (first..BATCHES * EACH).step_by(KEYS).collect();
        assert_eq!(numbers, expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_its_partition_is_answered_when_the_producer_goes() {
    let config = fresh().await;
    let producer = KafkaProducer::new(config).expect("made");
    producer.ping().await.expect("there");
    let batch = (0..1000).map(|n| outbound("foobar", &n.to_string()));
    let answers: Vec<_> = batch.map(|order| publish(&producer, vec![order])).collect();
    drop(producer);
    for answer in &answers {
        let answer = acknowledged(answer);
        assert!(
            matches!(answer, Ok(()) | Err(BusError::Unacknowledged(_))),
            "{answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_starts_where_the_database_says_and_seeks() {
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let batch = (0..10).map(|n| outbound("foobar", &n.to_string())).collect();
    assert_eq!(acknowledged(&publish(&producer, batch)), Ok(()));
    let partition = JAVA_PARTITIONS[0];
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let noted = asked.clone();
    let start: StartOffsets = Box::new(move |partitions| {
        noted
            .lock()
            .expect("not poisoned")
            .extend(partitions.iter().copied());
        Ok(BTreeMap::from([(partition, 6)]))
    });
    let mut consumer = KafkaConsumer::new(config, start).expect("made");
    let slices = read(&mut consumer, 4);
    assert_eq!(
        (slices[0].from, texts(&slices, partition)),
        (6, ["6", "7", "8", "9"].map(String::from).to_vec())
    );
    assert_eq!(asked.lock().expect("not poisoned").len(), PARTITIONS);
    consumer.commit(&[(partition, 10)]);
    consumer.seek(partition, 8);
    let again = read(&mut consumer, 2);
    assert_eq!(
        (again[0].from, texts(&again, partition)),
        (8, ["8", "9"].map(String::from).to_vec())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_shorter_than_what_landed_is_read_from_its_beginning() {
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let batch = (0..3).map(|n| outbound("foobar", &n.to_string())).collect();
    assert_eq!(acknowledged(&publish(&producer, batch)), Ok(()));
    let partition = JAVA_PARTITIONS[0];
    let start: StartOffsets = Box::new(move |_| Ok(BTreeMap::from([(partition, 500)])));
    let mut consumer = KafkaConsumer::new(config, start).expect("made");
    let begun = Instant::now();
    let (mut slices, mut told) = (Vec::new(), String::new());
    while slices.is_empty() || told.is_empty() {
        assert!(begun.elapsed() < LIMIT, "only {slices:?} {told}");
        match consumer.poll(1000, Duration::from_millis(20)) {
            Ok(more) => slices.extend(more),
            Err(error) => told = error.to_string(),
        }
    }
    assert_eq!((slices[0].from, texts(&slices, partition).len()), (0, 3));
    assert!(
        told.contains("holds 0 to 3") && told.contains("expects 500"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_topic_says_what_to_run() {
    let mut config = Config::new(&brokers());
    config.topic = "rushgate.test.never-made".to_owned();
    let producer = KafkaProducer::new(config).expect("made");
    let error = producer.ping().await.expect_err("no topic").to_string();
    assert!(error.contains("run `rushgate migrate`"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_are_not_there_leave_orders_unacknowledged() {
    let mut config = Config::new(NOWHERE);
    config.delivery_timeout_ms = 500;
    config
        .options
        .insert("queue.buffering.max.messages".to_owned(), "10".to_owned());
    let producer = KafkaProducer::new(config).expect("made");
    let answer = publish(
        &producer,
        (0..20).map(|n| outbound("k", &n.to_string())).collect(),
    );
    assert!(
        producer.in_flight() <= 10,
        "what does not fit into the queue is not in flight"
    );
    let answer = acknowledged(&answer);
    assert!(matches!(answer, Err(BusError::Unacknowledged(_))), "{answer:?}");
    assert_eq!(producer.in_flight(), 0);
    let error = producer.ping().await.expect_err("nobody there");
    assert!(matches!(error, BusError::Unreachable { .. }), "{error:?}");
}

/// The orders and their retry topic.
fn levels(config: &Config) -> Vec<landing::Config> {
    let orders = landing::Config {
        batch_records: 200,
        group: config.group.clone(),
        ..landing::Config::default()
    };
    landing::Config::levels(&topics(config), &orders)
}

/// A landing thread for each.
fn landers(config: &Config, store: &Store) -> Vec<LandingHandle> {
    let levels = levels(config).into_iter();
    levels.map(|level| spawn(config, store, level)).collect()
}

fn spawn(config: &Config, store: &Store, level: landing::Config) -> LandingHandle {
    let (offsets, topic, runtime) = (store.clone(), level.topic.clone(), Handle::current());
    let start: StartOffsets = Box::new(move |_| {
        let stored = runtime.block_on(offsets.offsets(&topic));
        stored.map_err(|error| error.to_string())
    });
    let config = Config {
        topic: level.topic.clone(),
        group: level.group.clone(),
        ..config.clone()
    };
    let consumer = KafkaConsumer::new(config.clone(), start).expect("made");
    let producer = Arc::new(KafkaProducer::new(config).expect("made"));
    Landing::spawn(
        level,
        Box::new(consumer),
        producer,
        store.clone(),
        Handle::current(),
        Metrics::default(),
    )
    .expect("a thread")
}

/// One for the orders alone.
fn lander(config: &Config, store: &Store) -> LandingHandle {
    spawn(config, store, levels(config).remove(0))
}

async fn stop(landing: LandingHandle) -> Metrics {
    let metrics = landing.metrics();
    tokio::task::spawn_blocking(move || landing.stop())
        .await
        .expect("joins");
    metrics
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn landers_that_come_and_go_land_every_order_once() {
    const ORDERS: i64 = 6000;
    let config = fresh().await;
    let db = database::mariadb().await;
    sale(&db.store, 1_000_000).await;
    let producer = Arc::new(KafkaProducer::new(config.clone()).expect("made"));
    let publisher = producer.clone();
    let publishing = tokio::task::spawn_blocking(move || {
        for chunk in 0..60 {
            // Every tenth order is published twice, as a relay may do.
            let orders = (0..100).map(|n| order(&format!("u{}", n % 40), &format!("{chunk}/{n}")));
            let batch: Vec<Outbound> = orders
                .flat_map(|order| {
                    vec![order.clone(); 1 + usize::from(order.user == "u0" || order.user == "u1")]
                })
                .map(|order| Outbound {
                    partition: None,
                    key: order.key(),
                    payload: order.encode(),
                })
                .collect();
            assert_eq!(acknowledged(&publish(&publisher, batch)), Ok(()));
        }
    });
    let first = lander(&config, &db.store);
    until("the first lander lands", || first.metrics().confirmed.get() > 0).await;
    let second = lander(&config, &db.store);
    until("both are at work", || {
        second.metrics().confirmed.get() > 0 || publishing.is_finished()
    })
    .await;
    let by_first = stop(first).await.confirmed.get();
    publishing.await.expect("all acknowledged");
    let others = second.metrics();
    until("every order landed", || {
        by_first + others.confirmed.get() == ORDERS as u64
    })
    .await;
    stop(second).await;

    let watermarks = producer.high_watermarks(&config.topic).await.expect("asked");
    assert_eq!(watermarks.values().sum::<i64>(), ORDERS + 360);
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, ORDERS);
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        ORDERS
    );
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        ORDERS
    );
}
