//! How many orders stand, read together, for those who wait for a change.

use std::collections::BTreeMap;

use rushgate::order::{OrderEvent, OrderId, OrderState, Release};
use rushgate::store::OrderChange;
use testkit::database::{Database, NOW, TOPIC, order, sale, slice};
use testkit::on_both;

on_both!(
    those_that_landed_are_told_with_their_states,
    of_each_buyer_the_newest_orders_are_told,
    the_last_change_has_a_moment,
);

/// The order of a buyer that was placed as the `nth` of them.
fn placed(user: &str, nth: i64) -> OrderEvent {
    OrderEvent {
        placed_at: NOW - 1000 + nth,
        ..order(user, &nth.to_string())
    }
}

async fn land(db: &Database, orders: Vec<OrderEvent>) {
    sale(&db.store, 1000).await;
    db.store
        .land(TOPIC, &[slice(0, 0, orders)], NOW)
        .await
        .expect("landed");
}

async fn pay(db: &Database, order: OrderId) {
    let change = OrderChange {
        to: OrderState::Paid,
        actor: "shop",
        reason: "asked",
        note: None,
        key: None,
        release: Release::All,
    };
    let paid = db.store.change_order("spring", order, change).await;
    assert_eq!(
        paid.expect("asked").expect("landed").order.state,
        OrderState::Paid
    );
}

async fn those_that_landed_are_told_with_their_states(db: Database) {
    // As many as need several statements.
    let orders: Vec<OrderEvent> = (0..300).map(|n| placed(&format!("u{n}"), n)).collect();
    let ids: Vec<OrderId> = orders.iter().map(|order| order.order).collect();
    land(&db, orders).await;
    pay(&db, ids[7]).await;
    let asked = [&ids[..], &[OrderId::keyed("spring", "eve", "not landed")]].concat();
    let found = db.store.standing("spring", &asked).await.expect("read");
    let found: BTreeMap<OrderId, OrderState> = found.iter().map(|each| (each.order, each.state)).collect();
    let expected = ids.iter().enumerate().map(|(n, order)| match n {
        7 => (*order, OrderState::Paid),
        _ => (*order, OrderState::Confirmed),
    });
    assert_eq!(found, expected.collect());
    assert_eq!(db.store.standing("autumn", &asked).await.expect("read"), []);
    assert_eq!(db.store.standing("spring", &[]).await.expect("read"), []);
}

async fn of_each_buyer_the_newest_orders_are_told(db: Database) {
    let (ann, bob) = (0..5)
        .map(|n| (placed("ann", n), placed("bob", n)))
        .unzip::<_, _, Vec<_>, Vec<_>>();
    let newest = |of: &[OrderEvent]| [of[4].order, of[3].order, of[2].order];
    let expected = [newest(&ann), newest(&bob)].concat();
    land(
        &db,
        ann.into_iter().chain(bob).chain([placed("eve", 9)]).collect(),
    )
    .await;
    let users = ["ann", "bob", "nobody"].map(str::to_owned);
    let found = db
        .store
        .newest_of_buyers("spring", &users, 3)
        .await
        .expect("read");
    let orders: Vec<OrderId> = found.iter().map(|each| each.order).collect();
    assert_eq!(orders, expected);
    let of: Vec<_> = found.iter().filter_map(|each| each.user.as_deref()).collect();
    assert_eq!(of, ["ann", "ann", "ann", "bob", "bob", "bob"]);
    assert_eq!(
        db.store
            .newest_of_buyers("autumn", &users, 3)
            .await
            .expect("read"),
        []
    );
}

async fn the_last_change_has_a_moment(db: Database) {
    let orders = vec![placed("ann", 0), placed("bob", 1)];
    let ids = [orders[0].order, orders[1].order];
    land(&db, orders).await;
    pay(&db, ids[0]).await;
    let changes = db.store.changes_of("spring", ids[0]).await.expect("read");
    let found = db.store.changed_at("spring", &ids).await.expect("read");
    assert_eq!(found, [(ids[0], changes[0].at)].into());
}
