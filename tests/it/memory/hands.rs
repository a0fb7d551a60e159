//! Who rebuilds: one at a time, and whoever dies or freezes half-way changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::bus::{Producer, embedded};
use rushgate::engine::redis::{Config, Redis};
use rushgate::engine::{Engine, EngineError};
use rushgate::lua::reply::Reply;
use rushgate::lua::{Args, Script};
use rushgate::reconcile::{RebuildError, Rebuilt, Reconcile};
use tokio::sync::Notify;

use crate::memory::restored::Past;
use crate::memory::sale::{CAMPAIGN, landed, rebuilder, used};

/// What happens around the first charge that a rebuilder restores.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    Before,
    After,
}

/// An engine that stops at the first charge, until it is told to go on.
struct Stopping {
    inner: Redis,
    stop: Stop,
    stopped: AtomicBool,
    reached: Notify,
    go_on: Notify,
}

impl Stopping {
    fn new(past: &Past, stop: Stop) -> Arc<Self> {
        Arc::new(Self {
            inner: Redis::new(Config::new(past.address.url())).expect("a URL"),
            stop,
            stopped: AtomicBool::new(false),
            reached: Notify::new(),
            go_on: Notify::new(),
        })
    }

    async fn stop(&self) {
        self.reached.notify_one();
        self.go_on.notified().await;
    }
}

impl Engine for Stopping {
    fn name(&self) -> &'static str {
        self.inner.name()
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
            let charges = script.name == "restore" && args[0] == *b"charge";
            let stops = charges && !self.stopped.swap(true, Ordering::SeqCst);
            if stops && self.stop == Stop::Before {
                self.stop().await;
            }
            let reply = self.inner.run_on(incarnation, script, key, args).await;
            if stops && self.stop == Stop::After {
                self.stop().await;
            }
            reply
        }
        .boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.inner.ping()
    }
}

type Running = tokio::task::JoinHandle<Result<Rebuilt, RebuildError>>;

/// A rebuilder that stops at the first charge; answers when it has.
async fn stopped(past: &Past, engine: &Arc<Stopping>) -> Running {
    let rebuilder = rebuilder("first", engine.clone(), past.producer(), &past.database.store);
    let running = tokio::spawn(async move { rebuilder.rebuild(CAMPAIGN, 0).await });
    engine.reached.notified().await;
    running
}

async fn whole(past: &Past) {
    assert_eq!(used(&past.server), landed(&past.database.store).await);
    assert_eq!(past.left().await, 100 - 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_dies_half_way_is_followed_by_another() {
    let past = Past::of(20, testkit::database::sqlite().await).await;
    let engine = Stopping::new(&past, Stop::After);
    let first = stopped(&past, &engine).await;
    let second = past.rebuilder("second");
    let refused = second.rebuild(CAMPAIGN, 0).await;
    assert!(matches!(refused, Err(RebuildError::Elsewhere)), "{refused:?}");
    first.abort();
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
    let opened = second.open(CAMPAIGN).await.expect("its lease ran out");
    assert!(
        matches!(opened, Rebuilt::Restored { orders: 20, .. }),
        "{opened:?}"
    );
    whole(&past).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_only_frozen_writes_nothing_more() {
    let past = Past::of(20, testkit::database::sqlite().await).await;
    let engine = Stopping::new(&past, Stop::Before);
    let first = stopped(&past, &engine).await;
    let opened = past.rebuilder("second").open(CAMPAIGN).await;
    assert!(matches!(opened, Ok(Rebuilt::Restored { orders: 20, .. })));
    engine.go_on.notify_one();
    let late = first.await.expect("no panic");
    assert!(matches!(late, Err(RebuildError::Elsewhere)), "{late:?}");
    whole(&past).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_server_restarts_half_way_begins_again() {
    let mut past = Past::of(20, testkit::database::sqlite().await).await;
    let engine = Stopping::new(&past, Stop::After);
    let first = stopped(&past, &engine).await;
    past.server.down();
    past.server.up();
    engine.go_on.notify_one();
    // What broke was a call whose outcome nobody knows, or the next one found another server.
    match first.await.expect("no panic") {
        Ok(rebuilt) => assert!(matches!(rebuilt, Rebuilt::Restored { orders: 20, .. })),
        Err(error) => {
            assert!(matches!(error, RebuildError::Engine(_)), "{error}");
            past.rebuilder("first").open(CAMPAIGN).await.expect("it opens");
        }
    }
    whole(&past).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_only_one_does_it() {
    let past = Past::of(20, testkit::database::sqlite().await).await;
    let rebuilders: Vec<Reconcile> = (0..5).map(|n| past.rebuilder(&format!("gateway-{n}"))).collect();
    let opened = rebuilders.iter().map(|rebuilder| rebuilder.open(CAMPAIGN));
    let opened = futures_util::future::join_all(opened).await;
    let restored = opened
        .iter()
        .filter(|rebuilt| matches!(rebuilt, Ok(Rebuilt::Restored { orders: 20, .. })));
    assert_eq!(restored.count(), 1, "{opened:?}");
    let open = opened
        .iter()
        .filter(|rebuilt| matches!(rebuilt, Ok(Rebuilt::Open)));
    assert_eq!(open.count(), 4, "{opened:?}");
    whole(&past).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lander_that_is_behind_is_named_with_its_partition() {
    let past = Past::of(20, testkit::database::sqlite().await).await;
    // Somebody has published what nobody lands.
    let (producer, _consumer) = embedded::pair(25);
    let producer: Arc<dyn Producer> = Arc::new(producer);
    let rebuilder = past.rebuilder_over("only", producer, std::time::Duration::from_millis(50));
    let error = rebuilder.rebuild(CAMPAIGN, 0).await.expect_err("it gives up");
    let text = error.to_string();
    assert!(
        text.contains("partition 0 is at 20 of 25") && text.contains("rushgate land"),
        "{text}"
    );
}
