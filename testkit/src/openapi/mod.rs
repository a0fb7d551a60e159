//! What is made of the contracts of both planes: the files that are committed, and the schemas that answers are held against.

mod access;
mod closed;
mod held;
mod tables;
mod typescript;

use serde_json::Value;

pub use access::with_access;
pub use closed::Contract;
pub use held::hold;
pub use tables::with_tables;
pub use typescript::typescript;

/// The documents of the data plane and of the control plane.
pub struct Documents {
    pub orders: Value,
    pub admin: Value,
}

impl Documents {
    /// As this build serves them.
    pub fn of_this_build() -> Self {
        Self {
            orders: rushgate::gateway::openapi(),
            admin: rushgate::admin::openapi(),
        }
    }

    /// (Path in the repository, text) of each file that is made of them; `api` is docs/API.md as it is, and `access`
    /// docs/ACCESS.md.
    pub fn files(&self, api: &str, access: &str) -> Vec<(&'static str, String)> {
        vec![
            (
                "docs/openapi/orders.json",
                rushgate::wire::openapi::text(&self.orders),
            ),
            (
                "docs/openapi/admin.json",
                rushgate::wire::openapi::text(&self.admin),
            ),
            ("clients/js/types.d.ts", typescript(&self.orders)),
            ("docs/API.md", with_tables(api, self)),
            ("docs/ACCESS.md", with_access(access)),
        ]
    }
}

/// (Method, path, operation) of all operations of a document.
pub fn operations(document: &Value) -> Vec<(String, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
        })
        .collect()
}

/// What a reference names, or the value itself.
pub fn followed<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let named = value["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
    named.and_then(|path| document.pointer(path)).unwrap_or(value)
}
