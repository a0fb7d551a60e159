//! The data plane: order clients over plain HTTP/1.1 and h2c, on bare hyper.
//!
//! ```text
//! request ─▶ routes ─▶ auth ─▶ body ─▶ Orders::place ─▶ answer
//! ```

mod answer;
pub mod auth;
mod body;
mod buyer;
mod cancel;
mod client_ip;
mod content;
pub mod cors;
mod generations;
mod live;
mod lookups;
mod metrics;
mod my_orders;
mod on_sale;
mod openapi;
mod over;
mod place;
mod query;
mod quota;
mod replacing;
mod routes;
mod server;
mod shop;
mod show;
mod told;

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Request, Version};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};

use crate::admission::{Admission, AdmissionError, Placement, Quota, Refusal};
use crate::campaign::{Origins, Paused, Schedule};
use crate::clock::now_ms;
use crate::needs::Gate;
use crate::order::{Attempt, LandedOrder, OrderId, OrderState};
use crate::plan::decision::Placed;
use crate::ruleset::Seller;
use crate::serving::{Networks, tls};
use crate::store::{OrdersOf, Store, StoreError, StoreResult};
use crate::wire;
use crate::wire::{Problem, Unfit, mib, millis, problem};

use auth::{Auth, Issuers, KeyFigures};
use client_ip::Doubts;
use live::Live;
use lookups::Lookups;
use metrics::Metrics;
use on_sale::{OnSale, SKUS_LISTED};
use replacing::Replacing;
use told::Told;

pub use answer::Answer;
pub use cancel::Cancelled;
pub use client_ip::AddressHeader;
pub use content::Content;
pub use live::{Changes, Landed, Standing};
pub use my_orders::{BuyerOrders, BuyerPage};
pub use on_sale::ListedCampaign;
pub use openapi::openapi;

/// Connections to the database for those who wait for changes: one looks, others begin.
const WATCH_CONNECTIONS: u32 = 2;
/// Of a buyer, so many orders are told of over one stream: the newest.
const NEWEST: u32 = 100;

/// How the data plane treats connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Open connections at most; for one more, the idlest is closed.
    pub connections: usize,
    /// Of them, those of one address or IPv6 /64 at most; 0: an eighth. Proxies have no such share.
    pub peer_connections: usize,
    /// New connections of one address or /64 a second; 0: an eighth of its share.
    pub peer_connects: u32,
    /// Requests of a connection that has shown no valid token may come to nothing so many times; then it is closed.
    pub in_vain: usize,
    /// Bytes that requests in flight may hold in all; of one address, an eighth.
    #[serde(rename = "memory_mb", with = "mib")]
    pub memory: usize,
    /// A connection that sends no complete request head for so long is closed.
    #[serde(rename = "header_timeout_ms", with = "millis")]
    pub header_timeout: Duration,
    /// A connection that takes nothing of what it is sent for so long is closed.
    #[serde(rename = "write_timeout_ms", with = "millis")]
    pub write_timeout: Duration,
    /// A body must arrive within this.
    #[serde(rename = "body_timeout_ms", with = "millis")]
    pub body_timeout: Duration,
    /// Networks of proxies in front of the gateway, which say buyers' addresses; others' headers are ignored.
    pub proxies: Networks,
    /// The same where only the number of proxies is known. With neither, the header is ignored and `ip` is the address
    /// of the connection.
    pub trusted_proxies: usize,
    /// The header in which they do: `X-Forwarded-For` or `Forwarded`, to which each appends, or one of another name
    /// that has one address.
    pub client_ip_header: AddressHeader,
    /// How long a lookup waits for the database.
    #[serde(rename = "database_wait_ms", with = "millis")]
    pub database_wait: Duration,
    /// Streams of events at most.
    pub streams: usize,
    /// Of them, those of one buyer at most.
    pub buyer_streams: usize,
    /// And those of one address or IPv6 /64; 0: an eighth. Proxies have no such share.
    pub peer_streams: usize,
    /// A stream on which nothing is told sends a comment so often.
    #[serde(rename = "heartbeat_ms", with = "millis")]
    pub heartbeat: Duration,
    /// Certificate and key of the listener; without them it speaks plain HTTP.
    pub tls_cert_file: Option<PathBuf>,
    pub tls_key_file: Option<PathBuf>,
    /// Whose pages may read answers.
    #[serde(skip)]
    pub cors: cors::Config,
    /// Whether there is a page to order from at `/shop`.
    #[serde(skip)]
    pub shop: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: 16_384,
            peer_connections: 0,
            peer_connects: 0,
            in_vain: 100,
            memory: 256 * 1024 * 1024,
            header_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(20),
            proxies: Networks::default(),
            trusted_proxies: 0,
            client_ip_header: AddressHeader::default(),
            database_wait: Duration::from_secs(1),
            streams: 10_000,
            buyer_streams: 8,
            peer_streams: 0,
            heartbeat: Duration::from_secs(15),
            tls_cert_file: None,
            tls_key_file: None,
            cors: cors::Config::default(),
            shop: false,
        }
    }
}

impl Config {
    /// The listener's TLS; `None`: plain HTTP.
    pub fn tls(&self) -> Option<tls::Files> {
        Some(tls::Files {
            cert: self.tls_cert_file.clone()?,
            key: self.tls_key_file.clone()?,
            client_ca: None,
        })
    }

    /// Whether what is set fits together.
    pub fn check(&self) -> Result<(), Unfit> {
        if !self.proxies.is_empty() && self.trusted_proxies > 0 {
            return Err(Unfit::new(
                "gateway.trusted_proxies",
                "gateway.proxies names the proxies, so they need not be counted: leave this at 0",
            ));
        }
        let nobody = self.proxies.is_empty() && self.trusted_proxies == 0;
        if nobody && self.client_ip_header != AddressHeader::default() {
            return Err(Unfit::new(
                "gateway.client_ip_header",
                "nobody is believed to say a buyer's address: name the networks of the proxies in gateway.proxies",
            ));
        }
        tls::check_pair(
            ("gateway.tls_cert_file", &self.tls_cert_file),
            ("gateway.tls_key_file", &self.tls_key_file),
        )
    }
}

/// What buyers see of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignView {
    pub schedule: Schedule,
    /// The engine's clock, milliseconds since 1970-01-01 UTC.
    pub now: i64,
    /// Whether somebody has paused it, as far as this gateway knows.
    pub paused: Option<Paused>,
    /// (SKU, sold out as far as this gateway knows).
    pub skus: Vec<(String, bool)>,
}

/// What the data plane asks of the stages behind it.
pub trait Orders: Landed {
    /// See [`Admission::place`]. The returned future may be dropped at any time.
    fn place(
        &self,
        campaign: &str,
        attempt: Attempt,
        keyed: bool,
    ) -> impl Future<Output = Result<Placement, AdmissionError>> + Send;

    /// See [`Admission::refused`]. Who knows nothing of the kind has every order placed.
    fn refused(&self, _campaign: &str, _user: &str, _asked: (&str, u32)) -> Option<Refusal> {
        None
    }

    /// See [`Admission::find`].
    fn find(
        &self,
        campaign: &str,
        user: &str,
        order: OrderId,
    ) -> impl Future<Output = Result<Option<(Placed, OrderState)>, AdmissionError>> + Send;

    /// See [`Store::order`].
    fn landed(
        &self,
        campaign: &str,
        order: OrderId,
    ) -> impl Future<Output = StoreResult<Option<LandedOrder>>> + Send;

    /// The order where it was admitted, has not landed and stands among the dead letters: `accepted`.
    fn stranded(
        &self,
        campaign: &str,
        order: OrderId,
    ) -> impl Future<Output = StoreResult<Option<LandedOrder>>> + Send;

    /// See [`Store::replacement`]. Who keeps no such thing knows of none.
    fn replacement(
        &self,
        _campaign: &str,
        _user: &str,
        _replaced: OrderId,
    ) -> impl Future<Output = StoreResult<Option<OrderId>>> + Send {
        std::future::ready(Ok(None))
    }

    /// Cancels an order of this buyer. Who can change nothing knows of none.
    fn cancel(
        &self,
        _campaign: &str,
        _user: &str,
        _order: OrderId,
    ) -> impl Future<Output = StoreResult<Cancelled>> + Send {
        std::future::ready(Ok(Cancelled::NotThere))
    }

    /// See [`Admission::quota`].
    fn quota(
        &self,
        campaign: &str,
        attempt: &Attempt,
    ) -> impl Future<Output = Result<Option<Quota>, AdmissionError>> + Send;

    /// `None` when there is no such campaign.
    fn campaign(
        &self,
        campaign: &str,
    ) -> impl Future<Output = Result<Option<CampaignView>, AdmissionError>> + Send;

    /// Every campaign that is not archived, in no order, by what this gateway knows: it returns at once.
    fn campaigns(&self) -> Result<Vec<ListedCampaign>, AdmissionError>;

    /// Orders of a buyer that landed, the one placed last first.
    fn buyer_orders(&self, page: &BuyerPage<'_>) -> impl Future<Output = StoreResult<BuyerOrders>> + Send;

    /// Whose pages may read what is said of a campaign, as far as it is known; `None`: those that the configuration names.
    fn origins(&self, _campaign: &str) -> Option<Arc<Origins>> {
        None
    }

    /// Whose a campaign is; `None` where there is no such campaign. Who knows of no merchants has one seller.
    fn seller(&self, _campaign: &str) -> impl Future<Output = Result<Option<Seller>, AdmissionError>> + Send {
        std::future::ready(Ok(Some(Seller::default())))
    }

    /// The same as far as it is known now.
    fn seller_now(&self, _campaign: &str) -> Option<Seller> {
        Some(Seller::default())
    }

    /// Sees to it that a campaign is known, where there is one of this id.
    fn meet(&self, _campaign: &str) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// The stages as they run.
pub struct Stages {
    admission: Arc<Admission>,
    lookups: Lookups,
    /// Who gives back in the engine what a cancelled order held.
    gate: Arc<dyn Gate>,
    /// Over connections of its own: what is looked at again and again keeps no lookup waiting.
    watched: Store,
}

impl Stages {
    pub fn new(admission: Arc<Admission>, store: Store, gate: Arc<dyn Gate>) -> Self {
        Self {
            admission,
            watched: store.apart(WATCH_CONNECTIONS),
            lookups: Lookups::new(store),
            gate,
        }
    }
}

impl Orders for Stages {
    async fn place(
        &self,
        campaign: &str,
        attempt: Attempt,
        keyed: bool,
    ) -> Result<Placement, AdmissionError> {
        self.admission.place(campaign, attempt, keyed).await
    }

    fn refused(&self, campaign: &str, user: &str, asked: (&str, u32)) -> Option<Refusal> {
        self.admission.refused(campaign, user, asked)
    }

    async fn find(
        &self,
        campaign: &str,
        user: &str,
        order: OrderId,
    ) -> Result<Option<(Placed, OrderState)>, AdmissionError> {
        self.admission.find(campaign, user, order).await
    }

    async fn landed(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        match self.admission.knows(campaign).await {
            true => self.lookups.landed(campaign, order).await,
            false => Ok(None),
        }
    }

    async fn stranded(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        self.lookups.stranded(campaign, order).await
    }

    async fn replacement(
        &self,
        campaign: &str,
        user: &str,
        replaced: OrderId,
    ) -> StoreResult<Option<OrderId>> {
        self.lookups.replacement(campaign, user, replaced).await
    }

    async fn cancel(&self, campaign: &str, user: &str, order: OrderId) -> StoreResult<Cancelled> {
        if !self.admission.knows(campaign).await {
            return Ok(Cancelled::NotThere);
        }
        let (cancelled, now) = self.lookups.cancel(campaign, user, order).await?;
        if now {
            self.gate.give_back_soon();
            self.lookups.given_back(campaign, order).await;
        }
        Ok(cancelled)
    }

    async fn quota(&self, campaign: &str, attempt: &Attempt) -> Result<Option<Quota>, AdmissionError> {
        self.admission.quota(campaign, attempt).await
    }

    async fn campaign(&self, campaign: &str) -> Result<Option<CampaignView>, AdmissionError> {
        let active = match self.admission.active(campaign).await {
            Ok(active) => active,
            Err(AdmissionError::UnknownCampaign(_)) => return Ok(None),
            Err(AdmissionError::Over { .. }) => {
                let archived = self.admission.archived(campaign);
                return Ok(archived.map(|archived| CampaignView {
                    schedule: archived.schedule,
                    now: self.admission.now(campaign),
                    paused: None,
                    skus: archived.skus.clone(),
                }));
            }
            Err(error) => return Err(error),
        };
        self.admission.freshen(campaign).await;
        if !self.admission.knows(campaign).await {
            return Ok(None);
        }
        let skus = active.campaign.skus.iter();
        Ok(Some(CampaignView {
            schedule: active.revision.schedule,
            now: self.admission.now(campaign),
            paused: self.admission.paused(campaign),
            skus: skus
                .map(|sku| (sku.id.clone(), self.admission.sold_out(campaign, &sku.id)))
                .collect(),
        }))
    }

    fn campaigns(&self) -> Result<Vec<ListedCampaign>, AdmissionError> {
        let shown = self.admission.on_show(SKUS_LISTED).into_iter();
        let listed = shown.map(|shown| ListedCampaign {
            id: shown.active.campaign.id.clone(),
            title: shown.title,
            schedule: shown.active.revision.schedule,
            now: shown.now,
            paused: shown.paused,
            skus: shown.skus,
        });
        Ok(listed.collect())
    }

    async fn buyer_orders(&self, page: &BuyerPage<'_>) -> StoreResult<BuyerOrders> {
        if let OrdersOf::Campaign(campaign) = page.of
            && !self.admission.knows(campaign).await
        {
            return Ok(BuyerOrders::NoCampaign);
        }
        self.lookups.buyer_orders(page).await
    }

    fn origins(&self, campaign: &str) -> Option<Arc<Origins>> {
        self.admission.origins(campaign)
    }

    async fn seller(&self, campaign: &str) -> Result<Option<Seller>, AdmissionError> {
        self.admission.seller(campaign).await
    }

    fn seller_now(&self, campaign: &str) -> Option<Seller> {
        self.admission.seller_now(campaign)
    }

    async fn meet(&self, campaign: &str) {
        self.admission.knows(campaign).await;
    }
}

impl Landed for Stages {
    async fn standing(&self, campaign: &str, orders: &[OrderId]) -> StoreResult<Vec<Standing>> {
        self.watched.standing(campaign, orders).await
    }

    async fn newest(&self, campaign: &str, users: &[String]) -> StoreResult<Vec<Standing>> {
        self.watched.newest_of_buyers(campaign, users, NEWEST).await
    }

    async fn rows(&self, campaign: &str, orders: &[OrderId]) -> StoreResult<Vec<(LandedOrder, Option<i64>)>> {
        let rows = self.watched.orders_of(campaign, orders).await?;
        let changed = self.watched.changed_at(campaign, orders).await?;
        let at = |row: &LandedOrder| changed.get(&row.attempt.order).copied().or(row.confirmed_at);
        Ok(rows
            .into_iter()
            .map(|row| (at(&row), row))
            .map(|(at, row)| (row, at))
            .collect())
    }
}

/// The data plane.
pub struct Gateway<O> {
    config: ArcSwap<Config>,
    auth: Arc<ArcSwap<Auth>>,
    issuers: Arc<Issuers>,
    orders: Arc<O>,
    metrics: Metrics,
    told: Arc<Told>,
    replacing: Arc<Replacing>,
    live: Live,
    doubts: Doubts,
    on_sale: OnSale,
    /// The listener is about to close.
    leaving: AtomicBool,
}

impl<O: Orders> Gateway<O> {
    pub fn new(config: Config, auth: impl Into<Arc<Auth>>, orders: O, registry: &mut Registry) -> Self {
        let auth = Arc::new(ArcSwap::new(auth.into()));
        let issuers = Arc::new(Issuers::new(&auth::Config::default()));
        registry.register_collector(Box::new(KeyFigures(auth.clone(), issuers.clone())));
        Self {
            config: ArcSwap::from_pointee(config),
            auth,
            issuers,
            orders: Arc::new(orders),
            metrics: Metrics::new(registry),
            told: Arc::default(),
            replacing: Arc::default(),
            live: Live::new(registry),
            doubts: Doubts::default(),
            on_sale: OnSale::default(),
            leaving: AtomicBool::new(false),
        }
    }

    /// Checks tokens anew from now on, and treats requests as `config` says; what concerns connections stays as it was
    /// at the start.
    pub fn put_in_force(&self, config: &Config, auth: impl Into<Arc<Auth>>) {
        let there = self.config.load();
        self.config.store(Arc::new(Config {
            body_timeout: config.body_timeout,
            trusted_proxies: config.trusted_proxies,
            client_ip_header: config.client_ip_header.clone(),
            database_wait: config.database_wait,
            cors: config.cors.clone(),
            streams: config.streams,
            buyer_streams: config.buyer_streams,
            peer_streams: config.peer_streams,
            heartbeat: config.heartbeat,
            ..Config::clone(&there)
        }));
        self.auth.store(auth.into());
    }

    /// What checks tokens now.
    pub fn auth(&self) -> Arc<Auth> {
        self.auth.load_full()
    }

    /// Issuers of merchants, known as long as somebody keeps them.
    pub fn issuers(&self) -> &Arc<Issuers> {
        &self.issuers
    }

    /// Where whoever learns of a change of an order tells it, so that streams need not find out.
    pub fn changes(&self) -> Changes {
        self.live.changes()
    }

    /// From now on every answer over HTTP/1.1 closes its connection, so that clients make their next one elsewhere before
    /// the listener closes; new connections are served all the same.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// [`Orders::landed`] in bounded time: a database may be silent.
    async fn landed_in_time(&self, campaign: &str, order: OrderId) -> StoreResult<Option<LandedOrder>> {
        self.in_time(self.orders.landed(campaign, order)).await
    }

    /// What the database is asked for, in bounded time.
    async fn in_time<T>(&self, asked: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        let within = self.config.load().database_wait;
        let answered = tokio::time::timeout(within, asked).await;
        answered.unwrap_or_else(|_| {
            Err(StoreError::Transient(format!(
                "no answer within {} ms",
                within.as_millis()
            )))
        })
    }

    fn route<'a>(&self, path: &'a str) -> Result<routes::Route<'a>, Problem> {
        match shop::find(path) {
            Some(file) if self.config.load().shop => Ok(routes::Route::Shop(file)),
            _ => routes::find(path),
        }
    }

    /// Answers one request that came from `peer`. Dropping the future is safe: an order that was
    /// begun goes on in admission.
    pub async fn handle<B>(&self, peer: IpAddr, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let begun = Instant::now();
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let checked = check_request(&parts);
        if checked.is_ok() && cors::is_preflight(&parts) {
            return self.preflight(&parts, begun).await;
        }
        let route = match checked.and_then(|()| self.route(path)) {
            Ok(route) => route,
            Err(problem) => {
                self.metrics.request("none", problem.status(), begun);
                return answer::problem(&problem);
            }
        };
        let mut name = route.name(&parts.method);
        let answered = if route.allows(&parts.method) {
            match route {
                // Its parameters are read one by one.
                routes::Route::Quota { campaign } => {
                    let query = parts.uri.query().unwrap_or_default();
                    self.show_quota(&campaign, query, peer, &parts.headers).await
                }
                routes::Route::Orders { campaign } if parts.method != Method::POST => {
                    let query = parts.uri.query();
                    self.list_orders(Some(&campaign), query, &parts.headers).await
                }
                routes::Route::MyOrders => self.list_orders(None, parts.uri.query(), &parts.headers).await,
                routes::Route::Campaigns => self.list_campaigns(parts.uri.query()),
                routes::Route::Shop(file) => shop::show(file, parts.uri.query()),
                _ if let Err(problem) = wire::check_query(parts.uri.query(), &[]) => Err(problem),
                routes::Route::Orders { campaign } => self.place(&campaign, peer, &parts.headers, body).await,
                routes::Route::Order { campaign, order } => {
                    self.show_order(&campaign, &order, &parts.headers).await
                }
                routes::Route::Cancel { campaign, order } => {
                    self.cancel(&campaign, &order, &parts.headers, body).await
                }
                routes::Route::OrderEvents { campaign, order } => {
                    self.stream_order((&campaign, &order), peer, &parts.headers).await
                }
                routes::Route::MyEvents { campaign } => {
                    self.stream_mine(&campaign, peer, &parts.headers).await
                }
                routes::Route::Campaign { campaign } => self.show_campaign(&campaign).await,
                routes::Route::Contract => Ok(answer::page(openapi::served().json.clone().into())),
                routes::Route::ContractPage => Ok(answer::contract_page(&openapi::served().page)),
                routes::Route::Problems => Ok(answer::page(problem::list())),
                routes::Route::Problem { text } => Ok(answer::text(text)),
            }
        } else {
            Ok(answer::method_not_allowed(route.allow()))
        };
        let answer = answered.unwrap_or_else(|problem| answer::problem(&problem));
        if answer.headers().contains_key(live::PREFERENCE_APPLIED) {
            // Its time is what the buyer wished.
            name = "place-wait";
        }
        self.metrics.request(name, answer.status().as_u16(), begun);
        answer
    }
}

/// What is asked of every request, whatever its path.
fn check_request(parts: &Parts) -> Result<(), Problem> {
    let values = |name| parts.headers.get_all(name).iter().map(HeaderValue::as_bytes);
    wire::check_headers(values)?;
    let authority = parts.uri.authority().map(Authority::as_str);
    let host = parts.headers.get(HOST).map(HeaderValue::as_bytes);
    wire::check_host(parts.version > Version::HTTP_10, authority, host)?;
    wire::check_same_host(authority, host)
}
