//! One buyer erased: nothing names them, every sum is what it was, and what comes late brings nothing back.

use std::collections::BTreeMap;

use fastrand::Rng;
use rushgate::audit::AuditLine;
use rushgate::campaign::RETENTION_MS;
use rushgate::order::{Charge, Holds, OrderEvent, OrderId, OrderState, OrderTerms, Release, is_pseudonym};
use rushgate::plan::{Attribute, Counter, Window};
use rushgate::record::DeadRecord;
use rushgate::store::{
    BegunErasure, BuyerName, DeliveryOf, ERASED_AFTER_MS, ErasureRow, Founding, NewDelivery, NewErasure,
    OrderChange, OrdersOf, SETTLES_MS, Store, TABLES, Waits,
};
use testkit::database::{self, Database, NOW, TOPIC, charge, order, revision, sale, slice};
use testkit::on_both;

on_both!(
    an_erased_buyer_is_named_nowhere_and_sums_stay,
    a_campaign_that_needs_its_buyers_keeps_them,
    what_is_under_way_is_waited_for,
    whoever_asks_twice_gets_one_erasure,
    what_was_ordered_between_two_requests_is_erased_with_the_first,
    a_record_that_comes_again_is_a_duplicate_and_brings_nothing_back,
    an_order_that_lands_late_opens_its_erasure_again,
    letters_that_are_worked_off_name_nobody_and_are_found_again,
    the_buyer_of_one_merchant_is_erased_alone,
    many_orders_go_in_pieces,
    whatever_buyers_did_every_sum_stays,
);

const ADA: &str = "ada-lovelace-1815";
/// The sale closes an hour after it opened.
const OVER: i64 = NOW + 3_600_000 + RETENTION_MS + ERASED_AFTER_MS;

/// A sale whose rules count buyers, devices and regions.
async fn counted_sale(store: &Store) {
    let mut with = revision("spring");
    let counter = |id: &str, key: Attribute| Counter {
        id: id.to_owned(),
        key: vec![key],
        window: Window::Campaign,
        cost: 0,
    };
    with.plan.counters.extend([
        counter("device/orders", Attribute::Client("device".to_owned())),
        counter("region/orders", Attribute::Claim("region".to_owned())),
    ]);
    let campaign = database::campaign("spring", &[("shoe", 1000), ("hat", 10)]);
    store.insert_campaign(&campaign, &with).await.expect("a campaign");
}

fn limited(counter: &str, subject: &str, limit: i64) -> Charge {
    Charge {
        limit: Some(limit),
        ..charge(counter, 0, subject)
    }
}

/// An order from a device, in a region.
fn from(user: &str, key: &str, device: &str, region: &str) -> OrderEvent {
    let mut order = order(user, key);
    order.charges.push(limited("device/orders", device, 9));
    order.charges.push(limited("region/orders", region, 900));
    order
        .attributes
        .insert("client:device".to_owned(), device.to_owned());
    order
}

async fn land(store: &Store, orders: Vec<OrderEvent>) {
    let next = store.offsets(TOPIC).await.expect("read").get(&0).copied();
    let slices = [slice(0, next.unwrap_or(0), orders)];
    store.land(TOPIC, &slices, NOW).await.expect("landed");
}

/// Has an endpoint be sent that an order is confirmed.
async fn queue(store: &Store, order: &OrderEvent, body: String) {
    let sent = NewDelivery {
        webhook: "hook".to_owned(),
        of: DeliveryOf {
            campaign: "spring".to_owned(),
            order: order.order.to_string(),
            number: 1,
        },
        event: "order.confirmed".to_owned(),
        body,
    };
    store.queue_deliveries(vec![sent], NOW).await.expect("queued");
}

/// As if everybody had heard of everything.
async fn all_told(db: &Database) {
    db.execute("UPDATE landing_offsets SET told = next_offset").await;
    db.execute("UPDATE order_changes SET told_at = changed_at").await;
    db.execute("UPDATE releases SET given_back_at = released_at")
        .await;
}

fn asked<'a>(user: &'a str, key: &'a str) -> NewErasure<'a> {
    NewErasure {
        buyer: user.into(),
        key,
        lists: false,
        by: "admin".into(),
        note: Some("asked by mail"),
    }
}

async fn begin(store: &Store, user: &str) -> ErasureRow {
    match store.begin_erasure(asked(user, user), NOW).await.expect("asked") {
        BegunErasure::New(row) => row,
        other => panic!("{other:?}"),
    }
}

/// Where a text stands in the database: every column of every table.
async fn named(db: &Database, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for table in TABLES {
        let columns = match db.is_sqlite() {
            true => format!("SELECT GROUP_CONCAT(name) FROM pragma_table_info('{table}')"),
            false => format!(
                "SELECT CAST(GROUP_CONCAT(column_name) AS CHAR) FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = '{table}'"
            ),
        };
        for column in db.text(&columns).await.split(',') {
            let sql =
                format!("SELECT COUNT(*) FROM `{table}` WHERE INSTR(CAST(`{column}` AS CHAR), '{text}') > 0");
            if db.number(&sql).await > 0 {
                found.push(format!("{table}.{column}"));
            }
        }
    }
    found
}

/// Sums that an erasure leaves as they are.
async fn sums(db: &Database) -> Vec<i64> {
    let mut sums = Vec::new();
    for sql in [
        "SELECT CAST(COALESCE(SUM(sold), 0) AS SIGNED) FROM stock",
        "SELECT COUNT(*) FROM orders",
        "SELECT COUNT(DISTINCT user_id) FROM orders",
        "SELECT CAST(COALESCE(SUM(quantity), 0) AS SIGNED) FROM orders WHERE holds IN ('all', 'stock')",
        "SELECT CAST(COALESCE(SUM(used), 0) AS SIGNED) FROM `usage` WHERE counter = 'one-per-user/orders'",
        "SELECT CAST(COALESCE(SUM(used), 0) AS SIGNED) FROM `usage` WHERE counter = 'device/orders'",
        "SELECT CAST(COALESCE(SUM(used), 0) AS SIGNED) FROM `usage` WHERE counter = 'region/orders'",
    ] {
        sums.push(db.number(sql).await);
    }
    sums
}

/// What orders that hold their allowance were charged is what `usage` has, subject by subject.
async fn usage_is_what_orders_hold(db: &Database) {
    let mut held: BTreeMap<(String, String), i64> = BTreeMap::new();
    for order in db.store.orders_page("spring", None, 100_000).await.expect("read") {
        for charge in order.charges.iter().filter(|_| order.holds.allowance()) {
            *held
                .entry((charge.counter.clone(), charge.subject.clone()))
                .or_default() += charge.cost;
        }
    }
    let mut used = BTreeMap::new();
    for counter in ["one-per-user/orders", "device/orders", "region/orders"] {
        let rows = db
            .store
            .usage_page("spring", counter, i64::MIN, None, 100_000)
            .await;
        for row in rows.expect("read").into_iter().filter(|row| row.used != 0) {
            used.insert((counter.to_owned(), row.subject), row.used);
        }
    }
    assert_eq!(held, used);
}

async fn used(db: &Database, counter: &str, subject: &str) -> i64 {
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(used), 0) AS SIGNED) FROM `usage` WHERE counter = '{counter}' AND subject = '{subject}'"
    );
    db.number(&sql).await
}

async fn erase_all(db: &Database, row: &ErasureRow) -> u64 {
    let mut orders = 0;
    loop {
        let erased = db.store.erase_orders(row, "spring", OVER).await.expect("erased");
        match erased.orders {
            0 => return orders,
            more => orders += more,
        }
    }
}

async fn an_erased_buyer_is_named_nowhere_and_sums_stay(db: Database) {
    counted_sale(&db.store).await;
    let (phone, tablet) = (format!("{ADA}-phone"), "family-tablet".to_owned());
    let first = from(ADA, "1", &phone, "eu");
    let orders = vec![
        first.clone(),
        from(ADA, &format!("{ADA}-2"), &tablet, "eu"),
        from("bob", "1", &tablet, "eu"),
        from("bob", "2", "bobs", "us"),
    ];
    land(&db.store, orders).await;
    let note = format!("{ADA} wrote");
    let (note, key) = (Some(note.as_str()), format!("psp-{ADA}"));
    let change = OrderChange {
        to: OrderState::Paid,
        actor: "payments",
        reason: "card",
        note,
        key: Some(&key),
        release: Release::All,
    };
    db.store
        .change_order("spring", first.order, change)
        .await
        .expect("paid");
    queue(
        &db.store,
        &first,
        format!(r#"{{"type":"order.confirmed","data":{{"user":"{ADA}","sku":"shoe"}}}}"#),
    )
    .await;
    db.execute("UPDATE webhook_deliveries SET state = 'delivered'")
        .await;
    let detail = serde_json::json!({"filter": {"user": ADA}, "matched": 1});
    db.store
        .audit(&[AuditLine::new(NOW, "admin", "orders.bulk", "spring", detail)])
        .await
        .expect("noted");
    all_told(&db).await;
    let before = sums(&db).await;

    let row = begin(&db.store, ADA).await;
    assert_eq!(erase_all(&db, &row).await, 2);
    assert_eq!(db.store.erase_traces(&row, NOW).await.expect("erased"), (1, 0));
    db.store.end_erasure(&row, NOW).await.expect("asked");
    assert_eq!(named(&db, ADA).await, ["erasures.user_id"], "it is not settled");
    db.store.end_erasure(&row, NOW + SETTLES_MS).await.expect("ended");

    assert_eq!(named(&db, ADA).await, Vec::<String>::new());
    assert_eq!(sums(&db).await, before);
    usage_is_what_orders_hold(&db).await;
    // Bob has his part of the tablet; the region counts everybody.
    assert_eq!(
        (
            used(&db, "device/orders", &tablet).await,
            used(&db, "region/orders", "eu").await
        ),
        (1, 3)
    );
    let of_bob = db
        .store
        .buyer_orders("bob", OrdersOf::All, None, 9)
        .await
        .expect("read");
    assert_eq!(of_bob.len(), 2);
    let there = db
        .store
        .order("spring", first.order)
        .await
        .expect("read")
        .expect("it is there");
    assert!(is_pseudonym(&there.attempt.user) && there.attempt.attributes.is_empty());
    assert_eq!((there.state, there.holds), (OrderState::Paid, Holds::All));
    let done = db
        .store
        .erasure(ADA)
        .await
        .expect("asked")
        .expect("it is known that it is done");
    assert_eq!((done.user, done.done_at), (None, Some(NOW + SETTLES_MS)));
    // What was paid can be refunded: what comes back is in the rows that have it now.
    let refund = OrderChange {
        to: OrderState::Refunded,
        ..OrderChange {
            note: None,
            key: None,
            ..change
        }
    };
    db.store
        .change_order("spring", first.order, refund)
        .await
        .expect("refunded");
    usage_is_what_orders_hold(&db).await;
}

async fn a_campaign_that_needs_its_buyers_keeps_them(db: Database) {
    counted_sale(&db.store).await;
    land(&db.store, vec![from(ADA, "1", "d", "eu")]).await;
    all_told(&db).await;
    let row = begin(&db.store, ADA).await;
    let campaigns = db.store.buyer_campaigns(ADA, NOW).await.expect("read");
    assert_eq!(
        (campaigns[0].orders, campaigns[0].due_at, &campaigns[0].waits),
        (1, OVER, &vec![])
    );
    let early = db
        .store
        .erase_orders(&row, "spring", OVER - 1)
        .await
        .expect("asked");
    assert_eq!(early.orders, 0);
    assert_eq!(used(&db, "one-per-user/orders", ADA).await, 1);
    // Orders of after the request are not in it.
    let later = db.store.buyer_campaigns(ADA, NOW - 6).await.expect("read");
    assert_eq!(later, []);
    assert_eq!(erase_all(&db, &row).await, 1);
    assert_eq!(db.store.buyer_campaigns(ADA, NOW).await.expect("read"), []);
    db.execute("DELETE FROM campaigns").await;
    assert!(
        db.store.erased_from("spring").await.expect("read") < 0,
        "one that is gone needs nobody"
    );
}

async fn what_is_under_way_is_waited_for(db: Database) {
    counted_sale(&db.store).await;
    let order = from(ADA, "1", "d", "eu");
    land(&db.store, vec![order.clone()]).await;
    let row = begin(&db.store, ADA).await;
    let waits = async || {
        let mut campaigns = db.store.buyer_campaigns(ADA, NOW).await.expect("read");
        campaigns.remove(0).waits
    };
    // Its event was not told.
    assert_eq!(waits().await, [(Waits::Event, 1)]);
    assert_eq!(erase_all(&db, &row).await, 0);
    let change = OrderChange {
        to: OrderState::Cancelled,
        actor: "admin",
        reason: "cancel",
        note: None,
        key: None,
        release: Release::All,
    };
    db.store
        .change_order("spring", order.order, change)
        .await
        .expect("cancelled");
    db.execute("UPDATE landing_offsets SET told = next_offset").await;
    assert_eq!(waits().await, [(Waits::Event, 1), (Waits::Release, 1)]);
    all_told(&db).await;
    queue(&db.store, &order, "{}".to_owned()).await;
    db.execute("UPDATE orders SET pay_by = '2030-01-01 00:00:00.000'")
        .await;
    assert_eq!(waits().await, [(Waits::Payment, 1), (Waits::Delivery, 1)]);
    assert_eq!(erase_all(&db, &row).await, 0);
    db.execute("UPDATE orders SET pay_by = NULL").await;
    db.execute("UPDATE webhook_deliveries SET state = 'failed'").await;
    assert_eq!(erase_all(&db, &row).await, 1);
    // What it gave back is given back, and its row of 0 names nobody.
    assert_eq!(named(&db, ADA).await, ["erasures.user_id"]);
}

async fn whoever_asks_twice_gets_one_erasure(db: Database) {
    let first = begin(&db.store, ADA).await;
    let again = db
        .store
        .begin_erasure(asked(ADA, ADA), NOW + 1)
        .await
        .expect("asked");
    assert_eq!(again, BegunErasure::There(first.clone()));
    let other = db
        .store
        .begin_erasure(asked(ADA, "k-2"), NOW + 1)
        .await
        .expect("asked");
    // One is open: it covers all up to now from then on.
    let BegunErasure::Open(moved) = other else {
        panic!("one is open")
    };
    let mut expected = first.clone();
    (expected.asked_at, expected.settled_at) = (NOW + 1, NOW + 1 + SETTLES_MS);
    assert_eq!(moved, expected);
    let again = db
        .store
        .begin_erasure(asked(ADA, ADA), NOW + 2)
        .await
        .expect("asked");
    assert_eq!(
        again,
        BegunErasure::There(expected.clone()),
        "the first request again"
    );
    let again = db
        .store
        .begin_erasure(asked(ADA, "k-2"), NOW + 3)
        .await
        .expect("asked");
    assert_eq!(
        again,
        BegunErasure::There(expected.clone()),
        "the second request again covers no more"
    );
    let back = db
        .store
        .begin_erasure(asked(ADA, "k-2b"), NOW - 9)
        .await
        .expect("asked");
    assert_eq!(
        back,
        BegunErasure::Open(expected),
        "a clock that is behind takes nothing back"
    );
    for wrong in [
        asked("bob", ADA),
        asked("bob", "k-2"),
        NewErasure {
            note: None,
            ..asked(ADA, ADA)
        },
        NewErasure {
            note: None,
            ..asked(ADA, "k-2")
        },
    ] {
        let answer = db.store.begin_erasure(wrong, NOW).await.expect("asked");
        assert_eq!(answer, BegunErasure::OtherRequest);
    }
    let lists = NewErasure {
        lists: true,
        ..asked(ADA, "k-3")
    };
    let BegunErasure::Open(row) = db.store.begin_erasure(lists, NOW).await.expect("asked") else {
        panic!("one is open");
    };
    assert!(row.lists && row.lists_at.is_none(), "it is off lists as well");
    db.store.end_erasure(&row, NOW + SETTLES_MS).await.expect("asked");
    assert_eq!(
        db.store.open_erasures("", 9).await.expect("read").len(),
        1,
        "not without the lists"
    );
    db.store.note_off_lists(&row, NOW).await.expect("noted");
    db.store.end_erasure(&row, row.settled_at).await.expect("ended");
    assert_eq!(db.store.open_erasures("", 9).await.expect("read"), []);
    // The same request is answered still; another key is another erasure.
    let again = db
        .store
        .begin_erasure(asked(ADA, ADA), NOW + 1)
        .await
        .expect("asked");
    assert!(matches!(again, BegunErasure::There(row) if row.done_at.is_some()));
    let joined = db.store.begin_erasure(lists, NOW + 1).await.expect("asked");
    assert!(matches!(joined, BegunErasure::There(row) if row.done_at.is_some()));
    let anew = db
        .store
        .begin_erasure(asked(ADA, "k-4"), NOW + 9)
        .await
        .expect("asked");
    let BegunErasure::New(anew) = anew else {
        panic!("a new one")
    };
    assert_eq!(
        db.store.erasure(ADA).await.expect("asked").map(|row| row.id),
        Some(anew.id)
    );
    // Many at once: one row is open.
    let at_once = (0..8).map(|n| {
        let store = db.store.clone();
        tokio::spawn(async move { store.begin_erasure(asked("eve", &format!("e-{n}")), NOW).await })
    });
    let (mut new, mut ids) = (0, std::collections::BTreeSet::new());
    for each in at_once.collect::<Vec<_>>() {
        match each.await.expect("it ran").expect("asked") {
            BegunErasure::New(row) => (new, _) = (new + 1, ids.insert(row.id)),
            BegunErasure::There(row) | BegunErasure::Open(row) => drop(ids.insert(row.id)),
            BegunErasure::OtherRequest => panic!("none is"),
        }
    }
    assert_eq!((new, ids.len()), (1, 1));
    db.store
        .forget_erasures(NOW + SETTLES_MS + 2)
        .await
        .expect("forgotten");
    assert_eq!(
        db.number(
            "SELECT COUNT(*) FROM erasure_joins WHERE erasure_id NOT IN (SELECT erasure_id FROM erasures)"
        )
        .await,
        0
    );
    assert_eq!(
        db.number("SELECT COUNT(*) FROM erasures").await,
        2,
        "open ones stay"
    );
}

async fn what_was_ordered_between_two_requests_is_erased_with_the_first(db: Database) {
    counted_sale(&db.store).await;
    let mut between = from(ADA, "2", "phone-d1", "eu");
    between.placed_at = NOW + 10;
    land(&db.store, vec![from(ADA, "1", "phone-d1", "eu"), between]).await;
    all_told(&db).await;
    let read = begin(&db.store, ADA).await;
    assert_eq!(erase_all(&db, &read).await, 1, "the other one is of after it");
    // A worker has the request in its hands while it is asked for again.
    let again = db
        .store
        .begin_erasure(asked(ADA, "k-2"), NOW + 20)
        .await
        .expect("asked");
    let BegunErasure::Open(moved) = again else {
        panic!("one is open")
    };
    db.store
        .end_erasure(&read, NOW + 20 + SETTLES_MS)
        .await
        .expect("asked");
    let open = db.store.open_erasures("", 9).await.expect("read");
    assert_eq!(
        open,
        std::slice::from_ref(&moved),
        "what was read before ends nothing"
    );
    assert_eq!(erase_all(&db, &moved).await, 1);
    db.store
        .end_erasure(&moved, NOW + 19 + SETTLES_MS)
        .await
        .expect("asked");
    assert_eq!(
        db.store.open_erasures("", 9).await.expect("read").len(),
        1,
        "it is not settled"
    );
    db.store
        .end_erasure(&moved, NOW + 20 + SETTLES_MS)
        .await
        .expect("ended");
    assert_eq!(named(&db, ADA).await, Vec::<String>::new());
    let names = db.number("SELECT COUNT(DISTINCT user_id) FROM orders").await;
    assert_eq!(names, 1, "one erasure is one pseudonym");
    usage_is_what_orders_hold(&db).await;
    // Landing goes by the later moment: one of between that comes late opens it again.
    db.store.read_erasures_again();
    let mut late = from(ADA, "3", "phone-d1", "eu");
    late.placed_at = NOW + 15;
    land(&db.store, vec![late]).await;
    assert_eq!(db.store.open_erasures("", 9).await.expect("read").len(), 1);
}

/// Erases the buyer as far as that goes, and ends the request.
async fn erased(db: &Database, user: &str) -> ErasureRow {
    all_told(db).await;
    let row = begin(&db.store, user).await;
    erase_all(db, &row).await;
    db.store.end_erasure(&row, NOW + SETTLES_MS).await.expect("ended");
    row
}

async fn a_record_that_comes_again_is_a_duplicate_and_brings_nothing_back(db: Database) {
    counted_sale(&db.store).await;
    let order = from(ADA, "1", "phone-d1", "eu");
    land(&db.store, vec![order.clone(), from("bob", "1", "d-2", "eu")]).await;
    erased(&db, ADA).await;
    let before = sums(&db).await;
    let next = db.store.offsets(TOPIC).await.expect("read")[&0];
    // Produced twice, replayed by hand, from a retry topic: the same order at another place, with others.
    let again = [slice(0, next, vec![order.clone()])];
    let landed = db.store.land(TOPIC, &again, NOW).await.expect("landed");
    assert_eq!((landed.duplicates, landed.confirmed), (1, 0));
    for locks in [false, true] {
        let next = db.store.offsets(TOPIC).await.expect("read")[&0];
        let mixed = [slice(
            0,
            next,
            vec![order.clone(), from("eve", &locks.to_string(), "d-3", "eu")],
        )];
        let landed = db
            .store
            .land_apart(TOPIC, &mixed, NOW, locks)
            .await
            .expect("landed");
        assert_eq!(
            (landed.duplicates, landed.confirmed, landed.failed.len()),
            (1, 1, 0)
        );
    }
    // The whole log again.
    let landed = db
        .store
        .land(TOPIC, &[slice(0, 0, vec![order.clone()])], NOW)
        .await
        .expect("landed");
    assert_eq!(landed.duplicates, 1);
    assert_eq!(named(&db, "phone-d1").await, Vec::<String>::new());
    let after = sums(&db).await;
    assert_eq!((after[0], after[1]), (before[0] + 2, before[1] + 2), "eve's");
    usage_is_what_orders_hold(&db).await;
    // Another order under its id is none of them.
    let mut other = order;
    other.quantity = 2;
    let next = db.store.offsets(TOPIC).await.expect("read")[&0];
    let refused = db.store.land(TOPIC, &[slice(0, next, vec![other])], NOW).await;
    assert!(refused.is_err(), "{refused:?}");
}

async fn an_order_that_lands_late_opens_its_erasure_again(db: Database) {
    counted_sale(&db.store).await;
    land(&db.store, vec![from(ADA, "1", "phone-d1", "eu")]).await;
    let row = erased(&db, ADA).await;
    assert_eq!(named(&db, ADA).await, Vec::<String>::new());
    db.store.read_erasures_again();
    // Placed before the request, and behind it in Kafka ever since.
    let late = from(ADA, "2", "phone-d1", "eu");
    let mut later = from(ADA, "3", "phone-d1", "eu");
    later.placed_at = NOW + 1;
    land(&db.store, vec![late]).await;
    let open = db.store.open_erasures("", 9).await.expect("read");
    assert_eq!((open.len(), open[0].id.as_str()), (1, row.id.as_str()));
    assert_eq!(open[0].settled_at, NOW + SETTLES_MS);
    assert_eq!(
        db.store.buyer_campaigns(ADA, NOW).await.expect("read")[0].orders,
        1
    );
    all_told(&db).await;
    assert_eq!(erase_all(&db, &open[0]).await, 1);
    db.store.end_erasure(&row, NOW + SETTLES_MS).await.expect("ended");
    assert_eq!(named(&db, ADA).await, Vec::<String>::new());
    usage_is_what_orders_hold(&db).await;
    // While one is about to land, a request does not end.
    let next = from(ADA, "4", "phone-d1", "eu");
    land(&db.store, vec![next]).await;
    all_told(&db).await;
    let open = db.store.open_erasures("", 9).await.expect("read");
    erase_all(&db, &open[0]).await;
    let next = db.store.offsets(TOPIC).await.expect("read")[&0];
    let later_still = [slice(0, next, vec![from(ADA, "5", "phone-d1", "eu")])];
    db.store
        .land(TOPIC, &later_still, NOW + 60_000)
        .await
        .expect("landed");
    db.store.end_erasure(&row, NOW + SETTLES_MS).await.expect("asked");
    assert_eq!(db.store.open_erasures("", 9).await.expect("read").len(), 1);
    // Who buys again is a buyer like others.
    let open = db.store.open_erasures("", 9).await.expect("read");
    all_told(&db).await;
    erase_all(&db, &open[0]).await;
    db.store
        .end_erasure(&row, NOW + 60_000 + SETTLES_MS)
        .await
        .expect("ended");
    land(&db.store, vec![later]).await;
    assert_eq!(db.store.open_erasures("", 9).await.expect("read"), []);
    assert_eq!(
        db.store
            .buyer_orders(ADA, OrdersOf::All, None, 9)
            .await
            .expect("read")
            .len(),
        1
    );
}

async fn letters_that_are_worked_off_name_nobody_and_are_found_again(db: Database) {
    counted_sale(&db.store).await;
    let order = from(ADA, "1", "phone-d1", "eu");
    let dead = DeadRecord {
        at: 0.into(),
        key: order.key().into_bytes(),
        payload: order.encode(),
        class: "failing",
        error: format!("a trigger does not like {ADA}"),
        attempts: 1,
        order: Some(order.clone()),
        holds: true,
        recorded_at: Some(NOW),
        ..DeadRecord::default()
    };
    let mut moved = slice(0, 0, vec![]);
    (moved.next, moved.dead) = (1, vec![dead.clone()]);
    db.store.land(TOPIC, &[moved], NOW).await.expect("moved");
    let row = begin(&db.store, ADA).await;
    let letters = async || db.store.buyer_letters(ADA, None).await.expect("read").0;
    assert_eq!(letters().await.len(), 1);
    let open = letters().await.remove(0);
    assert!(
        !db.store.erase_letter(&row, open).await.expect("asked"),
        "it may land yet"
    );
    assert_eq!(letters().await.len(), 1);
    db.execute("UPDATE dead_letters SET stage = 'discarded'").await;
    let letter = letters().await.remove(0);
    assert!(db.store.erase_letter(&row, letter).await.expect("erased"));
    assert_eq!(letters().await, []);
    assert_eq!(named(&db, ADA).await, ["erasures.user_id"]);
    assert_eq!(named(&db, "phone-d1").await, Vec::<String>::new());
    // The log is read again, and the record fails again: it has its row.
    db.execute("UPDATE landing_offsets SET next_offset = 0").await;
    let mut again = slice(0, 0, vec![]);
    (again.next, again.dead) = (1, vec![dead]);
    db.store.land(TOPIC, &[again], NOW).await.expect("moved");
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 1);
    assert_eq!(letters().await, []);
}

async fn many_orders_go_in_pieces(db: Database) {
    sale(&db.store, 5000).await;
    for some in 0..3 {
        let orders = (0..400).map(|n| order(ADA, &format!("{some}-{n}")));
        land(&db.store, orders.collect()).await;
    }
    all_told(&db).await;
    let row = begin(&db.store, ADA).await;
    let mut pieces = Vec::new();
    loop {
        let erased = db.store.erase_orders(&row, "spring", OVER).await.expect("erased");
        if erased.orders == 0 {
            break;
        }
        pieces.push(erased.orders);
        assert_eq!(
            db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
            1200
        );
    }
    assert_eq!(pieces, [500, 500, 200]);
    assert_eq!(db.number("SELECT COUNT(DISTINCT user_id) FROM orders").await, 1);
    assert_eq!(named(&db, ADA).await, ["erasures.user_id"]);
}

async fn whatever_buyers_did_every_sum_stays(db: Database) {
    counted_sale(&db.store).await;
    let mut rng = Rng::with_seed(36);
    let users: Vec<String> = (0..12).map(|n| format!("buyer-{n}-of-many")).collect();
    let mut all = Vec::new();
    for n in 0..150 {
        let user = &users[rng.usize(..users.len())];
        let (device, region) = (
            format!("d{}", rng.u8(..8)),
            ["eu", "us", user][rng.usize(..3)].to_owned(),
        );
        let mut order = from(user, &n.to_string(), &device, &region);
        order.charges.retain(|_| rng.u8(..5) > 0);
        // No device may have more than its limit.
        order
            .charges
            .iter_mut()
            .for_each(|charge| charge.limit = Some(200));
        all.push(order);
    }
    land(&db.store, all.clone()).await;
    for order in &all {
        let to = [OrderState::Paid, OrderState::Cancelled, OrderState::Confirmed][rng.usize(..3)];
        let change = OrderChange {
            to,
            actor: "admin",
            reason: "so",
            note: None,
            key: None,
            release: [Release::All, Release::Stock, Release::None][rng.usize(..3)],
        };
        db.store
            .change_order("spring", order.order, change)
            .await
            .expect("changed");
    }
    all_told(&db).await;
    usage_is_what_orders_hold(&db).await;
    let before = sums(&db).await;
    for user in users.iter().take(7) {
        let row = begin(&db.store, user).await;
        erase_all(&db, &row).await;
        assert_eq!(sums(&db).await, before, "{user}");
        usage_is_what_orders_hold(&db).await;
        let left = named(&db, user).await;
        assert_eq!(left, ["erasures.user_id"], "{user}");
    }
    // Those who were not erased are what they were.
    for user in users.iter().skip(7) {
        let own = all.iter().filter(|order| order.user == *user).count();
        assert_eq!(
            db.store
                .buyer_orders(user, OrdersOf::All, None, 200)
                .await
                .expect("read")
                .len(),
            own
        );
    }
}

/// The same user at two merchants is two buyers.
async fn the_buyer_of_one_merchant_is_erased_alone(db: Database) {
    for (id, merchant) in [("spring", "a"), ("summer", "b")] {
        let campaign = database::campaign(id, &[("shoe", 1000)]);
        let made = Founding {
            origins: None,
            terms: &OrderTerms::default(),
            merchant,
            four_eyes: false,
        };
        db.store
            .insert_campaign_with(&campaign, &revision(id), made, &[])
            .await
            .expect("a campaign");
    }
    let at = |campaign: &str, key: &str| {
        let mut placed = order(ADA, key);
        placed.campaign = campaign.to_owned();
        placed.order = OrderId::keyed(campaign, ADA, key);
        placed
    };
    land(&db.store, vec![at("spring", "1"), at("summer", "1")]).await;
    all_told(&db).await;
    let of = |merchant| BuyerName {
        user: ADA,
        merchant: Some(merchant),
    };
    let asked_everywhere = asked(ADA, "k");
    let asked = |merchant, key| NewErasure {
        buyer: of(merchant),
        ..asked(ADA, key)
    };
    let row = match db
        .store
        .begin_erasure(asked("a", "k-a"), NOW)
        .await
        .expect("asked")
    {
        BegunErasure::New(row) => row,
        other => panic!("{other:?}"),
    };
    // Others of the same user are others: each has its own, and a key is one request's.
    let everywhere = db.store.begin_erasure(asked_everywhere, NOW).await;
    assert!(matches!(everywhere, Ok(BegunErasure::New(_))), "{everywhere:?}");
    let other = db.store.begin_erasure(asked("b", "k-a"), NOW).await;
    assert_eq!(other, Ok(BegunErasure::OtherRequest));
    let joined = db.store.begin_erasure(asked("a", "k-a2"), NOW).await;
    assert!(matches!(joined, Ok(BegunErasure::Open(ref there)) if there.id == row.id));
    assert_eq!(db.store.erasure(of("b")).await.expect("read"), None);
    let campaigns = async |merchant| {
        let found = db.store.buyer_campaigns(of(merchant), NOW).await.expect("read");
        found.into_iter().map(|each| each.campaign).collect::<Vec<_>>()
    };
    assert_eq!(campaigns("a").await, ["spring"]);
    let row = db.store.erasure(of("a")).await.expect("read").expect("open");
    let erased = db.store.erase_orders(&row, "spring", OVER).await.expect("erased");
    assert_eq!(erased.orders, 1);
    assert_eq!((campaigns("a").await.len(), campaigns("b").await.len()), (0, 1));
    db.store.end_erasure(&row, NOW + SETTLES_MS).await.expect("ended");
    let done = db.store.erasure(of("a")).await.expect("read").expect("there");
    assert_eq!((done.id == row.id, done.user), (true, None));
    // One that lands late opens the erasure of its own merchant.
    db.store.read_erasures_again();
    land(&db.store, vec![at("spring", "2")]).await;
    let open = db.store.open_erasures("", 9).await.expect("read");
    let of_a = open.iter().filter(|each| each.merchant.as_deref() == Some("a"));
    assert_eq!(of_a.count(), 1);
    land(&db.store, vec![at("summer", "2")]).await;
    let open = db.store.open_erasures("", 9).await.expect("read");
    assert!(open.iter().all(|each| each.merchant.as_deref() != Some("b")));
}
