//! What a precheck costs per request: a call into a fresh instance of a module.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Result, ensure};
use rushgate::order::{Attempt, OrderId};
use rushgate::ruleset::{Asked, Verdict};
use rushgate::wasm::Host;
use serde_json::json;
use testkit::forge::Forge;
use tokio::time::Instant;

use crate::Bench;

const CALLS: u32 = 50_000;

/// Passes every buyer, after it looked through the user's id byte by byte.
const LOOKS_AT_USER: &str = "(local.set $user_len (i32.sub (local.get $user_len) (i32.const 1)))
    (block $end (loop $next
        (br_if $end (i32.lt_s (local.get $user_len) (i32.const 0)))
        (drop (i32.load8_u (i32.add (local.get $user) (local.get $user_len))))
        (local.set $user_len (i32.sub (local.get $user_len) (i32.const 1)))
        (br $next)))
    (global.get $pass)";

pub async fn run(bench: &mut Bench) -> Result<()> {
    let host = Host::new()?;
    let bytes: Arc<[u8]> = Forge::checking(LOOKS_AT_USER).component().into();
    let inspected = host.inspect(bytes.clone()).await?;
    let ready = host.precheck(&inspected, bytes, "bench", &json!({})).await?;
    let attempt = Attempt {
        order: OrderId::keyed("bench", "user-00000001", "key"),
        user: "user-00000001".into(),
        sku: crate::SKU.into(),
        quantity: 1,
        attributes: BTreeMap::new(),
    };
    let unread = BTreeMap::new();
    let asked = Asked {
        attempt: &attempt,
        unread: &unread,
    };
    let begun = Instant::now();
    for _ in 0..CALLS {
        ensure!(
            black_box(ready.check(&asked)) == Verdict::Pass,
            "the precheck refused"
        );
    }
    let us = begun.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS);
    bench
        .table
        .figure("precheck: one call, in a fresh instance", us, "µs");
    Ok(())
}
