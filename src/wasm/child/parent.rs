//! The gateway's side: starts a child, hands it the module, and waits no longer than its time.

use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::super::ModuleError;
use super::super::bounds::{CHILD_ANSWER_BYTES_MAX, CHILDREN_MAX, MODULE_BYTES_MAX};
use super::super::refused;
use super::death::{Remains, explain, in_other_words};
use super::output::read;
use super::{COMMAND, Limits, Order, Task, TaskOutput};

/// Bytes of standard error that are kept.
const SAID_BYTES_MAX: u64 = 64 * 1024;
/// An answer, and the component it wrapped: a little larger than its core module.
const WRITTEN_BYTES_MAX: usize = CHILD_ANSWER_BYTES_MAX + 2 * MODULE_BYTES_MAX;

/// Starts children. Each holds one of a few permits while it lives.
pub(in crate::wasm) struct Children {
    program: PathBuf,
    folder: PathBuf,
    /// For what somebody uploaded.
    pub(in crate::wasm) uploads: Arc<Semaphore>,
    /// For what this gateway needs itself.
    pub(in crate::wasm) loads: Arc<Semaphore>,
}

impl Children {
    pub(in crate::wasm) fn new(program: &Path, folder: &Path) -> Self {
        Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            uploads: Arc::new(Semaphore::new(CHILDREN_MAX)),
            loads: Arc::new(Semaphore::new(CHILDREN_MAX)),
        }
    }

    /// Has a child do its task with a module. Blocks until it ends or is killed.
    pub(in crate::wasm) fn run(
        &self,
        task: Task,
        limits: Limits,
        module: &[u8],
    ) -> Result<TaskOutput, ModuleError> {
        let order = Order {
            task,
            folder: self.folder.clone(),
            limits,
        };
        let order = serde_json::to_string(&order).map_err(|error| unable(&self.program, &error))?;
        let child = command(&self.program, &order)
            .spawn()
            .map_err(|error| unable(&self.program, &error))?;
        let heard = hear(child, module, limits.wall()).map_err(|error| unable(&self.program, &error))?;
        match read(&heard.written) {
            Ok(answer) => answer.map_err(|error| in_other_words(error, &limits)),
            Err(phase) => {
                let remains = Remains {
                    phase,
                    status: heard.status,
                    said: &String::from_utf8_lossy(&heard.said),
                    overdue: heard.overdue,
                    babbled: heard.babbled(),
                };
                Err(explain(&remains, &limits))
            }
        }
    }
}

/// A child that has ended, and everything it wrote.
struct Heard {
    written: Vec<u8>,
    said: Vec<u8>,
    status: ExitStatus,
    /// It was killed after its time.
    overdue: bool,
}

impl Heard {
    fn babbled(&self) -> bool {
        self.written.len() > WRITTEN_BYTES_MAX
    }
}

/// Hands the module over and listens, for no longer than `wall`.
fn hear(mut child: Child, module: &[u8], wall: Duration) -> io::Result<Heard> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut input), Some(output), Some(errors)) = pipes else {
        return Err(io::Error::other("it has no pipes"));
    };
    let (ended, end) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            // A child that dies before it has read all says why in other ways.
            let _ = input.write_all(module);
        });
        let written = scope.spawn(move || {
            // Dropped at the end of what it writes, or when that is too much.
            let _ended = ended;
            up_to(output, WRITTEN_BYTES_MAX as u64 + 1)
        });
        let said = scope.spawn(move || up_to(errors, SAID_BYTES_MAX));
        let overdue = end.recv_timeout(wall) == Err(mpsc::RecvTimeoutError::Timeout);
        if overdue {
            // It may have ended in this moment.
            let _ = child.kill();
        }
        let written = written.join().unwrap_or_default();
        if written.len() > WRITTEN_BYTES_MAX {
            let _ = child.kill();
        }
        Ok(Heard {
            status: child.wait()?,
            written,
            said: said.join().unwrap_or_default(),
            overdue,
        })
    })
}

/// Nothing of the gateway's environment goes along: secrets may stand there.
fn command(program: &Path, order: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args([COMMAND, order])
        .env_clear()
        // Each arena of the allocator reserves address space, which is limited.
        .env("MALLOC_ARENA_MAX", "1")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Ctrl-C in a terminal is for the gateway, which ends its children itself.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

fn up_to(from: impl Read, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error is all there is.
    let _ = from.take(most).read_to_end(&mut bytes);
    bytes
}

fn unable(program: &Path, error: &dyn std::fmt::Display) -> ModuleError {
    refused(
        "host",
        format!(
            "the process that looks at modules cannot be started ({}): {error}",
            program.display()
        ),
    )
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A program that does what the script says.
    fn script(folder: &Path, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let program = folder.join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).expect("written");
        let runs = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&program, runs).expect("ours");
        program
    }

    fn limits(processor_s: u64) -> Limits {
        Limits {
            memory_bytes: 1 << 30,
            processor_s,
        }
    }

    fn message(text: &str, processor_s: u64) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let children = Children::new(&script(folder.path(), text), folder.path());
        // More than a pipe holds, and read by nobody.
        let module = vec![0; 1 << 20];
        let answer = children.run(Task::Rule, limits(processor_s), &module);
        answer.expect_err("it is no child").to_string()
    }

    #[test]
    fn one_that_never_ends_is_killed_after_its_time() {
        assert!(message("exec sleep 1000", 0).contains("did not end within 0 s"));
    }

    #[test]
    fn one_that_babbles_is_killed() {
        let endless = message("exec cat /dev/zero", 600);
        assert!(endless.contains("more than an answer has"), "{endless}");
    }

    #[test]
    fn one_that_dies_leaves_its_last_words() {
        let words = message("echo cannot be helped >&2; exit 3", 600);
        assert!(words.contains("cannot be helped"), "{words}");
    }

    #[test]
    fn nothing_of_the_environment_goes_along() {
        let words = message(
            "env >&2; echo $0: $1 >&2; env | grep -c -e HOME= -e CARGO >&2; exit 3",
            600,
        );
        assert!(words.ends_with(": 0"), "{words}");
    }
}
