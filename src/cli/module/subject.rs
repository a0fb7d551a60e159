//! The module a command works on: a file, or the one a folder's build made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use super::folder::Folder;
use crate::wasm::{Host, Inspected};

#[derive(Debug, clap::Args)]
pub struct Subject {
    /// A .wasm file, or the folder of a module that was built
    #[arg(value_name = "FILE|FOLDER", default_value = ".")]
    path: PathBuf,
}

/// A module's bytes and where they came from.
pub(super) struct Loaded {
    pub(super) file: PathBuf,
    pub(super) bytes: Arc<[u8]>,
}

impl Subject {
    pub(super) fn load(&self) -> anyhow::Result<Loaded> {
        let file = match self.path.is_dir() {
            true => built(&self.path)?,
            false => self.path.clone(),
        };
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes.into(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("there is no file {}", file.display())
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        Ok(Loaded { file, bytes })
    }
}

fn built(path: &Path) -> anyhow::Result<PathBuf> {
    let folder = Folder::open(path)?;
    let file = folder.output();
    if !file.is_file() {
        let which = match path == Path::new(".") {
            true => String::new(),
            false => format!(" {}", path.display()),
        };
        bail!(
            "there is no {}: run `rushgate module build{which}` first",
            file.display()
        );
    }
    if let Some(source) = folder.newer_source() {
        eprintln!(
            "rushgate: {} was changed after {} was built",
            source.display(),
            file.display()
        );
    }
    Ok(file)
}

impl Loaded {
    /// The module as an upload would see it.
    pub(super) async fn inspect(&self, host: &Host) -> anyhow::Result<Inspected> {
        let inspected = host.inspect(self.bytes.clone()).await;
        inspected.with_context(|| format!("{} is no rule module", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: PathBuf) -> String {
        let loaded = Subject { path }.load();
        format!("{:#}", loaded.err().expect("nothing to load"))
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let temp = tempfile::tempdir().expect("a folder");
        assert!(error(temp.path().join("no.wasm")).contains("there is no file"));
        std::fs::write(temp.path().join("package.json"), r#"{"name": "a"}"#).expect("written");
        let message = error(temp.path().to_owned());
        assert!(message.contains("rushgate module build"), "{message}");
        assert!(message.contains("dist/a.wasm"), "{message}");
    }
}
