//! The rule of `examples/claim-limit`: built as its README says, its plan needs `rule2`.

use std::sync::Arc;

use rushgate::plan::Expr;
use rushgate::wasm::{Config, Host};
use serde_json::json;

use super::tool::{CACHE, module, repository};

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_reads_claims_as_numbers_and_beginnings_of_texts() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    module(folder.path(), &["new", "claim-limit"]).await.ok();
    let rule = folder.path().join("claim-limit");
    std::fs::copy(
        repository().join("examples/claim-limit/lib.rs"),
        rule.join("src/lib.rs"),
    )
    .expect("the example is there");
    let manifest = std::fs::read_to_string(rule.join("Cargo.toml")).expect("a manifest");
    let (plain, with) = (
        "\nrushgate-rule.workspace = true\n",
        "\nrushgate-rule = { workspace = true, features = [\"rule2\"] }\n",
    );
    assert!(manifest.contains(plain), "{manifest}");
    std::fs::write(rule.join("Cargo.toml"), manifest.replace(plain, with)).expect("written");
    module(folder.path(), &["build", "claim-limit"]).await.ok();
    let said = module(folder.path(), &["test", "claim-limit"]).await.ok();
    assert!(said.contains("2 of 2 reasons seen"), "{said}");

    let program = Some(env!("CARGO_BIN_EXE_rushgate").into());
    let cache_dir = Some(CACHE.into());
    let host = Host::with(&Config { cache_dir, program }).expect("WebAssembly runs here");
    let bytes = std::fs::read(rule.join("dist/claim-limit.wasm")).expect("it is built");
    let bytes: Arc<[u8]> = bytes.into();
    let inspected = host.inspect(bytes.clone()).await.expect("a module");
    let context = inspected.descriptor.examples[0].context.clone();
    let params = json!({"claim": "max_units", "at_most": 10, "missing": 1, "postcodes": ["10"]});
    let compiled = host.compile(&inspected, bytes, &context, &params).await;
    let nodes = compiled.expect("a plan").plan.nodes;
    let is_number = |expr: &Expr| {
        let (low, high, missing, unreadable) = (0, 10, 1, 0);
        let Expr::Number { of, .. } = *expr else {
            return false;
        };
        *expr
            == Expr::Number {
                of,
                low,
                high,
                missing,
                unreadable,
            }
    };
    assert!(nodes.iter().any(is_number), "{nodes:?}");
    let near = |expr: &Expr| matches!(expr, Expr::StartsWith(_, texts) if *texts == ["10"]);
    assert!(nodes.iter().any(near), "{nodes:?}");
}
