//! The built-in rule modules, compiled once per test binary: from names and parameters to merged plans.
use std::sync::{Arc, OnceLock};

use rushgate::plan::merge::merge;
use rushgate::plan::{CheckContext, Plan};
use rushgate::wasm::examples::rule_plan;
use rushgate::wasm::{Context, Diagnostic, Host, Inspected, ModuleError, builtin};
use serde_json::Value;

pub struct Module {
    pub inspected: Inspected,
    bytes: Arc<[u8]>,
}

/// The modules of `rules/dist`.
pub struct Modules {
    /// The newest version of each, in the order in which they are offered.
    pub all: Vec<Module>,
    /// Older versions that stay.
    pub kept: Vec<Module>,
    host: Host,
    runtime: tokio::runtime::Runtime,
}

/// One rule of a revision.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: String,
    pub module: String,
    pub params: Value,
}

impl Rule {
    /// Named as its module is.
    pub fn new(module: &str, params: Value) -> Self {
        Self {
            name: module.to_owned(),
            module: module.to_owned(),
            params,
        }
    }
}

impl Modules {
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Modules> = OnceLock::new();
        SHARED.get_or_init(Self::load)
    }

    fn load() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .expect("a runtime");
        let host = Host::new().expect("this machine runs WebAssembly");
        let module = |(file, bytes): &(&str, &[u8])| {
            let bytes: Arc<[u8]> = Arc::from(*bytes);
            let inspected = runtime.block_on(host.inspect(bytes.clone()));
            let inspected = inspected.unwrap_or_else(|error| panic!("{file}: {error}"));
            Module { inspected, bytes }
        };
        let (kept, all): (Vec<_>, Vec<_>) = builtin().iter().partition(|(file, _)| file.contains('@'));
        let (all, kept) = (
            all.iter().map(module).collect(),
            kept.iter().map(module).collect(),
        );
        Self {
            all,
            kept,
            host,
            runtime,
        }
    }

    /// By `id`, which is its newest version, or `id@version`.
    pub fn module(&self, selector: &str) -> &Module {
        let mut modules = self.all.iter().chain(&self.kept);
        let found = modules.find(|module| {
            let descriptor = &module.inspected.descriptor;
            match selector.split_once('@') {
                None => descriptor.id == selector,
                Some(name) => (descriptor.id.as_str(), descriptor.version.as_str()) == name,
            }
        });
        found.unwrap_or_else(|| panic!("no module {selector}"))
    }

    /// The plan of one rule, or what is wrong with its parameters.
    pub fn compile(&self, rule: &Rule, context: &CheckContext) -> Result<Plan, Vec<Diagnostic>> {
        let module = self.module(&rule.module);
        let context = Context {
            campaign: context.campaign.clone(),
            opens_at: context.schedule.opens_at,
            closes_at: context.schedule.closes_at,
            skus: context.skus.to_vec(),
        };
        let bytes = module.bytes.clone();
        let compiled = self
            .host
            .compile(&module.inspected, bytes, &context, &rule.params);
        match self.runtime.block_on(compiled) {
            Ok(compiled) => Ok(compiled.plan),
            Err(ModuleError::Params(problems)) => Err(problems),
            Err(error) => panic!("{rule:?}: {error}"),
        }
    }

    /// The merged plan of the rules of a revision, not yet checked.
    pub fn merged(&self, rules: &[Rule], context: &CheckContext) -> Plan {
        let plans = rules.iter().map(|rule| {
            let plan = self.compile(rule, context);
            let plan = plan.unwrap_or_else(|problems| panic!("{rule:?}: {problems:#?}"));
            let mut plan = rule_plan(&self.module(&rule.module).inspected.descriptor, plan);
            plan.name.clone_from(&rule.name);
            plan
        });
        merge(plans.collect()).unwrap_or_else(|error| panic!("{rules:#?}: {error}"))
    }
}
