//! Revoked orders give back what they held, once, and not what the engine had forgotten.

use rushgate::order::{OrderState, Revoked};
use rushgate::reconcile::Rebuilt;
use testkit::database::Database;
use testkit::on_both;

use crate::memory::restored::{Past, event};
use crate::memory::sale::{CAMPAIGN, used};

impl Past {
    /// As landing does it.
    async fn revoke(&self, user: &str, reason: &str, counters: &str) {
        let order = event(user, "k").order;
        let revoke = format!(
            "UPDATE orders SET state = '{}', holds = 'none', confirmed_at = NULL, revoked_reason = '{reason}' WHERE order_id = '{order}'",
            OrderState::Revoked.as_str()
        );
        self.database.execute(&revoke).await;
        let stock = i32::from(Revoked::gives_back_units_of(reason));
        let note = format!(
            "INSERT INTO releases (campaign_id, order_id, reason, stock, allowance, counters, released_at) \
             VALUES ('{CAMPAIGN}', '{order}', '{reason}', {stock}, 1, '{counters}', '2026-11-20 12:00:00.000')"
        );
        self.database.execute(&note).await;
    }

    async fn waiting(&self) -> i64 {
        let sql = "SELECT COUNT(*) FROM releases WHERE given_back_at IS NULL";
        self.database.number(sql).await
    }
}

async fn each_reason_gives_back_what_it_leaves_over(db: Database) {
    let past = Past::of(6, db).await;
    let rebuilder = past.rebuilder("one");
    rebuilder.open(CAMPAIGN).await.expect("it opens");
    assert_eq!(past.left().await, 94);
    past.revoke("u0", "oversold", "[]").await;
    past.revoke("u1", "unknown-sku", "[]").await;
    past.revoke("u2", "over-limit", r#"["n-per-user/orders"]"#).await;
    past.revoke("u3", "over-limit", r#"["per-hour/orders"]"#).await;
    assert_eq!(rebuilder.give_back().await.expect("given back"), 4);
    assert_eq!(past.left().await, 96, "the units of the two beyond a limit");
    let used_by = |user: &str| used(&past.server)[user];
    assert_eq!(["u0", "u1", "u2", "u3", "u4"].map(used_by), [0, 0, 1, 0, 1]);
    assert_eq!(past.released("u0", "k").await, Some(true));
    assert_eq!(past.waiting().await, 0);

    // Once: also where the mark was lost after Redis had it back.
    past.database
        .execute("UPDATE releases SET given_back_at = NULL")
        .await;
    assert_eq!(rebuilder.give_back().await.expect("looked at"), 4);
    assert_eq!(past.left().await, 96);
    assert_eq!(["u0", "u2"].map(used_by), [0, 1]);

    // After a rebuild they hold nothing, and a retry still finds them.
    past.server.tell(&["FLUSHALL"]);
    let restored = rebuilder.open(CAMPAIGN).await.expect("it opens");
    assert!(
        matches!(restored, Rebuilt::Restored { orders: 2, .. }),
        "{restored:?}"
    );
    assert_eq!(past.left().await, 98);
    assert_eq!(past.released("u2", "k").await, Some(true));
    assert_eq!(past.released("u4", "k").await, Some(false));
}

async fn behind_a_closed_gate_they_wait(db: Database) {
    let past = Past::of(3, db).await;
    let rebuilder = past.rebuilder("one");
    rebuilder.open(CAMPAIGN).await.expect("it opens");
    past.revoke("u0", "oversold", "[]").await;
    past.server.tell(&["FLUSHALL"]);
    assert_eq!(rebuilder.give_back().await.expect("looked at"), 0);
    assert_eq!(past.waiting().await, 1);
    rebuilder.open(CAMPAIGN).await.expect("it opens");
    assert_eq!(rebuilder.give_back().await.expect("looked at"), 1);
    assert_eq!(past.left().await, 98, "the rebuild had left it out already");
}

on_both!(
    each_reason_gives_back_what_it_leaves_over,
    behind_a_closed_gate_they_wait,
);
