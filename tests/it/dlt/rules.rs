//! Replays by rule: later, to another topic, and what is refused; letters that are given up or taken back by rule.

use std::io::Write as _;
use std::sync::Arc;

use rushgate::bus::DEAD_LETTER_TOPIC;
use rushgate::letters::{Replayer, Scheduled};
use rushgate::store::Stage;
use testkit::database::{Database, NOW, TOPIC, order};

use super::redrive::replayer;
use super::{RETRY, Row, Tape, letters, row, run};

testkit::on_both!(
    a_replay_for_later_is_sent_by_a_lander_when_its_moment_has_come,
    a_replay_for_later_is_taken_back,
    letters_wait_in_a_retry_topic_where_one_is_named,
    copies_leave_the_letters_as_they_are,
    what_a_rule_cannot_mean_is_refused,
    letters_of_other_topics_are_left_alone_by_a_rule,
    parked_letters_are_taken_back,
    a_trial_of_a_discard_does_nothing,
    a_repaired_record_stays_the_order_it_was,
);

const MINUTE: i64 = 60_000;

fn lander(db: &Database, bus: &Arc<Tape>, clock: fn() -> i64) -> Scheduled {
    Scheduled {
        replayer: Replayer {
            clock,
            action: "dlt.replay",
            ..replayer(db, bus)
        },
        retries: vec![RETRY.to_owned()],
        owner: "one".to_owned(),
    }
}

async fn a_replay_for_later_is_sent_by_a_lander_when_its_moment_has_come(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 4).await;
    let line = "replay --key spring/* --delay 10m --rate 1/s";
    let trial = run(&db, &bus, &format!("{line} --dry-run"))
        .await
        .expect("a trial");
    let times = "from 2026-11-20T12:10:00.124Z to 2026-11-20T12:10:03.124Z";
    assert_eq!(
        trial,
        format!("would replay 4 {times} and park 0; nothing was done\n")
    );
    assert_eq!(row(&db, 0, 0).await.replay_at, None);
    let done = run(&db, &bus, line).await.expect("asked for");
    assert_eq!(done, format!("4 to be replayed {times}: a lander does it\n"));
    let (first, last) = (row(&db, 0, 0).await, row(&db, 1, 3).await);
    assert_eq!((first.stage, first.replays), (Stage::Dead, 0));
    assert_eq!(
        (first.replay_at, last.replay_at),
        (Some(NOW + 1 + 10 * MINUTE), Some(NOW + 1 + 10 * MINUTE + 3000))
    );
    let shown = run(&db, &bus, "show rushgate.orders/0/0").await.expect("shown");
    assert!(shown.contains("replay at   2026-11-20T12:10:00.124Z"), "{shown}");
    let trail = db.store.audited("rushgate.orders/0/0", 9).await.expect("read");
    assert_eq!(
        (trail[0].actor.as_str(), trail[0].action.as_str()),
        ("ada", "dlt.schedule")
    );

    let early = lander(&db, &bus, || NOW + 10 * MINUTE);
    assert_eq!(early.look().await.expect("looked"), 0);
    // One was replayed by hand meanwhile, and another given up: nothing is asked of them any more.
    run(&db, &bus, "replay rushgate.orders/0/2")
        .await
        .expect("replayed");
    run(&db, &bus, "discard rushgate.orders/1/1 --reason refunded")
        .await
        .expect("discarded");
    assert_eq!((bus.offsets(), row(&db, 0, 2).await.replay_at), (vec![2], None));
    let first = lander(&db, &bus, || NOW + 1 + 10 * MINUTE);
    assert_eq!(first.look().await.expect("looked"), 1);
    let all = lander(&db, &bus, || NOW + 11 * MINUTE);
    assert_eq!(all.look().await.expect("looked"), 1);
    assert_eq!(all.look().await.expect("looked"), 0);
    assert_eq!(bus.offsets(), [2, 0, 3]);
    let sent = row(&db, 1, 3).await;
    assert_eq!(
        (sent.stage, sent.replays, sent.replay_at),
        (Stage::Replayed, 1, None)
    );
}

async fn a_replay_for_later_is_taken_back(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 4).await;
    run(
        &db,
        &bus,
        "replay --key spring/* --limit 3 --delay 10m --rate 1/s",
    )
    .await
    .expect("asked for");
    let listed = run(&db, &bus, "list").await.expect("listed");
    for shown in ["REPLAY AT", "2026-11-20T12:10:00.124Z"] {
        assert!(listed.contains(shown), "{listed}");
    }
    let trial = run(&db, &bus, "replay --cancel --all --dry-run").await;
    assert_eq!(
        trial.as_deref(),
        Ok("would cancel replays of 3 (3 undecodable); nothing was done\n")
    );
    let one = run(&db, &bus, "replay --cancel rushgate.orders/0/0").await;
    let said = "1 replays cancelled; the letters stay what they are\n";
    assert_eq!(one.as_deref(), Ok(said));
    let letter = row(&db, 0, 0).await;
    assert_eq!(
        (letter.stage, letter.replay_at, letter.replays),
        (Stage::Dead, None, 0)
    );
    let trail = db.store.audited("rushgate.orders/0/0", 9).await.expect("read");
    let cancelled = trail
        .iter()
        .find(|line| line.action == "dlt.cancel")
        .expect("in the trail");
    assert_eq!(
        (cancelled.actor.as_str(), &cancelled.detail["at"]),
        ("ada", &(NOW + 1 + 10 * MINUTE).into())
    );
    for (line, why) in [
        (
            "replay --cancel rushgate.orders/0/0",
            "is in stage dead, and no replay of it is asked for",
        ),
        ("replay --cancel", "say what to cancel"),
        ("replay --cancel --campaign winter", "no replay is asked for"),
        ("replay --cancel --all --delay 10m", "cannot be used with"),
    ] {
        let error = run(&db, &bus, line).await.expect_err(line);
        assert!(error.contains(why), "{line}: {error}");
    }
    // The parked one is meant as well.
    db.execute("UPDATE dead_letters SET stage = 'parked' WHERE `offset` = 2")
        .await;
    let all = run(&db, &bus, "replay --cancel --all").await.expect("cancelled");
    assert!(all.starts_with("2 replays cancelled;"), "{all}");
    let lander = lander(&db, &bus, || NOW + 11 * MINUTE);
    assert_eq!(lander.look().await.expect("looked"), 0);
    assert!(bus.sent.lock().expect("unharmed").is_empty());
}

async fn letters_wait_in_a_retry_topic_where_one_is_named(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 2).await;
    Row {
        partition: 5,
        offset: 9,
        ..Row::default()
    }
    .write(&db)
    .await;
    let done = run(&db, &bus, &format!("replay --all --to {RETRY}"))
        .await
        .expect("sent");
    assert_eq!(done, "3 replayed\n");
    let sent = bus.sent.lock().expect("unharmed").clone();
    assert!(sent.iter().all(|record| record.topic == RETRY));
    let partitions: Vec<Option<i32>> = sent.iter().map(|record| record.partition).collect();
    assert_eq!(partitions, [Some(0), Some(1), None], "it has two partitions");
    let letter = row(&db, 0, 0).await;
    assert_eq!((letter.stage, letter.replays), (Stage::Replayed, 1));
    let trail = db.store.audited("rushgate.orders/0/0", 9).await.expect("read");
    assert_eq!(trail[0].detail["to"], RETRY);

    // Later, to a topic that is none any more: said, and the others go on.
    db.execute(&format!(
        "UPDATE dead_letters SET stage = 'dead', replay_at = '2026-11-20 12:00:00.000', replay_to = '{RETRY}'"
    ))
    .await;
    db.execute("UPDATE dead_letters SET replay_to = 'rushgate.orders.retry.9h' WHERE `offset` = 9")
        .await;
    let error = lander(&db, &bus, || NOW + MINUTE)
        .look()
        .await
        .expect_err("one is refused");
    assert!(
        error
            .to_string()
            .contains("rushgate.orders.retry.9h is no retry topic any more"),
        "{error}"
    );
    assert_eq!(bus.sent.lock().expect("unharmed").len(), 5);
    assert_eq!(row(&db, 5, 9).await.stage, Stage::Dead);
}

async fn copies_leave_the_letters_as_they_are(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 2).await;
    let before = row(&db, 1, 1).await;
    let done = run(&db, &bus, "replay --all --to analysis")
        .await
        .expect("copied");
    assert_eq!(done, "2 copied; the letters stay what they are\n");
    let sent = bus.sent.lock().expect("unharmed").clone();
    let header = |name: &str| {
        let found = sent[1].headers.iter().find(|(known, _)| known == name);
        String::from_utf8_lossy(&found.expect("a header").1).into_owned()
    };
    assert_eq!((sent[1].topic.as_str(), sent[1].partition), ("analysis", None));
    assert_eq!(header("kafka_dlt-exception-fqcn"), "undecodable");
    assert_eq!(header("kafka_dlt-exception-message"), "not an order event");
    assert_eq!(header("kafka_dlt-original-topic"), TOPIC);
    assert_eq!(row(&db, 1, 1).await, before);
    let trail = db.store.audited("rushgate.orders/1/1", 9).await.expect("read");
    assert_eq!(
        (trail[0].action.as_str(), &trail[0].detail["to"]),
        ("dlt.copy", &"analysis".into())
    );
}

async fn what_a_rule_cannot_mean_is_refused(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 1).await;
    let retries = format!("retry topics ({RETRY})");
    for (line, why) in [
        (
            "replay --all --to nowhere",
            "there is no such topic; nothing was sent. It may name a retry topic, to land from there: rushgate.orders.retry.5s",
        ),
        (
            &format!("replay --all --to {DEAD_LETTER_TOPIC}"),
            "the dead letters are there already",
        ),
        ("replay --all --to staging.orders", retries.as_str()),
        ("replay --all --to staging.orders.retry.5s", "another deployment"),
        (
            "replay --all --to analysis --delay 10m",
            "copies to analysis are made at once",
        ),
        ("replay --all --delay soon", "at most 30 days"),
        ("replay --all --delay 40d", "at most 30 days"),
        ("replay --all --stage replayed --delay 10m", "--force"),
        ("replay --error= --class failing", "--error is empty"),
        ("replay --campaign=", "--campaign is empty"),
        ("replay --key *", "--key is empty"),
        ("discard --error= --reason x --yes", "--error is empty"),
        ("unpark --class=", "--class is empty"),
        ("replay --since 1h --until 2h", "nothing can match"),
        ("discard --since 1h --until 1h --reason x", "nothing can match"),
        ("unpark", "say what to unpark"),
        ("unpark --all --stage dead", "are not parked"),
        ("unpark rushgate.orders/0/0", "is in stage dead, not parked"),
        ("unpark --all", "no parked letter matches"),
    ] {
        let error = run(&db, &bus, line).await.expect_err(line);
        assert!(error.contains(why), "{line}: {error}");
    }
    db.execute("UPDATE dead_letters SET stage = 'replayed'").await;
    let error = run(&db, &bus, "replay --all --stage replayed --force --delay 10m")
        .await
        .expect_err("on its way");
    assert!(error.contains("is on its way already"), "{error}");
    assert!(bus.sent.lock().expect("unharmed").is_empty());
    assert_eq!(db.number("SELECT COUNT(*) FROM audit").await, 0);
}

async fn letters_of_other_topics_are_left_alone_by_a_rule(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 2).await;
    db.execute(
        "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at) \
         VALUES ('payments', 0, 1, X'6b', X'00', 'x', '2026-11-20 12:00:00.123')",
    )
    .await;
    assert_eq!(
        run(&db, &bus, "replay --all").await.expect("replayed"),
        "2 replayed\n"
    );
    let error = run(&db, &bus, "replay --all").await.expect_err("none of ours");
    assert!(error.contains("no dead letter matches"), "{error}");
}

async fn parked_letters_are_taken_back(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    for (offset, class) in [(1, "failing"), (2, "failing"), (3, "refused")] {
        Row {
            offset,
            class,
            stage: "parked",
            replays: 3,
            ..Row::default()
        }
        .write(&db)
        .await;
    }
    let trial = run(&db, &bus, "unpark --all --dry-run").await.expect("a trial");
    assert_eq!(trial, "would unpark 3 (2 failing, 1 refused); nothing was done\n");
    let done = run(&db, &bus, "unpark --class failing --actor eve")
        .await
        .expect("taken back");
    assert_eq!(done, "2 are dead letters again, with no replay counted\n");
    let letter = row(&db, 0, 1).await;
    assert_eq!((letter.stage, letter.replays), (Stage::Dead, 0));
    assert_eq!(row(&db, 0, 3).await.stage, Stage::Parked);
    let trail = db.store.audited("rushgate.orders/0/1", 9).await.expect("read");
    assert_eq!(
        (trail[0].action.as_str(), &trail[0].detail["replays"]),
        ("dlt.unpark", &3.into())
    );
    assert_eq!(
        run(&db, &bus, "replay --class failing").await.expect("replayed"),
        "2 replayed\n"
    );
}

async fn a_trial_of_a_discard_does_nothing(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 3).await;
    let trial = run(&db, &bus, "discard --error order --reason x --dry-run")
        .await
        .expect("a trial");
    assert_eq!(trial, "would discard 3 (3 undecodable); nothing was done\n");
    assert_eq!(
        db.number("SELECT COUNT(*) FROM dead_letters WHERE stage = 'dead'")
            .await,
        3
    );
    let none = run(&db, &bus, "discard --error lock --reason x --dry-run")
        .await
        .expect_err("none");
    assert!(none.contains("no dead letter matches"), "{none}");
}

async fn a_repaired_record_stays_the_order_it_was(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 1).await;
    let (right, mut elsewhere) = (order("u0", "1"), order("u0", "1"));
    elsewhere.campaign = "summer".to_owned();
    db.execute(&format!("UPDATE dead_letters SET order_id = '{}'", right.order))
        .await;
    for (event, why) in [
        (
            &elsewhere,
            "its order is of campaign \"summer\", and the record of \"spring\"",
        ),
        (&order("u0", "2"), "that one holds what was admitted"),
    ] {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let payload = String::from_utf8(event.encode()).expect("JSON");
        writeln!(file, "{{\"id\":\"rushgate.orders/0/0\",\"payload\":{payload}}}").expect("written");
        let line = format!("import {}", file.path().display());
        let error = run(&db, &bus, &line).await.expect_err(why);
        assert!(error.contains("1 lines are wrong: nothing was sent"), "{error}");
    }
    assert!(bus.sent.lock().expect("unharmed").is_empty());
}
