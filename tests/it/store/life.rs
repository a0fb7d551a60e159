//! The life of an order after it landed: which change is made, what it gives back, and that it is made once.

use rushgate::order::{Hold, Holds, OnExpiry, OrderEvent, OrderId, OrderState, OrderTerms, Release};
use rushgate::store::CampaignEdit;
use rushgate::store::{ChangeRow, ChangedOrder, OrderChange, Outcome, Store};
use testkit::database::{Database, NOW, TOPIC, charge, order, sale, slice};
use testkit::on_both;

on_both!(
    an_order_is_paid_and_refunded_once_each,
    what_a_state_does_not_allow_changes_nothing,
    under_one_key_a_change_is_made_once,
    a_release_gives_back_what_it_names_and_no_more,
    two_that_change_an_order_at_once_leave_one_change,
    until_when_an_order_is_to_be_paid_is_said_when_it_lands,
    an_order_that_was_not_paid_in_time_expires_and_is_not_paid,
    many_orders_change_in_one_transaction,
    what_an_earlier_lander_revoked_is_taken_over,
);

const SOLD: &str = "SELECT sold FROM stock WHERE sku_id = 'shoe'";
const USED: &str = "SELECT CAST(COALESCE(SUM(used), 0) AS SIGNED) FROM `usage`";
const CHANGES: &str = "SELECT COUNT(*) FROM order_changes WHERE told_at IS NULL";
const RELEASES: &str = "SELECT COUNT(*) FROM releases WHERE given_back_at IS NULL";

async fn land(store: &Store, orders: Vec<OrderEvent>) -> Vec<OrderId> {
    let ids = orders.iter().map(|order| order.order).collect();
    let next = store.offsets(TOPIC).await.expect("read").get(&0).copied();
    let slices = [slice(0, next.unwrap_or(0), orders)];
    store.land(TOPIC, &slices, NOW).await.expect("landed");
    ids
}

async fn one(store: &Store) -> OrderId {
    sale(store, 100).await;
    land(store, vec![order("ann", "1")]).await[0]
}

fn to(state: OrderState) -> OrderChange<'static> {
    OrderChange {
        to: state,
        actor: "shop",
        reason: "asked",
        note: None,
        key: None,
        release: Release::All,
    }
}

async fn change(db: &Database, order: OrderId, change: OrderChange<'_>) -> ChangedOrder {
    let changed = db.store.change_order("spring", order, change).await;
    changed.expect("asked").expect("it has landed")
}

fn made(changed: &ChangedOrder) -> &ChangeRow {
    match &changed.outcome {
        Outcome::Made(row) => row,
        other => panic!("{other:?}"),
    }
}

async fn row(db: &Database, order: OrderId) -> (OrderState, Holds) {
    let row = db.store.order("spring", order).await.expect("asked");
    let row = row.expect("landed");
    (row.state, row.holds)
}

async fn an_order_is_paid_and_refunded_once_each(db: Database) {
    let order = one(&db.store).await;
    let paid = change(&db, order, to(OrderState::Paid)).await;
    assert_eq!(
        (made(&paid).number, made(&paid).from),
        (2, Some(OrderState::Confirmed))
    );
    assert_eq!(
        (paid.order.state, paid.order.holds),
        (OrderState::Paid, Holds::All)
    );
    assert_eq!(row(&db, order).await, (OrderState::Paid, Holds::All));
    assert_eq!((db.number(SOLD).await, db.number(USED).await), (1, 1));
    let refunded = change(&db, order, to(OrderState::Refunded)).await;
    assert_eq!(made(&refunded).number, 3);
    assert_eq!(row(&db, order).await, (OrderState::Refunded, Holds::None));
    assert_eq!((db.number(SOLD).await, db.number(USED).await), (0, 0));
    for _ in ["again", "and again"] {
        let again = change(&db, order, to(OrderState::Refunded)).await;
        assert_eq!(again.outcome, Outcome::Forbidden);
    }
    assert_eq!((db.number(SOLD).await, db.number(USED).await), (0, 0));
    assert_eq!((db.number(CHANGES).await, db.number(RELEASES).await), (2, 1));
    let rows = db.store.changes_of("spring", order).await.expect("read");
    assert_eq!(rows, [made(&paid).clone(), made(&refunded).clone()]);
}

async fn what_a_state_does_not_allow_changes_nothing(db: Database) {
    let order = one(&db.store).await;
    let forbidden = async |state| {
        let answer = change(&db, order, to(state)).await;
        assert_eq!(answer.outcome, Outcome::Forbidden, "{state:?}");
    };
    // It waits for no payment, so it does not expire.
    for state in [OrderState::Refunded, OrderState::Expired, OrderState::Confirmed] {
        forbidden(state).await;
    }
    made(&change(&db, order, to(OrderState::Cancelled)).await);
    for state in OrderState::LANDED {
        forbidden(state).await;
    }
    assert_eq!((db.number(CHANGES).await, db.number(RELEASES).await), (1, 1));
    let other = OrderId::keyed("spring", "nobody", "1");
    let unknown = db.store.change_order("spring", other, to(OrderState::Paid)).await;
    assert_eq!(unknown.expect("asked"), None);
}

async fn under_one_key_a_change_is_made_once(db: Database) {
    let order = one(&db.store).await;
    let keyed = |state| OrderChange {
        key: Some("k-1"),
        ..to(state)
    };
    let first = change(&db, order, keyed(OrderState::Paid)).await;
    let again = change(&db, order, keyed(OrderState::Paid)).await;
    assert_eq!(again.outcome, Outcome::MadeBefore(made(&first).clone()));
    assert_eq!(again.order, first.order);
    let other = change(&db, order, keyed(OrderState::Refunded)).await;
    assert_eq!(other.outcome, Outcome::OtherChange(made(&first).clone()));
    let reason = OrderChange {
        reason: "else",
        ..keyed(OrderState::Paid)
    };
    assert!(matches!(
        change(&db, order, reason).await.outcome,
        Outcome::OtherChange(_)
    ));
    // Another payment is told that it is one too many.
    let second = OrderChange {
        key: Some("k-2"),
        ..to(OrderState::Paid)
    };
    assert_eq!(change(&db, order, second).await.outcome, Outcome::Forbidden);
    // The first key is still answered when the order has gone on.
    made(&change(&db, order, to(OrderState::Refunded)).await);
    let late = change(&db, order, keyed(OrderState::Paid)).await;
    assert_eq!(late.outcome, Outcome::MadeBefore(made(&first).clone()));
    assert_eq!(late.order.state, OrderState::Refunded);
}

async fn a_release_gives_back_what_it_names_and_no_more(db: Database) {
    sale(&db.store, 100).await;
    for (user, release, holds, sold, used) in [
        ("ann", Release::All, Holds::None, 0, 0),
        ("bob", Release::Stock, Holds::Allowance, 0, 1),
        ("cid", Release::None, Holds::All, 1, 2),
    ] {
        let order = land(&db.store, vec![order(user, "1")]).await[0];
        let cancel = OrderChange {
            release,
            ..to(OrderState::Cancelled)
        };
        made(&change(&db, order, cancel).await);
        assert_eq!(row(&db, order).await, (OrderState::Cancelled, holds));
        assert_eq!(
            (db.number(SOLD).await, db.number(USED).await),
            (sold, used),
            "{user}"
        );
    }
    let waiting = db.store.waiting_releases("spring", 9).await.expect("read");
    let returned: Vec<_> = waiting
        .iter()
        .map(|each| {
            let (units, charges) = each.returns();
            (each.order.attempt.user.as_str(), units, charges.len())
        })
        .collect();
    assert_eq!(
        returned.len(),
        2,
        "where nothing comes back, nothing is to be given back"
    );
    assert!(
        returned.contains(&("ann", 1, 1)) && returned.contains(&("bob", 1, 0)),
        "{returned:?}"
    );
    assert_eq!(
        db.store.campaigns_with_releases().await.expect("read"),
        ["spring"]
    );
    let ids: Vec<OrderId> = waiting.iter().map(rushgate::store::Released::id).collect();
    db.store
        .mark_given_back("spring", &ids, NOW)
        .await
        .expect("marked");
    assert!(db.store.campaigns_with_releases().await.expect("read").is_empty());
}

/// Paid and cancelled in the same moment, again and again: one of the two is made, and the stock follows it.
async fn two_that_change_an_order_at_once_leave_one_change(db: Database) {
    sale(&db.store, 100).await;
    let mut paid = 0;
    for n in 0..12 {
        let order = land(&db.store, vec![order(&format!("u{n}"), "1")]).await[0];
        let attempt = async |state| {
            loop {
                match db.store.change_order("spring", order, to(state)).await {
                    Ok(changed) => return changed.expect("landed").outcome,
                    Err(rushgate::store::StoreError::Transient(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let (pay, cancel) = futures_util::join!(attempt(OrderState::Paid), attempt(OrderState::Cancelled));
        let is_made = |outcome: &Outcome| matches!(outcome, Outcome::Made(_));
        assert!(is_made(&pay) != is_made(&cancel), "{pay:?} {cancel:?}");
        paid += i64::from(is_made(&pay));
    }
    assert_eq!((db.number(SOLD).await, db.number(USED).await), (paid, paid));
    assert_eq!(
        (db.number(CHANGES).await, db.number(RELEASES).await),
        (12, 12 - paid)
    );
}

async fn hold(store: &Store, minutes: Option<u32>) {
    let terms = OrderTerms {
        hold: minutes.map(|minutes| Hold {
            minutes,
            on_expiry: OnExpiry::Release,
        }),
        ..OrderTerms::default()
    };
    let edit = CampaignEdit {
        terms: Some(terms.clone()),
        ..CampaignEdit::default()
    };
    store.edit_campaign("spring", &edit, &[]).await.expect("set");
    assert_eq!(store.order_terms("spring").await.expect("read"), Some(terms));
}

async fn until_when_an_order_is_to_be_paid_is_said_when_it_lands(db: Database) {
    sale(&db.store, 100).await;
    let pay_by = async |user: &str| {
        let order = land(&db.store, vec![order(user, "1")]).await[0];
        let row = db.store.order("spring", order).await.expect("asked");
        row.expect("landed").pay_by
    };
    assert_eq!(pay_by("ann").await, None);
    hold(&db.store, Some(15)).await;
    let before = jiff::Timestamp::now().as_millisecond();
    let said = pay_by("bob").await.expect("a moment");
    let after = jiff::Timestamp::now().as_millisecond();
    // The database's clock is this machine's; the lander's was NOW, which is another day.
    assert!(
        (before - 1000..=after + 1000).contains(&(said - 15 * 60_000)),
        "{said}"
    );
    hold(&db.store, None).await;
    assert_eq!(pay_by("cid").await, None);
    // A batch that wants care says it as well: one order of it has landed before.
    hold(&db.store, Some(1)).await;
    let ids = land(&db.store, vec![order("ann", "1"), order("dan", "1")]).await;
    let row = db
        .store
        .order("spring", ids[1])
        .await
        .expect("asked")
        .expect("landed");
    assert!(row.pay_by.is_some());
    // One that is revoked waits for nothing.
    let mut unknown = order("eve", "1");
    unknown.sku = "no such SKU".to_owned();
    let order = land(&db.store, vec![unknown]).await[0];
    let row = db
        .store
        .order("spring", order)
        .await
        .expect("asked")
        .expect("landed");
    assert_eq!(
        (row.state, row.pay_by, row.holds),
        (OrderState::Revoked, None, Holds::None)
    );
}

const OVERDUE: &str = "UPDATE orders SET pay_by = '2020-01-01 00:00:00.000' WHERE pay_by IS NOT NULL";

async fn an_order_that_was_not_paid_in_time_expires_and_is_not_paid(db: Database) {
    sale(&db.store, 100).await;
    hold(&db.store, Some(15)).await;
    let ids = land(
        &db.store,
        vec![order("ann", "1"), order("bob", "1"), order("cid", "1")],
    )
    .await;
    assert!(db.store.overdue(9).await.expect("read").is_empty());
    let early = change(&db, ids[0], to(OrderState::Expired)).await;
    assert_eq!(early.outcome, Outcome::Forbidden, "there is time left");
    made(&change(&db, ids[0], to(OrderState::Paid)).await);
    db.execute(OVERDUE).await;
    let overdue = db.store.overdue(9).await.expect("read");
    let mut both = vec![ids[1], ids[2]];
    both.sort();
    assert_eq!(
        overdue.get("spring").map(|ids| {
            let mut ids = ids.clone();
            ids.sort();
            ids
        }),
        Some(both)
    );
    assert_eq!(
        change(&db, ids[1], to(OrderState::Paid)).await.outcome,
        Outcome::TooLate
    );
    made(&change(&db, ids[1], to(OrderState::Cancelled)).await);
    let expired = change(&db, ids[2], to(OrderState::Expired)).await;
    assert_eq!(
        (made(&expired).to, expired.order.pay_by),
        (OrderState::Expired, None)
    );
    assert!(db.store.overdue(9).await.expect("read").is_empty());
    assert_eq!((db.number(SOLD).await, db.number(USED).await), (1, 1));
}

async fn many_orders_change_in_one_transaction(db: Database) {
    sale(&db.store, 1000).await;
    let orders: Vec<OrderEvent> = (0..300)
        .map(|n| {
            let mut event = order(&format!("u{}", n % 7), &n.to_string());
            event.quantity = 1 + n % 3;
            event
                .charges
                .push(charge("day/units", i64::from(n % 2) * 86_400_000, "everybody"));
            event
        })
        .collect();
    let ids = land(&db.store, orders).await;
    let units = db.number(SOLD).await;
    assert_eq!(units, 600);
    let (half, rest) = ids.split_at(150);
    let changed = db
        .store
        .change_orders("spring", half, to(OrderState::Cancelled))
        .await;
    let changed = changed.expect("changed");
    assert_eq!(changed.len(), 150);
    changed.iter().for_each(|each| drop(made(each).clone()));
    let held: i64 = db
        .number("SELECT CAST(SUM(quantity) AS SIGNED) FROM orders WHERE holds = 'all'")
        .await;
    assert_eq!(db.number(SOLD).await, held);
    assert_eq!(db.number(USED).await, 2 * 150);
    // What was changed before is told apart from what is changed now.
    let again = db
        .store
        .change_orders("spring", &ids[100..200], to(OrderState::Cancelled))
        .await;
    let again = again.expect("changed");
    let now = again
        .iter()
        .filter(|each| matches!(each.outcome, Outcome::Made(_)))
        .count();
    assert_eq!((now, rest.len()), (50, 150));
    assert_eq!(db.number(USED).await, 2 * 100);
    assert_eq!(db.number("SELECT COUNT(*) FROM `usage` WHERE used < 0").await, 0);
}

async fn what_an_earlier_lander_revoked_is_taken_over(db: Database) {
    let order = one(&db.store).await;
    db.execute(&format!(
        "UPDATE orders SET state = 'revoked', confirmed_at = NULL, revoked_reason = 'over-limit' WHERE order_id = '{order}'"
    ))
    .await;
    db.execute(&format!(
        "INSERT INTO revocations (campaign_id, order_id, reason, counters, revoked_at) \
         VALUES ('spring', '{order}', 'over-limit', '[\"a/orders\"]', '2026-11-20 12:00:00.000')"
    ))
    .await;
    assert_eq!(db.store.adopt_revocations().await.expect("taken over"), 1);
    assert_eq!(db.store.adopt_revocations().await.expect("nothing left"), 0);
    assert_eq!(row(&db, order).await, (OrderState::Revoked, Holds::None));
    let waiting = db.store.waiting_releases("spring", 9).await.expect("read");
    let [release] = waiting.as_slice() else {
        panic!("{waiting:?}")
    };
    assert_eq!(
        (release.reason.as_str(), release.stock, release.allowance),
        ("over-limit", true, true)
    );
    assert_eq!(release.counters, ["a/orders"]);
}
