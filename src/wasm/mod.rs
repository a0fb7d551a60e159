//! Rule modules as WebAssembly components: the only place that knows wasmtime.
//!
//! A module is untrusted. It has no imports, is compiled and described by a child inside limits of the system
//! ([`child`]), runs in a fresh instance per call inside bounds of fuel, time, memory and output ([`bounds`]), and
//! everything it answers is checked before anyone reads it.
//! `describe` runs once per upload, `compile` once per revision, and the optional `precheck` per order.

mod artefact;
mod bindings;
mod bindings2;
pub mod bounds;
mod builtin;
pub mod child;
mod clock;
mod contract;
mod convert;
mod descriptor;
mod digest;
mod disk;
mod effort;
pub mod examples;
mod header;
mod host;
mod imports;
mod kept;
mod load;
mod metrics;
mod params;
mod parts;
mod precheck;
mod rules;
mod run;
mod schema;
mod sections;
mod shape;
mod spoken;
mod thrown;
mod violation;
mod wrap;

fn refused(code: &'static str, message: String) -> ModuleError {
    ModuleError::Refused { code, message }
}

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::plan::{Attribute, Plan};

pub use bounds::MODULE_BYTES_MAX;
pub use builtin::{builtin, resembles_builtin};
pub use digest::digest;
pub use disk::{Config, check_folder, own_program};
pub use header::is_core_module;
pub use host::Host;
pub use metrics::{Metrics, ModuleLabels};
pub use wrap::wrap_core_module;

/// Version of `wit/` this host speaks.
pub const CONTRACT: &str = "1.0.0";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ModuleReason)]
pub struct Reason {
    pub code: String,
    pub title: String,
    pub retryable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ModuleAttribute)]
pub struct AttributeNeed {
    /// `user`, `sku`, `quantity`, `ip`, or what is named: `{"claim": "tier"}`.
    #[schema(value_type = serde_json::Value)]
    pub attribute: Attribute,
    pub required: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    #[serde(rename = "admitted")]
    Admitted,
    #[serde(rename = "rejected")]
    Rejected(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleAttempt {
    /// Milliseconds after the opening of the campaign.
    pub at_ms: i64,
    pub user: String,
    pub sku: String,
    pub quantity: u32,
    /// Keyed by the attribute's text form: `claim:tier`.
    pub attributes: Vec<(String, String)>,
    pub expect: Expected,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    pub name: String,
    pub context: Context,
    pub params: serde_json::Value,
    pub audiences: Vec<(String, Vec<String>)>,
    pub attempts: Vec<ExampleAttempt>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Descriptor {
    pub id: String,
    pub version: String,
    pub title: String,
    pub summary: String,
    pub params_schema: serde_json::Value,
    pub reasons: Vec<Reason>,
    pub attributes: Vec<AttributeNeed>,
    /// Golden examples: parameters, attempts, and what is promised of them.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub examples: Vec<Example>,
    /// Pairs of key and value.
    #[schema(value_type = Vec<Vec<String>>)]
    pub annotations: Vec<(String, String)>,
    /// Whether the module exports the optional `precheck` interface.
    pub precheck: bool,
}

impl Descriptor {
    /// Whether the module can be a shadow rule. A precheck cannot be shadowed: shadow rules decide inside
    /// the script, and a precheck has decided before. The error is a sentence about what to do.
    pub fn shadowable(&self) -> Result<(), String> {
        match self.precheck {
            false => Ok(()),
            true => Err(format!(
                "module {}@{} has a precheck, which decides before the script and so cannot be shadowed; \
                 try it in a campaign of its own",
                self.id, self.version
            )),
        }
    }
}

/// The campaign a revision is compiled for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub campaign: String,
    pub opens_at: i64,
    pub closes_at: i64,
    pub skus: Vec<crate::campaign::Sku>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Diagnostic {
    /// `error` or `warning`.
    pub severity: String,
    /// RFC 6901 pointer into the parameters.
    pub pointer: String,
    pub code: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    pub fn warning(pointer: String, code: &str, message: String) -> Self {
        Self {
            severity: "warning".to_owned(),
            pointer,
            code: code.to_owned(),
            message,
            hint: None,
        }
    }
}

/// Why a module was refused, or did not do what it promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// Not WebAssembly, a core module without its world, imports, another world, too large, malformed descriptor.
    /// `code` is stable: `not-wasm`, `core-module`, `imports`, `wrong-world`, `precheck`, `too-large`, `too-complex`,
    /// `descriptor`, `digest`; `host` where the gateway itself could not run modules. `too-complex` is also what took
    /// more memory or time than a child has.
    #[error("{message}")]
    Refused { code: &'static str, message: String },
    /// It trapped, threw, ran out of fuel, time or memory, or answered too much. `function`: `describe`, `compile`,
    /// or `precheck` where instantiating it for that was too much.
    /// `code`: `trap`, `exception`, `fuel`, `time`, `memory`, `output`.
    #[error("{function}: {message}")]
    Misbehaved {
        function: &'static str,
        code: &'static str,
        message: String,
    },
    /// The parameters do not fit: schema violations of the host, or the module's own diagnostics.
    #[error("the parameters are not valid")]
    Params(Vec<Diagnostic>),
}

/// A module's answer to parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    pub plan: Plan,
    pub warnings: Vec<Diagnostic>,
}

/// A module that was inspected: the bytes speak the contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspected {
    /// Lower-case hex SHA-256 of the bytes.
    pub digest: String,
    pub descriptor: Descriptor,
}

/// What one call into a module took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCost {
    /// WebAssembly instructions, instantiation included; the same on every machine.
    pub fuel: u64,
    pub time: std::time::Duration,
    /// Linear memory at the end of the call; it never shrinks.
    pub memory_bytes: usize,
}
