//! Orders that are not paid in time expire: in batches, by one process at a time, and give back what their campaign says.

use rushgate::lifecycle::{Expiry, Metrics};
use rushgate::order::{Hold, Holds, OnExpiry, OrderEvent, OrderState, OrderTerms, Release};
use rushgate::store::CampaignEdit;
use rushgate::store::Store;
use testkit::database::{Database, NOW, TOPIC, order, sale, slice};
use testkit::on_both;

on_both!(
    those_whose_time_is_over_expire_and_no_others,
    a_million_at_once_are_worked_off_in_batches,
    one_process_works_and_another_follows_it,
    what_comes_back_of_them_the_campaign_says,
);

fn expiry(store: &Store, owner: &str) -> Expiry {
    Expiry {
        store: store.clone(),
        owner: owner.to_owned(),
        clock: || NOW,
        metrics: Metrics::default(),
    }
}

/// A sale in which orders are to be paid within a quarter of an hour.
async fn with_hold(store: &Store, releases: &[(&str, Release)]) {
    sale(store, 10_000).await;
    let terms = OrderTerms {
        hold: Some(Hold {
            minutes: 15,
            on_expiry: OnExpiry::Release,
        }),
        releases: releases
            .iter()
            .map(|(reason, release)| ((*reason).to_owned(), *release))
            .collect(),
        ..OrderTerms::default()
    };
    let edit = CampaignEdit {
        terms: Some(terms),
        ..CampaignEdit::default()
    };
    store.edit_campaign("spring", &edit, &[]).await.expect("set");
}

async fn land(store: &Store, users: std::ops::Range<usize>) {
    let orders: Vec<OrderEvent> = users.map(|n| order(&format!("u{n}"), "1")).collect();
    let next = store.offsets(TOPIC).await.expect("read").get(&0).copied();
    let slices = [slice(0, next.unwrap_or(0), orders)];
    store.land(TOPIC, &slices, NOW).await.expect("landed");
}

/// As if a quarter of an hour had gone by for the orders of these users.
async fn let_time_pass(db: &Database, users: &str) {
    let sql = format!(
        "UPDATE orders SET pay_by = '2020-01-01 00:00:00.000' WHERE pay_by IS NOT NULL AND user_id LIKE '{users}'"
    );
    db.execute(&sql).await;
}

async fn count(db: &Database, state: OrderState) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM orders WHERE state = '{}'", state.as_str());
    db.number(&sql).await
}

async fn those_whose_time_is_over_expire_and_no_others(db: Database) {
    with_hold(&db.store, &[]).await;
    land(&db.store, 0..12).await;
    let expiry = expiry(&db.store, "one");
    assert_eq!(expiry.look().await.expect("looked"), 0);
    let_time_pass(&db, "u1%").await;
    assert_eq!(expiry.look().await.expect("looked"), 3, "u1, u10 and u11");
    assert_eq!(expiry.look().await.expect("looked"), 0);
    assert_eq!(expiry.metrics.expired.get(), 3);
    assert_eq!(count(&db, OrderState::Expired).await, 3);
    assert_eq!(count(&db, OrderState::Confirmed).await, 9);
    let told = "SELECT COUNT(*) FROM order_changes WHERE number = 2 AND from_state = 'confirmed' AND to_state = 'expired' \
                AND actor = 'rushgate' AND reason = 'expired'";
    assert_eq!(db.number(told).await, 3);
    assert_eq!(db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await, 9);
}

async fn a_million_at_once_are_worked_off_in_batches(db: Database) {
    with_hold(&db.store, &[]).await;
    land(&db.store, 0..1200).await;
    let_time_pass(&db, "%").await;
    let expiry = expiry(&db.store, "one");
    let mut batches = Vec::new();
    loop {
        match expiry.look().await.expect("looked") {
            0 => break,
            expired => batches.push(expired),
        }
    }
    assert_eq!(batches, [500, 500, 200]);
    assert_eq!(count(&db, OrderState::Expired).await, 1200);
    assert_eq!(db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await, 0);
    assert_eq!(db.number("SELECT COUNT(*) FROM releases").await, 1200);
}

async fn one_process_works_and_another_follows_it(db: Database) {
    with_hold(&db.store, &[]).await;
    land(&db.store, 0..4).await;
    let one = expiry(&db.store, "one");
    let other = expiry(&db.store, "other");
    let_time_pass(&db, "u0").await;
    assert_eq!(one.look().await.expect("looked"), 1);
    let_time_pass(&db, "u1").await;
    assert_eq!(other.look().await.expect("looked"), 0, "the first one is at it");
    let later = Expiry {
        clock: || NOW + 60_000,
        ..other
    };
    assert_eq!(later.look().await.expect("looked"), 1, "and is gone by now");
}

async fn what_comes_back_of_them_the_campaign_says(db: Database) {
    with_hold(&db.store, &[("expired", Release::Stock)]).await;
    land(&db.store, 0..1).await;
    let_time_pass(&db, "%").await;
    assert_eq!(expiry(&db.store, "one").look().await.expect("looked"), 1);
    let id = order("u0", "1").order;
    let row = db
        .store
        .order("spring", id)
        .await
        .expect("asked")
        .expect("landed");
    assert_eq!((row.state, row.holds), (OrderState::Expired, Holds::Allowance));
    assert_eq!(db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await, 0);
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        1
    );
}
