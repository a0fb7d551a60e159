//! Whether bytes are a component of the contract: no imports, the right exports.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::bounds::MODULE_BYTES_MAX;
use super::wrap::component_of;
use super::{CONTRACT, ModuleError, shape};

/// Compiles the bytes: a component, or a core module that says which world it was built against.
pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, ModuleError> {
    if bytes.len() > MODULE_BYTES_MAX {
        return Err(refused(
            "too-large",
            format!(
                "the module has {} bytes; at most {MODULE_BYTES_MAX} are allowed",
                bytes.len()
            ),
        ));
    }
    let bytes = component_of(bytes)?;
    shape::check(&bytes)?;
    Component::from_binary(engine, &bytes).map_err(|error| {
        refused(
            "not-wasm",
            format!("the component is not valid: {}", error.root_cause()),
        )
    })
}

/// Checks imports and exports; says whether the component exports the optional `precheck`.
pub(super) fn check_world(engine: &Engine, component: &Component) -> Result<bool, ModuleError> {
    let world = component.component_type();
    let imports: Vec<String> = world
        .imports(engine)
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    if !imports.is_empty() {
        return Err(refused(
            "imports",
            format!(
                "a rule module may not import anything, this one imports {}; build it without WASI (for \
                 example for wasm32-unknown-unknown) against the world rushgate:policy/rule-module",
                listed(&imports)
            ),
        ));
    }
    check_exports(&exports(engine, component))
}

pub(super) fn exports(engine: &Engine, component: &Component) -> Vec<String> {
    let world = component.component_type();
    world.exports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// Refuses by the names of the exports, so that the answer says what was found and what was expected.
fn check_exports(exports: &[String]) -> Result<bool, ModuleError> {
    let version_of = |interface: &str| {
        exports.iter().find_map(|name| {
            name.strip_prefix(interface)
                .and_then(|rest| rest.strip_prefix('@'))
        })
    };
    match version_of("rushgate:policy/rule") {
        None => {
            let found: Vec<String> = exports.iter().map(|name| format!("{name:?}")).collect();
            let found = match found.is_empty() {
                true => "nothing".to_owned(),
                false => listed(&found),
            };
            return Err(refused(
                "wrong-world",
                format!(
                    "the component does not export \"rushgate:policy/rule@{CONTRACT}\"; it exports {found}. \
                     Build it against wit/policy.wit"
                ),
            ));
        }
        Some(version) if !version.starts_with("1.") => {
            return Err(refused(
                "wrong-world",
                format!(
                    "the component speaks rushgate:policy {version}; this gateway speaks {CONTRACT} and \
                     everything else of major version 1"
                ),
            ));
        }
        Some(_) => {}
    }
    match version_of("rushgate:policy/precheck") {
        None => Ok(false),
        Some(version) if version.starts_with("1.") => Ok(true),
        // Ignoring it would admit what the module means to reject.
        Some(version) => Err(refused(
            "precheck",
            format!(
                "the component exports rushgate:policy/precheck of version {version}; this gateway asks \
                 {CONTRACT} and everything else of major version 1"
            ),
        )),
    }
}

/// At most eight of many.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(8) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

pub(super) fn refused(code: &'static str, message: String) -> ModuleError {
    ModuleError::Refused { code, message }
}

/// The component exports an interface of the contract by name, but not its functions and types.
pub(super) fn wrong_interface(interface: &str, error: &wasmtime::Error) -> ModuleError {
    refused(
        "wrong-world",
        format!(
            "the component exports rushgate:policy/{interface}, but not as version {CONTRACT} defines it: {error:#}. \
             Build it against wit/policy.wit"
        ),
    )
}
