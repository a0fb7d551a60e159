//! The prechecks of a revision's rules: their modules found in the database and made ready to run.
//!
//! Gateways serve plans, for which they need no module; this is the exception.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::revision::{PinnedRule, Revision};
use crate::ruleset::{Folding, Precheck};
use crate::store::Store;
use crate::wasm::{Descriptor, Host, Inspected};

/// Descriptors remembered, by digest; when full, all are forgotten.
const DESCRIPTORS_MAX: usize = 1024;

pub(super) struct Prechecks {
    store: Store,
    host: Host,
    /// Of modules with a precheck; `None` for those without. What has a digest never changes.
    modules: Mutex<HashMap<String, Option<Inspected>>>,
}

impl Prechecks {
    pub(super) fn new(store: Store, host: Host) -> Self {
        Self {
            store,
            host,
            modules: Mutex::default(),
        }
    }

    /// Those of the rules that have one, in the order of the rules. Compiling one takes up to seconds the
    /// first time. The error is a sentence; the revision must then not be served.
    pub(super) async fn of(&self, revision: &Revision) -> Result<Vec<Arc<dyn Precheck>>, String> {
        let mut ready = Vec::new();
        for rule in &revision.rules {
            let failed = |why: String| {
                format!(
                    "the precheck of rule {:?} (module {}@{}) cannot be run: {why}",
                    rule.name, rule.module, rule.version
                )
            };
            if let Some(module) = self.module(rule).await.map_err(failed)? {
                let precheck = self.ready(rule, &module).await.map_err(failed)?;
                ready.push(match revision.folds.is_empty() {
                    true => precheck,
                    false => Arc::new(Folding {
                        precheck,
                        folds: revision.folds.clone(),
                    }),
                });
            }
        }
        Ok(ready)
    }

    async fn ready(&self, rule: &PinnedRule, module: &Inspected) -> Result<Arc<dyn Precheck>, String> {
        let bytes = self.store.module_bytes(&rule.digest).await;
        let bytes = bytes
            .map_err(|error| error.to_string())?
            .ok_or("its bytes are not in the database")?;
        let ready = self.host.precheck(module, bytes.into(), &rule.name, &rule.params);
        ready.await.map_err(|error| error.to_string())
    }

    async fn module(&self, rule: &PinnedRule) -> Result<Option<Inspected>, String> {
        let known = self
            .modules
            .lock()
            .expect("no panic holds this lock")
            .get(&rule.digest)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let row = self.store.module(&rule.digest).await;
        let row = row
            .map_err(|error| error.to_string())?
            .ok_or("the module is not in the database")?;
        let descriptor: Descriptor =
            serde_json::from_value(row.descriptor).map_err(|error| format!("its descriptor: {error}"))?;
        let module = descriptor.precheck.then(|| Inspected {
            digest: rule.digest.clone(),
            descriptor,
        });
        let mut modules = self.modules.lock().expect("no panic holds this lock");
        if modules.len() >= DESCRIPTORS_MAX {
            modules.clear();
        }
        modules.insert(rule.digest.clone(), module.clone());
        Ok(module)
    }
}
