//! Letters that wait to be tried again while Kafka has lost their record: sent again, once landing has passed all there is.

use std::sync::Arc;
use std::time::Duration;

use rushgate::bus::RetryTopic;
use rushgate::bus::origin::{self, ATTEMPTS};
use rushgate::letters::{Astray, Metrics, Replayer};
use rushgate::store::Stage;
use testkit::database::{Database, NOW, TOPIC, order};

use super::redrive::replayer;
use super::{RETRY, Row, Tape, row};

testkit::on_both!(
    a_copy_lost_out_of_a_retry_topic_is_sent_again_with_its_attempts,
    nothing_is_sent_before_landing_has_passed_what_is_there,
    what_was_tried_meanwhile_is_left_alone,
    a_replay_whose_record_is_gone_goes_back_once_more,
);

const SECOND: i64 = 1000;

fn lander(db: &Database, bus: &Arc<Tape>, counted: &Metrics, clock: fn() -> i64) -> Astray {
    let replayer = Replayer {
        clock,
        ..replayer(db, bus)
    };
    let retry = RetryTopic {
        name: RETRY.to_owned(),
        delay: Duration::from_secs(5),
    };
    Astray::new(replayer, vec![retry], "one".to_owned(), counted.clone())
}

async fn waiting(db: &Database, stage: &str, offset: i64) {
    Row {
        offset,
        stage,
        class: "failing",
        payload: order("ada", "1").encode(),
        ..Row::default()
    }
    .write(db)
    .await;
}

async fn landed_up_to(db: &Database, topic: &str, offset: i64) {
    db.execute(&format!("DELETE FROM landing_offsets WHERE topic = '{topic}'"))
        .await;
    for partition in 0..2 {
        db.execute(&format!(
            "INSERT INTO landing_offsets (topic, `partition`, next_offset) VALUES ('{topic}', {partition}, {offset})"
        ))
        .await;
    }
}

async fn all_landed(db: &Database, bus: &Arc<Tape>) {
    *bus.end.lock().expect("unharmed") = 7;
    for topic in [TOPIC, RETRY] {
        landed_up_to(db, topic, 7).await;
    }
}

async fn a_copy_lost_out_of_a_retry_topic_is_sent_again_with_its_attempts(db: Database) {
    let (bus, counted): (Arc<Tape>, Metrics) = Default::default();
    all_landed(&db, &bus).await;
    waiting(&db, "retry", 3).await;
    db.execute("UPDATE dead_letters SET attempts = 4").await;
    let mut early = lander(&db, &bus, &counted, || NOW + 64 * SECOND);
    assert_eq!(early.look().await.expect("looked"), 0, "its turn may be late");
    let mut late = lander(&db, &bus, &counted, || NOW + 66 * SECOND);
    assert_eq!(late.look().await.expect("looked"), 1);
    {
        let records = bus.sent.lock().expect("unharmed");
        let copy = &records[0];
        assert_eq!((copy.topic.as_str(), copy.partition), (RETRY, Some(0)));
        assert_eq!(
            (copy.key.as_slice(), &copy.payload),
            (&b"spring/ada"[..], &order("ada", "1").encode())
        );
        let from = origin::Origin::read(&copy.headers).expect("its origin");
        assert_eq!((from.topic.as_str(), from.partition, from.offset), (TOPIC, 0, 3));
        assert_eq!(origin::attempts(&copy.headers), 4, "{ATTEMPTS}");
    }
    let letter = row(&db, 0, 3).await;
    assert_eq!(
        (letter.stage, letter.attempts, letter.replays),
        (Stage::Retry, 4, 0)
    );
    assert_eq!(letter.changed_at, Some(NOW + 66 * SECOND));
    let trail = db.store.audited("rushgate.orders/0/3", 9).await.expect("read");
    assert_eq!(
        (
            trail[0].actor.as_str(),
            trail[0].action.as_str(),
            &trail[0].detail["to"]
        ),
        ("rushgate land", "dlt.send-again", &RETRY.into())
    );
    assert_eq!(late.look().await.expect("looked"), 0, "it has its time again");
    assert_eq!((counted.sent_again.get(), bus.offsets().len()), (1, 1));
}

async fn nothing_is_sent_before_landing_has_passed_what_is_there(db: Database) {
    let (bus, counted): (Arc<Tape>, Metrics) = Default::default();
    all_landed(&db, &bus).await;
    landed_up_to(&db, RETRY, 6).await;
    waiting(&db, "retry", 3).await;
    let mut lander = lander(&db, &bus, &counted, || NOW + 66 * SECOND);
    for _ in 0..2 {
        assert_eq!(
            lander.look().await.expect("looked"),
            0,
            "its record may be the seventh"
        );
    }
    // More comes all the time; what came later is no matter.
    *bus.end.lock().expect("unharmed") = 90;
    landed_up_to(&db, RETRY, 7).await;
    assert_eq!(lander.look().await.expect("looked"), 1);
    assert_eq!(bus.offsets(), [3]);
}

async fn what_was_tried_meanwhile_is_left_alone(db: Database) {
    let (bus, counted): (Arc<Tape>, Metrics) = Default::default();
    all_landed(&db, &bus).await;
    landed_up_to(&db, RETRY, 6).await;
    for offset in 1..4 {
        waiting(&db, "retry", offset).await;
    }
    let mut lander = lander(&db, &bus, &counted, || NOW + 66 * SECOND);
    assert_eq!(lander.look().await.expect("looked"), 0);
    // One lands, one fails once more, and somebody gives the third one up.
    for (offset, change) in [
        (1, "stage = 'landed'"),
        (2, "attempts = attempts + 1"),
        (3, "stage = 'discarded'"),
    ] {
        let sql = format!("UPDATE dead_letters SET {change} WHERE `offset` = {offset}");
        db.execute(&sql).await;
    }
    landed_up_to(&db, RETRY, 7).await;
    assert_eq!(lander.look().await.expect("looked"), 0);
    assert_eq!((counted.sent_again.get(), bus.offsets().len()), (0, 0));
}

async fn a_replay_whose_record_is_gone_goes_back_once_more(db: Database) {
    let (bus, counted): (Arc<Tape>, Metrics) = Default::default();
    all_landed(&db, &bus).await;
    waiting(&db, "replayed", 3).await;
    waiting(&db, "dead", 4).await;
    waiting(&db, "parked", 5).await;
    let mut lander = lander(&db, &bus, &counted, || NOW + 66 * SECOND);
    assert_eq!(lander.look().await.expect("looked"), 1);
    {
        let records = bus.sent.lock().expect("unharmed");
        assert_eq!(
            (records[0].topic.as_str(), records[0].partition),
            (TOPIC, Some(0))
        );
        assert_eq!(origin::attempts(&records[0].headers), 0, "it begins anew");
    }
    assert_eq!(bus.offsets(), [3]);
    assert_eq!(row(&db, 0, 3).await.stage, Stage::Replayed);
}
