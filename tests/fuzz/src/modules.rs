//! Answers of a module as they lie in its memory: the host lifts any bytes into a descriptor or plan, or refuses
//! them. Both guests answer bytes of the fuzzer's choice.

use std::sync::{Arc, LazyLock};

use rushgate::campaign::{Schedule, Sku, buckets_for};
use rushgate::plan::{CheckContext, check, merge};
use rushgate::wasm::{Context, Host, Inspected, ModuleError, examples, wrap_core_module};
use serde_json::json;
use tokio::runtime::Runtime;

const WIT: &str = include_str!("../../../wit/policy.wit");
/// Bytes a guest answers at most. The answer is where they begin.
const ANSWER_BYTES: usize = 4096;
/// Where they are in the guest's memory.
const AT: usize = 1024;

struct Machine {
    runtime: Runtime,
    host: Host,
    /// Answers from `compile` what its parameters say in hexadecimal digits.
    echo: Inspected,
    echo_bytes: Arc<[u8]>,
    /// Answers from `describe` what stands in its bytes after the marker.
    says: Vec<u8>,
    says_at: usize,
}

static MACHINE: LazyLock<Machine> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let host = Host::new().expect("this machine runs WebAssembly");
    let echo_bytes: Arc<[u8]> = component(&good_descriptor(), ECHO).into();
    let echo = runtime
        .block_on(host.inspect(echo_bytes.clone()))
        .expect("a module in order");
    let marker = [0xa5; ANSWER_BYTES];
    let says = component(&marker, "unreachable");
    let says_at = says
        .windows(ANSWER_BYTES)
        .position(|window| window == marker)
        .expect("the marker is there");
    Machine {
        runtime,
        host,
        echo,
        echo_bytes,
        says,
        says_at,
    }
});

/// Two digits of the parameters at a time, from behind `{"x":"` up to the closing quote.
const ECHO: &str = r#"(local $from i32) (local $to i32)
    (local.set $from (i32.add (local.get 8) (i32.const 6)))
    (local.set $to (i32.const 1024))
    (block $done (loop $next
        (br_if $done (i32.eq (i32.load8_u (local.get $from)) (i32.const 34)))
        (i32.store8 (local.get $to) (i32.or
            (i32.shl (call $digit (i32.load8_u (local.get $from))) (i32.const 4))
            (call $digit (i32.load8_u offset=1 (local.get $from)))))
        (local.set $from (i32.add (local.get $from) (i32.const 2)))
        (local.set $to (i32.add (local.get $to) (i32.const 1)))
        (br $next)))
    (i32.const 1024)"#;

fn component(answer: &[u8], compile: &str) -> Vec<u8> {
    let data: String = answer.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!(
        r#"(module
            (memory (export "memory") 2)
            (data (i32.const {AT}) "{data}")
            (func $digit (param i32) (result i32) (select
                (i32.sub (local.get 0) (i32.const 48)) (i32.sub (local.get 0) (i32.const 87))
                (i32.lt_u (local.get 0) (i32.const 58))))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
            (func (export "rushgate:policy/rule@1.0.0#describe") (result i32) (i32.const {AT}))
            (func (export "rushgate:policy/rule@1.0.0#compile")
                (param i32 i32 i64 i64 i32 i32 i32 i32 i32 i32) (result i32) {compile}))"#
    );
    let mut core = wat::parse_str(&text).expect("valid text");
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve
        .push_str("policy.wit", WIT)
        .expect("the contract is valid WIT");
    let world = resolve
        .select_world(&[package], Some("rule-module"))
        .expect("the world is in it");
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut core, &resolve, world, encoding)
        .expect("metadata can be written");
    wrap_core_module(&core).expect("it can be wrapped")
}

/// A descriptor as the canonical ABI lays it out: id, version, title, summary, schema, then four lists.
fn good_descriptor() -> Vec<u8> {
    let texts = ["echo", "1.0.0", "Echo", "", "{}"];
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let tail_at = AT + 9 * 8;
    for text in texts {
        head.extend(((tail_at + tail.len()) as u32).to_le_bytes());
        head.extend((text.len() as u32).to_le_bytes());
        tail.extend(text.bytes());
    }
    head.extend([0; 4 * 8]);
    [head, tail].concat()
}

fn context() -> Context {
    Context {
        campaign: "fuzz".into(),
        opens_at: 1_000_000,
        closes_at: 2_000_000,
        skus: vec![Sku::new("mug", 10)],
    }
}

/// What `compile` answers. A plan that comes out is merged and checked as a revision's.
pub fn answer(data: &[u8]) {
    let machine = &*MACHINE;
    let data = &data[..data.len().min(ANSWER_BYTES)];
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    let context = context();
    let params = json!({ "x": digits });
    let compiled = machine
        .host
        .compile(&machine.echo, machine.echo_bytes.clone(), &context, &params);
    let compiled = match machine.runtime.block_on(compiled) {
        Ok(compiled) => compiled,
        Err(ModuleError::Refused { code, message }) => panic!("{code}: {message}"),
        Err(_) => return,
    };
    let check_context = CheckContext {
        campaign: context.campaign,
        schedule: Schedule {
            opens_at: context.opens_at,
            closes_at: context.closes_at,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        buckets: buckets_for(&context.skus),
        skus: context.skus.into(),
        audiences: Default::default(),
    };
    let rule = examples::rule_plan(&machine.echo.descriptor, compiled.plan);
    let _ = merge::merge(vec![rule]).and_then(|plan| check(plan, check_context));
}

/// What `describe` answers.
pub fn descriptor(data: &[u8]) {
    let machine = &*MACHINE;
    let mut bytes = machine.says.clone();
    let answer = &mut bytes[machine.says_at..machine.says_at + ANSWER_BYTES];
    answer.fill(0);
    let length = data.len().min(ANSWER_BYTES);
    answer[..length].copy_from_slice(&data[..length]);
    if let Ok(module) = machine.runtime.block_on(machine.host.inspect(bytes.into())) {
        let text = serde_json::to_string(&module.descriptor).expect("plain data");
        let again: rushgate::wasm::Descriptor =
            serde_json::from_str(&text).expect("what was written can be read");
        assert_eq!(again, module.descriptor);
    }
}
