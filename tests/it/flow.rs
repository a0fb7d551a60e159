//! Flow over a real database: what has not landed is the lag, a lag above the limit sheds orders, and one that stands still
//! is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use database::{TOPIC, order, sale, sqlite, until};
use rushgate::bus::{Outbound, Producer, embedded};
use rushgate::flow::{Config, Flow, Partition, Policy};
use rushgate::landing::{self, Landing};
use testkit::database;
use tokio::runtime::Handle;

const ORDERS: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_refused_until_landing_has_caught_up() {
    let db = sqlite().await;
    sale(&db.store, 1000).await;
    let (producer, consumer) = embedded::pair(0);
    let producer = Arc::new(producer);
    let batch = (0..ORDERS).map(|n| {
        let order = order(&format!("u{n}"), "1");
        Outbound {
            partition: None,
            key: order.key(),
            payload: order.encode(),
        }
    });
    producer.publish(batch.collect(), Box::new(|_| {}));
    let config = Config {
        policy: Policy::Refuse,
        backlog_max: ORDERS - 1,
        every: Duration::from_millis(5),
        ..Config::default()
    };
    let flow = Flow::spawn(config, producer.clone(), db.store.clone());
    let behind = Partition {
        topic: TOPIC.to_owned(),
        number: 0,
        lag: ORDERS,
        landed: 0,
    };
    until("the lag is seen", || flow.partitions() == [behind.clone()]).await;
    let shed = flow.check(0, 1.0).expect_err("behind");
    assert!(
        shed.refused && shed.retry_after >= Duration::from_secs(1),
        "{shed:?}"
    );
    assert_eq!(flow.metrics().shed.get(), 1);
    assert!(flow.check(0, 0.5).is_ok(), "of fewer orders");
    assert!(flow.check(0, 3.0).is_err(), "of more");

    let settings = landing::Config {
        batch_wait: Duration::from_millis(1),
        ..landing::Config::default()
    };
    let landing = Landing::spawn(
        settings,
        Box::new(consumer),
        producer,
        db.store.clone(),
        Handle::current(),
        rushgate::landing::Metrics::default(),
    )
    .expect("a thread");
    until("orders are taken again", || flow.check(0, 1.0).is_ok()).await;
    // What waits in the outboxes counts like what waits in Kafka.
    assert!(flow.check(ORDERS, 1.0).is_err());
    let metrics = landing.metrics();
    tokio::task::spawn_blocking(move || landing.stop())
        .await
        .expect("joins");
    assert_eq!(metrics.confirmed.get(), ORDERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lag_that_stands_still_is_told_until_something_lands_and_not_where_it_cannot_be_read() {
    let db = sqlite().await;
    sale(&db.store, 1000).await;
    let (producer, consumer) = embedded::pair(0);
    let producer = Arc::new(producer);
    let config = Config {
        every: Duration::from_millis(5),
        ..Config::default()
    };
    let flow = Flow::spawn(config, producer.clone(), db.store.clone());
    until("it has been read", || !flow.partitions().is_empty()).await;
    assert_eq!(flow.stalled(), [], "nothing is there to land");
    let order = order("ada", "1");
    let outbound = Outbound {
        partition: None,
        key: order.key(),
        payload: order.encode(),
    };
    producer.publish(vec![outbound], Box::new(|_| {}));
    let stands = || flow.stalled().iter().any(|each| each.partition.lag == 1);
    until("nobody lands it", stands).await;

    db.execute("ALTER TABLE landing_offsets RENAME TO away").await;
    until("it cannot be read", || flow.unread() == 1).await;
    assert_eq!(flow.stalled(), [], "what it looks like is old");
    let blind = Instant::now();
    db.execute("ALTER TABLE away RENAME TO landing_offsets").await;
    until("it is read again", || flow.unread() == 0).await;
    let longest = flow.stalled().iter().map(|each| each.still).max();
    assert!(
        longest >= Some(blind.elapsed()),
        "the time before counts: {longest:?}"
    );

    let landing = Landing::spawn(
        landing::Config::default(),
        Box::new(consumer),
        producer,
        db.store.clone(),
        Handle::current(),
        rushgate::landing::Metrics::default(),
    )
    .expect("a thread");
    until("it has landed", || flow.stalled().is_empty()).await;
    tokio::task::spawn_blocking(move || landing.stop())
        .await
        .expect("joins");
}
