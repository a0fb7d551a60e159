//! Wraps a core module, as `wasm32-unknown-unknown` compilers emit it, into a component. The WIT
//! world travels in a custom section that wit-bindgen writes.

use wit_component::ComponentEncoder;

use super::ModuleError;

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
