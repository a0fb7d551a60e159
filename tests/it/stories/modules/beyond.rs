//! The rules of `examples`: built as their READMEs say, their plans need `rule2`.

use std::sync::Arc;

use rushgate::plan::{Attribute, Expr, Plan};
use rushgate::wasm::{Config, Host};
use serde_json::{Value, json};

use super::tool::{CACHE, module, repository};

/// What a rule of `examples`, built with the feature `rule2` and tested, compiles these parameters to.
async fn plans_of(name: &str, params: &[Value]) -> Vec<Plan> {
    let folder = tempfile::tempdir().expect("a folder can be made");
    module(folder.path(), &["new", name]).await.ok();
    let rule = folder.path().join(name);
    let source = repository().join("examples").join(name).join("lib.rs");
    std::fs::copy(source, rule.join("src/lib.rs")).expect("the example is there");
    let manifest = std::fs::read_to_string(rule.join("Cargo.toml")).expect("a manifest");
    let (plain, with) = (
        "\nrushgate-rule.workspace = true\n",
        "\nrushgate-rule = { workspace = true, features = [\"rule2\"] }\n",
    );
    assert!(manifest.contains(plain), "{manifest}");
    std::fs::write(rule.join("Cargo.toml"), manifest.replace(plain, with)).expect("written");
    module(folder.path(), &["build", name]).await.ok();
    let said = module(folder.path(), &["test", name]).await.ok();
    assert!(said.contains("2 of 2 reasons seen"), "{said}");

    let program = Some(env!("CARGO_BIN_EXE_rushgate").into());
    let cache_dir = Some(CACHE.into());
    let host = Host::with(&Config { cache_dir, program }).expect("WebAssembly runs here");
    let bytes = std::fs::read(rule.join("dist").join(format!("{name}.wasm"))).expect("it is built");
    let bytes: Arc<[u8]> = bytes.into();
    let inspected = host.inspect(bytes.clone()).await.expect("a module");
    let context = inspected.descriptor.examples[0].context.clone();
    let mut plans = Vec::new();
    for params in params {
        let compiled = host.compile(&inspected, bytes.clone(), &context, params).await;
        plans.push(compiled.expect("a plan").plan);
    }
    plans
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_reads_claims_as_numbers_and_beginnings_of_texts() {
    let params = json!({"claim": "max_units", "at_most": 10, "missing": 1, "postcodes": ["10"]});
    let plans = plans_of("claim-limit", &[params]).await;
    let nodes = &plans[0].nodes;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_reads_what_the_campaign_says_of_a_sku() {
    let plans = [
        json!({"limits": {"mugs": 4}, "others": 2, "once": ["limited"]}),
        json!({"others": 2}),
        json!({"limits": {"": 1, "mugs": 4}, "others": 2}),
    ];
    let plans = plans_of("category-limit", &plans).await;
    let plan = &plans[0];
    let of = |name: &str| Attribute::OfSku(name.into());
    assert_eq!(plan.counters[0].key, [Attribute::User, of("category")]);
    assert_eq!(plan.counters[1].key, [Attribute::User, Attribute::Sku]);
    for name in ["category", "edition"] {
        assert!(
            plan.nodes.contains(&Expr::Attribute(of(name))),
            "{:?}",
            plan.nodes
        );
    }

    // One limit of every category needs no table.
    let is_table = |expr: &Expr| matches!(expr, Expr::Lookup { .. });
    assert!(plan.nodes.iter().any(is_table), "{:?}", plan.nodes);
    assert!(!plans[1].nodes.iter().any(is_table), "{:?}", plans[1].nodes);
    assert_eq!(
        plans[2].constraints[0].sentence,
        "Each user may order 1 of SKUs without a category, 4 of mugs, and 2 units of each other category."
    );
}
