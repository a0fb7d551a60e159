//! The re-drive over landing itself: while the cause is there letters are tried one at a time, then all land.

use std::time::Instant;

use rushgate::audit::AskedBy;
use rushgate::letters::redrive;
use rushgate::letters::{Replayer, Route, StoredLetters};

use super::levels::levels;
use super::poison::{FAILING, release, trap};
use super::*;

testkit::on_both!(while_the_cause_is_there_one_letter_is_tried_and_then_all_land);

const LETTERS: i64 = 5;

fn lander(store: &Store, producer: &EmbeddedProducer) -> redrive::Redrive {
    let replayer = Replayer {
        store: store.clone(),
        producer: Some(Arc::new(producer.clone())),
        targets: vec![TOPIC.to_owned()],
        group: "rushgate-landing".to_owned(),
        actor: AskedBy::from("rushgate land").into(),
        action: "dlt.redrive",
        rate: 10_000,
        max_replays: 3,
        force: false,
        route: Route::Back,
        counts: true,
        clock: || jiff::Timestamp::now().as_millisecond(),
    };
    let letters = StoredLetters {
        replayer,
        owner: "one".to_owned(),
        classes: vec!["failing".to_owned()],
    };
    redrive::Redrive::new(Arc::new(letters), Duration::ZERO)
}

async fn until_all(db: &Database, stage: &str, letters: i64) {
    let sql = format!("SELECT COUNT(*) FROM dead_letters WHERE stage = '{stage}'");
    let begun = Instant::now();
    while db.number(&sql).await != letters {
        assert!(begun.elapsed() < LIMIT, "not {letters} {stage}");
        tokio::task::yield_now().await;
    }
}

async fn while_the_cause_is_there_one_letter_is_tried_and_then_all_land(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let levels = levels(&db.store, "100ms");
    let batch = (0..LETTERS).map(|n| outbound(&order(FAILING, &n.to_string())));
    assert_eq!(wait(&publish(&levels.producer, batch.collect())), Ok(()));
    until_all(&db, "dead", LETTERS).await;
    let mut lander = lander(&db.store, &levels.producer);
    let replays = "SELECT CAST(SUM(replays) AS SIGNED) FROM dead_letters";
    let attempts = "SELECT CAST(SUM(attempts) AS SIGNED) FROM dead_letters";
    assert_eq!(db.number(attempts).await, 2 * LETTERS);
    for round in 1..=3 {
        lander.look().await.expect("sends one");
        // It fails twice: in the orders topic, and in the retry topic after it.
        let begun = Instant::now();
        while db.number(attempts).await != 2 * (LETTERS + round) {
            assert!(begun.elapsed() < LIMIT, "it is not tried");
            tokio::task::yield_now().await;
        }
        until_all(&db, "dead", LETTERS).await;
        lander.look().await.expect("finds out");
    }
    assert_eq!(db.number(replays).await, 0, "and none is parked");
    release(&db).await;
    lander.look().await.expect("sends one");
    until_all(&db, "landed", 1).await;
    lander.look().await.expect("sends the others");
    until_all(&db, "landed", LETTERS).await;
    assert_eq!(db.number(replays).await, LETTERS - 1);
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        LETTERS
    );
    levels.stop().await;
}
