//! The hostile corpus: modules that mean harm or do none of what a module should, each with the answer it gets.
//! A table; whoever finds a new trick adds a line.
#![allow(dead_code)]

use serde_json::{Value, json};

use super::forge::{Body, Forge, LOOP, TRAP, described};
use super::plans;

/// Where a module is found out, with the code of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// When it is uploaded: `code` of [`rushgate::wasm::ModuleError`].
    Upload(&'static str),
    /// When a revision is compiled with it: the same, or `plan:<code>` of a plan that is refused.
    Revision(&'static str),
    /// When it is asked about an order: the order is refused with `precheck-failed`.
    Order,
}

pub struct Hostile {
    pub name: String,
    pub make: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    pub at: At,
}

pub fn hostile(
    name: impl Into<String>,
    at: At,
    make: impl Fn() -> Vec<u8> + Send + Sync + 'static,
) -> Hostile {
    Hostile {
        name: name.into(),
        make: Box::new(make),
        at,
    }
}

fn forged(name: impl Into<String>, at: At, forge: Forge) -> Hostile {
    hostile(name, at, move || forge.component())
}

fn text(name: &str, at: At, text: &'static str) -> Hostile {
    hostile(name, at, move || wat::parse_str(text).expect("valid text"))
}

/// The whole corpus, in the order in which a module is looked at.
pub fn corpus() -> Vec<Hostile> {
    [
        bytes(),
        worlds(),
        starts(),
        describes(),
        descriptors(),
        schemas(),
        examples(),
        compiles(),
        plans::refused(),
        checks(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `describe` and `compile` in every way a call can go wrong.
const CALLS: &[(&str, &str, &str)] = &[
    ("loops without an end", LOOP, "fuel"),
    ("traps", TRAP, "trap"),
    ("recurses without an end", "(call $deeper) unreachable", "trap"),
    (
        "grows its memory without an end",
        "(loop $again (drop (memory.grow (i32.const 16))) (br $again)) unreachable",
        "memory",
    ),
    (
        "asks for 4 GiB at once",
        "(drop (memory.grow (i32.const 65000))) unreachable",
        "memory",
    ),
    (
        "grows a table without an end",
        "(loop $again (drop (table.grow $t (ref.null func) (i32.const 4096))) (br $again)) unreachable",
        "memory",
    ),
    (
        "fills its memory again and again",
        "(loop $again (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)) (br $again)) unreachable",
        "fuel",
    ),
    (
        "answers at an address outside of its memory",
        "(i32.const -8)",
        "trap",
    ),
    ("answers at an odd address", "(i32.const 1025)", "trap"),
    // Lists of as many elements as 4 GiB hold.
    (
        "answers lists of 4 GiB",
        "(memory.fill (i32.const 512) (i32.const 255) (i32.const 256)) (i32.store8 (i32.const 512) (i32.const 0)) (i32.const 512)",
        "trap",
    ),
];

const TOOLS: &str = "(func $deeper (call $deeper)) (table $t 1 funcref)";

fn calling(text: &str) -> Body {
    Body::Text(text.into())
}

fn good() -> Vec<u8> {
    Forge::default().component()
}

/// A section of a component or core module: its number, its length, its bytes.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id];
    let mut length = content.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        bytes.push(if length == 0 { low } else { low | 0x80 });
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn bytes() -> Vec<Hostile> {
    let wrong = At::Upload("not-wasm");
    vec![
        hostile("nothing at all", wrong, Vec::new),
        hostile("a zip file", wrong, || b"PK\x03\x04\x14\0\0\0\x08\0".to_vec()),
        hostile("a gzip stream", wrong, || {
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec()
        }),
        hostile("a program", wrong, || b"\x7fELF\x02\x01\x01\0".to_vec()),
        hostile("WebAssembly text", wrong, || b"(component)".to_vec()),
        hostile("a header that ends early", wrong, || b"\0asm".to_vec()),
        hostile("an unknown layer", wrong, || b"\0asm\x0d\0\x07\0".to_vec()),
        hostile("a module cut in half", wrong, || {
            let mut bytes = good();
            bytes.truncate(bytes.len() / 2);
            bytes
        }),
        hostile(
            "a module whose every byte is flipped behind the header",
            wrong,
            || {
                let mut bytes = good();
                bytes.iter_mut().skip(8).for_each(|byte| *byte ^= 0xff);
                bytes
            },
        ),
        hostile("a section that claims 4 GiB", wrong, || {
            [COMPONENT, &[0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, b'x']].concat()
        }),
        hostile("a name that claims 4 GiB", wrong, || {
            [COMPONENT, &section(0, &[0xff, 0xff, 0xff, 0xff, 0x0f])].concat()
        }),
        hostile(
            "components inside each other, 5,000 deep",
            At::Upload("too-complex"),
            || {
                (0..5000).fold(COMPONENT.to_vec(), |inner, _| {
                    [COMPONENT, &section(4, &inner)].concat()
                })
            },
        ),
        hostile(
            "900 loops over 1,000 variables, which takes minutes to compile",
            At::Upload("too-complex"),
            || {
                let (loops, locals) = (900, 1000);
                let begin = |n: usize| {
                    format!(
                        "(loop $l{n} (local.set {} (local.get {}))",
                        n % locals,
                        n * 7 % locals
                    )
                };
                let end = |n: usize| format!("(br_if $l{} (local.get {})))", loops - 1 - n, n % locals);
                let body: String = (0..loops).map(begin).chain((0..loops).map(end)).collect();
                let more = format!("(func {} {body})", "(local i32)".repeat(locals));
                Forge {
                    more,
                    ..Forge::default()
                }
                .component()
            },
        ),
        hostile("a module of 32 MiB and a byte", At::Upload("too-large"), || {
            vec![0; rushgate::wasm::MODULE_BYTES_MAX + 1]
        }),
        hostile("31 MiB of nothing", At::Upload("wrong-world"), || {
            let padding = [vec![1, b'x'], vec![0; 31 << 20]].concat();
            [COMPONENT, &section(0, &padding)].concat()
        }),
        hostile("a million empty sections", wrong, || {
            [COMPONENT, &section(9, &[]).repeat(1_000_000)].concat()
        }),
    ]
}

fn worlds() -> Vec<Hostile> {
    let wrong = At::Upload("wrong-world");
    vec![
        text(
            "a core module without a world",
            At::Upload("core-module"),
            "(module)",
        ),
        text(
            "imports the clock of WASI",
            At::Upload("imports"),
            r#"(component (import "wasi:clocks/monotonic-clock@0.2.0" (instance)))"#,
        ),
        text(
            "imports the files of WASI",
            At::Upload("imports"),
            r#"(component (import "wasi:filesystem/types@0.2.0" (instance)))"#,
        ),
        text(
            "imports a function of its own",
            At::Upload("imports"),
            r#"(component (import "redis-call" (func (param "command" string))))"#,
        ),
        text("exports nothing", wrong, "(component)"),
        text(
            "exports another interface",
            wrong,
            r#"(component (instance $i) (export "acme:rules/limit@1.0.0" (instance $i)))"#,
        ),
        text(
            "speaks the next major version",
            wrong,
            r#"(component (instance $i) (export "rushgate:policy/rule@2.0.0" (instance $i)))"#,
        ),
        text(
            "has the right name and no functions",
            wrong,
            r#"(component (instance $i) (export "rushgate:policy/rule@1.0.0" (instance $i)))"#,
        ),
        text(
            "has functions of other types",
            wrong,
            r#"(component
            (core module $m (func (export "f") (result i32) (i32.const 7)))
            (core instance $i (instantiate $m))
            (func $f (result u32) (canon lift (core func $i "f")))
            (instance $rule (export "describe" (func $f)) (export "compile" (func $f)))
            (export "rushgate:policy/rule@1.0.0" (instance $rule)))"#,
        ),
        text(
            "a precheck of another version",
            At::Upload("precheck"),
            r#"(component (instance $i)
            (export "rushgate:policy/rule@1.0.0" (instance $i)) (export "rushgate:policy/precheck@3.0.0" (instance $i)))"#,
        ),
    ]
}

fn starts() -> Vec<Hostile> {
    let more = |name: &str, at, more: &str| {
        let forge = Forge {
            more: more.into(),
            ..Forge::default()
        };
        forged(name, At::Upload(at), forge)
    };
    let tables = "(table 10000 funcref)".repeat(20);
    vec![
        more(
            "a start section that loops without an end",
            "fuel",
            &format!("(func $begin {LOOP}) (start $begin)"),
        ),
        more(
            "a start section that traps",
            "trap",
            "(func $begin unreachable) (start $begin)",
        ),
        more(
            "a start section that takes all memory",
            "memory",
            "(func $begin (drop (memory.grow (i32.const 2000)))) (start $begin)",
        ),
        more("tables of 200,000 entries", "memory", &tables),
        more("a second memory of 64 MiB", "memory", "(memory 1024)"),
        hostile("70 memories", At::Upload("memory"), || {
            Forge {
                more: "(memory 1)".repeat(70),
                ..Forge::default()
            }
            .component()
        }),
        forged(
            "a memory that begins with 128 MiB",
            At::Upload("memory"),
            Forge {
                pages: 2048,
                ..Forge::default()
            },
        ),
        forged(
            "a precheck that begins with 40 MiB",
            At::Upload("precheck"),
            Forge {
                pages: 640,
                ..Forge::checking("(global.get $pass)")
            },
        ),
    ]
}

fn describes() -> Vec<Hostile> {
    let calls = CALLS.iter().map(|(what, body, code)| {
        let forge = Forge {
            describe: calling(body),
            more: TOOLS.into(),
            ..Forge::default()
        };
        forged(format!("describe {what}"), At::Upload(code), forge)
    });
    calls.collect()
}

fn compiles() -> Vec<Hostile> {
    let calls = CALLS.iter().map(|(what, body, code)| {
        let forge = Forge {
            compile: calling(body),
            more: TOOLS.into(),
            ..Forge::default()
        };
        forged(format!("compile {what}"), At::Revision(code), forge)
    });
    // `ok(plan)` with nodes that are all `int(0)`: zeroed memory.
    let nodes = |count: u32| {
        Forge {
        compile: calling(&format!(
            "(drop (memory.grow (i32.const 700))) (i32.store8 (i32.const 512) (i32.const 0))
             (i32.store (i32.const 516) (i32.const 131072)) (i32.store (i32.const 520) (i32.const {count})) (i32.const 512)"
        )),
        ..Forge::default()
    }
    };
    let more = [
        forged("a plan of 5,000 nodes", At::Revision("output"), nodes(5_000)),
        forged("a plan of 1,000,000 nodes", At::Revision("output"), nodes(1_000_000)),
        forged("refuses the parameters without a reason", At::Revision("output"), Forge {
            compile: Body::Answer(json!({"err": []})),
            ..Forge::default()
        }),
        forged("refuses the parameters with text that is not UTF-8", At::Revision("trap"), Forge {
            compile: calling(
                "(i32.store8 (i32.const 512) (i32.const 1)) (i32.store (i32.const 516) (i32.const 600))
                 (i32.store (i32.const 520) (i32.const 1)) (i32.store (i32.const 604) (i32.const 768))
                 (i32.store (i32.const 608) (i32.const 4)) (i32.store (i32.const 768) (i32.const -1)) (i32.const 512)",
            ),
            ..Forge::default()
        }),
        forged("gives the host no room for the parameters", At::Revision("trap"), Forge {
            realloc: Some("(i32.const -16)".into()),
            ..Forge::default()
        }),
        forged("loops while the host hands over the parameters", At::Revision("fuel"), Forge {
            realloc: Some(LOOP.into()),
            ..Forge::default()
        }),
    ];
    calls.chain(more).collect()
}

fn descriptors() -> Vec<Hostile> {
    let long = "x".repeat(1_000_000);
    let many: Vec<Value> = (0..65)
        .map(|n| json!({"code": format!("r-{n}"), "title": "t"}))
        .collect();
    let reason = |code: &str| json!({"reasons": [{"code": code, "title": "t", "retryable": false}]});
    let claim = |name: &str| json!({"attributes": [{"attribute": {"claim": name}}]});
    let cases = [
        ("an id that closes a Lua string", json!({"id": "x]]--"})),
        ("an id with quotes", json!({"id": "x\" or \"1\"=\"1"})),
        (
            "an id with a line break",
            json!({"id": "x\nredis.call('FLUSHALL')"}),
        ),
        ("an id with a NUL", json!({"id": "x\0y"})),
        (
            "an id with the syntax of keys",
            json!({"id": "rg:{demo.0}:state"}),
        ),
        ("an id that is a path", json!({"id": "../../etc/passwd"})),
        ("no id", json!({"id": ""})),
        ("an id of a megabyte", json!({"id": long})),
        (
            "a version that is SQL",
            json!({"version": "1.0.0'; DROP TABLE orders; --"}),
        ),
        ("a title with a NUL", json!({"title": "x\0y"})),
        ("a title of a megabyte", json!({"title": long})),
        ("a summary that moves the cursor", json!({"summary": "\u{1b}[2J"})),
        ("a reason that closes a Lua string", reason("no]]")),
        ("a reason with a quote", reason("no'")),
        ("a reason of the gateway's own", reason("sold-out")),
        ("the reason for prechecks that failed", reason("precheck-failed")),
        (
            "a reason twice",
            json!({"reasons": [{"code": "no", "title": "t"}, {"code": "no", "title": "t"}]}),
        ),
        ("65 reasons", json!({ "reasons": many })),
        ("an attribute with a NUL", claim("a\0b")),
        ("an attribute without a name", claim("")),
        ("an attribute of a megabyte", claim(&long)),
        (
            "an attribute twice",
            json!({"attributes": [{"attribute": "ip"}, {"attribute": "ip"}]}),
        ),
        (
            "an annotation with a control character",
            json!({"annotations": [["a", "\u{7}"]]}),
        ),
        ("an annotation without a key", json!({"annotations": [["", "b"]]})),
    ];
    cases
        .into_iter()
        .map(|(name, fields)| forged(name, At::Upload("descriptor"), Forge::describing(fields)))
        .collect()
}

fn schemas() -> Vec<Hostile> {
    // Each part is twice the next: 2^40 parts when every reference is followed.
    let doubling = (0..40).map(|n| {
        let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        (format!("d{n}"), json!({"allOf": [next, next]}))
    });
    let mut defs: serde_json::Map<String, Value> = doubling.collect();
    defs.insert("d40".into(), json!({"type": "string"}));
    let bomb = json!({"$ref": "#/$defs/d0", "$defs": defs}).to_string();
    let deep = (0..200)
        .fold(json!({}), |inner, _| json!({ "not": inner }))
        .to_string();
    let wide = json!({"enum": (0..20_000).collect::<Vec<u32>>()}).to_string();
    let cases = [
        ("a schema that is no JSON", "{".to_owned()),
        ("a schema that is not an object", "7".to_owned()),
        (
            "a schema of an unknown type",
            json!({"type": "nonsense"}).to_string(),
        ),
        ("a schema of 100 KiB", wide),
        ("a schema 200 deep", deep),
        ("a schema of 2^40 parts", bomb),
        ("a schema that refers to itself", json!({"$ref": "#"}).to_string()),
        (
            "a schema that refers to itself by a detour",
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"})
                .to_string(),
        ),
        (
            "a schema that reaches into the network",
            json!({"$ref": "http://169.254.169.254/latest/meta-data"}).to_string(),
        ),
        (
            "a schema that reads a file",
            json!({"$ref": "file:///etc/passwd"}).to_string(),
        ),
        (
            "a schema with a dynamic reference",
            json!({"$dynamicRef": "#meta"}).to_string(),
        ),
        (
            "a schema of another draft",
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}).to_string(),
        ),
        (
            "a pattern that grows when it is compiled",
            json!({"pattern": "((a{1000}){1000}){1000}"}).to_string(),
        ),
        (
            "a pattern that looks behind",
            json!({"pattern": "(?<=a)b\\1"}).to_string(),
        ),
    ];
    cases
        .into_iter()
        .map(|(name, schema)| {
            forged(
                name,
                At::Upload("descriptor"),
                Forge::describing(json!({ "params-schema": schema })),
            )
        })
        .collect()
}

/// An example in good order with these fields instead.
fn example(fields: Value, attempt: Value) -> Value {
    let mut one = json!({"user": "ann", "sku": "ticket", "quantity": 1, "expect": "admitted"});
    one.as_object_mut()
        .expect("an object")
        .extend(attempt.as_object().cloned().unwrap_or_default());
    let mut example = json!({
        "name": "one", "params": "{}", "attempts": [one],
        "context": {"campaign": "spring", "opens-at-ms": 1000, "closes-at-ms": 2000, "skus": [{"id": "ticket", "stock": 1}], "contract": "1.0.0"},
    });
    example
        .as_object_mut()
        .expect("an object")
        .extend(fields.as_object().cloned().unwrap_or_default());
    json!({ "examples": [example] })
}

fn examples() -> Vec<Hostile> {
    let rejected = |reason: &str| json!({"expect": {"rejected": reason}});
    let attempt = json!({"user": "ann", "sku": "ticket", "quantity": 1});
    let many: Vec<Value> = vec![attempt; 257];
    let cases = [
        (
            "an example without attempts",
            example(json!({"attempts": []}), json!({})),
        ),
        (
            "an example of 257 attempts",
            example(json!({ "attempts": many }), json!({})),
        ),
        (
            "an example whose parameters are no JSON",
            example(json!({"params": "{"}), json!({})),
        ),
        (
            "an example that closes before it opens",
            example(
                json!({"context": {"campaign": "spring", "opens-at-ms": 9, "closes-at-ms": 3, "skus": [{"id": "ticket", "stock": 1}]}}),
                json!({}),
            ),
        ),
        (
            "an example without end of time",
            example(
                json!({"context": {"campaign": "spring", "opens-at-ms": u64::MAX, "closes-at-ms": u64::MAX, "skus": [{"id": "ticket", "stock": 1}]}}),
                json!({}),
            ),
        ),
        (
            "an example whose campaign has the syntax of keys",
            example(
                json!({"context": {"campaign": "x}.0:{y", "closes-at-ms": 9, "skus": [{"id": "ticket", "stock": 1}]}}),
                json!({}),
            ),
        ),
        (
            "an attempt at the end of time",
            example(json!({}), json!({"at-ms": i64::MAX})),
        ),
        (
            "an attempt of no unit",
            example(json!({}), json!({"quantity": 0})),
        ),
        (
            "an attempt of 2^32 units",
            example(json!({}), json!({"quantity": u32::MAX})),
        ),
        (
            "an attempt by a user with a NUL",
            example(json!({}), json!({"user": "a\0b"})),
        ),
        (
            "an attempt with an attribute it does not declare",
            example(json!({}), json!({"attributes": [["ip", "10.0.0.1"]]})),
        ),
        (
            "an attempt that expects a reason it does not declare",
            example(json!({}), rejected("other")),
        ),
    ];
    let refused = cases
        .into_iter()
        .map(|(name, fields)| forged(name, At::Upload("descriptor"), Forge::describing(fields)));
    let lies = [
        (
            "an example that lies about a rejection",
            example(json!({}), rejected("no")),
        ),
        (
            "an example that lies about the stock",
            example(json!({}), rejected("sold-out")),
        ),
    ];
    let lies = lies
        .into_iter()
        .map(|(name, fields)| forged(name, At::Upload("examples"), Forge::describing(fields)));
    refused.chain(lies).collect()
}

fn checks() -> Vec<Hostile> {
    let undeclared = |code: &str| Forge {
        verdicts: vec![code.into()],
        ..Forge::checking("(global.get $reject0)")
    };
    // A verdict has no list; the last of the calls is a pass.
    let calls = CALLS[..CALLS.len() - 1].iter().map(|(what, body, _)| {
        let forge = Forge {
            more: TOOLS.into(),
            ..Forge::checking(body)
        };
        forged(format!("precheck {what}"), At::Order, forge)
    });
    let more = [
        forged(
            "precheck rejects with a reason it does not declare",
            At::Order,
            undeclared("other"),
        ),
        forged(
            "precheck rejects with a reason of the gateway",
            At::Order,
            undeclared("sold-out"),
        ),
        forged(
            "precheck rejects with Lua",
            At::Order,
            undeclared("]] redis.call('FLUSHALL')"),
        ),
        forged(
            "precheck rejects with a header",
            At::Order,
            undeclared("no\r\nSet-Cookie: a=b"),
        ),
        forged(
            "precheck rejects with 4 GiB",
            At::Order,
            Forge::checking(
                "(memory.fill (i32.const 512) (i32.const 255) (i32.const 16)) (i32.store8 (i32.const 512) (i32.const 1))
                 (i32.store (i32.const 516) (i32.const 0)) (i32.const 512)",
            ),
        ),
        forged(
            "precheck rejects with 8 KiB",
            At::Order,
            undeclared(&"x".repeat(8192)),
        ),
        forged(
            "precheck answers an unknown case",
            At::Order,
            Forge::checking("(i32.store8 (i32.const 512) (i32.const 9)) (i32.const 512)"),
        ),
    ];
    calls.chain(more).collect()
}

/// A descriptor whose reason is `no`, and a plan.
pub fn planned(name: impl Into<String>, code: &'static str, descriptor: Value, plan: Value) -> Hostile {
    let forge = Forge {
        describe: Body::Answer(described(descriptor)),
        ..Forge::planning(plan)
    };
    forged(name, At::Revision(code), forge)
}
