//! Orders that are cancelled, expire or are refunded give back what they held, once: whatever stops between the database and
//! Redis, and whether or not Redis loses its memory between any two steps.

use rushgate::order::{OrderState, Release};
use rushgate::reconcile::Reconcile;
use rushgate::store::{OrderChange, Outcome};
use testkit::database::Database;
use testkit::on_both;

use crate::memory::restored::{Past, event};
use crate::memory::sale::{CAMPAIGN, used};

/// What became of the orders of `u0`, `u1`, … in the database.
const LIVES: [(&str, OrderState, Release); 4] = [
    ("u0", OrderState::Cancelled, Release::All),
    ("u1", OrderState::Cancelled, Release::Stock),
    ("u2", OrderState::Cancelled, Release::None),
    ("u3", OrderState::Paid, Release::All),
];
/// Mugs that are left then, and what each of the users has used.
const LEFT: i64 = 98;
const USED: [i64; 5] = [0, 1, 1, 1, 0];

impl Past {
    async fn change(&self, user: &str, to: OrderState, release: Release) {
        let change = OrderChange {
            to,
            actor: "shop",
            reason: "asked",
            note: None,
            key: None,
            release,
        };
        let order = event(user, "k").order;
        let changed = self.database.store.change_order(CAMPAIGN, order, change).await;
        let changed = changed.expect("changed").expect("it has landed");
        assert!(matches!(changed.outcome, Outcome::Made(_)), "{changed:?}");
    }

    /// What the orders of [`LIVES`] and one that is paid and refunded come to.
    async fn live(&self) {
        for (user, to, release) in LIVES {
            self.change(user, to, release).await;
        }
        self.change("u4", OrderState::Paid, Release::All).await;
        self.change("u4", OrderState::Refunded, Release::All).await;
    }

    /// Redis has what the database says, and knows of every order whether it has given back.
    async fn is_right(&self, when: &str) {
        // The two that hold their units.
        assert_eq!(self.left().await, LEFT, "{when}");
        let there = used(&self.server);
        let used = [0, 1, 2, 3, 4].map(|n| there.get(&format!("u{n}")).copied().unwrap_or(0));
        assert_eq!(used, USED, "{when}");
        for (user, released) in [
            ("u0", true),
            ("u1", true),
            ("u2", false),
            ("u3", false),
            ("u4", true),
        ] {
            assert_eq!(self.released(user, "k").await, Some(released), "{when}: {user}");
        }
        let sums = self.database.store.sold_sums(CAMPAIGN).await.expect("read");
        assert_eq!(sums.skus["mug"].sold, 100 - LEFT, "{when}");
    }

    async fn forget(&self, rebuilder: &Reconcile) {
        self.server.tell(&["FLUSHALL"]);
        rebuilder.open(CAMPAIGN).await.expect("it opens");
    }
}

async fn what_was_released_is_on_sale_again_once(db: Database) {
    let past = Past::of(5, db).await;
    let rebuilder = past.rebuilder("one");
    rebuilder.open(CAMPAIGN).await.expect("it opens");
    assert_eq!(past.left().await, 95);
    past.live().await;
    assert_eq!(past.left().await, 95, "Redis knows nothing of it yet");
    assert_eq!(rebuilder.give_back().await.expect("given back"), 3);
    past.is_right("given back").await;
    assert_eq!(rebuilder.give_back().await.expect("looked at"), 0);
    // The mark was lost after Redis had it back.
    past.database
        .execute("UPDATE releases SET given_back_at = NULL")
        .await;
    assert_eq!(rebuilder.give_back().await.expect("looked at"), 3);
    past.is_right("given back twice").await;
}

async fn a_rebuild_between_any_two_steps_gives_the_same_sums(db: Database) {
    let past = Past::of(5, db).await;
    let rebuilder = past.rebuilder("one");
    rebuilder.open(CAMPAIGN).await.expect("it opens");
    past.live().await;
    // In the database alone.
    past.forget(&rebuilder).await;
    past.is_right("rebuilt before Redis got anything back").await;
    assert_eq!(rebuilder.give_back().await.expect("looked at"), 3);
    past.is_right("given back after a rebuild").await;
    // In Redis too, and the mark is missing.
    past.database
        .execute("UPDATE releases SET given_back_at = NULL")
        .await;
    past.forget(&rebuilder).await;
    past.is_right("rebuilt before the mark").await;
    assert_eq!(rebuilder.give_back().await.expect("looked at"), 3);
    past.is_right("marked").await;
    past.forget(&rebuilder).await;
    past.is_right("rebuilt at the end").await;
}

async fn orders_that_are_released_behind_a_closed_gate_wait_for_it(db: Database) {
    let past = Past::of(5, db).await;
    let rebuilder = past.rebuilder("one");
    rebuilder.open(CAMPAIGN).await.expect("it opens");
    past.server.tell(&["FLUSHALL"]);
    past.live().await;
    assert_eq!(rebuilder.give_back().await.expect("looked at"), 0);
    rebuilder.open(CAMPAIGN).await.expect("it opens");
    assert_eq!(rebuilder.give_back().await.expect("looked at"), 3);
    past.is_right("given back").await;
}

on_both!(
    what_was_released_is_on_sale_again_once,
    a_rebuild_between_any_two_steps_gives_the_same_sums,
    orders_that_are_released_behind_a_closed_gate_wait_for_it,
);
