//! Landing over SQLite and a real MariaDB, fed by the embedded bus.

mod database;

use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use database::{Database, MariaDb, NOW, TOPIC, connect, order, sale, slice};
use rushgate::bus::embedded::{self, EmbeddedProducer};
use rushgate::bus::{BusError, Consumer, Outbound, Producer, Slice};
use rushgate::landing::{Config, Landing, LandingHandle, Snapshot};
use rushgate::order::OrderEvent;
use rushgate::store::Store;
use tokio::runtime::Handle;

const LIMIT: Duration = Duration::from_secs(60);

on_both!(
    orders_land_and_are_acknowledged_then,
    duplicates_and_overselling_are_told_apart,
    records_that_cannot_be_decoded_are_kept_and_do_not_block,
    a_value_the_database_refuses_is_found_and_buried,
    a_zombie_is_fenced_and_catches_up,
    a_stopped_landing_answers_what_is_left,
);

type Answer = Receiver<Result<(), BusError>>;

fn outbound(order: &OrderEvent) -> Outbound {
    Outbound {
        key: order.key(),
        payload: order.encode(),
    }
}

fn publish(producer: &EmbeddedProducer, batch: Vec<Outbound>) -> Answer {
    let (sender, answer) = mpsc::channel();
    // A test that ended early no longer listens.
    producer.publish(batch, Box::new(move |result| drop(sender.send(result))));
    answer
}

fn start(store: &Store, consumer: impl Consumer + 'static) -> LandingHandle {
    let config = Config {
        batch_wait: Duration::from_millis(1),
        ..Config::default()
    };
    Landing::spawn(config, Box::new(consumer), store.clone(), Handle::current()).expect("a thread")
}

fn wait(answer: &Answer) -> Result<(), BusError> {
    answer.recv_timeout(LIMIT).expect("answered in time")
}

/// Stops and gives the final figures.
async fn stop(landing: LandingHandle) -> Snapshot {
    let figures = landing.figures();
    tokio::task::spawn_blocking(move || landing.stop())
        .await
        .expect("joins");
    figures.read(NOW)
}

async fn orders_land_and_are_acknowledged_then(db: Database) {
    sale(&db.store, 5000).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = start(&db.store, consumer);
    let batches: Vec<Vec<OrderEvent>> = (0..10)
        .map(|batch| (0..300).map(|n| order(&format!("u{batch}-{n}"), "1")).collect())
        .collect();
    let answers: Vec<Answer> = batches
        .iter()
        .map(|batch| publish(&producer, batch.iter().map(outbound).collect()))
        .collect();
    for (batch, answer) in batches.iter().zip(&answers) {
        assert_eq!(wait(answer), Ok(()));
        // Acknowledged means: it is in the database.
        let last = batch.last().expect("not empty").order;
        assert!(db.store.order("spring", last).await.expect("asked").is_some());
    }
    assert!(producer.flush(LIMIT).await);
    assert_eq!(producer.in_flight(), 0);
    let figures = stop(landing).await;
    assert_eq!((figures.landed, figures.last_error), (3000, None));
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        3000
    );
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 3000);
}

async fn duplicates_and_overselling_are_told_apart(db: Database) {
    sale(&db.store, 10).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = start(&db.store, consumer);
    let orders: Vec<Outbound> = (0..15).map(|n| outbound(&order(&format!("u{n}"), "1"))).collect();
    assert_eq!(wait(&publish(&producer, orders.clone())), Ok(()));
    assert_eq!(wait(&publish(&producer, orders)), Ok(()));
    let mut glove = order("g", "1");
    glove.sku = "glove".to_owned();
    assert_eq!(wait(&publish(&producer, vec![outbound(&glove)])), Ok(()));
    let figures = stop(landing).await;
    assert_eq!((figures.landed, figures.revoked, figures.duplicates), (10, 6, 15));
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        10
    );
    assert_eq!(
        db.number("SELECT COUNT(*) FROM orders WHERE revoked_reason = 'oversold'")
            .await,
        5
    );
    assert_eq!(
        db.number("SELECT COUNT(*) FROM orders WHERE revoked_reason = 'unknown-sku'")
            .await,
        1
    );
}

async fn records_that_cannot_be_decoded_are_kept_and_do_not_block(db: Database) {
    sale(&db.store, 10).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = start(&db.store, consumer);
    let mut newer = order("n", "1");
    newer.v = 999;
    let mut long = order("l", "1");
    long.user = "x".repeat(300);
    let batch = vec![
        outbound(&order("a", "1")),
        Outbound {
            key: "k".to_owned(),
            payload: b"{\"v\":1".to_vec(),
        },
        outbound(&newer),
        Outbound {
            key: "k".to_owned(),
            payload: Vec::new(),
        },
        outbound(&long),
        outbound(&order("b", "1")),
    ];
    assert_eq!(wait(&publish(&producer, batch)), Ok(()));
    let figures = stop(landing).await;
    assert_eq!((figures.landed, figures.dead), (2, 4));
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 4);
    let kept = "SELECT COUNT(*) FROM dead_letters WHERE `offset` = 2 AND error LIKE '%version 999%'";
    assert_eq!(db.number(kept).await, 1);
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 6);
}

async fn a_value_the_database_refuses_is_found_and_buried(db: Database) {
    sale(&db.store, 100).await;
    // A rule of the database that the decoder knows nothing of.
    if db.url.starts_with("mysql:") {
        db.execute("ALTER TABLE orders ADD CONSTRAINT nobody CHECK (user_id <> 'nobody')")
            .await;
    } else {
        db.execute(
            "CREATE TRIGGER nobody BEFORE INSERT ON orders WHEN NEW.user_id = 'nobody' \
             BEGIN SELECT RAISE(ABORT, 'nobody'); END",
        )
        .await;
    }
    let (producer, consumer) = embedded::pair(0);
    let landing = start(&db.store, consumer);
    let mut batch: Vec<Outbound> = (0..40).map(|n| outbound(&order(&format!("u{n}"), "1"))).collect();
    batch[17] = outbound(&order("nobody", "1"));
    assert_eq!(wait(&publish(&producer, batch)), Ok(()));
    let figures = stop(landing).await;
    assert_eq!((figures.landed, figures.dead), (39, 1));
    assert_eq!(db.number("SELECT `offset` FROM dead_letters").await, 17);
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        39
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM `usage` WHERE used > 0").await, 39);
}

/// Stands for a consumer whose partition another one took over: its log is the same.
async fn a_zombie_is_fenced_and_catches_up(db: Database) {
    sale(&db.store, 100).await;
    let orders: Vec<OrderEvent> = (0..20).map(|n| order(&format!("u{n}"), "1")).collect();
    // The new owner has landed the first 15.
    let ahead = slice(0, 0, orders[..15].to_vec());
    db.store.land(TOPIC, &[ahead], NOW).await.expect("landed");
    let (producer, consumer) = embedded::pair(0);
    let answer = publish(&producer, orders.iter().map(outbound).collect());
    let config = Config {
        batch_records: 4,
        batch_wait: Duration::ZERO,
        ..Config::default()
    };
    let landing =
        Landing::spawn(config, Box::new(consumer), db.store.clone(), Handle::current()).expect("a thread");
    assert_eq!(wait(&answer), Ok(()));
    let figures = stop(landing).await;
    // One batch of the past, then straight to offset 15.
    assert_eq!((figures.landed, figures.duplicates, figures.fenced), (5, 4, 1));
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        20
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM `usage` WHERE used <> 1").await, 0);
}

async fn a_stopped_landing_answers_what_is_left(db: Database) {
    let (producer, consumer) = embedded::pair(0);
    let landing = start(&db.store, consumer);
    stop(landing).await;
    let answer = wait(&publish(&producer, vec![outbound(&order("a", "1"))]));
    assert!(matches!(answer, Err(BusError::Unacknowledged(_))), "{answer:?}");
    assert!(producer.ping().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_holds_landing_up_and_loses_nothing() {
    let mut server = MariaDb::start().await;
    let store = connect(&server.create("sales").await).await;
    store.migrate().await.expect("migrates");
    sale(&store, 100).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = start(&store, consumer);
    assert_eq!(
        wait(&publish(&producer, vec![outbound(&order("a", "1"))])),
        Ok(())
    );
    server.down();
    let orders: Vec<Outbound> = (0..50).map(|n| outbound(&order(&format!("u{n}"), "1"))).collect();
    let answer = publish(&producer, orders);
    database::until("landing notices", || landing.figures().read(NOW).retries >= 2).await;
    assert!(answer.try_recv().is_err(), "nothing is acknowledged meanwhile");
    server.up().await;
    assert_eq!(wait(&answer), Ok(()));
    let figures = stop(landing).await;
    assert_eq!(figures.landed, 51);
    assert!(figures.last_error.is_some());
    let stock = store.stock("spring").await.expect("read");
    assert_eq!(stock[0].sold, 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_database_that_is_away() {
    let mut server = MariaDb::start().await;
    let store = connect(&server.create("sales").await).await;
    store.migrate().await.expect("migrates");
    let (producer, consumer) = embedded::pair(0);
    let landing = start(&store, consumer);
    server.down();
    let answer = publish(&producer, vec![outbound(&order("a", "1"))]);
    database::until("landing notices", || landing.figures().read(NOW).retries >= 1).await;
    stop(landing).await;
    assert!(matches!(wait(&answer), Err(BusError::Unacknowledged(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_no_use_ends_the_thread_and_says_why() {
    struct Broken;
    impl Consumer for Broken {
        fn poll(&mut self, _max: usize, _wait: Duration) -> Result<Vec<Slice>, BusError> {
            Err(BusError::Fatal("fenced by its own instance id".to_owned()))
        }
        fn commit(&mut self, _landed: &[(i32, i64)]) {}
        fn seek(&mut self, _partition: i32, _offset: i64) {}
    }
    let db = database::sqlite().await;
    let landing = start(&db.store, Broken);
    database::until("the thread ends", || landing.is_finished()).await;
    let figures = landing.figures().read(NOW);
    assert!(figures.failed);
    assert_eq!(
        figures.last_error.as_deref(),
        Some("fenced by its own instance id")
    );
}
