//! Comparing and repairing, over the embedded engine with SQLite and over Redis with MariaDB, while orders flow.

mod around;
mod fill;
mod layout;
mod lossy;
mod missing;
mod moment;
mod released;
mod restock;
mod sale;
mod skus;
mod surplus;

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rushgate::bus::kafka::{self, migrate_topics};
use rushgate::engine::redis::{self, Redis};
use rushgate::lua::fence::Fence;
use rushgate::lua::fixed;
use rushgate::lua::places::CountAt;
use rushgate::lua::repair::{Repair, Repaired, repair_args, repair_reply};
use rushgate::order::OrderId;
use rushgate::reconcile::{CompareError, Kind, Place, RepairOutcome};
use sale::{CAMPAIGN, Sale, Side};

/// Runs each named story on both sides.
macro_rules! on_both_sides {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::reconcile::sale::Side::embedded().await).await;
            })*
        }
        mod real {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::reconcile::sale::Side::real().await).await;
            })*
        }
    };
}

pub(crate) use on_both_sides;

on_both_sides!(
    nothing_differs_while_orders_flow,
    stock_is_put_right,
    what_is_oversold_is_left_to_people,
    an_unknown_order_gets_its_record_back,
    a_lost_order_is_reported_and_its_units_are_not_sold_again,
    counts_are_put_right,
    orders_on_their_way_are_counted_where_they_are,
    a_discarded_letter_gives_back_what_it_held,
    a_value_that_moved_is_not_set,
    what_cannot_be_compared_says_why,
    what_is_waited_for_is_told_and_waited_for_once,
);

/// Kind, engine, database; sorted as they come.
async fn differences(sale: &Sale) -> Vec<(Kind, i64, i64)> {
    let comparison = sale.reconcile.compare(CAMPAIGN, None).await.expect("compared");
    assert!(!comparison.repaired && comparison.more == 0 && comparison.unsettled == 0);
    let kinds = comparison.differences.iter();
    kinds
        .map(|each| (each.kind, each.engine, each.database))
        .collect()
}

/// Repairs, and says what each difference came to and how many are left.
async fn repair(sale: &Sale) -> (Vec<(Kind, RepairOutcome)>, usize) {
    let comparison = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    assert!(comparison.repaired, "there was something to repair");
    let outcomes = comparison
        .differences
        .iter()
        .map(|each| (each.kind, each.outcome));
    (outcomes.collect(), comparison.left.len())
}

async fn nothing_differs_while_orders_flow(side: Side) {
    let sale = Arc::new(Sale::open(side, 1_000).await);
    let over = Arc::new(AtomicBool::new(false));
    let buyers: Vec<_> = (0..3)
        .map(|buyer| {
            let (sale, over) = (sale.clone(), over.clone());
            tokio::spawn(async move {
                for n in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    // Some want more than they may have, some want it twice.
                    let (user, key) = (format!("u{buyer}-{}", n / 4), format!("{}", n % 4));
                    let sku = if n % 3 == 0 { "hat" } else { "mug" };
                    sale.place(&user, &key, sku).await;
                }
            })
        })
        .collect();
    let mut orders = 0;
    for _ in 0..8 {
        let comparison = sale.reconcile.compare(CAMPAIGN, None).await.expect("compared");
        assert_eq!(comparison.differences, [], "orders: {}", comparison.orders);
        assert_eq!(comparison.skus, 2);
        orders = comparison.orders;
    }
    over.store(true, Ordering::Relaxed);
    for buyer in buyers {
        buyer.await.expect("no panic");
    }
    sale.settled().await;
    let last = sale.reconcile.compare(CAMPAIGN, None).await.expect("compared");
    assert!(
        last.orders >= orders && last.orders > 0,
        "orders flowed: {orders}"
    );
    assert!(last.subjects > 0 && last.differences.is_empty(), "{last:?}");
    let confirmed = sale
        .db
        .number("SELECT COUNT(*) FROM orders WHERE state = 'confirmed'")
        .await;
    assert_eq!(last.orders as i64, confirmed);
}

async fn stock_is_put_right(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    sale.redis("HINCRBY", "stock", &["mug", "-3"]).await;
    sale.redis("HINCRBY", "stock", &["hat", "2"]).await;
    sale.db
        .execute("UPDATE stock SET sold = 7 WHERE sku_id = 'mug'")
        .await;
    let expected = [
        (Kind::Overcommitted, 102, 100),
        (Kind::Leaked, 96, 99),
        (Kind::SoldMismatch, 7, 1),
    ];
    assert_eq!(differences(&sale).await, expected);
    let sentence = sale
        .reconcile
        .compare(CAMPAIGN, None)
        .await
        .expect("compared")
        .differences[0]
        .sentence
        .clone();
    assert!(
        sentence.starts_with("overcommitted: SKU hat: the engine has 102 units left and should have 100; "),
        "{sentence}"
    );
    let (outcomes, left) = repair(&sale).await;
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| *outcome == RepairOutcome::Repaired),
        "{outcomes:?}"
    );
    assert_eq!((outcomes.len(), left), (3, 0));
    assert_eq!(differences(&sale).await, []);
    let trail = sale.db.store.audited(CAMPAIGN, 9).await.expect("read");
    assert_eq!(trail.len(), 3);
    let leaked = trail
        .iter()
        .find(|row| row.detail["kind"] == "leaked")
        .expect("audited");
    assert_eq!(
        (leaked.actor.as_str(), leaked.action.as_str()),
        ("eve", "reconcile.repair")
    );
    assert_eq!(
        (&leaked.detail["before"], &leaked.detail["after"]),
        (&"96".into(), &"99".into())
    );
    assert_eq!(leaked.detail["where"]["sku"]["sku"], "mug");
}

async fn what_is_oversold_is_left_to_people(side: Side) {
    let sale = Sale::open(side, 100).await;
    for n in 0..3 {
        sale.place(&format!("u{n}"), "1", "mug").await;
    }
    sale.settled().await;
    sale.db
        .execute("UPDATE stock SET total = 2 WHERE sku_id = 'mug'")
        .await;
    sale.redis("HSET", "stock", &["mug", "0"]).await;
    let found = differences(&sale).await;
    assert_eq!(found, [(Kind::Oversold, 3, 2), (Kind::Overcommitted, 0, -1)]);
    let (outcomes, left) = repair(&sale).await;
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| *outcome == RepairOutcome::Refused),
        "{outcomes:?}"
    );
    assert_eq!(left, 2);
    assert!(sale.db.store.audited(CAMPAIGN, 9).await.expect("read").is_empty());
}

async fn an_unknown_order_gets_its_record_back(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    let order = OrderId::keyed(CAMPAIGN, "ada", "1");
    sale.redis("HDEL", &sale.buyers_bucket("ada"), &[&order.to_string()])
        .await;
    let comparison = sale.reconcile.compare(CAMPAIGN, None).await.expect("compared");
    let Place::Order { user, sku, .. } = &comparison.differences[0].place else {
        panic!("{comparison:?}");
    };
    assert_eq!(
        (comparison.differences[0].kind, user.as_str(), sku.as_str()),
        (Kind::UnknownOrder, "ada", "mug")
    );
    assert_eq!(
        repair(&sale).await,
        (vec![(Kind::UnknownOrder, RepairOutcome::Repaired)], 0)
    );
    // The retry is the same order again.
    let before = sale.db.number("SELECT COUNT(*) FROM orders").await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    assert_eq!(sale.db.number("SELECT COUNT(*) FROM orders").await, before);
}

async fn a_lost_order_is_reported_and_its_units_are_not_sold_again(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    // As if the bus had lost it after its acknowledgement.
    let order = OrderId::keyed(CAMPAIGN, "bob", "1");
    let record = format!("a 1-1 9 {} 2 mug bob", sale.opened_at);
    sale.redis("HSET", &sale.buyers_bucket("bob"), &[&order.to_string(), &record])
        .await;
    sale.redis("HINCRBY", "stock", &["mug", "-2"]).await;
    sale.redis("HINCRBY", &sale.buyers_bucket("bob"), &["rule/orders bob", "1"])
        .await;
    let expected = [(Kind::LostOrder, 1, 0), (Kind::CounterHigh, 1, 0)];
    assert_eq!(differences(&sale).await, expected);
    let comparison = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    assert!(
        comparison
            .differences
            .iter()
            .all(|each| each.outcome == RepairOutcome::Refused),
        "{comparison:?}"
    );
    let place = &comparison.differences[0].place;
    assert!(
        matches!(place, Place::Order { user, quantity: 2, placed_at, .. } if user == "bob" && *placed_at == sale.opened_at),
        "{place:?}"
    );
    assert!(
        comparison.differences[1]
            .sentence
            .contains("an order of this campaign is lost")
    );
    assert_eq!(comparison.left.len(), 2, "nothing was touched");
}

async fn counts_are_put_right(side: Side) {
    let sale = Sale::open(side, 100).await;
    for user in ["ada", "bob", "eve"] {
        sale.place(user, "1", "mug").await;
        sale.place(user, "2", "hat").await;
    }
    sale.settled().await;
    assert_eq!(differences(&sale).await, []);
    let window = sale.tumbling_start();
    // Too little of ada, too much of bob, somebody who never ordered; the rolling and the hourly counts of eve are gone.
    sale.redis("HSET", &sale.buyers_bucket("ada"), &["rule/orders ada", "1"])
        .await;
    sale.redis("HINCRBY", &sale.buyers_bucket("bob"), &["rule/orders bob", "3"])
        .await;
    sale.redis("HSET", &sale.buyers_bucket("dan"), &["rule/orders dan", "1"])
        .await;
    sale.redis("HDEL", &sale.buyers_bucket("eve"), &["rule/rolling eve"])
        .await;
    sale.redis("HDEL", &sale.hourly_bucket(window, "eve"), &["eve"])
        .await;
    let expected = [
        (Kind::CounterLow, 1, 2),
        (Kind::CounterLow, 0, 2),
        (Kind::CounterLow, 0, 2),
        (Kind::CounterHigh, 5, 2),
        (Kind::CounterHigh, 1, 0),
    ];
    let mut found = differences(&sale).await;
    found.sort_by_key(|(kind, engine, database)| (*kind, std::cmp::Reverse((*engine, *database))));
    assert_eq!(found, expected);
    let (outcomes, left) = repair(&sale).await;
    assert_eq!((outcomes.len(), left), (5, 0), "{outcomes:?}");
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| *outcome == RepairOutcome::Repaired),
        "{outcomes:?}"
    );
    assert_eq!(sale.db.store.audited(CAMPAIGN, 9).await.expect("read").len(), 5);
    assert_eq!(differences(&sale).await, []);
    // Whoever had two of four still may have two.
    for (key, admitted) in [("3", true), ("4", true), ("5", false)] {
        assert_eq!(sale.place("eve", key, "mug").await, admitted, "{key}");
    }
}

async fn orders_on_their_way_are_counted_where_they_are(side: Side) {
    let mut sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    sale.stop_landing().await;
    sale.place("bob", "1", "mug").await;
    assert_eq!(sale.outbox().await.len(), 1, "nobody takes it");
    assert_eq!(differences(&sale).await, [], "it is in the outbox");
    for stage in ["retry", "dead", "replayed", "parked"] {
        sale.bury(stage).await;
        assert_eq!(sale.outbox().await.len(), 0);
        assert_eq!(
            differences(&sale).await,
            [],
            "it is a dead letter of stage {stage}"
        );
    }
}

async fn a_discarded_letter_gives_back_what_it_held(side: Side) {
    let mut sale = Sale::open(side, 100).await;
    sale.stop_landing().await;
    sale.place("bob", "1", "mug").await;
    sale.bury("discarded").await;
    let expected = [
        (Kind::Leaked, 99, 100),
        (Kind::CounterHigh, 1, 0),
        (Kind::CounterHigh, 1, 0),
        (Kind::CounterHigh, 1, 0),
    ];
    assert_eq!(differences(&sale).await, expected);
    let (outcomes, left) = repair(&sale).await;
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| *outcome == RepairOutcome::Repaired),
        "{outcomes:?}"
    );
    assert_eq!(left, 0);
}

async fn a_value_that_moved_is_not_set(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    let fence = sale.active.fence();
    let at = CountAt::new("rule/orders", true, None, "ada", sale.active.campaign.buckets);
    let count = |there| Repair::Count {
        at: &at,
        there,
        to_be: "4",
        expires_at: None,
        reopened: "1",
    };
    let moved = [
        count("2"),
        count(""),
        // The value is right, and something was given back since it was read.
        Repair::Count {
            at: &at,
            there: "1",
            to_be: "4",
            expires_at: None,
            reopened: "0",
        },
        Repair::Stock {
            sku: "mug",
            reopened: "999",
            units: 1,
        },
        Repair::Stock {
            sku: "glove",
            reopened: "1",
            units: 1,
        },
        Repair::Order {
            order: OrderId::keyed(CAMPAIGN, "ada", "1"),
            user: "ada",
            buckets: sale.active.campaign.buckets,
            record: "r",
        },
    ];
    let before = sale.counted("ada").await;
    for repair in &moved {
        let reply = sale.run(&fixed::REPAIR, repair_args(&fence, repair)).await;
        assert_eq!(repair_reply(reply), Ok(Repaired::Moved), "{repair:?}");
    }
    let stale = Fence {
        epoch: fence.epoch + 1,
        ..fence.clone()
    };
    let reply = sale.run(&fixed::REPAIR, repair_args(&stale, &count("1"))).await;
    assert_eq!(repair_reply(reply), Ok(Repaired::Fenced));
    assert_eq!(
        (sale.counted("ada").await, differences(&sale).await),
        (before, vec![])
    );
    let reply = sale.run(&fixed::REPAIR, repair_args(&fence, &count("1"))).await;
    let done = Repaired::Done {
        before: "1".into(),
        after: "4".into(),
    };
    assert_eq!(repair_reply(reply), Ok(done));
}

async fn what_cannot_be_compared_says_why(side: Side) {
    let mut sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    let error = sale
        .reconcile
        .compare("winter", None)
        .await
        .expect_err("no such campaign");
    assert!(matches!(error, CompareError::UnknownCampaign(_)), "{error}");
    // Somebody else repairs.
    let held = sale
        .db
        .store
        .lease(&format!("reconcile:{CAMPAIGN}"), "other", sale.opened_at, 1 << 40)
        .await;
    assert!(held.expect("asked"));
    sale.redis("HINCRBY", "stock", &["mug", "-3"]).await;
    let error = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect_err("leased");
    assert!(matches!(error, CompareError::Busy(_)), "{error}");
    // Landing is behind and does not move.
    sale.stop_landing().await;
    sale.db
        .execute("UPDATE landing_offsets SET next_offset = 0")
        .await;
    let error = sale
        .impatient()
        .compare(CAMPAIGN, None)
        .await
        .expect_err("landing is behind");
    assert!(
        error.to_string().contains("landing to pass the watermark"),
        "{error}"
    );
    sale.redis("DEL", &sale.buyers_bucket("ada"), &[]).await;
    sale.db
        .execute("UPDATE landing_offsets SET next_offset = 1000000")
        .await;
    let error = sale
        .reconcile
        .compare(CAMPAIGN, None)
        .await
        .expect_err("a bucket is gone");
    assert!(matches!(error, CompareError::Incomplete(_)), "{error}");
    sale.redis("HDEL", "state", &["fence"]).await;
    let error = sale.reconcile.compare(CAMPAIGN, None).await.expect_err("closed");
    assert!(matches!(error, CompareError::Closed(_)), "{error}");
}

async fn what_is_waited_for_is_told_and_waited_for_once(side: Side) {
    let mut sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    sale.stop_landing().await;
    sale.db
        .execute("UPDATE landing_offsets SET next_offset = 0")
        .await;
    let (sender, mut told) = tokio::sync::mpsc::unbounded_channel();
    let tell = move |campaign: &str, what: &str, left: Duration| {
        let _ = sender.send((campaign.to_owned(), what.to_owned(), left));
    };
    // It would wait a minute, and is dropped when it says so.
    let stage = sale.stage_over(sale.engine()).telling(Arc::new(tell));
    let (campaign, what, left) = tokio::select! {
        told = told.recv() => told.expect("told"),
        compared = stage.compare(CAMPAIGN, None) => panic!("{compared:?}"),
    };
    assert_eq!(campaign, CAMPAIGN);
    let expected =
        "landing to pass the watermark of rushgate.orders: partition 0 is at 0 of 1; is `rushgate land`";
    assert!(what.starts_with(expected) && left > Duration::ZERO, "{what}");
    // Whoever waited in vain waits less and less, and says no less.
    let mut stage = stage;
    for _ in 0..9 {
        stage.lose_patience();
    }
    for _ in 0..5 {
        let error = stage.compare(CAMPAIGN, None).await.expect_err("behind");
        let CompareError::Patience { what, waited } = error else {
            panic!("{error}");
        };
        assert!(what.starts_with(expected), "{what}");
        assert!(waited < Duration::from_millis(20), "{waited:?} were to be waited");
        stage.lose_patience();
    }
}

fn brokers() -> String {
    std::env::var("RUSHGATE_KAFKA_BROKERS").unwrap_or_else(|_| {
        panic!(
            "this test needs a Kafka broker: run it through `./x test`, or start one with `./x stack up` and set \
             RUSHGATE_KAFKA_BROKERS as `./x stack env` prints it"
        )
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_answers_with_its_exit_code() {
    let brokers = brokers();
    let topics = rushgate::bus::Topics::new(rushgate::bus::ORDERS_TOPIC, "").expect("no delays");
    migrate_topics(&kafka::Config::new(&brokers), &topics, 4, 1)
        .await
        .expect("topics are there");
    let side = Side::real().await;
    let (redis_url, database_url) = (side.redis_url().to_owned(), side.db.url.clone());
    let sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    // The broker is not what this sale's orders went through: its own have all landed.
    for partition in 0..4 {
        let sql = "DELETE FROM landing_offsets WHERE `partition` = ".to_owned() + &partition.to_string();
        sale.db.execute(&sql).await;
        let sql = format!(
            "INSERT INTO landing_offsets (topic, `partition`, next_offset) VALUES ('rushgate.orders', {partition}, 1000000000)"
        );
        sale.db.execute(&sql).await;
    }
    let go = |redis: &str, more: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_rushgate"))
            .arg("reconcile")
            .args([
                "--redis-url",
                redis,
                "--kafka-brokers",
                &brokers,
                "--database-url",
                &database_url,
            ])
            .args(more)
            .env_remove("RUSHGATE_FAILPOINT")
            .output()
            .expect("the binary runs")
    };
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let same = go(&redis_url, &[]);
    assert_eq!(same.status.code(), Some(0), "{same:?}");
    assert!(
        text(&same).starts_with("spring: 1 orders, 2 SKUs and 3 counts compared in "),
        "{same:?}"
    );
    assert!(text(&same).ends_with("no differences\n"), "{same:?}");

    sale.redis("HINCRBY", "stock", &["mug", "-3"]).await;
    let different = go(&redis_url, &["--json", "--campaign", CAMPAIGN]);
    assert_eq!(different.status.code(), Some(1), "{different:?}");
    let json: serde_json::Value = serde_json::from_slice(&different.stdout).expect("one document");
    assert_eq!(json["campaigns"][0]["differences"][0]["kind"], "leaked");
    assert_eq!(
        (&json["differences_left"], &json["failed"]),
        (&1.into(), &serde_json::json!([]))
    );

    let repaired = go(&redis_url, &["--repair", "--actor", "eve"]);
    assert_eq!(repaired.status.code(), Some(0), "{repaired:?}");
    assert!(
        text(&repaired).contains("  [repaired] leaked: SKU mug: "),
        "{repaired:?}"
    );
    assert!(
        text(&repaired).ends_with("compared again: no differences are left\n"),
        "{repaired:?}"
    );

    let release = go(&redis_url, &["--release"]);
    assert_eq!(release.status.code(), Some(2), "{release:?}");
    assert!(
        String::from_utf8_lossy(&release.stderr).contains("--repair"),
        "{release:?}"
    );

    let unknown = go(&redis_url, &["--campaign", "winter"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(
        String::from_utf8_lossy(&unknown.stderr).contains("no campaign \"winter\""),
        "{unknown:?}"
    );
    let down = go("redis://127.0.0.1:1", &[]);
    assert_eq!(down.status.code(), Some(2), "{down:?}");
    assert!(
        String::from_utf8_lossy(&down.stderr).contains("--redis-url"),
        "{down:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_of_another_deployment_is_not_compared() {
    let side = Side::real().await;
    let sale = Sale::open(side, 100).await;
    sale.redis("HSET", "state", &["fence", "another/2.3:1"]).await;
    let error = sale.reconcile.compare(CAMPAIGN, None).await.expect_err("foreign");
    assert!(matches!(error, CompareError::Foreign(_)), "{error}");
    let nowhere = Redis::new(redis::Config::new("redis://127.0.0.1:1")).expect("made");
    let stage = sale.stage_over(Arc::new(nowhere));
    let error = stage.compare(CAMPAIGN, None).await.expect_err("down");
    assert!(matches!(error, CompareError::Engine(_)), "{error}");
}
