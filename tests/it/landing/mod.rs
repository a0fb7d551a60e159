//! Landing over SQLite and a real MariaDB, fed by the embedded bus.

mod changes;
mod charges;
mod forged;
mod guard;
mod levels;
mod limits;
mod outages;
mod poison;
mod records;
mod redrive;
mod told;
mod unsealed;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use database::{Database, NOW, TOPIC, order, sale, slice};
use rushgate::bus::embedded::{self, EmbeddedConsumer, EmbeddedProducer};
use rushgate::bus::{BusError, Consumer, ConsumerState, Outbound, Producer, Slice};
use rushgate::landing::{Config, Landing, LandingHandle, Metrics};
use rushgate::order::OrderEvent;
use rushgate::store::Store;
use testkit::database;
use tokio::runtime::Handle;

const LIMIT: Duration = Duration::from_secs(60);

testkit::on_both!(
    orders_land_and_are_acknowledged_then,
    duplicates_and_overselling_are_told_apart,
    a_zombie_is_fenced_and_catches_up,
    a_stopped_landing_answers_what_is_left,
);

type Answer = Receiver<Result<(), BusError>>;

fn outbound(order: &OrderEvent) -> Outbound {
    Outbound {
        partition: Some(0),
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

/// Both sides of the bus with a landing thread between consumer and database.
fn start(store: &Store) -> (EmbeddedProducer, LandingHandle) {
    let (producer, consumer) = embedded::pair(0);
    let landing = spawn(quick(), store, &producer, consumer);
    (producer, landing)
}

fn quick() -> Config {
    Config {
        batch_records: 2000,
        batch_wait: Duration::from_millis(1),
        ..Config::default()
    }
}

fn spawn(
    config: Config,
    store: &Store,
    producer: &EmbeddedProducer,
    consumer: impl Consumer + 'static,
) -> LandingHandle {
    let producer: Arc<dyn Producer> = Arc::new(producer.clone());
    Landing::spawn(
        config,
        Box::new(consumer),
        producer,
        store.clone(),
        Handle::current(),
        Metrics::default(),
    )
    .expect("a thread")
}

/// Everything the topic holds by now.
fn records(consumer: &mut EmbeddedConsumer) -> Vec<rushgate::bus::Record> {
    let slices = consumer.poll(10_000, Duration::ZERO).expect("readable");
    slices.into_iter().flat_map(|slice| slice.records).collect()
}

fn wait(answer: &Answer) -> Result<(), BusError> {
    answer.recv_timeout(LIMIT).expect("answered in time")
}

/// Stops; says what was counted.
async fn stop(landing: LandingHandle) -> Metrics {
    let metrics = landing.metrics();
    tokio::task::spawn_blocking(move || landing.stop())
        .await
        .expect("joins");
    metrics
}

async fn orders_land_and_are_acknowledged_then(db: Database) {
    sale(&db.store, 5000).await;
    let (producer, landing) = start(&db.store);
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
    let state = landing.state();
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), state.last_error()), (3000, None));
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        3000
    );
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 3000);
}

async fn duplicates_and_overselling_are_told_apart(db: Database) {
    sale(&db.store, 10).await;
    let (producer, landing) = start(&db.store);
    let orders: Vec<Outbound> = (0..15).map(|n| outbound(&order(&format!("u{n}"), "1"))).collect();
    assert_eq!(wait(&publish(&producer, orders.clone())), Ok(()));
    assert_eq!(wait(&publish(&producer, orders)), Ok(()));
    let mut glove = order("g", "1");
    glove.sku = "glove".to_owned();
    assert_eq!(wait(&publish(&producer, vec![outbound(&glove)])), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.revoked.get(),
            metrics.duplicates.get()
        ),
        (10, 5, 15)
    );
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
        db.number("SELECT COUNT(*) FROM dead_letters WHERE class = 'implausible'")
            .await,
        1
    );
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
    let landing = spawn(config, &db.store, &producer, consumer);
    assert_eq!(wait(&answer), Ok(()));
    let metrics = stop(landing).await;
    // One batch of the past, then straight to offset 15.
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.duplicates.get(),
            metrics.fenced.get()
        ),
        (5, 4, 1)
    );
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        20
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM `usage` WHERE used <> 1").await, 0);
}

async fn a_stopped_landing_answers_what_is_left(db: Database) {
    let (producer, landing) = start(&db.store);
    stop(landing).await;
    let answer = wait(&publish(&producer, vec![outbound(&order("a", "1"))]));
    assert!(matches!(answer, Err(BusError::Unacknowledged(_))), "{answer:?}");
    assert!(producer.ping().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_no_use_ends_the_thread_and_says_why() {
    struct Broken;
    impl Consumer for Broken {
        fn poll(&mut self, _max: usize, _wait: Duration) -> Result<Vec<Slice>, BusError> {
            Err(BusError::Fatal("the group does not take it".to_owned()))
        }
        fn idle(&mut self, _wait: Duration) -> Result<(), BusError> {
            Ok(())
        }
        fn lost(&mut self) -> BTreeSet<i32> {
            BTreeSet::new()
        }
        fn commit(&mut self, _landed: &[(i32, i64)]) {}
        fn seek(&mut self, _partition: i32, _offset: i64) {}
        fn hold(&mut self, _partition: i32, _offset: i64, _wait: Duration) {}
        fn state(&self) -> ConsumerState {
            ConsumerState::default()
        }
    }
    let db = database::sqlite().await;
    let (producer, _orders) = embedded::pair(0);
    let landing = spawn(quick(), &db.store, &producer, Broken);
    database::until("the thread ends", || landing.is_finished()).await;
    let state = landing.state();
    assert!(state.failed());
    assert_eq!(state.last_error().as_deref(), Some("the group does not take it"));
}
