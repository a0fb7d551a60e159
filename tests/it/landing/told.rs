//! Changes of orders are told as they land, and what was not is told later: over the embedded bus, which keeps no record that has
//! landed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use rushgate::audit::AuditLine;
use rushgate::bus::{Acknowledge, Forward, ORDER_EVENTS_TOPIC, Topics};
use rushgate::events::{self, Events, Needs};
use rushgate::order::{OrderId, OrderState, Release, ToldChange};
use rushgate::store::OrderChange;
use sqlx::{Executor as _, Row as _};

use super::*;

testkit::on_both!(
    everything_that_lands_is_told_once_it_is_in_the_database,
    what_landed_and_was_not_told_is_told_from_the_orders,
    landing_goes_on_while_nobody_takes_events,
    where_nothing_is_told_what_lands_counts_as_told,
    an_offset_set_back_is_landed_and_told_again,
    later_changes_are_told_each_with_its_number,
    later_changes_that_nobody_told_are_told_by_whoever_comes,
);

/// Passes on to the bus what it is given, once it may.
struct Gate {
    bus: EmbeddedProducer,
    open: AtomicBool,
}

impl Producer for Gate {
    fn publish(&self, batch: Vec<Outbound>, acknowledge: Acknowledge) {
        self.bus.publish(batch, acknowledge);
    }

    fn forward(&self, records: Vec<Forward>, acknowledge: Acknowledge) {
        match self.open.load(Ordering::Acquire) {
            true => self.bus.forward(records, acknowledge),
            false => acknowledge(Err(BusError::Unacknowledged("shut".to_owned()))),
        }
    }

    fn in_flight(&self) -> usize {
        self.bus.in_flight()
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool> {
        self.bus.flush(limit)
    }

    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        self.bus.high_watermarks(topic)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>> {
        self.bus.ping()
    }
}

/// A bus, who tells over it, and who hears.
struct Stage {
    bus: EmbeddedProducer,
    gate: Arc<Gate>,
    events: Events,
    ears: EmbeddedConsumer,
    heard: Vec<ToldChange>,
}

impl Stage {
    fn new(store: &Store, enabled: bool, open: bool) -> (Self, EmbeddedConsumer) {
        let (bus, orders) = embedded::pair(0);
        let ears = bus.consumer(ORDER_EVENTS_TOPIC, 0);
        let gate = Arc::new(Gate {
            bus: bus.clone(),
            open: open.into(),
        });
        let needs = Needs {
            store: store.clone(),
            producer: gate.clone(),
            log: None,
            topics: Topics::new(TOPIC, "").expect("no delays"),
            hooks: None,
        };
        let events = Events::spawn(&events::Config { enabled }, needs);
        let stage = Self {
            bus,
            gate,
            events,
            ears,
            heard: Vec::new(),
        };
        (stage, orders)
    }

    fn land(&self, store: &Store, orders: EmbeddedConsumer) -> LandingHandle {
        let landing = Landing::spawn_telling(
            quick(),
            Box::new(orders),
            Arc::new(self.bus.clone()),
            store.clone(),
            Handle::current(),
            Metrics::default(),
            self.events.teller(),
        );
        landing.expect("a thread")
    }

    /// Listens until what it heard last of every order is what the database has.
    async fn until_equal(&mut self, db: &Database) {
        let begun = Instant::now();
        let mut often = tokio::time::interval(Duration::from_millis(20));
        loop {
            for record in records(&mut self.ears) {
                self.heard
                    .push(ToldChange::decode(&record.payload).expect("a change"));
            }
            let (told, stored) = (self.states(), states(db).await);
            if told == stored {
                return;
            }
            let (told, stored) = (told.len(), stored.len());
            assert!(begun.elapsed() < LIMIT, "{told} told, {stored} in the database");
            often.tick().await;
        }
    }

    /// The newest state of each order, by its number.
    fn states(&self) -> BTreeMap<String, String> {
        let mut newest: BTreeMap<OrderId, &ToldChange> = BTreeMap::new();
        for change in &self.heard {
            let known = newest.entry(change.order).or_insert(change);
            if change.number > known.number {
                *known = change;
            }
        }
        let state = |change: &ToldChange| change.state.as_str().to_owned();
        let states = newest.into_iter();
        states
            .map(|(order, change)| (order.to_string(), state(change)))
            .collect()
    }

    /// Whether the changes of every order are numbered from 1 without a gap.
    fn has_no_gap(&self) -> bool {
        let mut numbers: BTreeMap<OrderId, BTreeSet<u32>> = BTreeMap::new();
        for change in &self.heard {
            numbers.entry(change.order).or_default().insert(change.number);
        }
        let whole = |numbers: &BTreeSet<u32>| numbers.last() == Some(&(numbers.len() as u32));
        numbers.values().all(whole)
    }
}

async fn states(db: &Database) -> BTreeMap<String, String> {
    let mut connection = db.raw().await;
    let rows = connection.fetch_all("SELECT order_id, state FROM orders").await;
    let rows = rows.expect("read");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn until_number(db: &Database, sql: &str, number: i64) {
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(20));
    while db.number(sql).await != number {
        assert!(begun.elapsed() < LIMIT, "never {number}: {sql}");
        often.tick().await;
    }
}

async fn until_told(db: &Database) {
    until_number(
        db,
        "SELECT COUNT(*) FROM landing_offsets WHERE told <> next_offset",
        0,
    )
    .await;
}

fn some(users: std::ops::Range<u32>) -> Vec<Outbound> {
    users.map(|n| outbound(&order(&format!("u{n}"), "1"))).collect()
}

async fn everything_that_lands_is_told_once_it_is_in_the_database(db: Database) {
    sale(&db.store, 250).await;
    let (mut stage, orders) = Stage::new(&db.store, true, true);
    let landing = stage.land(&db.store, orders);
    assert_eq!(wait(&publish(&stage.bus, some(0..200))), Ok(()));
    // Some of them again, and more than there are units for.
    assert_eq!(wait(&publish(&stage.bus, some(150..300))), Ok(()));
    stage.until_equal(&db).await;
    let count = |state| {
        let states = stage.states().into_values();
        states.filter(|each| each == state).count()
    };
    assert_eq!((count("confirmed"), count("revoked")), (250, 50));
    for change in &stage.heard {
        assert_eq!((change.number, change.campaign.as_str()), (1, "spring"));
        assert_eq!(change.reason.is_some(), change.state == OrderState::Revoked);
        assert!(change.at > NOW && change.placed_at == NOW - 5, "{change:?}");
    }
    let confirmed = stage
        .heard
        .iter()
        .find(|change| change.user == "u0")
        .expect("told");
    let row = db
        .store
        .order("spring", confirmed.order)
        .await
        .expect("read")
        .expect("there");
    assert_eq!(Some(confirmed.at), row.confirmed_at);
    let revoked = stage
        .heard
        .iter()
        .find(|change| change.state == OrderState::Revoked);
    assert_eq!(revoked.expect("told").reason.as_deref(), Some("oversold"));
    until_told(&db).await;
    stop(landing).await;
    stage.events.stop(LIMIT).await;
}

async fn what_landed_and_was_not_told_is_told_from_the_orders(db: Database) {
    sale(&db.store, 10_000).await;
    // As a lander of a release before, or one that died.
    let (bus, landing) = start(&db.store);
    for batch in 0..3 {
        assert_eq!(
            wait(&publish(&bus, some(batch * 1000..batch * 1000 + 900))),
            Ok(())
        );
    }
    stop(landing).await;
    assert_eq!(db.number("SELECT told FROM landing_offsets").await, 0);
    let (mut stage, _orders) = Stage::new(&db.store, true, true);
    stage.until_equal(&db).await;
    assert_eq!(stage.heard.len(), 2700, "each once");
    until_told(&db).await;
    assert_eq!(stage.events.metrics.again.get(), 2700);
}

async fn landing_goes_on_while_nobody_takes_events(db: Database) {
    sale(&db.store, 10_000).await;
    let (mut stage, orders) = Stage::new(&db.store, true, false);
    let landing = stage.land(&db.store, orders);
    for batch in 0..5 {
        assert_eq!(
            wait(&publish(&stage.bus, some(batch * 100..batch * 100 + 100))),
            Ok(())
        );
    }
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 500);
    let metrics = stage.events.metrics.clone();
    database::until("it is tried in vain", || metrics.failures.get() > 0).await;
    assert_eq!(db.number("SELECT told FROM landing_offsets").await, 0);
    database::until("it is said", || metrics.behind.records() == 500).await;
    stage.gate.open.store(true, Ordering::Release);
    stage.until_equal(&db).await;
    until_told(&db).await;
    database::until("nothing is behind", || metrics.behind.records() == 0).await;
    // What lands now is told as it lands.
    let again = metrics.again.get();
    assert_eq!(wait(&publish(&stage.bus, some(500..600))), Ok(()));
    stage.until_equal(&db).await;
    assert_eq!(metrics.again.get(), again);
    stop(landing).await;
}

async fn where_nothing_is_told_what_lands_counts_as_told(db: Database) {
    sale(&db.store, 1000).await;
    let (mut stage, orders) = Stage::new(&db.store, false, true);
    assert!(stage.events.teller().is_none());
    let landing = stage.land(&db.store, orders);
    assert_eq!(wait(&publish(&stage.bus, some(0..50))), Ok(()));
    until_told(&db).await;
    assert_eq!(stage.events.metrics.told.get(), 0);
    assert_eq!(records(&mut stage.ears), []);
    stop(landing).await;
    change(&db, 0..3, to(OrderState::Paid, "paid")).await;
    until_number(&db, UNTOLD, 0).await;
    assert_eq!(stage.events.metrics.told.get(), 0);
    drop(stage);
    // Switched on, it goes on from there.
    let (mut stage, _orders) = Stage::new(&db.store, true, true);
    // Placed after the others: by that moment they are found.
    let late = |n: u32| OrderEvent {
        placed_at: NOW,
        ..order(&format!("u{n}"), "1")
    };
    let slice = slice(0, 50, (50..60).map(late).collect());
    db.store.land(TOPIC, &[slice], NOW).await.expect("landed");
    let metrics = stage.events.metrics.clone();
    database::until("they are told", || metrics.told.get() == 10).await;
    let told = records(&mut stage.ears);
    assert_eq!(told.len(), 10);
}

/// What stands below an offset that goes back is told again with what lands there.
async fn an_offset_set_back_is_landed_and_told_again(db: Database) {
    sale(&db.store, 1000).await;
    let (stage, orders) = Stage::new(&db.store, true, true);
    let landing = stage.land(&db.store, orders);
    assert_eq!(wait(&publish(&stage.bus, some(0..20))), Ok(()));
    until_told(&db).await;
    stop(landing).await;
    stage.events.stop(LIMIT).await;
    // The topic was made anew: its offsets stand for other orders.
    let anew = (100..105).map(|n| order(&format!("u{n}"), "1"));
    let slice = slice(0, 0, anew.collect());
    let landed = db.store.land(TOPIC, &[slice], NOW).await.expect("landed");
    assert_eq!((landed.confirmed, landed.recovered), (5, 5));
    let row = "SELECT next_offset * 100 + told FROM landing_offsets";
    assert_eq!(db.number(row).await, 500, "they are to be told");
    let (mut stage, _orders) = Stage::new(&db.store, true, true);
    stage.until_equal(&db).await;
    until_told(&db).await;
}

fn to(state: OrderState, reason: &str) -> OrderChange<'_> {
    OrderChange {
        to: state,
        actor: "eve",
        reason,
        note: None,
        key: None,
        release: Release::All,
    }
}

async fn change(db: &Database, users: std::ops::Range<u32>, change: OrderChange<'_>) {
    let ids: Vec<OrderId> = users.map(|n| order(&format!("u{n}"), "1").order).collect();
    for some in ids.chunks(500) {
        let changed = db.store.change_orders("spring", some, change).await;
        assert_eq!(changed.expect("asked").len(), some.len());
    }
}

const UNTOLD: &str = "SELECT COUNT(*) FROM order_changes WHERE told_at IS NULL";

async fn later_changes_are_told_each_with_its_number(db: Database) {
    sale(&db.store, 100).await;
    let (mut stage, orders) = Stage::new(&db.store, true, true);
    let landing = stage.land(&db.store, orders);
    assert_eq!(wait(&publish(&stage.bus, some(0..20))), Ok(()));
    change(&db, 0..8, to(OrderState::Paid, "paid")).await;
    change(&db, 0..2, to(OrderState::Refunded, "broken")).await;
    change(&db, 8..12, to(OrderState::Cancelled, "fraud")).await;
    // Given up: it never comes through landing.
    let lost = order("lost", "1");
    let line = AuditLine::new(NOW, "eve", "reconcile", "spring", serde_json::json!({}));
    let given_up = db.store.give_up(&lost, line);
    assert_eq!(given_up.await, Ok(true));
    until_number(&db, UNTOLD, 0).await;
    until_told(&db).await;
    stage.until_equal(&db).await;
    assert!(stage.has_no_gap());
    let of = |user: &str| {
        let heard = stage.heard.iter().filter(|change| change.user == user);
        let mut heard: Vec<(u32, &str, Option<&str>)> = heard
            .map(|change| (change.number, change.state.as_str(), change.reason.as_deref()))
            .collect();
        heard.sort_unstable();
        heard
    };
    let refunded = [
        (1, "confirmed", None),
        (2, "paid", Some("paid")),
        (3, "refunded", Some("broken")),
    ];
    assert_eq!(of("u1"), refunded);
    assert_eq!(
        of("u9"),
        [(1, "confirmed", None), (2, "cancelled", Some("fraud"))]
    );
    assert_eq!(of("lost"), [(1, "revoked", Some("lost"))]);
    let cancelled = stage
        .heard
        .iter()
        .find(|change| change.state == OrderState::Cancelled);
    assert_eq!(cancelled.expect("told").actor.as_deref(), Some("eve"));
    stop(landing).await;
}

/// More than are told at once; what was confirmed before anybody told is told as well, and as confirmed.
async fn later_changes_that_nobody_told_are_told_by_whoever_comes(db: Database) {
    sale(&db.store, 10_000).await;
    let (bus, landing) = start(&db.store);
    assert_eq!(wait(&publish(&bus, some(0..1500))), Ok(()));
    stop(landing).await;
    change(&db, 0..1500, to(OrderState::Paid, "paid")).await;
    assert_eq!(db.number(UNTOLD).await, 1500);
    let (mut stage, _orders) = Stage::new(&db.store, true, true);
    stage.until_equal(&db).await;
    until_told(&db).await;
    database::until("both changes of each are told", || {
        stage.events.metrics.told.get() == 3000
    })
    .await;
    for record in records(&mut stage.ears) {
        let change = ToldChange::decode(&record.payload).expect("a change");
        stage.heard.push(change);
    }
    assert!(stage.has_no_gap());
    until_number(&db, UNTOLD, 0).await;
}
