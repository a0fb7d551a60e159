//! A Redis server for this test binary: started when the first test needs it, killed when the last
//! one lets go of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

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
        let process = run(&directory, options);
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
        let process = run(&directory, &[]);
        Self { process, directory }
    }

    /// Milliseconds since 1970-01-01 UTC. Only for one made by [`Self::with_clock`].
    pub fn set_clock(&self, now: i64) {
        put_clock(&self.directory, now);
    }

    /// After [`Self::kill`]: an empty one at the same address.
    pub fn restart(&mut self) {
        self.process = run(&self.directory, &[]);
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

/// In one step, so that the server never reads half of it.
fn put_clock(directory: &tempfile::TempDir, now: i64) {
    let next = directory.path().join("next");
    std::fs::write(&next, now.to_string()).expect("the folder can be written");
    std::fs::rename(next, directory.path().join(CLOCK)).expect("the folder can be written");
}

/// Starts a server and waits until it says that it is ready.
fn run(directory: &tempfile::TempDir, options: &[&str]) -> Child {
    let mut command = Command::new("redis-server");
    let library = directory.path().join(CLOCK_LIBRARY);
    if library.exists() {
        command
            .env("LD_PRELOAD", library)
            .env("RUSHGATE_TEST_CLOCK", directory.path().join(CLOCK));
    }
    let mut process = command
        .args([
            "--port",
            "0",
            "--unixsocket",
            "redis.sock",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(options)
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server 7 is installed");
    let mut log = BufReader::new(process.stdout.take().expect("it is piped"));
    let mut line = String::new();
    while !line.contains("ready to accept connections") {
        line.clear();
        assert_ne!(
            log.read_line(&mut line).expect("its log is text"),
            0,
            "redis-server ended"
        );
    }
    // Whatever it still says is read and dropped, so that it never waits for a reader.
    std::thread::spawn(move || log.lines().for_each(drop));
    process
}
