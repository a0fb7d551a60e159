//! Modules that are asked for their descriptor and for plans, on an engine made for calls that are rare.

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{Component, Linker};
use wasmtime::{Cache, Config, Engine, OptLevel};

use super::bindings::RuleModulePre;
use super::bounds::{CACHED_BYTES_MAX, CACHED_MODULES_MAX, STACK_BYTES_MAX};
use super::child::Phase;
use super::clock::Clock;
use super::contract::{self, Optional};
use super::digest::digest;
use super::kept::{Kept, Loading};
use super::refused;
use super::run::{Budget, Guest, Runner};
use super::{CallCost, Inspected, ModuleError, artefact, bindings2, convert, descriptor, thrown};

/// By how much a memory's reservation is larger than what it needs, when it grows.
const GROWTH_BYTES: u64 = 4 << 20;

/// A compiled module.
#[derive(Clone)]
pub(super) struct Module {
    pub(super) rule: RuleModulePre<Guest>,
    pub(super) optional: Optional,
}

/// What a module is loaded from.
#[derive(Clone, Debug)]
pub(super) enum Code {
    /// An upload that is trusted: wrapped and compiled in this process where it has to be.
    Trusted(Arc<[u8]>),
    /// A component that a child has compiled into the folder.
    Made(Arc<[u8]>),
}

/// Everything that asks modules.
pub(super) struct Rules {
    pub(super) runner: Runner,
    linker: Linker<Guest>,
    pub(super) kept: Kept<Module>,
}

impl Rules {
    pub(super) fn new(cache: Option<Cache>, budget: Budget, loading: Loading) -> Result<Self, ModuleError> {
        let engine = Engine::new(&config(cache)).map_err(unable)?;
        Ok(Self {
            // Nothing is ever added to the linker: a module has no imports.
            linker: Linker::new(&engine),
            runner: Runner {
                clock: Clock::start(&engine).map_err(unable)?,
                engine,
                budget,
            },
            kept: Kept::new(CACHED_MODULES_MAX, CACHED_BYTES_MAX, loading),
        })
    }

    /// The module, kept from now on. `None` where `folder` does not hold what a child should have made.
    pub(super) fn load(
        &self,
        folder: Option<&Path>,
        digest: &str,
        code: &Code,
    ) -> Result<Option<Module>, ModuleError> {
        let engine = &self.runner.engine;
        self.kept.load(digest, || match code {
            Code::Trusted(bytes) => {
                let (component, optional) = contract::component(bytes)?;
                self.link(&component, optional).map(Some)
            }
            Code::Made(bytes) if found(folder, engine, bytes) => {
                let optional = contract::component(bytes)?.1;
                self.link(bytes, optional).map(Some)
            }
            Code::Made(_) => Ok(None),
        })
    }

    fn link(&self, component: &[u8], optional: Optional) -> Result<(Module, usize), ModuleError> {
        let (component, bytes) = contract::compile(&self.runner.engine, component)?;
        let rule = self
            .linker
            .instantiate_pre(&component)
            .and_then(RuleModulePre::new)
            .map_err(|error| contract::wrong_interface("rule", &error))?;
        Ok((Module { rule, optional }, bytes))
    }

    /// Asks for the descriptor and checks it. `digest` is that of the upload.
    pub(super) fn inspect(
        &self,
        digest: &str,
        module: &Module,
        phase: impl Fn(Phase),
    ) -> Result<(Inspected, CallCost), ModuleError> {
        phase(Phase::Describe);
        let (answer, cost) = self.runner.call("describe", |store| {
            let instance = module.rule.instantiate(&mut *store)?;
            instance.rushgate_policy_rule().call_describe(store)
        })?;
        phase(Phase::Check);
        if module.optional.rule2 {
            let module = module.rule.instance_pre();
            let checked = self
                .runner
                .call("compile", |store| Ok(bindings2::check(store, module)))?;
            checked
                .0
                .map_err(|error| contract::wrong_interface("rule2", &error))?;
        }
        thrown::check_described(&answer)?;
        let descriptor = convert::descriptor(answer, module.optional.precheck)?;
        descriptor::check(&descriptor)?;
        let digest = digest.to_owned();
        Ok((Inspected { digest, descriptor }, cost))
    }

    pub(super) fn exports(&self, module: &Module) -> Vec<String> {
        let component: &Component = module.rule.instance_pre().component();
        contract::exports(&self.runner.engine, component)
    }
}

/// Whether a child's machine code lies in the folder.
pub(super) fn found(folder: Option<&Path>, engine: &Engine, component: &[u8]) -> bool {
    folder.is_some_and(|folder| artefact::find(folder, engine, component).is_some())
}

/// Bytes that are not those of the digest were changed where they are stored.
pub(super) fn check_digest(wanted: &str, bytes: &[u8]) -> Result<(), ModuleError> {
    let found = digest(bytes);
    match found == wanted {
        true => Ok(()),
        false => Err(refused(
            "digest",
            format!("the stored bytes have digest {found}, not {wanted}: they were changed"),
        )),
    }
}

pub(super) fn unable(error: impl std::fmt::Display) -> ModuleError {
    refused("host", format!("WebAssembly cannot run on this machine: {error}"))
}

/// What every engine has in common. What is not deterministic is off or fixed, so that a module answers the
/// same on every machine.
pub(super) fn common(cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config
        .cache(cache)
        // One core at most goes to a compilation, the others to orders.
        .parallel_compilation(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES_MAX)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true);
    config
}

/// The settings are those of the child, too: machine code is good for both only where they are the same. A
/// memory takes what it needs, for a child's address space is bounded.
fn config(cache: Option<Cache>) -> Config {
    let mut config = common(cache);
    config
        .memory_reservation(0)
        .memory_guard_size(0)
        .memory_reservation_for_growth(GROWTH_BYTES)
        // A module runs once per upload and once per revision: compiling it is what takes time.
        .cranelift_opt_level(OptLevel::None);
    config
}
