//! Small modules that take a compiler, or a schema's validation, seconds and gigabytes. What each comes to
//! is settled by counting where that is cheap, and otherwise by the limits of the child that looks at it.

use std::fmt::Write as _;

use serde_json::json;

use super::super::{Body, Forge};
use super::{At, Hostile, forged, hostile};

/// A bomb, and the answer to it.
pub struct Bomb {
    pub hostile: Hostile,
    /// It is refused within a moment, also where nothing is optimised.
    pub fast: bool,
    /// What the answer says.
    pub says: &'static str,
    /// It is harmless inside the bounds, and may be taken.
    pub harmless: bool,
}

/// What is said of components that multiply.
const OFTEN: &str = "as often as they are instantiated";
/// What a child says that ran into one of its limits, whichever came first.
const LIMITS: &str = "which is more than a module of its size may take";

/// What becomes of a bomb of code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    /// Counted before anything is compiled; what the answer says.
    Counted(&'static str),
    /// A limit of the child, within a moment.
    Soon,
    /// A limit of the child.
    Late,
    /// Within the bounds, or a limit of the child.
    Harmless,
}

/// All of them.
pub fn bombs() -> Vec<Bomb> {
    let mut all = vec![
        built(
            Met::Counted(OFTEN),
            "components that instantiate the one before twice, 20 levels",
            doubling,
        ),
        built(Met::Counted(OFTEN), "the same under other names", renamed),
    ];
    all.extend(code().into_iter().map(|(met, name, more)| {
        let build = move || {
            Forge {
                more: more(),
                ..Forge::default()
            }
            .component()
        };
        built(met, name, build)
    }));
    all.extend(schemas());
    all.push(examples());
    all
}

fn built(met: Met, name: &str, build: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Bomb {
    Bomb {
        hostile: hostile(name, At::Upload("too-complex"), build),
        fast: matches!(met, Met::Counted(_) | Met::Soon),
        says: match met {
            Met::Counted(says) => says,
            _ => LIMITS,
        },
        harmless: met == Met::Harmless,
    }
}

type Code = (Met, &'static str, fn() -> String);

/// Functions, types and data beside those of a good module.
fn code() -> Vec<Code> {
    vec![
        (
            Met::Counted("too many functions"),
            "900,000 empty functions",
            || "(func)".repeat(900_000),
        ),
        (Met::Late, "6,000 ifs merged over 2,500 variables", || {
            merges(6_000, 2_500)
        }),
        (Met::Soon, "900 values through 900 blocks", || {
            through_blocks(900, 900)
        }),
        (
            Met::Late,
            "400,000 calls, each of what the one before gave",
            || {
                let calls = "call $id ".repeat(400_000);
                format!(
                    "(func $id (param i32) (result i32) (local.get 0))
                 (func (param i32) (result i32) (local.get 0) {calls})"
                )
            },
        ),
        (Met::Late, "200,000 operands before the first is used", || {
            let (reads, sums) = (
                "(i32.load (i32.const 0))".repeat(200_000),
                "i32.add ".repeat(199_999),
            );
            format!("(func (result i32) {reads} {sums})")
        }),
        // A run of variables takes three bytes, however long it is.
        (Met::Harmless, "1,000 functions of 50,000 variables", || {
            format!("(func (local {}))", "i32 ".repeat(50_000)).repeat(1_000)
        }),
        (Met::Harmless, "100,000 blocks inside each other", || {
            format!("(func {} {})", "block ".repeat(100_000), "end ".repeat(100_000))
        }),
        (Met::Soon, "20 jump tables of 60,000 targets", || {
            let table = format!("(br_table {} (i32.const 1))", "0 ".repeat(60_000));
            format!("(func {})", format!("(block {table})").repeat(20))
        }),
        (Met::Harmless, "300,000 operations on vectors", || {
            let chain = "local.get 0 i64x2.mul i8x16.popcnt ".repeat(150_000);
            format!("(func (param v128) (result v128) local.get 0 {chain})")
        }),
        (Met::Late, "200,000 divisions that may trap", || {
            let chain = "local.get 0 i64.div_s ".repeat(200_000);
            format!("(func (param i64) (result i64) local.get 0 {chain})")
        }),
        (Met::Harmless, "500,000 globals", || {
            "(global (mut i32) (i32.const 0))".repeat(500_000)
        }),
        (Met::Harmless, "90,000 data segments", || {
            (0..90_000).fold(String::new(), |mut text, n| {
                let _ = write!(text, "(data (i32.const {}) \"x\")", 70_000 + n % 50_000);
                text
            })
        }),
        (Met::Late, "200,000 types", types),
        (
            Met::Harmless,
            "50,000 functions that each call the one before twice",
            || {
                (0..50_000).fold("(func $f0)".to_owned(), |mut text, n| {
                    let _ = write!(text, "(func $f{} call $f{n} call $f{n})", n + 1);
                    text
                })
            },
        ),
    ]
}

/// Examples whose `compile` takes nearly all of its instructions each.
fn examples() -> Bomb {
    let example = |n: usize| {
        json!({
            "name": format!("example {n}"), "params": "{}",
            "attempts": [{"user": "ann", "sku": "ticket", "quantity": 1, "expect": "admitted"}],
            "context": {"campaign": "spring", "opens-at-ms": 1000, "closes-at-ms": 2000,
                "skus": [{"id": "ticket", "stock": 1}], "contract": "1.0.0"},
        })
    };
    let examples: Vec<_> = (0..64).map(example).collect();
    let forge = Forge {
        // `ok` of a plan of zeroes, which is empty.
        compile: Body::Text(
            "(call $work) (memory.fill (i32.const 512) (i32.const 0) (i32.const 256)) (i32.const 512)".into(),
        ),
        more: "(func $work (local i32) (loop $again
            (br_if $again (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 20000000)))))"
            .into(),
        ..Forge::describing(json!({ "examples": examples }))
    };
    Bomb {
        hostile: forged(
            "64 examples of 150 million instructions",
            At::Upload("examples"),
            forge,
        ),
        fast: false,
        says: "not reached",
        harmless: true,
    }
}

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("valid text")
}

/// Each component instantiates the one before it twice.
fn doubling() -> Vec<u8> {
    let level = |n: usize| {
        let twice = "(instance (instantiate $b))".repeat(2);
        format!(
            "(component $c{n} (alias outer 1 $c{} (component $b)) {twice})",
            n - 1
        )
    };
    let rest: String = (1..=20).map(level).collect();
    component(&format!(
        "(component (component $c0) {rest} (instance (instantiate $c20)))"
    ))
}

fn renamed() -> Vec<u8> {
    let level = |n: usize| {
        let twice = "(instance (instantiate $e))".repeat(2);
        format!(
            "(component $c{n} (alias outer 1 $c{} (component $b)) (export $e \"e\" (component $b)) {twice})",
            n - 1
        )
    };
    let rest: String = (1..=20).map(level).collect();
    component(&format!(
        "(component (component $c0) {rest} (instance (instantiate $c20)))"
    ))
}

/// Each `if` may set a variable; at the end all are used. No loop.
fn merges(ifs: usize, locals: usize) -> String {
    let set: String = (1..=locals)
        .map(|n| format!("(local.set {n} (i32.load (i32.const {})))", 4 * n))
        .collect();
    let ifs: String = (0..ifs)
        .map(|n| {
            format!(
                "(if (local.get 0) (then (local.set {} (local.get {}))))",
                1 + n % locals,
                1 + n * 7 % locals
            )
        })
        .collect();
    let used: String = (1..=locals).map(|n| format!("local.get {n} i32.add ")).collect();
    format!(
        "(func (param i32) (result i32) {} {set} {ifs} i32.const 0 {used})",
        "(local i32)".repeat(locals)
    )
}

/// Blocks that take and give many values, each with two ways out.
fn through_blocks(values: usize, blocks: usize) -> String {
    let many = "i32 ".repeat(values);
    let each = "block (type $through) local.get 0 br_if 0 end ".repeat(blocks);
    format!(
        "(type $through (func (param {many}) (result {many}))) (func (param i32) {} {each} {})",
        "(i32.load (i32.const 0))".repeat(values),
        "drop ".repeat(values)
    )
}

/// Distinct types of functions: the digits of a number in other letters.
fn types() -> String {
    (0..200_000_u32).fold(String::new(), |mut text, n| {
        let params: String = (0..18)
            .map(|bit| if n >> bit & 1 == 1 { "i32 " } else { "i64 " })
            .collect();
        let _ = write!(text, "(type (func (param {params})))");
        text
    })
}

fn schemas() -> Vec<Bomb> {
    let describing = |name: &str, says: &'static str, schema: String, params: String| {
        let example = json!({
            "name": "one", "params": params,
            "attempts": [{"user": "ann", "sku": "ticket", "quantity": 1, "expect": "admitted"}],
            "context": {"campaign": "spring", "opens-at-ms": 1000, "closes-at-ms": 2000,
                "skus": [{"id": "ticket", "stock": 1}], "contract": "1.0.0"},
        });
        Bomb {
            hostile: forged(
                name,
                At::Upload("descriptor"),
                Forge::describing(json!({"params-schema": schema, "examples": [example]})),
            ),
            fast: true,
            says,
            harmless: false,
        }
    };
    let all = json!({"items": {"allOf": vec![json!({"type": "integer"}); 3_000]}}).to_string();
    let any = json!({"items": {"anyOf": vec![json!({"type": "string"}); 3_000]}}).to_string();
    let list = |count: usize| json!(vec![7; count]).to_string();
    let patterns: serde_json::Map<String, serde_json::Value> = (0..1_500)
        .map(|n| (format!("p{n}"), json!({"pattern": "(a{99}b?){99}"})))
        .collect();
    let chain: serde_json::Map<String, serde_json::Value> = (0..1_500)
        .map(|n| (format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)})))
        .chain([("d1500".to_owned(), json!({}))])
        .collect();
    vec![
        describing(
            "a schema of 3,000 parts for each of 100,000 numbers",
            "bytes",
            all.clone(),
            list(100_000),
        ),
        describing(
            "a schema of 3,000 parts for each of 30,000 numbers",
            "steps",
            all,
            list(30_000),
        ),
        describing(
            "3,000 alternatives for each of 30,000 numbers",
            "steps",
            any,
            list(30_000),
        ),
        describing(
            "a choice of 8,000 for each of 30,000 numbers",
            "steps",
            json!({"items": {"enum": (100..8_100).collect::<Vec<u32>>()}}).to_string(),
            list(30_000),
        ),
        describing(
            "1,500 patterns that grow when they are compiled",
            "patterns",
            json!({"properties": patterns}).to_string(),
            "{}".into(),
        ),
        describing(
            "1,500 references, each to the next",
            "deep",
            json!({"$ref": "#/$defs/d0", "$defs": chain}).to_string(),
            "{}".into(),
        ),
        describing(
            "parameters that are compiled as regular expressions",
            "\"regex\"",
            json!({"items": {"format": "regex"}}).to_string(),
            json!(vec!["(a{99}){99}"; 4_000]).to_string(),
        ),
        describing(
            "20,000 objects that must differ",
            "steps",
            json!({"uniqueItems": true}).to_string(),
            format!("[{}{{}}]", "{},".repeat(20_000)),
        ),
    ]
}
