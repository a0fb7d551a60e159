//! The `rushgate module` command under test, and what its builds share between runs: compiled crates and npm packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::Mutex;

/// What runs a JavaScript module: the flag's value, and the npm package behind it.
pub type Engine = (&'static str, &'static str);

pub const SPIDERMONKEY: Engine = ("spidermonkey", "@bytecodealliance/componentize-js");
pub const QUICKJS: Engine = ("quickjs", "componentize-qjs");

/// Where modules stay compiled from run to run; the gateways under test look there, too.
pub const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/wasm");

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// It failed, and the error says each of these.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not said: {}", self.err);
        }
        self
    }
}

/// A command in a folder, with `rushgate` on its path and the folders that builds share.
pub fn command(program: &str, folder: &Path) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_rushgate"));
    let beside = binary.parent().expect("a binary lies in a folder");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(beside.to_owned()).chain(std::env::split_paths(&path)));
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env("PATH", path.expect("a path without colons in its parts"))
        // The rules of this repository are built there with the same crates and profile.
        .env("CARGO_TARGET_DIR", repository().join("rules/target"))
        .env("RUSHGATE_WASM_CACHE_DIR", CACHE)
        .env("npm_config_cache", shared("npm-cache"))
        .env("npm_config_update_notifier", "false")
        .env_remove("RUSHGATE_ADMIN_URL")
        .env_remove("RUSHGATE_ADMIN_TOKEN");
    command
}

pub async fn said(mut command: Command) -> Said {
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("it does not panic")
        .expect("it starts");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// `rushgate module …` in a folder.
pub async fn module(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = command("rushgate", folder);
    command.arg("module").args(arguments);
    said(command).await
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder that stays from run to run.
fn shared(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// A new folder below which JavaScript modules find the engine's packages. The first time, a module of that engine is built
/// where nothing is installed; what its build installed is then moved up, so that no other has to do it again.
pub async fn javascript_folder((engine, package): Engine) -> tempfile::TempDir {
    static PRIMING: Mutex<()> = Mutex::const_new(());
    let above = shared(&format!("javascript-{engine}"));
    let _one = PRIMING.lock().await;
    if !above.join("node_modules").join(package).is_dir() {
        let prime = tempfile::tempdir_in(&above).expect("a folder can be made");
        module(
            prime.path(),
            &["new", "prime", "--lang", "js", "--engine", engine],
        )
        .await
        .ok();
        module(prime.path(), &["build", "prime"]).await.ok();
        std::fs::rename(
            prime.path().join("prime/node_modules"),
            above.join("node_modules"),
        )
        .expect("the build installed its packages");
    }
    tempfile::tempdir_in(&above).expect("a folder can be made")
}
