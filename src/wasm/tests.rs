//! The host against hostile and mistaken modules, each written by hand and wrapped like a real one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wit_component::{StringEncoding, embed_component_metadata};

use super::disk::Folder;
use super::*;

const LOOP: &str = "(loop $again (br $again)) unreachable";
const TRAP: &str = "unreachable";
/// Never fails, but each grown page costs: ends only at the limit.
const GROW: &str = "(loop $again (drop (memory.grow (i32.const 16))) (br $again)) unreachable";
const RECURSE: &str = "(call $recurse) unreachable";
/// A result whose first list claims to have as many elements as fit into the memory: far more than are
/// answered in good faith.
const HUGE: &str = "(drop (memory.grow (i32.const 500)))
    (i32.store (i32.const 1024) (i32.const 0)) (i32.store (i32.const 1028) (i32.const 0x1000000))
    (i32.store (i32.const 1032) (i32.const 0)) (i32.store (i32.const 1036) (i32.const 0x1000000))
    (i32.const 1024)";
/// `ok(plan)` with 5,000 nodes, which are all `int(0)`: zeroed memory.
const MANY_NODES: &str = "(drop (memory.grow (i32.const 100)))
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1028) (i32.const 131072)) (i32.store (i32.const 1032) (i32.const 5000))
    (i32.const 1024)";
/// `err` of an empty list.
const NO_REASON: &str = "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.const 1024)";

/// A core module with these bodies for the two functions.
fn core(describe: &str, compile: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (func $recurse (call $recurse))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
            (func (export "rushgate:policy/rule@1.0.0#describe") (result i32) {describe})
            (func (export "rushgate:policy/rule@1.0.0#compile")
                (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32) {compile}))"#
    );
    wat::parse_str(text).expect("the test's module is valid text")
}

/// A component of the contract around [`core`].
fn component(describe: &str, compile: &str) -> Arc<[u8]> {
    encode(
        core(describe, compile),
        include_str!("../../wit/policy.wit"),
        "rule-module",
    )
}

fn encode(core: Vec<u8>, wit: &str, world: &str) -> Arc<[u8]> {
    wrap_core_module(&with_world(core, wit, world))
        .expect("the test's module can be wrapped")
        .into()
}

/// The core module with what wit-bindgen leaves in one: the world it was built against.
fn with_world(mut core: Vec<u8>, wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve
        .push_str("test.wit", wit)
        .expect("the test's WIT is valid");
    let world = resolve
        .select_world(&[package], Some(world))
        .expect("the world is in it");
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)
        .expect("metadata can be written");
    core
}

fn text_component(text: &str) -> Arc<[u8]> {
    wat::parse_str(text)
        .expect("the test's component is valid text")
        .into()
}

fn host() -> Host {
    Host::new().expect("this machine runs WebAssembly")
}

async fn inspect(bytes: impl Into<Arc<[u8]>>) -> Result<Inspected, ModuleError> {
    let bytes = bytes.into();
    let began = Instant::now();
    let answer = host().inspect(bytes).await;
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "it took {:?}",
        began.elapsed()
    );
    answer
}

fn context() -> Context {
    Context {
        campaign: "spring".into(),
        opens_at: 1_000,
        closes_at: 2_000,
        skus: vec![crate::campaign::Sku::new("ticket", 10)],
    }
}

/// Inspected without asking the module, with this schema.
fn inspected(bytes: &[u8], params_schema: Value) -> Inspected {
    Inspected {
        digest: digest::digest(bytes),
        descriptor: Descriptor {
            id: "test".into(),
            version: "1.0.0".into(),
            title: "Test".into(),
            summary: String::new(),
            params_schema,
            reasons: Vec::new(),
            attributes: Vec::new(),
            examples: Vec::new(),
            annotations: Vec::new(),
            precheck: false,
        },
    }
}

#[track_caller]
fn assert_refused(answer: Result<Inspected, ModuleError>, expected: &str, word: &str) {
    match answer {
        Err(ModuleError::Refused { code, message }) => {
            assert_eq!(code, expected, "{message}");
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
        other => panic!("expected {expected}, got {other:?}"),
    }
}

#[track_caller]
fn assert_misbehaved<T: std::fmt::Debug>(answer: Result<T, ModuleError>, function: &str, expected: &str) {
    match answer {
        Err(ModuleError::Misbehaved {
            function: found,
            code,
            message,
        }) => {
            assert_eq!((found, code), (function, expected), "{message}");
        }
        other => panic!("expected {expected}, got {other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_component_is_refused_by_name() {
    assert_refused(inspect([]).await, "not-wasm", "empty");
    assert_refused(
        inspect(*b"PK\x03\x04 a zip file").await,
        "not-wasm",
        "00 61 73 6d",
    );
    assert_refused(inspect(*b"\0asm").await, "not-wasm", "ends inside");
    assert_refused(inspect(*b"(component)").await, "not-wasm", "text");
    assert_refused(
        inspect(*b"\0asm\x0d\0\x01\0garbage").await,
        "not-wasm",
        "not valid",
    );
    for said in [
        "is a core module",
        "imports nothing",
        "exports \"",
        "wit-bindgen",
        "rushgate module new",
    ] {
        assert_refused(inspect(core(TRAP, TRAP)).await, "core-module", said);
    }
    let mut truncated = component(TRAP, TRAP).to_vec();
    truncated.truncate(truncated.len() / 2);
    assert_refused(inspect(truncated).await, "not-wasm", "not valid");
    assert_refused(
        inspect(vec![0; MODULE_BYTES_MAX + 1]).await,
        "too-large",
        "at most",
    );
}

#[tokio::test]
async fn a_core_module_that_carries_its_world_is_wrapped() {
    let wit = include_str!("../../wit/policy.wit");
    // It is taken, and asked.
    let bare = with_world(core(TRAP, TRAP), wit, "rule-module");
    assert_misbehaved(inspect(bare.clone()).await, "describe", "trap");
    let exports = host().exports(bare.clone().into()).await.expect("a module");
    assert!(
        exports.contains(&format!("rushgate:policy/rule@{CONTRACT}")),
        "{exports:?}"
    );
    // It keeps the digest of the bytes that were uploaded: they are what is stored.
    let host = host();
    let module = inspected(&bare, json!({}));
    let answer = host
        .compile(&module, bare.clone().into(), &context(), &json!({}))
        .await;
    assert_misbehaved(answer, "compile", "trap");
}

#[tokio::test]
async fn imports_are_refused_and_named() {
    let bytes = text_component(r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance)))"#);
    assert_refused(
        inspect(bytes).await,
        "imports",
        "wasi:clocks/monotonic-clock@0.2.0",
    );
    let bytes = text_component(r#"(component (import "log" (func (param "line" string))))"#);
    assert_refused(inspect(bytes).await, "imports", "\"log\"");
}

#[tokio::test]
async fn a_core_module_is_told_what_it_is_what_it_imports_and_what_to_do() {
    for (import, todo) in [
        (
            "\"wasi_snapshot_preview1\" \"fd_write\"",
            "wasm32-unknown-unknown",
        ),
        ("\"env\" \"abort\"", "linked into the module"),
        ("\"wbg\" \"__wbindgen_throw\"", "built with wasm-bindgen"),
        ("\"gojs\" \"runtime.wasmExit\"", "built by Go"),
        ("\"acme\" \"f\"", "which has no imports"),
    ] {
        let bytes = text_component(&format!(
            "(module (import {import} (func)) (func (export \"run\")))"
        ));
        let name = import.replace("\" \"", "/");
        for said in [
            "a core module, not a component",
            &name,
            todo,
            "rushgate module new",
        ] {
            assert_refused(inspect(bytes.clone()).await, "imports", said);
        }
        let wrapped = wrap_core_module(&bytes).expect_err("nothing fits its imports");
        assert!(wrapped.to_string().contains(&name), "{wrapped}");
    }
}

#[tokio::test]
async fn another_world_is_refused_with_what_was_found() {
    assert_refused(
        inspect(text_component("(component)")).await,
        "wrong-world",
        "nothing",
    );
    let instance = |name: &str| {
        text_component(&format!(
            r#"(component (instance $i) (export "{name}" (instance $i)))"#
        ))
    };
    let answer = inspect(instance("rushgate:policy/rule@2.0.0")).await;
    assert_refused(answer, "wrong-world", "speaks rushgate:policy 2.0.0");
    let answer = inspect(instance("acme:rules/limit@1.0.0")).await;
    assert_refused(answer, "wrong-world", "acme:rules/limit@1.0.0");
    // The right name, and none of the functions.
    let answer = inspect(instance("rushgate:policy/rule@1.0.0")).await;
    assert_refused(answer, "wrong-world", "wit/policy.wit");
}

#[tokio::test]
async fn a_precheck_of_another_version_is_refused_rather_than_ignored() {
    let bytes = text_component(
        r#"(component (instance $i)
            (export "rushgate:policy/rule@1.0.0" (instance $i))
            (export "rushgate:policy/precheck@2.0.0" (instance $i)))"#,
    );
    assert_refused(inspect(bytes).await, "precheck", "version 2.0.0");
}

#[tokio::test]
async fn describe_that_misbehaves_is_stopped() {
    for (body, code) in [
        (LOOP, "fuel"),
        (TRAP, "trap"),
        (RECURSE, "trap"),
        (GROW, "memory"),
        (HUGE, "output"),
    ] {
        let began = Instant::now();
        assert_misbehaved(inspect(component(body, TRAP)).await, "describe", code);
        println!("describe {code}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn time_is_bounded_beside_fuel() {
    let budget = run::Budget {
        fuel: u64::MAX,
        time: Duration::from_millis(100),
        ..run::Budget::CALL
    };
    let host = Host::build(None, None, budget).expect("this machine runs WebAssembly");
    assert_misbehaved(host.inspect(component(LOOP, TRAP)).await, "describe", "time");
}

#[tokio::test]
async fn compile_that_misbehaves_is_stopped() {
    let host = host();
    for (body, code) in [
        (LOOP, "fuel"),
        (TRAP, "trap"),
        (GROW, "memory"),
        (MANY_NODES, "output"),
        (NO_REASON, "output"),
    ] {
        let bytes = component(TRAP, body);
        let module = inspected(&bytes, json!({}));
        let answer = host.compile(&module, bytes, &context(), &json!({})).await;
        assert_misbehaved(answer, "compile", code);
    }
}

#[tokio::test]
async fn changed_bytes_are_noticed() {
    let bytes = component(TRAP, TRAP);
    let module = inspected(b"other bytes", json!({}));
    match host().compile(&module, bytes, &context(), &json!({})).await {
        Err(ModuleError::Refused { code, .. }) => assert_eq!(code, "digest"),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn wrapping_gives_a_module_no_world_it_does_not_speak() {
    let bare = wat::parse_str("(module)").expect("valid text");
    // It wraps into an empty component, which is then refused for its world.
    let wrapped = wrap_core_module(&bare).expect("an empty module is an empty component");
    assert_refused(inspect(wrapped).await, "wrong-world", "nothing");
}

fn bytes_of(name: &str) -> Arc<[u8]> {
    let (_, bytes) = builtin()
        .iter()
        .find(|(file, _)| *file == name)
        .expect("the module is built in");
    (*bytes).into()
}

#[tokio::test]
async fn parameters_are_explained_with_pointers() {
    let host = host();
    let bytes = bytes_of("n-per-user.wasm");
    let module = host
        .inspect(bytes.clone())
        .await
        .expect("a built-in module is fine");
    let problems = async |params: Value| match host.compile(&module, bytes.clone(), &context(), &params).await
    {
        Err(ModuleError::Params(problems)) => problems,
        other => panic!("expected problems with {params}, got {other:?}"),
    };
    let only = async |params: Value| {
        let problem = problems(params).await.remove(0);
        (problem.pointer, problem.code, problem.message, problem.hint)
    };

    let (pointer, code, message, _) = only(json!({"limit": 0})).await;
    assert_eq!((pointer.as_str(), code.as_str()), ("/limit", "minimum"));
    assert_eq!(message, "expected at least 1, found 0");

    let (pointer, code, message, _) = only(json!({"limit": "2"})).await;
    assert_eq!((pointer.as_str(), code.as_str()), ("/limit", "type"));
    assert_eq!(message, "expected a whole number, found \"2\"");

    let (pointer, code, ..) = only(Value::Null).await;
    assert_eq!((pointer.as_str(), code.as_str()), ("/limit", "required"));

    let (pointer, code, _, hint) = only(json!({"limit": 1, "a/b~c": true})).await;
    assert_eq!((pointer.as_str(), code.as_str()), ("/a~1b~0c", "unknown-field"));
    assert_eq!(
        hint.as_deref(),
        Some("known here: \"count\", \"groups\", \"limit\", \"per\", \"skus\"")
    );

    let (pointer, _, message, _) = only(json!({"limit": 1, "count": "order"})).await;
    assert_eq!(pointer, "/count");
    assert_eq!(message, "expected \"orders\" or \"units\", found \"order\"");

    let all = problems(json!({"limit": -1, "per": 7, "x": 1})).await;
    assert_eq!(all.len(), 3, "{all:?}");

    let (_, code, ..) = only(json!({"limit": 1, "x": "y".repeat(bounds::PARAMS_BYTES_MAX)})).await;
    assert_eq!(code, "too-large");
    let (pointer, code, ..) = only(json!([1])).await;
    assert_eq!((pointer.as_str(), code.as_str()), ("", "type"));
}

#[tokio::test]
async fn a_whole_number_written_with_a_point_is_one() {
    let host = host();
    let bytes = bytes_of("n-per-user.wasm");
    let module = host
        .inspect(bytes.clone())
        .await
        .expect("a built-in module is fine");
    let compiled = host
        .compile(&module, bytes, &context(), &json!({"limit": 2.0}))
        .await
        .expect("2.0 is an integer");
    assert_eq!(
        compiled.plan.constraints[0].sentence,
        "Each user may order at most 2 units in the whole campaign."
    );
}

#[tokio::test]
async fn calls_run_beside_each_other_and_share_nothing() {
    let host = host();
    let bytes = bytes_of("n-per-user.wasm");
    let module = host
        .inspect(bytes.clone())
        .await
        .expect("a built-in module is fine");
    let compile = |limit: u32| {
        let (host, bytes, module) = (host.clone(), bytes.clone(), module.clone());
        async move {
            let params = json!({ "limit": limit });
            host.compile(&module, bytes, &context(), &params).await
        }
    };
    let answers = futures_util::future::join_all((1..=16).map(compile)).await;
    for (limit, answer) in (1..=16).zip(answers) {
        let plan = answer.expect("the parameters are valid").plan;
        assert!(plan.constraints[0].sentence.contains(&format!(" {limit} unit")));
    }
    // The digest keeps the module, so the bytes are not needed again.
    let again = host
        .compile(&module, Arc::from([]), &context(), &json!({"limit": 1}))
        .await;
    assert!(again.is_ok());
}

#[tokio::test]
async fn what_was_compiled_once_is_read_from_disk() {
    let temp = tempfile::tempdir().expect("a folder");
    let config = Config {
        cache_dir: Some(temp.path().join("wasm")),
        program: None,
    };
    let bytes = bytes_of("n-per-user.wasm");
    for (hits, misses) in [(0, 1), (1, 0)] {
        let folder = Folder::open(&config).expect("the folder can be used");
        let (path, cache) = (folder.path.clone(), folder.cache.clone());
        let host = Host::build(Some(folder), None, run::Budget::CALL).expect("WebAssembly runs");
        let engine = &host.0.rules.runner.engine;
        assert_eq!(artefact::find(&path, engine, &bytes).is_some(), hits == 1);
        let module = host.inspect(bytes.clone()).await.expect("a built-in module");
        assert_eq!(module.descriptor.id, "n-per-user");
        assert_eq!((cache.cache_hits(), cache.cache_misses()), (hits, misses));
        // Children and gateways meet there: the name is found without loading anything.
        assert!(artefact::find(&path, engine, &bytes).is_some());
        assert!(artefact::find(&path, engine, &bytes[1..]).is_none());
        // The file is written by a thread of its own, which ends with the cache.
        drop((host, cache));
    }
}

#[test]
fn an_engine_that_only_compiles_makes_what_the_pool_of_prechecks_runs() {
    let temp = tempfile::tempdir().expect("a folder");
    let folder = Folder::of_parent(temp.path()).expect("the folder can be used");
    let bytes = encode(
        core(TRAP, TRAP),
        include_str!("../../wit/policy.wit"),
        "rule-module",
    );
    let compiler = precheck::compiler(Some(folder.cache.clone())).expect("this machine compiles");
    contract::compile(&compiler, &bytes).expect("a valid component");
    let pool = precheck::Prechecks::new(
        Some(folder.cache.clone()),
        kept::Loading::default(),
        Metrics::default(),
    );
    let pool = pool.expect("this machine runs prechecks");
    assert!(artefact::find(&folder.path, &pool.runner.engine, &bytes).is_some());
    contract::compile(&pool.runner.engine, &bytes).expect("the same component");
    assert_eq!((folder.cache.cache_hits(), folder.cache.cache_misses()), (1, 1));
}

#[cfg(unix)]
#[test]
fn a_folder_that_others_may_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config {
        cache_dir: Some(folder.path().to_owned()),
        program: None,
    };
    assert!(Folder::open(&config).is_some());
    let open_to_all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open_to_all).expect("ours");
    assert!(Folder::open(&config).is_none());
    assert!(Host::with(&config).is_ok(), "modules run all the same");
}

#[cfg(unix)]
#[test]
fn a_temporary_folder_is_private_and_goes_with_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::temporary().expect("a folder can be made");
    let path = folder.path.clone();
    let mode = std::fs::metadata(&path)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    drop(folder);
    assert!(!path.exists());
}
