//! Wraps a core module, as `wasm32-unknown-unknown` compilers emit it, into a component. The WIT
//! world travels in a custom section that wit-bindgen writes.

use std::borrow::Cow;

use wit_component::{ComponentEncoder, metadata};

use super::header::{self, Kind};
use super::{ModuleError, imports, refused, shape};

/// The component to run: the bytes themselves, or what is made of a core module that carries its world.
pub(super) fn component_of(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ModuleError> {
    if header::read(bytes)? == Kind::Component {
        return Ok(Cow::Borrowed(bytes));
    }
    // One without a word of its world was refused before (`super::imports`).
    let carries_world = metadata::decode(bytes).is_ok_and(|(stripped, _)| stripped.is_some());
    if !carries_world {
        let message = "what this core module says of the world it was built against cannot be read: build it again with \
                       wit-bindgen against wit/policy.wit, or upload a component";
        return Err(refused("core-module", message.into()));
    }
    wrap_core_module(bytes).map(Cow::Owned)
}

/// The component around a core module that was built against `wit/policy.wit`. Already a
/// component: returned as it is.
pub fn wrap_core_module(bytes: &[u8]) -> Result<Vec<u8>, ModuleError> {
    if header::read(bytes)? == Kind::Component {
        return Ok(bytes.to_vec());
    }
    ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| match imported(bytes) {
            Some(imports) => imports,
            None => refused(
                "core-module",
                format!(
                    "the core module cannot be wrapped into a component: {error:#}. Build it with wit-bindgen against \
                     rushgate:policy and for a target without WASI (wasm32-unknown-unknown)"
                ),
            ),
        })
}

/// What is said of its imports, where it has any: then they are why it cannot be wrapped.
fn imported(bytes: &[u8]) -> Option<ModuleError> {
    imports::check(Kind::Core, &shape::look(bytes).ok()?).err()
}
