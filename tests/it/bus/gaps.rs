//! Logs that do not hold what the database expects: noticed, written down and read on, while landers run.

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rushgate::bus::{Anew, Gap};
use rushgate::store::{Discarded, LetterFilter};
use testkit::database::Database;

use super::*;

/// The partition of `spring/alice`'s orders, whose key stands in [`JAVA_PARTITIONS`].
const USER: &str = "alice";
const PARTITION: i32 = JAVA_PARTITIONS[2];

/// Orders of one buyer, so that all go into one partition.
fn orders(range: std::ops::Range<i64>) -> Vec<Outbound> {
    let orders = range.map(|n| order(USER, &n.to_string()));
    let outbound = orders.map(|order| Outbound {
        partition: None,
        key: order.key(),
        payload: order.encode(),
    });
    outbound.collect()
}

fn send(producer: &KafkaProducer, range: std::ops::Range<i64>) {
    assert_eq!(acknowledged(&publish(producer, orders(range))), Ok(()));
}

/// Removes a partition's records before an offset, as retention and `kafka-delete-records` do.
pub(super) async fn remove_before(config: &Config, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .create()
        .expect("made");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&config.topic, partition, Offset::Offset(offset))
        .expect("an offset");
    let removed = admin.delete_records(&list, &AdminOptions::new()).await;
    removed.expect("removed");
}

async fn until_number(db: &Database, sql: &str, number: i64) {
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(50));
    loop {
        let found = db.number(sql).await;
        if found == number {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "never {number}, but {found}: {sql}");
        often.tick().await;
    }
}

/// A sale, a topic of its own, and a producer.
async fn stage() -> (Config, Database, KafkaProducer) {
    let (config, db) = (fresh().await, database::sqlite().await);
    sale(&db.store, 1000).await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    (config, db, producer)
}

fn offset_of(config: &Config) -> String {
    format!(
        "SELECT COALESCE(MAX(next_offset), -1) FROM landing_offsets WHERE topic = '{}' AND `partition` = {PARTITION}",
        config.topic
    )
}

const ORDERS: &str = "SELECT COUNT(*) FROM orders";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_removed_before_they_landed_are_counted_and_landing_goes_on_behind_them() {
    let (config, db, producer) = stage().await;
    let landing = lander(&config, &db.store);
    send(&producer, 0..10);
    until_number(&db, ORDERS, 10).await;
    stop(landing).await;
    send(&producer, 10..30);
    remove_before(&config, PARTITION, 25).await;

    let landing = lander(&config, &db.store);
    until_number(&db, ORDERS, 15).await;
    until_number(&db, &offset_of(&config), 30).await;
    let metrics = stop(landing).await;
    assert_eq!(
        (metrics.gaps.get(), metrics.missing.get(), metrics.confirmed.get()),
        (1, 15, 5)
    );
    let row = "SELECT COUNT(*) FROM log_gaps WHERE expected = 10 AND next_offset = 25 AND log_start = 25 AND log_end = 30 \
               AND records = 15";
    assert_eq!(db.number(row).await, 1);
    let missing = format!(
        "SELECT CAST(SUM(records) AS SIGNED) FROM log_gaps WHERE topic = '{}'",
        config.topic
    );
    assert_eq!(db.number(&missing).await, 15);
    let target = format!("{}/{PARTITION}", config.topic);
    let trail = db.store.audited(&target, 9).await.expect("read");
    assert_eq!(
        (
            trail.len(),
            trail[0].action.as_str(),
            &trail[0].detail["records_missing"]
        ),
        (1, "landing.gap", &15.into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_emptied_before_anything_landed_holds_up_nothing() {
    let (config, db, producer) = stage().await;
    send(&producer, 0..20);
    remove_before(&config, PARTITION, 20).await;
    let landing = lander(&config, &db.store);
    // Nothing is left to read, and yet the lag ends.
    until_number(&db, &offset_of(&config), 20).await;
    send(&producer, 20..25);
    until_number(&db, ORDERS, 5).await;
    let metrics = stop(landing).await;
    assert_eq!((metrics.gaps.get(), metrics.missing.get()), (1, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_removed_under_a_running_lander_do_not_stop_it() {
    let (config, db, producer) = stage().await;
    let landing = lander(&config, &db.store);
    send(&producer, 0..10);
    until_number(&db, ORDERS, 10).await;
    // Landing is kept from writing while its records go.
    let metrics = landing.metrics();
    db.execute("ALTER TABLE landing_offsets RENAME TO away").await;
    send(&producer, 10..12);
    until("it is in trouble", || metrics.retries.get() > 0).await;
    send(&producer, 12..400);
    remove_before(&config, PARTITION, 390).await;
    db.execute("ALTER TABLE away RENAME TO landing_offsets").await;
    until_number(&db, &offset_of(&config), 400).await;
    send(&producer, 400..405);
    until_number(&db, &offset_of(&config), 405).await;
    let metrics = stop(landing).await;
    let landed = db.number(ORDERS).await;
    assert_eq!(
        metrics.missing.get() as i64 + landed,
        405,
        "every order landed or is counted"
    );
    assert!(landed >= 17, "what it had in hand, and what was left: {landed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_set_by_hand_is_taken_up_without_a_restart() {
    let (config, db, producer) = stage().await;
    let landing = lander(&config, &db.store);
    send(&producer, 0..10);
    until_number(&db, ORDERS, 10).await;
    let set = async |offset: i64| {
        let sql = format!(
            "UPDATE landing_offsets SET next_offset = {offset} WHERE topic = '{}'",
            config.topic
        );
        db.execute(&sql).await;
    };
    let only = BTreeSet::from([PARTITION]);
    set(4).await;
    // What the watch does when it finds that nothing lands.
    landing.nudger().begin_anew(&only, Anew::Partition);
    until_number(&db, &offset_of(&config), 10).await;
    // Beyond the end, and before the beginning.
    set(700).await;
    send(&producer, 10..15);
    until_number(&db, &offset_of(&config), 15).await;
    remove_before(&config, PARTITION, 12).await;
    set(3).await;
    landing.nudger().begin_anew(&only, Anew::Partition);
    until_number(&db, &offset_of(&config), 15).await;
    send(&producer, 15..20);
    until_number(&db, ORDERS, 20).await;
    // With a client of its own it does as well.
    landing.nudger().begin_anew(&only, Anew::Consumer);
    send(&producer, 20..25);
    until_number(&db, ORDERS, 25).await;
    let metrics = stop(landing).await;
    // What was removed had landed before the offset was set back: nothing is missing, and nothing is an alarm.
    assert_eq!(
        (metrics.confirmed.get(), metrics.missing.get(), metrics.gaps.get()),
        (25, 0, 0)
    );
    let told = "SELECT COUNT(*) FROM log_gaps WHERE expected = 3 AND next_offset = 12 AND records = 0";
    assert_eq!(db.number(told).await, 1);
    assert_eq!(metrics.begun_anew.get(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discarded_order_whose_record_is_read_again_is_a_duplicate() {
    let (config, db, producer) = stage().await;
    let given_up = order(USER, "2").order;
    db.execute(&format!(
        "CREATE TRIGGER trap BEFORE INSERT ON orders WHEN NEW.order_id = '{given_up}' \
         BEGIN SELECT RAISE(ABORT, 'not now'); END"
    ))
    .await;
    let landing = lander(&config, &db.store);
    send(&producer, 0..5);
    until_number(&db, ORDERS, 4).await;
    let dead = LetterFilter::default();
    let until_dead = "SELECT COUNT(*) FROM dead_letters WHERE stage = 'dead'";
    until_number(&db, until_dead, 1).await;
    db.execute("DROP TRIGGER trap").await;
    let letters = db.store.dead_letters(&dead, None, 9).await.expect("read");
    let detail = serde_json::json!({"reason": "refunded"});
    let discarded = db
        .store
        .discard_dead_letter(NOW, "eve", &letters[0], &detail, false);
    assert_eq!(discarded.await, Ok(Discarded::GivenUp));

    let back = format!(
        "UPDATE landing_offsets SET next_offset = 0 WHERE topic = '{}'",
        config.topic
    );
    db.execute(&back).await;
    landing
        .nudger()
        .begin_anew(&BTreeSet::from([PARTITION]), Anew::Partition);
    until_number(&db, &offset_of(&config), 5).await;
    // And written once more, byte for byte.
    send(&producer, 2..3);
    until_number(&db, &offset_of(&config), 6).await;
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.missing.get()), (4, 0));
    let sums = "SELECT COUNT(*) FROM orders WHERE state = 'confirmed'";
    assert_eq!((db.number(sums).await, db.number(ORDERS).await), (4, 5));
    let sold = "SELECT sold FROM stock WHERE sku_id = 'shoe'";
    assert_eq!(db.number(sold).await, 4);
    let kept = "SELECT COUNT(*) FROM dead_letters WHERE stage = 'discarded'";
    assert_eq!(db.number(kept).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_ends_before_what_landed_is_read_again_once_and_to_its_end() {
    let (config, db, producer) = stage().await;
    let landing = lander(&config, &db.store);
    // More than one batch, all of which landed.
    send(&producer, 0..500);
    until_number(&db, ORDERS, 500).await;
    stop(landing).await;
    let ahead = format!(
        "UPDATE landing_offsets SET next_offset = 100000 WHERE topic = '{}'",
        config.topic
    );
    db.execute(&ahead).await;
    let landing = lander(&config, &db.store);
    until_number(&db, &offset_of(&config), 500).await;
    send(&producer, 500..510);
    until_number(&db, ORDERS, 510).await;
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.gaps.get(),
            metrics.missing.get(),
            metrics.duplicates.get()
        ),
        (1, 0, 500)
    );
    let row = "SELECT COUNT(*) FROM log_gaps WHERE expected = 100000 AND next_offset = 500 AND records = 0";
    assert_eq!(db.number(row).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_is_told_until_the_database_expects_another_offset() {
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    send(&producer, 0..10);
    remove_before(&config, PARTITION, 6).await;
    let stored = Arc::new(Mutex::new(2));
    let told = stored.clone();
    let start: StartOffsets =
        Box::new(move |_| Ok(BTreeMap::from([(PARTITION, *told.lock().expect("not poisoned"))])));
    let mut consumer = KafkaConsumer::new(config, start).expect("made");
    let gap = Gap {
        partition: PARTITION,
        expected: 2,
        low: 6,
        high: 10,
    };
    let (begun, mut times) = (Instant::now(), 0);
    while times < 3 {
        assert!(begun.elapsed() < LIMIT, "told {times} times");
        let slices = consumer.poll(100, Duration::ZERO).expect("no trouble");
        assert_eq!(slices, [], "nothing is read meanwhile");
        let gaps = consumer.gaps();
        assert!(gaps.iter().all(|each| *each == gap), "{gaps:?}");
        times += gaps.len();
    }
    assert!(consumer.state().paused >= 1);
    *stored.lock().expect("not poisoned") = 6;
    let slices = read(&mut consumer, 4);
    assert_eq!(
        (slices[0].from, slices.last().map(|slice| slice.next)),
        (6, Some(10))
    );
    assert_eq!(consumer.gaps(), []);
}
