//! The last guard of the limits: landed orders never use more than was allowed, in whatever order they land.

use rushgate::order::{Charge, NO_LIMIT, OrderEvent};
use rushgate::store::{Landed, Store};
use testkit::database::{Database, NOW, TOPIC, order, sale, slice};
use testkit::on_both;

on_both!(
    an_order_beyond_its_limit_is_revoked_and_consumes_nothing,
    a_charge_without_a_limit_loosens_no_guard,
    the_largest_limit_that_admitted_an_order_counts,
    entries_of_a_rolling_window_are_added_up,
    an_order_beyond_stock_gives_its_charges_back,
    orders_that_one_engine_admitted_land_in_any_order,
);

fn charged(user: &str, key: &str, charges: &[(&str, Option<i64>)]) -> OrderEvent {
    let mut event = order(user, key);
    event.charges = charges
        .iter()
        .map(|(counter, limit)| Charge {
            counter: (*counter).to_owned(),
            window: 0,
            rolling_ms: 0,
            subject: user.to_owned(),
            cost: 1,
            limit: *limit,
        })
        .collect();
    event
}

fn rolling(user: &str, key: &str, at: i64, limit: i64) -> OrderEvent {
    let mut event = charged(user, key, &[("cooldown/orders", Some(limit))]);
    event.placed_at = at;
    event.charges[0].window = at;
    event.charges[0].rolling_ms = 60_000;
    event
}

/// Lands one more batch of partition 0.
async fn land(store: &Store, orders: Vec<OrderEvent>) -> Landed {
    let offsets = store.offsets(TOPIC).await.expect("read");
    let from = offsets.get(&0).copied().unwrap_or(0);
    let landing = store.land(TOPIC, &[slice(0, from, orders)], NOW).await;
    landing.expect("landed")
}

fn outcome(landed: &Landed) -> (u64, u64) {
    (landed.confirmed, landed.revoked)
}

const SOLD: &str = "SELECT sold FROM stock WHERE sku_id = 'shoe'";
const USED: &str = "SELECT CAST(SUM(used) AS SIGNED) FROM `usage`";

async fn an_order_beyond_its_limit_is_revoked_and_consumes_nothing(db: Database) {
    sale(&db.store, 100).await;
    let both = &[("a/orders", Some(1)), ("b/orders", Some(5))];
    let first = charged("ann", "1", both);
    let second = charged("ann", "2", both);
    let other = charged("bob", "1", both);
    let batch = vec![first.clone(), second.clone(), other];
    assert_eq!(outcome(&land(&db.store, batch).await), (2, 1));
    let row = db.store.order("spring", second.order).await.expect("asked");
    let row = row.expect("kept");
    assert_eq!(row.revoked_reason.as_deref(), Some("over-limit"));
    assert_eq!((row.state.as_str(), row.confirmed_at), ("revoked", None));
    assert_eq!((db.number(SOLD).await, db.number(USED).await), (2, 4));
    let named = "SELECT COUNT(*) FROM releases WHERE reason = 'over-limit' AND counters = '[\"a/orders\"]' \
                 AND given_back_at IS NULL";
    assert_eq!(db.number(named).await, 1);
    // The same in a later batch, and again when it is delivered again.
    let third = charged("ann", "3", both);
    assert_eq!(outcome(&land(&db.store, vec![third.clone()]).await), (0, 1));
    let again = land(&db.store, vec![third, first]).await;
    assert_eq!((outcome(&again), again.duplicates), ((0, 0), 2));
    assert_eq!((db.number(SOLD).await, db.number(USED).await), (2, 4));
}

async fn a_charge_without_a_limit_loosens_no_guard(db: Database) {
    sale(&db.store, 100).await;
    let with = |user: &str, key: &str, limit| charged(user, key, &[("a/orders", limit)]);
    // Where nobody has said how many, any number lands.
    let free = vec![with("ann", "1", None), with("ann", "2", None)];
    assert_eq!(outcome(&land(&db.store, free).await), (2, 0));
    // Where a limit is there, it stays: in the row, in one batch, and over the entries of a rolling window.
    assert_eq!(
        outcome(&land(&db.store, vec![with("bob", "1", Some(1))]).await),
        (1, 0)
    );
    assert_eq!(
        outcome(&land(&db.store, vec![with("bob", "2", None)]).await),
        (0, 1)
    );
    let batch = vec![
        with("cid", "1", Some(1)),
        with("cid", "2", None),
        with("cid", "3", None),
    ];
    assert_eq!(outcome(&land(&db.store, batch).await), (1, 2));
    let mut unsaid = rolling("dan", "2", NOW + 1000, 1);
    unsaid.charges[0].limit = None;
    let batch = vec![rolling("dan", "1", NOW, 1), unsaid];
    assert_eq!(outcome(&land(&db.store, batch).await), (1, 1));
    // That there is none is said in so many words.
    assert_eq!(
        outcome(&land(&db.store, vec![with("bob", "3", Some(NO_LIMIT))]).await),
        (1, 0)
    );
    assert_eq!(
        outcome(&land(&db.store, vec![with("bob", "4", None)]).await),
        (1, 0)
    );
    assert_eq!(db.number(USED).await, 7);
}

async fn the_largest_limit_that_admitted_an_order_counts(db: Database) {
    sale(&db.store, 100).await;
    let limited = |key: &str, limit| charged("ann", key, &[("a/orders", Some(limit))]);
    // The limit was raised from 1 to 3; the orders land newest first.
    let orders = vec![limited("3", 3), limited("2", 3), limited("1", 1)];
    assert_eq!(outcome(&land(&db.store, orders).await), (3, 0));
    assert_eq!(outcome(&land(&db.store, vec![limited("4", 3)]).await), (0, 1));
}

async fn entries_of_a_rolling_window_are_added_up(db: Database) {
    sale(&db.store, 100).await;
    let at = |key: &str, seconds: i64| rolling("ann", key, NOW + 1000 * seconds, 2);
    let batch = vec![at("1", 0), at("2", 10), at("3", 20), rolling("bob", "1", NOW, 2)];
    assert_eq!(outcome(&land(&db.store, batch).await), (3, 1));
    // The order at 0 has left the window of the order at 60, and 10 has left that of 70.
    assert_eq!(
        outcome(&land(&db.store, vec![at("4", 60), at("5", 65)]).await),
        (1, 1)
    );
    assert_eq!(outcome(&land(&db.store, vec![at("6", 70)]).await), (1, 0));
    assert_eq!(db.number(USED).await, 5);
    let named = "SELECT COUNT(*) FROM releases WHERE counters = '[\"cooldown/orders\"]'";
    assert_eq!(db.number(named).await, 2);
}

async fn an_order_beyond_stock_gives_its_charges_back(db: Database) {
    sale(&db.store, 1).await;
    let limited = |user: &str| charged(user, "1", &[("a/orders", Some(1))]);
    assert_eq!(
        outcome(&land(&db.store, vec![limited("ann"), limited("bob")]).await),
        (1, 1)
    );
    assert_eq!((db.number(SOLD).await, db.number(USED).await), (1, 1));
    let reason = "SELECT COUNT(*) FROM releases WHERE reason = 'oversold' AND counters = '[]'";
    assert_eq!(db.number(reason).await, 1);
}

/// Admits orders one after the other under limits that rise and fall, lands them shuffled and in batches of
/// any size: every one of them fits.
async fn orders_that_one_engine_admitted_land_in_any_order(db: Database) {
    sale(&db.store, 100_000).await;
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut admitted: Vec<OrderEvent> = Vec::new();
        for n in 0..60 {
            let user = format!("u{seed}-{}", random.u8(0..3));
            let (key, limit, at) = (n.to_string(), random.i64(1..6), NOW + n * 7_000);
            let count = admitted.iter().filter(|order| order.user == user).count() as i64;
            let recent = admitted
                .iter()
                .filter(|order| order.user == user && order.placed_at > at - 60_000)
                .count() as i64;
            if count < limit * 4 && recent < limit {
                let mut event = rolling(&user, &key, at, limit);
                event
                    .charges
                    .extend(charged(&user, &key, &[("a/orders", Some(limit * 4))]).charges);
                admitted.push(event);
            }
        }
        random.shuffle(&mut admitted);
        let count = admitted.len() as u64;
        let mut total = (0, 0);
        while !admitted.is_empty() {
            let rest = admitted.split_off(random.usize(1..=admitted.len()));
            let (confirmed, revoked) = outcome(&land(&db.store, admitted).await);
            total = (total.0 + confirmed, total.1 + revoked);
            admitted = rest;
        }
        assert_eq!(total, (count, 0), "seed {seed}");
    }
}
