//! How much the watch and the sweep ask where many campaigns are idle, counted call by call, and that nothing is missed
//! for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::admission::{Admission, AdmissionError, Config, Placement};
use rushgate::campaign::{Campaign, RecordVersion};
use rushgate::engine::embedded::Embedded;
use rushgate::engine::{Engine, EngineError};
use rushgate::lua::Args;
use rushgate::lua::fence::Fence;
use rushgate::lua::reply::Reply;

use rushgate::lua::calls::{self, Returned};
use rushgate::lua::keys::{self, Shard};
use rushgate::lua::{Script, fixed};
use rushgate::needs::{Rebuilder, Rules};
use rushgate::order::OrderId;
use rushgate::relay::{self, Relay};
use rushgate::revision::Revision;
use rushgate::ruleset::{Active, Compiled, Ruleset};
use tokio::sync::mpsc;

use super::{ACTIVATION, Database, Held, active, attempt, open_as, reason};

const CAMPAIGNS: usize = 200;

/// Counts what is called, by script.
struct Counting {
    inner: Embedded,
    calls: Mutex<BTreeMap<&'static str, usize>>,
    names: Mutex<usize>,
    /// It came back with the same state under another name.
    restarted: AtomicBool,
}

impl Counting {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Embedded::new(),
            calls: Mutex::default(),
            names: Mutex::default(),
            restarted: AtomicBool::new(false),
        })
    }

    fn name_now(&self) -> &'static str {
        match self.restarted.load(Ordering::SeqCst) {
            true => "second",
            false => "first",
        }
    }

    /// Calls since the last time this was asked.
    fn taken(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut *self.calls.lock().expect("no panic"))
    }

    fn lose_everything(&self) {
        self.inner.forget(|_| true);
    }
}

impl Engine for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn run<'a>(
        &'a self,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        *self
            .calls
            .lock()
            .expect("no panic")
            .entry(script.name)
            .or_default() += 1;
        self.inner.run(script, key, args)
    }

    fn incarnation(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        *self.names.lock().expect("no panic") += 1;
        async { Ok(self.name_now().to_owned()) }.boxed()
    }

    fn run_on<'a>(
        &'a self,
        incarnation: &'a str,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        match incarnation == self.name_now() {
            true => self.run(script, key, args),
            false => async { Err(EngineError::Changed { engine: "counting" }) }.boxed(),
        }
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async { Ok(()) }.boxed()
    }
}

/// Knows every campaign from the start; remembers what it was told.
#[derive(Default)]
struct Told {
    lost: Mutex<Vec<String>>,
    hurried: Mutex<Vec<String>>,
}

impl Rules for Told {
    fn load<'a>(&'a self, _: &'a str, _: u64) -> BoxFuture<'a, Result<Option<Arc<Active>>, String>> {
        async { Ok(None) }.boxed()
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    fn revision<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<Option<Arc<Compiled>>, String>> {
        async { Ok(None) }.boxed()
    }
}

impl Rebuilder for Told {
    fn lost(self: Arc<Self>, campaign: &str, _: u64) {
        self.lost.lock().expect("no panic").push(campaign.to_owned());
    }

    fn hurry(&self, campaign: &str) {
        self.hurried.lock().expect("no panic").push(campaign.to_owned());
    }
}

fn name(n: usize) -> String {
    format!("sale-{n}")
}

fn campaign(n: usize) -> Arc<Active> {
    let one = active(1, ACTIVATION);
    let campaign = Campaign {
        id: name(n),
        ..one.campaign.clone()
    };
    let revision = Revision {
        campaign: name(n),
        ..one.revision.clone()
    };
    let compiled = Compiled::build(campaign, revision).expect("a valid plan");
    Arc::new(Active::new(compiled, ACTIVATION, Vec::new()))
}

struct Gateway {
    admission: Arc<Admission>,
    ruleset: Arc<Ruleset>,
    told: Arc<Told>,
    fresh: Option<mpsc::UnboundedReceiver<rushgate::outbox::Entry>>,
}

impl Gateway {
    fn new(engine: &Arc<Counting>, campaigns: &[Arc<Active>]) -> Self {
        let ruleset = Arc::new(Ruleset::default());
        for active in campaigns {
            assert!(ruleset.put(active.clone()));
        }
        let told = Arc::new(Told::default());
        let (outbox, fresh) = mpsc::unbounded_channel();
        let config = Config {
            accept_wait: Duration::from_millis(1),
            ..Config::default()
        };
        let admission = Admission::new(
            config,
            engine.clone(),
            ruleset.clone(),
            told.clone(),
            told.clone(),
            outbox,
            None,
        );
        Self {
            admission: Arc::new(admission),
            ruleset,
            told,
            fresh: Some(fresh),
        }
    }

    /// The first pulse, and a look at everything.
    async fn begin(&self) {
        self.admission.pulse().await;
        self.admission.look_where_due().await;
        self.admission.pulse().await;
    }

    async fn place(&self, n: usize, user: &str, keyed: bool) -> Result<Placement, AdmissionError> {
        let mut attempt = attempt(user, "k");
        attempt.order = OrderId::keyed(&name(n), user, "k");
        self.admission.place(&name(n), attempt, keyed).await
    }
}

async fn sales(engine: &Counting, campaigns: usize) -> Vec<Arc<Active>> {
    let sales: Vec<_> = (0..campaigns).map(campaign).collect();
    for active in &sales {
        open_as(&active.campaign.id, engine, active).await;
    }
    sales
}

/// Two gateways that have looked at all their campaigns once.
async fn pair(campaigns: usize) -> (Arc<Counting>, Gateway, Gateway) {
    let engine = Counting::new();
    let sales = sales(&engine, campaigns).await;
    *engine.names.lock().expect("no panic") = 0;
    let (one, two) = (Gateway::new(&engine, &sales), Gateway::new(&engine, &sales));
    one.begin().await;
    two.begin().await;
    // Whoever came first has told nobody anything: the mark is the same.
    engine.taken();
    (engine, one, two)
}

#[tokio::test]
async fn idle_campaigns_are_not_asked_for_one_by_one() {
    let (engine, one, two) = pair(CAMPAIGNS).await;
    let names = *engine.names.lock().expect("no panic");
    assert!(
        names <= 8,
        "the server is named once per look, not per campaign: {names}"
    );
    for _ in 0..10 {
        for gateway in [&one, &two] {
            for _ in 0..4 {
                gateway.admission.look_where_due().await;
            }
            gateway.admission.pulse().await;
        }
    }
    assert_eq!(engine.taken(), BTreeMap::from([("pulse", 20)]));
    assert_eq!(one.admission.gates_closed(), 0);
}

#[tokio::test]
async fn one_gateway_alone_looks_at_idle_campaigns_once_a_minute() {
    let (engine, one, _two) = pair(CAMPAIGNS).await;
    let begun = Instant::now();
    // It leads: these rules say so, by default.
    let watch = one.admission.watch();
    let (mut pulses, mut looks) = (0, 0);
    while looks < 20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let taken = engine.taken();
        pulses += taken.get("pulse").copied().unwrap_or(0);
        looks += taken.get("watch").copied().unwrap_or(0);
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody looks at them");
    }
    drop(watch);
    let seconds = begun.elapsed().as_secs_f64();
    assert!(
        looks as f64 <= CAMPAIGNS as f64 / 60.0 * (seconds + 1.0) + 1.0,
        "{looks} looks in {seconds} s"
    );
    assert!(pulses as f64 <= seconds + 3.0, "{pulses} pulses in {seconds} s");
}

#[tokio::test]
async fn an_order_makes_its_campaign_active_at_once_and_for_all_gateways() {
    let (engine, one, two) = pair(20).await;
    assert!(one.ruleset.is_quiet(&name(7)) && two.ruleset.is_quiet(&name(7)));
    one.place(7, "ada", true).await.expect("admitted");
    engine.taken();
    for _ in 0..3 {
        one.admission.look_where_due().await;
    }
    assert_eq!(
        engine.taken(),
        BTreeMap::from([("watch", 3)]),
        "it alone, and each time"
    );
    one.admission.pulse().await;
    two.admission.pulse().await;
    for gateway in [&one, &two] {
        assert!(!gateway.ruleset.is_quiet(&name(7)));
        assert!(gateway.ruleset.is_quiet(&name(8)));
    }
    two.admission.look_where_due().await;
    assert_eq!(
        engine.taken(),
        BTreeMap::from([("pulse", 2)]),
        "its orders are the other's"
    );
}

#[tokio::test]
async fn a_memory_that_is_lost_while_nobody_orders_is_noticed_for_all_campaigns() {
    let (engine, one, two) = pair(CAMPAIGNS).await;
    engine.lose_everything();
    let begun = Instant::now();
    for gateway in [&one, &two] {
        gateway.admission.pulse().await;
        gateway.admission.look_where_due().await;
        assert_eq!(gateway.admission.gates_closed() as usize, CAMPAIGNS);
        let mut lost = gateway.told.lost.lock().expect("no panic").clone();
        lost.sort();
        lost.dedup();
        assert_eq!(lost.len(), CAMPAIGNS, "each is to be rebuilt");
    }
    // A closed gate is not stared at: at most one look a second, however often the watch comes round.
    engine.taken();
    let mut looks = 0;
    for _ in 0..20 {
        two.admission.look_where_due().await;
        looks += engine.taken().get("watch").copied().unwrap_or(0);
    }
    let seconds = begun.elapsed().as_secs() as usize;
    assert!(looks <= CAMPAIGNS * seconds, "{looks} looks in {seconds} s");
}

#[tokio::test]
async fn a_restart_with_the_whole_log_is_noticed_for_all_campaigns() {
    let (engine, one, _two) = pair(50).await;
    engine.restarted.store(true, Ordering::SeqCst);
    one.admission.pulse().await;
    // The first look finds that the server changed, the second what that means.
    one.admission.look_where_due().await;
    one.admission.look_where_due().await;
    assert_eq!(one.admission.gates_closed(), 50);
    let lost = one.told.lost.lock().expect("no panic").len();
    assert_eq!(lost, 50);
}

#[tokio::test]
async fn a_lost_mark_alone_closes_nothing() {
    let (engine, one, _two) = pair(50).await;
    engine.inner.forget(|key| key == keys::PULSE);
    one.admission.pulse().await;
    one.admission.look_where_due().await;
    assert_eq!(one.admission.gates_closed(), 0);
    assert_eq!(engine.taken(), BTreeMap::from([("pulse", 1), ("watch", 50)]));
    assert!(one.told.lost.lock().expect("no panic").is_empty());
}

#[tokio::test]
async fn a_campaign_that_is_asked_for_is_hurried_by_every_gateway() {
    let (engine, one, two) = pair(20).await;
    engine.lose_everything();
    for gateway in [&one, &two] {
        gateway.admission.pulse().await;
        gateway.admission.look_where_due().await;
    }
    let refused = one.place(3, "ada", true).await;
    assert!(
        matches!(refused, Err(AdmissionError::GateClosed { .. })),
        "{refused:?}"
    );
    assert_eq!(*one.told.hurried.lock().expect("no panic"), [name(3)]);
    one.admission.pulse().await;
    two.admission.pulse().await;
    assert_eq!(*two.told.hurried.lock().expect("no panic"), [name(3)]);
}

/// The state of campaign 0 after its last mug was given back.
async fn give_one_back(engine: &Counting, user: &str) {
    let fence = Fence {
        uid: "u1".into(),
        version: RecordVersion::V2,
        epoch: 1,
    };
    let order = OrderId::keyed(&name(0), user, "k");
    let returned = Returned {
        order,
        user,
        sku: "mug",
        units: 1,
        charges: Vec::new(),
    };
    let args = calls::release_args(&fence, &[returned], &campaign(0).family.plan);
    let state = Shard::new(&name(0), 0).state();
    engine.run(&fixed::RELEASE, &state, args).await.expect("runs");
}

#[tokio::test]
async fn who_wants_to_see_an_idle_campaign_sees_its_stock() {
    let (engine, one, two) = pair(3).await;
    for n in 0..10 {
        one.place(0, &format!("u{n}"), true).await.expect("admitted");
    }
    assert_eq!(reason(one.place(0, "late", false).await), "sold-out");
    // The other gateway has had no order for it, and looked before.
    assert!(!two.admission.sold_out(&name(0), "mug"));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    engine.taken();
    for _ in 0..20 {
        two.admission.freshen(&name(0)).await;
        assert!(two.admission.sold_out(&name(0), "mug"));
    }
    assert_eq!(
        engine.taken(),
        BTreeMap::from([("watch", 1)]),
        "one look serves all who look"
    );
    engine.lose_everything();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    two.admission.freshen(&name(0)).await;
    assert!(
        two.told.lost.lock().expect("no panic").is_empty(),
        "that is the watch's to judge"
    );
}

#[tokio::test]
async fn sold_out_is_not_said_for_more_than_a_second_without_asking() {
    let (engine, one, _two) = pair(3).await;
    for n in 0..10 {
        one.place(0, &format!("u{n}"), true).await.expect("admitted");
    }
    assert_eq!(reason(one.place(0, "late", false).await), "sold-out");
    engine.taken();
    assert_eq!(reason(one.place(0, "late", false).await), "sold-out");
    assert_eq!(engine.taken(), BTreeMap::new(), "it is known");
    give_one_back(&engine, "u0").await;
    engine.taken();
    // No watch runs here, as on a gateway that has forgotten the campaign.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let sold = one.place(0, "late", false).await;
    assert!(matches!(sold, Ok(Placement::Order { .. })), "{sold:?}");
    assert_eq!(engine.taken()["admit"], 1);
}

/// A gateway's relay, sweeping all the time.
fn relay(engine: &Arc<Counting>, gateway: &mut Gateway, bus: &Arc<Held>) -> Arc<Relay> {
    let quick = relay::Config {
        age: Duration::ZERO,
        every: Duration::from_millis(5),
        lease: Duration::from_millis(20),
        ..relay::Config::default()
    };
    let revisions = Arc::new(Database {
        ruleset: gateway.ruleset.clone(),
        newest: Mutex::new(campaign(0)),
        lost: Default::default(),
        forgot: AtomicBool::new(false),
        unsold: Default::default(),
    });
    let fresh = gateway.fresh.take().expect("taken once");
    let (ruleset, owner) = (gateway.ruleset.clone(), "two".to_owned());
    Relay::spawn(
        quick,
        engine.clone(),
        bus.clone(),
        ruleset,
        revisions,
        owner,
        fresh,
    )
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn quiet_campaigns_are_not_swept_and_what_a_dead_gateway_left_is() {
    let (engine, one, mut two) = pair(20).await;
    let bus = Arc::new(Held::default());
    bus.automatic.store(true, Ordering::SeqCst);
    let _relay = relay(&engine, &mut two, &bus);
    engine.taken();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(engine.taken(), BTreeMap::new(), "nothing is asked for");

    // The first gateway admits an order, says so, and is gone: nobody publishes it.
    one.place(0, "ada", true).await.expect("admitted");
    one.admission.pulse().await;
    drop(one);
    two.admission.pulse().await;
    until("the order is published", || !bus.published().is_empty()).await;
    assert_eq!(bus.published()[0].user, "ada");
    let swept = |engine: &Counting| engine.taken().get("outbox").copied().unwrap_or(0);
    assert!(swept(&engine) > 0);
}

#[tokio::test]
async fn an_outbox_that_was_not_empty_at_the_last_look_is_swept() {
    let (engine, one, mut two) = pair(20).await;
    let bus = Arc::new(Held::default());
    bus.automatic.store(true, Ordering::SeqCst);
    let _relay = relay(&engine, &mut two, &bus);
    // The first gateway died before it could say anything.
    one.place(0, "ada", true).await.expect("admitted");
    drop(one);
    two.admission.pulse().await;
    assert!(two.ruleset.is_quiet(&name(0)) && bus.published().is_empty());
    // The look that comes round once a minute.
    two.admission.look().await;
    two.admission.pulse().await;
    until("the order is published", || !bus.published().is_empty()).await;
}
