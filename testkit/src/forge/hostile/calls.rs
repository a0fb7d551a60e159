//! Calls that go wrong: in `describe`, in `compile`, and in the precheck of an order.

use serde_json::json;

use super::super::{Body, Forge, LOOP, TRAP};
use super::{At, Hostile, forged};

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

pub fn describes() -> Vec<Hostile> {
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

pub fn compiles() -> Vec<Hostile> {
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

pub fn checks() -> Vec<Hostile> {
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
