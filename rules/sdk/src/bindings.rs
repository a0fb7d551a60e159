//! What wit-bindgen writes from `wit/policy.wit`.

wit_bindgen::generate!({
    path: "../../wit",
    world: "rule-module",
    pub_export_macro: true,
    export_macro_name: "export_rule",
    default_bindings_module: "rushgate_rule::bindings",
});
