//! What wit-bindgen writes from `wit/policy.wit`.

#[cfg(not(feature = "rule2"))]
wit_bindgen::generate!({
    path: "../../wit",
    world: "rule-module",
    pub_export_macro: true,
    export_macro_name: "export_rule",
    default_bindings_module: "rushgate_rule::bindings",
});

#[cfg(feature = "rule2")]
wit_bindgen::generate!({
    path: "../../wit",
    world: "rule-module2",
    pub_export_macro: true,
    export_macro_name: "export_rule",
    default_bindings_module: "rushgate_rule::bindings",
});
