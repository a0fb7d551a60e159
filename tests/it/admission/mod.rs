//! Admission and relay over the embedded engine: hang-ups, fences, overload, a bus that refuses.

mod bodies;
mod claims;
mod clocks;
mod front;
mod pace;
mod paused;
mod prechecks;
mod records;
mod reopened;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::admission::{Admission, AdmissionError, Config, Placement, Unsold};
use rushgate::bus::{Acknowledge, BusError, Forward, Outbound, Producer};
use rushgate::campaign::{Activation, Campaign, RecordVersion, Schedule, Sku, buckets_for};
use rushgate::engine::embedded::Embedded;
use rushgate::engine::{Engine, EngineError};
use rushgate::lua::activate::{activate_args, activate_reply};
use rushgate::lua::calls::{self, ShardStatus};
use rushgate::lua::fence::Fence;
use rushgate::lua::reply::Reply;
use rushgate::lua::restore::{Restore, restore_args, restore_reply};

use rushgate::lua::keys::{self, Shard};
use rushgate::lua::{Args, Script, fixed};
use rushgate::needs::{Rebuilder, Rules};
use rushgate::order::{Attempt, OrderEvent, OrderId, OrderState};
use rushgate::outbox;
use rushgate::plan::{Attribute, Constraint, Counter, Expr, Measure, Plan, Window};
use rushgate::record::{self, Payload};
use rushgate::relay::{self, Relay};
use rushgate::revision::Revision;
use rushgate::ruleset::{Active, Compiled, Ruleset};
use tokio::sync::mpsc;

const CAMPAIGN: &str = "spring";
/// Of the orders topic when the campaign was made.
const PARTITIONS: u32 = 12;
/// 2100-01-01.
const EXPIRES_AT: i64 = 4_102_444_800_000;
const ACTIVATION: Activation = Activation {
    epoch: 1,
    revision: 1,
};

fn per_user(limit: i64) -> Plan {
    Plan {
        nodes: vec![
            Expr::Int(1),
            Expr::Counter(0),
            Expr::Add(1, 0),
            Expr::Int(limit),
            Expr::Le(2, 3),
        ],
        counters: vec![Counter {
            id: "n-per-user/orders".into(),
            key: vec![Attribute::User],
            window: Window::Campaign,
            cost: 0,
        }],
        constraints: vec![Constraint {
            when: None,
            require: 4,
            reason: "limit-per-user".into(),
            rule: "n-per-user".into(),
            retryable: false,
            sentence: format!("Each user may place at most {limit} orders."),
            measure: Some(Measure { counter: 0, limit: 3 }),
        }],
        ..Plan::default()
    }
}

fn active(limit: i64, activation: Activation) -> Arc<Active> {
    active_with(per_user(limit), activation)
}

fn active_with(plan: Plan, activation: Activation) -> Arc<Active> {
    let skus = vec![Sku::new("mug", 10)];
    let campaign = Campaign {
        id: CAMPAIGN.into(),
        title: "Spring".into(),
        buckets: buckets_for(&skus),
        skus: skus.into(),
        uid: "u1".into(),
        shards: 1,
        partitions: Some(PARTITIONS),
        record_version: RecordVersion::V2,
        created_at: 0,
    };
    let now = jiff::Timestamp::now().as_millisecond();
    let revision = Revision {
        campaign: CAMPAIGN.into(),
        number: activation.revision,
        rules: vec![],
        schedule: Schedule {
            opens_at: now - 3_600_000,
            closes_at: now + 3_600_000,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        plan,
        plan_digest: "d".into(),
        audiences: Default::default(),
        folds: Default::default(),
        shadow: None,
        stock: None,
        created_at: 0,
    };
    let compiled = Compiled::build(campaign, revision).expect("a valid plan");
    Arc::new(Active::new(compiled, activation, Vec::new()))
}

/// An engine that can be made to fail, in front of the embedded one.
struct Flaky {
    inner: Embedded,
    down: AtomicBool,
    /// Replies of the next so many `admit` calls are lost after they ran.
    lose: AtomicUsize,
    /// It is down from the next lost reply on.
    down_after_loss: AtomicBool,
    /// It came back with the same state under another name.
    restarted: AtomicBool,
}

impl Engine for Flaky {
    fn name(&self) -> &'static str {
        "flaky"
    }

    fn run<'a>(
        &'a self,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        async move {
            let (engine, address) = ("flaky", String::new());
            if self.down.load(Ordering::SeqCst) {
                return Err(EngineError::Unreachable {
                    engine,
                    address,
                    cause: "down".into(),
                });
            }
            let reply = self.inner.run(script, key, args).await;
            let lost = script.name == "admit"
                && self
                    .lose
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                    .is_ok();
            if lost {
                if self.down_after_loss.load(Ordering::SeqCst) {
                    self.down.store(true, Ordering::SeqCst);
                }
                return Err(EngineError::Unknown {
                    engine,
                    address,
                    cause: "reply lost".into(),
                });
            }
            reply
        }
        .boxed()
    }

    fn incarnation(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        async {
            let name = self.inner.incarnation().await?;
            Ok(match self.restarted.load(Ordering::SeqCst) {
                true => name + " again",
                false => name,
            })
        }
        .boxed()
    }

    fn run_on<'a>(
        &'a self,
        incarnation: &'a str,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        async move {
            if self.incarnation().await? != incarnation {
                return Err(EngineError::Changed { engine: "flaky" });
            }
            self.run(script, key, args).await
        }
        .boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async { Ok(()) }.boxed()
    }
}

/// A bus that keeps what it is given and acknowledges when told to.
#[derive(Default)]
struct Held {
    batches: Mutex<Vec<(Vec<Outbound>, Option<Acknowledge>)>>,
    automatic: AtomicBool,
    refuse: AtomicBool,
    refused: Mutex<Vec<Outbound>>,
    halted: OnceLock<String>,
}

impl Held {
    /// Of every order.
    fn partitions(&self) -> Vec<Option<i32>> {
        let batches = self.batches.lock().expect("no panic");
        let all = batches.iter().flat_map(|(batch, _)| batch);
        all.map(|out| out.partition).collect()
    }

    fn published(&self) -> Vec<OrderEvent> {
        let batches = self.batches.lock().expect("no panic");
        let all = batches.iter().flat_map(|(batch, _)| batch);
        all.flat_map(|out| events(&out.payload)).collect()
    }
}

/// The orders of a record, with what their plan charges.
fn events(bytes: &[u8]) -> Vec<OrderEvent> {
    let record = record::decode(bytes).expect("a record");
    let header = record.header;
    let activation = Activation {
        epoch: header.epoch,
        revision: header.revision,
    };
    let under = active(1, activation);
    let attempts = record.payloads.iter().map(|payload| {
        let payload = Payload::read(payload).expect("a payload");
        payload.attempt().expect("an attempt")
    });
    attempts
        .map(|attempt| outbox::event(&under, header.shard, &attempt, header.at))
        .collect()
}

impl Producer for Held {
    fn publish(&self, batch: Vec<Outbound>, acknowledge: Acknowledge) {
        if self.refuse.load(Ordering::SeqCst) {
            self.refused.lock().expect("no panic").extend(batch);
            return acknowledge(Err(BusError::Unacknowledged("refused".into())));
        }
        let mut batches = self.batches.lock().expect("no panic");
        if self.automatic.load(Ordering::SeqCst) {
            batches.push((batch, None));
            drop(batches);
            acknowledge(Ok(()));
        } else {
            batches.push((batch, Some(acknowledge)));
        }
    }

    fn forward(&self, _: Vec<Forward>, acknowledge: Acknowledge) {
        acknowledge(Err(BusError::Unacknowledged("a gateway forwards nothing".into())));
    }

    fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }

    fn in_flight(&self) -> usize {
        0
    }

    fn flush(&self, _: Duration) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }

    fn high_watermarks<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        async { Ok(BTreeMap::new()) }.boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>> {
        async { Ok(()) }.boxed()
    }
}

/// The database's side: the revision that is active there.
struct Database {
    ruleset: Arc<Ruleset>,
    newest: Mutex<Arc<Active>>,
    lost: AtomicUsize,
    /// It has no older revisions.
    forgot: AtomicBool,
    /// Mugs that no landed order has.
    unsold: AtomicU64,
}

impl Unsold for Database {
    fn unsold<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<HashMap<String, u64>, String>> {
        let unsold = self.unsold.load(Ordering::SeqCst);
        async move { Ok([("mug".to_owned(), unsold)].into()) }.boxed()
    }
}

impl Rules for Database {
    fn load<'a>(&'a self, campaign: &'a str, _: u64) -> BoxFuture<'a, Result<Option<Arc<Active>>, String>> {
        async move {
            if campaign != CAMPAIGN {
                return Ok(None);
            }
            let newest = self.newest.lock().expect("no panic").clone();
            self.ruleset.put(newest.clone());
            Ok(Some(newest))
        }
        .boxed()
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    fn revision<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<Option<Arc<Compiled>>, String>> {
        let newest = self.newest.lock().expect("no panic").compiled.clone();
        let found = (!self.forgot.load(Ordering::SeqCst)).then_some(newest);
        async { Ok(found) }.boxed()
    }
}

impl Rebuilder for Database {
    fn lost(self: Arc<Self>, _: &str, _: u64) {
        self.lost.fetch_add(1, Ordering::SeqCst);
    }
}

struct Stage {
    engine: Arc<Flaky>,
    bus: Arc<Held>,
    database: Arc<Database>,
    admission: Arc<Admission>,
    relay: Arc<Relay>,
}

async fn stage(config: Config) -> Stage {
    stage_of(active(1, ACTIVATION), config).await
}

async fn stage_of(first: Arc<Active>, config: Config) -> Stage {
    stage_over(Embedded::new(), first, config).await
}

async fn stage_over(inner: Embedded, first: Arc<Active>, config: Config) -> Stage {
    let engine = Arc::new(Flaky {
        inner,
        down: AtomicBool::new(false),
        lose: AtomicUsize::new(0),
        down_after_loss: AtomicBool::new(false),
        restarted: AtomicBool::new(false),
    });
    open(&*engine, &first).await;
    let ruleset = Arc::new(Ruleset::default());
    ruleset.put(first.clone());
    let database = Arc::new(Database {
        ruleset: ruleset.clone(),
        newest: Mutex::new(first),
        lost: AtomicUsize::new(0),
        forgot: AtomicBool::new(false),
        unsold: AtomicU64::new(0),
    });
    let bus = Arc::new(Held::default());
    bus.automatic.store(true, Ordering::SeqCst);
    let (outbox, fresh) = mpsc::unbounded_channel();
    let admission = Admission::new(
        config,
        engine.clone(),
        ruleset.clone(),
        database.clone(),
        database.clone(),
        outbox,
        None,
    );
    let admission = Arc::new(admission.selling(database.clone()));
    let relay = Relay::spawn(
        quick(),
        engine.clone(),
        bus.clone(),
        ruleset,
        database.clone(),
        "me".into(),
        fresh,
    );
    Stage {
        engine,
        bus,
        database,
        admission,
        relay,
    }
}

fn quick() -> relay::Config {
    relay::Config {
        age: Duration::ZERO,
        every: Duration::from_millis(5),
        ..relay::Config::default()
    }
}

async fn open(engine: &dyn Engine, active: &Active) {
    open_as(CAMPAIGN, engine, active).await;
}

async fn open_as(campaign: &str, engine: &dyn Engine, active: &Active) {
    let key = Shard::new(campaign, 0).state();
    let stock = BTreeMap::from([("mug".to_owned(), 10)]);
    let fence = active.fence();
    let plan = &active.family.plan;
    let run = engine.incarnation().await.expect("an engine has a name");
    let steps = [
        Restore::Begin {
            uid: "u1",
            expires_at: EXPIRES_AT,
        },
        Restore::Finish {
            fence: &fence,
            run: &run,
            pause: Default::default(),
            revision: active.revision.number,
            plan,
            stock: &stock,
            change: (0, 0),
            made: false,
        },
    ];
    for step in steps {
        let reply = engine
            .run(&fixed::RESTORE, &key, restore_args("t", step))
            .await
            .expect("runs");
        assert_eq!(restore_reply(reply), Ok(true));
    }
}

impl Stage {
    async fn status(&self) -> ShardStatus {
        let key = Shard::new(CAMPAIGN, 0).state();
        let reply = self
            .engine
            .inner
            .run(&fixed::WATCH, &key, Args::default())
            .await
            .expect("runs");
        calls::watch_reply(reply).expect("a status")
    }

    /// Moves the fence as an activation through another gateway does.
    async fn activate(&self, limit: i64, activation: Activation) {
        self.activate_plan(per_user(limit), activation).await;
    }

    async fn activate_plan(&self, plan: Plan, activation: Activation) {
        let newer = active_with(plan, activation);
        self.move_fence(&newer).await;
        *self.database.newest.lock().expect("no panic") = newer;
    }

    /// To this one's in the engine, whatever the database says.
    async fn move_fence(&self, active: &Active) {
        let args = activate_args(&active.fence(), active.revision.number, &active.family.plan, None);
        let key = Shard::new(CAMPAIGN, 0).state();
        let reply = self.engine.inner.run(&fixed::ACTIVATE, &key, args);
        assert_eq!(activate_reply(reply.await.expect("runs")), Ok(None));
    }

    async fn place(&self, user: &str, key: &str) -> Result<Placement, AdmissionError> {
        self.admission.place(CAMPAIGN, attempt(user, key), true).await
    }

    async fn drained(&self) {
        assert!(
            self.relay.drain(Duration::from_secs(20)).await,
            "entries stay in flight"
        );
    }
}

fn attempt(user: &str, key: &str) -> Attempt {
    Attempt {
        order: OrderId::keyed(CAMPAIGN, user, key),
        user: user.into(),
        sku: "mug".into(),
        quantity: 1,
        attributes: BTreeMap::new(),
    }
}

fn lane_partition() -> Option<i32> {
    Some(rushgate::campaign::partition_of(CAMPAIGN, 0, PARTITIONS))
}

fn state(outcome: Result<Placement, AdmissionError>) -> (OrderState, bool) {
    match outcome {
        Ok(Placement::Order { state, replayed, .. }) => (state, replayed),
        other => panic!("not an order: {other:?}"),
    }
}

fn reason(outcome: Result<Placement, AdmissionError>) -> String {
    match outcome {
        Ok(Placement::Rejected(refusal)) => refusal.reason.name().to_owned(),
        other => panic!("not rejected: {other:?}"),
    }
}

#[tokio::test]
async fn an_acknowledged_order_is_accepted_and_leaves_the_outbox() {
    let stage = stage(Config::default()).await;
    assert_eq!(
        state(stage.place("ada", "1").await),
        (OrderState::Accepted, false)
    );
    stage.drained().await;
    let status = stage.status().await;
    assert_eq!((status.outbox, status.admitted, status.settled), (0, 1, 1));
    assert_eq!(stage.bus.partitions(), [lane_partition()]);
    assert_eq!(state(stage.place("ada", "1").await), (OrderState::Accepted, true));
    assert_eq!(reason(stage.place("ada", "2").await), "limit-per-user");
    let event = stage.bus.published().remove(0);
    assert_eq!(
        (event.user.as_str(), event.charges.len(), event.revision),
        ("ada", 1, 1)
    );
}

#[tokio::test]
async fn a_caller_that_hangs_up_loses_its_answer_not_its_order() {
    let stage = stage(Config::default()).await;
    for n in 0..5 {
        let user = format!("u{n}");
        let mut placing = Box::pin(stage.place(&user, "k"));
        // One poll hands the attempt to the lane; then the caller is gone.
        assert!(futures_util::poll!(&mut placing).is_pending());
        drop(placing);
    }
    assert_eq!(state(stage.place("last", "k").await).0, OrderState::Accepted);
    stage.drained().await;
    let users: Vec<String> = stage
        .bus
        .published()
        .into_iter()
        .map(|event| event.user)
        .collect();
    assert_eq!(users.len(), 6, "{users:?}");
    assert_eq!(stage.status().await.stock["mug"], 4);
}

#[tokio::test]
async fn without_an_acknowledgement_the_answer_is_pending() {
    let config = Config {
        accept_wait: Duration::from_millis(1),
        ..Config::default()
    };
    let stage = stage(config).await;
    stage.bus.automatic.store(false, Ordering::SeqCst);
    assert_eq!(state(stage.place("ada", "1").await), (OrderState::Pending, false));
    assert_eq!(state(stage.place("ada", "1").await), (OrderState::Pending, true));
    let held: Vec<_> = stage.bus.batches.lock().expect("no panic").drain(..).collect();
    held.into_iter()
        .filter_map(|(_, acknowledge)| acknowledge)
        .for_each(|acknowledge| acknowledge(Ok(())));
    stage.drained().await;
    assert_eq!(state(stage.place("ada", "1").await), (OrderState::Accepted, true));
}

#[tokio::test]
async fn while_nothing_is_acknowledged_one_order_waits_and_the_others_do_not() {
    let wait = Duration::from_secs(2);
    let config = Config {
        accept_wait: wait,
        ..Config::default()
    };
    let stage = stage(config).await;
    stage.bus.automatic.store(false, Ordering::SeqCst);
    let timed = async |user: &str| {
        let begun = std::time::Instant::now();
        let (state, _) = state(stage.place(user, "1").await);
        (state, begun.elapsed() >= wait)
    };
    assert_eq!(timed("ada").await, (OrderState::Pending, true));
    assert!(stage.admission.delivery_fails());
    for user in ["bob", "cy", "dan"] {
        assert_eq!(timed(user).await, (OrderState::Pending, false), "{user}");
    }
    let acknowledge = stage.bus.batches.lock().expect("no panic").remove(0).1;
    acknowledge.expect("it waits")(Ok(()));
    assert!(
        !stage.admission.delivery_fails(),
        "the first acknowledgement does"
    );
    stage.bus.automatic.store(true, Ordering::SeqCst);
    assert_eq!(timed("eve").await, (OrderState::Accepted, false));
}

#[tokio::test]
async fn what_the_bus_refuses_stays_in_the_outbox_and_is_relayed() {
    let stage = stage(Config::default()).await;
    stage.bus.refuse.store(true, Ordering::SeqCst);
    assert_eq!(state(stage.place("ada", "1").await), (OrderState::Pending, false));
    assert!(stage.admission.delivery_fails(), "a batch came back");
    assert_eq!(stage.status().await.outbox, 1);
    stage.bus.refuse.store(false, Ordering::SeqCst);
    while stage.status().await.outbox > 0 {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let relayed = stage.bus.published();
    assert_eq!(relayed.len(), 1);
    assert_eq!(relayed[0].charges.len(), 1, "the charges are computed again");
    assert_eq!(stage.bus.partitions(), [lane_partition()], "whoever publishes it");
    assert!(stage.relay.metrics().relayed.get() >= 1);
}

/// Waits until so many entries are left in the outbox.
async fn until_outbox(stage: &Stage, entries: i64) {
    while stage.status().await.outbox != entries {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn an_entry_of_a_revision_that_is_not_there_is_counted_once_and_holds_up_no_other() {
    let stage = stage(Config::default()).await;
    stage.bus.refuse.store(true, Ordering::SeqCst);
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Pending);
    stage.database.forgot.store(true, Ordering::SeqCst);
    let second = Activation {
        epoch: 2,
        revision: 2,
    };
    stage.activate(2, second).await;
    for user in ["bob", "cy"] {
        stage.bus.refuse.store(true, Ordering::SeqCst);
        assert_eq!(state(stage.place(user, "1").await).0, OrderState::Pending);
        assert_eq!(stage.status().await.outbox, 2);
        stage.bus.refuse.store(false, Ordering::SeqCst);
        until_outbox(&stage, 1).await;
    }
    while stage.relay.stuck() != BTreeMap::from([(CAMPAIGN.to_owned(), 1)]) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(stage.relay.metrics().unreadable.get(), 1);
    assert_eq!(
        stage.bus.published().len(),
        2,
        "those of the revision that is there"
    );
}

#[tokio::test]
async fn what_a_halted_gateway_left_is_relayed_by_another() {
    let stage = stage(Config::default()).await;
    stage.bus.halted.set("no key".into()).expect("once");
    stage.bus.refuse.store(true, Ordering::SeqCst);
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Pending);
    let other = Arc::new(Held::default());
    other.automatic.store(true, Ordering::SeqCst);
    let (_none, fresh) = mpsc::unbounded_channel();
    let _relay = Relay::spawn(
        quick(),
        stage.engine.clone(),
        other.clone(),
        stage.database.ruleset.clone(),
        stage.database.clone(),
        "another".into(),
        fresh,
    );
    // The halted one takes no right to the shard, and what it had runs out.
    until_outbox(&stage, 0).await;
    assert_eq!(other.published().len(), 1);
}

#[tokio::test]
async fn a_stale_gateway_decides_again_under_the_newer_revision() {
    let stage = stage(Config::default()).await;
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Accepted);
    stage
        .activate(
            2,
            Activation {
                epoch: 2,
                revision: 2,
            },
        )
        .await;
    match stage.place("ada", "2").await {
        Ok(Placement::Order { placed, .. }) => assert_eq!(placed.revision, 2),
        other => panic!("{other:?}"),
    }
    assert_eq!(reason(stage.place("ada", "3").await), "limit-per-user");
}

#[tokio::test]
async fn a_newer_revision_sees_what_the_older_one_did_not_read() {
    let stage = stage(Config::default()).await;
    let plan = Plan {
        required: vec![Attribute::Client("device".into())],
        ..per_user(1)
    };
    stage
        .activate_plan(
            plan,
            Activation {
                epoch: 2,
                revision: 2,
            },
        )
        .await;
    let mut attempt = attempt("ada", "1");
    attempt.attributes.insert("client:device".into(), "phone".into());
    let outcome = stage.admission.place(CAMPAIGN, attempt, true).await;
    assert_eq!(state(outcome), (OrderState::Accepted, false));
    assert_eq!(stage.bus.published()[0].attributes["client:device"], "phone");
}

#[tokio::test]
async fn a_lost_reply_is_asked_again_and_decided_once() {
    let stage = stage(Config::default()).await;
    stage.engine.lose.store(1, Ordering::SeqCst);
    let outcome = stage.place("ada", "1").await;
    assert!(state(outcome).1, "the second call finds what the first decided");
    stage.drained().await;
    while stage.status().await.outbox > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(stage.status().await.stock["mug"], 9);
    assert_eq!(
        stage.bus.published().len(),
        1,
        "the sweep publishes what no answer was read of"
    );
}

#[tokio::test]
async fn a_dead_engine_is_a_deadline_and_nothing_is_counted() {
    let config = Config {
        deadline: Duration::from_millis(60),
        ..Config::default()
    };
    let stage = stage(config).await;
    stage.engine.down.store(true, Ordering::SeqCst);
    assert!(matches!(
        stage.place("ada", "1").await,
        Err(AdmissionError::Deadline(_))
    ));
    stage.engine.down.store(false, Ordering::SeqCst);
    assert_eq!(stage.status().await.stock["mug"], 10);
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Accepted);
}

#[tokio::test]
async fn missing_state_closes_the_gate_and_asks_for_a_rebuild() {
    let stage = stage(Config::default()).await;
    let key = Shard::new(CAMPAIGN, 0).state();
    let begin = restore_args(
        "t",
        Restore::Begin {
            uid: "u1",
            expires_at: EXPIRES_AT,
        },
    );
    stage
        .engine
        .inner
        .run(&fixed::RESTORE, &key, begin)
        .await
        .expect("runs");
    assert!(matches!(
        stage.place("ada", "1").await,
        Err(AdmissionError::GateClosed { .. })
    ));
    assert!(stage.database.lost.load(Ordering::SeqCst) >= 1);
}

#[tokio::test]
async fn the_quota_is_that_of_the_active_revision_and_never_writes() {
    let stage = stage(Config::default()).await;
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Accepted);
    stage
        .activate(
            3,
            Activation {
                epoch: 2,
                revision: 2,
            },
        )
        .await;
    stage.drained().await;
    let before = stage.engine.inner.dump();
    let mut asked = attempt("ada", "");
    for sku in ["", "mug"] {
        asked.sku = sku.into();
        let quota = stage.admission.quota(CAMPAIGN, &asked).await;
        let quota = quota.expect("answered").expect("a SKU of the campaign");
        assert_eq!(quota.revision, 2, "a stale gateway loads the newer revision");
        let numbers = quota.allowances[0].numbers.expect("it counts");
        assert_eq!((numbers.used, numbers.limit, numbers.remaining()), (1, 3, 2));
        assert_eq!(numbers.resets_at, None);
    }
    asked.sku = "hat".into();
    assert_eq!(stage.admission.quota(CAMPAIGN, &asked).await, Ok(None));
    assert_eq!(stage.engine.inner.dump(), before);

    // One bucket of the counter is lost: nothing may be told from it.
    let bucket = rushgate::campaign::bucket_of(b"ada", buckets_for(&active(1, ACTIVATION).campaign.skus));
    let lost = Shard::new(CAMPAIGN, 0).prefix() + &keys::buyers(bucket);
    stage.engine.inner.forget(|key| key == lost);
    let refused = stage.admission.quota(CAMPAIGN, &attempt("ada", "")).await;
    assert!(
        matches!(refused, Err(AdmissionError::GateClosed { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_engine_that_restarted_is_believed_nothing_however_whole_it_looks() {
    let stage = stage(Config::default()).await;
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Accepted);
    stage.drained().await;
    // The relay's lease comes and goes.
    let dump = || {
        let mut dump = stage.engine.inner.dump();
        dump.retain(|key, _| !key.ends_with(":relay"));
        dump
    };
    let before = dump();
    stage.engine.restarted.store(true, Ordering::SeqCst);
    let closed = |error: AdmissionError| match error {
        AdmissionError::GateClosed { retry_after, .. } => assert!(!retry_after.is_zero()),
        other => panic!("{other:?}"),
    };
    closed(stage.place("bob", "1").await.expect_err("nobody is admitted"));
    let reported = || stage.database.lost.load(Ordering::SeqCst);
    let by_the_order = reported();
    assert!(by_the_order > 0);
    let asked = attempt("ada", "1");
    let found = stage.admission.find(CAMPAIGN, &asked.user, asked.order).await;
    closed(found.expect_err("nor told that there is no order"));
    closed(
        stage
            .admission
            .quota(CAMPAIGN, &asked)
            .await
            .expect_err("nor how many"),
    );
    assert_eq!(reported(), by_the_order, "a question has nothing rebuilt");
    stage.admission.look().await;
    assert!(reported() > by_the_order);
    assert_eq!(dump(), before, "nothing was written");

    // Somebody rebuilt it; here the name alone is what it was.
    stage.engine.restarted.store(false, Ordering::SeqCst);
    assert_eq!(state(stage.place("bob", "1").await).0, OrderState::Accepted);
    let found = stage.admission.find(CAMPAIGN, &asked.user, asked.order).await;
    assert!(found.is_ok_and(|found| found.is_some()));
}

#[tokio::test]
async fn a_sku_without_stock_is_lost_and_not_unknown() {
    let stage = stage(Config::default()).await;
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Accepted);
    stage.drained().await;
    let stock = Shard::new(CAMPAIGN, 0).prefix() + keys::STOCK;
    stage.engine.inner.forget(|key| key == stock);
    // Another SKU is still there, so the script takes the first one for unknown.
    let script = Script::new("hat", "return redis.call('HSET', KEYS[1], 'hat', 1)".into());
    stage
        .engine
        .inner
        .run(&script, &stock, Args::default())
        .await
        .expect("runs");
    let refused = stage.place("bob", "1").await;
    assert!(
        matches!(refused, Err(AdmissionError::GateClosed { .. })),
        "{refused:?}"
    );
    assert!(stage.database.lost.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_full_queue_answers_at_once() {
    let stage = stage(Config {
        queue: 2,
        ..Config::default()
    })
    .await;
    stage.engine.down.store(true, Ordering::SeqCst);
    let mut waiting = Vec::new();
    let mut overloaded = 0;
    for n in 0..10 {
        let (admission, user) = (stage.admission.clone(), format!("u{n}"));
        let mut placing = async move { admission.place(CAMPAIGN, attempt(&user, "k"), true).await }.boxed();
        match futures_util::poll!(&mut placing) {
            std::task::Poll::Ready(Err(AdmissionError::Overloaded { .. })) => overloaded += 1,
            std::task::Poll::Ready(other) => panic!("{other:?}"),
            std::task::Poll::Pending => waiting.push(placing),
        }
    }
    assert!(overloaded >= 7, "{overloaded}");
    stage.engine.down.store(false, Ordering::SeqCst);
    for placing in waiting {
        assert_eq!(state(placing.await).0, OrderState::Accepted);
    }
}

#[tokio::test]
async fn sold_out_is_answered_locally_until_a_release_reopens_it() {
    let stage = stage(Config::default()).await;
    for n in 0..10 {
        assert_eq!(
            state(stage.place(&format!("u{n}"), "k").await).0,
            OrderState::Accepted
        );
    }
    stage.drained().await;
    let unkeyed = || stage.admission.place(CAMPAIGN, attempt("late", "x"), false);
    let at_once = || stage.admission.refused(CAMPAIGN, "late", ("mug", 1));
    assert_eq!(at_once(), None, "nobody has asked yet");
    assert_eq!(reason(unkeyed().await), "sold-out");
    assert!(stage.admission.sold_out(CAMPAIGN, "mug"));
    stage.engine.down.store(true, Ordering::SeqCst);
    assert_eq!(reason(unkeyed().await), "sold-out", "no script is asked");
    assert_eq!(at_once().expect("known").reason.name(), "sold-out");
    assert_eq!(stage.admission.refused(CAMPAIGN, "late", ("cap", 1)), None);
    assert_eq!(stage.admission.refused("another", "late", ("mug", 1)), None);
    stage.engine.down.store(false, Ordering::SeqCst);
    assert_eq!(
        state(stage.place("u0", "k").await),
        (OrderState::Accepted, true),
        "a retry finds its order"
    );

    let event = stage
        .bus
        .published()
        .into_iter()
        .find(|event| event.user == "u0")
        .expect("published");
    let fence = Fence {
        uid: "u1".into(),
        version: RecordVersion::V2,
        epoch: 1,
    };
    let returned = calls::Returned {
        order: event.order,
        user: &event.user,
        sku: "mug",
        units: 1,
        charges: event.charges.clone(),
    };
    let args = calls::release_args(&fence, &[returned], &active(1, ACTIVATION).family.plan);
    let key = Shard::new(CAMPAIGN, 0).state();
    stage
        .engine
        .inner
        .run(&fixed::RELEASE, &key, args)
        .await
        .expect("runs");
    stage.admission.look().await;
    assert!(!stage.admission.sold_out(CAMPAIGN, "mug"));
    assert_eq!(at_once(), None);
    assert_eq!(state(unkeyed().await).0, OrderState::Accepted);
    assert_eq!(stage.status().await.rejected["sold-out"], 3);
}

#[tokio::test]
async fn an_unknown_campaign_is_named() {
    let stage = stage(Config::default()).await;
    let outcome = stage.admission.place("none", attempt("ada", "1"), true).await;
    assert_eq!(outcome, Err(AdmissionError::UnknownCampaign("none".into())));
}
