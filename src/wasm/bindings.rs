//! What wasmtime writes from `wit/policy.wit`.

wasmtime::component::bindgen!({
    path: "wit",
    world: "rule-module",
});

pub(super) use exports::rushgate::policy::types as wit;
