//! The hostile corpus, each module held against the answer its line promises. Printed with `--nocapture`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rushgate::campaign::{Schedule, Sku, buckets_for};
use rushgate::control::proof::examples::play_module;
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::{CheckContext, check, merge};
use rushgate::ruleset::{Asked, Verdict};
use rushgate::wasm::{Context, Host, Inspected, ModuleError, examples};
use testkit::forge::Forge;
use testkit::forge::hostile::{At, corpus};

/// Far beyond what any of them takes; a machine that tests on all cores is no stopwatch.
const PATIENCE: Duration = Duration::from_secs(30);

fn context() -> Context {
    Context {
        campaign: "spring".into(),
        opens_at: 1_000_000,
        closes_at: 2_000_000,
        skus: vec![Sku::new("mug", 10)],
    }
}

/// What a module comes to, on the way it takes through a gateway.
async fn answer(host: &Host, bytes: Arc<[u8]>) -> (Option<At>, String) {
    let code_of = |error: ModuleError| match error {
        ModuleError::Refused { code, message } => (code, message),
        ModuleError::Misbehaved {
            code, ref message, ..
        } => (code, message.clone()),
        ModuleError::Params(problems) => ("params", format!("{problems:?}")),
    };
    let module = match host.inspect(bytes.clone()).await {
        Ok(module) => module,
        Err(error) => {
            let (code, message) = code_of(error);
            return (Some(At::Upload(code)), message);
        }
    };
    if let Some(lie) = lie(host, &module, bytes.clone()).await {
        return (Some(At::Upload("examples")), lie);
    }
    let (params, context) = (serde_json::Value::Null, context());
    let compiled = match host.compile(&module, bytes.clone(), &context, &params).await {
        Ok(compiled) => compiled,
        Err(error) => {
            let (code, message) = code_of(error);
            return (Some(At::Revision(code)), message);
        }
    };
    let checked = merge::merge(vec![examples::rule_plan(&module.descriptor, compiled.plan)]);
    let check_context = CheckContext {
        campaign: context.campaign.clone(),
        schedule: Schedule {
            opens_at: context.opens_at,
            closes_at: context.closes_at,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        skus: context.skus.clone().into(),
        audiences: Default::default(),
        buckets: buckets_for(&context.skus),
    };
    if let Err(error) = checked.and_then(|merged| check(merged, check_context)) {
        let code: &'static str = Box::leak(format!("plan:{}", error.code).into_boxed_str());
        return (Some(At::Revision(code)), error.to_string());
    }
    match module.descriptor.precheck && fails(host, &module, bytes).await {
        true => (Some(At::Order), "precheck-failed".into()),
        false => (None, "nothing is wrong with it".into()),
    }
}

async fn lie(host: &Host, module: &Inspected, bytes: Arc<[u8]>) -> Option<String> {
    let report = play_module(host, module, bytes)
        .await
        .expect("the host is in order");
    report.lies().into_iter().next()
}

async fn fails(host: &Host, module: &Inspected, bytes: Arc<[u8]>) -> bool {
    let ready = host
        .precheck(module, bytes, "rule", &serde_json::Value::Null)
        .await;
    let attempt = Attempt {
        order: OrderId::keyed("spring", "ada", "1"),
        user: "ada".into(),
        sku: "mug".into(),
        quantity: 1,
        attributes: Default::default(),
    };
    let asked = Asked {
        attempt: &attempt,
        unread: &Default::default(),
    };
    ready.expect("it was tried out at its upload").check(&asked) == Verdict::Failed
}

#[tokio::test]
async fn every_hostile_module_gets_its_answer() {
    let host = crate::fences::child::host(None);
    let mut wrong = String::new();
    let corpus = corpus();
    for module in &corpus {
        let bytes = (module.make)();
        let size = bytes.len();
        let begun = Instant::now();
        let (found, message) = answer(&host, bytes.into()).await;
        let took = begun.elapsed();
        let shown: String = message.chars().take(110).flat_map(char::escape_debug).collect();
        println!("{:<60} {size:>9} B {took:>9.1?}  {found:?}: {shown}", module.name);
        if found != Some(module.at) {
            let _ = writeln!(
                wrong,
                "{}: {:?} instead of {:?}: {shown}",
                module.name, found, module.at
            );
        }
        assert!(took < PATIENCE, "{} took {took:?}", module.name);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    println!("{} hostile modules, each refused", corpus.len());
}

/// Whatever is cut off or turned over: refused or harmless, and never a panic or a hang.
#[tokio::test]
async fn broken_copies_of_a_good_module_are_refused_or_harmless() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let good = Forge::checking("(global.get $pass)").component();
    let (mut refused, mut harmless) = (0, 0);
    for n in 0..300_usize {
        let mut bytes = good.clone();
        // A fixed walk over the bytes: every third copy is cut, the others have a bit turned over.
        let at = 8 + n.wrapping_mul(2_654_435_761) % (bytes.len() - 8);
        match n % 3 {
            0 => bytes.truncate(at),
            _ => bytes[at] ^= 1 << (n % 8),
        }
        match answer(&host, bytes.into()).await.0 {
            Some(_) => refused += 1,
            None => harmless += 1,
        }
    }
    println!("{refused} copies refused, {harmless} harmless");
    assert!(refused > 100, "{refused}");
}

/// Modules may carry much along; that alone is no crime.
#[tokio::test]
async fn a_pattern_that_would_backtrack_is_matched_in_linear_time() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let schema = r#"{"properties": {"a": {"pattern": "^(a+)+$"}}}"#;
    let bytes: Arc<[u8]> = Forge::describing(serde_json::json!({ "params-schema": schema }))
        .component()
        .into();
    let module = host.inspect(bytes.clone()).await.expect("a module in good order");
    let params = serde_json::json!({"a": format!("{}!", "a".repeat(50_000))});
    let begun = Instant::now();
    let answer = host.compile(&module, bytes, &context(), &params).await;
    assert!(matches!(answer, Err(ModuleError::Params(_))), "{answer:?}");
    assert!(begun.elapsed() < PATIENCE);
}
