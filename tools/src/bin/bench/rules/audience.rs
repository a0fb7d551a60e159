//! A list of a million members: uploaded, pinned by a revision, and loaded by the activation that needs it.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::{Result, ensure};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Method;
use serde_json::json;
use testkit::control::Control;
use testkit::{process, services};
use tokio::time::Instant;

use super::{LIST, memory};
use crate::Bench;

const MEMBERS: usize = 1_000_000;
const CAMPAIGN: &str = "bench-list";

pub async fn run(bench: &mut Bench) -> Result<()> {
    let mut redis = services::redis(&bench.setup.urls).await?;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
    let gateway = bench.setup.serve(1).await?;
    let control = Control::new(&gateway.admin);
    bench.campaign(&gateway, CAMPAIGN, 100_000).await?;
    let idle = process::resident_mib(gateway.pid())?;

    let body = zipped()?;
    let begun = Instant::now();
    let path = format!("/admin/v1/audiences/{LIST}");
    let (status, answer) = control.put_zipped(&path, body).await?;
    ensure!(status == 201, "the upload answered {status}: {answer}");
    bench.table.figure(
        "list of 1,000,000: upload, gzipped",
        begun.elapsed().as_secs_f64(),
        "s",
    );
    let uploaded = process::resident_mib(gateway.pid())?;

    let rules = json!([{"module": "audience", "params": {"list": LIST}}]);
    let begun = Instant::now();
    let revision = control.create_revision(CAMPAIGN, rules).await?;
    bench
        .table
        .figure("list of 1,000,000: revision", begun.elapsed().as_secs_f64(), "s");
    let before = memory::used_memory(&mut redis).await?;
    let begun = Instant::now();
    let path = format!("/admin/v1/campaigns/{CAMPAIGN}/activate");
    let accept = json!({"revision": revision, "accept": ["one-per-user/units-per-user"]});
    let (status, answer) = control.send(Method::POST, &path, &accept).await?;
    ensure!(status == 200, "the activation answered {status}: {answer}");
    bench.table.figure(
        "list of 1,000,000: activation that loads it",
        begun.elapsed().as_secs_f64(),
        "s",
    );
    let loaded = memory::used_memory(&mut redis).await? - before;
    bench.table.figure(
        "list of 1,000,000: Redis per member",
        loaded / MEMBERS as f64,
        "bytes",
    );
    bench.table.figure(
        "list of 1,000,000: more memory of the gateway, upload and load",
        process::resident_mib(gateway.pid())?.max(uploaded) - idle,
        "MiB",
    );
    gateway.stop().await
}

fn zipped() -> Result<Bytes> {
    let mut text = String::new();
    for member in 0..MEMBERS {
        writeln!(text, "member-{member:09}")?;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?.into())
}
