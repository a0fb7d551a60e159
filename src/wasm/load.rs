//! How a module gets into this process: kept in memory, machine code kept on disk, or made by a child first.
//!
//! What is not trusted is never compiled here: where its machine code is gone from the disk, a child makes it
//! again. Trusted are the modules that are built in, and every module where the host has no children.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use super::builtin::builtin;
use super::child::{Children, Limits, Task, TaskOutput};
use super::contract;
use super::digest::digest;
use super::header::is_core_module;
use super::host::{Host, Inner};
use super::precheck::Pre;
use super::refused;
use super::rules::{Code, Module, check_digest};
use super::{CallCost, Inspected, ModuleError};

/// Children that are started for one module: what one has made can be gone before it is read.
const TRIES: usize = 2;

/// Loads from what a child made, or from trusted bytes; `None` where there is nothing to load.
type Load<T> = fn(&Inner, &str, &Code) -> Result<Option<T>, ModuleError>;

impl Host {
    /// The children to give a module to; `None` where it is trusted.
    pub(super) fn children(&self, digest: &str) -> Result<Option<&Children>, ModuleError> {
        match &self.0.children {
            Some(children) if !is_builtin(digest) => children.as_ref().map(Some).map_err(ModuleError::clone),
            _ => Ok(None),
        }
    }

    pub(super) async fn inspect_in_child(
        &self,
        children: &Children,
        code_bytes: u64,
        bytes: Arc<[u8]>,
    ) -> Result<(Inspected, CallCost), ModuleError> {
        let limits = Limits::of(Task::Inspect, code_bytes);
        let answer = self
            .permitted(&children.uploads, move |inner| {
                run(inner, Task::Inspect, limits, &bytes)
            })
            .await?;
        answer
            .inspected
            .ok_or_else(|| refused("host", "the process that looks at modules did not answer".into()))
    }

    /// The module that is asked for plans. `bytes` are those of the digest; they are not read where it is kept.
    pub(super) async fn rule(&self, digest: &str, bytes: Arc<[u8]>) -> Result<Module, ModuleError> {
        match self.0.rules.kept.get(digest) {
            Some(module) => Ok(module),
            None => self.loaded(Task::Rule, digest, bytes, Inner::load_rule).await,
        }
    }

    /// The same module's precheck.
    pub(super) async fn precheck_of(&self, digest: &str, bytes: Arc<[u8]>) -> Result<Pre, ModuleError> {
        match self.0.prechecks()?.kept.get(digest) {
            Some(module) => Ok(module),
            None => {
                self.loaded(Task::Precheck, digest, bytes, Inner::load_precheck)
                    .await
            }
        }
    }

    async fn loaded<T: Send + 'static>(
        &self,
        task: Task,
        digest: &str,
        bytes: Arc<[u8]>,
        load: Load<T>,
    ) -> Result<T, ModuleError> {
        let name = digest.to_owned();
        let Some(children) = self.children(digest)? else {
            let found = self
                .blocking(move |inner| {
                    check_digest(&name, &bytes)?;
                    load(inner, &name, &Code::Trusted(bytes))
                })
                .await?;
            return found.ok_or_else(gone);
        };
        let module = bytes.clone();
        let found = self.blocking(move |inner| {
            check_digest(&name, &module)?;
            match is_core_module(&module) {
                // Wrapping it is work, too.
                true => Ok(None),
                false => load(inner, &name, &Code::Made(module)),
            }
        });
        if let Some(found) = found.await? {
            return Ok(found);
        }
        for _ in 0..TRIES {
            let (name, module) = (digest.to_owned(), bytes.clone());
            let made = self.permitted(&children.loads, move |inner| {
                make(inner, task, &name, &module, load)
            });
            if let Some(found) = made.await? {
                return Ok(found);
            }
        }
        Err(gone())
    }
}

/// Has a child make the machine code, and loads it.
fn make<T>(
    inner: &Inner,
    task: Task,
    digest: &str,
    bytes: &Arc<[u8]>,
    load: Load<T>,
) -> Result<Option<T>, ModuleError> {
    // Whoever held the permit before may have made it.
    if !is_core_module(bytes)
        && let Some(found) = load(inner, digest, &Code::Made(bytes.clone()))?
    {
        return Ok(Some(found));
    }
    let limits = Limits::of(task, contract::look(bytes)?.code_bytes);
    let component = match run(inner, task, limits, bytes)?.wrapped {
        Some(wrapped) => Cow::Owned(Arc::from(wrapped)),
        None => Cow::Borrowed(bytes),
    };
    load(inner, digest, &Code::Made(component.into_owned()))
}

fn run(inner: &Inner, task: Task, limits: Limits, bytes: &[u8]) -> Result<TaskOutput, ModuleError> {
    match &inner.children {
        Some(Ok(children)) => children.run(task, limits, bytes),
        Some(Err(why)) => Err(why.clone()),
        None => Err(refused("host", "there is no process to look at modules".into())),
    }
}

fn gone() -> ModuleError {
    refused(
        "host",
        "the module was compiled, but its machine code is not in the folder of wasm.cache_dir; is the disk full?".into(),
    )
}

fn is_builtin(wanted: &str) -> bool {
    static DIGESTS: OnceLock<HashSet<String>> = OnceLock::new();
    let digests = || builtin().iter().map(|(_, bytes)| digest(bytes)).collect();
    DIGESTS.get_or_init(digests).contains(wanted)
}
