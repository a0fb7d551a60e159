//! Many campaigns lose their memory at once: they are rebuilt beside each other and wait for landing together, those first
//! that buyers ask for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::bus::{Acknowledge, BusError, Forward, Outbound, Producer, embedded as bus};
use rushgate::campaign::Campaign;
use rushgate::engine::embedded::Embedded;
use rushgate::engine::{Engine, EngineError};
use rushgate::lua::reply::Reply;
use rushgate::lua::{Args, Script};
use rushgate::reconcile::{self, RebuildError, Reconcile};
use rushgate::revision::Revision;
use testkit::database::{self, Database};

use crate::memory::sale::{PATIENCE, POLL, campaign, now, revision};

const SALES: usize = 100;

/// Notes the gates in the order in which they open.
struct Noting {
    inner: Embedded,
    opened: Mutex<Vec<String>>,
    /// Scripts that end an attempt to rebuild are refused, so many times.
    refuse: AtomicUsize,
}

impl Noting {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Embedded::new(),
            opened: Mutex::default(),
            refuse: AtomicUsize::new(0),
        })
    }

    fn opened(&self) -> Vec<String> {
        self.opened.lock().expect("no panic").clone()
    }
}

impl Engine for Noting {
    fn name(&self) -> &'static str {
        "noting"
    }

    fn run<'a>(
        &'a self,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        self.inner.run(script, key, args)
    }

    fn incarnation(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        self.inner.incarnation()
    }

    fn run_on<'a>(
        &'a self,
        incarnation: &'a str,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        async move {
            let ends = script.name == "restore" && args[0] == *b"finish";
            let refuses = |n: usize| n.checked_sub(1);
            let (first, then) = (Ordering::SeqCst, Ordering::SeqCst);
            if ends && self.refuse.fetch_update(first, then, refuses).is_ok() {
                return Err(EngineError::Refused {
                    engine: "noting",
                    cause: "not now".into(),
                });
            }
            let reply = self.inner.run_on(incarnation, script, key, args).await;
            if ends && reply.is_ok() {
                let campaign = key.trim_start_matches("rg:{").split(".0}").next();
                let mut opened = self.opened.lock().expect("no panic");
                opened.push(campaign.expect("a state key").to_owned());
            }
            reply
        }
        .boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.inner.ping()
    }
}

/// Counts how often it is asked where the topic ends, and may not know.
struct Asked {
    inner: bus::EmbeddedProducer,
    times: AtomicUsize,
    fails: AtomicUsize,
}

impl Asked {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: bus::pair(0).0,
            times: AtomicUsize::new(0),
            fails: AtomicUsize::new(0),
        })
    }
}

impl Producer for Asked {
    fn publish(&self, batch: Vec<Outbound>, acknowledge: Acknowledge) {
        self.inner.publish(batch, acknowledge);
    }

    fn forward(&self, records: Vec<Forward>, acknowledge: Acknowledge) {
        self.inner.forward(records, acknowledge);
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool> {
        self.inner.flush(limit)
    }

    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        self.times.fetch_add(1, Ordering::SeqCst);
        let (first, then) = (Ordering::SeqCst, Ordering::SeqCst);
        if self
            .fails
            .fetch_update(first, then, |n: usize| n.checked_sub(1))
            .is_ok()
        {
            return async { Err(BusError::Unreadable("nobody knows".into())) }.boxed();
        }
        self.inner.high_watermarks(topic)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>> {
        self.inner.ping()
    }
}

fn name(n: usize) -> String {
    format!("sale-{n}")
}

/// Sales whose gates were open once; the engine knows nothing of them any more. Over one connection the database answers in
/// the order in which it is asked, as SQLite's lock between two does not.
async fn sales(count: usize) -> Database {
    let mut database = database::sqlite().await;
    database.store = database.store.apart(1);
    for n in 0..count {
        let (campaign, revision) = (
            Campaign {
                id: name(n),
                ..campaign(10)
            },
            Revision {
                campaign: name(n),
                ..revision()
            },
        );
        let store = &database.store;
        store.insert_campaign(&campaign, &revision).await.expect("stored");
        testkit::database::activate(store, &name(n), 1, now())
            .await
            .expect("raised");
    }
    database
}

fn rebuilder(
    owner: &str,
    engine: &Arc<Noting>,
    producer: &Arc<Asked>,
    database: &Database,
) -> Arc<Reconcile> {
    let config = reconcile::Config {
        grace: Duration::from_millis(300),
        poll: POLL,
        ..reconcile::Config::default()
    };
    Arc::new(Reconcile::new(
        config,
        engine.clone(),
        producer.clone(),
        database.store.clone(),
        owner.into(),
        Arc::new(now),
    ))
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_wait_for_landing_together_and_those_first_that_are_asked_for() {
    let database = sales(SALES).await;
    let (engine, producer) = (Noting::new(), Asked::new());
    let reconcile = rebuilder("one", &engine, &producer, &database);
    for n in 0..SALES {
        reconcile.rebuild_soon(&name(n), 0);
    }
    let asked_for = name(SALES - 1);
    reconcile.hurry(&asked_for);
    until("the gates stay closed", || engine.opened().len() >= SALES).await;
    let opened = engine.opened();
    assert_eq!(opened.len(), SALES, "each is opened once");
    let place = opened.iter().position(|campaign| *campaign == asked_for);
    assert!(
        place.expect("it is open") < SALES / 4,
        "it was asked for, and came {place:?}"
    );
    let times = producer.times.load(Ordering::SeqCst);
    assert!(
        times < SALES / 2,
        "Kafka was asked {times} times for {SALES} campaigns"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_gateways_share_the_work() {
    let database = sales(SALES).await;
    let (engine, producer) = (Noting::new(), Asked::new());
    let gateways = ["one", "two"].map(|owner| rebuilder(owner, &engine, &producer, &database));
    for n in 0..SALES {
        for gateway in &gateways {
            gateway.rebuild_soon(&name(n), 0);
        }
    }
    // Whoever finds that another is at it leaves it, as the watch does until it finds the gate open.
    until("the gates stay closed", || engine.opened().len() >= SALES).await;
    let mut opened = engine.opened();
    opened.sort();
    opened.dedup();
    assert_eq!(opened.len(), SALES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_for_one_round_is_told_to_all_of_it_and_nothing_opens() {
    let database = sales(5).await;
    let (engine, producer) = (Noting::new(), Asked::new());
    producer.fails.store(usize::MAX, Ordering::SeqCst);
    let reconcile = rebuilder("one", &engine, &producer, &database);
    let names: Vec<String> = (0..5).map(name).collect();
    let rebuilds = names.iter().map(|campaign| reconcile.rebuild(campaign, 0));
    for outcome in futures_util::future::join_all(rebuilds).await {
        assert!(matches!(outcome, Err(RebuildError::Bus(_))), "{outcome:?}");
    }
    assert!(engine.opened().is_empty());
    producer.fails.store(0, Ordering::SeqCst);
    let rebuilds = names.iter().map(|campaign| reconcile.rebuild(campaign, 0));
    let outcomes = futures_util::future::join_all(rebuilds).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(engine.opened().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_that_fail_half_way_hold_up_nobody() {
    let database = sales(20).await;
    let (engine, producer) = (Noting::new(), Asked::new());
    let reconcile = rebuilder("one", &engine, &producer, &database);
    engine.refuse.store(10, Ordering::SeqCst);
    for n in 0..20 {
        reconcile.rebuild_soon(&name(n), 0);
    }
    until("the others wait for them", || engine.opened().len() >= 10).await;
    // The watch finds those that are still closed.
    until("the gates stay closed", || {
        for n in 0..20 {
            reconcile.rebuild_soon(&name(n), 0);
        }
        engine.opened().len() >= 20
    })
    .await;
}
