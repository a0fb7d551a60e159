//! Changes of the stock in the database: each begun once, one at a time, with a revision and its activation.

use std::collections::BTreeMap;

use rushgate::audit::AuditLine;
use rushgate::campaign::{Activation, Restock, Sku};
use rushgate::store::{Commit, Committed, NewStockChange, StockChange, StockChangeKind, Store, Warrant};
use serde_json::json;
use testkit::on_both;

use testkit::database::{Database, NOW, TOPIC, activate, order, revision, sale, slice};

on_both!(
    units_are_added_with_a_revision_in_one_step,
    a_sku_comes_behind_all_others,
    a_removal_is_begun_before_its_units_are_known,
    a_removal_of_nothing_leaves_everything_as_it_was,
    the_total_never_falls_below_what_is_sold,
    one_change_is_done_before_the_next_begins,
    what_a_rebuild_decides_counts,
    of_many_operators_one_wins,
);

const SHOE: &str = "shoe";

fn new<'a>(operation: &'a str, kind: StockChangeKind, asked: u64) -> NewStockChange<'a> {
    NewStockChange {
        campaign: "spring",
        operation,
        sku: SHOE,
        kind,
        asked,
        actor: "ops",
        note: Some("more came"),
    }
}

fn commit(seen: u64, made: &rushgate::revision::Revision) -> Commit<'_> {
    let line = AuditLine::new(NOW, "ops", "stock.change", "spring", json!({ "sku": SHOE }));
    Commit {
        seen,
        revision: made,
        audit: vec![line],
        now: NOW,
        warrant: Warrant::Less,
    }
}

async fn add(store: &Store, operation: &str, seen: u64, number: u64, units: u64) -> Option<Committed> {
    let made = revision("spring");
    let new = new(operation, StockChangeKind::Add, units);
    let sku = Sku::new(SHOE, 0);
    let added = store
        .commit_addition(new, number, &sku, commit(seen, &made))
        .await;
    added.expect("the database answers")
}

fn line() -> AuditLine<'static> {
    AuditLine::new(NOW, "eve", "stock.change", "spring", serde_json::json!({}))
}

async fn begin(store: &Store, operation: &str, seen: u64, units: u64) -> Option<u64> {
    let new = new(operation, StockChangeKind::Remove, units);
    let begun = store.begin_removal(new, seen, &line()).await;
    begun.expect("the database answers")
}

async fn remove(store: &Store, operation: &str, seen: u64, units: u64) -> Option<Committed> {
    let (change, made) = (change(store, operation).await, revision("spring"));
    let removed = store.commit_removal(&change, units, commit(seen, &made)).await;
    removed.expect("the database answers")
}

async fn change(store: &Store, operation: &str) -> StockChange {
    let change = store.stock_change(operation).await.expect("asked");
    change.expect("it was begun")
}

async fn totals(store: &Store) -> BTreeMap<String, u64> {
    let row = store.campaign("spring").await.expect("asked").expect("there");
    let skus = row.campaign.skus.iter();
    skus.map(|sku| (sku.id.clone(), sku.stock)).collect()
}

async fn stock_of(store: &Store, number: u32) -> Option<BTreeMap<String, u64>> {
    let revision = store.revision("spring", number).await.expect("asked");
    revision.expect("there").stock
}

async fn units_are_added_with_a_revision_in_one_step(db: Database) {
    let store = &db.store;
    sale(store, 5).await;
    assert_eq!(store.last_stock_change("spring").await, Ok(None));
    assert_eq!(stock_of(store, 1).await, None, "it is what there is");
    let committed = add(store, "a", 1, 1, 500).await.expect("nobody came between");
    let activation = Activation {
        epoch: 2,
        revision: 2,
    };
    let expected = Committed {
        number: 1,
        units: 500,
        total: 505,
        activation,
        is_bypass: false,
    };
    assert_eq!(committed, expected);
    let row = store.campaign("spring").await.expect("asked").expect("there");
    assert_eq!(row.activation, activation);
    let restock = Restock {
        number: 1,
        epoch: 2,
        sku: SHOE.to_owned(),
        units: 500,
    };
    assert_eq!(row.restock, Some(restock));
    assert_eq!(
        totals(store).await,
        [("hat".to_owned(), 5), (SHOE.to_owned(), 505)].into()
    );
    // What the revision of before was compiled for is kept.
    let before = [("hat".to_owned(), 5), (SHOE.to_owned(), 5)].into();
    assert_eq!(stock_of(store, 1).await, Some(before));
    assert_eq!(stock_of(store, 2).await, None);

    assert_eq!(
        store.is_stock_settled("spring", 2).await,
        Ok(false),
        "a shard does not have it yet"
    );
    store.end_stock_change("spring", 1, NOW).await.expect("ended");
    assert_eq!(store.is_stock_settled("spring", 2).await, Ok(true));
    assert_eq!(store.is_stock_settled("spring", 1).await, Ok(false));
    assert!(store.open_stock_changes().await.expect("asked").is_empty());
    let done = change(store, "a").await;
    assert!(done.is_done && done.is_committed());
    assert_eq!(
        (done.note.as_deref(), done.total, done.revision),
        (Some("more came"), Some(505), Some(2))
    );

    let audit = store.audited("spring", 10).await.expect("asked");
    let line = &audit[0];
    assert_eq!(
        (line.actor.as_str(), line.action.as_str()),
        ("ops", "stock.change")
    );
    let detail = json!({"sku": SHOE, "units": 500, "total": 505, "revision": 2, "epoch": 2});
    assert_eq!(line.detail, detail);
}

async fn a_sku_comes_behind_all_others(db: Database) {
    let store = &db.store;
    sale(store, 5).await;
    let mut cap = Sku::new("a cap", 7);
    cap.attributes.insert("colour".to_owned(), "red".to_owned());
    let new = NewStockChange {
        sku: &cap.id,
        ..new("a", StockChangeKind::Sku, 7)
    };
    let made = revision("spring");
    let committed = store.commit_addition(new, 1, &cap, commit(1, &made)).await;
    assert_eq!(committed.expect("stored").expect("nobody came between").total, 7);
    let row = store.campaign("spring").await.expect("asked").expect("there");
    let ids: Vec<&str> = row.campaign.skus.iter().map(|sku| sku.id.as_str()).collect();
    assert_eq!(ids, [SHOE, "hat", "a cap"]);
    assert_eq!(row.campaign.skus[2], cap);
}

async fn a_removal_is_begun_before_its_units_are_known(db: Database) {
    let store = &db.store;
    sale(store, 5).await;
    assert_eq!(begin(store, "r", 1, 20).await, Some(1));
    assert_eq!(totals(store).await[SHOE], 5, "nothing is done yet");
    let begun = change(store, "r").await;
    assert_eq!((begun.asked, begun.units, begun.epoch), (20, None, None));
    assert_eq!(store.is_stock_settled("spring", 1).await, Ok(false));
    assert_eq!(
        store
            .campaign("spring")
            .await
            .expect("asked")
            .expect("there")
            .restock,
        None
    );
    // An activation in between raises the epoch.
    activate(store, "spring", 1, NOW).await.expect("activated");
    assert_eq!(remove(store, "r", 1, 3).await, None);
    let committed = remove(store, "r", 2, 3).await.expect("nobody came between");
    assert_eq!(
        (committed.units, committed.total, committed.activation.epoch),
        (3, 2, 3)
    );
    assert_eq!(remove(store, "r", 3, 3).await, None, "it is committed once");
    assert_eq!(totals(store).await[SHOE], 2);
}

async fn a_removal_of_nothing_leaves_everything_as_it_was(db: Database) {
    let store = &db.store;
    sale(store, 5).await;
    begin(store, "r", 1, 20).await.expect("begun");
    let begun = change(store, "r").await;
    assert_eq!(
        store
            .drop_removal(&begun, commit(1, &revision("spring")).audit, NOW)
            .await,
        Ok(true)
    );
    assert_eq!(
        store.drop_removal(&begun, Vec::new(), NOW).await,
        Ok(false),
        "once"
    );
    assert_eq!(
        store.is_stock_settled("spring", 1).await,
        Ok(true),
        "under the epoch of before"
    );
    let dropped = change(store, "r").await;
    assert_eq!(
        (dropped.units, dropped.total, dropped.is_done),
        (Some(0), Some(5), true)
    );
    assert_eq!(add(store, "a", 1, 2, 1).await.map(|added| added.total), Some(6));
}

async fn the_total_never_falls_below_what_is_sold(db: Database) {
    let store = &db.store;
    sale(store, 5).await;
    begin(store, "r", 1, 5).await.expect("begun");
    let orders = vec![order("ann", "1"), order("bob", "1"), order("cid", "1")];
    store
        .land(TOPIC, &[slice(0, 0, orders)], NOW)
        .await
        .expect("lands");
    let committed = remove(store, "r", 1, 5).await.expect("nobody came between");
    assert_eq!((committed.units, committed.total), (2, 3));
}

async fn one_change_is_done_before_the_next_begins(db: Database) {
    let store = &db.store;
    sale(store, 5).await;
    begin(store, "r", 1, 2).await.expect("begun");
    assert_eq!(begin(store, "s", 1, 2).await, None);
    assert_eq!(add(store, "a", 1, 2, 1).await, None);
    remove(store, "r", 1, 2).await.expect("committed");
    assert_eq!(begin(store, "s", 2, 2).await, None, "its shard does not have it");
    let open = store.open_stock_changes().await.expect("asked");
    assert_eq!(open, [change(store, "r").await]);
    store.end_stock_change("spring", 1, NOW).await.expect("ended");
    assert_eq!(
        add(store, "a", 2, 3, 1).await,
        None,
        "the shard is ready for another number"
    );
    assert!(add(store, "a", 2, 2, 1).await.is_some());
    // The same operation does not begin twice.
    store.end_stock_change("spring", 2, NOW).await.expect("ended");
    let again = store
        .begin_removal(new("a", StockChangeKind::Remove, 1), 3, &line())
        .await;
    again.expect_err("its id is taken");
}

async fn what_a_rebuild_decides_counts(db: Database) {
    let store = &db.store;
    sale(store, 5).await;
    begin(store, "r", 1, 4).await.expect("begun");
    let seen = Activation {
        epoch: 1,
        revision: 1,
    };
    let decide = async |seen, units| {
        let decided = store.insert_activation_deciding(("spring", seen), (1, units), NOW);
        decided.await.expect("the database answers")
    };
    let raised = decide(seen, 3).await.expect("nobody came between");
    assert_eq!((raised.epoch, raised.revision), (2, 1));
    assert_eq!(decide(raised, 2).await, None, "once");
    // What its shard had given up before is not what counts.
    assert_eq!(remove(store, "r", 2, 4).await, None);
    assert_eq!(change(store, "r").await.units, Some(3));
    assert_eq!(
        remove(store, "r", 2, 3).await.map(|removed| removed.total),
        Some(2)
    );
}

async fn of_many_operators_one_wins(db: Database) {
    let store = &db.store;
    sale(store, 5).await;
    let tasks: Vec<_> = (0..4)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { add(&store, &format!("a{n}"), 1, 1, 10).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.expect("runs").is_some());
    }
    assert_eq!((won, totals(store).await[SHOE]), (1, 15));
}
