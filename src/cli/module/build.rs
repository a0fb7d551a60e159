//! `rushgate module build`: the compiler of the module's language, then a component in `dist`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::folder::{Folder, Language};
use super::template::Engine;
use super::{grouped, print};
use crate::wasm;

/// Oldest Node.js whose module loader the npm packages are made for.
const NODE_MAJOR_MIN: u32 = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The module's folder
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let folder = Folder::open(&args.folder)?;
    match folder.language {
        Language::Rust => rust(&folder)?,
        Language::JavaScript => javascript(&folder)?,
    }
    let output = folder.output();
    let bytes = std::fs::read(&output).with_context(|| {
        format!(
            "the build went well but left no {}: it must be named by the package",
            output.display()
        )
    })?;
    let size = component(&output, &bytes)?;
    print(&format!("{}, {} bytes", output.display(), grouped(size as u64)))
}

/// Makes a component of a core module, in its place; its bytes after that.
fn component(file: &Path, bytes: &[u8]) -> anyhow::Result<usize> {
    if !wasm::is_core_module(bytes) {
        return Ok(bytes.len());
    }
    let component = wasm::wrap_core_module(bytes).with_context(|| file.display().to_string())?;
    std::fs::write(file, &component).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(component.len())
}

fn rust(folder: &Folder) -> anyhow::Result<()> {
    if !folder.path.join("build.sh").is_file() {
        bail!(
            "{} has no build.sh, which says how it is built: copy it and guest.sh from a folder that `rushgate module new` \
             made",
            folder.path.display()
        );
    }
    call(&folder.path, "sh", ["build.sh"], "to build it")
}

fn javascript(folder: &Folder) -> anyhow::Result<()> {
    if !folder.path.join("build.mjs").is_file() {
        bail!(
            "{} has no build.mjs, which says how it is built: copy it from a folder that `rushgate module new --lang js` \
             made",
            folder.path.display()
        );
    }
    check_node()?;
    if !is_installed(folder)? {
        let quiet = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
        call(
            &folder.path,
            "npm",
            quiet,
            "to fetch what builds JavaScript modules",
        )?;
    }
    call(&folder.path, "node", ["build.mjs"], "to build it")
}

fn check_node() -> anyhow::Result<()> {
    let output = Command::new("node").arg("--version").output();
    let output = output.map_err(|error| missing("node", "to build JavaScript modules", &error))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major < NODE_MAJOR_MIN => {
            bail!("node is {version}; building JavaScript modules needs version {NODE_MAJOR_MIN} or newer")
        }
        _ => Ok(()),
    }
}

/// Whether the packages that the folder asks for are there in their versions: its own, or those of a folder above it,
/// where Node.js looks too.
fn is_installed(folder: &Folder) -> anyhow::Result<bool> {
    let path = std::path::absolute(&folder.path)?;
    let manifest = read_json(&path.join("package.json")).context("package.json cannot be read")?;
    Ok(Engine::ALL.into_iter().all(|engine| {
        let package = engine.package();
        let Some(wanted) = manifest["devDependencies"][package].as_str() else {
            return true;
        };
        path.ancestors()
            .find_map(|above| read_json(&above.join("node_modules").join(package).join("package.json")))
            .is_some_and(|found| found["version"] == wanted)
    }))
}

fn read_json(file: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// Runs a tool in the folder; what it prints goes to standard error.
fn call<I, S>(folder: &Path, tool: &str, arguments: I, why: &str) -> anyhow::Result<()>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let status = Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| missing(tool, why, &error))?;
    if !status.success() {
        bail!("{tool} failed ({status}); what it printed says why");
    }
    Ok(())
}

fn missing(tool: &str, why: &str, error: &std::io::Error) -> anyhow::Error {
    let install = match tool {
        "node" | "npm" => "install Node.js 20 or newer with npm (apt-get install nodejs npm)",
        _ => "install it",
    };
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            anyhow::anyhow!("{tool} is needed {why} and is not on the PATH: {install}")
        }
        _ => anyhow::anyhow!("{tool} is needed {why} and cannot be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_of(temp: &Path, manifest: &str) -> Folder {
        std::fs::create_dir_all(temp.join("a")).expect("made");
        std::fs::write(temp.join("a/package.json"), manifest).expect("written");
        Folder::open(&temp.join("a")).expect("a folder of a module")
    }

    #[test]
    fn packages_may_be_installed_above() {
        let temp = tempfile::tempdir().expect("a folder");
        let folder = folder_of(
            temp.path(),
            r#"{"name": "a", "devDependencies": {"componentize-qjs": "0.4.5"}}"#,
        );
        let installed = || is_installed(&folder).expect("readable");
        assert!(!installed());
        let above = temp.path().join("node_modules/componentize-qjs");
        std::fs::create_dir_all(&above).expect("made");
        std::fs::write(above.join("package.json"), r#"{"version": "0.4.4"}"#).expect("written");
        assert!(!installed(), "another version");
        std::fs::write(above.join("package.json"), r#"{"version": "0.4.5"}"#).expect("written");
        assert!(installed());
    }

    #[test]
    fn a_tool_that_is_missing_is_named() {
        let temp = tempfile::tempdir().expect("a folder");
        let error = call(temp.path(), "no-such-tool", [""; 0], "to build it").expect_err("missing");
        assert!(
            error.to_string().contains("no-such-tool is needed to build it"),
            "{error}"
        );
        let error = call(temp.path(), "false", [""; 0], "to build it").expect_err("fails");
        assert!(error.to_string().contains("false failed"), "{error}");
    }

    #[test]
    fn a_folder_without_a_build_script_says_so() {
        let temp = tempfile::tempdir().expect("a folder");
        let folder = folder_of(temp.path(), r#"{"name": "a"}"#);
        let error = javascript(&folder).expect_err("no build.mjs").to_string();
        assert!(error.contains("build.mjs"), "{error}");
        let error = rust(&folder).expect_err("no build.sh").to_string();
        assert!(error.contains("build.sh"), "{error}");
    }
}
