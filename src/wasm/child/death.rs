//! Why a child gave no answer, as a sentence for whoever uploaded the module.

use std::process::ExitStatus;

use super::super::ModuleError;
use super::super::refused;
use super::{Limits, Phase};

/// What a child left behind.
pub(super) struct Remains<'a> {
    pub(super) phase: Phase,
    pub(super) status: ExitStatus,
    /// The last of what it wrote to standard error.
    pub(super) said: &'a str,
    /// The gateway killed it after its wall-clock time.
    pub(super) overdue: bool,
    /// It wrote more than an answer has, or something else.
    pub(super) babbled: bool,
}

/// What an allocation that failed says, in Rust's words, the system's and wasmtime's.
const NO_MEMORY: [&str; 4] = [
    "memory allocation of",
    "Cannot allocate memory",
    "out of memory",
    "failed to allocate",
];

pub(super) fn explain(remains: &Remains<'_>, limits: &Limits) -> ModuleError {
    let doing = remains.phase.doing();
    if remains.overdue {
        let wall = limits.wall().as_secs();
        return too_complex(format!("{doing} did not end within {wall} s"));
    }
    if short_of_memory(remains.said) {
        return out_of_memory(doing, limits);
    }
    if remains.babbled {
        return too_complex(format!("{doing} gave more than an answer has"));
    }
    match signal(remains.status) {
        Some(Signal::Processor) => too_complex(format!(
            "{doing} takes more than {} s of processor time",
            limits.processor_s
        )),
        Some(Signal::FileSize) => too_complex(format!("{doing} gives too much machine code")),
        // Not by us: the system was short of memory, or the last second of processor time was over.
        Some(Signal::Kill) => too_complex(format!(
            "{doing} took so much memory or processor time that the system ended it"
        )),
        Some(Signal::Other(number)) => too_complex(format!(
            "{doing} ended the compiler with signal {number}: {}",
            last_line(remains.said)
        )),
        None if remains.said.contains("panicked at") => {
            too_complex(format!("{doing} failed: {}", last_line(remains.said)))
        }
        None => refused(
            "host",
            format!(
                "the process that looks at modules ended ({}): {}",
                remains.status,
                last_line(remains.said)
            ),
        ),
    }
}

/// Errors of a child that are its memory limit in other words.
pub(super) fn in_other_words(error: ModuleError, limits: &Limits) -> ModuleError {
    let doing = match &error {
        ModuleError::Refused { message, .. } if short_of_memory(message) => Phase::Compile,
        ModuleError::Misbehaved { message, .. } if short_of_memory(message) => Phase::Describe,
        _ => return error,
    };
    out_of_memory(doing.doing(), limits)
}

fn short_of_memory(text: &str) -> bool {
    NO_MEMORY.iter().any(|words| text.contains(words))
}

fn out_of_memory(doing: &str, limits: &Limits) -> ModuleError {
    too_complex(format!(
        "{doing} takes more than {} MiB of memory",
        limits.memory_bytes >> 20
    ))
}

fn too_complex(why: String) -> ModuleError {
    let message = format!("{why}, which is more than a module of its size may take; make it simpler");
    refused("too-complex", message)
}

/// The last line that says something, clipped.
fn last_line(said: &str) -> String {
    let line = said.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it said nothing").chars().take(200).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    Processor,
    FileSize,
    Kill,
    Other(i32),
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<Signal> {
    use rustix::process::Signal as Number;
    use std::os::unix::process::ExitStatusExt;
    Some(match status.signal()? {
        number if number == Number::XCPU.as_raw() => Signal::Processor,
        number if number == Number::XFSZ.as_raw() => Signal::FileSize,
        number if number == Number::KILL.as_raw() => Signal::Kill,
        number => Signal::Other(number),
    })
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<Signal> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::wasm::child::Task;

    fn said(raw: i32, said: &str, overdue: bool, babbled: bool) -> (&'static str, String) {
        let remains = Remains {
            phase: Phase::Compile,
            status: ExitStatus::from_raw(raw),
            said,
            overdue,
            babbled,
        };
        match explain(&remains, &Limits::of(Task::Rule, 0)) {
            ModuleError::Refused { code, message } => (code, message),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn each_death_names_its_bound() {
        let cases = [
            (24, "", false, false, "compiling it takes more than"),
            (24, "", false, false, "s of processor time"),
            (25, "", false, false, "too much machine code"),
            (9, "", true, false, "did not end within"),
            (9, "", false, false, "the system ended it"),
            (9, "", false, true, "more than an answer has"),
            (
                6,
                "memory allocation of 40 bytes failed\n",
                false,
                false,
                "512 MiB of memory",
            ),
            (
                11,
                "thread 'main' has overflowed its stack",
                false,
                false,
                "signal 11",
            ),
            (
                101 << 8,
                "thread 'main' panicked at x\nassertion\n",
                false,
                false,
                "failed: assertion",
            ),
        ];
        for (raw, text, overdue, babbled, word) in cases {
            let (code, message) = said(raw, text, overdue, babbled);
            assert_eq!(code, "too-complex", "{message}");
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
        let (code, message) = said(1 << 8, "memory cannot be limited: EINVAL", false, false);
        assert_eq!(code, "host", "{message}");
    }
}
