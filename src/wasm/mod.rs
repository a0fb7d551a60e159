//! Rule modules as WebAssembly components: the only place that knows wasmtime.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::plan::{Attribute, Plan};

/// Bytes of a module.
pub const MODULE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Version of `wit/` this host speaks.
pub const CONTRACT: &str = "1.0.0";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub code: String,
    pub title: String,
    pub retryable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeNeed {
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    pub id: String,
    pub version: String,
    pub title: String,
    pub summary: String,
    pub params_schema: serde_json::Value,
    pub reasons: Vec<Reason>,
    pub attributes: Vec<AttributeNeed>,
    pub examples: Vec<Example>,
    pub annotations: Vec<(String, String)>,
    /// Whether the module exports the optional `precheck` interface.
    pub precheck: bool,
}

/// The campaign a revision is compiled for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub campaign: String,
    pub opens_at: i64,
    pub closes_at: i64,
    pub skus: Vec<crate::campaign::Sku>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Why a module was refused, or did not do what it promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// Not WebAssembly, a core module, imports, another world, too large, malformed descriptor.
    /// `code` is stable: `not-wasm`, `core-module`, `imports`, `wrong-world`, `too-large`, `descriptor`.
    #[error("{message}")]
    Refused { code: &'static str, message: String },
    /// It trapped, ran out of fuel, time or memory, or answered too much.
    /// `code`: `trap`, `fuel`, `time`, `memory`, `output`.
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
#[derive(Clone, Debug, PartialEq)]
pub struct Inspected {
    /// Lower-case hex SHA-256 of the bytes.
    pub digest: String,
    pub descriptor: Descriptor,
}

/// Runs modules inside bounds of fuel, memory, time and output.
#[derive(Clone)]
pub struct Host {}

#[allow(unused_variables)]
impl Host {
    pub fn new() -> Result<Self, ModuleError> {
        todo!("wasm")
    }

    /// Compiles the bytes off the serving threads, checks the contract, and asks `describe`.
    pub async fn inspect(&self, bytes: Arc<[u8]>) -> Result<Inspected, ModuleError> {
        todo!("wasm")
    }

    /// Checks the parameters against the schema, then asks the module for its plan.
    pub async fn compile(
        &self,
        module: &Inspected,
        bytes: Arc<[u8]>,
        context: &Context,
        params: &serde_json::Value,
    ) -> Result<Compiled, ModuleError> {
        todo!("wasm")
    }
}

/// Built-in modules: (file name, bytes) of `rules/dist`.
pub fn builtin() -> &'static [(&'static str, &'static [u8])] {
    &[]
}

/// Lower-case hex SHA-256: how a module is named.
pub fn digest(_bytes: &[u8]) -> String {
    todo!("wasm")
}
