//! The bounds a module runs inside. A module that needs more is refused, never served slowly.

use std::time::Duration;

/// Bytes of a module. Python and JavaScript carry their interpreter along: about 12 to 18 MB.
pub const MODULE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// WebAssembly instructions of one call: well under a second of them. Deterministic.
pub const FUEL_MAX: u64 = 200_000_000;
/// Wall-clock time of one call: ends what costs much time and little fuel, such as bulk copies.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(2);
/// Linear memory of one instance, all memories together.
pub const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Entries of all tables of one instance together.
pub const TABLE_ENTRIES_MAX: usize = 100_000;
/// Core instances, tables and memories inside one component, each.
pub const INSTANCE_PARTS_MAX: usize = 64;
/// Stack of a call.
pub const STACK_BYTES_MAX: usize = 512 * 1024;
/// Bytes the host copies out of the guest for one answer.
pub const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Compiled modules kept, by digest: the built-in ones and as many again.
pub const CACHED_MODULES_MAX: usize = 24;
/// Calls at the same time; further ones wait.
pub const RUNS_MAX: usize = 4;

/// Bytes of a parameter schema's text.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Nodes of a parameter schema, every reference followed: bounds the work of a validation.
pub const SCHEMA_NODES_MAX: usize = 10_000;
/// Bytes of a merchant's parameters as JSON text.
pub const PARAMS_BYTES_MAX: usize = 64 * 1024;
/// Problems reported at once.
pub const DIAGNOSTICS_MAX: usize = 20;

/// Entries of each list in a descriptor: reasons, attributes, examples, annotations.
pub const DESCRIPTOR_ENTRIES_MAX: usize = 64;
/// Bytes of a title, a name or an annotation's key.
pub const TITLE_BYTES_MAX: usize = 256;
/// Bytes of a summary or an annotation's value.
pub const SUMMARY_BYTES_MAX: usize = 4096;
/// Attempts of one example.
pub const EXAMPLE_ATTEMPTS_MAX: usize = 256;
