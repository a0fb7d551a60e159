//! A gateway that starts while the database is away, or before it is migrated: it listens, answers that it is not ready and for what it waits, and
//! goes on as soon as the database is there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::adapters::{Adapters, close};
use super::listeners::Listeners;
use super::migration::{self, Why};
use crate::admin::{Check, Health, Readiness};
use crate::admission::{AdmissionError, Placement, Quota};
use crate::config::Config;
use crate::gateway::auth::Auth;
use crate::gateway::{
    BuyerOrders, BuyerPage, CampaignView, Gateway, Landed, ListedCampaign, Orders, Standing,
};
use crate::order::{Attempt, LandedOrder, OrderId, OrderState};
use crate::plan::decision::Placed;
use crate::store::{StoreError, StoreResult};
use crate::telemetry;

/// A start that takes no longer is not worth a word.
const SHORT: Duration = Duration::from_secs(1);

/// Connects, however long the database takes to come. What waiting does not mend is an error. A room that was opened is to be
/// kept until the gateway itself serves.
pub(super) async fn adapters(
    config: &Config,
    auth: &Arc<Auth>,
    listeners: &Listeners,
) -> anyhow::Result<(Adapters, Option<Room>)> {
    let why = Why::default();
    let mut connecting = std::pin::pin!(connect(config, &why));
    if let Ok(connected) = tokio::time::timeout(SHORT, &mut connecting).await {
        return Ok((connected?, None));
    }
    let room = Room::open(config, auth, listeners, why.clone())?;
    let (orders, admin) = listeners.addresses()?;
    tracing::warn!(%orders, control = %admin, "not ready yet, and listening: the start waits for the services");
    Ok((connecting.await?, Some(room)))
}

async fn connect(config: &Config, why: &Why) -> anyhow::Result<Adapters> {
    // Of the topics a gateway writes to one, and it need not be allowed to see the others.
    let orders = config.kafka().topic;
    let topics = [orders.as_str()];
    let tell = |cause: &str| tracing::warn!(cause, "the database is not there yet");
    migration::while_away(why, tell, || connect_once(config, &topics, why)).await
}

async fn connect_once(config: &Config, topics: &[&str], why: &Why) -> anyhow::Result<Adapters> {
    let store = migration::until_migrated(config, topics, why).await?;
    let connected = Adapters::connect(config, store.clone(), "serve").await;
    if connected.is_err() {
        close(&store).await;
    }
    connected
}

/// What is served meanwhile; closes when dropped, connections in order.
pub(super) struct Room {
    _close: [oneshot::Sender<()>; 2],
}

impl Room {
    fn open(config: &Config, auth: &Arc<Auth>, listeners: &Listeners, why: Why) -> anyhow::Result<Self> {
        let Listeners { orders, admin } = listeners.twins()?;
        let mut registry = telemetry::registry();
        let gateway = Gateway::new(config.gateway(), auth.clone(), Starting, &mut registry);
        let check = Check {
            name: "start",
            ask: Box::new(move || std::future::ready(Err(format!("waits: {}", why.read()))).boxed()),
        };
        let admin = admin.admin_door(config, &mut registry).hands_on();
        let health = Health {
            readiness: Arc::new(Readiness::new(vec![check])),
            registry: Arc::new(registry),
            has_token: config.admin_token.is_some(),
        };
        let (close_orders, orders_closed) = oneshot::channel();
        let (close_admin, admin_closed) = oneshot::channel();
        let door = gateway.door(orders.socket).tls(orders.tls).hands_on();
        tokio::spawn(door.serve(Arc::new(gateway), orders_closed.map(drop)));
        tokio::spawn(health.serve_meanwhile(admin, admin_closed.map(drop)));
        Ok(Self {
            _close: [close_orders, close_admin],
        })
    }
}

/// Stages that are not there yet.
struct Starting;

fn starting<T>() -> Result<T, AdmissionError> {
    Err(AdmissionError::Engine(
        "the gateway waits for the database".into(),
    ))
}

fn no_database<T>() -> StoreResult<T> {
    Err(StoreError::Transient("the gateway waits for the database".into()))
}

impl Landed for Starting {
    async fn standing(&self, _: &str, _: &[OrderId]) -> StoreResult<Vec<Standing>> {
        no_database()
    }

    async fn newest(&self, _: &str, _: &[String]) -> StoreResult<Vec<Standing>> {
        no_database()
    }

    async fn rows(&self, _: &str, _: &[OrderId]) -> StoreResult<Vec<(LandedOrder, Option<i64>)>> {
        no_database()
    }
}

impl Orders for Starting {
    async fn place(&self, _: &str, _: Attempt, _: bool) -> Result<Placement, AdmissionError> {
        starting()
    }

    async fn find(
        &self,
        _: &str,
        _: &str,
        _: OrderId,
    ) -> Result<Option<(Placed, OrderState)>, AdmissionError> {
        starting()
    }

    async fn landed(&self, _: &str, _: OrderId) -> StoreResult<Option<LandedOrder>> {
        no_database()
    }

    async fn stranded(&self, _: &str, _: OrderId) -> StoreResult<Option<LandedOrder>> {
        no_database()
    }

    async fn quota(&self, _: &str, _: &Attempt) -> Result<Option<Quota>, AdmissionError> {
        starting()
    }

    async fn campaign(&self, _: &str) -> Result<Option<CampaignView>, AdmissionError> {
        starting()
    }

    fn campaigns(&self) -> Result<Vec<ListedCampaign>, AdmissionError> {
        starting()
    }

    async fn buyer_orders(&self, _: &BuyerPage<'_>) -> StoreResult<BuyerOrders> {
        Err(StoreError::Transient("the gateway waits for the database".into()))
    }
}
