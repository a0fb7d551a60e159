//! Changes of orders over a real broker: whatever dies, and whatever Kafka removes, a second group's copy of all states is what the
//! database has.

use rushgate::bus::kafka::KafkaLog;
use rushgate::events::{self, Events, Needs};
use rushgate::failpoint;
use rushgate::order::ToldChange;
use sqlx::{Executor as _, Row as _};
use testkit::database::{Database, connect};

use super::gaps::remove_before;
use super::landers::{Lander, PROCESS, batch, impatient};
use super::*;

const PROCESS_NAME: &str = "bus::told::a_telling_lander_in_a_process_of_its_own";

/// Who tells what lands of the orders topic.
fn telling(config: &Config, store: &Store) -> Events {
    let topics = topics(config);
    let kafka = Config {
        topic: topics.order_events.clone(),
        ..config.clone()
    };
    let needs = Needs {
        hooks: None,
        store: store.clone(),
        producer: Arc::new(KafkaProducer::new(kafka).expect("made")),
        log: Some(Arc::new(KafkaLog::new(config.clone()))),
        topics,
    };
    Events::spawn(&events::Config::default(), needs)
}

fn telling_lander(config: &Config, store: &Store, events: &Events) -> LandingHandle {
    let level = levels(config).remove(0);
    let (offsets, topic, runtime) = (store.clone(), level.topic.clone(), Handle::current());
    let start: StartOffsets = Box::new(move |_| {
        let stored = runtime.block_on(offsets.offsets(&topic));
        stored.map_err(|error| error.to_string())
    });
    let landing = Landing::spawn_telling(
        level,
        Box::new(KafkaConsumer::new(config.clone(), start).expect("made")),
        Arc::new(KafkaProducer::new(config.clone()).expect("made")),
        store.clone(),
        Handle::current(),
        Metrics::default(),
        events.teller(),
    );
    landing.expect("a thread")
}

/// Another service, which keeps the newest state of every order.
struct Copy {
    consumer: KafkaConsumer,
    /// By order: the highest number, and its state.
    orders: BTreeMap<String, (u32, String)>,
    /// Events that brought nothing new.
    absorbed: usize,
    /// Partition by key.
    places: BTreeMap<Vec<u8>, i32>,
}

impl Copy {
    fn new(config: &Config) -> Self {
        let reader = Config {
            topic: topics(config).order_events,
            group: format!("{}.copy", config.group),
            ..config.clone()
        };
        Self {
            consumer: KafkaConsumer::new(reader, from_beginning()).expect("made"),
            orders: BTreeMap::new(),
            absorbed: 0,
            places: BTreeMap::new(),
        }
    }

    fn listen(&mut self) {
        // Trouble on the way is told and passes.
        let slices = self.consumer.poll(1000, Duration::from_millis(20));
        for slice in slices.unwrap_or_default() {
            for record in slice.records {
                let change = ToldChange::decode(&record.payload).expect("a change");
                let place = *self.places.entry(record.key).or_insert(slice.partition);
                assert_eq!(place, slice.partition, "a buyer's changes are in one partition");
                let new = (change.number, change.state.as_str().to_owned());
                match self.orders.get(&change.order.to_string()) {
                    Some((number, _)) if *number >= change.number => self.absorbed += 1,
                    _ => drop(self.orders.insert(change.order.to_string(), new)),
                }
            }
        }
    }

    /// Listens until it has the state of every order that the database has, and no other.
    async fn until_equal(&mut self, db: &Database) {
        let begun = Instant::now();
        loop {
            self.listen();
            let stored = states(db).await;
            let told = self.orders.iter();
            let told: BTreeMap<String, String> = told
                .map(|(order, (_, state))| (order.clone(), state.clone()))
                .collect();
            if told == stored {
                return;
            }
            let (told, stored) = (told.len(), stored.len());
            assert!(begun.elapsed() < LIMIT, "{told} told, {stored} in the database");
        }
    }
}

async fn states(db: &Database) -> BTreeMap<String, String> {
    let mut connection = db.raw().await;
    let rows = connection.fetch_all("SELECT order_id, state FROM orders").await;
    let rows = rows.expect("read");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
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

const ORDERS: &str = "SELECT COUNT(*) FROM orders";
const BEHIND: &str = "SELECT COUNT(*) FROM landing_offsets WHERE told <> next_offset";

fn some(range: std::ops::Range<u32>) -> Vec<Outbound> {
    batch(range.map(|n| order(&format!("u{n}"), "1")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telling_lander_in_a_process_of_its_own() {
    // No test, but the process that the test below starts and that dies: nothing where nobody asks for it.
    let Ok(told) = std::env::var(PROCESS) else {
        return;
    };
    let [topic, group, database, name] = told.split('|').collect::<Vec<_>>()[..] else {
        panic!("{told}");
    };
    let armed = std::env::var(failpoint::VARIABLE).unwrap_or_default();
    failpoint::arm(&armed).expect("a fail-point");
    let mut config = Config::new(&brokers());
    (config.topic, config.group) = (topic.to_owned(), group.to_owned());
    config.client_id = name.to_owned();
    impatient(&mut config);
    let store = connect(database).await;
    let events = telling(&config, &store);
    let _landing = telling_lander(&config, &store, &events);
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop))
        .await
        .expect("told to end");
}

/// Killed between the commit and the event, between the event and what is written down, and between the commit and whatever
/// comes after it; more orders than there are units for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_groups_copy_of_all_states_is_the_database_s_after_kills_of_landers() {
    let mut config = fresh().await;
    impatient(&mut config);
    let db = database::mariadb().await;
    sale(&db.store, 300).await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let mut copy = Copy::new(&config);
    let mut landed = 0;
    for (round, point) in ["E1=abort", "E2=abort", "C3=abort", "E2=abort@2"]
        .into_iter()
        .enumerate()
    {
        let mut lander = Lander::run(PROCESS_NAME, &config, &db.url, point);
        let round = round as u32;
        for part in 0..2 {
            let from = round * 100 + part * 50;
            assert_eq!(acknowledged(&publish(&producer, some(from..from + 50))), Ok(()));
        }
        lander.dies();
        copy.listen();
        let now = db.number(ORDERS).await;
        assert!(now >= landed, "what has landed stays");
        landed = now;
    }
    let events = telling(&config, &db.store);
    let landing = telling_lander(&config, &db.store, &events);
    until_number(&db, ORDERS, 400).await;
    copy.until_equal(&db).await;
    until_number(&db, BEHIND, 0).await;
    copy.listen();
    let revoked = copy.orders.values().filter(|(_, state)| state == "revoked");
    assert_eq!(revoked.count(), 100);
    assert!(copy.orders.values().all(|(number, _)| *number == 1), "no gap");
    assert!(copy.absorbed > 0, "something was told twice");
    assert!(events.metrics.again.get() > 0);
    stop(landing).await;
    events.stop(LIMIT).await;
}

/// What landed untold, of a log that still has it: read from there alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_landed_untold_is_read_again_from_the_log() {
    let config = fresh().await;
    let db = database::sqlite().await;
    sale(&db.store, 10_000).await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let landing = lander(&config, &db.store);
    for part in 0..5 {
        assert_eq!(
            acknowledged(&publish(&producer, some(part * 1000..part * 1000 + 900))),
            Ok(())
        );
    }
    until_number(&db, ORDERS, 4500).await;
    stop(landing).await;
    // In the table nothing is found by this.
    db.execute("UPDATE landing_offsets SET told_since = 9223372036854775807")
        .await;
    let events = telling(&config, &db.store);
    let mut copy = Copy::new(&config);
    copy.until_equal(&db).await;
    until_number(&db, BEHIND, 0).await;
    copy.listen();
    assert_eq!((copy.orders.len(), copy.absorbed), (4500, 0));
    assert_eq!(events.metrics.again.get(), 4500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_kafka_removed_before_they_were_told_are_told_from_the_orders() {
    let config = fresh().await;
    let db = database::mariadb().await;
    sale(&db.store, 10_000).await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    // These are told.
    let events = telling(&config, &db.store);
    let landing = telling_lander(&config, &db.store, &events);
    let mut copy = Copy::new(&config);
    assert_eq!(acknowledged(&publish(&producer, some(0..100))), Ok(()));
    until_number(&db, ORDERS, 100).await;
    until_number(&db, BEHIND, 0).await;
    stop(landing).await;
    events.stop(LIMIT).await;
    // These land untold, and their records go.
    let landing = lander(&config, &db.store);
    let mut late = some(100..300);
    assert_eq!(
        acknowledged(&publish(&producer, std::mem::take(&mut late))),
        Ok(())
    );
    until_number(&db, ORDERS, 300).await;
    stop(landing).await;
    for (partition, end) in producer.high_watermarks(&config.topic).await.expect("asked") {
        remove_before(&config, partition, end).await;
    }
    let events = telling(&config, &db.store);
    copy.until_equal(&db).await;
    until_number(&db, BEHIND, 0).await;
    assert!(events.metrics.again.get() >= 200);
    // Landing goes on, and is told as before.
    let landing = telling_lander(&config, &db.store, &events);
    assert_eq!(acknowledged(&publish(&producer, some(300..350))), Ok(()));
    until_number(&db, ORDERS, 350).await;
    copy.until_equal(&db).await;
    stop(landing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_does_not_hold_a_stretch_says_so() {
    use rushgate::bus::{Held, Log};
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let orders = (0..10).map(|n| outbound("foobar", &n.to_string())).collect();
    assert_eq!(acknowledged(&publish(&producer, orders)), Ok(()));
    let (log, partition) = (KafkaLog::new(config.clone()), JAVA_PARTITIONS[0]);
    let read = async |from, to, max| {
        log.read(&config.topic, partition, (from, to), max)
            .await
            .expect("read")
    };
    let offsets = |held: Held| match held {
        Held::Records { records, next } => {
            let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
            (offsets, next)
        }
        Held::Gone => panic!("it is there"),
    };
    assert_eq!(offsets(read(2, 9, 3).await), (vec![2, 3, 4], 5));
    // On from there, and elsewhere.
    assert_eq!(offsets(read(5, 9, 100).await), (vec![5, 6, 7, 8], 9));
    assert_eq!(offsets(read(0, 2, 100).await), (vec![0, 1], 2));
    assert_eq!(read(5, 11, 100).await, Held::Gone, "it ends before");
    remove_before(&config, partition, 4).await;
    assert_eq!(read(3, 9, 100).await, Held::Gone, "it begins behind");
    assert_eq!(offsets(read(4, 10, 100).await).1, 10);
}
