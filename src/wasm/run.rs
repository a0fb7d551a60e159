//! One call into a module: a fresh store and instance, bounded, and every way it can end named.

use wasmtime::{Engine, ResourceLimiter, Store, Trap};

use super::ModuleError;
use super::bindings::{RuleModule, RuleModulePre};
use super::bounds::{
    CALL_TIME_MAX, FUEL_MAX, INSTANCE_PARTS_MAX, MEMORY_BYTES_MAX, OUTPUT_BYTES_MAX, TABLE_ENTRIES_MAX,
};
use super::clock::Clock;

/// What a store carries: the limits on memory and tables, counted over the whole instance.
#[derive(Default)]
pub(super) struct Guest {
    memory_bytes: usize,
    table_entries: usize,
    refused: Option<String>,
}

impl Guest {
    fn refuse(&mut self, what: String) -> wasmtime::Result<bool> {
        let error = wasmtime::Error::msg(what.clone());
        self.refused = Some(what);
        Err(error)
    }
}

/// Growth beyond a limit ends the call: a guest that is merely told "no" would most often trap a moment
/// later, and nobody would learn why.
impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > MEMORY_BYTES_MAX {
            return self.refuse(format!(
                "it asked for {} MiB of memory; at most {} MiB are allowed",
                total >> 20,
                MEMORY_BYTES_MAX >> 20
            ));
        }
        self.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .table_entries
            .saturating_add(desired.saturating_sub(current));
        if total > TABLE_ENTRIES_MAX {
            return self.refuse(format!(
                "it asked for {total} table entries; at most {TABLE_ENTRIES_MAX} are allowed"
            ));
        }
        self.table_entries = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCE_PARTS_MAX
    }

    fn tables(&self) -> usize {
        INSTANCE_PARTS_MAX
    }

    fn memories(&self) -> usize {
        INSTANCE_PARTS_MAX
    }
}

/// Instantiates the module and calls it. `function` names the call in errors.
pub(super) fn call<T>(
    engine: &Engine,
    clock: &Clock,
    module: &RuleModulePre<Guest>,
    function: &'static str,
    call: impl FnOnce(&RuleModule, &mut Store<Guest>) -> wasmtime::Result<T>,
) -> Result<T, ModuleError> {
    let mut store = Store::new(engine, Guest::default());
    store.limiter(|guest| guest);
    store.set_hostcall_fuel(OUTPUT_BYTES_MAX);
    store.set_epoch_deadline(Clock::ticks(CALL_TIME_MAX));
    let _ticking = clock.run();
    store
        .set_fuel(FUEL_MAX)
        .and_then(|()| module.instantiate(&mut store))
        .and_then(|instance| call(&instance, &mut store))
        .map_err(|error| misbehaved(function, &error, store.data()))
}

/// The error wasmtime gives when an answer exceeds the hostcall fuel has no public type.
const OUTPUT_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";

fn misbehaved(function: &'static str, error: &wasmtime::Error, guest: &Guest) -> ModuleError {
    let (code, message) = if let Some(refused) = &guest.refused {
        ("memory", refused.clone())
    } else {
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => (
                "fuel",
                format!("it did not end within {FUEL_MAX} instructions; look for a loop without an end"),
            ),
            Some(Trap::Interrupt) => (
                "time",
                format!("it did not end within {} ms", CALL_TIME_MAX.as_millis()),
            ),
            Some(trap) => ("trap", format!("it trapped: {trap}")),
            None if error.chain().any(|cause| cause.to_string().contains(OUTPUT_EXHAUSTED)) => (
                "output",
                format!("it answered more than {} MiB", OUTPUT_BYTES_MAX >> 20),
            ),
            None => ("trap", format!("it could not be run: {}", error.root_cause())),
        }
    };
    ModuleError::Misbehaved {
        function,
        code,
        message,
    }
}
