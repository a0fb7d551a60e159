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
/// Components inside each other, the outermost counted: those of compilers are two or three deep.
pub const COMPONENT_DEPTH_MAX: usize = 8;
/// Loops times local variables of one function. Compiling takes time in proportion, about a second for so
/// many; in the engine of JavaScript it is 46,000 at most.
pub const LOOP_LOCALS_MAX: u64 = 100_000;
/// The same, over all functions of a module.
pub const LOOP_LOCALS_TOTAL_MAX: u64 = 1_000_000;
/// Functions of a module, all core modules together: the engine of JavaScript has some 20,000.
pub const FUNCTIONS_MAX: u64 = 100_000;
/// Instances, aliases, types and exports of a component, those of the components it instantiates counted
/// as often as it does.
pub const PARTS_MAX: u64 = 50_000;
/// Names a component exports.
pub const EXPORTS_MAX: usize = 64;
/// Core instances, tables and memories inside one component, each.
pub const INSTANCE_PARTS_MAX: usize = 64;
/// Stack of a call.
pub const STACK_BYTES_MAX: usize = 512 * 1024;
/// Bytes the host copies out of the guest for one answer.
pub const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Compiled modules kept, by digest: the built-in ones and as many again.
pub const CACHED_MODULES_MAX: usize = 24;
/// Bytes of all machine code that is kept for describing and compiling, and as many for prechecks.
pub const CACHED_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of the machine code of one module: it is loaded into the gateway.
pub const ARTEFACT_BYTES_MAX: usize = 192 * 1024 * 1024;
/// Calls at the same time; further ones wait.
pub const RUNS_MAX: usize = 4;

/// WebAssembly instructions of one precheck, its instantiation included: about a millisecond of them. What
/// every order waits for has to be worth a thousandth of a second at most.
pub const PRECHECK_FUEL_MAX: u64 = 1_000_000;
/// Wall-clock time of one precheck. Fuel is what bounds it; this is for what costs time and no fuel, and
/// long enough that a call the machine merely interrupted is not taken for one.
pub const PRECHECK_TIME_MAX: Duration = Duration::from_millis(20);
/// Linear memory of a precheck: as many times as prechecks run at once.
pub const PRECHECK_MEMORY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Entries of all tables of a precheck together: an interpreter has some thousands of functions.
pub const PRECHECK_TABLE_ENTRIES_MAX: usize = 20_000;
/// Core instances and tables inside a component with a precheck, each.
pub const PRECHECK_PARTS_MAX: u32 = 16;
/// Memories inside a component with a precheck: each reserves gigabytes of address space.
pub const PRECHECK_MEMORIES_MAX: u32 = 2;
/// Bytes the host copies out of the guest for one verdict: a reason code has at most 64.
pub const PRECHECK_OUTPUT_BYTES_MAX: usize = 4096;
/// Prechecks at the same time in one process.
pub const PRECHECK_RUNS_MAX: u32 = 32;
/// Prechecks kept ready, by the digest of their module: as many as campaigns may use at once.
pub const PRECHECKS_KEPT_MAX: usize = 64;

/// Address space of a child that compiles a module: this much,
pub const CHILD_MEMORY_BYTES: u64 = 512 * 1024 * 1024;
/// and so many bytes for each byte of the module's functions,
pub const CHILD_MEMORY_PER_CODE_BYTE: u64 = 96;
/// but no more than this.
pub const CHILD_MEMORY_BYTES_MAX: u64 = 1536 * 1024 * 1024;
/// Processor time of such a child, in milliseconds: this much, in which it also runs `describe`,
pub const CHILD_TIME_MS: u64 = 3_000;
/// and so many for each MiB of the module's functions, of which a compiler of languages needs two thirds,
pub const CHILD_TIME_PER_CODE_MIB_MS: u64 = 1_800;
/// of each MiB beyond this many bytes more: only engines of languages are that large,
pub const CHILD_CODE_LARGE_BYTES: u64 = 4 * 1024 * 1024;
/// namely so many,
pub const CHILD_TIME_PER_LARGE_MIB_MS: u64 = 4_000;
/// but no more than this.
pub const CHILD_TIME_MS_MAX: u64 = 30_000;
/// Bytes a child writes to its pipe besides the component it wrapped: a descriptor.
pub const CHILD_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Children that look at uploads at the same time. A gateway's own loads have as many of their own, so
/// that they wait for no upload.
pub const CHILDREN_MAX: usize = 1;

/// Bytes of a parameter schema's text.
pub const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// The same as the module writes it, with its line breaks and blanks.
pub const SCHEMA_TEXT_BYTES_MAX: usize = 4 * SCHEMA_BYTES_MAX;
/// Nodes of a parameter schema, every reference followed: bounds the work of a validation.
pub const SCHEMA_NODES_MAX: usize = 10_000;
/// Schemas inside each other, references followed: those of real parameters are ten deep.
pub const SCHEMA_DEPTH_MAX: usize = 64;
/// Regular expressions of a parameter schema, every reference followed.
pub const SCHEMA_PATTERNS_MAX: usize = 64;
/// Steps of holding parameters against a schema: a keyword looked at is four, a byte of text that a
/// pattern reads is one. A list of 6,000 ids takes a quarter of them.
pub const SCHEMA_STEPS_MAX: u64 = 500_000;
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
