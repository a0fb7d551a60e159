//! Letters that are discarded, and what becomes of their orders: a copy that turns up later does not land.

use std::sync::Arc;

use rushgate::order::{DISCARDED, OrderEvent, OrderState, check_event};
use rushgate::store::Stage;
use testkit::database::{Database, NOW, TOPIC, order, sale, slice};

use super::{Row, Tape, at, row, run};

testkit::on_both!(
    a_discarded_order_is_revoked_and_no_copy_of_it_lands,
    a_letter_whose_order_landed_meanwhile_touches_no_order,
    what_is_no_order_of_its_own_gets_no_row,
    of_two_orders_with_one_id_the_other_keeps_it,
    a_row_that_the_database_refuses_keeps_the_letter,
    copies_of_one_order_are_given_up_once,
);

/// The letter of an order, as landing writes it.
async fn bury(db: &Database, offset: i64, class: &str, event: &OrderEvent) {
    assert_eq!(check_event(event), Ok(()));
    Row {
        offset,
        class,
        key: &event.key(),
        payload: event.encode(),
        campaign: Some(&event.campaign),
        ..Row::default()
    }
    .write(db)
    .await;
    db.execute(&format!(
        "UPDATE dead_letters SET order_id = '{}', sku_id = '{}', quantity = {} WHERE `offset` = {offset}",
        event.order, event.sku, event.quantity
    ))
    .await;
}

async fn discard(db: &Database, offset: i64, more: &str) -> Result<String, String> {
    let bus: Arc<Tape> = Arc::default();
    run(
        db,
        &bus,
        &format!("discard {TOPIC}/0/{offset} --reason refunded {more}"),
    )
    .await
}

async fn state(db: &Database, event: &OrderEvent) -> Option<(OrderState, Option<String>)> {
    let row = db.store.order(&event.campaign, event.order).await.expect("asked");
    row.map(|row| (row.state, row.revoked_reason))
}

fn revoked() -> Option<(OrderState, Option<String>)> {
    Some((OrderState::Revoked, Some(DISCARDED.to_owned())))
}

const REVOCATIONS: &str = "SELECT COUNT(*) FROM releases WHERE given_back_at IS NULL";
const ORDERS: &str = "SELECT COUNT(*) FROM orders";
const SOLD: &str = "SELECT sold FROM stock WHERE sku_id = 'shoe'";

async fn a_discarded_order_is_revoked_and_no_copy_of_it_lands(db: Database) {
    sale(&db.store, 9).await;
    let event = order("ada", "1");
    bury(&db, 4, "failing", &event).await;
    let done = discard(&db, 4, "").await.expect("discarded");
    assert!(done.starts_with("1 discarded.\n1 orders given up: "), "{done}");
    assert_eq!(state(&db, &event).await, revoked());
    assert_eq!(db.number(REVOCATIONS).await, 1);
    let revocations = db.store.waiting_releases("spring", 9).await.expect("read");
    assert_eq!(
        (
            revocations[0].reason.as_str(),
            revocations[0].order.attempt.quantity
        ),
        (DISCARDED, 1)
    );
    assert_eq!(revocations[0].order.charges, event.charges);
    let trail = db.store.audited(&at(0, 4).to_string(), 9).await.expect("read");
    assert_eq!(
        (
            trail[0].action.as_str(),
            &trail[0].detail["order"],
            &trail[0].detail["reason"]
        ),
        ("dlt.discard", &"revoked".into(), &"refunded".into())
    );

    // The record is read again, and a late copy of it comes out of a retry topic.
    let again = db
        .store
        .land(TOPIC, &[slice(0, 4, vec![event.clone()])], NOW + 9)
        .await;
    let mut copy = slice(1, 0, vec![event.clone()]);
    copy.returned = vec![(0.into(), at(0, 4))];
    let copied = db.store.land("retry", &[copy], NOW + 10).await;
    for landed in [again.expect("lands"), copied.expect("lands")] {
        assert_eq!((landed.confirmed, landed.revoked, landed.duplicates), (0, 0, 1));
    }
    assert_eq!((state(&db, &event).await, db.number(SOLD).await), (revoked(), 0));
    assert_eq!(db.number("SELECT COUNT(*) FROM `usage`").await, 0);
    assert_eq!(
        (row(&db, 0, 4).await.stage, db.number(REVOCATIONS).await),
        (Stage::Discarded, 1)
    );

    let bus: Arc<Tape> = Arc::default();
    for line in ["replay rushgate.orders/0/4", "replay rushgate.orders/0/4 --force"] {
        let refused = run(&db, &bus, line).await.expect_err("it is given up");
        assert!(refused.contains("its order was given up for good"), "{refused}");
    }
    let unpark = run(&db, &bus, "unpark rushgate.orders/0/4")
        .await
        .expect_err("it is not parked");
    assert!(unpark.contains("is in stage discarded"), "{unpark}");
    assert!(bus.sent.lock().expect("unharmed").is_empty());
}

async fn a_letter_whose_order_landed_meanwhile_touches_no_order(db: Database) {
    sale(&db.store, 9).await;
    let event = order("ada", "1");
    bury(&db, 4, "locked", &event).await;
    let landed = db
        .store
        .land(TOPIC, &[slice(1, 0, vec![event.clone()])], NOW)
        .await;
    assert_eq!(landed.expect("lands").confirmed, 1);
    let done = discard(&db, 4, "").await.expect("discarded");
    assert!(
        done.contains("1 orders had landed from another copy, and stay"),
        "{done}"
    );
    assert_eq!(state(&db, &event).await, Some((OrderState::Confirmed, None)));
    assert_eq!((db.number(REVOCATIONS).await, db.number(SOLD).await), (0, 1));
    assert_eq!(row(&db, 0, 4).await.stage, Stage::Discarded);
}

async fn what_is_no_order_of_its_own_gets_no_row(db: Database) {
    sale(&db.store, 9).await;
    let mut abroad = order("eve", "1");
    abroad.campaign = "winter".to_owned();
    let (odd, landed) = (order("bob", "1"), order("ada", "1"));
    let mut other = landed.clone();
    other.user = "mallory".to_owned();
    let slices = [slice(1, 0, vec![landed.clone()])];
    assert_eq!(
        db.store.land(TOPIC, &slices, NOW).await.expect("lands").confirmed,
        1
    );
    Row {
        offset: 1,
        ..Row::default()
    }
    .write(&db)
    .await;
    Row {
        offset: 2,
        stage: "forged",
        class: "forged",
        payload: odd.encode(),
        ..Row::default()
    }
    .write(&db)
    .await;
    bury(&db, 3, "implausible", &odd).await;
    bury(&db, 4, "failing", &abroad).await;
    bury(&db, 5, "conflict", &other).await;
    for offset in 1..6 {
        let done = discard(&db, offset, "").await.expect("discarded");
        assert!(
            done.contains("1 with no order of their own: no order was touched"),
            "{offset}: {done}"
        );
        assert_eq!(row(&db, 0, offset).await.stage, Stage::Discarded);
    }
    assert_eq!((db.number(ORDERS).await, db.number(REVOCATIONS).await), (1, 0));
    assert_eq!(state(&db, &landed).await, Some((OrderState::Confirmed, None)));
    // The buyer's own order, whose id a letter named that nobody was admitted with, lands.
    let landed = db.store.land(TOPIC, &[slice(1, 1, vec![odd])], NOW).await;
    assert_eq!(landed.expect("lands").confirmed, 1);
}

async fn of_two_orders_with_one_id_the_other_keeps_it(db: Database) {
    sale(&db.store, 9).await;
    let own = order("ada", "1");
    let mut other = own.clone();
    other.user = "mallory".to_owned();
    bury(&db, 3, "failing", &other).await;
    bury(&db, 4, "conflict", &own).await;
    let done = discard(&db, 3, "").await.expect("discarded");
    assert!(done.contains("no order was touched"), "{done}");
    assert_eq!(db.number(ORDERS).await, 0);
    // Now it is the only one, and its id is its own.
    let done = discard(&db, 4, "").await.expect("discarded");
    assert!(done.contains("1 orders given up"), "{done}");
    let row = db
        .store
        .order("spring", own.order)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(
        (row.attempt.user.as_str(), row.state),
        ("ada", OrderState::Revoked)
    );
}

async fn a_row_that_the_database_refuses_keeps_the_letter(db: Database) {
    sale(&db.store, 9).await;
    let (event, fine) = (order("ada", "1"), order("bob", "1"));
    bury(&db, 3, "failing", &event).await;
    bury(&db, 4, "failing", &fine).await;
    let trap = match db.is_sqlite() {
        true => {
            "CREATE TRIGGER trap BEFORE INSERT ON orders WHEN NEW.user_id = 'ada' \
             BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        }
        false => {
            "CREATE TRIGGER trap BEFORE INSERT ON orders FOR EACH ROW BEGIN IF NEW.user_id = 'ada' THEN \
             SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF; END"
        }
    };
    db.execute(trap).await;
    let bus: Arc<Tape> = Arc::default();
    let all = "discard --all --yes --reason refunded";
    let kept = run(&db, &bus, all).await.expect_err("one is left");
    for part in [
        "1 not discarded (rushgate.orders/0/3)",
        "not this one",
        "--without-row",
    ] {
        assert!(kept.contains(part), "{kept}");
    }
    assert_eq!(
        (row(&db, 0, 3).await.stage, row(&db, 0, 4).await.stage),
        (Stage::Dead, Stage::Discarded)
    );
    assert_eq!(
        (state(&db, &event).await, state(&db, &fine).await),
        (None, revoked())
    );
    assert!(
        db.store
            .audited(&at(0, 3).to_string(), 9)
            .await
            .expect("read")
            .is_empty()
    );

    let agreed = discard(&db, 3, "--without-row").await.expect("discarded");
    assert!(agreed.contains("1 without a row of their order"), "{agreed}");
    assert_eq!(
        (row(&db, 0, 3).await.stage, db.number(ORDERS).await),
        (Stage::Discarded, 1)
    );
    let trail = db.store.audited(&at(0, 3).to_string(), 9).await.expect("read");
    let why = trail[0].detail["order"]["unwritten"].as_str().expect("a reason");
    assert!(why.contains("not this one"), "{why}");

    // What the database takes again is given up as any other.
    db.execute("UPDATE dead_letters SET stage = 'dead' WHERE `offset` = 3")
        .await;
    db.execute("DROP TRIGGER trap").await;
    discard(&db, 3, "").await.expect("discarded");
    assert_eq!(state(&db, &event).await, revoked());
}

async fn copies_of_one_order_are_given_up_once(db: Database) {
    sale(&db.store, 9).await;
    let event = order("ada", "1");
    bury(&db, 3, "failing", &event).await;
    bury(&db, 4, "failing", &event).await;
    for offset in [3, 4] {
        let done = discard(&db, offset, "").await.expect("discarded");
        assert!(done.contains("1 orders given up"), "{done}");
        assert_eq!((db.number(ORDERS).await, db.number(REVOCATIONS).await), (1, 1));
    }
    // Two at the same moment, of which one finds the other's row.
    let event = order("bob", "1");
    bury(&db, 5, "failing", &event).await;
    let letter = row(&db, 0, 5).await;
    let detail = serde_json::json!({"reason": "x"});
    let once = || db.store.discard_dead_letter(NOW, "eve", &letter, &detail, false);
    let (one, other) = tokio::join!(once(), once());
    let mut both = [
        format!("{:?}", one.expect("asked")),
        format!("{:?}", other.expect("asked")),
    ];
    both.sort();
    assert_eq!(both, ["GivenUp", "Overtaken"]);
    assert_eq!(db.number(REVOCATIONS).await, 2);
}
