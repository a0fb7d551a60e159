//! SKUs as shops write them, with spaces and slashes: what a record, a repair and a rebuild make of them.

use rushgate::lua::Args;
use rushgate::lua::fixed;
use rushgate::lua::repair;
use rushgate::order::OrderId;
use rushgate::plan::{Attribute, Constraint, Counter, Expr, Plan, Window};
use rushgate::reconcile::{Kind, Place, RepairOutcome};

use crate::reconcile::sale::{CAMPAIGN, Sale, Side};
use crate::reconcile::{differences, on_both_sides, repair};

on_both_sides!(
    a_record_that_was_lost_comes_back_with_its_sku,
    a_rebuild_keeps_each_pair_of_buyer_and_sku_apart,
);

const SHIRT: &str = "RED/M x";
const GIFT: &str = "gid://shopify/ProductVariant/1 \u{c4}pfel";

/// One order of each SKU for each user.
fn plan() -> Plan {
    Plan {
        nodes: vec![Expr::Int(1), Expr::Counter(0), Expr::Add(1, 0), Expr::Le(2, 0)],
        counters: vec![Counter {
            id: "rule/orders".into(),
            key: vec![Attribute::User, Attribute::Sku],
            window: Window::Campaign,
            cost: 0,
        }],
        constraints: vec![Constraint {
            when: None,
            require: 3,
            reason: "limit-per-user".into(),
            rule: "rule".into(),
            retryable: false,
            sentence: "One of each.".into(),
            measure: None,
        }],
        ..Plan::default()
    }
}

async fn open(side: Side) -> Sale {
    Sale::open_selling(side, [SHIRT, GIFT], 100, plan()).await
}

async fn a_record_that_was_lost_comes_back_with_its_sku(side: Side) {
    let sale = open(side).await;
    // Were the record split at spaces, the first would be of the SKU `RED/M` and of the user `x ada`.
    for (user, sku) in [("ada", SHIRT), ("x ada", SHIRT), ("ada", GIFT)] {
        assert!(sale.place(user, sku, sku).await, "{user} {sku}");
    }
    sale.settled().await;
    assert_eq!(differences(&sale).await, []);
    let order = OrderId::keyed(CAMPAIGN, "ada", SHIRT).to_string();
    sale.redis("HDEL", &sale.buyers_bucket("ada"), &[&order]).await;
    let comparison = sale.reconcile.compare(CAMPAIGN, None).await.expect("compared");
    let Place::Order { user, sku, .. } = &comparison.differences[0].place else {
        panic!("{comparison:?}");
    };
    assert_eq!((user.as_str(), sku.as_str()), ("ada", SHIRT));
    let sentence = &comparison.differences[0].sentence;
    assert!(
        sentence.contains("of ada (1 \u{d7} \"RED/M x\", placed"),
        "{sentence}"
    );
    assert_eq!(
        repair(&sale).await,
        (vec![(Kind::UnknownOrder, RepairOutcome::Repaired)], 0)
    );
    assert_eq!(differences(&sale).await, []);
    // A retry is the same order, and another one is refused.
    assert!(sale.place("ada", SHIRT, SHIRT).await);
    assert!(!sale.place("ada", "again", SHIRT).await);

    // One that only Redis knows is told with its own SKU and user.
    let bucket = sale.buyers_bucket("bob");
    let lost = OrderId::keyed(CAMPAIGN, "bob", "1").to_string();
    let record = format!("a 1-1 1 {} 1/{} {SHIRT} bob", sale.opened_at, SHIRT.len());
    sale.redis("HSET", &bucket, &[&lost, &record]).await;
    sale.redis("HINCRBY", "stock", &[SHIRT, "-1"]).await;
    let comparison = sale.reconcile.compare(CAMPAIGN, None).await.expect("compared");
    let lost = comparison
        .differences
        .iter()
        .find(|each| each.kind == Kind::LostOrder);
    let place = &lost.expect("it is lost").place;
    assert!(
        matches!(place, Place::Order { user, sku, .. } if user == "bob" && sku == SHIRT),
        "{place:?}"
    );
    // The stock of exactly this SKU is put right.
    sale.redis(
        "HDEL",
        &bucket,
        &[&OrderId::keyed(CAMPAIGN, "bob", "1").to_string()],
    )
    .await;
    assert_eq!(differences(&sale).await, [(Kind::Leaked, 97, 98)]);
    assert_eq!(
        repair(&sale).await,
        (vec![(Kind::Leaked, RepairOutcome::Repaired)], 0)
    );
}

async fn a_rebuild_keeps_each_pair_of_buyer_and_sku_apart(side: Side) {
    let mut sale = open(side).await;
    let placed = [("ada", SHIRT), ("x ada", SHIRT), ("ada", GIFT)];
    for (user, sku) in placed {
        assert!(sale.place(user, sku, sku).await, "{user} {sku}");
    }
    sale.settled().await;
    sale.redis("DEL", "stock", &[]).await;
    sale.redis("DEL", &sale.buyers_bucket("ada"), &[]).await;
    sale.reconcile.rebuild(CAMPAIGN, 0).await.expect("rebuilt");
    sale.reopen().await;
    let ledger = repair::ledger_reply(sale.run(&fixed::LEDGER, Args::from(["0"])).await).expect("a ledger");
    let left: Vec<(&str, i64)> = ledger
        .stock
        .iter()
        .map(|(sku, left)| (sku.as_str(), *left))
        .collect();
    assert_eq!(left, [(SHIRT, 98), (GIFT, 99)]);
    for (user, sku) in placed {
        assert!(
            sale.place(user, sku, sku).await,
            "a retry is the same order: {user} {sku}"
        );
        assert!(!sale.place(user, "again", sku).await, "{user} has had one {sku}");
    }
    assert!(
        sale.place("x ada", "1", GIFT).await,
        "nobody has counted this pair"
    );
    sale.settled().await;
    assert_eq!(sale.db.number("SELECT COUNT(*) FROM orders").await, 4);
    assert_eq!(differences(&sale).await, []);
}
