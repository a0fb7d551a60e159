//! A sale to be compared: admission, relay and landing over an engine and a database, with a bus in process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::admission::{self, Admission, Placement};
use rushgate::bus::Producer;
use rushgate::bus::embedded::{self, EmbeddedProducer};
use rushgate::campaign::{Campaign, RecordVersion, Schedule, Sku, bucket_of};
use rushgate::engine::Engine;
use rushgate::engine::embedded::Embedded;
use rushgate::engine::redis::{self, Redis};
use rushgate::landing::{self, Landing, LandingHandle};
use rushgate::lua::Args;
use rushgate::lua::calls::RawEntry;
use rushgate::lua::keys::{self, Shard};
use rushgate::lua::repair::{ledger_args, ledger_reply};
use rushgate::lua::reply::Reply;
use rushgate::lua::{Script, calls, fixed};
use rushgate::needs::{Rebuilder, Rules};
use rushgate::order::{Attempt, OrderId};
use rushgate::outbox;
use rushgate::plan::{Attribute, Constraint, Counter, Expr, Plan, Window};
use rushgate::reconcile::{Config, Reconcile};
use rushgate::relay::{self, Relay};
use rushgate::revision::Revision;
use rushgate::ruleset::{Active, Compiled, Ruleset};
use testkit::database::{Database, TOPIC, mariadb, sqlite};
use testkit::server::Server;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::reconcile::lossy::Lossy;

pub const CAMPAIGN: &str = "spring";
/// Of the orders topic when the campaign was made.
pub const PARTITIONS: u32 = 12;
const LIMIT: Duration = Duration::from_secs(60);
const HOUR_MS: i64 = 3_600_000;
/// Orders a user may have.
const PER_USER: i64 = 4;
const BUCKETS: u32 = 4;

/// An engine and a database.
pub struct Side {
    pub db: Database,
    engine: Arc<dyn Engine>,
    server: Option<Server>,
}

impl Side {
    pub async fn embedded() -> Self {
        Self {
            db: sqlite().await,
            engine: Arc::new(Embedded::new()),
            server: None,
        }
    }

    pub async fn real() -> Self {
        let server = Server::start(&[]);
        let engine = Redis::new(redis::Config::new(server.url())).expect("made");
        Self {
            db: mariadb().await,
            engine: Arc::new(engine),
            server: Some(server),
        }
    }

    pub fn is_real(&self) -> bool {
        self.server.is_some()
    }

    pub fn redis_url(&self) -> String {
        self.server.as_ref().map(Server::url).expect("the real side")
    }
}

/// Four orders for each user: counted over the campaign, in a rolling hour, and hour by hour.
fn plan() -> Plan {
    let counter = |id: &str, window: Window| Counter {
        id: format!("rule/{id}"),
        key: vec![Attribute::User],
        window,
        cost: 0,
    };
    Plan {
        nodes: vec![
            Expr::Int(1),
            Expr::Counter(0),
            Expr::Add(1, 0),
            Expr::Int(PER_USER),
            Expr::Le(2, 3),
            Expr::Counter(1),
            Expr::Add(5, 0),
            Expr::Le(6, 3),
            Expr::Counter(2),
            Expr::Add(8, 0),
            Expr::Le(9, 3),
        ],
        counters: vec![
            counter("orders", Window::Campaign),
            counter("rolling", Window::Rolling { length_ms: HOUR_MS }),
            counter(
                "hourly",
                Window::Tumbling {
                    length_ms: HOUR_MS * 24,
                    origin_ms: 0,
                },
            ),
        ],
        constraints: [4, 7, 10]
            .map(|require| Constraint {
                when: None,
                require,
                reason: "limit-per-user".into(),
                rule: "rule".into(),
                retryable: false,
                sentence: "Each user may place at most 4 orders.".into(),
                measure: None,
            })
            .into(),
        ..Plan::default()
    }
}

/// What is active never changes here.
struct Fixed(Arc<Active>);

impl Rules for Fixed {
    fn load<'a>(&'a self, _: &'a str, _: u64) -> BoxFuture<'a, Result<Option<Arc<Active>>, String>> {
        async { Ok(Some(self.0.clone())) }.boxed()
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    fn revision<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<Option<Arc<Compiled>>, String>> {
        async { Ok(Some(self.0.compiled.clone())) }.boxed()
    }
}

impl Rebuilder for Fixed {
    fn lost(self: Arc<Self>, _: &str, _: u64) {}
}

pub struct Sale {
    pub db: Database,
    pub reconcile: Reconcile,
    pub active: Arc<Active>,
    pub opened_at: i64,
    engine: Arc<dyn Engine>,
    producer: Arc<EmbeddedProducer>,
    /// What the relay publishes through.
    pub bus: Arc<Lossy>,
    admission: Arc<Admission>,
    relay: Arc<Relay>,
    landing: Option<LandingHandle>,
    _server: Option<Server>,
}

pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn reconcile(
    engine: Arc<dyn Engine>,
    producer: Arc<dyn Producer>,
    db: &Database,
    patience: Duration,
) -> Reconcile {
    let config = Config {
        patience,
        poll: Duration::from_millis(2),
        glance: patience,
        ..Config::default()
    };
    Reconcile::new(
        config,
        engine,
        producer,
        db.store.clone(),
        "me".into(),
        Arc::new(now),
    )
}

/// An order of one unit.
pub fn attempt(user: &str, key: &str, sku: &str) -> Attempt {
    Attempt {
        order: OrderId::keyed(CAMPAIGN, user, key),
        user: user.into(),
        sku: sku.into(),
        quantity: 1,
        attributes: BTreeMap::new(),
    }
}

impl Sale {
    /// Open, with so many mugs and hats.
    pub async fn open(side: Side, stock: u64) -> Self {
        Self::open_under(side, stock, plan()).await
    }

    /// Open under a plan of its own.
    pub async fn open_under(side: Side, stock: u64, plan: Plan) -> Self {
        Self::open_selling(side, ["mug", "hat"], stock, plan).await
    }

    /// Open with so many units of each of these SKUs.
    pub async fn open_selling(side: Side, skus: [&str; 2], stock: u64, plan: Plan) -> Self {
        let Side { db, engine, server } = side;
        let opened_at = now() - 1000;
        let sku = |id: &str| Sku {
            attributes: [("kind".to_owned(), format!("kind of {id}"))].into(),
            ..Sku::new(id, stock)
        };
        let campaign = Campaign {
            id: CAMPAIGN.into(),
            title: "Spring".into(),
            skus: skus.map(sku).into_iter().collect(),
            uid: "u1".into(),
            buckets: BUCKETS,
            shards: 1,
            partitions: Some(PARTITIONS),
            record_version: RecordVersion::V2,
            created_at: opened_at,
        };
        let revision = Revision {
            campaign: CAMPAIGN.into(),
            number: 1,
            rules: Vec::new(),
            schedule: Schedule {
                opens_at: opened_at,
                closes_at: opened_at + HOUR_MS,
                retention_ms: rushgate::campaign::RETENTION_MS,
            },
            plan,
            plan_digest: "d".into(),
            audiences: BTreeMap::new(),
            folds: Default::default(),
            shadow: None,
            stock: None,
            created_at: opened_at,
        };
        db.store
            .insert_campaign(&campaign, &revision)
            .await
            .expect("stored");
        let (producer, consumer) = embedded::pair(0);
        let producer = Arc::new(producer);
        let reconcile = reconcile(engine.clone(), producer.clone(), &db, LIMIT);
        reconcile.rebuild(CAMPAIGN, 0).await.expect("opened");
        let activation = db
            .store
            .activation(CAMPAIGN)
            .await
            .expect("asked")
            .expect("active");
        let compiled = Compiled::build(campaign, revision).expect("a valid plan");
        let active = Arc::new(Active::new(compiled, activation, Vec::new()));
        let bus = Arc::new(Lossy::over(producer.clone()));
        let (admission, relay) = front(&engine, bus.clone(), &active);
        let quick = landing::Config {
            batch_wait: Duration::from_millis(1),
            ..landing::Config::default()
        };
        let landing = Landing::spawn(
            quick,
            Box::new(consumer),
            producer.clone(),
            db.store.clone(),
            Handle::current(),
            rushgate::landing::Metrics::default(),
        );
        Self {
            landing: Some(landing.expect("a thread")),
            db,
            reconcile,
            active,
            opened_at,
            engine,
            producer,
            bus,
            admission,
            relay,
            _server: server,
        }
    }

    pub fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    /// Another comparison of the same sale, over another engine.
    pub fn stage_over(&self, engine: Arc<dyn Engine>) -> Reconcile {
        reconcile(engine, self.producer.clone(), &self.db, LIMIT)
    }

    /// Another one, which sends through the bus of the relay.
    pub fn over_the_bus(&self) -> Reconcile {
        reconcile(self.engine.clone(), self.bus.clone(), &self.db, LIMIT)
    }

    /// One that waits for nobody. The others wait as long as a slow machine may take.
    pub fn impatient(&self) -> Reconcile {
        let patience = Duration::from_millis(300);
        reconcile(self.engine.clone(), self.producer.clone(), &self.db, patience)
    }

    /// Says whether it was admitted.
    pub async fn place(&self, user: &str, key: &str, sku: &str) -> bool {
        self.place_with(user, key, sku, &[]).await
    }

    pub async fn place_with(&self, user: &str, key: &str, sku: &str, attributes: &[(&str, &str)]) -> bool {
        let attributes = attributes.iter();
        let attempt = Attempt {
            attributes: attributes
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..attempt(user, key, sku)
        };
        let outcome = self.admission.place(CAMPAIGN, attempt, true).await;
        matches!(outcome.expect("decided"), Placement::Order { .. })
    }

    /// Waits until everything placed has landed and left the outbox.
    pub async fn settled(&self) {
        assert!(self.relay.drain(LIMIT).await, "entries stay in flight");
        assert!(self.producer.flush(LIMIT).await, "orders stay on the bus");
        let begun = Instant::now();
        while !self.outbox().await.is_empty() {
            assert!(begun.elapsed() < LIMIT, "the outbox does not drain");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// From here on the bus takes nothing, and what is admitted stays in the outbox.
    pub async fn stop_landing(&mut self) {
        let landing = self.landing.take().expect("it runs");
        tokio::task::spawn_blocking(move || landing.stop())
            .await
            .expect("joins");
    }

    pub async fn run(&self, script: &Script, args: impl Into<Args>) -> Reply {
        let key = Shard::new(CAMPAIGN, 0).state();
        self.engine.run(script, &key, args.into()).await.expect("runs")
    }

    pub async fn outbox(&self) -> Vec<RawEntry> {
        let reply = self.run(&fixed::LEDGER, ledger_args(1000)).await;
        ledger_reply(reply).expect("a ledger").outbox.expect("few")
    }

    /// Takes what is in the outbox off the way and makes dead letters of it; without any, moves the last ones.
    pub async fn bury(&self, stage: &str) {
        for entry in self.outbox().await {
            for event in outbox::events(&self.active, 0, &entry).expect("an entry of ours") {
                let hex: String = event.encode().iter().map(|byte| format!("{byte:02x}")).collect();
                let sql = format!(
                    "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at, \
                     class, order_id, campaign_id, sku_id, quantity) VALUES ('{TOPIC}', 0, {}, X'6b', X'{hex}', 'x', \
                     '2026-11-20 12:00:00.123', 'failing', '{}', '{CAMPAIGN}', '{}', {})",
                    event.placed_at, event.order, event.sku, event.quantity
                );
                self.db.execute(&sql).await;
            }
            let settled = calls::settle_args(&[(entry.id, entry.payloads.len())]);
            self.run(&fixed::SETTLE, settled).await;
        }
        self.db
            .execute(&format!("UPDATE dead_letters SET stage = '{stage}'"))
            .await;
    }

    /// One command on one key of the shard.
    pub async fn redis(&self, command: &str, key: &str, args: &[&str]) {
        let text = "#!lua\nlocal prefix = string.sub(KEYS[1], 1, -6)\n\
                    local args = {}\nfor i = 3, #ARGV do args[#args + 1] = ARGV[i] end\n\
                    redis.call(ARGV[1], prefix .. ARGV[2], unpack(args))\nreturn {'ok'}\n";
        let words = [command, key].into_iter().chain(args.iter().copied());
        let words: Args = words.collect();
        self.run(&Script::new("meddle", text.to_owned()), words).await;
    }

    /// What the campaign's counter says of a user.
    pub async fn counted(&self, user: &str) -> String {
        let at = rushgate::lua::places::CountAt::new("rule/orders", true, None, user, BUCKETS);
        let reply = self
            .run(&fixed::COUNTS, rushgate::lua::repair::counts_args([&at]))
            .await;
        let (_, values) = rushgate::lua::repair::counts_reply(reply).expect("counts");
        values[0].clone()
    }

    /// A gateway that knows what is active now.
    pub async fn reopen(&mut self) {
        let row = self
            .db
            .store
            .campaign(CAMPAIGN)
            .await
            .expect("read")
            .expect("there");
        let revision = self.active.revision.clone();
        let compiled = Compiled::build(row.campaign, revision).expect("a valid plan");
        self.active = Arc::new(Active::new(compiled, row.activation, Vec::new()));
        (self.admission, self.relay) = front(&self.engine, self.bus.clone(), &self.active);
    }

    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    pub fn bucket(&self, value: &[u8]) -> u32 {
        bucket_of(value, BUCKETS)
    }

    /// Where the records and the lasting counts of a user lie.
    pub fn buyers_bucket(&self, user: &str) -> String {
        keys::buyers(bucket_of(user.as_bytes(), BUCKETS))
    }

    pub fn tumbling_start(&self) -> i64 {
        now() - now().rem_euclid(HOUR_MS * 24)
    }

    pub fn hourly_bucket(&self, window: i64, user: &str) -> String {
        keys::counter("rule/hourly", window, bucket_of(user.as_bytes(), BUCKETS))
    }
}

fn front(
    engine: &Arc<dyn Engine>,
    producer: Arc<Lossy>,
    active: &Arc<Active>,
) -> (Arc<Admission>, Arc<Relay>) {
    let ruleset = Arc::new(Ruleset::default());
    ruleset.put(active.clone());
    let rules = Arc::new(Fixed(active.clone()));
    let (sender, fresh) = mpsc::unbounded_channel();
    let admission = Admission::new(
        admission::Config::default(),
        engine.clone(),
        ruleset.clone(),
        rules.clone(),
        rules.clone(),
        sender,
        None,
    );
    let quick = relay::Config {
        age: Duration::from_millis(200),
        every: Duration::from_millis(5),
        ..relay::Config::default()
    };
    let relay = Relay::spawn(
        quick,
        engine.clone(),
        producer,
        ruleset,
        rules,
        "me".into(),
        fresh,
    );
    (Arc::new(admission), relay)
}
