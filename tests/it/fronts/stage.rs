//! Stages behind the fronts that do as the SKU or campaign says, and a gateway over them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::registry::Registry;
use rushgate::admission::{AdmissionError, Placement, Quota, Refusal, Retry};
use rushgate::campaign::{Origins, Schedule};
use rushgate::gateway::{
    BuyerOrders, BuyerPage, CampaignView, Cancelled, Changes, Config, Gateway, Landed, ListedCampaign,
    Orders, Standing, auth,
};
use rushgate::order::{Attempt, BODY, Holds, LandedOrder, OrderId, OrderState, body_fingerprint};
use rushgate::plan::Attribute;
use rushgate::plan::decision::Placed;
use rushgate::plan::quota::{Allowance, Numbers};
use rushgate::rejection::{Own, Reason};
use rushgate::serving::{self, Tls};
use rushgate::store::{BuyerOrder, OrderRow, OrdersOf, StoreError, StoreResult};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::JoinHandle;

/// 2026-11-21T10:00:00.000Z.
pub const PLACED_AT: i64 = 1_795_255_200_000;

#[derive(Default)]
pub struct Stage {
    /// Attempts that reached admission.
    pub begun: AtomicUsize,
    pub seen: Mutex<Vec<(Attempt, bool)>>,
    /// Signalled when an attempt for the SKU `slow` has begun.
    pub slow_begun: Notify,
    /// Lets one such attempt go on.
    pub go_on: Notify,
    /// The database takes questions and answers none.
    pub silent: AtomicBool,
    /// Orders that a test has landed, besides those that are known by name.
    rows: std::sync::Mutex<BTreeMap<OrderId, LandedOrder>>,
    /// Its confirmed orders wait for their payments.
    pub has_hold: AtomicBool,
    /// Questions about how many orders stand.
    pub looks: AtomicUsize,
}

fn placed(user: &str, sku: &str, quantity: u32) -> Placed {
    Placed {
        placed_at: PLACED_AT,
        revision: 3,
        quantity,
        sku: sku.into(),
        user: user.into(),
        released: false,
        body: None,
        replaces: None,
    }
}

fn rejected(reason: impl Into<Reason>, constraint: Option<&str>) -> Result<Placement, AdmissionError> {
    let reason = reason.into();
    let retry = (reason == Own::NotOpen.into()).then_some(Retry {
        at: i64::MAX / 2,
        now: 0,
    });
    Ok(Placement::Rejected(Refusal {
        retryable: retry.is_some(),
        retry,
        retry_after: None,
        reason,
        constraint: constraint.map(Into::into),
        detail: "as the stage was told".into(),
        measure: constraint.map(|_| (2, 2)),
        pointer: None,
    }))
}

/// What an order that is only thought of would be answered.
fn refused_thought() -> Option<Refusal> {
    match rejected(
        Reason::Rule("limit-per-user".into()),
        Some("n-per-user/limit-per-user"),
    ) {
        Ok(Placement::Rejected(refusal)) => Some(Refusal {
            retryable: true,
            retry: Some(Retry {
                at: PLACED_AT + 1,
                now: PLACED_AT,
            }),
            ..refusal
        }),
        _ => None,
    }
}

/// Of an order of one unit.
fn fingerprint(order: OrderId, sku: &str) -> String {
    let attempt = Attempt {
        order,
        user: "ada".into(),
        sku: sku.into(),
        quantity: 1,
        attributes: Default::default(),
    };
    attempt.fingerprint()
}

/// Ids of orders that [`Stage`] knows.
pub fn known(name: &str) -> OrderId {
    OrderId::keyed("known", "", name)
}

/// Id of the order of ada that is so many before her last one. The engine knows the last one as well.
pub fn listed_id(number: usize) -> OrderId {
    match number {
        0 => known("confirmed"),
        number => known(&format!("listed-{number}")),
    }
}

/// The order of ada that is so many before her last one; every other of all her orders is of another sale.
fn listed(number: usize, campaign: Option<&str>) -> BuyerOrder {
    let campaign = campaign.unwrap_or(["spring", "summer"][number % 2]);
    BuyerOrder {
        campaign: campaign.to_owned(),
        row: OrderRow {
            order: listed_id(number),
            state: OrderState::Confirmed,
            user: "ada".into(),
            sku: "mug".into(),
            quantity: 1,
            revision: 3,
            placed_at: PLACED_AT - number as i64,
            confirmed_at: Some(PLACED_AT + 7),
            revoked_reason: None,
            pay_by: None,
            replaces: None,
        },
    }
}

impl Stage {
    /// Lands an order of a mug, or changes it.
    pub fn land(&self, user: &str, order: OrderId, state: OrderState) {
        let row = LandedOrder {
            state,
            confirmed_at: (state != OrderState::Revoked).then_some(PLACED_AT + 7),
            revoked_reason: (state == OrderState::Revoked).then(|| "sold-out".to_owned()),
            pay_by: (state == OrderState::Confirmed && self.has_hold.load(Ordering::SeqCst))
                .then_some(PLACED_AT + 900_000),
            ..landed_of(user, order)
        };
        self.rows().insert(order, row);
    }

    fn rows(&self) -> std::sync::MutexGuard<'_, BTreeMap<OrderId, LandedOrder>> {
        self.rows.lock().expect("no panic")
    }

    /// What the database would answer, were it not silent.
    async fn ask<T>(&self, read: impl FnOnce(&BTreeMap<OrderId, LandedOrder>) -> T) -> StoreResult<T> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        if self.silent.load(Ordering::SeqCst) {
            return Err(StoreError::Transient("mysql.internal".into()));
        }
        Ok(read(&self.rows()))
    }
}

fn landed_of(user: &str, order: OrderId) -> LandedOrder {
    LandedOrder {
        attempt: Attempt {
            order,
            user: user.into(),
            sku: "mug".into(),
            quantity: 1,
            attributes: BTreeMap::new(),
        },
        revision: 3,
        state: OrderState::Confirmed,
        placed_at: PLACED_AT,
        confirmed_at: None,
        revoked_reason: None,
        holds: Holds::All,
        pay_by: None,
        replaces: None,
        fingerprint: "0".repeat(16),
        charges: Vec::new(),
    }
}

fn standing_of(row: &LandedOrder) -> Standing {
    Standing {
        user: Some(row.attempt.user.clone()),
        order: row.attempt.order,
        state: row.state,
    }
}

impl Landed for Shared {
    async fn standing(&self, _: &str, orders: &[OrderId]) -> StoreResult<Vec<Standing>> {
        let of = |rows: &BTreeMap<OrderId, LandedOrder>| {
            let found = orders.iter().filter_map(|order| rows.get(order));
            found.map(standing_of).collect()
        };
        self.0.ask(of).await
    }

    async fn newest(&self, _: &str, users: &[String]) -> StoreResult<Vec<Standing>> {
        let of = |rows: &BTreeMap<OrderId, LandedOrder>| {
            let found = rows.values().filter(|row| users.contains(&row.attempt.user));
            found.map(standing_of).collect()
        };
        self.0.ask(of).await
    }

    async fn rows(&self, _: &str, orders: &[OrderId]) -> StoreResult<Vec<(LandedOrder, Option<i64>)>> {
        let of = |rows: &BTreeMap<OrderId, LandedOrder>| {
            let found = orders.iter().filter_map(|order| rows.get(order));
            found.map(|row| (row.clone(), row.confirmed_at)).collect()
        };
        self.0.ask(of).await
    }
}

/// The gateway's handle on a stage that the test holds too.
struct Shared(Arc<Stage>);

impl Orders for Shared {
    async fn place(
        &self,
        campaign: &str,
        attempt: Attempt,
        keyed: bool,
    ) -> Result<Placement, AdmissionError> {
        if campaign != "spring" {
            return Err(AdmissionError::UnknownCampaign(campaign.into()));
        }
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        self.0.seen.lock().await.push((attempt.clone(), keyed));
        let wait = Duration::from_secs(2);
        match attempt.sku.as_str() {
            "gone" => rejected(Own::SoldOut, None),
            "early" => rejected(Own::NotOpen, None),
            "late" => rejected(Own::Closed, None),
            "other" => rejected(Own::UnknownSku, None),
            "limited" => rejected(
                Reason::Rule("limit-per-user".to_owned()),
                Some("n-per-user/limit-per-user"),
            ),
            "busy" => Err(AdmissionError::Overloaded { retry_after: wait }),
            "gate" => Err(AdmissionError::GateClosed {
                why: "redis-7.internal".into(),
                retry_after: wait,
            }),
            "never" => Err(AdmissionError::Deadline(wait)),
            "over" => Err(AdmissionError::Over { archived: true }),
            "over-lost" => Err(AdmissionError::Over { archived: false }),
            "down" => Err(AdmissionError::Engine("redis-7.internal".into())),
            sku => {
                if sku == "slow" {
                    self.0.slow_begun.notify_one();
                    self.0.go_on.notified().await;
                }
                let mut placed = placed(&attempt.user, sku, attempt.quantity);
                placed.released = sku == "given-back";
                Ok(Placement::Order {
                    placed,
                    state: OrderState::Accepted,
                    replayed: matches!(sku, "again" | "given-back"),
                })
            }
        }
    }

    async fn find(
        &self,
        campaign: &str,
        user: &str,
        order: OrderId,
    ) -> Result<Option<(Placed, OrderState)>, AdmissionError> {
        match order {
            _ if campaign != "spring" => Err(AdmissionError::UnknownCampaign(campaign.into())),
            // A record lies with its user: another one's is not found.
            _ if user != "ada" => Ok(None),
            // What the engine knows of an order that is acknowledged and not settled yet.
            _ if [known("confirmed"), OrderId::keyed("spring", "ada", "settling")].contains(&order) => {
                Ok(Some((placed("ada", "mug", 1), OrderState::Pending)))
            }
            _ if order == known("pending") || order == OrderId::keyed("spring", "ada", "waits") => {
                Ok(Some((placed("ada", "mug", 1), OrderState::Pending)))
            }
            _ if order == known("engine-down") => Err(AdmissionError::Engine("redis-7.internal".into())),
            _ if order == known("database-down") => Ok(Some((placed("ada", "mug", 1), OrderState::Accepted))),
            _ => Ok(None),
        }
    }

    async fn landed(&self, _: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        let row = |state, confirmed_at, revoked_reason: Option<&str>| LandedOrder {
            attempt: Attempt {
                order,
                user: "ada".into(),
                sku: "mug".into(),
                quantity: 2,
                attributes: BTreeMap::new(),
            },
            revision: 3,
            state,
            placed_at: PLACED_AT,
            confirmed_at,
            revoked_reason: revoked_reason.map(Into::into),
            holds: match state {
                OrderState::Revoked => Holds::None,
                _ => Holds::All,
            },
            pay_by: None,
            replaces: None,
            fingerprint: "0".repeat(16),
            charges: Vec::new(),
        };
        if self.0.silent.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        if let Some(row) = self.0.rows().get(&order) {
            return Ok(Some(row.clone()));
        }
        match order {
            _ if [known("confirmed"), OrderId::keyed("spring", "ada", "landed")].contains(&order) => {
                Ok(Some(row(OrderState::Confirmed, Some(PLACED_AT + 7), None)))
            }
            _ if [known("revoked"), OrderId::keyed("spring", "ada", "revoked")].contains(&order) => {
                Ok(Some(row(OrderState::Revoked, None, Some("sold-out"))))
            }
            _ if order == known("expired") => Ok(Some(row(OrderState::Expired, Some(PLACED_AT + 7), None))),
            _ if order == OrderId::keyed("spring", "ada", "database-down") => {
                Err(StoreError::Transient("mysql.internal".into()))
            }
            _ if order == known("database-down") || order == known("all-down") => {
                Err(StoreError::Transient("mysql.internal".into()))
            }
            _ => Ok(None),
        }
    }

    async fn stranded(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        let before = order == OrderId::keyed(campaign, "ada", "stranded-before");
        let known = before || order == OrderId::keyed(campaign, "ada", "stranded");
        let body = (!before).then(|| (BODY.to_owned(), body_fingerprint("over", 1, [])));
        Ok(known.then(|| LandedOrder {
            attempt: Attempt {
                order,
                user: "ada".into(),
                sku: "over".into(),
                quantity: 1,
                attributes: body.into_iter().collect(),
            },
            revision: 3,
            state: OrderState::Accepted,
            holds: Holds::All,
            placed_at: PLACED_AT,
            confirmed_at: None,
            revoked_reason: None,
            pay_by: None,
            replaces: None,
            fingerprint: fingerprint(order, "over"),
            charges: Vec::new(),
        }))
    }

    async fn cancel(&self, _: &str, _: &str, order: OrderId) -> StoreResult<Cancelled> {
        Ok(match order == known("crowded") {
            true => Cancelled::NotTried,
            false => Cancelled::NotThere,
        })
    }

    async fn quota(&self, campaign: &str, attempt: &Attempt) -> Result<Option<Quota>, AdmissionError> {
        if campaign != "spring" {
            return Err(AdmissionError::UnknownCampaign(campaign.into()));
        }
        self.0.seen.lock().await.push((attempt.clone(), false));
        let known = attempt.attributes.contains_key("client:device");
        let quota = Quota {
            revision: 3,
            as_of: PLACED_AT,
            refused: refused_thought(),
            allowances: vec![
                Allowance {
                    constraint: "n-per-user/limit-per-user".into(),
                    sentence: "Each user may order 2 times.".into(),
                    enforced: "at most 2".into(),
                    refused: Some(true),
                    numbers: Some(Numbers {
                        used: 3,
                        limit: 2,
                        resets_at: Some(PLACED_AT + 1),
                    }),
                    missing: Vec::new(),
                },
                Allowance {
                    constraint: "per-subject/limit-per-device".into(),
                    sentence: "Each device may order once.".into(),
                    enforced: "at most 1".into(),
                    refused: known.then_some(false),
                    numbers: known.then_some(Numbers {
                        used: 0,
                        limit: 1,
                        resets_at: None,
                    }),
                    missing: (!known)
                        .then(|| Attribute::Client("device".into()))
                        .into_iter()
                        .collect(),
                },
            ],
        };
        Ok((attempt.sku != "other").then_some(quota))
    }

    fn campaigns(&self) -> Result<Vec<ListedCampaign>, AdmissionError> {
        let listed = |number: i64| ListedCampaign {
            id: format!("sale-{number}"),
            title: format!("Sale {number}"),
            schedule: Schedule {
                opens_at: PLACED_AT + 1000 * (number - 2),
                closes_at: PLACED_AT + 100_000 + number,
                retention_ms: rushgate::campaign::RETENTION_MS,
            },
            now: PLACED_AT,
            paused: None,
            skus: Some(vec![("mug".into(), number == 1)]),
        };
        Ok((0..4).map(listed).collect())
    }

    async fn buyer_orders(&self, page: &BuyerPage<'_>) -> StoreResult<BuyerOrders> {
        if self.0.silent.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let campaign = match page.of {
            OrdersOf::Campaign(campaign) => Some(campaign),
            _ => None,
        };
        if campaign.is_some_and(|campaign| campaign != "spring") {
            return Ok(BuyerOrders::NoCampaign);
        }
        let all: Vec<BuyerOrder> = match page.user {
            "ada" => (0..3).map(|number| listed(number, campaign)).collect(),
            _ => Vec::new(),
        };
        let from = match page.before {
            None => 0,
            Some((_, order)) => match all.iter().position(|listed| listed.row.order == order) {
                None => return Ok(BuyerOrders::NoPlace),
                Some(at) => at + 1,
            },
        };
        let rows = all.into_iter().skip(from).take(page.limit as usize);
        Ok(BuyerOrders::Page(rows.collect()))
    }

    fn origins(&self, campaign: &str) -> Option<Arc<Origins>> {
        let list: &[&str] = match campaign {
            "own" => &["https://own.example"],
            "closed" => &[],
            "everybody" => &["*"],
            _ => return None,
        };
        let list = list.iter().map(|origin| (*origin).to_owned()).collect();
        Some(Arc::new(Origins::new(list).expect("origins")))
    }

    async fn campaign(&self, campaign: &str) -> Result<Option<CampaignView>, AdmissionError> {
        Ok((campaign == "spring").then(|| CampaignView {
            schedule: Schedule {
                opens_at: 0,
                closes_at: PLACED_AT * 100,
                retention_ms: rushgate::campaign::RETENTION_MS,
            },
            now: PLACED_AT,
            paused: None,
            skus: vec![("mug".into(), false), ("gone".into(), true)],
        }))
    }
}

/// Takes `dev:<user>` from anybody.
pub fn dev_auth() -> auth::Auth {
    let config = auth::Config {
        insecure_dev_auth: true,
        ..auth::Config::default()
    };
    auth::Auth::new(&config).expect("development tokens")
}

/// A running gateway; stops when asked or dropped.
pub struct Running {
    gateway: Arc<Gateway<Shared>>,
    pub address: SocketAddr,
    pub stage: Arc<Stage>,
    pub registry: Registry,
    stop: Option<oneshot::Sender<()>>,
    pub served: JoinHandle<()>,
}

impl Running {
    pub fn start() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self::guarded(config, None)
    }

    /// Gives up soon what does not begin.
    pub fn over(tls: Option<Tls>) -> Self {
        let config = Config {
            header_timeout: Duration::from_secs(2),
            ..Config::default()
        };
        Self::guarded(config, tls)
    }

    fn guarded(config: Config, tls: Option<Tls>) -> Self {
        Self::under(config, dev_auth(), tls)
    }

    /// That checks tokens so, and is configured so.
    pub fn checking_with(config: Config, auth: auth::Auth) -> Self {
        Self::under(config, auth, None)
    }

    /// That checks tokens so. Its buyers come from one address, and with a connection for each request.
    pub fn checking(auth: auth::Auth) -> Self {
        let config = Config {
            peer_connects: 100_000,
            ..Config::default()
        };
        Self::under(config, auth, None)
    }

    fn under(config: Config, auth: auth::Auth, tls: Option<Tls>) -> Self {
        let stage = Arc::new(Stage::default());
        let mut registry = Registry::default();
        let gateway = Arc::new(Gateway::new(config, auth, Shared(stage.clone()), &mut registry));
        let listener = serving::bind(([127, 0, 0, 1], 0).into(), "--listen").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let door = gateway.door(listener).tls(tls);
        let served = tokio::spawn(door.serve(gateway.clone(), async {
            let _ = stopped.await;
        }));
        Self {
            gateway,
            address,
            stage,
            registry,
            stop: Some(stop),
            served,
        }
    }

    pub fn changes(&self) -> Changes {
        self.gateway.changes()
    }

    pub fn auth(&self) -> Arc<auth::Auth> {
        self.gateway.auth()
    }

    pub fn leave(&self) {
        self.gateway.leave();
    }

    pub fn put_in_force(&self, config: &Config, auth: auth::Auth) {
        self.gateway.put_in_force(config, auth);
    }

    pub fn stop(&mut self) {
        drop(self.stop.take());
    }
}
