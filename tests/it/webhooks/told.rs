//! What is told passes webhooks before it counts as told: where it cannot be kept for them, it is told again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::bus::{Topics, embedded};
use rushgate::events::{self, Events, Needs};
use rushgate::needs::Hooks;
use rushgate::order::{OrderState, Release, ToldChange};
use rushgate::store::OrderChange;
use rushgate::webhooks::Intake;
use testkit::database::{Database, NOW, TOPIC, order, sale, slice};
use testkit::on_both;

use crate::webhooks::house::House;

on_both!(what_cannot_be_kept_is_told_again_and_kept_once);

/// Keeps nothing a few times.
struct Faltering {
    intake: Arc<Intake>,
    failures: AtomicUsize,
}

impl Hooks for Faltering {
    fn queue<'a>(&'a self, changes: &'a [ToldChange]) -> BoxFuture<'a, Result<(), String>> {
        let one_less = |left: usize| left.checked_sub(1);
        let fails = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        match fails {
            Ok(_) => std::future::ready(Err("the disk is full".to_owned())).boxed(),
            Err(_) => self.intake.queue(changes),
        }
    }
}

async fn what_cannot_be_kept_is_told_again_and_kept_once(db: Database) {
    sale(&db.store, 10).await;
    let house = House::reaching(db, "10.0.0.0/8", Arc::new(rushgate::reaching::System));
    house.hook("http://10.0.0.1/").await;
    let store = &house.db.store;
    let (bus, _orders) = embedded::pair(0);
    let hooks = Arc::new(Faltering {
        intake: house.intake.clone(),
        failures: AtomicUsize::new(2),
    });
    let needs = Needs {
        store: store.clone(),
        producer: Arc::new(bus),
        log: None,
        topics: Topics::new(TOPIC, "").expect("no delays"),
        hooks: Some(hooks.clone()),
    };
    let events = Events::spawn(&events::Config::default(), needs);
    let landed = order("ada", "k");
    let id = landed.order;
    store
        .land(TOPIC, &[slice(0, 0, vec![landed])], NOW)
        .await
        .expect("landed");
    let paid = OrderChange {
        to: OrderState::Paid,
        actor: "till",
        reason: "paid",
        note: None,
        key: None,
        release: Release::All,
    };
    store
        .change_order("spring", id, paid)
        .await
        .expect("asked")
        .expect("it has landed");
    house.until_in_state("waiting", 2).await;
    house
        .until("SELECT COUNT(*) FROM order_changes WHERE told_at IS NULL", 0)
        .await;
    assert_eq!(hooks.failures.load(Ordering::SeqCst), 0);
    assert!(events.metrics.failures.get() >= 2);
    let events = "SELECT COUNT(DISTINCT event) FROM webhook_deliveries";
    assert_eq!(house.db.number(events).await, 2, "confirmed and paid");
}
