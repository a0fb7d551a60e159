//! `rushgate load` as the issuer of its buyers' tokens.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::stories::gate::Gate;

async fn load(gate: &Gate, key: &Path, more: &[&str]) -> Value {
    let target = gate.orders.trim_start_matches("http://");
    let mut run = Command::new(env!("CARGO_BIN_EXE_rushgate"));
    run.args([
        "load",
        "--json",
        "--attempts",
        "8",
        "--users",
        "4",
        "--retry-for",
        "5",
    ])
    .args(["--campaign", "shop", "--sku", "T-SHIRT RED/M", "--target", target])
    .arg("--sign-key")
    .arg(key)
    .args(more);
    let output = tokio::task::spawn_blocking(move || run.output().expect("it starts"));
    let output = output.await.expect("no panic");
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[tokio::test]
async fn buyers_show_tokens_that_a_key_for_tests_signed() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("test.key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").expect("written");
    let config = folder.path().join("rushgate.toml");
    let text = format!("[auth]\njwt_hs256_secret_file = {key:?}\nissuer = \"login\"\n");
    std::fs::write(&config, text).expect("written");
    let gate = Gate::dev_with(&config).await;
    let sale = json!({
        "id": "shop", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "T-SHIRT RED/M", "stock": 100}],
        "rules": [{"module": "tiered", "params": {"tiers": {"gold": 1}, "others": 0}}],
    });
    gate.control("/campaigns", &sale).await.expect(201);
    let good = ["--issuer", "login", "--claim", "tier=gold", "--prefix", "a"];
    let report = load(&gate, &key, &good).await;
    assert_eq!(report["orders"], 4, "{report}");
    // Without the claim nobody may order, and without the issuer nobody is believed.
    let report = load(&gate, &key, &["--issuer", "login", "--prefix", "b"]).await;
    assert!(
        report["orders"] == 0 && report["answers"]["409"].is_object(),
        "{report}"
    );
    let report = load(&gate, &key, &["--prefix", "c"]).await;
    assert!(
        report["orders"] == 0 && report["answers"]["401"].is_object(),
        "{report}"
    );
}
