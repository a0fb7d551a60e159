//! One call into a module: a fresh store and instance, bounded, and every way it can end named.

use std::time::{Duration, Instant};

use wasmtime::{Engine, ResourceLimiter, Store, Trap};

use super::bounds::{
    CALL_TIME_MAX, FUEL_MAX, INSTANCE_PARTS_MAX, MEMORY_BYTES_MAX, OUTPUT_BYTES_MAX, PRECHECK_FUEL_MAX,
    PRECHECK_MEMORY_BYTES_MAX, PRECHECK_OUTPUT_BYTES_MAX, PRECHECK_TABLE_ENTRIES_MAX, PRECHECK_TIME_MAX,
    TABLE_ENTRIES_MAX,
};
use super::clock::Clock;
use super::{CallCost, ModuleError};

/// What a store carries: the limits on memory and tables, counted over the whole instance.
pub(super) struct Guest {
    budget: Budget,
    memory_bytes: usize,
    table_entries: usize,
    refused: Option<String>,
}

impl Guest {
    fn new(budget: Budget) -> Self {
        Self {
            budget,
            memory_bytes: 0,
            table_entries: 0,
            refused: None,
        }
    }

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
        let most = self.budget.memory_bytes;
        if total > most {
            return self.refuse(format!(
                "it asked for {} MiB of memory; at most {} MiB are allowed",
                total.div_ceil(1 << 20),
                most >> 20
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
        let total = self.table_entries.saturating_add(desired.saturating_sub(current));
        let most = self.budget.table_entries;
        if total > most {
            return self.refuse(format!(
                "it asked for {total} table entries; at most {most} are allowed"
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

/// What one call may use up.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    pub(super) fuel: u64,
    pub(super) time: Duration,
    pub(super) memory_bytes: usize,
    pub(super) table_entries: usize,
    pub(super) output_bytes: usize,
}

impl Budget {
    /// `describe` and `compile`: once per upload, once per revision.
    pub(super) const CALL: Self = Self {
        fuel: FUEL_MAX,
        time: CALL_TIME_MAX,
        memory_bytes: MEMORY_BYTES_MAX,
        table_entries: TABLE_ENTRIES_MAX,
        output_bytes: OUTPUT_BYTES_MAX,
    };
    /// `precheck`: once per order.
    pub(super) const PRECHECK: Self = Self {
        fuel: PRECHECK_FUEL_MAX,
        time: PRECHECK_TIME_MAX,
        memory_bytes: PRECHECK_MEMORY_BYTES_MAX,
        table_entries: PRECHECK_TABLE_ENTRIES_MAX,
        output_bytes: PRECHECK_OUTPUT_BYTES_MAX,
    };
}

/// Runs calls: the engine, its clock and the budget of each call.
pub(super) struct Runner {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    pub(super) budget: Budget,
}

impl Runner {
    /// Gives `call` a fresh store to instantiate a module in and call it; with the answer, what that cost.
    /// `function` names the call in errors.
    pub(super) fn call<T>(
        &self,
        function: &'static str,
        call: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<(T, CallCost), ModuleError> {
        let begun = Instant::now();
        let mut store = Store::new(&self.engine, Guest::new(self.budget));
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(self.budget.output_bytes);
        store.set_epoch_deadline(Clock::ticks(self.budget.time));
        let _ticking = self.clock.run();
        let answer = store
            .set_fuel(self.budget.fuel)
            .and_then(|()| call(&mut store))
            .map_err(|error| {
                let (code, message) = ending(&error, store.data());
                ModuleError::Misbehaved {
                    function,
                    code,
                    message,
                }
            })?;
        let cost = CallCost {
            fuel: self.budget.fuel - store.get_fuel().unwrap_or_default(),
            time: begun.elapsed(),
            memory_bytes: store.data().memory_bytes,
        };
        Ok((answer, cost))
    }
}

/// The error wasmtime gives when an answer exceeds the hostcall fuel has no public type.
const OUTPUT_EXHAUSTED: &str = "fuel allocated for hostcalls has been exhausted";
/// Nor has that of too many instances, tables or memories.
const PARTS_EXCEEDED: &str = "resource limit exceeded";

/// Code and sentence of how a call ended.
fn ending(error: &wasmtime::Error, guest: &Guest) -> (&'static str, String) {
    let budget = &guest.budget;
    if let Some(refused) = &guest.refused {
        return ("memory", refused.clone());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => (
            "fuel",
            format!(
                "it did not end within {} instructions; look for a loop without an end",
                budget.fuel
            ),
        ),
        Some(Trap::Interrupt) => (
            "time",
            format!("it did not end within {} ms", budget.time.as_millis()),
        ),
        Some(trap) => {
            let trap = trap.to_string();
            let trap = trap.strip_prefix("wasm trap: ").unwrap_or(&trap);
            ("trap", format!("it trapped: {trap}"))
        }
        None if error
            .chain()
            .any(|cause| cause.to_string().contains(OUTPUT_EXHAUSTED)) =>
        {
            (
                "output",
                format!("it answered more than {} KiB", budget.output_bytes >> 10),
            )
        }
        None => {
            let why = error.root_cause().to_string();
            let code = if why.contains(PARTS_EXCEEDED) {
                "memory"
            } else {
                "trap"
            };
            (code, format!("it could not be run: {why}"))
        }
    }
}
