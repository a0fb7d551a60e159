//! `rushgate dlt` over SQLite, a real MariaDB, and against a real broker (`RUSHGATE_KAFKA_BROKERS`).

mod astray;
mod discard;
mod redrive;
mod rules;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use data_encoding::HEXLOWER;
use database::{Database, NOW, TOPIC, order};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::bus::kafka::{self, KafkaConsumer, KafkaProducer, migrate_topics};
use rushgate::bus::{
    Acknowledge, BusError, Consumer, DEAD_LETTER_TOPIC, Forward, ORDERS_TOPIC, Outbound, Producer,
};
use rushgate::cli::dlt::{self, Desk};
use rushgate::cli::{Cli, Command as Role};
use rushgate::order::OrderEvent;
use rushgate::record::LetterId;
use rushgate::store::{DeadLetter, Stage};
use serde_json::Value;
use testkit::database;
use tokio::sync::watch;

const LIMIT: Duration = Duration::from_secs(60);
const RETRY: &str = "rushgate.orders.retry.5s";

testkit::on_both!(
    a_list_is_filtered_and_summed_up,
    one_letter_is_shown_whole,
    a_replay_keeps_key_partition_and_order,
    a_replay_keeps_the_order_within_a_record,
    a_replay_that_broke_goes_on_where_it_stopped,
    letters_replayed_too_often_are_parked,
    what_landing_does_meanwhile_is_not_undone,
    letters_are_exported_repaired_and_imported,
    wrong_lines_stop_an_import,
    letters_are_discarded_with_a_reason,
    what_is_not_meant_is_refused,
);

/// A bus that keeps what it is given.
#[derive(Default)]
struct Tape {
    sent: Mutex<Vec<Forward>>,
    /// Refuses everything from so many records on.
    breaks_at: Mutex<Option<usize>>,
    /// Runs before a batch is acknowledged.
    before: Mutex<Option<Box<dyn FnMut() + Send>>>,
    /// Where the partitions of the orders and of the retry topic end.
    end: Mutex<i64>,
}

impl Tape {
    fn offsets(&self) -> Vec<i64> {
        let sent = self.sent.lock().expect("unharmed");
        let offset = |record: &Forward| {
            let (_, value) = record
                .headers
                .iter()
                .find(|(name, _)| name == "kafka_dlt-original-offset")
                .expect("its origin");
            i64::from_be_bytes(value.as_slice().try_into().expect("eight bytes"))
        };
        sent.iter().map(offset).collect()
    }
}

impl Producer for Tape {
    fn publish(&self, _batch: Vec<Outbound>, _acknowledge: Acknowledge) {
        unreachable!("a replay chooses topic and partition");
    }

    fn forward(&self, records: Vec<Forward>, acknowledge: Acknowledge) {
        let mut sent = self.sent.lock().expect("unharmed");
        let full = self
            .breaks_at
            .lock()
            .expect("unharmed")
            .is_some_and(|most| sent.len() + records.len() > most);
        if full {
            return acknowledge(Err(BusError::Unacknowledged("broken".into())));
        }
        sent.extend(records);
        drop(sent);
        if let Some(before) = &mut *self.before.lock().expect("unharmed") {
            before();
        }
        acknowledge(Ok(()));
    }

    fn in_flight(&self) -> usize {
        0
    }

    fn flush(&self, _limit: Duration) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }

    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        let partitions = match topic {
            TOPIC | RETRY => 2,
            "analysis" => 1,
            _ => 0,
        };
        let end = *self.end.lock().expect("unharmed");
        async move { Ok((0..partitions).map(|partition| (partition, end)).collect()) }.boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>> {
        async { Ok(()) }.boxed()
    }
}

/// A row as landing writes it.
struct Row<'a> {
    partition: i32,
    offset: i64,
    key: &'a str,
    payload: Vec<u8>,
    class: &'a str,
    error: &'a str,
    stage: &'a str,
    replays: i64,
    /// The campaign, where the payload is an order.
    campaign: Option<&'a str>,
}

impl Default for Row<'_> {
    fn default() -> Self {
        Self {
            partition: 0,
            offset: 0,
            key: "spring/ada",
            payload: b"{\"v\":1".to_vec(),
            class: "undecodable",
            error: "not an order event",
            stage: "dead",
            replays: 0,
            campaign: None,
        }
    }
}

impl Row<'_> {
    async fn write(&self, db: &Database) {
        let campaign = self.campaign.map_or("NULL".to_owned(), |id| format!("'{id}'"));
        db.execute(&format!(
            "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at, stage, class, \
             attempts, replays, campaign_id, recorded_at) VALUES ('{TOPIC}', {}, {}, X'{}', X'{}', '{}', \
             '2026-11-20 12:00:00.123', '{}', '{}', 1, {}, {campaign}, '2026-11-20 11:59:59.000')",
            self.partition,
            self.offset,
            HEXLOWER.encode(self.key.as_bytes()),
            HEXLOWER.encode(&self.payload),
            self.error,
            self.stage,
            self.class,
            self.replays,
        ))
        .await;
    }
}

/// Runs a command as typed; its output, or its error.
async fn run(db: &Database, bus: &Arc<Tape>, line: &str) -> Result<String, String> {
    let words = ["rushgate", "dlt"].into_iter().chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let Role::Dlt(command) = cli.command else {
        panic!("not dlt: {line}");
    };
    let (_stop, stopped) = watch::channel(false);
    let bus: Arc<dyn Producer> = bus.clone();
    let desk = Desk {
        store: db.store.clone(),
        producer: command.sends().then_some(bus),
        targets: vec![TOPIC.to_owned()],
        retries: vec![RETRY.to_owned()],
        dead_letters: DEAD_LETTER_TOPIC.to_owned(),
        group: "rushgate-landing".to_owned(),
        user: "ada".to_owned(),
        interactive: false,
        clock: || NOW + 1,
        stop: stopped,
    };
    let mut out = Vec::new();
    match dlt::run(command, desk, &mut out).await {
        Ok(()) => Ok(String::from_utf8(out).expect("text")),
        Err(error) => Err(format!("{error:#}")),
    }
}

fn at(partition: i32, offset: i64) -> LetterId {
    LetterId {
        topic: TOPIC.to_owned(),
        partition,
        offset,
        position: 0,
    }
}

async fn row(db: &Database, partition: i32, offset: i64) -> DeadLetter {
    let found = db.store.dead_letter(&at(partition, offset)).await.expect("asked");
    found.expect("a dead letter")
}

async fn a_list_is_filtered_and_summed_up(db: Database) {
    let bus = Arc::default();
    let answer = run(&db, &bus, "list").await.expect("nothing is an answer");
    assert_eq!(answer, "No dead letter matches. There are none at all.\n");
    for (offset, key, class, error, campaign) in [
        (1, "spring/ada", "undecodable", "not an order event", None),
        (2, "spring/bob", "failing", "1644 (45000): no", Some("spring")),
        (3, "spring/bo", "failing", "1452: foreign key", Some("spring")),
        (4, "summer/bob", "failing", "1644 (45000): no", Some("summer")),
    ] {
        Row {
            offset,
            key,
            class,
            error,
            campaign,
            ..Row::default()
        }
        .write(&db)
        .await;
    }
    Row {
        offset: 5,
        stage: "landed",
        ..Row::default()
    }
    .write(&db)
    .await;
    let all = run(&db, &bus, "list").await.expect("a table");
    assert!(
        all.starts_with("ID                   STAGE  CLASS        TRIES"),
        "{all}"
    );
    assert!(all.ends_with("\n4 dead: 3 failing, 1 undecodable\n"), "{all}");
    for (filter, expected) in [
        ("--campaign spring", vec![1, 2, 3]),
        ("--key spring/bo", vec![3]),
        ("--key spring/bo*", vec![2, 3]),
        ("--key summer/", vec![4]),
        ("--class failing", vec![2, 3, 4]),
        ("--class failing --class undecodable --campaign summer", vec![4]),
        ("--error 1644", vec![2, 4]),
        ("--since 2026-11-20T12:00:00.123Z", vec![1, 2, 3, 4]),
        ("--until 2026-11-20T12:00:00.123Z", vec![]),
        ("--since 1h --limit 2", vec![1, 2]),
        ("--stage landed", vec![5]),
        ("rushgate.orders/0/5 rushgate.orders/0/1", vec![1, 5]),
    ] {
        let lines = run(&db, &bus, &format!("list --json {filter}"))
            .await
            .expect(filter);
        let offsets: Vec<i64> = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["origin"]["offset"].as_i64())
            .map(|offset| offset.expect("a number"))
            .collect();
        assert_eq!(offsets, expected, "{filter}");
    }
    let few = run(&db, &bus, "list --limit 1").await.expect("a table");
    assert!(few.ends_with("1 of 4 are shown; --limit shows more\n"), "{few}");
    assert!(bus.sent.lock().expect("unharmed").is_empty());
}

async fn one_letter_is_shown_whole(db: Database) {
    let bus = Arc::default();
    let event = order("ada", "1");
    Row {
        partition: 3,
        offset: 7,
        payload: event.encode(),
        class: "failing",
        ..Row::default()
    }
    .write(&db)
    .await;
    let shown = run(&db, &bus, "show rushgate.orders/3/7").await.expect("shown");
    for line in [
        "class       failing",
        "recorded at 2026-11-20T11:59:59.000Z",
        "  kafka_dlt-original-topic: rushgate.orders",
        "  kafka_dlt-original-partition: 3",
        "  kafka_dlt-original-offset: 7",
        "  kafka_dlt-original-timestamp: 1795175999000",
        "  kafka_dlt-original-consumer-group: rushgate-landing",
        "  \"user\": \"ada\"",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    Row {
        offset: 8,
        ..Row::default()
    }
    .write(&db)
    .await;
    let dump = run(&db, &bus, "show rushgate.orders/0/8").await.expect("shown");
    assert!(dump.contains("00000000  7b 22 76 22 3a 31"), "{dump}");
    let missing = run(&db, &bus, "show rushgate.orders/0/9")
        .await
        .expect_err("none");
    assert!(
        missing.contains("there is no dead letter rushgate.orders/0/9"),
        "{missing}"
    );
}

/// So many letters in two partitions, written in no order.
async fn letters(db: &Database, count: i64) {
    for n in (0..count).rev() {
        Row {
            partition: (n % 2) as i32,
            offset: n,
            key: &format!("spring/u{n}"),
            payload: format!("{{{n}").into_bytes(),
            ..Row::default()
        }
        .write(db)
        .await;
    }
}

async fn a_replay_keeps_key_partition_and_order(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 25).await;
    let trial = run(&db, &bus, "replay --all --dry-run").await.expect("a trial");
    assert_eq!(trial, "would replay 25 and park 0; nothing was done\n");
    assert_eq!(row(&db, 0, 0).await.stage, Stage::Dead);
    let done = run(&db, &bus, "replay --all --rate 10000/s")
        .await
        .expect("replayed");
    assert_eq!(done, "25 replayed\n");
    let mut expected: Vec<i64> = (0..25).step_by(2).collect();
    expected.extend((1..25).step_by(2));
    assert_eq!(bus.offsets(), expected);
    let first = bus.sent.lock().expect("unharmed")[13].clone();
    assert_eq!((first.topic.as_str(), first.partition), (TOPIC, Some(1)));
    assert_eq!(
        (first.key, first.payload),
        (b"spring/u1".to_vec(), b"{1".to_vec())
    );
    let moved = row(&db, 1, 1).await;
    assert_eq!(
        (moved.stage, moved.replays, moved.changed_at),
        (Stage::Replayed, 1, Some(NOW + 1))
    );
    let trail = db.store.audited("rushgate.orders/1/1", 9).await.expect("read");
    assert_eq!(
        (trail[0].actor.as_str(), trail[0].action.as_str()),
        ("ada", "dlt.replay")
    );
    assert_eq!((trail.len(), &trail[0].detail["replay"]), (1, &1.into()));
    let nothing = run(&db, &bus, "replay --all").await.expect_err("all replayed");
    assert!(nothing.contains("no dead letter matches"), "{nothing}");
}

/// Orders that came in one record: each is a letter of its own.
async fn a_replay_keeps_the_order_within_a_record(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    for position in [11, 2, 101, 0] {
        Row {
            offset: 7,
            payload: order(&format!("u{position}"), "1").encode(),
            ..Row::default()
        }
        .write(&db)
        .await;
        db.execute(&format!(
            "UPDATE dead_letters SET position = {position} WHERE `offset` = 7 AND position = 0"
        ))
        .await;
    }
    let listed = run(&db, &bus, "list --json").await.expect("listed");
    let ids: Vec<String> = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].to_string())
        .collect();
    let expected = ["7", "7:2", "7:11", "7:101"].map(|place| format!("\"{TOPIC}/0/{place}\""));
    assert_eq!(ids, expected);
    let one = run(&db, &bus, &format!("replay {TOPIC}/0/7:11")).await;
    assert_eq!(one.expect("replayed"), "1 replayed\n");
    let stages = "SELECT COUNT(*) FROM dead_letters WHERE stage = 'replayed' AND position = 11";
    assert_eq!(db.number(stages).await, 1);
    let trail = db.store.audited(&format!("{TOPIC}/0/7:11"), 9).await;
    assert_eq!(trail.expect("read").len(), 1);
    let rest = run(&db, &bus, "replay --all --rate 10000/s").await;
    assert_eq!(rest.expect("replayed"), "3 replayed\n");
    let sent = bus.sent.lock().expect("unharmed");
    let from: Vec<u32> = sent
        .iter()
        .map(|record| {
            let from = rushgate::bus::origin::Origin::read(&record.headers).expect("an origin");
            assert_eq!((from.topic.as_str(), from.offset), (TOPIC, 7));
            from.position
        })
        .collect();
    assert_eq!(from, [11, 0, 2, 101]);
}

async fn a_replay_that_broke_goes_on_where_it_stopped(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 25).await;
    *bus.breaks_at.lock().expect("unharmed") = Some(20);
    let line = "replay --campaign spring --rate 100/s --actor eve";
    let broken = run(&db, &bus, line).await.expect_err("the bus broke");
    assert!(
        broken.contains("after 20 replayed records") && broken.contains("run it again"),
        "{broken}"
    );
    assert_eq!(
        db.number("SELECT COUNT(*) FROM dead_letters WHERE stage = 'replayed'")
            .await,
        20
    );
    *bus.breaks_at.lock().expect("unharmed") = None;
    let done = run(&db, &bus, line).await.expect("goes on");
    assert_eq!(done, "5 replayed\n");
    assert_eq!(bus.sent.lock().expect("unharmed").len(), 25, "none twice");
    assert_eq!(
        db.number("SELECT COUNT(*) FROM audit WHERE actor = 'eve'").await,
        25
    );
}

async fn letters_replayed_too_often_are_parked(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    for (offset, replays) in [(1, 2), (2, 3)] {
        Row {
            offset,
            replays,
            ..Row::default()
        }
        .write(&db)
        .await;
    }
    let done = run(&db, &bus, "replay --class undecodable").await.expect("done");
    assert!(done.starts_with("1 replayed, 1 parked"), "{done}");
    assert_eq!(
        (row(&db, 0, 1).await.stage, row(&db, 0, 2).await.stage),
        (Stage::Replayed, Stage::Parked)
    );
    let trail = db.store.audited("rushgate.orders/0/2", 9).await.expect("read");
    assert_eq!(trail[0].action, "dlt.park");
    let why = run(&db, &bus, "replay rushgate.orders/0/2")
        .await
        .expect_err("parked");
    assert!(
        why.contains("parked after 3 replays") && why.contains("--force"),
        "{why}"
    );
    let why = run(&db, &bus, "replay --all --stage parked")
        .await
        .expect_err("not by itself");
    assert!(why.contains("--force"), "{why}");
    run(&db, &bus, "replay --all --stage parked --force")
        .await
        .expect("forced");
    let letter = row(&db, 0, 2).await;
    assert_eq!((letter.stage, letter.replays), (Stage::Replayed, 4));
    // One that waits in a retry topic is sent again only by whoever says that its record is gone there.
    Row {
        offset: 3,
        ..Row::default()
    }
    .write(&db)
    .await;
    db.execute("UPDATE dead_letters SET stage = 'retry' WHERE `offset` = 3")
        .await;
    let why = run(&db, &bus, "replay rushgate.orders/0/3")
        .await
        .expect_err("tried again by itself");
    assert!(why.contains("--stage retry --force"), "{why}");
    let why = run(&db, &bus, "replay --all --stage retry")
        .await
        .expect_err("tried again by itself");
    assert!(
        why.contains("stage retry are replayed with --force alone"),
        "{why}"
    );
    run(&db, &bus, "replay --all --stage retry --force")
        .await
        .expect("forced");
    assert_eq!(row(&db, 0, 3).await.stage, Stage::Replayed);
}

async fn what_landing_does_meanwhile_is_not_undone(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 2).await;
    let (url, runtime) = (db.url.clone(), tokio::runtime::Handle::current());
    *bus.before.lock().expect("unharmed") = Some(Box::new(move || {
        // The record is in its topic: landing is free to be faster than the acknowledgement.
        let url = url.clone();
        let landed = async move {
            use sqlx::Connection as _;
            let mut connection = sqlx::AnyConnection::connect(&url).await.expect("connects");
            let sql = "UPDATE dead_letters SET stage = 'landed', changed_at = '2026-11-20 12:00:00.500' WHERE `offset` = 0";
            sqlx::query(sql).execute(&mut connection).await.expect("runs");
        };
        tokio::task::block_in_place(|| runtime.block_on(landed));
    }));
    let done = run(&db, &bus, "replay --all").await.expect("replayed");
    assert_eq!(done, "2 replayed (1 of them moved on by landing already)\n");
    let letter = row(&db, 0, 0).await;
    assert_eq!((letter.stage, letter.replays), (Stage::Landed, 1));
    assert_eq!(row(&db, 1, 1).await.stage, Stage::Replayed);
}

async fn letters_are_exported_repaired_and_imported(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("letters.jsonl");
    let mut newer = order("ada", "1");
    newer.v = 9;
    let payload = newer.encode();
    for (offset, payload) in [(4, payload), (5, b"\xff\x00".to_vec())] {
        Row {
            offset,
            payload,
            class: "unknown-version",
            replays: 3,
            ..Row::default()
        }
        .write(&db)
        .await;
    }
    run(&db, &bus, &format!("export --out {}", file.display()))
        .await
        .expect("exported");
    let again = run(&db, &bus, &format!("export --out {}", file.display()))
        .await
        .expect_err("kept");
    assert!(again.contains("never overwrites"), "{again}");
    let text = std::fs::read_to_string(&file).expect("readable");
    assert!(text.contains("\"payload_base64\":\"/wA=\""), "{text}");
    let repaired = text.lines().next().expect("a line").replace("\"v\":9", "\"v\":1");
    std::fs::write(&file, repaired).expect("writable");
    let trial = run(&db, &bus, &format!("import {} --dry-run", file.display()))
        .await
        .expect("a trial");
    assert_eq!(trial, "would replay 1 and park 0; nothing was done\n");
    let done = run(&db, &bus, &format!("import {}", file.display()))
        .await
        .expect("imported");
    assert_eq!(done, "1 replayed\n");
    let sent = bus.sent.lock().expect("unharmed")[0].clone();
    let event = OrderEvent::decode(&sent.payload).expect("repaired");
    assert_eq!(
        (&event, sent.key.as_slice()),
        (&order("ada", "1"), b"spring/ada".as_slice())
    );
    assert_eq!(bus.offsets(), [4]);
    let letter = row(&db, 0, 4).await;
    assert_eq!(
        (letter.stage, &letter.payload),
        (Stage::Replayed, &event.encode())
    );
    assert_eq!(
        (letter.order, letter.quantity),
        (Some(event.order.to_string()), Some(1))
    );
    let trail = db.store.audited("rushgate.orders/0/4", 9).await.expect("read");
    assert_eq!(trail[0].action, "dlt.import");
    let digest = |side: &str| trail[0].detail[side].as_str().expect("a digest").to_owned();
    assert_eq!(digest("payload_before").len(), 64);
    assert_ne!(digest("payload_before"), digest("payload_after"));
    assert_eq!(
        db.number("SELECT COUNT(*) FROM audit WHERE action = 'dlt.export'")
            .await,
        1
    );
}

async fn wrong_lines_stop_an_import(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 2).await;
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let good = String::from_utf8(order("u0", "1").encode()).expect("JSON");
    let mut zero = order("u1", "1");
    zero.quantity = 0;
    let zero = String::from_utf8(zero.encode()).expect("JSON");
    for (id, payload) in [("0/0", &good), ("1/1", &zero), ("0/0", &good), ("0/99", &good)] {
        writeln!(file, "{{\"id\":\"rushgate.orders/{id}\",\"payload\":{payload}}}").expect("written");
    }
    let path = file.path().display().to_string();
    let error = run(&db, &bus, &format!("import {path}"))
        .await
        .expect_err("wrong");
    assert!(
        error.starts_with("3 lines are wrong: nothing was sent"),
        "{error}"
    );
    assert!(bus.sent.lock().expect("unharmed").is_empty());
    let done = run(&db, &bus, &format!("import {path} --skip-invalid"))
        .await
        .expect("sent");
    assert_eq!(done, "1 replayed\n");
    assert_eq!(bus.offsets(), [0]);
}

async fn letters_are_discarded_with_a_reason(db: Database) {
    let bus = Arc::default();
    letters(&db, 4).await;
    let asked = run(&db, &bus, "discard --all --reason test")
        .await
        .expect_err("nobody to ask");
    assert!(
        asked.contains("4 dead letters") && asked.contains("--yes"),
        "{asked}"
    );
    let done = run(&db, &bus, "discard rushgate.orders/0/2 --reason refunded")
        .await
        .expect("discarded");
    assert!(done.starts_with("1 discarded."), "{done}");
    let trail = db.store.audited("rushgate.orders/0/2", 9).await.expect("read");
    assert_eq!(
        (trail[0].action.as_str(), &trail[0].detail["reason"]),
        ("dlt.discard", &"refunded".into())
    );
    let twice = run(&db, &bus, "discard rushgate.orders/0/2 --reason again")
        .await
        .expect_err("done");
    assert!(twice.contains("stage discarded"), "{twice}");
    run(&db, &bus, "discard --all --reason test --yes")
        .await
        .expect("discarded");
    assert_eq!(
        db.number("SELECT COUNT(*) FROM dead_letters WHERE stage = 'discarded'")
            .await,
        4
    );
    let gone = run(&db, &bus, "replay rushgate.orders/0/2")
        .await
        .expect_err("discarded");
    assert!(gone.contains("was discarded"), "{gone}");
}

async fn what_is_not_meant_is_refused(db: Database) {
    let bus: Arc<Tape> = Arc::default();
    letters(&db, 1).await;
    db.execute(
        "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at) \
         VALUES ('payments', 0, 1, X'6b', X'00', 'x', '2026-11-20 12:00:00.123')",
    )
    .await;
    for (line, why) in [
        ("replay", "say what to replay"),
        ("discard --reason x", "say what to discard"),
        (
            "replay payments/0/1",
            "only orders topics are written to: rushgate.orders",
        ),
        (
            "replay rushgate.orders/0/7",
            "there is no dead letter rushgate.orders/0/7",
        ),
        (
            "replay rushgate.orders/0/0 --class failing",
            "either ids or filters",
        ),
        (
            "replay rushgate.orders/0/0 --stage parked --force",
            "is in stage dead, not parked",
        ),
        ("replay --all --stage landed", "cannot be replayed"),
        ("discard --all --stage retry --reason x", "cannot be discarded"),
        ("replay 17", "<topic>/<partition>/<offset>"),
        ("replay --all --rate 0", "at least 1"),
        ("list --since yesterday", "RFC 3339"),
        ("list --stage lost", "stages are retry, dead"),
        ("export --campaign winter", "no dead letter matches"),
        ("import /nowhere/at/all", "cannot read /nowhere/at/all"),
    ] {
        let error = run(&db, &bus, line).await.expect_err(line);
        assert!(error.contains(why), "{line}: {error}");
    }
    assert!(bus.sent.lock().expect("unharmed").is_empty());
}

fn brokers() -> String {
    std::env::var("RUSHGATE_KAFKA_BROKERS").unwrap_or_else(|_| {
        panic!(
            "this test needs a Kafka broker: run it through `./x test`, or start one with `./x stack up` and set \
             RUSHGATE_KAFKA_BROKERS as `./x stack env` prints it"
        )
    })
}

/// The binary, with a fail-point where one is named.
fn rushgate(url: &str, brokers: &str, failpoint: Option<&str>, args: &[&str]) -> Output {
    command(url, brokers, failpoint, args)
        .output()
        .expect("the binary runs")
}

fn command(url: &str, brokers: &str, failpoint: Option<&str>, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rushgate"));
    command.arg("dlt").args(args);
    command.args([
        "--database-url",
        url,
        "--kafka-brokers",
        brokers,
        "--actor",
        "eve",
    ]);
    match failpoint {
        Some(point) => command.env("RUSHGATE_FAILPOINT", point),
        None => command.env_remove("RUSHGATE_FAILPOINT"),
    };
    command
}

/// Records of these keys from `from` on, once there are so many.
fn read(config: &kafka::Config, from: BTreeMap<i32, i64>, prefix: &str, count: usize) -> Vec<(i32, Vec<u8>)> {
    let start = Box::new(move |partitions: &[i32]| {
        let from = from.clone().into_iter();
        Ok(from
            .filter(|(partition, _)| partitions.contains(partition))
            .collect())
    });
    let mut consumer = KafkaConsumer::new(config.clone(), start).expect("a consumer");
    let (begun, mut found) = (Instant::now(), Vec::new());
    while found.len() < count {
        assert!(begun.elapsed() < LIMIT, "{} of {count} records", found.len());
        for slice in consumer.poll(1000, Duration::from_millis(10)).expect("readable") {
            for record in slice.records {
                if record.key.starts_with(prefix.as_bytes()) {
                    found.push((slice.partition, record.payload));
                }
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replay_goes_on_against_a_real_broker() {
    let db = database::mariadb().await;
    let brokers = brokers();
    let mut config = kafka::Config::new(&brokers);
    let topics = rushgate::bus::Topics::new(rushgate::bus::ORDERS_TOPIC, "").expect("no delays");
    migrate_topics(&config, &topics, 4, 1)
        .await
        .expect("topics are there");
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let begun = Instant::now();
    let from = loop {
        match producer.high_watermarks(ORDERS_TOPIC).await {
            Ok(marks) => break marks,
            Err(error) => assert!(begun.elapsed() < LIMIT, "{error}"),
        }
    };
    let prefix = format!("replay-{}", uuid_like());
    for n in 0..5 {
        Row {
            partition: 1,
            offset: n,
            key: &format!("{prefix}/u{n}"),
            payload: vec![b'0' + n as u8],
            ..Row::default()
        }
        .write(&db)
        .await;
    }
    let go = |point: Option<&str>| rushgate(&db.url, &brokers, point, &["replay", "--all", "--rate", "10/s"]);
    let died = go(Some("D1=abort@2"));
    assert!(!died.status.success(), "{died:?}");
    let replayed = "SELECT COUNT(*) FROM dead_letters WHERE stage = 'replayed'";
    assert_eq!(db.number(replayed).await, 1);
    let died = go(Some("D2=abort"));
    assert!(!died.status.success(), "{died:?}");
    assert_eq!(db.number(replayed).await, 1, "sent, and not recorded");
    let done = go(None);
    assert_eq!(String::from_utf8_lossy(&done.stdout), "4 replayed\n", "{done:?}");
    assert_eq!(db.number(replayed).await, 5);
    config.group = prefix.clone();
    let records = tokio::task::spawn_blocking(move || read(&config, from, &prefix, 6))
        .await
        .expect("read");
    let expected: Vec<(i32, Vec<u8>)> = b"011234".iter().map(|digit| (1, vec![*digit])).collect();
    assert_eq!(records, expected);
    let down = rushgate(
        &db.url,
        "127.0.0.1:1",
        None,
        &["replay", "--all", "--force", "--stage", "replayed"],
    );
    let error = String::from_utf8_lossy(&down.stderr).into_owned();
    assert!(
        error.contains("nothing was sent") && error.contains("127.0.0.1:1"),
        "{error}"
    );
}

fn uuid_like() -> String {
    format!(
        "{}-{}",
        jiff::Timestamp::now().as_millisecond(),
        std::process::id()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_asked_to_stop_records_what_it_sent() {
    let db = database::mariadb().await;
    let brokers = brokers();
    let topics = rushgate::bus::Topics::new(rushgate::bus::ORDERS_TOPIC, "").expect("no delays");
    migrate_topics(&kafka::Config::new(&brokers), &topics, 4, 1)
        .await
        .expect("topics are there");
    letters(&db, 30).await;
    let replay = ["replay", "--all", "--rate", "1/s"];
    let child = command(&db.url, &brokers, None, &replay)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let replayed = "SELECT COUNT(*) FROM dead_letters WHERE stage = 'replayed'";
    let begun = Instant::now();
    while db.number(replayed).await == 0 {
        assert!(begun.elapsed() < LIMIT, "nothing is replayed");
        tokio::task::yield_now().await;
    }
    let asked = Command::new("kill").arg(child.id().to_string()).status();
    assert!(asked.expect("kill runs").success());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output())
        .await
        .expect("joins");
    let output = output.expect("it ends");
    let recorded = db.number(replayed).await;
    assert!(recorded < 30 && output.status.code() == Some(1), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{recorded} replayed\n")
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("interrupted; the same command goes on with what is left"),
        "{said}"
    );
}
