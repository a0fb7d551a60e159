//! What a child may take, and how it limits itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::bounds::{
    CHILD_CODE_LARGE_BYTES, CHILD_MEMORY_BYTES, CHILD_MEMORY_BYTES_MAX, CHILD_MEMORY_PER_CODE_BYTE,
    CHILD_TIME_MS, CHILD_TIME_MS_MAX, CHILD_TIME_PER_CODE_MIB_MS, CHILD_TIME_PER_LARGE_MIB_MS,
};
use super::Task;

/// An unoptimised build compiles several times slower.
const SLOWER: u64 = if cfg!(debug_assertions) { 4 } else { 1 };
/// Code for prechecks is optimised, which takes so many times longer.
const SLOWER_OPTIMISED: u64 = 3;
/// Wall-clock time for each second of processor time: orders go first on a busy machine. Elsewhere it is the
/// only limit there is.
const WAITING: u32 = if cfg!(target_os = "linux") { 10 } else { 2 };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::wasm) struct Limits {
    /// Address space, in bytes.
    pub(super) memory_bytes: u64,
    /// Processor time, in seconds.
    pub(super) processor_s: u64,
}

impl Limits {
    /// Limits follow from how much code there is: what compilers of languages emit takes half of them.
    pub(in crate::wasm) fn of(task: Task, code_bytes: u64) -> Self {
        let memory = CHILD_MEMORY_BYTES.saturating_add(code_bytes.saturating_mul(CHILD_MEMORY_PER_CODE_BYTE));
        let small = code_bytes.min(CHILD_CODE_LARGE_BYTES);
        let per_mib = |bytes: u64, ms: u64| bytes.saturating_mul(ms) >> 20;
        let time = CHILD_TIME_MS
            .saturating_add(per_mib(small, CHILD_TIME_PER_CODE_MIB_MS))
            .saturating_add(per_mib(code_bytes - small, CHILD_TIME_PER_LARGE_MIB_MS))
            .min(CHILD_TIME_MS_MAX);
        let optimised = if task == Task::Precheck {
            SLOWER_OPTIMISED
        } else {
            1
        };
        Self {
            memory_bytes: memory.min(CHILD_MEMORY_BYTES_MAX),
            processor_s: time.div_ceil(1000) * optimised * SLOWER,
        }
    }

    /// After this much time on the wall the child is killed.
    pub(super) fn wall(&self) -> Duration {
        Duration::from_secs(self.processor_s) * WAITING
    }
}

/// Puts the limits on this process, for good. The error is a sentence.
#[cfg(target_os = "linux")]
pub(super) fn impose(limits: &Limits) -> Result<(), String> {
    use rustix::process::{Resource, Signal, nice, set_parent_process_death_signal};

    /// Bytes of the largest file: machine code, compressed.
    const FILE_BYTES_MAX: u64 = super::super::bounds::ARTEFACT_BYTES_MAX as u64;
    const FILES_MAX: u64 = 64;
    /// Orders go first.
    const NICE: i32 = 5;

    let Limits {
        memory_bytes,
        processor_s,
    } = *limits;
    for (resource, name, soft, hard) in [
        (Resource::As, "memory", memory_bytes, memory_bytes),
        // The soft limit ends it with a signal of its own, the hard one without asking.
        (Resource::Cpu, "processor time", processor_s, processor_s + 1),
        (Resource::Core, "core files", 0, 0),
        (Resource::Fsize, "file sizes", FILE_BYTES_MAX, FILE_BYTES_MAX),
        (Resource::Nofile, "files", FILES_MAX, FILES_MAX),
    ] {
        lower(resource, soft, hard).map_err(|error| format!("{name} cannot be limited: {error}"))?;
    }
    // Where memory runs out all the same, the system takes this process first.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let _ = nice(NICE);
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("it cannot be ended with the gateway: {error}"))
}

/// A limit is never raised: this process may live under a lower one already.
#[cfg(target_os = "linux")]
fn lower(resource: rustix::process::Resource, soft: u64, hard: u64) -> rustix::io::Result<()> {
    use rustix::process::{Rlimit, getrlimit, setrlimit};
    let hard = getrlimit(resource).maximum.map_or(hard, |most| most.min(hard));
    let limit = Rlimit {
        current: Some(soft.min(hard)),
        maximum: Some(hard),
    };
    setrlimit(resource, limit)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn impose(_limits: &Limits) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_grow_with_the_code_up_to_a_bound() {
        let small = Limits::of(Task::Inspect, 100_000);
        assert_eq!(small.processor_s, 4 * SLOWER);
        assert!(small.memory_bytes < CHILD_MEMORY_BYTES + (10 << 20));
        // A bomb of less than four megabytes is refused within ten seconds.
        assert!(Limits::of(Task::Inspect, 3_600_000).processor_s <= 10 * SLOWER);
        // The engine of JavaScript, which needs some seventeen seconds.
        assert!(Limits::of(Task::Inspect, 9_225_544).processor_s >= 25 * SLOWER);
        let huge = Limits::of(Task::Rule, u64::MAX);
        assert_eq!(
            (huge.memory_bytes, huge.processor_s),
            (CHILD_MEMORY_BYTES_MAX, 30 * SLOWER)
        );
        assert!(Limits::of(Task::Precheck, 0).processor_s > Limits::of(Task::Rule, 0).processor_s);
        assert!(huge.wall() > Duration::from_secs(huge.processor_s));
    }
}
