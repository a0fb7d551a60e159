//! What wasmtime writes from `wit/policy.wit`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "rule-module",
});

pub(super) use exports::rushgate::policy::types as wit;

/// The same with the optional interface: what is asked per request.
pub(super) mod precheck {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "rule-module-with-precheck",
    });

    pub(in crate::wasm) use exports::rushgate::policy::types as wit;
}
