//! The child's side: limits first, then the module from standard input, then the work.

use std::borrow::Cow;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use wasmtime::Engine;

use super::super::bounds::MODULE_BYTES_MAX;
use super::super::contract;
use super::super::disk::Folder;
use super::super::kept::Loading;
use super::super::precheck;
use super::super::refused;
use super::super::rules::{Code, Rules};
use super::super::run::Budget;
use super::super::{ModuleError, artefact, digest};
use super::output::{write_output, write_phase};
use super::{Order, Phase, Task, TaskOutput, limits};

/// What the subcommand does. `order` is what a gateway wrote; the module comes over standard input, the
/// answer goes to standard output. An error is of this process, not of the module.
pub fn work(order: &str) -> io::Result<()> {
    let order: Order = serde_json::from_str(order).map_err(|error| {
        io::Error::other(format!(
            "a gateway starts this by itself, to look at an uploaded module: {error}"
        ))
    })?;
    // Before anything of the module is read.
    limits::impose(&order.limits).map_err(io::Error::other)?;
    let answer = read().and_then(|bytes| carry_out(&order, &bytes));
    write_output(&mut io::stdout().lock(), answer)
}

fn read() -> Result<Vec<u8>, ModuleError> {
    let mut bytes = Vec::new();
    // One byte more, which is then too large.
    let mut input = io::stdin().lock().take(MODULE_BYTES_MAX as u64 + 1);
    match input.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(refused("host", format!("the module cannot be read: {error}"))),
    }
}

fn say(phase: Phase) {
    let mut out = io::stdout().lock();
    // Whoever no longer listens kills this process.
    let _ = write_phase(&mut out, phase).and_then(|()| out.flush());
}

fn carry_out(order: &Order, bytes: &[u8]) -> Result<TaskOutput, ModuleError> {
    say(Phase::Wrap);
    let (component, _) = contract::component(bytes)?;
    let wrapped = match &component {
        Cow::Owned(wrapped) => Some(wrapped.clone()),
        Cow::Borrowed(_) => None,
    };
    say(Phase::Compile);
    let folder = Folder::of_parent(&order.folder).map_err(|why| refused("host", why))?;
    let inspected = match order.task {
        Task::Precheck => {
            let engine = precheck::compiler(Some(folder.cache.clone()))?;
            make(&folder, &engine, &component, || {
                contract::compile(&engine, &component).map(drop)
            })?;
            None
        }
        task => {
            let rules = Rules::new(Some(folder.cache.clone()), Budget::CALL, Loading::default())?;
            let code = Code::Trusted(Arc::from(&*component));
            let digest = digest(bytes);
            let module = make(&folder, &rules.runner.engine, &component, || {
                rules.load(None, &digest, &code)
            })?;
            match module {
                Some(module) if task == Task::Inspect => Some(rules.inspect(&digest, &module, say)?),
                _ => None,
            }
        }
    };
    Ok(TaskOutput { inspected, wrapped })
}

/// Compiles, and leaves no machine code of what is refused.
fn make<T>(
    folder: &Folder,
    engine: &Engine,
    component: &[u8],
    compile: impl FnOnce() -> Result<T, ModuleError>,
) -> Result<T, ModuleError> {
    artefact::clear(&folder.path, engine, component);
    let made = compile();
    if made.is_err()
        && let Some(file) = artefact::find(&folder.path, engine, component)
    {
        // It is never loaded: the module is refused.
        let _ = std::fs::remove_file(file);
    }
    made
}
