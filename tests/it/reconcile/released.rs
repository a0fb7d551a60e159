//! Revoked orders under comparison and repair: before, between and after the two acts of their give-back.

use rushgate::lua::calls::{self, Returned};
use rushgate::lua::fixed;
use rushgate::order::{DISCARDED, LandedOrder, OrderEvent, OrderId, OrderState, Revoked};
use rushgate::reconcile::{Comparison, Kind};
use rushgate::record::LandingSlice;
use rushgate::store::{Discarded, LetterFilter, Released, Stage};

use crate::reconcile::sale::{CAMPAIGN, Sale, Side};

#[path = "between.rs"]
mod between;

crate::reconcile::on_both_sides!(
    each_reason_holds_what_it_gives_back_at_every_step,
    after_a_rebuild_revoked_orders_hold_nothing,
    a_repair_gives_back_first,
    an_order_that_is_going_to_be_revoked_raises_no_count,
    an_entry_in_the_outbox_of_a_revoked_order_holds_nothing,
    two_entries_of_one_moment_are_given_back_one_by_one,
    a_discarded_order_gives_back_once_at_every_step,
    an_order_gives_back_nothing_that_another_holds_under_its_id,
);

const ALL: [&str; 3] = ["rule/orders", "rule/rolling", "rule/hourly"];

impl Sale {
    /// Revokes a landed order as landing does, for a reason and with these counters full.
    async fn revoke(&self, user: &str, key: &str, reason: &str, full: &[&str]) -> OrderId {
        let order = OrderId::keyed(CAMPAIGN, user, key);
        let row = self
            .db
            .store
            .order(CAMPAIGN, order)
            .await
            .expect("asked")
            .expect("landed");
        let full = serde_json::to_string(full).expect("JSON");
        let stock = i32::from(Revoked::gives_back_units_of(reason));
        let mut statements = vec![
            format!(
                "UPDATE orders SET state = 'revoked', holds = 'none', confirmed_at = NULL, revoked_reason = '{reason}' \
                 WHERE order_id = '{order}'"
            ),
            format!(
                "UPDATE stock SET sold = sold - 1 WHERE sku_id = '{}'",
                row.attempt.sku
            ),
            format!(
                "INSERT INTO releases (campaign_id, order_id, reason, stock, allowance, counters, released_at) VALUES \
                 ('{CAMPAIGN}', '{order}', '{reason}', {stock}, 1, '{full}', '2026-11-20 12:00:00.123')"
            ),
        ];
        statements.extend(row.charges.iter().map(|charge| {
            format!(
                "UPDATE `usage` SET used = used - {} WHERE counter = '{}' AND subject = '{}' AND window_start = {}",
                charge.cost, charge.counter, charge.subject, charge.window
            )
        }));
        for sql in statements {
            self.db.execute(&sql).await;
        }
        order
    }

    async fn release_of(&self, order: OrderId) -> Released {
        let found = self.db.store.releases_of(CAMPAIGN, &[order]).await.expect("read");
        found.into_iter().next().expect("revoked")
    }

    /// The first half of a give-back, of everything the order was charged.
    async fn release(&self, order: OrderId) {
        let release = self.release_of(order).await;
        let (fence, plan) = (self.active.fence(), &self.active.family.plan);
        let LandedOrder { attempt, charges, .. } = &release.order;
        let returned = Returned {
            order,
            user: &attempt.user,
            sku: &attempt.sku,
            units: attempt.quantity,
            charges: charges.clone(),
        };
        let args = calls::release_args(&fence, &[returned], plan);
        self.run(&fixed::RELEASE, args).await;
    }

    /// The second half.
    async fn mark(&self, order: OrderId) {
        let orders = [order];
        let marked = self.db.store.mark_given_back(CAMPAIGN, &orders, self.opened_at);
        marked.await.expect("marked");
    }

    /// As if a process of this name were giving back, and stood still.
    async fn hold_give_back(&self) {
        let lease = format!("give-back:{CAMPAIGN}");
        let held = self.db.store.lease(&lease, "other", self.opened_at, 1 << 40);
        assert!(held.await.expect("asked"));
    }

    async fn compare(&self) -> Comparison {
        self.reconcile.compare(CAMPAIGN, None).await.expect("compared")
    }

    async fn same(&self, when: &str) {
        let comparison = self.compare().await;
        assert_eq!(
            (comparison.differences, comparison.unsettled),
            (vec![], 0),
            "{when}"
        );
    }
}

async fn each_reason_holds_what_it_gives_back_at_every_step(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.hold_give_back().await;
    for (user, reason, full) in [
        ("ada", "oversold", &[] as &[&str]),
        ("bob", "unknown-sku", &[]),
        ("eve", "over-limit", &["rule/orders"]),
        ("dan", "over-limit", &["rule/rolling", "rule/hourly"]),
        ("kim", "over-limit", &ALL),
    ] {
        sale.place(user, "1", "mug").await;
        sale.place(user, "2", "mug").await;
        sale.settled().await;
        let order = sale.revoke(user, "2", reason, full).await;
        // What is full in the database the engine had forgotten: a unit, or a count.
        if reason != "over-limit" {
            sale.redis("HINCRBY", "stock", &["mug", "1"]).await;
        }
        let charges = sale.release_of(order).await.order.charges;
        let forgotten = charges
            .iter()
            .filter(|charge| full.contains(&charge.counter.as_str()));
        for charge in forgotten {
            sale.forget(user, &charge.counter, charge.window).await;
        }
        sale.same(&format!("{user} is revoked")).await;
        let repaired = sale
            .reconcile
            .compare(CAMPAIGN, Some("eve"))
            .await
            .expect("compared");
        assert!(!repaired.repaired, "nothing differs: {repaired:?}");
        sale.finish_give_back().await;
        sale.same(&format!("{user} has given back")).await;
        sale.db.execute("UPDATE releases SET given_back_at = NULL").await;
        sale.same(&format!("the mark of {user} is not written yet")).await;
        sale.db
            .execute("UPDATE releases SET given_back_at = '2026-11-20 12:00:01.000'")
            .await;
    }
}

impl Sale {
    /// Takes one order off what the engine counts of a user.
    async fn forget(&self, user: &str, counter: &str, window: i64) {
        match counter {
            "rule/orders" => {
                let field = format!("rule/orders {user}");
                self.redis("HINCRBY", &self.buyers_bucket(user), &[&field, "-1"])
                    .await;
            }
            "rule/hourly" => {
                self.redis("HINCRBY", &self.hourly_bucket(window, user), &[user, "-1"])
                    .await;
            }
            _ => {
                let field = format!("rule/rolling {user}");
                let others = self
                    .db
                    .store
                    .usage_of(CAMPAIGN, counter, 1, &[user])
                    .await
                    .expect("read");
                let entries = others.iter().filter(|row| row.used > 0);
                let entries: Vec<String> = entries
                    .map(|row| format!("{}:{}", row.window, row.used))
                    .collect();
                self.redis("HSET", &self.buyers_bucket(user), &[&field, &entries.join(",")])
                    .await;
            }
        }
    }

    /// A gateway takes over, and gives back.
    async fn finish_give_back(&self) {
        let lease = format!("give-back:{CAMPAIGN}");
        self.db
            .store
            .lease(&lease, "other", self.opened_at, 0)
            .await
            .expect("let go");
        self.reconcile.give_back().await.expect("given back");
        self.db
            .store
            .lease(&lease, "me", self.opened_at, 0)
            .await
            .expect("let go");
        self.hold_give_back().await;
    }
}

async fn after_a_rebuild_revoked_orders_hold_nothing(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.hold_give_back().await;
    for key in ["1", "2"] {
        sale.place("ada", key, "mug").await;
    }
    sale.settled().await;
    sale.revoke("ada", "2", "over-limit", &[]).await;
    sale.redis("HDEL", "state", &["fence"]).await;
    sale.reconcile.rebuild(CAMPAIGN, 0).await.expect("rebuilt");
    sale.same("the rebuild left it out, and its mark is not written yet")
        .await;
    sale.finish_give_back().await;
    sale.same("it is written").await;
}

async fn a_repair_gives_back_first(side: Side) {
    let sale = Sale::open(side, 100).await;
    for key in ["1", "2"] {
        sale.place("ada", key, "mug").await;
    }
    sale.settled().await;
    sale.revoke("ada", "2", "over-limit", &[]).await;
    sale.redis("HINCRBY", &sale.buyers_bucket("ada"), &["rule/orders ada", "3"])
        .await;
    let comparison = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    let found = &comparison.differences;
    assert_eq!(
        (found.len(), found[0].engine, found[0].database),
        (1, 4, 1),
        "{found:?}"
    );
    assert_eq!(
        (comparison.left, sale.counted("ada").await),
        (vec![], "1".to_owned())
    );
    let waiting = "SELECT COUNT(*) FROM releases WHERE given_back_at IS NULL";
    assert_eq!(sale.db.number(waiting).await, 0);
    // Nobody has to wait for the right to give back.
    let lease = format!("give-back:{CAMPAIGN}");
    let soon = sale.opened_at + 10_000;
    let free = sale.db.store.lease(&lease, "other", soon, 1000).await;
    assert!(free.expect("asked"));
}

async fn an_order_that_is_going_to_be_revoked_raises_no_count(side: Side) {
    let mut sale = Sale::open(side, 100).await;
    for key in ["1", "2"] {
        sale.place("ada", key, "mug").await;
    }
    sale.settled().await;
    // The engine forgets both, and admits a third that the limit allows it: of four, or of two.
    sale.redis("HDEL", &sale.buyers_bucket("ada"), &["rule/orders ada"])
        .await;
    sale.stop_landing().await;
    sale.place("ada", "3", "mug").await;
    sale.bury("dead").await;
    let low = |comparison: Comparison| {
        let found = comparison.differences.iter();
        found
            .map(|each| (each.kind, each.engine, each.database))
            .collect::<Vec<_>>()
    };
    assert_eq!(low(sale.compare().await), [(Kind::CounterLow, 1, 3)]);
    sale.db.execute("UPDATE `usage` SET allowed = 2").await;
    let letters = sale
        .db
        .store
        .dead_letters(&LetterFilter::default(), None, 1)
        .await;
    let payload = String::from_utf8(letters.expect("read")[0].payload.clone()).expect("JSON");
    let payload = payload.replace("\"limit\":4", "\"limit\":2");
    let hex: String = payload.bytes().map(|byte| format!("{byte:02x}")).collect();
    sale.db
        .execute(&format!("UPDATE dead_letters SET payload = X'{hex}'"))
        .await;
    assert_eq!(low(sale.compare().await), [(Kind::CounterLow, 1, 2)]);
    let repaired = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    assert_eq!(
        (repaired.left, sale.counted("ada").await),
        (vec![], "2".to_owned())
    );
}

async fn an_entry_in_the_outbox_of_a_revoked_order_holds_nothing(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.hold_give_back().await;
    for key in ["1", "2"] {
        sale.place("ada", key, "mug").await;
    }
    sale.settled().await;
    let order = sale.revoke("ada", "2", "over-limit", &[]).await;
    let payload = format!(r#"{{"order":"{order}","user":"ada","sku":"mug","quantity":1,"attributes":{{}}}}"#);
    let at = sale.opened_at.to_string();
    for (act, when) in [
        ("", "it holds, and its entry stands"),
        ("release", "it is released, and its entry stands"),
        ("mark", "it has given back, and its entry stands"),
    ] {
        match act {
            "release" => sale.release(order).await,
            "mark" => sale.mark(order).await,
            _ => {}
        }
        sale.redis(
            "XADD",
            "outbox",
            &["*", "rev", "1", "at", &at, "n", "1", "o", &payload],
        )
        .await;
        let comparison = sale.compare().await;
        assert_eq!(comparison.differences, [], "{when}");
        sale.settled().await;
    }
}

async fn two_entries_of_one_moment_are_given_back_one_by_one(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.hold_give_back().await;
    for key in ["1", "2"] {
        sale.place("ada", key, "mug").await;
    }
    sale.settled().await;
    let order = sale.revoke("ada", "2", "over-limit", &[]).await;
    // Both of one moment, and the engine knows of neither: the repair writes one entry.
    let moment = sale.opened_at + 1;
    let charges = sale.release_of(order).await.order.charges;
    let rolling = charges
        .iter()
        .find(|charge| charge.counter == "rule/rolling")
        .expect("charged");
    let sql = format!(
        "UPDATE orders SET receipt = REPLACE(receipt, '\"window\":{},\"rolling', '\"window\":{moment},\"rolling')",
        rolling.window
    );
    sale.db.execute(&sql).await;
    sale.db
        .execute("DELETE FROM `usage` WHERE counter = 'rule/rolling'")
        .await;
    sale.db
        .execute(&format!(
            "INSERT INTO `usage` (campaign_id, counter, window_start, subject, used) VALUES \
             ('{CAMPAIGN}', 'rule/rolling', {moment}, 'ada', 1)"
        ))
        .await;
    sale.redis("HDEL", &sale.buyers_bucket("ada"), &["rule/rolling ada"])
        .await;
    let comparison = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    assert_eq!(
        (comparison.differences.len(), comparison.left),
        (1, vec![]),
        "it counts two"
    );
    sale.finish_give_back().await;
    sale.same("one of the two is left").await;
}

async fn a_discarded_order_gives_back_once_at_every_step(side: Side) {
    let mut sale = Sale::open(side, 100).await;
    sale.hold_give_back().await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    sale.stop_landing().await;
    // One was discarded before orders were given up with their letters: a repair gives back what it held.
    sale.place("bob", "1", "mug").await;
    sale.bury("discarded").await;
    let repaired = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    assert_eq!((repaired.differences.len(), repaired.left), (4, vec![]));
    sale.place("ada", "2", "mug").await;
    sale.bury("dead").await;
    let before = OrderId::keyed(CAMPAIGN, "bob", "1");
    let sql = format!("UPDATE dead_letters SET stage = 'discarded' WHERE order_id = '{before}'");
    sale.db.execute(&sql).await;
    sale.same("it holds what it was admitted with").await;

    let dead = LetterFilter {
        stages: vec![Stage::Dead],
        ..LetterFilter::default()
    };
    let letters = sale.db.store.dead_letters(&dead, None, 9).await.expect("read");
    let letter = letters.first().expect("one");
    let detail = serde_json::json!({"reason": "refunded"});
    let discarded = sale
        .db
        .store
        .discard_dead_letter(sale.opened_at, "eve", letter, &detail, false);
    assert_eq!(discarded.await.expect("discarded"), Discarded::GivenUp);
    let event = OrderEvent::decode(&letter.payload).expect("an order");
    sale.same("it holds until it has given back").await;
    sale.release(event.order).await;
    sale.same("it is released, and its mark is not written").await;
    sale.mark(event.order).await;
    sale.same("it has given back").await;
    assert_eq!(sale.counted("ada").await, "1");

    // Its record is read again.
    let again = LandingSlice {
        partition: 0,
        from: 1 << 40,
        next: (1 << 40) + 1,
        orders: vec![((1 << 40).into(), event.clone())],
        ..LandingSlice::default()
    };
    let landed = sale
        .db
        .store
        .land("again", &[again], sale.opened_at)
        .await
        .expect("lands");
    assert_eq!((landed.confirmed, landed.duplicates), (0, 1));
    sale.finish_give_back().await;
    sale.same("a copy changes nothing").await;
    let row = sale
        .db
        .store
        .order(CAMPAIGN, event.order)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(
        (row.state, row.revoked_reason.as_deref()),
        (OrderState::Revoked, Some(DISCARDED))
    );
}

async fn an_order_gives_back_nothing_that_another_holds_under_its_id(side: Side) {
    let mut sale = Sale::open(side, 100).await;
    sale.stop_landing().await;
    sale.place("ada", "1", "mug").await;
    sale.bury("dead").await;
    let dead = LetterFilter::default();
    let letters = sale.db.store.dead_letters(&dead, None, 9).await.expect("read");
    let mut letter = letters[0].clone();
    let mut event = OrderEvent::decode(&letter.payload).expect("an order");
    event.user = "mallory".to_owned();
    letter.payload = event.encode();
    let detail = serde_json::json!({"reason": "made up"});
    let (store, at) = (&sale.db.store, sale.opened_at);
    let discarded = store.discard_dead_letter(at, "eve", &letter, &detail, false);
    assert_eq!(discarded.await.expect("discarded"), Discarded::GivenUp);
    assert_eq!(sale.reconcile.give_back().await.expect("given back"), 1);
    assert_eq!(
        sale.db
            .number("SELECT COUNT(*) FROM releases WHERE given_back_at IS NULL")
            .await,
        0
    );
    // What ada was admitted with is still held; the comparison names it.
    assert_eq!(sale.counted("ada").await, "1");
    let found = sale.compare().await.differences;
    assert_eq!(
        (found[0].kind, found[0].engine, found[0].database),
        (Kind::Leaked, 99, 100)
    );
}
