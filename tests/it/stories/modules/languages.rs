//! One rule in two languages: the same examples, the same plans, the same diagnostics.

use std::path::Path;
use std::sync::Arc;

use rushgate::wasm::{Config, Context, Descriptor, Host, Inspected, ModuleError};
use serde_json::{Value, json};

use super::tool::{CACHE, Engine, QUICKJS, SPIDERMONKEY, javascript_folder, module, repository};

struct Module {
    bytes: Arc<[u8]>,
    inspected: Inspected,
}

impl Module {
    async fn load(host: &Host, file: &Path) -> Self {
        let bytes: Arc<[u8]> = std::fs::read(file).expect("the module is built").into();
        let inspected = host.inspect(bytes.clone()).await.expect("it is a module");
        Self { bytes, inspected }
    }

    /// The plan as JSON, or the diagnostics.
    async fn compile(&self, host: &Host, context: &Context, params: &Value) -> Result<Value, Value> {
        let compiled = host
            .compile(&self.inspected, self.bytes.clone(), context, params)
            .await;
        match compiled {
            Ok(compiled) => Ok(serde_json::to_value(compiled.plan).expect("a plan is data")),
            Err(ModuleError::Params(found)) => {
                Err(serde_json::to_value(found).expect("diagnostics are data"))
            }
            Err(error) => panic!("{params}: {error}"),
        }
    }
}

/// Builds `rules/js/NAME.js` with an engine and holds it against a built-in module, the file `rules/dist/BUILTIN.wasm`.
async fn hold(name: &str, builtin: &str, engine: Engine, more: &[Value]) {
    let folder = javascript_folder(engine).await;
    module(
        folder.path(),
        &["new", name, "--lang", "js", "--engine", engine.0],
    )
    .await
    .ok();
    let rule = repository().join(format!("rules/js/{name}.js"));
    std::fs::copy(rule, folder.path().join(name).join("rule.js")).expect("the rule is there");
    module(folder.path(), &["build", name]).await.ok();

    let cache_dir = Some(CACHE.into());
    let program = Some(env!("CARGO_BIN_EXE_rushgate").into());
    let host = Host::with(&Config { cache_dir, program }).expect("WebAssembly runs here");
    let built = folder.path().join(name).join(format!("dist/{name}.wasm"));
    let script = Module::load(&host, &built).await;
    let rust = Module::load(&host, &repository().join(format!("rules/dist/{builtin}.wasm"))).await;

    // The schemas are worded differently; what they let through is compared below.
    let comparable = |module: &Module| Descriptor {
        params_schema: Value::Null,
        ..module.inspected.descriptor.clone()
    };
    assert_eq!(comparable(&script), comparable(&rust));
    let examples = &rust.inspected.descriptor.examples;
    let context = &examples[0].context;
    let given = examples.iter().map(|example| (&example.context, &example.params));
    let mut refused = 0;
    for (context, params) in given.chain(more.iter().map(|params| (context, params))) {
        let (one, other) = (
            script.compile(&host, context, params).await,
            rust.compile(&host, context, params).await,
        );
        refused += usize::from(one.is_err());
        assert_eq!(one, other, "{name} in JavaScript and in Rust, {params}");
    }
    println!(
        "{name} on {}: {} plans and {refused} refusals are those of the Rust module",
        engine.0,
        examples.len() + more.len() - refused
    );
}

fn limits() -> Vec<Value> {
    vec![
        json!({"limit": 1}),
        json!({"limit": 1_000_000, "per": "sku"}),
        json!({"limit": 1, "count": "units", "per": "campaign"}),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn n_per_user_is_the_same_rule_on_quickjs() {
    hold("n-per-user", "n-per-user@1.0.0", QUICKJS, &limits()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn n_per_user_is_the_same_rule_on_spidermonkey() {
    hold("n-per-user", "n-per-user@1.0.0", SPIDERMONKEY, &limits()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_cap_is_the_same_rule_on_quickjs() {
    let more = [
        json!({}),
        json!({"min": 5, "max": 3}),
        json!({"min": 3, "max": 7, "pack": 2}),
        json!({"max": 1, "pack": 2}),
        json!({"min": 2, "max": 8, "pack": 2, "skus": ["ticket"]}),
        json!({"max": 3, "skus": ["ticket", "no-such", "ticket"]}),
    ];
    hold("order-cap", "order-cap@1.0.0", QUICKJS, &more).await;
}
