//! Batches that are like most take few statements, and every other batch comes to the same as one order after another.

use rushgate::order::{Charge, OrderEvent};
use rushgate::store::Landed;
use testkit::database::{Database, MariaDb, NOW, TOPIC, connect, order, sale, slice};
use testkit::on_both;

on_both!(
    batches_of_every_size_land_whole,
    one_sku_that_is_short_revokes_its_own_orders_alone,
    one_full_limit_in_a_large_batch_is_found,
    an_order_that_is_there_already_leaves_the_others_landing,
    moments_are_kept_to_the_millisecond,
    receipts_too_large_for_one_statement_land,
);

async fn land(db: &Database, orders: Vec<OrderEvent>) -> Landed {
    let offsets = db.store.offsets(TOPIC).await.expect("read");
    let from = offsets.get(&0).copied().unwrap_or(0);
    let next = from + orders.len() as i64;
    let landing = db.store.land(TOPIC, &[slice(0, from, orders)], NOW).await;
    let landed = landing.expect("landed");
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], next);
    landed
}

fn of(sku: &str, user: String) -> OrderEvent {
    OrderEvent {
        sku: sku.to_owned(),
        ..order(&user, sku)
    }
}

async fn sold(db: &Database) -> (i64, i64) {
    let of = |sku: &str| format!("SELECT sold FROM stock WHERE sku_id = '{sku}'");
    (db.number(&of("shoe")).await, db.number(&of("hat")).await)
}

async fn batches_of_every_size_land_whole(db: Database) {
    sale(&db.store, 10_000).await;
    let (mut all, mut hats) = (0, 0);
    for size in [1, 2, 5, 97, 300, 1025] {
        let batch: Vec<OrderEvent> = (0..size)
            .map(|n| of(if n % 3 == 1 { "hat" } else { "shoe" }, format!("u{size}-{n}")))
            .collect();
        hats += batch.iter().filter(|order| order.sku == "hat").count() as i64;
        all += size;
        assert_eq!(land(&db, batch).await.confirmed, size as u64);
    }
    assert_eq!(sold(&db).await, (all - hats, hats));
    assert_eq!(
        db.number("SELECT COUNT(*) FROM orders WHERE state = 'confirmed'")
            .await,
        all
    );
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        all
    );
}

async fn one_sku_that_is_short_revokes_its_own_orders_alone(db: Database) {
    sale(&db.store, 10).await;
    let shoes = (0..12).map(|n| of("shoe", format!("s{n}")));
    let hats = (0..9).map(|n| of("hat", format!("h{n}")));
    let landed = land(&db, shoes.chain(hats).collect()).await;
    assert_eq!((landed.confirmed, landed.revoked, landed.duplicates), (19, 2, 0));
    assert_eq!(sold(&db).await, (10, 9));
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        19
    );
}

async fn one_full_limit_in_a_large_batch_is_found(db: Database) {
    sale(&db.store, 10_000).await;
    let limited = |user: String, key: &str| {
        let mut event = order(&user, key);
        event.charges[0].limit = Some(1);
        event
    };
    let mut batch: Vec<OrderEvent> = (0..400).map(|n| limited(format!("u{n}"), "1")).collect();
    batch.push(limited("u7".to_owned(), "2"));
    let landed = land(&db, batch).await;
    assert_eq!((landed.confirmed, landed.revoked), (400, 1));
    assert_eq!(db.number("SELECT COUNT(*) FROM `usage` WHERE used <> 1").await, 0);
    assert_eq!(sold(&db).await.0, 400);
}

async fn an_order_that_is_there_already_leaves_the_others_landing(db: Database) {
    sale(&db.store, 10_000).await;
    assert_eq!(land(&db, vec![order("u7", "1")]).await.confirmed, 1);
    let landed = land(&db, (0..50).map(|n| order(&format!("u{n}"), "1")).collect()).await;
    assert_eq!((landed.confirmed, landed.duplicates), (49, 1));
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        50
    );
    assert_eq!(sold(&db).await.0, 50);
}

async fn moments_are_kept_to_the_millisecond(db: Database) {
    sale(&db.store, 100).await;
    let moments = [0, 1, 86_399_999, NOW, 253_402_128_000_000, -30_610_224_000_000];
    for (n, placed_at) in moments.into_iter().enumerate() {
        let mut event = order(&format!("u{n}"), "1");
        event.placed_at = placed_at;
        let id = event.order;
        land(&db, vec![event]).await;
        let row = db.store.order("spring", id).await.expect("asked").expect("there");
        assert_eq!((row.placed_at, row.confirmed_at), (placed_at, Some(NOW)));
    }
    // What no database holds is refused, and nothing of its batch is written.
    let mut never = order("eve", "1");
    never.placed_at = 253_402_128_000_001;
    let batch = [slice(0, 6, vec![order("ann", "2"), never])];
    db.store.land(TOPIC, &batch, NOW).await.expect_err("refused");
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 6);
}

async fn receipts_too_large_for_one_statement_land(db: Database) {
    sale(&db.store, 1000).await;
    let batch: Vec<OrderEvent> = (0..200)
        .map(|n| {
            let mut event = order(&format!("u{n}"), "1");
            let value = |at: i32| (format!("claim:{at}"), "é\"\\".repeat(1000));
            event.attributes = (0..16).map(value).collect();
            event
        })
        .collect();
    assert_eq!(land(&db, batch).await.confirmed, 200);
    assert_eq!(sold(&db).await.0, 200);
}

/// What the server counted of each kind of statement.
async fn counted(db: &Database, kinds: &[&str]) -> Vec<i64> {
    let mut counts = Vec::new();
    for kind in kinds {
        let sql = format!(
            "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
             WHERE variable_name = '{kind}'"
        );
        counts.push(db.number(&sql).await);
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_takes_one_insert_per_table_and_a_savepoint_only_where_a_limit_is_full() {
    let server = MariaDb::start().await;
    let url = server.create("sale").await;
    let store = connect(&url).await;
    store.migrate().await.expect("migrates");
    let db = Database::at(store, url);
    sale(&db.store, 100_000).await;
    let batch = |name: &str| -> Vec<OrderEvent> {
        let event = |n: i32| {
            let mut event = order(&format!("{name}{n}"), "1");
            event.charges.push(Charge {
                counter: "b/orders".to_owned(),
                limit: Some(1),
                ..event.charges[0].clone()
            });
            event
        };
        (0..256).map(event).collect()
    };
    let kinds = [
        "COM_INSERT",
        "COM_UPDATE",
        "COM_COMMIT",
        "COM_SAVEPOINT",
        "COM_ROLLBACK",
    ];
    land(&db, batch("a")).await;
    let before = counted(&db, &kinds).await;
    assert_eq!(land(&db, batch("b")).await.confirmed, 256);
    let after = counted(&db, &kinds).await;
    let of_each: Vec<i64> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| after - before)
        .collect();
    // Orders, usage, offsets; the stock.
    assert_eq!(of_each, [3, 1, 1, 0, 0]);
    let mut full = batch("c");
    full[200].charges[1].limit = Some(0);
    assert_eq!(land(&db, full).await.revoked, 1);
    let careful = counted(&db, &kinds).await;
    assert!(careful[3] > after[3], "behind a savepoint now: {careful:?}");
}
