//! The host: compiles modules, keeps them by digest, and asks them for descriptor and plan.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel};

use super::bindings::RuleModulePre;
use super::bounds::{CACHED_MODULES_MAX, MODULE_BYTES_MAX, PARAMS_BYTES_MAX, RUNS_MAX, STACK_BYTES_MAX};
use super::clock::Clock;
use super::run::{Budget, Guest, Runner};
use super::schema::ParamsSchema;
use super::wrap::component_of;
use super::{CONTRACT, CallCost, Compiled, Context, Diagnostic, Inspected, ModuleError, convert, descriptor};

/// Runs modules inside bounds of fuel, memory, time and output. Clones share everything.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    runner: Runner,
    linker: Linker<Guest>,
    /// Most recently used first.
    cache: Mutex<VecDeque<(String, RuleModulePre<Guest>)>>,
    /// One compilation at a time: it takes every core it gets.
    compiling: Mutex<()>,
    runs: Arc<Semaphore>,
}

impl Host {
    pub fn new() -> Result<Self, ModuleError> {
        Self::with_budget(Budget::default())
    }

    pub(super) fn with_budget(budget: Budget) -> Result<Self, ModuleError> {
        let failed = |error: &dyn std::fmt::Display| ModuleError::Refused {
            code: "host",
            message: format!("WebAssembly cannot run on this machine: {error}"),
        };
        let engine = Engine::new(&config()).map_err(|error| failed(&error))?;
        let clock = Clock::start(&engine).map_err(|error| failed(&error))?;
        Ok(Self(Arc::new(Inner {
            // Nothing is ever added to the linker: a module has no imports.
            linker: Linker::new(&engine),
            runner: Runner {
                engine,
                clock,
                budget,
            },
            cache: Mutex::default(),
            compiling: Mutex::default(),
            runs: Arc::new(Semaphore::new(RUNS_MAX)),
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
            Ok(exports(&inner.runner.engine, module.instance_pre().component()))
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
            Err(_) => Err(ModuleError::Refused {
                code: "host",
                message: "the gateway is shutting down".into(),
            }),
        }
    }
}

/// What is not deterministic is off or fixed, so that a module answers the same on every machine.
fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES_MAX)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        // A module runs once per upload and once per revision: compiling it is what takes time.
        .cranelift_opt_level(OptLevel::None);
    config
}

impl Inner {
    fn inspect(&self, bytes: &[u8]) -> Result<(Inspected, CallCost), ModuleError> {
        let digest = digest(bytes);
        let module = self.load(&digest, bytes)?;
        let (answer, cost) = self.runner.call(&module, "describe", |instance, store| {
            instance.rushgate_policy_rule().call_describe(store)
        })?;
        let descriptor = convert::descriptor(answer)?;
        descriptor::check(&descriptor)?;
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
        let (answer, cost) = self.runner.call(&module, "compile", |instance, store| {
            instance
                .rushgate_policy_rule()
                .call_compile(store, &context, &text)
        })?;
        match answer {
            Ok(plan) => {
                let compiled = Compiled {
                    plan: convert::plan(plan)?,
                    warnings: Vec::new(),
                };
                Ok((compiled, cost))
            }
            Err(diagnostics) => Err(ModuleError::Params(convert::diagnostics(diagnostics)?)),
        }
    }

    /// The compiled module: from the cache, or compiled now and kept.
    fn load(&self, wanted: &str, bytes: &[u8]) -> Result<RuleModulePre<Guest>, ModuleError> {
        if let Some(module) = self.cached(wanted) {
            return Ok(module);
        }
        // A panic of an earlier compilation left nothing behind that could be wrong.
        let _one = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = self.cached(wanted) {
            return Ok(module);
        }
        if bytes.len() > MODULE_BYTES_MAX {
            return Err(refused(
                "too-large",
                format!(
                    "the module has {} bytes; at most {MODULE_BYTES_MAX} are allowed",
                    bytes.len()
                ),
            ));
        }
        let found = digest(bytes);
        if found != wanted {
            return Err(refused(
                "digest",
                format!("the stored bytes have digest {found}, not {wanted}: they were changed"),
            ));
        }
        let module = self.admit(bytes)?;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.push_front((wanted.to_owned(), module.clone()));
        cache.truncate(CACHED_MODULES_MAX);
        Ok(module)
    }

    fn cached(&self, digest: &str) -> Option<RuleModulePre<Guest>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let at = cache.iter().position(|(known, _)| known == digest)?;
        let entry = cache.remove(at)?;
        let module = entry.1.clone();
        cache.push_front(entry);
        Some(module)
    }

    /// Wraps a core module, compiles the component and checks that it speaks the contract.
    fn admit(&self, bytes: &[u8]) -> Result<RuleModulePre<Guest>, ModuleError> {
        let bytes = component_of(bytes)?;
        let component = Component::from_binary(&self.runner.engine, &bytes).map_err(|error| {
            refused(
                "not-wasm",
                format!("the component is not valid: {}", error.root_cause()),
            )
        })?;
        self.check_world(&component)?;
        self.linker
            .instantiate_pre(&component)
            .and_then(RuleModulePre::new)
            .map_err(|error| {
                refused(
                    "wrong-world",
                    format!(
                        "the component exports rushgate:policy/rule, but not as version {CONTRACT} defines it: {error:#}. \
                         Build it against wit/policy.wit"
                    ),
                )
            })
    }

    fn check_world(&self, component: &Component) -> Result<(), ModuleError> {
        let world = component.component_type();
        let imports: Vec<String> = world
            .imports(&self.runner.engine)
            .map(|(name, _)| format!("{name:?}"))
            .collect();
        if !imports.is_empty() {
            return Err(refused(
                "imports",
                format!(
                    "a rule module may not import anything, this one imports {}; build it without WASI (for \
                     example for wasm32-unknown-unknown) against the world rushgate:policy/rule-module",
                    listed(&imports)
                ),
            ));
        }
        check_exports(&exports(&self.runner.engine, component))
    }
}

fn exports(engine: &Engine, component: &Component) -> Vec<String> {
    let world = component.component_type();
    world.exports(engine).map(|(name, _)| name.to_owned()).collect()
}

/// Refuses by the names of the exports, so that the answer says what was found and what was expected.
fn check_exports(exports: &[String]) -> Result<(), ModuleError> {
    let version_of = |interface: &str| {
        exports.iter().find_map(|name| {
            name.strip_prefix(interface)
                .and_then(|rest| rest.strip_prefix('@'))
        })
    };
    match version_of("rushgate:policy/rule") {
        None => {
            let found: Vec<String> = exports.iter().map(|name| format!("{name:?}")).collect();
            let found = match found.is_empty() {
                true => "nothing".to_owned(),
                false => listed(&found),
            };
            return Err(refused(
                "wrong-world",
                format!(
                    "the component does not export \"rushgate:policy/rule@{CONTRACT}\"; it exports {found}. \
                     Build it against wit/policy.wit"
                ),
            ));
        }
        Some(version) if !version.starts_with("1.") => {
            return Err(refused(
                "wrong-world",
                format!(
                    "the component speaks rushgate:policy {version}; this gateway speaks {CONTRACT} and \
                     everything else of major version 1"
                ),
            ));
        }
        Some(_) => {}
    }
    // Ignoring it would admit what the module means to reject.
    if version_of("rushgate:policy/precheck").is_some() {
        return Err(refused(
            "precheck",
            "the component exports rushgate:policy/precheck, which this version of the gateway does not run; \
             build it against the world rule-module and express the check in the plan"
                .into(),
        ));
    }
    Ok(())
}

/// At most eight of many.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(8) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn refused(code: &'static str, message: String) -> ModuleError {
    ModuleError::Refused { code, message }
}

/// Parameters as the schema and the module read them, with their text: whole numbers written as `2.0` are
/// integers in JSON Schema, but not for most deserialisers.
fn accept(params: serde_json::Value) -> Result<(serde_json::Value, String), Diagnostic> {
    let params = match params {
        serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
        mut given => {
            whole_numbers(&mut given);
            given
        }
    };
    let text = params.to_string();
    if text.len() > PARAMS_BYTES_MAX {
        return Err(Diagnostic {
            severity: "error".into(),
            pointer: String::new(),
            code: "too-large".into(),
            message: format!(
                "the parameters have {} bytes; at most {PARAMS_BYTES_MAX} are allowed",
                text.len()
            ),
            hint: None,
        });
    }
    Ok((params, text))
}

fn whole_numbers(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Number(number) if number.is_f64() => {
            let whole = number
                .as_f64()
                .filter(|n| n.fract() == 0.0 && n.abs() <= crate::plan::INTEGER_MAX as f64);
            if let Some(whole) = whole {
                *value = (whole as i64).into();
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
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
