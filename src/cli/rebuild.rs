//! `rushgate rebuild`: restores a campaign in Redis from the database, by hand. Gateways do the same by themselves
//! when Redis lost its memory.

use std::time::Instant;

use anyhow::{Context, anyhow, bail};
use serde_json::json;

use super::out::user;
use crate::app::adapters::{self, Adapters};
use crate::app::parts::mend;
use crate::audit::{AskedBy, AuditLine};
use crate::clock::now_ms;
use crate::config::Config;
use crate::engine::EngineError;
use crate::reconcile::{RebuildError, Rebuilt};
use crate::store::Store;
use crate::wasm::Host;

/// As the audit trail names what somebody ran.
const COMMAND: &str = "rushgate rebuild";
/// Campaigns named to somebody who asked for one that is not there.
const NAMED_MAX: u32 = 20;

/// Fails unless the gate is open in the end. `force`: also where it looks open, which raises the epoch.
pub async fn rebuild(config: Config, campaign: String, force: bool) -> anyhow::Result<()> {
    let store = adapters::store(&config).await?;
    let adapters = Adapters::connect(&config, store, "rebuild").await?;
    let done = rebuild_with(&config, &adapters, campaign, force).await;
    adapters.close().await;
    done
}

async fn rebuild_with(
    config: &Config,
    adapters: &Adapters,
    campaign: String,
    force: bool,
) -> anyhow::Result<()> {
    adapters
        .engine
        .ping()
        .await
        .context("a rebuild writes to Redis")?;
    let kafka = adapters.producer.ping().await;
    kafka.context("a rebuild has to know how far Kafka has been landed")?;
    let store = &adapters.store;
    let Some(row) = store.campaign(&campaign).await? else {
        bail!("there is no campaign {campaign:?}; {}", known(store).await?);
    };
    let host = Host::with(&config.wasm(None, |name| std::env::var_os(name)))?;
    let mending = mend(config, adapters, host);
    // What a dead gateway left in the outbox is sent on from here.
    mending.relay_for(&row).await?;
    let lost = if force { row.activation.epoch } else { 0 };
    let begun = Instant::now();
    // Before anything is done: most of it is done in Redis.
    let (actor, detail) = (
        user(),
        json!({"force": force, "epoch": row.activation.epoch, "command": COMMAND}),
    );
    let line = AuditLine::new(
        now_ms(),
        AskedBy::here(&actor),
        "campaign.rebuild",
        campaign.as_str(),
        detail,
    );
    store.audit(&[line]).await?;
    let outcome = mending.reconcile.rebuild(&campaign, lost).await;
    let rebuilt = outcome.map_err(|error| advised(error, config))?;
    println!(
        "{campaign}: {} ({:.1} s)",
        told(&rebuilt),
        begun.elapsed().as_secs_f64()
    );
    if row.schedule.is_archived(now_ms()) {
        println!(
            "{campaign} is archived: this state can be compared and looked at for a day, gateways go on answering 410. To \
             sell again, create a revision with a later closes_at and activate it."
        );
    }
    Ok(())
}

async fn known(store: &Store) -> anyhow::Result<String> {
    let rows = store.campaigns(None, NAMED_MAX).await?;
    if rows.is_empty() {
        return Ok("there is none at all: is this the right database?".into());
    }
    let ids: Vec<String> = rows.into_iter().map(|row| row.campaign.id).collect();
    Ok(format!("the newest are {}", ids.join(", ")))
}

fn told(rebuilt: &Rebuilt) -> String {
    match rebuilt {
        Rebuilt::Open => "the gate is open, nothing was done; --force rebuilds it all the same".into(),
        Rebuilt::Restored {
            orders,
            stranded,
            epoch,
        } => format!(
            "restored {orders} landed orders and {stranded} among the dead letters; the gate is open under epoch {epoch}"
        ),
    }
}

/// The error, with what a person can do about it.
fn advised(error: RebuildError, config: &Config) -> anyhow::Error {
    match &error {
        RebuildError::Elsewhere => {
            let lease = config.reconcile.lease.as_millis();
            anyhow!("{error}; wait for it: should it have died, its lease ends within {lease} ms")
        }
        RebuildError::Patience { .. } => {
            anyhow!("{error} The gate stays closed; gateways go on trying, and so may you.")
        }
        RebuildError::Engine(EngineError::Changed { .. }) => {
            anyhow!("{error}, several times in a row; see why Redis does not stay up")
        }
        _ => error.into(),
    }
}
