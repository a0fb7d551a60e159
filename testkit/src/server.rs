//! A Redis server for this test binary: started when the first test needs it, killed when the last
//! one lets go of it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use crate::output::Output;

const START_LIMIT: Duration = Duration::from_secs(30);
/// Of a server that listens at a socket in its folder.
pub const SOCKET: [&str; 2] = [SOCKET_OPTION, "redis.sock"];
const SOCKET_OPTION: &str = "--unixsocket";

/// In the folder of a server with a clock of its own.
const CLOCK: &str = "clock";
const CLOCK_LIBRARY: &str = "clock.so";

pub struct Server {
    process: Child,
    directory: tempfile::TempDir,
}

static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

impl Server {
    /// The one all tests of this binary share.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start(&[]));
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// One of its own, with more options.
    pub fn start(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let process = run(directory.path(), at_socket(options));
        Self { process, directory }
    }

    /// One of its own, whose clock stands where [`Self::set_clock`] puts it.
    pub fn with_clock(now: i64) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock.c");
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(directory.path().join(CLOCK_LIBRARY))
            .arg(source)
            .status();
        assert!(built.expect("a C compiler is installed").success());
        put_clock(&directory, now);
        let process = run(directory.path(), at_socket(&[]));
        Self { process, directory }
    }

    /// Milliseconds since 1970-01-01 UTC. Only for one made by [`Self::with_clock`].
    pub fn set_clock(&self, now: i64) {
        put_clock(&self.directory, now);
    }

    /// After [`Self::kill`]: an empty one at the same address.
    pub fn restart(&mut self) {
        self.process = run(self.directory.path(), at_socket(&[]));
    }

    pub fn url(&self) -> String {
        format!(
            "redis+unix://{}",
            self.directory.path().join("redis.sock").display()
        )
    }

    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Options of a server that is reached by its socket alone.
fn at_socket<'a>(options: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    let alone = ["--port", "0"].into_iter().chain(SOCKET);
    alone.chain(options.iter().copied())
}

/// In one step, so that the server never reads half of it.
fn put_clock(directory: &tempfile::TempDir, now: i64) {
    let next = directory.path().join("next");
    std::fs::write(&next, now.to_string()).expect("the folder can be written");
    std::fs::rename(next, directory.path().join(CLOCK)).expect("the folder can be written");
}

/// Starts `redis-server` in a folder, without snapshots, and waits until it takes calls.
///
/// # Panics
///
/// Where there is no Redis, or it does not start.
pub fn run<'a>(folder: &Path, options: impl IntoIterator<Item = &'a str>) -> Child {
    let mut command = Command::new("redis-server");
    let library = folder.join(CLOCK_LIBRARY);
    if library.exists() {
        command
            .env("LD_PRELOAD", library)
            .env("RUSHGATE_TEST_CLOCK", folder.join(CLOCK));
    }
    let options: Vec<&str> = options.into_iter().collect();
    // It listens at its socket last. Redis 7.0 and later ones say it differently.
    let ready: &[&str] = match options.contains(&SOCKET_OPTION) {
        true => &["connections at", "connections unix"],
        false => &["eady to accept connections"],
    };
    let mut process = command
        .args(["--save", ""])
        .args(options)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server 7 is installed");
    let said = Output::of(&mut process).find(START_LIMIT, |line| {
        ready.iter().any(|words| line.contains(words)).then_some(())
    });
    said.expect("redis-server starts");
    process
}
