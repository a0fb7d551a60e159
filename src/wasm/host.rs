//! The host: has modules compiled, keeps them by digest, and asks them for descriptor and plan.

use std::sync::{Arc, OnceLock};

use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use wasmtime::Cache;

use super::bounds::RUNS_MAX;
use super::child::Children;
use super::contract;
use super::digest::digest;
use super::disk::Folder;
use super::kept::Loading;
use super::metrics::Metrics;
use super::params::accept;
use super::precheck::{Pre, Prechecks};
use super::refused;
use super::rules::{Code, Module, Rules};
use super::run::Budget;
use super::schema::ParamsSchema;
use super::{
    CallCost, Compiled, Context, Inspected, ModuleError, bindings2, convert, descriptor, disk, spoken, thrown,
};
use crate::metrics;
use crate::ruleset::Precheck;

/// Runs modules inside bounds of fuel, memory, time and output. Clones share everything.
#[derive(Clone)]
pub struct Host(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) rules: Rules,
    /// Made when the first module with a precheck comes.
    prechecks: OnceLock<Result<Prechecks, ModuleError>>,
    metrics: Metrics,
    loading: Loading,
    cache: Option<Cache>,
    runs: Arc<Semaphore>,
    /// Compile and ask what is not trusted. The error says why there are none.
    pub(super) children: Option<Result<Children, ModuleError>>,
    /// Given up last: the machine code of all.
    pub(super) folder: Option<Folder>,
}

impl Host {
    /// Keeps nothing on disk and compiles in this process: for modules that are trusted.
    pub fn new() -> Result<Self, ModuleError> {
        Self::with(&disk::Config::default())
    }

    pub fn with(config: &disk::Config) -> Result<Self, ModuleError> {
        let folder = Folder::open(config);
        let Some(program) = &config.program else {
            return Self::build(folder, None, Budget::CALL);
        };
        // Children hand over what they compiled through a folder.
        let (folder, children) = match folder.map_or_else(Folder::temporary, Ok) {
            Ok(folder) => {
                let children = Children::new(program, &folder.path);
                (Some(folder), Ok(children))
            }
            Err(why) => {
                tracing::warn!(why, "modules that are not built in cannot be taken");
                (None, Err(refused("host", why)))
            }
        };
        Self::build(folder, Some(children), Budget::CALL)
    }

    pub(super) fn build(
        folder: Option<Folder>,
        children: Option<Result<Children, ModuleError>>,
        budget: Budget,
    ) -> Result<Self, ModuleError> {
        let (cache, loading) = (
            folder.as_ref().map(|folder| folder.cache.clone()),
            Loading::default(),
        );
        Ok(Self(Arc::new(Inner {
            rules: Rules::new(cache.clone(), budget, loading.clone())?,
            prechecks: OnceLock::new(),
            metrics: Metrics::default(),
            loading,
            cache,
            runs: Arc::new(Semaphore::new(RUNS_MAX)),
            children,
            folder,
        })))
    }

    /// Compiles the bytes off the serving threads, checks the contract, and asks `describe`.
    pub async fn inspect(&self, bytes: Arc<[u8]>) -> Result<Inspected, ModuleError> {
        Ok(self.inspect_measured(bytes).await?.0)
    }

    /// [`Self::inspect`], with what `describe` took.
    pub async fn inspect_measured(&self, bytes: Arc<[u8]>) -> Result<(Inspected, CallCost), ModuleError> {
        let seen = bytes.clone();
        let (digest, look) = self
            .blocking(move |_| Ok((digest(&seen), contract::look(&seen)?)))
            .await?;
        let (inspected, cost) = match self.children(&digest)? {
            Some(children) => {
                self.inspect_in_child(children, look.code_bytes, bytes.clone())
                    .await?
            }
            None => {
                let module = self.rule(&digest, bytes.clone()).await?;
                let digest = digest.clone();
                self.blocking(move |inner| inner.rules.inspect(&digest, &module, |_| {}))
                    .await?
            }
        };
        if inspected.descriptor.precheck {
            let compiled = self.precheck_of(&digest, bytes).await?;
            self.blocking(move |inner| inner.prechecks()?.try_out(&compiled))
                .await?;
        }
        Ok((inspected, cost))
    }

    /// Makes machine code of the bytes and checks the contract, as [`Self::inspect`] does before it asks.
    pub async fn prepare(&self, bytes: Arc<[u8]>) -> Result<(), ModuleError> {
        self.rule(&digest(&bytes), bytes).await.map(drop)
    }

    /// Names of what the module exports: `rushgate:policy/rule@1.0.0`.
    pub async fn exports(&self, bytes: Arc<[u8]>) -> Result<Vec<String>, ModuleError> {
        let module = self.rule(&digest(&bytes), bytes).await?;
        Ok(self.0.rules.exports(&module))
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
        let (schema, params) = (module.descriptor.params_schema.clone(), params.clone());
        let text = self.blocking(move |_| fitting(&schema, params)).await?;
        let (module, context) = (self.rule(&module.digest, bytes).await?, context.clone());
        self.blocking(move |inner| inner.compile(&module, &context, &text))
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
        let (_, params) = accept(params.clone()).map_err(|problem| ModuleError::Params(vec![problem]))?;
        let compiled = self.precheck_of(&module.digest, bytes).await?;
        Ok(self
            .0
            .prechecks()?
            .ready(module, compiled, rule.to_owned(), params))
    }

    /// What became of the prechecks this process ran, by module.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Puts them on the page.
    pub fn register(&self, registry: &mut Registry) {
        metrics::register(registry, self.metrics());
    }

    /// Runs on a blocking thread, a few at a time.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ModuleError> + Send + 'static,
    ) -> Result<T, ModuleError> {
        self.permitted(&self.0.runs, work).await
    }

    /// Runs on a blocking thread while it holds a permit. The work goes on when the caller goes away, so it
    /// owns its permit.
    pub(super) async fn permitted<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        work: impl FnOnce(&Inner) -> Result<T, ModuleError> + Send + 'static,
    ) -> Result<T, ModuleError> {
        let permit = permits.clone().acquire_owned().await;
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

/// The parameters as text, where they fit the schema.
fn fitting(schema: &serde_json::Value, params: serde_json::Value) -> Result<String, ModuleError> {
    let (params, text) = accept(params).map_err(|problem| ModuleError::Params(vec![problem]))?;
    let problems = ParamsSchema::new(schema)
        .map_err(descriptor::refused)?
        .problems(&params);
    match problems.is_empty() {
        true => Ok(text),
        false => Err(ModuleError::Params(problems)),
    }
}

impl Inner {
    fn compile(
        &self,
        module: &Module,
        context: &Context,
        params: &str,
    ) -> Result<(Compiled, CallCost), ModuleError> {
        let context = convert::context(context);
        // What a module answers that exports `rule2`: its plan may need more than `rule` can say.
        let (answer, cost) = self.rules.runner.call("compile", |store| {
            if module.optional.rule2 {
                let answer = bindings2::compile(store, module.rule.instance_pre(), &context, params)?;
                return Ok(answer.map(convert::plan2));
            }
            let instance = module.rule.instantiate(&mut *store)?;
            let rule = instance.rushgate_policy_rule();
            let answer = rule.call_compile(store, &context, params)?;
            Ok(answer.map(convert::plan))
        })?;
        match answer {
            Ok(plan) => {
                let plan = plan?;
                spoken::check_plan(&plan)?;
                let compiled = Compiled {
                    plan,
                    warnings: Vec::new(),
                };
                Ok((compiled, cost))
            }
            Err(diagnostics) => {
                thrown::check_refused(&diagnostics)?;
                let diagnostics = convert::diagnostics(diagnostics)?;
                spoken::check_diagnostics(&diagnostics)?;
                Err(ModuleError::Params(diagnostics))
            }
        }
    }

    pub(super) fn load_rule(&self, digest: &str, code: &Code) -> Result<Option<Module>, ModuleError> {
        let folder = self.folder.as_ref().map(|folder| folder.path.as_path());
        self.rules.load(folder, digest, code)
    }

    pub(super) fn load_precheck(&self, digest: &str, code: &Code) -> Result<Option<Pre>, ModuleError> {
        let folder = self.folder.as_ref().map(|folder| folder.path.as_path());
        self.prechecks()?.load(folder, digest, code)
    }

    pub(super) fn prechecks(&self) -> Result<&Prechecks, ModuleError> {
        let made = self
            .prechecks
            .get_or_init(|| Prechecks::new(self.cache.clone(), self.loading.clone(), self.metrics.clone()));
        made.as_ref().map_err(ModuleError::clone)
    }
}
