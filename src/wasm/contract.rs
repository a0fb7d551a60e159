//! Whether bytes are a component of the contract: no imports, the right exports.

use std::borrow::Cow;

use wasmtime::Engine;
use wasmtime::component::Component;

use super::bounds::{ARTEFACT_BYTES_MAX, MODULE_BYTES_MAX};
use super::header::{self, Kind};
use super::imports;
use super::refused;
use super::sections::invalid;
use super::shape::{self, Look};
use super::wrap::component_of;
use super::{CONTRACT, ModuleError};

/// Refuses what can be refused by reading the bytes once: nothing is compiled or wrapped for it.
pub(super) fn look(bytes: &[u8]) -> Result<Look, ModuleError> {
    if bytes.len() > MODULE_BYTES_MAX {
        return Err(refused(
            "too-large",
            format!(
                "the module has {} bytes; at most {MODULE_BYTES_MAX} are allowed",
                bytes.len()
            ),
        ));
    }
    let kind = header::read(bytes)?;
    let look = shape::look(bytes)?;
    imports::check(kind, &look)?;
    match kind {
        Kind::Component => check_exports(&look.exports).map(drop)?,
        Kind::Core => imports::check_world(&look)?,
    }
    Ok(look)
}

/// Which optional interfaces a component exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Optional {
    pub(super) precheck: bool,
    pub(super) rule2: bool,
}

/// The component of an upload, and which optional interfaces it exports. A core module is wrapped,
/// which is work: in a child, or with bytes that are trusted.
pub(super) fn component(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, Optional), ModuleError> {
    let mut seen = look(bytes)?;
    let component = component_of(bytes)?;
    if let Cow::Owned(wrapped) = &component {
        seen = look(wrapped)?;
    }
    let optional = check_exports(&seen.exports)?;
    Ok((component, optional))
}

/// Machine code of a component, with its size in bytes: made, or read where it is kept.
pub(super) fn compile(engine: &Engine, component: &[u8]) -> Result<(Component, usize), ModuleError> {
    let component = Component::from_binary(engine, component).map_err(|error| invalid(error.root_cause()))?;
    let code = component.image_range();
    let bytes = (code.end as usize).saturating_sub(code.start as usize);
    match bytes > ARTEFACT_BYTES_MAX {
        true => Err(too_much_code(bytes)),
        false => Ok((component, bytes)),
    }
}

fn too_much_code(bytes: usize) -> ModuleError {
    let message = format!(
        "its machine code has {} MiB; at most {} are allowed",
        bytes.div_ceil(1 << 20),
        ARTEFACT_BYTES_MAX >> 20
    );
    refused("too-complex", message)
}

pub(super) fn exports(engine: &Engine, component: &Component) -> Vec<String> {
    let world = component.component_type();
    world.exports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// Refuses by the names of the exports, so that the answer says what was found and what was expected.
fn check_exports(exports: &[String]) -> Result<Optional, ModuleError> {
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
    Ok(Optional {
        // Ignoring one of another version would admit what the module means to reject.
        precheck: is_there("precheck", version_of("rushgate:policy/precheck"))?,
        rule2: is_there("rule2", version_of("rushgate:policy/rule2"))?,
    })
}

/// Whether an optional interface is exported, in a version that this gateway asks.
fn is_there(interface: &'static str, version: Option<&str>) -> Result<bool, ModuleError> {
    match version {
        None => Ok(false),
        Some(version) if version.starts_with("1.") => Ok(true),
        Some(version) => Err(refused(
            interface,
            format!(
                "the component exports rushgate:policy/{interface} of version {version}; this gateway asks \
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
