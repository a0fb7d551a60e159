//! The services of `./x stack up --tls`, of this test binary's own. They end with the process: a shell waits at the other
//! end of a pipe and takes them down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use testkit::output::Output;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const START_LIMIT: Duration = Duration::from_secs(300);

pub struct Stack {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
    /// Its end of the pipe.
    _guard: Child,
}

impl Stack {
    /// Started when the first test needs it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Stack> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("legs").tempdir();
        let folder = folder.expect("a temporary folder").keep();
        let script = "scripts/stack.sh up --tls >&2 && echo ready; read word; scripts/stack.sh down --wipe; rmdir \"$0\"";
        let mut guard = Command::new("sh")
            .args(["-c", script])
            .arg(&folder)
            .current_dir(ROOT)
            .env("RUSHGATE_STACK_DIR", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        Output::of(&mut guard).said("ready", START_LIMIT);
        let variables = assignments(&script_answer(&folder, &["env"]));
        Self {
            folder,
            variables,
            _guard: guard,
        }
    }

    /// What `./x stack env` exports.
    pub fn variable(&self, name: &str) -> String {
        self.variables[name].clone()
    }

    pub fn variables(&self) -> Vec<(String, String)> {
        self.variables.clone().into_iter().collect()
    }

    /// A file of `tls/`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join("tls").join(name)
    }

    /// The socket of MariaDB, by a path short enough.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("data/mariadb/mariadb.sock")
    }

    /// `host:port` of Kafka without encryption, where brokers speak among themselves.
    pub fn plain_kafka(&self) -> String {
        let env = std::fs::read_to_string(self.folder.join("env")).expect("it remembers its ports");
        format!("127.0.0.1:{}", assignments(&env)["KAFKA_PORTS"])
    }

    /// Runs a statement in MariaDB as root.
    pub fn sql(&self, statement: &str) -> String {
        script_answer(&self.folder, &["sql", statement])
    }
}

fn script_answer(folder: &Path, args: &[&str]) -> String {
    let run = Command::new("scripts/stack.sh")
        .args(args)
        .current_dir(ROOT)
        .env("RUSHGATE_STACK_DIR", folder)
        .output();
    let output = run.expect("the script runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

fn assignments(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let plain = |(name, value): (&str, &str)| {
        let name = name.trim_start_matches("export ");
        (name.to_owned(), value.trim_matches(['\'', '"']).to_owned())
    };
    pairs.map(plain).collect()
}

/// Another authority with a server's certificate and a client's, made for these names.
pub fn authority(folder: &Path, names: &str) {
    let made = Command::new("scripts/certificates.sh")
        .arg(folder)
        .arg(names)
        .current_dir(ROOT)
        .status();
    assert!(made.expect("the script runs").success());
}
