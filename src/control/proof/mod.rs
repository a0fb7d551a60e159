//! Proof before a rule counts: what the interpreter says, held against what the generated script does.
//!
//! ```text
//!  golden examples of a module ──┐
//!                                ├─▶ interpreter (oracle) ═?═ script in the embedded engine
//!  random attempts at a plan ────┘
//! ```

mod candidates;
mod counterexample;
pub mod differential;
mod disagreement;
mod episode;
mod evidence;
pub mod examples;
mod held;
mod scripted;

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{Control, ControlError};
use crate::lua::Family;
use crate::plan::PlanError;
use crate::revision::PinnedRule;
use crate::ruleset::Compiled;

pub use counterexample::{Counterexample, Shown};
pub use differential::Differential;
pub use evidence::weigh;
pub use scripted::{Scripted, compact};

/// Proofs at the same time: they take a core each.
const PROOFS_MAX: usize = 2;
/// Proofs remembered, of modules and of plans each; when full, all are forgotten and made again.
const REMEMBERED_MAX: usize = 1000;

/// What a revision was proven by, before it could be stored or activated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Proof {
    pub examples: ExamplesPlayed,
    pub differential: Arc<Differential>,
}

/// The golden examples of a revision's modules, all as promised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ExamplesPlayed {
    pub modules: Vec<Arc<ModulePlayed>>,
    /// Examples of all modules.
    pub played: usize,
}

/// The golden examples of one module, all as promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ModulePlayed {
    pub module: String,
    pub version: String,
    pub digest: String,
    pub examples: usize,
    pub attempts: usize,
}

/// What this process has proven. A newer build starts with nothing: its emitter may be another.
pub(super) struct Proofs {
    modules: Memory<String, ModulePlayed>,
    plans: Memory<[u8; 32], Differential>,
    running: Semaphore,
    /// Held while the examples of an upload are played, so that no revision waits for a module nobody uses.
    uploads: Semaphore,
}

impl Default for Proofs {
    fn default() -> Self {
        Self {
            modules: Memory::default(),
            plans: Memory::default(),
            running: Semaphore::new(PROOFS_MAX),
            uploads: Semaphore::new(1),
        }
    }
}

struct Memory<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V> Memory<K, V> {
    fn get(&self, key: &K) -> Option<Arc<V>> {
        let known = self.0.lock().expect("no panic holds this lock");
        known.get(key).cloned()
    }

    fn keep(&self, key: K, value: V) -> Arc<V> {
        let mut known = self.0.lock().expect("no panic holds this lock");
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        let value = Arc::new(value);
        known.insert(key, value.clone());
        value
    }
}

impl Control {
    /// Proves a compiled revision, unless this process has done so already. `Module` with the code
    /// `examples` where a module does not keep its promises, `Proof` where interpreter and script part.
    pub(super) async fn prove(&self, compiled: &Compiled) -> Result<Proof, ControlError> {
        let mut examples = ExamplesPlayed::default();
        let mut seen = BTreeSet::new();
        let shadow = compiled.revision.shadow.iter().flat_map(|shadow| &shadow.rules);
        for rule in compiled.revision.rules.iter().chain(shadow) {
            if seen.insert(&rule.digest) {
                let played = self.play(rule).await?;
                examples.played += played.examples;
                examples.modules.push(played);
            }
        }
        let differential = self.differential(&compiled.family).await?;
        Ok(Proof {
            examples,
            differential,
        })
    }

    async fn play(&self, rule: &PinnedRule) -> Result<Arc<ModulePlayed>, ControlError> {
        if let Some(known) = self.proofs.modules.get(&rule.digest) {
            return Ok(known);
        }
        let module = self.inspected(&rule.digest).await?;
        let bytes = self.module_bytes(&rule.digest).await?;
        let _turn = self.proofs.running.acquire().await;
        self.play_examples(&module, bytes).await
    }

    /// Plays the examples of a module that is being uploaded.
    pub(super) async fn play_uploaded(
        &self,
        module: &crate::wasm::Inspected,
        bytes: Arc<[u8]>,
    ) -> Result<Arc<ModulePlayed>, ControlError> {
        let _turn = self.proofs.uploads.acquire().await;
        self.play_examples(module, bytes).await
    }

    async fn play_examples(
        &self,
        module: &crate::wasm::Inspected,
        bytes: Arc<[u8]>,
    ) -> Result<Arc<ModulePlayed>, ControlError> {
        let report = examples::play_module(&self.host, module, bytes).await?;
        let lies = report.lies();
        if let Some(first) = lies.first() {
            let more = match lies.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let message = format!(
                "module {}@{} does not keep its promises: {first}{more}",
                report.module, report.version
            );
            return Err(ControlError::Module {
                code: "examples",
                message,
            });
        }
        let played = ModulePlayed {
            examples: report.examples.len(),
            attempts: report.attempts(),
            module: report.module,
            version: report.version,
            digest: report.digest,
        };
        let digest = played.digest.clone();
        Ok(self.proofs.modules.keep(digest, played))
    }

    async fn differential(&self, family: &Family) -> Result<Arc<Differential>, ControlError> {
        let key = key(family);
        if let Some(known) = self.proofs.plans.get(&key) {
            return Ok(known);
        }
        let _turn = self.proofs.running.acquire().await;
        let (plan, shadow) = (family.plan.clone(), family.shadow.clone());
        let run = tokio::task::spawn_blocking(move || {
            let family = differential::family(&plan, shadow.as_deref())?;
            Ok::<_, PlanError>(differential::run(&family, differential::ATTEMPTS))
        });
        let report = run
            .await
            .map_err(|error| ControlError::Internal(format!("the proof: {error}")))??;
        if let Some(counterexample) = report.counterexample {
            return Err(ControlError::Proof(Box::new(counterexample)));
        }
        Ok(self.proofs.plans.keep(key, report))
    }
}

/// What a differential run depends on: a plan's digest covers the rules, the times and the lists.
fn key(family: &Family) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(family.plan.digest());
    if let Some(shadow) = &family.shadow {
        hash.update(shadow.digest());
    }
    for sku in &family.plan.context().skus {
        let attributes = sku.attributes.iter().flat_map(|(name, value)| [name, value]);
        for text in std::iter::once(&sku.id).chain(attributes) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.update((sku.attributes.len() as u64).to_be_bytes());
        hash.update(sku.stock.to_be_bytes());
    }
    hash.finalize().into()
}
