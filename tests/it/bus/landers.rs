//! Landers over a real broker and database: orders that fail, an outage, and a lander frozen past its session.

use std::process::{Child, Command, Stdio};

use rushgate::bus::origin::{self, Origin};
use rushgate::failpoint;
use sqlx::Executor as _;
use testkit::database::{Database, MariaDb, connect};
use testkit::output::Output;

use super::*;

pub(super) fn batch(orders: impl IntoIterator<Item = rushgate::order::OrderEvent>) -> Vec<Outbound> {
    let orders = orders.into_iter().map(|order| Outbound {
        partition: None,
        key: order.key(),
        payload: order.encode(),
    });
    orders.collect()
}

/// Asks until the answer is the one that is wanted.
async fn until_answer<T: PartialEq + std::fmt::Debug>(what: &str, wanted: T, ask: impl AsyncFn() -> T) {
    let begun = Instant::now();
    // InnoDB's own tables are not brought up to date for who asks more often than every 100 ms.
    let mut often = tokio::time::interval(Duration::from_millis(150));
    loop {
        let answer = ask().await;
        if answer == wanted {
            return;
        }
        assert!(
            begun.elapsed() < LIMIT,
            "never {wanted:?}, but {answer:?}: {what}"
        );
        often.tick().await;
    }
}

async fn until_number(db: &Database, sql: &str, number: i64) {
    until_answer(sql, number, async || db.number(sql).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_order_waits_in_its_retry_topic_and_lands_from_there() {
    let config = fresh().await;
    let db = database::mariadb().await;
    sale(&db.store, 1000).await;
    // It is shut for who comes the first time alone: opened by hand, it may be too late for the first retry.
    db.execute(
        "CREATE TRIGGER trap BEFORE INSERT ON orders FOR EACH ROW \
         IF NEW.user_id = 'u7' AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE stage = 'retry') \
         THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the trap'; END IF",
    )
    .await;
    let landers = landers(&config, &db.store);
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let begun = Instant::now();
    let orders = (0..100).map(|n| order(&format!("u{n}"), "1"));
    assert_eq!(acknowledged(&publish(&producer, batch(orders))), Ok(()));
    until_number(&db, "SELECT COUNT(*) FROM dead_letters WHERE stage = 'landed'", 1).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(700),
        "early: {:?}",
        begun.elapsed()
    );
    let mut metrics = Vec::new();
    for landing in landers {
        metrics.push(stop(landing).await);
    }
    assert_eq!((metrics[0].confirmed.get(), metrics[1].confirmed.get()), (99, 1));
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 100);

    let retry = &topics(&config).retries[0].name;
    let reader = Config {
        topic: retry.clone(),
        group: format!("{}.reader", config.group),
        ..config.clone()
    };
    let mut consumer = KafkaConsumer::new(reader, from_beginning()).expect("made");
    let slices = read(&mut consumer, 1);
    let (slice, record) = (&slices[0], &slices[0].records[0]);
    let origin = Origin::read(&record.headers).expect("an origin");
    assert_eq!(origin.partition, slice.partition, "the same partition");
    assert_eq!(
        (origin.topic.as_str(), origin.group.as_str()),
        (config.topic.as_str(), config.group.as_str())
    );
    assert_eq!(record.key, b"spring/u7");
    assert_eq!(origin::attempts(&record.headers), 1);
    let row = format!(
        "SELECT COUNT(*) FROM dead_letters WHERE topic = '{}' AND `partition` = {} AND `offset` = {}",
        origin.topic, origin.partition, origin.offset
    );
    assert_eq!(db.number(&row).await, 1, "the row is kept by origin");
}

pub(super) const PROCESS: &str = "RUSHGATE_TEST_LANDER";
const SESSION: &str = "session.timeout.ms";

/// A lander in a process of its own: this test binary again, running the test below.
pub(super) struct Lander(Child);

impl Lander {
    fn start(config: &Config, database: &str) -> Self {
        Self::start_with(config, database, "")
    }

    /// With a fail-point armed.
    fn start_with(config: &Config, database: &str, failpoint: &str) -> Self {
        Self::run(
            "bus::landers::a_lander_in_a_process_of_its_own",
            config,
            database,
            failpoint,
        )
    }

    /// As the test of this name.
    pub(super) fn run(name: &str, config: &Config, database: &str, failpoint: &str) -> Self {
        let told = [&config.topic, &config.group, database, &config.client_id];
        let child = Command::new(std::env::current_exe().expect("known"))
            .args(["--exact", name, "--nocapture"])
            .env(PROCESS, told.join("|"))
            .env(failpoint::VARIABLE, failpoint)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        Self(child)
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.0.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until it has died.
    pub(super) fn dies(&mut self) {
        // Waiting would close its standard input, and it would end.
        let stdin = self.0.stdin.take();
        assert!(!self.0.wait().expect("waited for").success());
        drop(stdin);
    }

    /// (landed, retries and slices fenced) at its end.
    fn end(mut self) -> (u64, u64) {
        drop(self.0.stdin.take());
        let line = Output::of(&mut self.0).said("figures ", LIMIT);
        let (_, line) = line.split_once("figures ").expect("said");
        let numbers: Vec<u64> = line
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect();
        self.0.wait().expect("ends");
        (numbers[0], numbers[1])
    }
}

impl Drop for Lander {
    fn drop(&mut self) {
        // Stopped or not; nothing is left where a test has failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Short, so that a frozen lander is given up soon.
pub(super) fn impatient(config: &mut Config) {
    for (name, value) in [(SESSION, "6000"), ("heartbeat.interval.ms", "1000")] {
        config.consumer.insert(name.to_owned(), value.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lander_in_a_process_of_its_own() {
    // No test, but the process that the test below starts and freezes: nothing where nobody asks for it.
    let Ok(told) = std::env::var(PROCESS) else {
        return;
    };
    let [topic, group, database, name] = told.split('|').collect::<Vec<_>>()[..] else {
        panic!("{told}");
    };
    let armed = std::env::var(failpoint::VARIABLE).unwrap_or_default();
    if !armed.is_empty() {
        failpoint::arm(&armed).expect("a fail-point");
    }
    let mut config = Config::new(&brokers());
    (config.topic, config.group) = (topic.to_owned(), group.to_owned());
    config.client_id = name.to_owned();
    impatient(&mut config);
    let landing = lander(&config, &connect(database).await);
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop))
        .await
        .expect("told to end");
    let metrics = stop(landing).await;
    println!(
        "figures {} {}",
        metrics.confirmed.get(),
        metrics.retries.get() + metrics.fenced.get()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lander_frozen_in_mid_transaction_past_its_session_writes_nothing() {
    const ORDERS: i64 = 200;
    let mut config = fresh().await;
    impatient(&mut config);
    let db = database::mariadb().await;
    sale(&db.store, 1000).await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let orders = |from: i64| batch((from..from + ORDERS / 2).map(|n| order(&format!("u{n}"), "1")));
    let zombie = Lander::start(&config, &db.url);
    assert_eq!(acknowledged(&publish(&producer, orders(0))), Ok(()));
    until_number(&db, "SELECT COUNT(*) FROM orders", ORDERS / 2).await;

    // It is caught inside a transaction: the offsets it needs are locked.
    let mut holder = db.raw().await;
    for statement in ["START TRANSACTION", "SELECT * FROM landing_offsets FOR UPDATE"] {
        holder.execute(sqlx::raw_sql(statement)).await.expect("runs");
    }
    assert_eq!(acknowledged(&publish(&producer, orders(ORDERS / 2))), Ok(()));
    let waits = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'";
    until_number(&db, waits, 1).await;
    zombie.signal("STOP");
    holder.execute(sqlx::raw_sql("ROLLBACK")).await.expect("runs");

    let successor = lander(&config, &db.store);
    until_number(&db, "SELECT COUNT(*) FROM orders", ORDERS).await;
    until("it has all partitions", || {
        successor.state().consumer().assigned == PARTITIONS as u64
    })
    .await;
    zombie.signal("CONT");
    // Once it is back in the group, it has had its say.
    until("both share the partitions", || {
        successor.state().consumer().assigned < PARTITIONS as u64
    })
    .await;
    let (landed, told) = zombie.end();
    let successor = stop(successor).await;
    assert_eq!(
        (landed, successor.confirmed.get()),
        (ORDERS as u64 / 2, ORDERS as u64 / 2)
    );
    // Its transaction had been ended. What it had in hand it gives up when it hears that the partitions are gone,
    // or tries again and is fenced, whichever comes first.
    assert!(told > 0, "it was caught in the middle");
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, ORDERS);
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        ORDERS
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM `usage` WHERE used <> 1").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_for_longer_than_a_poll_interval_costs_no_partition() {
    let mut config = fresh().await;
    impatient(&mut config);
    let interval = ("max.poll.interval.ms".to_owned(), "6000".to_owned());
    config.consumer.extend([interval]);
    let mut server = MariaDb::start().await;
    let store = connect(&server.create("sales").await).await;
    store.migrate().await.expect("migrates");
    sale(&store, 1000).await;
    let landing = lander(&config, &store);
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let orders = |from: i64| batch((from..from + 50).map(|n| order(&format!("u{n}"), "1")));
    assert_eq!(acknowledged(&publish(&producer, orders(0))), Ok(()));
    until("the first ones land", || landing.metrics().confirmed.get() == 50).await;
    let before = landing.state().consumer();
    server.down();
    let away = Instant::now();
    assert_eq!(acknowledged(&publish(&producer, orders(50))), Ok(()));
    until("it waits in pauses", || landing.state().consumer().paused > 0).await;
    until("that was long", || away.elapsed() > Duration::from_secs(8)).await;
    server.up().await;
    until("the others land", || landing.metrics().confirmed.get() == 100).await;
    let state = landing.state();
    let metrics = stop(landing).await;
    assert_eq!(metrics.duplicates.get(), 0);
    assert_eq!(state.consumer().assigned, before.assigned);
    assert_eq!(state.consumer().rebalances, before.rebalances);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lander_that_dies_while_it_hands_partitions_over_leaves_none_to_nobody() {
    const ORDERS: i64 = 100;
    /// Of those who have the most, the assignor takes from the last by name.
    const MORTAL: &str = "mortal";
    let mut config = fresh().await;
    impatient(&mut config);
    let named = |name: &str| Config {
        client_id: name.to_owned(),
        ..config.clone()
    };
    let db = database::mariadb().await;
    sale(&db.store, 1000).await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let has = |lander: &LandingHandle| lander.state().consumer().assigned as usize;
    let keeper = lander(&named("keeper"), &db.store);
    until("it has all", || has(&keeper) == PARTITIONS).await;
    let mut mortal = Lander::start_with(&named(MORTAL), &db.url, "C5=abort");
    until("both have some", || has(&keeper) == PARTITIONS / 2).await;
    let orders = |from: i64| batch((from..from + ORDERS / 2).map(|n| order(&format!("u{n}"), "1")));
    assert_eq!(acknowledged(&publish(&producer, orders(0))), Ok(()));
    until_number(&db, "SELECT COUNT(*) FROM orders", ORDERS / 2).await;
    // The group tells one of them to let go, and it dies doing so, and comes back.
    let third = lander(&named("third"), &db.store);
    mortal.dies();
    let again = Lander::start(&named(MORTAL), &db.url);
    assert_eq!(acknowledged(&publish(&producer, orders(ORDERS / 2))), Ok(()));
    until_number(&db, "SELECT COUNT(*) FROM orders", ORDERS).await;
    until("they share the partitions", || {
        (1..PARTITIONS).contains(&(has(&keeper) + has(&third)))
    })
    .await;
    again.end();
    stop(keeper).await;
    stop(third).await;
}
