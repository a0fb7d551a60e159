//! The way of a failing order through the retry topics, and back.

use std::time::Instant;

use rushgate::bus::origin::{self, Origin};
use rushgate::bus::{DEAD_LETTER_TOPIC, Topics};
use testkit::database;

use super::poison::{FAILING, release, trap};
use super::*;

testkit::on_both!(
    an_order_that_keeps_failing_passes_every_level_and_is_never_early,
    an_order_lands_from_a_retry_topic_once_the_cause_is_gone,
    a_replayed_order_lands_and_its_row_says_so,
    a_record_without_headers_waits_from_its_own_timestamp,
    a_letter_whose_order_fails_is_not_landed_because_its_copy_was_left_out,
);

/// A landing thread for the orders and each retry topic.
pub struct Levels {
    pub producer: EmbeddedProducer,
    landings: Vec<LandingHandle>,
    dead: EmbeddedConsumer,
}

pub fn levels(store: &Store, delays: &str) -> Levels {
    let topics = Topics::new(TOPIC, delays).expect("delays");
    let (producer, orders) = embedded::pair(0);
    let dead = producer.consumer(DEAD_LETTER_TOPIC, 0);
    let mut consumers = vec![orders];
    consumers.extend(
        topics
            .retries
            .iter()
            .map(|retry| producer.consumer(&retry.name, 0)),
    );
    let landings = Config::levels(&topics, &quick())
        .into_iter()
        .zip(consumers)
        .map(|(config, consumer)| spawn(config, store, &producer, consumer))
        .collect();
    Levels {
        producer,
        landings,
        dead,
    }
}

impl Levels {
    pub async fn stop(self) -> Vec<Metrics> {
        let mut metrics = Vec::new();
        for landing in self.landings {
            metrics.push(stop(landing).await);
        }
        metrics
    }
}

async fn until_stage(db: &Database, stage: &str, attempts: i64) {
    let sql = format!("SELECT COUNT(*) FROM dead_letters WHERE stage = '{stage}' AND attempts = {attempts}");
    let begun = Instant::now();
    while db.number(&sql).await == 0 {
        assert!(begun.elapsed() < LIMIT, "no row of stage {stage}");
        tokio::task::yield_now().await;
    }
}

async fn an_order_that_keeps_failing_passes_every_level_and_is_never_early(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let mut levels = levels(&db.store, "150ms,250ms");
    let begun = Instant::now();
    let batch = vec![outbound(&order(FAILING, "1")), outbound(&order("a", "1"))];
    assert_eq!(wait(&publish(&levels.producer, batch)), Ok(()));
    until_stage(&db, "dead", 3).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(400),
        "{:?}",
        begun.elapsed()
    );
    let letter = records(&mut levels.dead).remove(0);
    let metrics = levels.stop().await;
    let moved: Vec<u64> = metrics.iter().map(|metrics| metrics.moved.total()).collect();
    assert_eq!(moved, [1, 1, 1]);
    assert_eq!(metrics[0].confirmed.get(), 1);
    let origin = Origin::read(&letter.headers).expect("an origin");
    assert_eq!((origin.topic.as_str(), origin.offset), (TOPIC, 0));
    assert_eq!(origin.group, "rushgate-landing", "the first one");
    assert_eq!(origin::attempts(&letter.headers), 3);
    assert_eq!(origin::due(&letter.headers), None);
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 1);
    for retry in ["150ms", "250ms"] {
        let offsets = db.store.offsets(&format!("{TOPIC}.retry.{retry}")).await;
        assert_eq!(offsets.expect("read")[&0], 1);
    }
}

async fn an_order_lands_from_a_retry_topic_once_the_cause_is_gone(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let levels = levels(&db.store, "500ms");
    assert_eq!(
        wait(&publish(&levels.producer, vec![outbound(&order(FAILING, "1"))])),
        Ok(())
    );
    until_stage(&db, "retry", 1).await;
    let waits = levels.landings[1].state();
    database::until("its partition waits", || waits.consumer().paused == 1).await;
    release(&db).await;
    until_stage(&db, "landed", 1).await;
    let metrics = levels.stop().await;
    assert_eq!((metrics[0].confirmed.get(), metrics[1].confirmed.get()), (0, 1));
    assert_eq!(db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await, 1);
}

/// Publishes an order that fails, and waits for its dead letter.
fn dead_letter(levels: &mut Levels) -> rushgate::bus::Record {
    let failing = vec![outbound(&order(FAILING, "1"))];
    assert_eq!(wait(&publish(&levels.producer, failing)), Ok(()));
    records(&mut levels.dead).remove(0)
}

/// Sends so many copies of a letter back to its topic, in one go.
fn replay(levels: &Levels, letter: &rushgate::bus::Record, copies: usize) -> Answer {
    let (sender, answer) = mpsc::channel();
    let record = rushgate::bus::Forward {
        topic: TOPIC.to_owned(),
        partition: Some(0),
        key: letter.key.clone(),
        payload: letter.payload.clone(),
        headers: Origin::read(&letter.headers).expect("an origin").headers(),
    };
    let acknowledge = Box::new(move |result| drop(sender.send(result)));
    levels.producer.forward(vec![record; copies], acknowledge);
    answer
}

async fn a_replayed_order_lands_and_its_row_says_so(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let mut levels = levels(&db.store, "");
    let letter = dead_letter(&mut levels);
    // Too early: it fails again, and is the same dead letter.
    db.execute("UPDATE dead_letters SET stage = 'replayed', replays = 1")
        .await;
    assert_eq!(wait(&replay(&levels, &letter, 1)), Ok(()));
    until_stage(&db, "dead", 2).await;
    assert_eq!(db.number("SELECT replays FROM dead_letters").await, 1);
    release(&db).await;
    assert_eq!(wait(&replay(&levels, &letter, 1)), Ok(()));
    until_stage(&db, "landed", 2).await;
    levels.stop().await;
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 1);
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 1);
}

async fn a_record_without_headers_waits_from_its_own_timestamp(db: Database) {
    sale(&db.store, 100).await;
    let levels = levels(&db.store, "400ms");
    let record = rushgate::bus::Forward {
        topic: format!("{TOPIC}.retry.400ms"),
        partition: Some(0),
        key: b"spring/a".to_vec(),
        payload: order("a", "1").encode(),
        headers: Vec::new(),
    };
    let begun = Instant::now();
    levels.producer.forward(vec![record], Box::new(|_| {}));
    let metrics = levels.landings[1].metrics();
    database::until("it lands", || metrics.confirmed.get() == 1).await;
    assert!(
        begun.elapsed() >= Duration::from_millis(395),
        "early: {:?}",
        begun.elapsed()
    );
    levels.stop().await;
}

async fn a_letter_whose_order_fails_is_not_landed_because_its_copy_was_left_out(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let mut levels = levels(&db.store, "");
    let letter = dead_letter(&mut levels);
    // A lander that died before its transaction leaves two copies, and both come in one batch.
    assert_eq!(wait(&replay(&levels, &letter, 2)), Ok(()));
    until_stage(&db, "dead", 2).await;
    release(&db).await;
    assert_eq!(wait(&replay(&levels, &letter, 2)), Ok(()));
    until_stage(&db, "landed", 2).await;
    levels.stop().await;
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 1);
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 1);
}
