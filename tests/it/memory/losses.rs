//! What Redis may lose, while orders flow.

use std::time::Instant;

use rushgate::admission::{AdmissionError, Placement};

use crate::memory::buyers::Buyers;
use crate::memory::sale::{CAMPAIGN, PATIENCE, Sale};
use crate::memory::server::Server;

fn key(name: &str) -> String {
    format!("rg:{{{CAMPAIGN}.0}}:{name}")
}

/// Buyers order, something is lost; nobody is admitted on what is left, the gate opens by itself, sales go on.
async fn story(lose: impl FnOnce(&mut Server)) {
    story_then(lose, |_| {}).await;
}

/// The same; what is left over is looked at when the sale is quiet.
async fn story_then(lose: impl FnOnce(&mut Server), left_over: impl FnOnce(&mut Server)) {
    let mut sale = Sale::open(2000).await;
    let buyers = Buyers::start(&sale, 6);
    sale.sold_at_least(40).await;
    let epoch = sale.epoch().await;
    lose(&mut sale.server);
    sale.noticed(epoch).await;
    sale.reopened(epoch).await;
    let sold = sale.sold().await;
    sale.sold_at_least(sold + 40).await;
    let told = buyers.stop().await;
    left_over(&mut sale.server);
    sale.balanced().await;
    assert!(
        told.len() as i64 <= sale.sold().await,
        "whoever was told has an order"
    );
    for (user, key, placed_at) in told {
        match sale.place(0, &user, &key).await {
            Ok(Placement::Order { placed, replayed, .. }) => {
                assert!(replayed, "{user} {key} was admitted twice");
                assert_eq!(placed.placed_at, placed_at, "{user} {key}");
            }
            other => panic!("{user} {key}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn everything_at_once() {
    story(|server| server.tell(&["FLUSHALL"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn all_keys_of_the_shard() {
    let lose = "for _, key in ipairs(redis.call('KEYS', '*spring.0*')) do redis.call('DEL', key) end";
    story(|server| server.tell(&["EVAL", lose, "0"])).await;
}

/// Entries that nobody can relay keep no gate closed, and stay for whoever looks at them.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_stock_beside_entries_nobody_can_relay() {
    let (outbox, stock) = (key("outbox"), key("stock"));
    let lose = |server: &mut Server| {
        server.tell(&["XADD", &outbox, "*", "foo", "bar"]);
        let unread = ["rev", "1", "at", "1", "n", "1", "o", "no attempt"];
        server.tell(&[&["XADD", &outbox, "*"][..], &unread].concat());
        server.tell(&["DEL", &stock]);
    };
    let left_over = |server: &mut Server| {
        let remove = "local n = 0 for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do \
                      if entry[2][1] == 'foo' or entry[2][8] == 'no attempt' then \
                      n = n + redis.call('XDEL', KEYS[1], entry[1]) end end return n";
        let removed = redis::cmd("EVAL")
            .arg(remove)
            .arg(1)
            .arg(&outbox)
            .query(&mut server.client());
        assert_eq!(removed, Ok(2), "they stay for whoever looks at them");
    };
    story_then(lose, left_over).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn everything_by_an_empty_restart() {
    story(|server| {
        server.down();
        server.burn();
        server.up();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nothing_by_a_restart_with_the_whole_log() {
    story(|server| {
        server.down();
        server.up();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_stock() {
    story(|server| server.tell(&["DEL", &key("stock")])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn one_sku() {
    // With another field the hash itself stays.
    story(|server| server.tell(&["EVAL", SWAP, "1", &key("stock")])).await;
}

const SWAP: &str = "redis.call('HSET', KEYS[1], 'hat', 1) return redis.call('HDEL', KEYS[1], 'mug')";

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_outbox() {
    story(|server| server.tell(&["DEL", &key("outbox")])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_bucket_of_records() {
    story(|server| server.tell(&["DEL", &key("buyers:1")])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_name_of_the_server_the_state_was_made_for() {
    // As an earlier release left it.
    story(|server| server.tell(&["HDEL", &key("state"), "run"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_outbox_while_nobody_orders() {
    let sale = Sale::open(10).await;
    sale.sell(0..3).await;
    sale.quiet().await;
    let epoch = sale.epoch().await;
    sale.server.tell(&["DEL", &key("outbox")]);
    sale.reopened(epoch).await;
    sale.balanced().await;
}

/// The first ten are sold, what comes after is forgotten, and the mugs are sold out: on the state that is left, thirty more
/// would be.
async fn nobody_is_admitted_on_an_old_state(sale: &Sale, lost: u64) {
    let begun = Instant::now();
    for n in 0.. {
        let answer = sale.place(n % 2, &format!("late{n}"), "k").await;
        match answer {
            Ok(Placement::Rejected(refusal)) => {
                assert_eq!(refusal.reason.name(), "sold-out");
                break;
            }
            Err(AdmissionError::GateClosed { retry_after, .. }) => assert!(!retry_after.is_zero()),
            Err(_) => {}
            Ok(order) => panic!("admitted by a state that is over: {order:?}"),
        }
        assert!(begun.elapsed() < PATIENCE, "the gate stays closed");
        tokio::task::yield_now().await;
    }
    assert!(sale.epoch().await > lost);
    sale.balanced().await;
    for n in [5, 25] {
        let again = sale.place(n % 2, &format!("u{n}"), "k").await;
        assert!(
            matches!(again, Ok(Placement::Order { replayed: true, .. })),
            "{again:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_end_of_the_log() {
    let mut sale = Sale::open(40).await;
    sale.sell(0..10).await;
    sale.quiet().await;
    let kept = sale.server.written();
    sale.sell(10..40).await;
    sale.quiet().await;
    let epoch = sale.epoch().await;
    sale.server.down();
    sale.server.cut(kept + 20);
    sale.server.up();
    nobody_is_admitted_on_an_old_state(&sale, epoch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_replica_lagged_behind_when_it_took_over() {
    let mut sale = Sale::open(40).await;
    sale.sell(0..10).await;
    sale.quiet().await;
    let replica = Server::start();
    replica.follow(&sale.server);
    // Cut off: what happens from here on it never hears of.
    replica.tell(&["REPLICAOF", "NO", "ONE"]);
    sale.sell(10..40).await;
    sale.quiet().await;
    let epoch = sale.epoch().await;
    let before = sale.engine.incarnation().await.expect("it has a name");
    sale.server.down();
    sale.address.lead_to(&replica);
    assert_eq!(replica.integer(&["HGET", &key("stock"), "mug"]), 30);
    sale.server = replica;
    nobody_is_admitted_on_an_old_state(&sale, epoch).await;
    assert_ne!(sale.engine.incarnation().await, Ok(before));
}
