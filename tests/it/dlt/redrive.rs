//! The re-drive: one letter of a class shows whether its kind lands, and only then the others follow.

use std::sync::Arc;
use std::time::Duration;

use rushgate::audit::AskedBy;
use rushgate::bus::Producer;
use rushgate::letters::redrive;
use rushgate::letters::{Replayer, Route, StoredLetters};
use rushgate::store::Stage;
use testkit::database::{Database, NOW, TOPIC};

use super::{Row, Tape, row};

testkit::on_both!(
    one_letter_of_each_class_goes_first,
    while_nothing_lands_no_replay_is_counted_and_nothing_parked,
    the_others_follow_a_few_at_a_time_until_one_fails,
    letters_of_other_topics_and_of_later_are_left_alone,
    one_lander_does_it_for_all,
    letters_that_died_just_now_wait,
);

/// What a lander replays by.
pub fn replayer(db: &Database, bus: &Arc<Tape>) -> Replayer {
    let sends: Arc<dyn Producer> = bus.clone();
    Replayer {
        store: db.store.clone(),
        producer: Some(sends),
        targets: vec![TOPIC.to_owned()],
        group: "rushgate-landing".to_owned(),
        actor: AskedBy::from("rushgate land").into(),
        action: "dlt.redrive",
        rate: 10_000,
        max_replays: 3,
        force: false,
        route: Route::Back,
        counts: true,
        clock: || NOW + 10_000,
    }
}

/// A lander whose pauses take no time.
fn lander(db: &Database, bus: &Arc<Tape>, owner: &str) -> redrive::Redrive {
    lander_after(db, bus, owner, Duration::ZERO)
}

fn lander_after(db: &Database, bus: &Arc<Tape>, owner: &str, quiet: Duration) -> redrive::Redrive {
    let letters = StoredLetters {
        replayer: replayer(db, bus),
        owner: owner.to_owned(),
        classes: vec!["failing".to_owned(), "locked".to_owned()],
    };
    redrive::Redrive::new(Arc::new(letters), quiet)
}

async fn dead(db: &Database, class: &str, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        Row {
            offset,
            class,
            ..Row::default()
        }
        .write(db)
        .await;
    }
}

/// As landing does it, `seconds` after the start: whatever is on its way comes to this stage.
async fn outcome(db: &Database, stage: &str, seconds: i64) {
    db.execute(&format!(
        "UPDATE dead_letters SET stage = '{stage}', attempts = attempts + 1, \
         changed_at = '2026-11-20 12:00:{seconds:02}.000' WHERE stage = 'replayed'"
    ))
    .await;
}

async fn replays(db: &Database) -> i64 {
    db.number("SELECT CAST(COALESCE(SUM(replays), 0) AS SIGNED) FROM dead_letters")
        .await
}

async fn one_letter_of_each_class_goes_first(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    dead(&db, "failing", 1..4).await;
    dead(&db, "locked", 11..14).await;
    dead(&db, "undecodable", 21..24).await;
    let mut lander = lander(&db, &bus, "one");
    for _ in 0..3 {
        lander.look().await.expect("looked");
        assert_eq!(bus.offsets(), [1, 11], "as long as they are on their way");
    }
    assert_eq!(replays(&db).await, 0, "a probe does not count");
    let trail = db.store.audited("rushgate.orders/0/1", 9).await.expect("read");
    assert_eq!(
        (trail[0].action.as_str(), &trail[0].detail["probe"]),
        ("dlt.redrive", &true.into())
    );
    outcome(&db, "landed", 1).await;
    lander.look().await.expect("looked");
    assert_eq!(bus.offsets(), [1, 11, 2, 3, 12, 13]);
    assert_eq!(replays(&db).await, 4);
    outcome(&db, "landed", 2).await;
    lander.look().await.expect("looked");
    assert_eq!(bus.offsets().len(), 6, "there is nothing left");
    // What fails now is another failure.
    dead(&db, "failing", 4..7).await;
    lander.look().await.expect("looked");
    assert_eq!(bus.offsets()[6..], [4]);
}

async fn while_nothing_lands_no_replay_is_counted_and_nothing_parked(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    dead(&db, "failing", 1..4).await;
    Row {
        offset: 9,
        class: "failing",
        replays: 3,
        ..Row::default()
    }
    .write(&db)
    .await;
    let mut lander = lander(&db, &bus, "one");
    for second in 1..9 {
        lander.look().await.expect("sends one");
        // In a retry topic it has failed as well.
        outcome(&db, if second % 2 == 0 { "retry" } else { "dead" }, second).await;
        lander.look().await.expect("finds out");
        db.execute("UPDATE dead_letters SET stage = 'dead' WHERE stage = 'retry'")
            .await;
    }
    assert_eq!(
        bus.offsets(),
        [1, 2, 3, 1, 2, 3, 1, 2],
        "each gets its turn, one at a time"
    );
    assert_eq!(replays(&db).await, 3);
    assert_eq!(
        db.number("SELECT COUNT(*) FROM dead_letters WHERE stage = 'dead'")
            .await,
        4
    );
    // Once one has landed, the one that had its chances is left to people.
    lander.look().await.expect("sends one");
    outcome(&db, "landed", 10).await;
    lander.look().await.expect("sends the others");
    assert_eq!(row(&db, 0, 9).await.stage, Stage::Parked);
    assert_eq!(replays(&db).await, 3 + 2);
}

async fn the_others_follow_a_few_at_a_time_until_one_fails(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    dead(&db, "failing", 0..60).await;
    let mut lander = lander(&db, &bus, "one");
    lander.look().await.expect("sends one");
    outcome(&db, "landed", 1).await;
    lander.look().await.expect("sends twenty");
    lander.look().await.expect("waits for them");
    assert_eq!((bus.offsets().len(), replays(&db).await), (21, 20));
    outcome(&db, "landed", 2).await;
    lander.look().await.expect("sends twenty more");
    assert_eq!((bus.offsets().len(), replays(&db).await), (41, 40));
    // The cause is back.
    outcome(&db, "dead", 3).await;
    lander.look().await.expect("stops");
    assert_eq!((bus.offsets().len(), replays(&db).await), (41, 40));
    lander.look().await.expect("sends one");
    assert_eq!(
        (bus.offsets()[41..].to_vec(), replays(&db).await),
        (vec![41], 40),
        "one that was not tried"
    );
}

async fn letters_of_other_topics_and_of_later_are_left_alone(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    db.execute(
        "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at, class) \
         VALUES ('payments', 0, 1, X'6b', X'00', 'x', '2026-11-20 11:00:00.123', 'failing')",
    )
    .await;
    dead(&db, "failing", 1..3).await;
    db.execute("UPDATE dead_letters SET replay_at = '2026-11-20 13:00:00.000' WHERE topic <> 'payments' AND `offset` = 1")
        .await;
    let mut lander = lander(&db, &bus, "one");
    lander.look().await.expect("neither is in the way");
    assert_eq!(bus.offsets(), [2]);
}

async fn one_lander_does_it_for_all(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    dead(&db, "failing", 1..4).await;
    let (mut one, mut other) = (lander(&db, &bus, "one"), lander(&db, &bus, "other"));
    one.look().await.expect("looked");
    other.look().await.expect("looked");
    assert_eq!(bus.offsets(), [1]);
    // It is gone: another one takes over, and knows nothing.
    db.execute("DELETE FROM leases").await;
    other.look().await.expect("looked");
    one.look().await.expect("looked");
    assert_eq!((bus.offsets(), replays(&db).await), (vec![1, 2], 0));
}

async fn letters_that_died_just_now_wait(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    dead(&db, "failing", 1..4).await;
    let mut early = lander_after(&db, &bus, "one", Duration::from_secs(30));
    early.look().await.expect("looked");
    assert!(bus.offsets().is_empty());
    let mut late = lander_after(&db, &bus, "one", Duration::from_secs(5));
    late.look().await.expect("looked");
    assert_eq!(bus.offsets(), [1]);
}
