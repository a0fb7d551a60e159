//! `rushgate migrate --cut-over`: campaigns go over to the newest form of records, when every process knows it.
//!
//! Each campaign goes over in one fenced step, like an activation: nothing is drained, and nobody is refused meanwhile.
//! What an older gateway has admitted is relayed as it is; the fence then shuts that gateway out.

use anyhow::{Context, bail};
use serde_json::json;

use crate::audit::{AskedBy, AuditLine};
use crate::bus::Producer;
use crate::bus::kafka::KafkaProducer;
use crate::campaign::{Activation, RecordVersion};
use crate::clock::now_ms;
use crate::config::Config;
use crate::engine::Engine;
use crate::engine::redis::Redis;
use crate::lua::activate::{activate_args, activate_reply};
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::ruleset::Compiled;
use crate::state::Whose;
use crate::store::{CampaignRow, OlderSender, Store};

/// The actor in the audit trail.
const ACTOR: &str = "rushgate migrate --cut-over";
/// How often a campaign is tried whose activations change meanwhile.
const TRIES: usize = 10;

/// May be run again: it goes on with what is left. `force`: processes of older builds are taken for dead.
pub(crate) async fn cut_over(config: &Config, store: &Store, force: bool) -> anyhow::Result<()> {
    let version = RecordVersion::NEWEST;
    let older = store.senders_below(version).await?;
    if !older.is_empty() && !force {
        bail!(refusal(&older, version, now_ms()));
    }
    let engine = Redis::new(config.redis.clone())?;
    engine
        .ping()
        .await
        .context("the cut-over moves fences in Redis")?;
    let producer = KafkaProducer::new(config.kafka()).context("kafka")?;
    let partitions = producer.partitions().await.context("kafka")?;
    store.decide_record_version(version, now_ms()).await?;
    let mut moved = 0;
    // Who made a campaign meanwhile may not have heard of it.
    loop {
        let rows = below(store, version).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let told = over(store, &engine, row, partitions).await?;
            println!("{told}");
            moved += 1;
        }
    }
    // What one that was cut off has left: a fence that is behind its campaign moves, any other stays.
    for row in store.live_campaigns(now_ms()).await? {
        move_fences(store, &engine, row).await?;
    }
    let number = version.number();
    println!("records: version {number}, {moved} campaign(s) went over; docs/RECORDS.md has the way");
    Ok(())
}

/// The only process there is goes over by itself. Its engine is made anew from the database.
pub(crate) async fn alone(store: &Store) -> anyhow::Result<()> {
    let version = RecordVersion::NEWEST;
    store.decide_record_version(version, now_ms()).await?;
    for row in below(store, version).await? {
        raise(store, row, 1, None).await?;
    }
    Ok(())
}

async fn below(store: &Store, version: RecordVersion) -> anyhow::Result<Vec<CampaignRow>> {
    let mut rows = store.live_campaigns(now_ms()).await?;
    rows.retain(|row| row.campaign.record_version < version);
    Ok(rows)
}

/// Raises the campaign's version in the database; the row as it is then.
async fn raise(
    store: &Store,
    mut row: CampaignRow,
    partitions: u32,
    by: Option<AskedBy<'_>>,
) -> anyhow::Result<CampaignRow> {
    let campaign = row.campaign.id.clone();
    for _ in 0..TRIES {
        let (now, version) = (now_ms(), RecordVersion::NEWEST);
        let detail = json!({"record_version": version, "from": row.campaign.record_version, "to": version});
        let line = by.map(|by| AuditLine::new(now, by, "campaign.cut_over", campaign.as_str(), detail));
        let lines = line.into_iter().collect();
        let raised = store.raise_record_version(&row, version, partitions, now, lines);
        let raised = raised.await?.is_some();
        let gone = || format!("campaign {campaign:?} is gone");
        row = store.campaign(&campaign).await?.with_context(gone)?;
        if raised {
            return Ok(row);
        }
    }
    bail!("campaign {campaign:?} is activated again and again; try once more when that is over")
}

/// Moves one campaign; says what was done.
async fn over(
    store: &Store,
    engine: &dyn Engine,
    row: CampaignRow,
    partitions: u32,
) -> anyhow::Result<String> {
    let row = raise(store, row, partitions, Some(AskedBy::here(ACTOR))).await?;
    let (campaign, epoch) = (row.campaign.id.clone(), row.activation.epoch);
    Ok(match move_fences(store, engine, row).await? {
        true => format!("{campaign}: went over, under epoch {epoch}"),
        false => format!("{campaign}: goes over when its gate is opened, under epoch {epoch}"),
    })
}

/// Puts a campaign's fence in place in each of its shards; `false` where a gate is closed.
async fn move_fences(store: &Store, engine: &dyn Engine, row: CampaignRow) -> anyhow::Result<bool> {
    let (campaign, Activation { epoch, revision }) = (row.campaign.id.clone(), row.activation);
    let restock = row.restock.clone();
    let stored = store.revision(&campaign, revision).await?;
    let stored = stored.with_context(|| format!("campaign {campaign:?} has no revision {revision}"))?;
    let compiled = Compiled::build(row.campaign, stored)?;
    let fence = compiled.fence(epoch);
    let mut is_open = true;
    for number in 0..compiled.campaign.shards {
        let shard = Shard::new(&campaign, number);
        let args = activate_args(&fence, revision, &compiled.family.plan, restock.as_ref());
        let reply = engine.run(&fixed::ACTIVATE, &shard.state(), args).await?;
        let Some(there) = activate_reply(reply)? else {
            continue;
        };
        match Whose::of(there.as_ref(), &fence.uid) {
            Whose::Nobodys => is_open = false,
            Whose::Foreign => {
                bail!("Redis holds the state of another campaign {campaign:?}; is this the right Redis?")
            }
            // Somebody has moved it on, and this with it.
            Whose::Ours(_) => {}
        }
    }
    Ok(is_open)
}

fn refusal(older: &[OlderSender], version: RecordVersion, now: i64) -> String {
    let each = older.iter().map(|sender| {
        let seconds = now.saturating_sub(sender.seen_at).max(0) / 1000;
        format!("{}, last seen {seconds} s ago", sender.name)
    });
    format!(
        "these processes run a build that knows no records of version {}:\n  {}\nReplace them first, landers before gateways. Where \
         they are gone already, --force says so: a gateway that is not takes no order any more then, and a lander that is not \
         makes dead letters of what it cannot read",
        version.number(),
        each.collect::<Vec<_>>().join("\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_the_cut_over_up_is_named() {
        let older = OlderSender {
            name: "rushgate lander on b, process 7".to_owned(),
            seen_at: 1_000,
        };
        let text = refusal(&[older], RecordVersion::V2, 4_500);
        assert!(
            text.contains("rushgate lander on b, process 7, last seen 3 s ago"),
            "{text}"
        );
        assert!(text.contains("--force"), "{text}");
    }
}
