//! Before the cut-over: what records without a seal say of themselves closes, holds and stops nothing.

use rushgate::bus::origin::{DUE, Origin};
use rushgate::bus::{Forward, Headers};
use rushgate::store::{DeadLetter, LetterFilter, Stage};
use testkit::database;

use super::poison::{FAILING, REFUSED, release, trap};
use super::*;

testkit::on_both!(
    only_the_same_order_whole_closes_or_changes_a_letter,
    letters_of_a_topic_made_anew_are_replayed_and_land,
    far_off_records_wait_once_for_the_whole_log,
    a_tripped_guard_obeys_the_cut_over_by_itself,
);

fn forward(producer: &EmbeddedProducer, records: Vec<Forward>) -> Answer {
    let (sender, answer) = mpsc::channel();
    producer.forward(records, Box::new(move |result| drop(sender.send(result))));
    answer
}

fn record(topic: &str, order: &OrderEvent, headers: Headers) -> Forward {
    Forward {
        topic: topic.to_owned(),
        partition: Some(0),
        key: order.key().into_bytes(),
        payload: order.encode(),
        headers,
    }
}

fn claiming(offset: i64) -> Headers {
    let origin = Origin {
        topic: TOPIC.to_owned(),
        partition: 0,
        offset,
        position: 0,
        timestamp: 1,
        group: String::new(),
    };
    origin.headers()
}

async fn only_the_same_order_whole_closes_or_changes_a_letter(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = spawn(quick(), &db.store, &producer, consumer);
    // Offset 0 is an order of a buyer, offset 1 no order at all.
    let ours = order(REFUSED, "1");
    let garbage = Outbound {
        partition: None,
        key: "k".to_owned(),
        payload: b"{".to_vec(),
    };
    assert_eq!(wait(&publish(&producer, vec![outbound(&ours), garbage])), Ok(()));
    // The same id under another name lands at 2; an order at 3; what lies at 4 dies.
    let mut stolen = order("eve", "1");
    stolen.order = ours.order;
    let mut dies = record(TOPIC, &order("eve", "3"), claiming(1));
    dies.payload = b"[]".to_vec();
    let forged = vec![
        record(TOPIC, &stolen, claiming(0)),
        record(TOPIC, &order("eve", "2"), claiming(1)),
        dies,
    ];
    assert_eq!(wait(&forward(&producer, forged)), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (2, 3));
    let untouched =
        "SELECT COUNT(*) FROM dead_letters WHERE `offset` IN (0, 1) AND stage = 'dead' AND attempts = 1";
    assert_eq!(db.number(untouched).await, 2);
    let own = "SELECT COUNT(*) FROM dead_letters WHERE `offset` = 4 AND class = 'undecodable'";
    assert_eq!(db.number(own).await, 1);
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 3);
}

async fn letters_of_a_topic_made_anew_are_replayed_and_land(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let batch = |key: &str| -> Vec<Outbound> {
        let keys = (0..12).map(|n| format!("{key}{n}"));
        keys.map(|key| outbound(&order(FAILING, &key))).collect()
    };
    for key in ["old", "new"] {
        db.execute("DELETE FROM landing_offsets").await;
        let (producer, landing) = start(&db.store);
        assert_eq!(wait(&publish(&producer, batch(key))), Ok(()));
        stop(landing).await;
        if key == "old" {
            db.execute("UPDATE dead_letters SET stage = 'landed'").await;
        }
    }
    let dead = LetterFilter {
        stages: vec![Stage::Dead],
        ..LetterFilter::default()
    };
    let letters = db.store.dead_letters(&dead, None, 99).await.expect("read");
    assert_eq!(letters.len(), 12, "each has a row of its own");
    // As `dlt replay` sends them.
    release(&db).await;
    let replay = |letter: &DeadLetter| Forward {
        topic: letter.origin.topic.clone(),
        partition: Some(letter.origin.partition),
        key: letter.key.clone(),
        payload: letter.payload.clone(),
        headers: claiming(letter.origin.offset),
    };
    db.execute("DELETE FROM landing_offsets").await;
    let (producer, landing) = start(&db.store);
    assert_eq!(
        wait(&forward(&producer, letters.iter().map(replay).collect())),
        Ok(())
    );
    stop(landing).await;
    assert_eq!(db.store.dead_letters(&dead, None, 99).await.expect("read"), []);
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 12);
}

/// A log whose records were all written in a year that no clock shows yet, as their producer says.
struct Ahead(EmbeddedConsumer);

impl Consumer for Ahead {
    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Slice>, BusError> {
        let mut slices = self.0.poll(max, wait)?;
        let records = slices.iter_mut().flat_map(|slice| &mut slice.records);
        records.for_each(|record| record.timestamp = 1 << 62);
        Ok(slices)
    }
    fn idle(&mut self, wait: Duration) -> Result<(), BusError> {
        self.0.idle(wait)
    }
    fn lost(&mut self) -> BTreeSet<i32> {
        self.0.lost()
    }
    fn commit(&mut self, landed: &[(i32, i64)]) {
        self.0.commit(landed);
    }
    fn seek(&mut self, partition: i32, offset: i64) {
        self.0.seek(partition, offset);
    }
    fn hold(&mut self, partition: i32, offset: i64, wait: Duration) {
        self.0.hold(partition, offset, wait);
    }
    fn state(&self) -> ConsumerState {
        self.0.state()
    }
}

async fn far_off_records_wait_once_for_the_whole_log(db: Database) {
    sale(&db.store, 100).await;
    let (producer, _orders) = embedded::pair(0);
    let retry = producer.consumer("retry", 0);
    let due = |at: i64| vec![(DUE.to_owned(), at.to_be_bytes().to_vec())];
    let mut batch: Vec<Forward> = (0..50)
        .map(|n| record("retry", &order(&format!("u{n}"), "1"), due(1 << 62)))
        .collect();
    batch.push(record("retry", &order("ada", "1"), due(0)));
    let answer = forward(&producer, batch);
    let level = Config {
        topic: "retry".into(),
        // One wait each would take longer than the answer is waited for.
        delay: Duration::from_secs(2),
        guarded: false,
        ..quick()
    };
    let landing = spawn(level, &db.store, &producer, Ahead(retry));
    assert_eq!(wait(&answer), Ok(()));
    database::until("all have landed", || landing.metrics().confirmed.get() == 51).await;
    stop(landing).await;
}

async fn a_tripped_guard_obeys_the_cut_over_by_itself(db: Database) {
    sale(&db.store, 1000).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = spawn(quick(), &db.store, &producer, consumer);
    let nonsense = || Outbound {
        partition: None,
        key: "k".to_owned(),
        payload: b"no order".to_vec(),
    };
    let answer = publish(&producer, vec![nonsense(); 120]);
    database::until("the guard trips", || landing.state().guard().is_some()).await;
    let decided = db.store.decide_cut_over(&[].into(), NOW, &[]).await;
    decided.expect("decided");
    assert_eq!(wait(&answer), Ok(()));
    let state = landing.state();
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.forged.get(),
            metrics.forged_kept.get(),
            metrics.moved.total()
        ),
        (120, 120, 0)
    );
    assert_eq!(state.guard(), None);
    let kept = "SELECT COUNT(*) FROM dead_letters WHERE stage = 'forged'";
    assert_eq!(db.number(kept).await, 120);
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 120);
}
