//! `rushgate dev`: everything in one process, on the embedded engine, an in-process bus and SQLite.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::runtime::Handle;

use super::adapters::Adapters;
use super::banner::{Banner, DEMO, DEMO_SKU, DEMO_STOCK, Url};
use super::listeners::{Listener, Listeners, fitted};
use super::parts::{Parts, wire};
use super::private;
use super::reload::{Reload, Sources};
use super::shutdown::Shutdown;
use super::webhooks::Webhooks;
use super::{cut_over, fronts, land};
use crate::bus::{ORDERS_TOPIC, PREFIX, embedded};
use crate::campaign::Sku;
use crate::clock::now_ms;
use crate::config::Config;
use crate::control::{NewCampaign, RuleSpec};
use crate::engine::embedded::Embedded;
use crate::events::{self, Events};
use crate::gateway::auth::Auth;
use crate::landing::{self, Landing, LandingHandle};
use crate::lifecycle;
use crate::metrics;
use crate::needs::Hooks;
use crate::plan::explain;
use crate::seal::{Key, Keyring};
use crate::store::{self, Store};
use crate::telemetry;
use crate::wasm::Host;

/// The one partition of the embedded bus.
const PARTITION: i32 = 0;
/// How long an end waits until what has landed is told.
const END_LIMIT: Duration = Duration::from_secs(3);
const BATCH_WAIT: Duration = Duration::from_millis(1);
const DAY_MS: i64 = 24 * 3600 * 1000;
/// The demo campaign has been open for a day and stays open for a year.
const DEMO_OPEN_SINCE_MS: i64 = DAY_MS;
const DEMO_OPEN_FOR_MS: i64 = 365 * DAY_MS;

/// Runs until asked to stop. With `data`, the database is a file there, and everything comes back
/// from it: the same rebuild that mends a Redis that lost its memory.
pub async fn dev(config: Config, data: Option<PathBuf>, sources: Sources) -> anyhow::Result<()> {
    let (config, sources) = fitted(alone(config), sources.map(alone))?;
    let shutdown = Shutdown::listen()?;
    let reload = Reload::listen(&config, sources)?;
    // One for as long as the process lives, whatever the configuration has: its topics live no longer.
    let config = Config {
        keyring: Some(Arc::new(keyring()?)),
        ..config
    };
    let listeners = Listeners::bind(&config)?;
    let auth = Arc::new(Auth::new(&config.auth)?);
    auth.start();
    data.as_deref().map(private::make).transpose()?;
    let _alone = data.as_deref().map(lock).transpose()?;
    data.as_deref().map(private::tighten).transpose()?;
    let store = open(data.as_deref()).await?;
    let webhooks = Webhooks::spawn(&config, &store);
    let (adapters, landing, events) = start(&config, store, webhooks.hooks()).await?;
    let host = Host::with(&config.wasm(data.as_deref(), |name| std::env::var_os(name)))?;
    let parts = wire(&config, &adapters, host);
    parts.control.install_builtin().await?;
    come_back(&parts, &adapters).await?;
    seed(&parts, &adapters).await?;
    let earlier = parts.control.install_earlier();

    let url = |listener: &Listener| {
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        listener.address().map(|address| Url(scheme, address))
    };
    let (orders, admin) = (url(&listeners.orders)?, url(&listeners.admin)?);
    let persistence = data.map_or("in memory".to_owned(), |folder| folder.display().to_string());
    print(
        &parts,
        &Banner {
            orders,
            admin,
            persistence: &persistence,
            rule: &[],
            remaining: 0,
            admin_token: config.admin_token.is_some(),
        },
    )
    .await?;
    let mut registry = telemetry::registry();
    let lifecycle = lifecycle::Metrics::default();
    metrics::register(&mut registry, &lifecycle);
    let expiry = tokio::spawn(land::expiry(&adapters.store, &lifecycle).run());
    let landed = landing::Watched {
        topic: ORDERS_TOPIC.to_owned(),
        metrics: landing.metrics(),
        consumers: vec![landing.state()],
    };
    landing::register(&mut registry, vec![landed]);
    events::register(&mut registry, &events.metrics);
    webhooks.register(&mut registry);
    fronts::run(
        auth,
        &adapters,
        &parts,
        registry,
        listeners,
        (shutdown, reload),
        |_, _| None,
    )
    .await?;
    drop(earlier);
    expiry.abort();
    tokio::task::spawn_blocking(move || landing.stop()).await?;
    events.stop(END_LIMIT).await;
    webhooks.stop().await;
    adapters.store.close().await;
    Ok(())
}

/// What is different for the only gateway there is.
fn alone(mut config: Config) -> Config {
    config.auth.insecure_dev_auth = true;
    config.gateway.shop = true;
    // The embedded bus has one deployment.
    config.kafka.prefix = PREFIX.to_owned();
    config.reconcile.grace = Duration::ZERO;
    // No balancer has to notice, unless somebody tries how one would.
    if config.drain_delay == Config::default().drain_delay {
        config.drain_delay = Duration::ZERO;
    }
    config
}

/// One process per folder: two would land under the same offsets.
fn lock(folder: &Path) -> anyhow::Result<std::fs::File> {
    let path = folder.join("rushgate.lock");
    let file = std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let taken = || format!("{} is in use by another rushgate dev", folder.display());
    file.try_lock().with_context(taken)?;
    Ok(file)
}

async fn open(data: Option<&Path>) -> anyhow::Result<Store> {
    let url = match data {
        None => "sqlite::memory:".to_owned(),
        Some(folder) => {
            let file = std::path::absolute(folder.join("rushgate.db"))?;
            format!("sqlite://{}", file.display())
        }
    };
    let store = Store::connect(&store::Config::new(url, 4)).await?;
    store.migrate().await?;
    cut_over::alone(&store).await?;
    Ok(store)
}

async fn start(
    config: &Config,
    store: Store,
    hooks: Arc<dyn Hooks>,
) -> anyhow::Result<(Adapters, LandingHandle, Events)> {
    let next = store
        .offsets(ORDERS_TOPIC)
        .await?
        .get(&PARTITION)
        .copied()
        .unwrap_or(0);
    let (producer, consumer) = embedded::pair(next);
    // Here `accepted` waits for landing, so a batch does not wait for company.
    let settings = landing::Config {
        batch_wait: BATCH_WAIT,
        seal: landing::SealConfig {
            keys: config.keyring.clone(),
            only: true,
        },
        ..config.landing()
    };
    let needs = events::Needs {
        store: store.clone(),
        producer: Arc::new(producer.clone()),
        log: None,
        topics: config.topics()?,
        hooks: Some(hooks),
    };
    let events = Events::spawn(&config.events, needs);
    let producer = Arc::new(match &config.keyring {
        Some(keys) => producer.sealed(keys.clone()),
        None => producer,
    });
    let landing = Landing::spawn_telling(
        settings,
        Box::new(consumer),
        producer.clone(),
        store.clone(),
        Handle::current(),
        landing::Metrics::default(),
        events.teller(),
    )?;
    let adapters = Adapters {
        store,
        engine: Arc::new(Embedded::new()),
        producer,
        sealing: None,
    };
    Ok((adapters, landing, events))
}

fn keyring() -> anyhow::Result<Keyring> {
    let secret: Vec<u8> = (0..4).flat_map(|_| uuid::Uuid::now_v7().into_bytes()).collect();
    let key = Key::new("dev".parse()?, &secret)?;
    Ok(Keyring::new(vec![key])?)
}

/// The engine starts empty: every campaign's state is rebuilt from the database before the first order.
async fn come_back(parts: &Parts, adapters: &Adapters) -> anyhow::Result<()> {
    let rows = adapters.store.live_campaigns(now_ms()).await?;
    // All at once: they wait for landing together.
    let opened = rows.iter().map(|row| async {
        let rebuilt = parts.reconcile.open(&row.campaign.id).await;
        rebuilt.with_context(|| format!("campaign {}", row.campaign.id))
    });
    futures_util::future::try_join_all(opened).await?;
    for row in rows {
        let loaded = parts
            .loader
            .load(&row.campaign.id, row.activation.epoch + 1)
            .await;
        // Nobody is admitted to it; the others are served.
        if let Err(why) = loaded {
            tracing::error!(campaign = row.campaign.id, why, "the campaign stays closed");
        }
    }
    Ok(())
}

/// A first start has the demo campaign.
async fn seed(parts: &Parts, adapters: &Adapters) -> anyhow::Result<()> {
    if !adapters.store.campaigns(None, 1).await?.is_empty() {
        return Ok(());
    }
    let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).context("the clock is beyond all calendars");
    let demo = NewCampaign {
        id: DEMO.into(),
        title: "Demo: one mug each".into(),
        opens_at: at(now_ms() - DEMO_OPEN_SINCE_MS)?,
        closes_at: at(now_ms() + DEMO_OPEN_FOR_MS)?,
        retention_days: None,
        skus: vec![Sku::new(DEMO_SKU, DEMO_STOCK)],
        fold: Default::default(),
        rules: vec![RuleSpec {
            module: "n-per-user".into(),
            params: json!({"limit": 1}),
            name: None,
        }],
        shadow: Vec::new(),
        hold: None,
        cancel_by_buyer: false,
        releases: Default::default(),
        origins: None,
        merchant: None,
        four_eyes: false,
    };
    parts.control.create_campaign("rushgate dev", demo).await?;
    Ok(())
}

async fn print(parts: &Parts, banner: &Banner<'_>) -> anyhow::Result<()> {
    let Some(demo) = parts.ruleset.get(DEMO) else {
        println!("{banner}");
        return Ok(());
    };
    let (_, figures) = parts.control.campaign(DEMO).await?;
    let rule: Vec<String> = explain::explain(&demo.family.plan);
    let remaining = figures.skus.first().map_or(0, |sku| sku.remaining);
    println!(
        "{}",
        Banner {
            rule: &rule,
            remaining,
            ..*banner
        }
    );
    Ok(())
}
