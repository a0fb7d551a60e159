//! Wraps a core module, as `wasm32-unknown-unknown` compilers emit it, into a component. The WIT
//! world travels in a custom section that wit-bindgen writes.

use std::borrow::Cow;

use wit_component::{ComponentEncoder, metadata};

use super::ModuleError;

/// The component to run: the bytes themselves, or what is made of a core module that carries its world.
pub(super) fn component_of(bytes: &[u8]) -> Result<Cow<'_, [u8]>, ModuleError> {
    if super::header::read(bytes)? == super::header::Kind::Component {
        return Ok(Cow::Borrowed(bytes));
    }
    let carries_world = metadata::decode(bytes).is_ok_and(|(stripped, _)| stripped.is_some());
    if !carries_world {
        return Err(ModuleError::Refused {
            code: "core-module",
            message: "this is a core module that does not say which world it was built against, so it cannot be \
                      wrapped into a component. Build it with wit-bindgen against wit/policy.wit, or upload a component"
                .into(),
        });
    }
    wrap_core_module(bytes).map(Cow::Owned)
}

/// The component around a core module that was built against `wit/policy.wit`. Already a
/// component: returned as it is.
pub fn wrap_core_module(bytes: &[u8]) -> Result<Vec<u8>, ModuleError> {
    if super::header::read(bytes)? == super::header::Kind::Component {
        return Ok(bytes.to_vec());
    }
    ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| ModuleError::Refused {
            code: "core-module",
            message: format!(
                "the core module cannot be wrapped into a component: {error:#}. Build it with wit-bindgen \
                 against rushgate:policy and for a target without WASI (wasm32-unknown-unknown)"
            ),
        })
}
