//! Records that fail: what lands beside them, where they go, and what is kept of them.

use rushgate::bus::origin::{self, Origin};
use rushgate::bus::{DEAD_LETTER_TOPIC, RetryTopic};
use testkit::database;

use super::*;

testkit::on_both!(
    a_few_in_many_are_found_and_moved_and_the_others_land,
    a_unique_key_of_somebody_else_refuses_one_order_only,
    a_copy_that_was_acknowledged_and_not_recorded_lands_once,
    a_landing_that_dies_between_copy_and_commit_moves_again,
);

/// Orders of this user fail: for a reason of the database's own, which may pass.
pub const FAILING: &str = "failing";
/// Orders of this user are refused: their row breaks a rule of the table.
pub const REFUSED: &str = "nobody";

/// Rules of the database that the decoder knows nothing of.
pub async fn trap(db: &Database) {
    if db.is_sqlite() {
        // An integer overflow is no broken constraint.
        db.execute(
            "CREATE TRIGGER trap BEFORE INSERT ON orders WHEN NEW.user_id = 'failing' \
             BEGIN SELECT abs(-9223372036854775807 - 1); END; \
             CREATE TRIGGER rule BEFORE INSERT ON orders WHEN NEW.user_id = 'nobody' \
             BEGIN SELECT RAISE(ABORT, 'nobody'); END",
        )
        .await;
    } else {
        db.execute(
            "CREATE TRIGGER trap BEFORE INSERT ON orders FOR EACH ROW \
             IF NEW.user_id = 'failing' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the trap'; END IF",
        )
        .await;
        db.execute("ALTER TABLE orders ADD CONSTRAINT rule CHECK (user_id <> 'nobody')")
            .await;
    }
}

pub async fn release(db: &Database) {
    db.execute("DROP TRIGGER trap").await;
}

pub fn with_retry(config: Config, name: &str, delay_ms: u64) -> Config {
    Config {
        retry: Some(RetryTopic {
            name: name.to_owned(),
            delay: Duration::from_millis(delay_ms),
        }),
        ..config
    }
}

/// A thousand orders, five of which fail for different reasons.
fn five_in_a_thousand() -> Vec<Outbound> {
    let mut batch: Vec<Outbound> = (0..1000)
        .map(|n| outbound(&order(&format!("u{n}"), "1")))
        .collect();
    let mut newer = order("newer", "1");
    newer.v = 999;
    let mut long = order("long", "1");
    long.user = "x".repeat(300);
    batch[100].payload = b"{\"v\":1".to_vec();
    batch[300] = outbound(&newer);
    batch[500] = outbound(&order(REFUSED, "1"));
    batch[700] = outbound(&order(FAILING, "1"));
    batch[900] = outbound(&long);
    batch
}

async fn a_few_in_many_are_found_and_moved_and_the_others_land(db: Database) {
    sale(&db.store, 5000).await;
    trap(&db).await;
    let (producer, consumer) = embedded::pair(0);
    let mut dead = producer.consumer(DEAD_LETTER_TOPIC, 0);
    let mut retry = producer.consumer("retry", 0);
    let landing = spawn(
        with_retry(quick(), "retry", 60_000),
        &db.store,
        &producer,
        consumer,
    );
    assert_eq!(wait(&publish(&producer, five_in_a_thousand())), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.duplicates.get(),
            metrics.moved.total()
        ),
        (995, 0, 5)
    );
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        995
    );
    assert_eq!(
        db.number("SELECT COUNT(*) FROM `usage` WHERE used = 1").await,
        995
    );
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 1000);

    let rows = [
        (100, "undecodable", "dead"),
        (300, "unknown-version", "dead"),
        (500, "refused", "dead"),
        (700, "failing", "retry"),
        (900, "invalid", "dead"),
    ];
    for (offset, class, stage) in rows {
        let kept = format!(
            "SELECT COUNT(*) FROM dead_letters WHERE topic = '{TOPIC}' AND `partition` = 0 AND `offset` = {offset} \
             AND class = '{class}' AND stage = '{stage}' AND attempts = 1 AND replays = 0 AND recorded_at IS NOT NULL"
        );
        assert_eq!(db.number(&kept).await, 1, "{class}");
    }
    let orders = "SELECT COUNT(*) FROM dead_letters WHERE order_id IS NOT NULL AND campaign_id = 'spring' \
                  AND sku_id = 'shoe' AND quantity = 1";
    assert_eq!(
        db.number(orders).await,
        2,
        "refused, failing; nobody was admitted with an invalid one"
    );
    let moved = metrics.moved.all();
    assert_eq!(
        moved,
        [
            ("failing", "retry".to_owned(), 1),
            ("invalid", DEAD_LETTER_TOPIC.to_owned(), 1),
            ("refused", DEAD_LETTER_TOPIC.to_owned(), 1),
            ("undecodable", DEAD_LETTER_TOPIC.to_owned(), 1),
            ("unknown-version", DEAD_LETTER_TOPIC.to_owned(), 1),
        ]
    );

    let letters = records(&mut dead);
    let origins: Vec<i64> = letters
        .iter()
        .map(|record| Origin::read(&record.headers).expect("an origin").offset)
        .collect();
    assert_eq!(origins, [100, 300, 500, 900]);
    assert_eq!(
        (&letters[0].key[..], &letters[0].payload[..]),
        (&b"spring/u100"[..], &b"{\"v\":1"[..])
    );
    let waiting = records(&mut retry);
    let origin = Origin::read(&waiting[0].headers).expect("an origin");
    assert_eq!(
        (origin.topic.as_str(), origin.partition, origin.offset),
        (TOPIC, 0, 700)
    );
    assert_eq!(origin.group, "rushgate-landing");
    assert!(origin.timestamp > 0);
    assert_eq!(origin::attempts(&waiting[0].headers), 1);
    let due = origin::due(&waiting[0].headers).expect("a moment");
    assert!(due >= origin.timestamp + 60_000, "{due} {}", origin.timestamp);
    let text = |name: &str| {
        let found = waiting[0].headers.iter().find(|(known, _)| known == name);
        String::from_utf8_lossy(&found.expect("there").1).into_owned()
    };
    assert_eq!(text(origin::CLASS), "failing");
    let expected = if db.is_sqlite() { "overflow" } else { "the trap" };
    assert!(
        text(origin::MESSAGE).contains(expected),
        "{}",
        text(origin::MESSAGE)
    );
}

async fn a_unique_key_of_somebody_else_refuses_one_order_only(db: Database) {
    sale(&db.store, 100).await;
    // The column is too long for a key of MySQL as a whole.
    let length = if db.is_sqlite() { "" } else { "(100)" };
    db.execute(&format!("CREATE UNIQUE INDEX once ON orders (user_id{length})"))
        .await;
    let (producer, landing) = start(&db.store);
    let mut batch: Vec<Outbound> = (0..20).map(|n| outbound(&order(&format!("u{n}"), "1"))).collect();
    batch[7] = outbound(&order("u3", "2"));
    assert_eq!(wait(&publish(&producer, batch)), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (19, 1));
    let refused = "SELECT COUNT(*) FROM dead_letters WHERE class = 'refused' AND `offset` = 7";
    assert_eq!(db.number(refused).await, 1);
}

/// Passes copies on and keeps the answer to itself.
pub struct Silent(pub EmbeddedProducer);

impl Producer for Silent {
    fn publish(&self, batch: Vec<Outbound>, acknowledge: rushgate::bus::Acknowledge) {
        self.0.publish(batch, acknowledge);
    }
    fn forward(&self, records: Vec<rushgate::bus::Forward>, acknowledge: rushgate::bus::Acknowledge) {
        self.0
            .forward(records, Box::new(move |_| std::mem::forget(acknowledge)));
    }
    fn in_flight(&self) -> usize {
        0
    }
    fn flush(&self, limit: Duration) -> futures_util::future::BoxFuture<'_, bool> {
        self.0.flush(limit)
    }
    fn high_watermarks<'a>(
        &'a self,
        topic: &'a str,
    ) -> futures_util::future::BoxFuture<'a, Result<std::collections::BTreeMap<i32, i64>, BusError>> {
        self.0.high_watermarks(topic)
    }
    fn ping(&self) -> futures_util::future::BoxFuture<'_, Result<(), BusError>> {
        self.0.ping()
    }
}

/// The retry topic's own landing, without a delay worth mentioning.
fn retry_config() -> Config {
    Config {
        topic: "retry".to_owned(),
        delay: Duration::from_millis(1),
        guarded: false,
        ..quick()
    }
}

async fn a_copy_that_was_acknowledged_and_not_recorded_lands_once(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let (producer, consumer) = embedded::pair(0);
    let retry = producer.consumer("retry", 0);
    let landing = spawn(with_retry(quick(), "retry", 1), &db.store, &producer, consumer);
    let answer = publish(&producer, vec![outbound(&order(FAILING, "1"))]);
    assert_eq!(wait(&answer), Ok(()));
    stop(landing).await;
    release(&db).await;
    // The copy again, as a crash before the commit would have left it.
    let mut retry = retry;
    let copy = records(&mut retry).remove(0);
    retry.seek(0, 0);
    let (sender, sent) = mpsc::channel();
    let again = rushgate::bus::Forward {
        topic: "retry".to_owned(),
        partition: Some(0),
        key: copy.key,
        payload: copy.payload,
        headers: copy.headers,
    };
    producer.forward(vec![again], Box::new(move |result| drop(sender.send(result))));
    assert_eq!(wait(&sent), Ok(()));
    let landing = spawn(retry_config(), &db.store, &producer, retry);
    let metrics = landing.metrics();
    database::until("both copies are read", || {
        metrics.confirmed.get() + metrics.duplicates.get() == 2
    })
    .await;
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.duplicates.get()), (1, 1));
    let row = "SELECT COUNT(*) FROM dead_letters WHERE stage = 'landed' AND `offset` = 0";
    assert_eq!(db.number(row).await, 1);
    assert_eq!(db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await, 1);
}

async fn a_landing_that_dies_between_copy_and_commit_moves_again(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let (producer, consumer) = embedded::pair(0);
    let mut retry = producer.consumer("retry", 0);
    let config = with_retry(quick(), "retry", 1);
    let silent: Arc<dyn Producer> = Arc::new(Silent(producer.clone()));
    let landing = Landing::spawn(
        config.clone(),
        Box::new(consumer),
        silent,
        db.store.clone(),
        Handle::current(),
        rushgate::landing::Metrics::default(),
    )
    .expect("a thread");
    let batch = || vec![outbound(&order("a", "1")), outbound(&order(FAILING, "1"))];
    let answer = publish(&producer, batch());
    let copies = || async { producer.high_watermarks("retry").await.expect("asked")[&0] };
    let begun = std::time::Instant::now();
    while copies().await == 0 {
        assert!(begun.elapsed() < LIMIT, "no copy");
        tokio::task::yield_now().await;
    }
    stop(landing).await;
    assert!(wait(&answer).is_err(), "nothing is acknowledged");
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 0);
    let offset = db.store.offsets(TOPIC).await.expect("read")[&0];
    assert_eq!(
        offset, 1,
        "the good order has landed, the other has not been passed"
    );

    // The next owner reads the same log from the database's offset.
    let consumer = producer.consumer(TOPIC, 1);
    let landing = spawn(config, &db.store, &producer, consumer);
    assert_eq!(wait(&publish(&producer, batch().split_off(1))), Ok(()));
    stop(landing).await;
    assert_eq!(records(&mut retry).len(), 2);
    assert_eq!(
        db.number("SELECT COUNT(*) FROM dead_letters WHERE stage = 'retry'")
            .await,
        1
    );
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 2);
}
