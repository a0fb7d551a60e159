//! A Redis server for this test binary: started when the first test needs it, killed when the last
//! one lets go of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

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

/// Starts a server and waits until it says that it is ready.
fn run(directory: &tempfile::TempDir, options: &[&str]) -> Child {
    let mut process = Command::new("redis-server")
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
