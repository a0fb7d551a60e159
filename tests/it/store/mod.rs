//! The store over SQLite and a real MariaDB: the same cases on both.

mod archive;
mod attempts;
mod audiences;
mod audit;
mod buyer_orders;
mod guards;
mod letters;
mod life;
mod modules;
mod operations;
mod order_list;
mod partitions;
mod pauses;
mod plain;
mod privacy;
mod record_version;
mod revisions;
mod seals;
mod server;
mod sessions;
pub mod simulate;
mod standing;
mod stock_changes;

use std::collections::BTreeMap;

use database::{Database, NOW, TOPIC, campaign, connect, order, revision, sale, slice};
use rushgate::audit::AuditLine;
use rushgate::campaign::{Activation, RETENTION_MS};
use rushgate::order::{Charge, OrderEvent, OrderState};
use rushgate::record::DeadRecord;
use rushgate::store::{Config, Landed, ModuleOrigin, ModuleRow, Store, StoreError};
use testkit::database;

testkit::on_both!(
    migrating_twice_applies_once,
    an_older_or_newer_schema_says_what_to_run,
    modules_are_found_by_id_version_and_digest,
    a_module_larger_than_a_packet_comes_back_whole,
    campaigns_come_newest_first_with_their_skus,
    revisions_and_activations_are_numbered,
    orders_come_back_as_they_landed,
    users_that_differ_in_case_or_space_are_different,
    skus_are_what_shops_write_and_every_byte_counts,
    a_batch_landed_again_changes_nothing,
    a_replayed_prefix_is_dropped,
    an_order_published_twice_counts_once,
    a_gap_is_fenced_and_the_rest_lands,
    a_rewritten_log_lands_what_is_new,
    a_moved_order_that_is_read_again_is_known,
    stock_is_never_oversold_and_what_does_not_fit_is_revoked,
    unknown_skus_and_campaigns_do_not_block,
    landers_that_meet_in_one_stock_row_lose_nothing,
    dead_records_are_kept,
    a_value_too_long_is_refused_and_nothing_is_written,
    leases_have_one_owner_at_a_time,
    the_audit_trail_grows,
);

/// What a batch that is like most comes to.
fn landed(confirmed: u64) -> Landed {
    Landed {
        confirmed,
        pay_by: Some(BTreeMap::new()),
        ..Landed::default()
    }
}

async fn migrating_twice_applies_once(db: Database) {
    assert_eq!(db.store.migrate().await.expect("migrates"), 0);
    db.store.check_schema().await.expect("current");
    db.store.ping().await.expect("answers");
}

async fn an_older_or_newer_schema_says_what_to_run(db: Database) {
    db.execute("UPDATE _sqlx_migrations SET version = 99 WHERE version = 1")
        .await;
    let error = db.store.check_schema().await.expect_err("newer").to_string();
    assert!(error.contains("run a newer rushgate"), "{error}");
    db.execute("DELETE FROM _sqlx_migrations").await;
    let error = db.store.check_schema().await.expect_err("older").to_string();
    assert!(
        error.contains("has 0 of ") && error.contains("run `rushgate migrate`"),
        "{error}"
    );
    db.execute("DROP TABLE _sqlx_migrations").await;
    assert!(db.store.check_schema().await.is_err());
}

fn module(id: &str, version: &str, digest: char, uploaded_at: i64) -> ModuleRow {
    ModuleRow {
        digest: digest.to_string().repeat(64),
        merchant: None,
        id: id.to_owned(),
        version: version.to_owned(),
        descriptor: serde_json::json!({"id": id, "title": "Größe"}),
        uploaded_at,
    }
}

async fn modules_are_found_by_id_version_and_digest(db: Database) {
    let old = module("n-per-user", "1.0.0", 'a', NOW);
    let new = module("n-per-user", "1.0.1", 'b', NOW + 1);
    let other = module("one-per-user", "1.0.0", 'c', NOW + 2);
    for (row, bytes) in [(&old, &b"old"[..]), (&new, b"new"), (&other, b"")] {
        assert!(
            db.store
                .insert_module(row, bytes, ModuleOrigin::Upload, &[])
                .await
                .expect("stored")
        );
    }
    assert!(
        !db.store
            .insert_module(&old, b"old", ModuleOrigin::Upload, &[])
            .await
            .expect("known"),
        "the same bytes again"
    );
    let find = async |selector: &str| db.store.module(selector).await.expect("asked");
    assert_eq!(find("n-per-user").await, Some(new.clone()));
    assert_eq!(find("n-per-user@1.0.0").await, Some(old.clone()));
    assert_eq!(find(&old.digest).await, Some(old.clone()));
    assert_eq!(find("n-per-user@9").await, None);
    assert_eq!(find("N-per-user").await, None);
    assert_eq!(
        db.store.modules().await.expect("listed"),
        [other.clone(), new, old.clone()]
    );
    assert_eq!(
        db.store.module_bytes(&old.digest).await.expect("read"),
        Some(b"old".to_vec())
    );
    assert_eq!(
        db.store.module_bytes(&other.digest).await.expect("read"),
        Some(Vec::new())
    );
    assert_eq!(db.store.module_bytes("nothing").await.expect("read"), None);
}

async fn a_module_larger_than_a_packet_comes_back_whole(db: Database) {
    let bytes: Vec<u8> = (0..17 * 1024 * 1024 + 5).map(|n: u32| (n % 251) as u8).collect();
    let row = module("big", "1", 'd', NOW);
    assert!(
        db.store
            .insert_module(&row, &bytes, ModuleOrigin::Upload, &[])
            .await
            .expect("stored")
    );
    let back = db
        .store
        .module_bytes(&row.digest)
        .await
        .expect("read")
        .expect("there");
    assert!(back == bytes, "{} bytes came back", back.len());
}

async fn campaigns_come_newest_first_with_their_skus(db: Database) {
    for id in ["first", "second", "third"] {
        let new = campaign(id, &[("z-shoe", 5), ("a-hat", 7)]);
        db.store
            .insert_campaign(&new, &revision(id))
            .await
            .expect("stored");
    }
    let again = db
        .store
        .insert_campaign(&campaign("first", &[]), &revision("first"))
        .await;
    assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");

    let row = db.store.campaign("second").await.expect("asked").expect("there");
    assert_eq!(row.campaign, campaign("second", &[("z-shoe", 5), ("a-hat", 7)]));
    assert_eq!(
        row.activation,
        Activation {
            epoch: 1,
            revision: 1
        }
    );
    assert_eq!(row.schedule, revision("second").schedule);
    assert_eq!(db.store.campaign("Second").await.expect("asked"), None);

    let ids = async |before: Option<&str>, limit| -> Vec<String> {
        let rows = db.store.campaigns(before, limit).await.expect("listed");
        rows.into_iter().map(|row| row.campaign.id).collect()
    };
    assert_eq!(ids(None, 2).await, ["third", "second"]);
    assert_eq!(ids(Some("second"), 2).await, ["first"]);
    assert_eq!(ids(Some("nothing"), 2).await, [""; 0]);

    let closes = revision("x").schedule.closes_at;
    assert_eq!(db.store.live_campaigns(closes).await.expect("listed").len(), 3);
    assert_eq!(
        db.store
            .live_campaigns(closes + RETENTION_MS)
            .await
            .expect("listed")
            .len(),
        0
    );
}

async fn revisions_and_activations_are_numbered(db: Database) {
    sale(&db.store, 5).await;
    let mut second = revision("spring");
    second.schedule.closes_at += 1;
    assert_eq!(
        db.store
            .insert_revision(&second, Vec::new())
            .await
            .expect("stored"),
        2
    );
    second.number = 2;
    assert_eq!(
        db.store.revision("spring", 2).await.expect("asked"),
        Some(second.clone())
    );
    assert_eq!(db.store.revision("spring", 3).await.expect("asked"), None);

    let none = testkit::database::activate(&db.store, "spring", 3, NOW).await;
    assert!(matches!(none, Err(StoreError::Conflict(_))), "{none:?}");
    let none = testkit::database::activate(&db.store, "autumn", 1, NOW).await;
    assert!(matches!(none, Err(StoreError::Conflict(_))), "{none:?}");
    let active = testkit::database::activate(&db.store, "spring", 2, NOW)
        .await
        .expect("activated");
    assert_eq!(
        active,
        Activation {
            epoch: 2,
            revision: 2
        }
    );
    assert_eq!(db.store.activation("spring").await.expect("asked"), Some(active));
    assert_eq!(db.store.activation("autumn").await.expect("asked"), None);
    let row = db.store.campaign("spring").await.expect("asked").expect("there");
    assert_eq!((row.activation, row.schedule), (active, second.schedule));
    let raise = || db.store.insert_activation_after("spring", 2, 2, NOW);
    let raised = raise().await.expect("asked");
    let third = Activation {
        epoch: 3,
        revision: 2,
    };
    assert_eq!(raised, Some(third));
    let raised = raise().await.expect("asked");
    assert_eq!(raised, None, "it is not the newest any more");
    assert_eq!(db.store.activation("spring").await.expect("asked"), Some(third));
    assert_eq!(db.number("SELECT COUNT(*) FROM activations").await, 3);

    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (store, revision) = (db.store.clone(), second.clone());
            tokio::spawn(async move {
                store
                    .insert_revision(&revision, Vec::new())
                    .await
                    .expect("stored")
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.expect("runs"));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 4, 5, 6]);
}

async fn orders_come_back_as_they_landed(db: Database) {
    sale(&db.store, 100).await;
    let mut odd = order("Zoë'\"\\ \u{1f600}\n\0", "k");
    odd.quantity = 3;
    odd.charges.push(Charge {
        counter: "cooldown/orders".to_owned(),
        window: NOW,
        rolling_ms: 60_000,
        subject: "1:a2:bb".to_owned(),
        cost: 3,
        limit: None,
    });
    let answer = db.store.land(TOPIC, &[slice(0, 0, vec![odd.clone()])], NOW).await;
    assert_eq!(answer.expect("landed"), landed(1));
    let row = db
        .store
        .order("spring", odd.order)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(
        (
            row.attempt.user.as_str(),
            row.attempt.sku.as_str(),
            row.attempt.quantity,
            row.revision
        ),
        (odd.user.as_str(), "shoe", 3, 1)
    );
    assert_eq!(
        (row.state, row.placed_at, row.confirmed_at, row.revoked_reason),
        (OrderState::Confirmed, NOW - 5, Some(NOW), None)
    );
    assert_eq!(
        (row.fingerprint, row.charges),
        (odd.fingerprint.clone(), odd.charges.clone())
    );
    assert_eq!(db.store.order("autumn", odd.order).await.expect("asked"), None);
    let stock = db.store.stock("spring").await.expect("read");
    let figures: Vec<_> = stock
        .iter()
        .map(|row| (row.sku.as_str(), row.total, row.sold))
        .collect();
    assert_eq!(figures, [("shoe", 100, 3), ("hat", 100, 0)]);
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        4
    );

    let more: Vec<_> = (0..700).map(|n| order(&format!("u{n}"), "k")).collect();
    let mut ids: Vec<_> = more.iter().map(|order| order.order).collect();
    db.store
        .land(TOPIC, &[slice(0, 1, more)], NOW)
        .await
        .expect("landed");
    ids.push(odd.order);
    ids.sort_unstable();
    let mut pages = Vec::new();
    while let page = db
        .store
        .orders_page("spring", pages.last().copied(), 300)
        .await
        .expect("read")
        && !page.is_empty()
    {
        pages.extend(page.iter().map(|row| row.attempt.order));
    }
    assert_eq!(pages, ids, "in order of id, each once");
}

async fn users_that_differ_in_case_or_space_are_different(db: Database) {
    sale(&db.store, 100).await;
    let orders = ["a", "A", "a "].map(|user| order(user, "k")).to_vec();
    let answer = db.store.land(TOPIC, &[slice(0, 0, orders)], NOW).await;
    assert_eq!(answer.expect("landed"), landed(3));
    assert_eq!(db.number("SELECT COUNT(DISTINCT user_id) FROM orders").await, 3);
    assert_eq!(db.number("SELECT COUNT(*) FROM `usage` WHERE used = 1").await, 3);
}

async fn skus_are_what_shops_write_and_every_byte_counts(db: Database) {
    let long = "ü".repeat(64);
    let skus = [
        "gid://shopify/ProductVariant/1",
        "T-SHIRT RED/M",
        "T-Shirt red/m",
        "RED/M x",
        "Äpfel",
        "A\u{308}pfel",
        "Apfel",
        "apfel",
        "50% 'o\"r\\' _",
        "\u{1f680} \u{8336}",
        &long,
    ];
    let stock: Vec<(&str, u64)> = skus.iter().map(|sku| (*sku, 1)).collect();
    let sold = campaign("spring", &stock);
    db.store
        .insert_campaign(&sold, &revision("spring"))
        .await
        .expect("a campaign");
    let row = db.store.campaign("spring").await.expect("read").expect("there");
    assert_eq!(row.campaign.skus, sold.skus);
    let of = |user: &str, sku: &str| OrderEvent {
        sku: sku.to_owned(),
        fingerprint: rushgate::order::fingerprint(sku, 1),
        ..order(user, sku)
    };
    let orders: Vec<OrderEvent> = skus.iter().map(|sku| of("ada", sku)).collect();
    let answer = db.store.land(TOPIC, &[slice(0, 0, orders.clone())], NOW).await;
    assert_eq!(answer.expect("landed"), landed(skus.len() as u64));
    // Each has sold its one unit, and not one of another.
    let more = skus.iter().map(|sku| of("bob", sku)).collect();
    let answer = db
        .store
        .land(TOPIC, &[slice(0, skus.len() as i64, more)], NOW)
        .await;
    assert_eq!(answer.expect("landed").revoked, skus.len() as u64);
    for row in db.store.stock("spring").await.expect("read") {
        assert_eq!((row.sold, row.total), (1, 1), "{}", row.sku);
    }
    for order in &orders {
        let row = db.store.order("spring", order.order).await.expect("read");
        assert_eq!(row.expect("there").attempt.sku, order.sku);
    }
    // Read again, they are the same orders.
    let again = db
        .store
        .land(TOPIC, &[slice(1, 0, orders)], NOW)
        .await
        .expect("landed");
    assert_eq!(again.duplicates, skus.len() as u64);
}

async fn a_batch_landed_again_changes_nothing(db: Database) {
    sale(&db.store, 100).await;
    let slices = [
        slice(1, 40, vec![order("a", "1"), order("b", "1")]),
        slice(0, 0, vec![order("c", "1")]),
    ];
    assert_eq!(
        db.store.land(TOPIC, &slices, NOW).await.expect("landed"),
        landed(3)
    );
    // The answer of a commit was lost: the same call again.
    let again = db.store.land(TOPIC, &slices, NOW).await.expect("landed");
    assert_eq!(
        again,
        Landed {
            duplicates: 3,
            ..Landed::default()
        }
    );
    let offsets = db.store.offsets(TOPIC).await.expect("read");
    assert_eq!(offsets, BTreeMap::from([(0, 1), (1, 42)]));
    assert_eq!(db.store.offsets("other").await.expect("read"), BTreeMap::new());
    assert_eq!(db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await, 3);
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        3
    );
}

async fn a_replayed_prefix_is_dropped(db: Database) {
    sale(&db.store, 100).await;
    let orders: Vec<_> = (0..4).map(|n| order(&format!("u{n}"), "1")).collect();
    db.store
        .land(TOPIC, &[slice(0, 0, orders[..2].to_vec())], NOW)
        .await
        .expect("landed");
    let all = db
        .store
        .land(TOPIC, &[slice(0, 0, orders)], NOW)
        .await
        .expect("landed");
    assert_eq!(
        all,
        Landed {
            confirmed: 2,
            duplicates: 2,
            ..Landed::default()
        }
    );
    assert_eq!(db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await, 4);
    assert_eq!(
        db.store.offsets(TOPIC).await.expect("read"),
        BTreeMap::from([(0, 4)])
    );
}

async fn an_order_published_twice_counts_once(db: Database) {
    sale(&db.store, 1000).await;
    let first: Vec<_> = (0..300).map(|n| order(&format!("u{n}"), "1")).collect();
    db.store
        .land(TOPIC, &[slice(0, 0, first)], NOW)
        .await
        .expect("landed");
    // A relay published some again: other offsets, another partition, and once twice in one batch.
    let second: Vec<_> = (250..600).map(|n| order(&format!("u{n}"), "1")).collect();
    let twice = second[349].clone();
    let slices = [slice(0, 300, second), slice(1, 0, vec![twice])];
    let answer = db.store.land(TOPIC, &slices, NOW).await.expect("landed");
    assert_eq!(
        answer,
        Landed {
            confirmed: 300,
            duplicates: 51,
            ..Landed::default()
        }
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 600);
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        600
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM `usage` WHERE used <> 1").await, 0);
}

async fn a_gap_is_fenced_and_the_rest_lands(db: Database) {
    sale(&db.store, 100).await;
    let start = [
        slice(0, 0, vec![order("a", "1")]),
        slice(1, 0, vec![order("b", "1")]),
    ];
    db.store.land(TOPIC, &start, NOW).await.expect("landed");
    let next = [
        slice(0, 5, vec![order("c", "1")]),
        slice(1, 1, vec![order("d", "1")]),
    ];
    let answer = db.store.land(TOPIC, &next, NOW).await.expect("landed");
    assert_eq!(
        answer,
        Landed {
            fenced: BTreeMap::from([(0, 1)]),
            ..landed(1)
        }
    );
    assert_eq!(
        db.store.offsets(TOPIC).await.expect("read"),
        BTreeMap::from([(0, 1), (1, 2)])
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 3);
    // A consumer that was away while another one went on is told where.
    let stale = db
        .store
        .land(TOPIC, &[slice(1, 0, vec![order("b", "1")])], NOW)
        .await
        .expect("landed");
    assert_eq!(
        stale,
        Landed {
            duplicates: 1,
            fenced: BTreeMap::from([(1, 2)]),
            ..Landed::default()
        }
    );
}

async fn a_rewritten_log_lands_what_is_new(db: Database) {
    sale(&db.store, 100).await;
    let before: Vec<_> = (0..9).map(|n| order(&format!("u{n}"), "1")).collect();
    db.store
        .land(TOPIC, &[slice(0, 0, before.clone())], NOW)
        .await
        .expect("landed");
    let rewritten = slice(0, 2, vec![before[2].clone(), order("new", "1")]);
    let answer = db.store.land(TOPIC, &[rewritten], NOW).await.expect("landed");
    assert_eq!(
        answer,
        Landed {
            confirmed: 1,
            duplicates: 1,
            recovered: 1,
            ..Landed::default()
        }
    );
    assert_eq!(
        db.store.offsets(TOPIC).await.expect("read"),
        BTreeMap::from([(0, 4)])
    );
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        10
    );
}

async fn a_moved_order_that_is_read_again_is_known(db: Database) {
    sale(&db.store, 100).await;
    let orders: Vec<_> = (0..3).map(|n| order(&format!("u{n}"), "1")).collect();
    let read = |orders: &[OrderEvent]| slice(0, 0, orders.to_vec());
    let mut first = read(&orders);
    let (at, moved) = first.orders.remove(1);
    first.dead = vec![DeadRecord {
        at,
        key: moved.key().into_bytes(),
        payload: moved.encode(),
        retry: true,
        class: "failing",
        error: "the trap".to_owned(),
        order: Some(moved.clone()),
        holds: true,
        ..DeadRecord::default()
    }];
    let answer = db.store.land(TOPIC, &[first], NOW).await.expect("landed");
    assert_eq!((answer.confirmed, answer.dead), (2, 1));
    let answer = db.store.land(TOPIC, &[read(&orders)], NOW).await.expect("read");
    assert_eq!((answer.duplicates, answer.recovered), (3, 0));
    // The same order elsewhere in the log is a record of its own.
    let elsewhere = read(&orders[1..2]);
    let answer = db.store.land(TOPIC, &[elsewhere], NOW).await.expect("landed");
    assert_eq!((answer.confirmed, answer.recovered), (1, 1));
}

async fn stock_is_never_oversold_and_what_does_not_fit_is_revoked(db: Database) {
    sale(&db.store, 10).await;
    let mut orders: Vec<_> = (0..6).map(|n| order(&format!("u{n}"), "1")).collect();
    for (order, quantity) in orders.iter_mut().zip([4, 4, 4, 1, 2, 1]) {
        order.quantity = quantity;
        order.charges[0].cost = i64::from(quantity);
    }
    let last = orders[5].order;
    orders[5].sku = "hat".to_owned();
    let answer = db
        .store
        .land(TOPIC, &[slice(0, 0, orders.clone())], NOW)
        .await
        .expect("landed");
    // 4 + 4 + 1 shoes fit; the third 4 and the 2 do not. The hat is another row.
    assert_eq!(
        answer,
        Landed {
            confirmed: 4,
            revoked: 2,
            ..Landed::default()
        }
    );
    assert_eq!(db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await, 9);
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        10
    );
    let revoked = db
        .store
        .order("spring", orders[2].order)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(
        (
            revoked.state,
            revoked.confirmed_at,
            revoked.revoked_reason.as_deref()
        ),
        (OrderState::Revoked, None, Some("oversold"))
    );
    let hat = db
        .store
        .order("spring", last)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(hat.state, OrderState::Confirmed);
    // The last unit still sells, and a revoked order that comes again stays revoked.
    let next = vec![orders[2].clone(), order("late", "1")];
    let answer = db
        .store
        .land(TOPIC, &[slice(0, 6, next)], NOW)
        .await
        .expect("landed");
    assert_eq!(
        answer,
        Landed {
            confirmed: 1,
            duplicates: 1,
            ..Landed::default()
        }
    );
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        10
    );
}

async fn unknown_skus_and_campaigns_do_not_block(db: Database) {
    sale(&db.store, 10).await;
    let (mut sku, mut other) = (order("a", "1"), order("b", "1"));
    sku.sku = "glove".to_owned();
    other.campaign = "autumn".to_owned();
    let slices = [slice(0, 0, vec![sku.clone(), other, order("c", "1")])];
    let answer = db.store.land(TOPIC, &slices, NOW).await.expect("landed");
    assert_eq!(
        answer,
        Landed {
            confirmed: 1,
            revoked: 2,
            ..Landed::default()
        }
    );
    let row = db
        .store
        .order("spring", sku.order)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(row.revoked_reason.as_deref(), Some("unknown-sku"));
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        1
    );
}

async fn landers_that_meet_in_one_stock_row_lose_nothing(db: Database) {
    const LANDERS: i32 = 4;
    const BATCHES: i64 = 10;
    const ORDERS: i64 = 30;
    sale(&db.store, 1000).await;
    let lander = |partition: i32, store: Store| async move {
        let mut sum = (0, 0);
        for batch in 0..BATCHES {
            let from = batch * ORDERS;
            // Every lander charges the same few users, in another order.
            let mut orders: Vec<_> = (0..ORDERS)
                .map(|n| order(&format!("u{}", n % 7), &format!("{partition}/{batch}/{n}")))
                .collect();
            if partition % 2 == 1 {
                orders.reverse();
            }
            let slices = [slice(partition, from, orders)];
            let landed = loop {
                match store.land(TOPIC, &slices, NOW).await {
                    Ok(landed) => break landed,
                    Err(error) => assert!(error.is_transient(), "{error}"),
                }
            };
            sum = (sum.0 + landed.confirmed, sum.1 + landed.revoked);
        }
        sum
    };
    let tasks: Vec<_> = (0..LANDERS)
        .map(|partition| tokio::spawn(lander(partition, db.store.clone())))
        .collect();
    let mut sum = (0, 0);
    for task in tasks {
        let part = task.await.expect("runs");
        sum = (sum.0 + part.0, sum.1 + part.1);
    }
    assert_eq!(sum, (1000, 200));
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        1000
    );
    assert_eq!(
        db.number("SELECT COUNT(*) FROM orders WHERE state = 'confirmed'")
            .await,
        1000
    );
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        1000
    );
}

async fn dead_records_are_kept(db: Database) {
    let dead = |offset: i64| DeadRecord {
        at: offset.into(),
        key: b"spring/a".to_vec(),
        payload: vec![0, 255, b'{'],
        class: "undecodable",
        error: "not an order event".to_owned(),
        attempts: 1,
        ..DeadRecord::default()
    };
    sale(&db.store, 10).await;
    let mut first = slice(0, 0, vec![order("a", "1")]);
    first.next = 3;
    first.dead = vec![dead(1), dead(2)];
    let answer = db.store.land(TOPIC, &[first.clone()], NOW).await.expect("landed");
    assert_eq!(
        answer,
        Landed {
            confirmed: 1,
            dead: 2,
            ..Landed::default()
        }
    );
    let again = db.store.land(TOPIC, &[first], NOW).await.expect("landed");
    assert_eq!(
        again,
        Landed {
            duplicates: 1,
            ..Landed::default()
        }
    );
    assert_eq!(
        db.number("SELECT COUNT(*) FROM dead_letters WHERE LENGTH(payload) = 3")
            .await,
        2
    );
    assert_eq!(
        db.store.offsets(TOPIC).await.expect("read"),
        BTreeMap::from([(0, 3)])
    );
}

async fn a_value_too_long_is_refused_and_nothing_is_written(db: Database) {
    sale(&db.store, 10).await;
    let mut late = order("b", "1");
    late.placed_at = i64::MAX;
    let slices = [slice(0, 0, vec![order("a", "1"), late])];
    let answer = db.store.land(TOPIC, &slices, NOW).await;
    assert!(matches!(answer, Err(StoreError::Refused(_))), "{answer:?}");
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 0);
    assert_eq!(db.store.offsets(TOPIC).await.expect("read"), BTreeMap::new());
    let good = db
        .store
        .land(TOPIC, &[slice(0, 0, vec![order("a", "1")])], NOW)
        .await;
    assert_eq!(good.expect("landed"), landed(1));
}

async fn leases_have_one_owner_at_a_time(db: Database) {
    let lease = async |owner: &str, now: i64| db.store.lease("relay", owner, now, 1000).await.expect("asked");
    assert!(lease("one", NOW).await);
    assert!(!lease("two", NOW + 999).await);
    assert!(lease("one", NOW + 999).await, "renewed");
    assert!(lease("one", NOW + 999).await, "renewed with the same end");
    assert!(!lease("two", NOW + 1998).await);
    assert!(lease("two", NOW + 1999).await, "run out");
    assert!(!lease("one", NOW + 2000).await);
}

async fn the_audit_trail_grows(db: Database) {
    let detail = serde_json::json!({"limit": 2});
    for _ in 0..2 {
        db.store
            .audit(&[AuditLine::new(NOW, "ops", "activate", "spring/2", detail.clone())])
            .await
            .expect("stored");
    }
    assert_eq!(
        db.number("SELECT COUNT(*) FROM audit WHERE action = 'activate'")
            .await,
        2
    );
}

#[tokio::test]
async fn memory_keeps_its_data_over_many_callers() {
    let store = connect("sqlite::memory:").await;
    assert!(store.migrate().await.expect("migrates") > 0);
    sale(&store, 5).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.stock("spring").await.expect("read").len() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("runs"), 2);
    }
}

#[tokio::test]
async fn an_empty_database_asks_for_migrate() {
    let (sqlite, _folder) = database::sqlite_url();
    for url in [sqlite, database::mariadb_url().await] {
        let error = connect(&url)
            .await
            .check_schema()
            .await
            .expect_err("empty")
            .to_string();
        assert!(error.contains("run `rushgate migrate`"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let config = Config::new("mysql://me:secret@127.0.0.1:1/sales", 1);
    let error = Store::connect(&config).await.expect_err("nobody listens");
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(
        text.contains("mysql at 127.0.0.1:1/sales") && !text.contains("secret"),
        "{text}"
    );
}
