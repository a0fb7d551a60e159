//! Redis loses everything: how soon the campaign that a buyer asks for is open again, and how soon all are.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use redis::aio::MultiplexedConnection;
use testkit::deployment::Member;
use testkit::services;
use tokio::time::Instant;

use super::name;
use crate::{Bench, SKU};

const OPEN_WITHIN: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);

pub async fn run(bench: &mut Bench, gateway: &Member) -> Result<()> {
    let mut redis = services::redis(&bench.setup.urls).await?;
    let campaigns = bench.campaigns;
    ensure!(
        open(&mut redis, campaigns).await? == campaigns,
        "not every gate is open to begin with"
    );
    let begun = Instant::now();
    redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
    let asked_for = name(campaigns / 2);
    let asked = ordered(gateway, &asked_for, begun);
    let (asked, all) = tokio::join!(asked, all_open(&mut redis, campaigns, begun));
    let table = &mut bench.table;
    table.figure(
        format!("everything lost, {campaigns} campaigns: the one asked for sells"),
        asked?.as_secs_f64(),
        "s",
    );
    table.figure(
        format!("everything lost, {campaigns} campaigns: all are open"),
        all?.as_secs_f64(),
        "s",
    );
    Ok(())
}

/// How many gates are open.
async fn open(redis: &mut MultiplexedConnection, campaigns: usize) -> Result<usize> {
    let mut asked = redis::pipe();
    for n in 0..campaigns {
        asked
            .cmd("HEXISTS")
            .arg(format!("rg:{{{}.0}}:state", name(n)))
            .arg("fence");
    }
    let there: Vec<u8> = asked.query_async(redis).await?;
    Ok(there.into_iter().map(usize::from).sum())
}

async fn all_open(redis: &mut MultiplexedConnection, campaigns: usize, begun: Instant) -> Result<Duration> {
    loop {
        let there = open(redis, campaigns).await?;
        if there == campaigns {
            return Ok(begun.elapsed());
        }
        ensure!(
            begun.elapsed() < OPEN_WITHIN,
            "{there} of {campaigns} gates are open after {OPEN_WITHIN:?}"
        );
        tokio::time::sleep(POLL * 5).await;
    }
}

/// A buyer asks again and again until an order is taken.
async fn ordered(gateway: &Member, campaign: &str, begun: Instant) -> Result<Duration> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    loop {
        let order = Request::post(format!(
            "http://{}/v1/campaigns/{campaign}/orders",
            gateway.orders
        ))
        .header("authorization", "Bearer dev:bench")
        .header("content-type", "application/json")
        .header("idempotency-key", begun.elapsed().as_nanos().to_string())
        .body(Full::new(format!(r#"{{"sku":"{SKU}","quantity":1}}"#).into()))?;
        if client.request(order).await?.status().as_u16() == 202 {
            return Ok(begun.elapsed());
        }
        ensure!(
            begun.elapsed() < OPEN_WITHIN,
            "no order is taken after {OPEN_WITHIN:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}
