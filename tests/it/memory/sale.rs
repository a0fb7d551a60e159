//! A sale over a Redis that is going to lose its memory: two gateways, their relays and rebuilders, one lander.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rushgate::admission::{AdmissionError, Placement};
use rushgate::bus::{Producer, embedded};
use rushgate::campaign::{Campaign, RecordVersion, Schedule, Sku};
use rushgate::engine::Engine;
use rushgate::engine::redis::{Config, Redis};
use rushgate::landing::{self, Landing, LandingHandle};
use rushgate::lua::calls::{self, ShardStatus};
use rushgate::lua::keys::Shard;
use rushgate::lua::{Args, fixed};
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::{Attribute, Constraint, Counter, Expr, Measure, Plan, Window};
use rushgate::reconcile::{self, Reconcile};
use rushgate::revision::Revision;
use rushgate::store::Store;
use testkit::database::{self, Database};
use tokio::runtime::Handle;

use crate::memory::gateway::Gateway;
use crate::memory::server::{Address, Server};

pub const CAMPAIGN: &str = "spring";
pub const LIMIT: i64 = 2;
/// Patience of a test with what has to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How soon a loss has to be known.
const NOTICED: Duration = Duration::from_secs(1);
pub const POLL: Duration = Duration::from_millis(5);

/// At most [`LIMIT`] orders per user, over the campaign and in an hour.
pub fn plan() -> Plan {
    let counter = |id: &str, window| Counter {
        id: id.into(),
        key: vec![Attribute::User],
        window,
        cost: 0,
    };
    let hour = Window::Tumbling {
        length_ms: 3_600_000,
        origin_ms: 0,
    };
    let constraint = |require, counter| Constraint {
        when: None,
        require,
        reason: "limit-per-user".into(),
        rule: "n-per-user".into(),
        retryable: false,
        sentence: "So many and no more.".into(),
        measure: Some(Measure { counter, limit: 3 }),
    };
    Plan {
        nodes: vec![
            Expr::Int(1),
            Expr::Counter(0),
            Expr::Add(1, 0),
            Expr::Int(LIMIT),
            Expr::Le(2, 3),
            Expr::Counter(1),
            Expr::Add(5, 0),
            Expr::Le(6, 3),
        ],
        counters: vec![
            counter("n-per-user/orders", Window::Campaign),
            counter("per-hour/orders", hour),
        ],
        constraints: vec![constraint(4, 0), constraint(7, 1)],
        ..Plan::default()
    }
}

pub fn campaign(stock: u64) -> Campaign {
    Campaign {
        id: CAMPAIGN.into(),
        title: "Spring".into(),
        skus: vec![Sku::new("mug", stock)].into(),
        uid: "u1".into(),
        buckets: 4,
        shards: 1,
        partitions: None,
        record_version: RecordVersion::V2,
        created_at: now(),
    }
}

pub fn revision() -> Revision {
    Revision {
        campaign: CAMPAIGN.into(),
        number: 1,
        rules: vec![],
        schedule: Schedule {
            opens_at: now() - 3_600_000,
            closes_at: now() + 3_600_000,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        plan: plan(),
        plan_digest: "d".into(),
        audiences: Default::default(),
        folds: Default::default(),
        shadow: None,
        stock: None,
        created_at: now(),
    }
}

pub fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

pub fn rebuilder(
    owner: &str,
    engine: Arc<dyn Engine>,
    producer: Arc<dyn Producer>,
    store: &Store,
) -> Reconcile {
    let config = reconcile::Config {
        lease: Duration::from_millis(300),
        patience: Duration::from_secs(10),
        // Everybody shares a producer, which is flushed.
        grace: Duration::ZERO,
        poll: POLL,
        ..reconcile::Config::default()
    };
    Reconcile::new(
        config,
        engine,
        producer,
        store.clone(),
        owner.into(),
        Arc::new(now),
    )
}

pub struct Sale {
    pub server: Server,
    pub address: Address,
    pub database: Database,
    pub engine: Arc<dyn Engine>,
    pub producer: Arc<dyn Producer>,
    pub gateways: Vec<Gateway>,
    landing: Option<LandingHandle>,
    stock: u64,
}

impl Sale {
    /// Open, with so many mugs.
    pub async fn open(stock: u64) -> Self {
        let server = Server::start();
        let address = Address::new();
        address.lead_to(&server);
        let database = database::sqlite().await;
        let store = &database.store;
        store
            .insert_campaign(&campaign(stock), &revision())
            .await
            .expect("a campaign");
        let (producer, consumer) = embedded::pair(0);
        let producer: Arc<dyn Producer> = Arc::new(producer);
        let quick = landing::Config {
            batch_wait: Duration::from_millis(1),
            ..landing::Config::default()
        };
        let landing = Landing::spawn(
            quick,
            Box::new(consumer),
            producer.clone(),
            store.clone(),
            Handle::current(),
            rushgate::landing::Metrics::default(),
        );
        // Each gateway has a connection of its own.
        let engine = || Arc::new(Redis::new(Config::new(address.url())).expect("a URL")) as Arc<dyn Engine>;
        let opener = rebuilder("opener", engine(), producer.clone(), store);
        opener.open(CAMPAIGN).await.expect("the gate opens");
        let gateways = ["one", "two"]
            .map(|name| Gateway::start(name, engine(), producer.clone(), store))
            .into();
        Self {
            engine: engine(),
            server,
            address,
            producer,
            gateways,
            landing: Some(landing.expect("a thread")),
            database,
            stock,
        }
    }

    pub fn store(&self) -> &Store {
        &self.database.store
    }

    pub async fn place(&self, gateway: usize, user: &str, key: &str) -> Result<Placement, AdmissionError> {
        let attempt = attempt(user, key);
        self.gateways[gateway]
            .admission
            .place(CAMPAIGN, attempt, true)
            .await
    }

    /// Sells so many mugs, each to a user of its own.
    pub async fn sell(&self, mugs: std::ops::Range<usize>) {
        for n in mugs {
            let sold = self.place(n % 2, &format!("u{n}"), "k").await;
            assert!(matches!(sold, Ok(Placement::Order { .. })), "{sold:?}");
        }
    }

    /// Every order that was admitted has landed, and left the outbox.
    pub async fn quiet(&self) {
        for gateway in &self.gateways {
            assert!(gateway.relay.drain(PATIENCE).await, "entries stay in flight");
        }
        assert!(self.producer.flush(PATIENCE).await, "orders do not land");
    }

    pub async fn epoch(&self) -> u64 {
        let activation = self.store().activation(CAMPAIGN).await.expect("asked");
        activation.expect("there is the campaign").epoch
    }

    pub async fn status(&self) -> ShardStatus {
        let key = Shard::new(CAMPAIGN, 0).state();
        let mut reply = self.engine.run(&fixed::WATCH, &key, Args::default()).await;
        if reply.is_err() {
            // The connection led to a server that is gone.
            reply = self.engine.run(&fixed::WATCH, &key, Args::default()).await;
        }
        calls::watch_reply(reply.expect("runs")).expect("a status")
    }

    /// Soon no order is admitted any more: the gate is closed, or open again under a later epoch.
    pub async fn noticed(&self, lost: u64) {
        let begun = Instant::now();
        loop {
            let refused = self.place(0, "nobody", "k").await;
            if matches!(refused, Err(AdmissionError::GateClosed { .. })) || self.epoch().await > lost {
                break;
            }
            assert!(begun.elapsed() < NOTICED, "the loss is not noticed: {refused:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The gate is open again, under a later epoch.
    pub async fn reopened(&self, lost: u64) {
        let begun = Instant::now();
        loop {
            let fence = self.status().await.fence;
            if fence.is_some_and(|fence| fence.epoch > lost) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the gate stays closed");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Nothing lost, nothing doubled, nothing oversold, and Redis and the database agree.
    pub async fn balanced(&self) {
        self.quiet().await;
        let sold = self.database.number("SELECT sold FROM stock").await;
        let orders = "SELECT COUNT(*) FROM orders WHERE state = 'confirmed'";
        assert_eq!(self.database.number(orders).await, sold);
        let revoked = "SELECT COUNT(*) FROM orders WHERE state = 'revoked'";
        assert_eq!(self.database.number(revoked).await, 0, "nothing was oversold");
        let most =
            "SELECT COALESCE(MAX(n), 0) FROM (SELECT COUNT(*) AS n FROM orders GROUP BY user_id) AS users";
        assert!(self.database.number(most).await <= LIMIT);
        let status = self.status().await;
        assert_eq!(status.stock["mug"], self.stock as i64 - sold, "{status:?}");
        assert_eq!(status.outbox, 0);
        assert_eq!(used(&self.server), landed(self.store()).await);
    }

    pub async fn sold(&self) -> i64 {
        self.database.number("SELECT sold FROM stock").await
    }

    /// Buyers go on until so many are sold.
    pub async fn sold_at_least(&self, mugs: i64) {
        let begun = Instant::now();
        while self.sold().await < mugs {
            assert!(begun.elapsed() < PATIENCE, "sales do not go on");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// What Redis counts per user over the campaign.
pub fn used(server: &Server) -> BTreeMap<String, i64> {
    let mut used = BTreeMap::new();
    for bucket in 0..4 {
        let key = format!("rg:{{{CAMPAIGN}.0}}:buyers:{bucket}");
        let fields: BTreeMap<Vec<u8>, Vec<u8>> = redis::cmd("HGETALL")
            .arg(key)
            .query(&mut server.client())
            .expect("a hash");
        for (field, count) in fields {
            // The marks of a bucket are no text.
            let Ok(field) = String::from_utf8(field) else {
                continue;
            };
            // A record's field is its order's id.
            let Some((_, user)) = field.split_once(' ') else {
                continue;
            };
            let count = String::from_utf8(count).expect("digits");
            used.insert(user.to_owned(), count.parse().expect("a number"));
        }
    }
    used
}

/// Confirmed orders per user.
pub async fn landed(store: &Store) -> BTreeMap<String, i64> {
    let mut landed = BTreeMap::new();
    let orders = store.orders_page(CAMPAIGN, None, 10_000).await.expect("asked");
    for order in orders.into_iter().filter(|order| !order.is_released()) {
        *landed.entry(order.attempt.user).or_default() += 1;
    }
    landed
}

impl Drop for Sale {
    fn drop(&mut self) {
        if let Some(landing) = self.landing.take() {
            landing.stop();
        }
    }
}

pub fn attempt(user: &str, key: &str) -> Attempt {
    Attempt {
        order: OrderId::keyed(CAMPAIGN, user, key),
        user: user.into(),
        sku: "mug".into(),
        quantity: 1,
        attributes: BTreeMap::new(),
    }
}
