//! A Redis server that keeps what it is told, until a test does something to it. Clients reach whichever server
//! is in place under one address: a link to its socket.

use std::path::{Path, PathBuf};
use std::process::Child;

use tempfile::TempDir;
use testkit::deployment::free_port;
use testkit::server::{SOCKET, run};

/// Where clients look.
pub struct Address {
    folder: TempDir,
}

impl Address {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    fn link(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.link().display())
    }

    /// In one step: from now on new connections lead there.
    pub fn lead_to(&self, server: &Server) {
        let next = self.folder.path().join("next");
        std::os::unix::fs::symlink(server.socket(), &next).expect("the folder can be written");
        std::fs::rename(next, self.link()).expect("the folder can be written");
    }
}

pub struct Server {
    folder: TempDir,
    port: u16,
    process: Option<Child>,
}

impl Server {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self {
            folder,
            port: free_port().expect("a free port"),
            process: None,
        };
        server.up();
        server
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// With what its log holds. Says so when it takes calls.
    pub fn up(&mut self) {
        let port = self.port.to_string();
        let network = ["--bind", "127.0.0.1", "--port", &port].into_iter().chain(SOCKET);
        let durable = ["--appendonly", "yes", "--appendfsync", "always"];
        let options = network.chain(durable).chain(["--repl-diskless-sync-delay", "0"]);
        self.process = Some(run(self.folder.path(), options));
    }

    /// As a power cut would.
    pub fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn log(&self) -> PathBuf {
        let folder = self.folder.path().join("appendonlydir");
        let files = std::fs::read_dir(folder).expect("it keeps a log");
        let mut paths = files.map(|file| file.expect("readable").path());
        paths
            .find(|path| path.to_string_lossy().ends_with(".incr.aof"))
            .expect("a log of increments")
    }

    /// Bytes of its log so far.
    pub fn written(&self) -> u64 {
        std::fs::metadata(self.log()).expect("it keeps a log").len()
    }

    /// Loses the end of its log, in the middle of a command.
    pub fn cut(&self, at: u64) {
        let log = std::fs::OpenOptions::new().write(true).open(self.log());
        log.and_then(|log| log.set_len(at)).expect("the log can be cut");
    }

    /// Loses its log.
    pub fn burn(&self) {
        remove(&self.folder.path().join("appendonlydir"));
    }

    pub fn client(&self) -> redis::Connection {
        let url = format!("redis+unix://{}", self.socket().display());
        let client = redis::Client::open(url).expect("a URL");
        client.get_connection().expect("it is up")
    }

    pub fn tell(&self, words: &[&str]) {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.exec(&mut self.client()).expect("it does as it is told");
    }

    pub fn integer(&self, words: &[&str]) -> i64 {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.client()).expect("an integer")
    }

    /// Follows another server, and answers when it has all of it.
    pub fn follow(&self, master: &Self) {
        self.tell(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        // One that is not connected yet is asked for again.
        while master.integer(&["WAIT", "1", "1000"]) == 0 {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}

fn remove(folder: &Path) {
    std::fs::remove_dir_all(folder).expect("the folder can be removed");
}
