//! CPU time and memory of other processes, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks per second in /proc/<pid>/stat: 100 on every Linux for user space, whatever the kernel's own rate.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time of a process since it started.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    // The name in parentheses may contain spaces; what follows it does not.
    let (_, rest) = stat.rsplit_once(") ").context("no name in /proc stat")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // Fields 14 and 15 of proc(5); `rest` begins with field 3.
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// CPU time of several processes together.
pub fn cpu_of(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| cpu(*pid)).sum()
}

/// Resident memory in MiB.
pub fn resident_mib(pid: u32) -> Result<f64> {
    memory(pid, "VmRSS:")
}

/// The most it ever was, in MiB.
pub fn peak_mib(pid: u32) -> Result<f64> {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .with_context(|| format!("no {field} of process {pid}"))?
        .parse()?;
    Ok(kib / 1024.0)
}
