//! Prechecks: the one function of a module that runs per order, on an engine of its own that is made for it.
//!
//! Code is compiled to be fast, and instances come from a pool: their memory is mapped beforehand and put
//! back to the module's initial image after each call. So every call gets a fresh instance, nothing of one
//! order is ever seen by the next, and a call that trapped leaves nothing behind.

use std::path::Path;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use wasmtime::component::Linker;
use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::bindings::precheck::{RuleModuleWithPrecheckPre, wit};
use super::bounds::{
    CACHED_BYTES_MAX, PRECHECK_MEMORIES_MAX, PRECHECK_MEMORY_BYTES_MAX, PRECHECK_PARTS_MAX,
    PRECHECK_RUNS_MAX, PRECHECK_TABLE_ENTRIES_MAX, PRECHECKS_KEPT_MAX,
};
use super::clock::Clock;
use super::contract;
use super::kept::{Kept, Loading};
use super::metrics::{Metrics, ModuleLabels};
use super::refused;
use super::rules::{Code, common, found, unable};
use super::run::{Budget, Guest, Runner};
use super::{Inspected, ModuleError, Reason};
use crate::plan::{ANY_NAME, Attribute};
use crate::ruleset::{Asked, Objection, Precheck, Verdict};

/// Bytes of each instance's memory that are put back by writing instead of by the kernel: cheaper for
/// the little that a small module touches.
const KEPT_RESIDENT_BYTES: usize = 64 * 1024;

/// A compiled precheck.
pub(super) type Pre = RuleModuleWithPrecheckPre<Guest>;

/// Everything that runs prechecks.
pub(super) struct Prechecks {
    pub(super) runner: Arc<Runner>,
    linker: Linker<Guest>,
    pub(super) kept: Kept<Pre>,
    metrics: Metrics,
}

impl Prechecks {
    pub(super) fn new(cache: Option<Cache>, loading: Loading, metrics: Metrics) -> Result<Self, ModuleError> {
        let engine = Engine::new(&config(cache)).map_err(unable)?;
        Ok(Self {
            linker: Linker::new(&engine),
            runner: Arc::new(Runner {
                clock: Clock::start(&engine).map_err(unable)?,
                engine,
                budget: Budget::PRECHECK,
            }),
            kept: Kept::new(PRECHECKS_KEPT_MAX, CACHED_BYTES_MAX, loading),
            metrics,
        })
    }

    /// Whether the module can be instantiated inside a precheck's bounds; what is to run for every order
    /// is not found out to be too big by the first of them.
    pub(super) fn try_out(&self, module: &Pre) -> Result<(), ModuleError> {
        self.runner
            .call("precheck", |store| module.instantiate(store).map(drop))
            .map(drop)
    }

    /// `compiled` is that module's.
    pub(super) fn ready(
        &self,
        module: &Inspected,
        compiled: Pre,
        rule: String,
        params: String,
    ) -> Arc<dyn Precheck> {
        let handed = |attribute: &Attribute| {
            matches!(
                attribute,
                Attribute::Ip | Attribute::Claim(_) | Attribute::Client(_)
            )
        };
        let descriptor = &module.descriptor;
        let labels = ModuleLabels {
            module: descriptor.id.clone(),
            digest: module.digest.clone(),
        };
        Arc::new(Ready {
            module: compiled,
            runner: self.runner.clone(),
            name: format!("{}@{}", descriptor.id, descriptor.version),
            rule,
            params,
            reasons: descriptor.reasons.clone(),
            attributes: descriptor
                .attributes
                .iter()
                .map(|need| need.attribute.clone())
                .filter(handed)
                .collect(),
            runs: self.metrics.runs.get_or_create_owned(&labels),
            failures: self.metrics.failures.get_or_create_owned(&labels),
        })
    }

    /// The module, kept from now on. `None` where `folder` does not hold what a child should have made.
    pub(super) fn load(
        &self,
        folder: Option<&Path>,
        digest: &str,
        code: &Code,
    ) -> Result<Option<Pre>, ModuleError> {
        self.kept.load(digest, || match code {
            Code::Trusted(bytes) => {
                let (component, optional) = contract::component(bytes)?;
                self.link(&component, optional.precheck).map(Some)
            }
            Code::Made(bytes) if found(folder, &self.runner.engine, bytes) => {
                let optional = contract::component(bytes)?.1;
                self.link(bytes, optional.precheck).map(Some)
            }
            Code::Made(_) => Ok(None),
        })
    }

    fn link(&self, component: &[u8], precheck: bool) -> Result<(Pre, usize), ModuleError> {
        if !precheck {
            return Err(refused("precheck", "the module has no precheck".into()));
        }
        // The bytes were compiled before, without the bounds of this engine's pool.
        let (component, bytes) = contract::compile(&self.runner.engine, component).map_err(|error| {
            refused(
                "precheck",
                format!("the module is too big to run per order: {error}"),
            )
        })?;
        let pre = self
            .linker
            .instantiate_pre(&component)
            .and_then(Pre::new)
            .map_err(|error| contract::wrong_interface("precheck", &error))?;
        Ok((pre, bytes))
    }
}

/// An engine that makes machine code for prechecks, and runs none.
pub(super) fn compiler(cache: Option<Cache>) -> Result<Engine, ModuleError> {
    Engine::new(&fast(cache)).map_err(unable)
}

fn fast(cache: Option<Cache>) -> Config {
    let mut config = common(cache);
    config.cranelift_opt_level(OptLevel::Speed);
    config
}

fn config(cache: Option<Cache>) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(PRECHECK_RUNS_MAX)
        .total_core_instances(PRECHECK_RUNS_MAX * PRECHECK_PARTS_MAX)
        .total_tables(PRECHECK_RUNS_MAX * PRECHECK_PARTS_MAX)
        .total_memories(PRECHECK_RUNS_MAX * PRECHECK_MEMORIES_MAX)
        .max_core_instances_per_component(PRECHECK_PARTS_MAX)
        .max_tables_per_component(PRECHECK_PARTS_MAX)
        .max_tables_per_module(PRECHECK_PARTS_MAX)
        .max_memories_per_component(PRECHECK_MEMORIES_MAX)
        .max_memories_per_module(PRECHECK_MEMORIES_MAX)
        .max_memory_size(PRECHECK_MEMORY_BYTES_MAX)
        .table_elements(PRECHECK_TABLE_ENTRIES_MAX)
        .linear_memory_keep_resident(KEPT_RESIDENT_BYTES)
        .table_keep_resident(KEPT_RESIDENT_BYTES);
    let mut config = fast(cache);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// One rule's precheck.
struct Ready {
    module: Pre,
    runner: Arc<Runner>,
    /// `<id>@<version>`, for the log.
    name: String,
    rule: String,
    /// JSON text, as `compile` got it.
    params: String,
    reasons: Vec<Reason>,
    /// What the module may see of an order besides user, SKU and quantity.
    attributes: Vec<Attribute>,
    runs: Counter,
    failures: Counter,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "precheck of {} ({})", self.rule, self.name)
    }
}

impl Precheck for Ready {
    fn rule(&self) -> &str {
        &self.rule
    }

    fn reads(&self) -> &[Attribute] {
        &self.attributes
    }

    fn check(&self, asked: &Asked<'_>) -> Verdict {
        self.runs.inc();
        let request = self.request(asked);
        let answer = self.runner.call("precheck", |store| {
            let instance = self.module.instantiate(&mut *store)?;
            instance
                .rushgate_policy_precheck()
                .call_check(store, &self.params, &request)
        });
        match answer {
            Ok((wit::Verdict::Pass, _)) => Verdict::Pass,
            Ok((wit::Verdict::Reject(code), _)) => self.rejection(&code),
            Err(error) => self.failed(&error.to_string()),
        }
    }
}

impl Ready {
    fn request(&self, asked: &Asked<'_>) -> wit::Request {
        wit::Request {
            user: asked.attempt.user.clone(),
            sku: asked.attempt.sku.clone(),
            quantity: asked.attempt.quantity,
            attributes: self
                .attributes
                .iter()
                .flat_map(|declared| values(declared, asked))
                .collect(),
        }
    }

    fn rejection(&self, code: &str) -> Verdict {
        match self.reasons.iter().find(|reason| reason.code == code) {
            Some(reason) => Verdict::Reject(Objection {
                code: reason.code.clone(),
                title: reason.title.clone(),
                retryable: reason.retryable,
            }),
            None => self.failed(&format!("it rejected with {code:?}, which it does not declare")),
        }
    }

    /// Logged at the 1st, 2nd, 4th, 8th … failure: an endless loop must not flood the log as well.
    fn failed(&self, why: &str) -> Verdict {
        let before = self.failures.inc();
        if (before + 1).is_power_of_two() {
            tracing::warn!(
                module = self.name,
                rule = self.rule,
                failures = before + 1,
                why,
                "precheck failed"
            );
        }
        Verdict::Failed
    }
}

/// What an order has of a declared attribute. One it does not have is the empty text; one that stands for
/// all of its kind is as many as there are.
fn values(declared: &Attribute, asked: &Asked<'_>) -> Vec<(wit::Attribute, String)> {
    let all = |kind: &str, of: fn(String) -> wit::Attribute| {
        let named = asked
            .all()
            .filter_map(|(name, value)| Some((name.strip_prefix(kind)?, value)));
        named
            .map(|(name, value)| (of(name.to_owned()), value.to_owned()))
            .collect()
    };
    match declared {
        Attribute::Claim(name) if name == ANY_NAME => all("claim:", wit::Attribute::Claim),
        Attribute::Client(name) if name == ANY_NAME => all("client:", wit::Attribute::Client),
        one => {
            let handed = to_wit(one).map(|name| (name, asked.text(one).to_owned()));
            handed.into_iter().collect()
        }
    }
}

/// `None`: the contract has no word for it, so that no module can have declared it.
fn to_wit(attribute: &Attribute) -> Option<wit::Attribute> {
    Some(match attribute {
        Attribute::User => wit::Attribute::User,
        Attribute::Sku => wit::Attribute::Sku,
        Attribute::OfSku(_) | Attribute::Folded { .. } => return None,
        Attribute::Quantity => wit::Attribute::Quantity,
        Attribute::Ip | Attribute::IpNetwork => wit::Attribute::Ip,
        Attribute::Claim(name) => wit::Attribute::Claim(name.clone()),
        Attribute::Client(name) => wit::Attribute::Client(name.clone()),
    })
}
