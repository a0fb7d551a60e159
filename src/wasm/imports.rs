//! Imports of a module, which may have none, and core modules: what they are, where they come from, and what to do.

use super::header::Kind;
use super::shape::{Look, WORLD_SECTION};
use super::{ModuleError, refused};

/// What makes modules that are taken.
const BUILD: &str = "`rushgate module new` makes a folder that builds one, in Rust or in JavaScript";

/// How imports of a compiler begin, what made them, and what to do instead; the first that fits is said.
const COMPILERS: &[(&[&str], &str)] = &[
    (
        &["wasi"],
        "it was built for WASI, and a rule module has no operating system: build it for wasm32-unknown-unknown against \
         the world rushgate:policy/rule-module, and leave out what reads clocks, files, the environment or random numbers",
    ),
    (
        &["__wbindgen", "wbg/", "./"],
        "it was built with wasm-bindgen, for JavaScript around it: build it with wit-bindgen against wit/policy.wit",
    ),
    (
        &["go/", "gojs/"],
        "it was built by Go for a browser, which has to bring Go's runtime along",
    ),
    (
        &["env/"],
        "\"env\" is what a compiler or linker expects of whoever runs the module, such as AssemblyScript's abort: have it \
         linked into the module",
    ),
];

/// Refuses a module that imports anything.
pub(super) fn check(kind: Kind, look: &Look) -> Result<(), ModuleError> {
    if look.imports.is_empty() {
        return Ok(());
    }
    let imports = listed(&look.imports, look.more_imports);
    let what = match kind {
        Kind::Component => "a rule module may not import anything, and this component imports",
        Kind::Core => {
            "this is a core module, not a component. A rule module may not import anything, and this one imports"
        }
    };
    let begins = |begin: &&str| {
        look.imports
            .iter()
            .any(|name| name.trim_start_matches('"').starts_with(begin))
    };
    let found = COMPILERS
        .iter()
        .find(|(begins_of, _)| begins_of.iter().any(begins));
    let todo = found.map_or(
        "build it against the world rushgate:policy/rule-module, which has no imports",
        |(_, todo)| todo,
    );
    Err(refused("imports", format!("{what} {imports}: {todo}. {BUILD}")))
}

/// Refuses a core module that nothing can be made of: one that does not say which world it was built against.
pub(super) fn check_world(look: &Look) -> Result<(), ModuleError> {
    if look.has_world {
        return Ok(());
    }
    let exports = match look.core_exports.is_empty() {
        true => "nothing".to_owned(),
        false => listed(&look.core_exports, look.more_exports),
    };
    let message = format!(
        "this is a core module, not a component. It imports nothing, exports {exports}, and does not say which world it \
         was built against (a section {WORLD_SECTION}, which wit-bindgen writes), so no component can be made of it: \
         build it with wit-bindgen against wit/policy.wit, or upload a component. {BUILD}"
    );
    Err(refused("core-module", message))
}

fn listed(names: &[String], more: usize) -> String {
    let names = names.join(", ");
    match more {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}
