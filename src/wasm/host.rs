//! The host: compiles modules, keeps them by digest, and asks them for descriptor and plan.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{Cache, Config, Engine, OptLevel};

use super::bindings::RuleModulePre;
use super::bounds::{CACHED_MODULES_MAX, RUNS_MAX, STACK_BYTES_MAX};
use super::clock::Clock;
use super::contract::{self, refused};
use super::kept::{Compiling, Kept};
use super::params::accept;
use super::precheck::{PrecheckFigures, Prechecks};
use super::run::{Budget, Guest, Runner};
use super::schema::ParamsSchema;
use super::{CallCost, Compiled, Context, Inspected, ModuleError, convert, descriptor, disk, spoken};
use crate::ruleset::Precheck;

/// Runs modules inside bounds of fuel, memory, time and output. Clones share everything.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    runner: Runner,
    linker: Linker<Guest>,
    kept: Kept<Module>,
    compiling: Compiling,
    cache: Option<Cache>,
    runs: Arc<Semaphore>,
    /// Made when the first module with a precheck comes.
    prechecks: OnceLock<Result<Prechecks, ModuleError>>,
}

/// A compiled module.
#[derive(Clone)]
struct Module {
    rule: RuleModulePre<Guest>,
    /// Whether it exports the optional interface.
    precheck: bool,
}

impl Host {
    /// Keeps nothing on disk.
    pub fn new() -> Result<Self, ModuleError> {
        Self::with(&disk::Config::default())
    }

    pub fn with(config: &disk::Config) -> Result<Self, ModuleError> {
        Self::with_budget(disk::open(config), Budget::CALL)
    }

    pub(super) fn with_budget(cache: Option<Cache>, budget: Budget) -> Result<Self, ModuleError> {
        let engine = Engine::new(&config(cache.clone())).map_err(unable)?;
        let compiling = Compiling::default();
        Ok(Self(Arc::new(Inner {
            // Nothing is ever added to the linker: a module has no imports.
            linker: Linker::new(&engine),
            runner: Runner {
                clock: Clock::start(&engine).map_err(unable)?,
                engine,
                budget,
            },
            kept: Kept::new(CACHED_MODULES_MAX, compiling.clone()),
            compiling,
            cache,
            runs: Arc::new(Semaphore::new(RUNS_MAX)),
            prechecks: OnceLock::new(),
        })))
    }

    /// Compiles the bytes off the serving threads, checks the contract, and asks `describe`.
    pub async fn inspect(&self, bytes: Arc<[u8]>) -> Result<Inspected, ModuleError> {
        Ok(self.inspect_measured(bytes).await?.0)
    }

    /// [`Self::inspect`], with what `describe` took.
    pub async fn inspect_measured(&self, bytes: Arc<[u8]>) -> Result<(Inspected, CallCost), ModuleError> {
        self.blocking(move |inner| inner.inspect(&bytes)).await
    }

    /// Makes machine code of the bytes and checks the contract, as [`Self::inspect`] does before it asks.
    pub async fn prepare(&self, bytes: Arc<[u8]>) -> Result<(), ModuleError> {
        self.blocking(move |inner| inner.load(&digest(&bytes), &bytes).map(drop))
            .await
    }

    /// Names of what the module exports: `rushgate:policy/rule@1.0.0`.
    pub async fn exports(&self, bytes: Arc<[u8]>) -> Result<Vec<String>, ModuleError> {
        self.blocking(move |inner| {
            let module = inner.load(&digest(&bytes), &bytes)?;
            let component = module.rule.instance_pre().component();
            Ok(contract::exports(&inner.runner.engine, component))
        })
        .await
    }

    /// Checks the parameters against the schema, then asks the module for its plan. Parameters left out
    /// (`null`) are an empty object. `bytes` are those `module` was inspected from.
    pub async fn compile(
        &self,
        module: &Inspected,
        bytes: Arc<[u8]>,
        context: &Context,
        params: &serde_json::Value,
    ) -> Result<Compiled, ModuleError> {
        Ok(self.compile_measured(module, bytes, context, params).await?.0)
    }

    /// [`Self::compile`], with what the module's `compile` took.
    pub async fn compile_measured(
        &self,
        module: &Inspected,
        bytes: Arc<[u8]>,
        context: &Context,
        params: &serde_json::Value,
    ) -> Result<(Compiled, CallCost), ModuleError> {
        let (module, context, params) = (module.clone(), context.clone(), params.clone());
        self.blocking(move |inner| inner.compile(&module, &bytes, &context, params))
            .await
    }

    /// The precheck of a rule, compiled and ready to be asked. `rule` is the rule's name in its revision;
    /// `bytes` are those `module` was inspected from, and the parameters those it has compiled.
    pub async fn precheck(
        &self,
        module: &Inspected,
        bytes: Arc<[u8]>,
        rule: &str,
        params: &serde_json::Value,
    ) -> Result<Arc<dyn Precheck>, ModuleError> {
        let (module, rule, params) = (module.clone(), rule.to_owned(), params.clone());
        self.blocking(move |inner| {
            let (_, params) = accept(params).map_err(|problem| ModuleError::Params(vec![problem]))?;
            inner.prechecks()?.ready(&module, &bytes, rule, params)
        })
        .await
    }

    /// What became of the prechecks this process ran, by module.
    pub fn precheck_figures(&self) -> Vec<PrecheckFigures> {
        match self.0.prechecks.get() {
            Some(Ok(prechecks)) => prechecks.figures(),
            _ => Vec::new(),
        }
    }

    /// Runs on a blocking thread. The work goes on when the caller goes away, so it owns its permit.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ModuleError> + Send + 'static,
    ) -> Result<T, ModuleError> {
        let permit = self.0.runs.clone().acquire_owned().await;
        let inner = self.0.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&inner)
        });
        match task.await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(refused("host", "the gateway is shutting down".into())),
        }
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

fn config(cache: Option<Cache>) -> Config {
    let mut config = common(cache);
    // A module runs once per upload and once per revision: compiling it is what takes time.
    config.cranelift_opt_level(OptLevel::None);
    config
}

impl Inner {
    fn inspect(&self, bytes: &[u8]) -> Result<(Inspected, CallCost), ModuleError> {
        let digest = digest(bytes);
        let module = self.load(&digest, bytes)?;
        let (answer, cost) = self.runner.call("describe", |store| {
            let instance = module.rule.instantiate(&mut *store)?;
            instance.rushgate_policy_rule().call_describe(store)
        })?;
        let descriptor = convert::descriptor(answer, module.precheck)?;
        descriptor::check(&descriptor)?;
        if module.precheck {
            self.prechecks()?.try_out(&digest, bytes)?;
        }
        Ok((Inspected { digest, descriptor }, cost))
    }

    fn compile(
        &self,
        inspected: &Inspected,
        bytes: &[u8],
        context: &Context,
        params: serde_json::Value,
    ) -> Result<(Compiled, CallCost), ModuleError> {
        let (params, text) = accept(params).map_err(|problem| ModuleError::Params(vec![problem]))?;
        let problems = ParamsSchema::new(&inspected.descriptor.params_schema)
            .map_err(descriptor::refused)?
            .problems(&params);
        if !problems.is_empty() {
            return Err(ModuleError::Params(problems));
        }
        let module = self.load(&inspected.digest, bytes)?;
        let context = convert::context(context);
        let (answer, cost) = self.runner.call("compile", |store| {
            let instance = module.rule.instantiate(&mut *store)?;
            instance
                .rushgate_policy_rule()
                .call_compile(store, &context, &text)
        })?;
        match answer {
            Ok(plan) => {
                let plan = convert::plan(plan)?;
                spoken::check_plan(&plan)?;
                let compiled = Compiled {
                    plan,
                    warnings: Vec::new(),
                };
                Ok((compiled, cost))
            }
            Err(diagnostics) => {
                let diagnostics = convert::diagnostics(diagnostics)?;
                spoken::check_diagnostics(&diagnostics)?;
                Err(ModuleError::Params(diagnostics))
            }
        }
    }

    fn load(&self, digest: &str, bytes: &[u8]) -> Result<Module, ModuleError> {
        self.kept.load(digest, bytes, |bytes| self.admit(bytes))
    }

    /// Wraps a core module, compiles the component and checks that it speaks the contract.
    fn admit(&self, bytes: &[u8]) -> Result<Module, ModuleError> {
        let component = contract::compile(&self.runner.engine, bytes)?;
        let precheck = contract::check_world(&self.runner.engine, &component)?;
        let rule = self
            .linker
            .instantiate_pre(&component)
            .and_then(RuleModulePre::new)
            .map_err(|error| contract::wrong_interface("rule", &error))?;
        Ok(Module { rule, precheck })
    }

    fn prechecks(&self) -> Result<&Prechecks, ModuleError> {
        let made = self
            .prechecks
            .get_or_init(|| Prechecks::new(self.cache.clone(), self.compiling.clone()));
        made.as_ref().map_err(ModuleError::clone)
    }
}

/// Lower-case hex SHA-256: how a module is named.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
