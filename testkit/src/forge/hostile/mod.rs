//! The hostile corpus: modules that mean harm or do none of what a module should, each with the answer it gets.
//! A table; whoever finds a new trick adds a line.
pub mod bombs;
mod calls;
mod descriptors;
mod plans;

use super::{Forge, LOOP};

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
        calls::describes(),
        descriptors::descriptors(),
        descriptors::schemas(),
        descriptors::examples(),
        calls::compiles(),
        plans::refused(),
        calls::checks(),
    ]
    .into_iter()
    .flatten()
    .collect()
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
