//! Keys of Redis after a sale, with the fields whose names are words. Numbers and ids are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::StreamExt;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use rushgate::lua::keys::{PULSE, SHADOW_FIGURES, Shard};
use testkit::services::{self, Urls};
use tokio::time::Instant;

use crate::Page;
use crate::sale::CAMPAIGN;

/// Different reasons for which orders of the sale are refused.
const REASONS: usize = 6;
const COUNTED_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// Hashes whose fields are words, by the end of their key.
const WORDS: [&str; 3] = [":state", ":figures", ":stock"];

pub async fn write(page: &mut Page, urls: &Urls) -> Result<()> {
    page.section("keys of Redis");
    let mut redis = services::redis(urls).await?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    counted(&mut redis).await?;
    for key in all(&mut redis).await? {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await?;
        let expires: i64 = redis.ttl(&key).await?;
        let fields = match WORDS.iter().any(|end| key.ends_with(end)) {
            true => redis.hkeys(&key).await?,
            false => Vec::<String>::new(),
        };
        let lasts = if expires < 0 { "" } else { ", expires" };
        let line = format!("{}  {kind}{lasts}", without_numbers(&key));
        let fields = fields.iter().map(|field| without_numbers(field));
        found.entry(line).or_default().extend(fields);
    }
    for (line, fields) in found {
        page.line(line);
        fields.iter().for_each(|field| page.line(format!("    {field}")));
    }
    Ok(())
}

/// Waits until every rejection of the sale is counted: gateways add them up for a while first.
async fn counted(redis: &mut MultiplexedConnection) -> Result<()> {
    let key = format!("{}figures", Shard::new(CAMPAIGN, 0).prefix());
    let begun = Instant::now();
    loop {
        let fields: Vec<String> = redis.hkeys(&key).await?;
        if fields
            .iter()
            .filter(|field| !field.starts_with(SHADOW_FIGURES))
            .count()
            == REASONS
        {
            return Ok(());
        }
        ensure!(begun.elapsed() < COUNTED_WITHIN, "{key} counts {fields:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Those of the sale, and those of no campaign. A lease comes and goes.
async fn all(redis: &mut MultiplexedConnection) -> Result<Vec<String>> {
    let keys = redis.scan_match::<_, String>("rg:*").await?;
    let keys: Vec<_> = keys.collect().await;
    let keys = keys.into_iter().collect::<Result<Vec<_>, _>>()?;
    let sale = Shard::new(CAMPAIGN, 0).prefix();
    let wanted = |key: &String| key == PULSE || key.starts_with(&sale) && !key.ends_with(":relay");
    Ok(keys.into_iter().filter(wanted).collect())
}

fn without_numbers(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' if shown.ends_with('#') => {}
            '0'..='9' => shown.push('#'),
            _ => shown.push(c),
        }
    }
    shown
}
