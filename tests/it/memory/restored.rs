//! What a rebuild puts back: orders that landed, and those that were admitted and stand among the dead letters.

use std::sync::Arc;
use std::time::Duration;

use rushgate::bus::{ORDERS_TOPIC, Producer, embedded};
use rushgate::engine::Engine;
use rushgate::engine::redis::{Config, Redis};
use rushgate::lua::Args;
use rushgate::lua::keys::Shard;
use rushgate::lua::{calls, fixed};
use rushgate::order::OrderEvent;
use rushgate::reconcile::{self, Rebuilt, Reconcile};
use testkit::database::{Database, charge, slice};
use testkit::on_both;

use crate::memory::sale::{CAMPAIGN, attempt, campaign, landed, now, rebuilder, revision, used};
use crate::memory::server::{Address, Server};

/// Orders that landed, and a Redis that knows nothing.
pub struct Past {
    pub server: Server,
    pub address: Address,
    pub database: Database,
    orders: i64,
}

impl Past {
    /// Of 100 mugs so many are sold.
    pub async fn of(orders: usize, database: Database) -> Self {
        let server = Server::start();
        let address = Address::new();
        address.lead_to(&server);
        let store = &database.store;
        store
            .insert_campaign(&campaign(100), &revision())
            .await
            .expect("a campaign");
        // The gate was open once, so there is something to wait for.
        let raised = testkit::database::activate(store, CAMPAIGN, 1, now()).await;
        raised.expect("raised");
        let events = (0..orders).map(|n| event(&format!("u{n}"), "k")).collect();
        let past = Self {
            server,
            address,
            database,
            orders: orders as i64,
        };
        past.land(0, events).await;
        past
    }

    pub async fn land(&self, from: i64, events: Vec<OrderEvent>) {
        let slices = [slice(0, from, events)];
        let landing = self.database.store.land(ORDERS_TOPIC, &slices, now());
        landing.await.expect("lands");
    }

    /// Of a bus on which nothing is left.
    pub fn producer(&self) -> Arc<dyn Producer> {
        Arc::new(embedded::pair(self.orders).0)
    }

    pub fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(Redis::new(Config::new(self.address.url())).expect("a URL"))
    }

    pub fn rebuilder(&self, owner: &str) -> Reconcile {
        rebuilder(owner, self.engine(), self.producer(), &self.database.store)
    }

    pub fn rebuilder_over(&self, owner: &str, producer: Arc<dyn Producer>, patience: Duration) -> Reconcile {
        let config = reconcile::Config {
            patience,
            grace: Duration::ZERO,
            ..reconcile::Config::default()
        };
        let store = self.database.store.clone();
        Reconcile::new(
            config,
            self.engine(),
            producer,
            store,
            owner.into(),
            Arc::new(now),
        )
    }

    /// Mugs left, as Redis has it.
    pub async fn left(&self) -> i64 {
        let key = Shard::new(CAMPAIGN, 0).state();
        let reply = self.engine().run(&fixed::WATCH, &key, Args::default()).await;
        calls::watch_reply(reply.expect("runs")).expect("a status").stock["mug"]
    }

    /// Whether Redis has the record of an order, and whether it gave back what it held.
    pub async fn released(&self, user: &str, key: &str) -> Option<bool> {
        let state = Shard::new(CAMPAIGN, 0).state();
        let args = calls::lookup_args([(attempt(user, key).order, user)], 4);
        let reply = self.engine().run(&fixed::LOOKUP, &state, args).await;
        let found = calls::lookup_reply(reply.expect("runs")).expect("an answer");
        found.orders[0].as_ref().map(|order| order.placed.released)
    }

    pub async fn dead_letter(&self, stage: &str, offset: i64, event: &OrderEvent) {
        let payload: String = event.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let order = event.order;
        let sql = format!(
            "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at, stage, class, \
             order_id, campaign_id, sku_id, quantity) VALUES ('{ORDERS_TOPIC}', 0, {offset}, x'00', x'{payload}', 'e', \
             '2026-11-20 12:00:00.000', '{stage}', 'constraint', '{order}', '{CAMPAIGN}', 'mug', 1)"
        );
        self.database.execute(&sql).await;
    }
}

/// An admitted order of one mug, as the gateway sends it.
pub fn event(user: &str, key: &str) -> OrderEvent {
    let attempt = attempt(user, key);
    let placed_at = now();
    let hour = 3_600_000;
    OrderEvent {
        charges: vec![
            charge("n-per-user/orders", 0, user),
            charge("per-hour/orders", placed_at / hour * hour, user),
        ],
        ..OrderEvent::of(attempt, CAMPAIGN, 0, (1, &"ab".repeat(32)), placed_at)
    }
}

async fn orders_among_the_dead_letters_hold_what_they_took(db: Database) {
    let past = Past::of(5, db).await;
    let stages = ["retry", "dead", "replayed", "parked", "discarded", "landed"];
    for (offset, stage) in (100..).zip(stages) {
        past.dead_letter(stage, offset, &event(stage, "k")).await;
    }
    // One that failed twice counts once, and so does one that landed after all.
    past.dead_letter("retry", 200, &event("parked", "k")).await;
    past.dead_letter("replayed", 201, &event("u0", "k")).await;
    let restored = past.rebuilder("one").open(CAMPAIGN).await.expect("it opens");
    assert!(
        matches!(
            restored,
            Rebuilt::Restored {
                orders: 5,
                stranded: 4,
                ..
            }
        ),
        "{restored:?}"
    );
    assert_eq!(past.left().await, 100 - 5 - 4);
    let mut expected = landed(&past.database.store).await;
    expected.extend(stages[..4].iter().map(|stage| ((*stage).to_owned(), 1)));
    assert_eq!(used(&past.server), expected);
    for stage in &stages[..4] {
        assert_eq!(past.released(stage, "k").await, Some(false), "{stage}");
    }
    for stage in &stages[4..] {
        assert_eq!(past.released(stage, "k").await, None, "{stage}");
    }
}

async fn pages_follow_each_other_without_a_gap(db: Database) {
    let past = Past::of(23, db).await;
    let store = &past.database.store;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.orders_page(CAMPAIGN, after, 7).await.expect("asked");
        let Some(last) = page.last() else { break };
        after = Some(last.attempt.order);
        seen.extend(page);
    }
    assert_eq!(seen.len(), 23);
    assert!(seen.is_sorted_by(|a, b| a.attempt.order < b.attempt.order));
    let order = store
        .order(CAMPAIGN, seen[0].attempt.order)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(seen[0], order);
    for n in 0..5 {
        past.dead_letter("dead", 100 + n, &event(&format!("d{n}"), "k"))
            .await;
    }
    let first = store.stranded(CAMPAIGN, None, 3).await.expect("asked");
    let rest = store
        .stranded(CAMPAIGN, Some(first[2].0), 3)
        .await
        .expect("asked");
    assert_eq!((first.len(), rest.len()), (3, 2));
    let (id, event) = &rest[1];
    let event = event.as_ref().expect("the record as it was");
    assert_eq!(event.order, *id);
}

on_both!(
    orders_among_the_dead_letters_hold_what_they_took,
    pages_follow_each_other_without_a_gap,
);
