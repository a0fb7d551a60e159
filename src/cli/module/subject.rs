//! The module a command works on: a file, or the one a folder's build made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};

use super::folder::Folder;
use super::{Local, Settings, host};
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
    /// The folder whose build made them, where one was named.
    pub(super) folder: Option<Folder>,
}

impl Subject {
    pub(super) fn load(&self) -> anyhow::Result<Loaded> {
        let (file, folder) = match self.path.is_dir() {
            true => built(&self.path).map(|(file, folder)| (file, Some(folder)))?,
            false => (self.path.clone(), None),
        };
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes.into(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                bail!("there is no file {}", file.display())
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        Ok(Loaded { file, bytes, folder })
    }
}

/// The file of a folder's last build; none that is older than what it was made of, which would be another module than the one
/// that is looked at.
fn built(path: &Path) -> anyhow::Result<(PathBuf, Folder)> {
    let folder = Folder::open(path)?;
    let file = folder.output();
    if !file.is_file() {
        bail!("there is no {}: run `{}` first", file.display(), build(path));
    }
    if let Some(source) = folder.newer_source() {
        bail!(
            "{} was changed after {} was built: run `{}`, or name the file itself to take it as it is",
            source.display(),
            file.display(),
            build(path)
        );
    }
    Ok((file, folder))
}

fn build(path: &Path) -> String {
    match path == Path::new(".") {
        true => "rushgate module build".to_owned(),
        false => format!("rushgate module build {}", path.display()),
    }
}

impl Loaded {
    /// The module as an upload would see it.
    pub(super) async fn inspect(&self, host: &Host) -> anyhow::Result<Inspected> {
        let inspected = host.inspect(self.bytes.clone()).await;
        let inspected = inspected.with_context(|| format!("{} is no rule module", self.file.display()))?;
        if let Some(folder) = &self.folder {
            check_id(folder, &self.file, &inspected.descriptor.id)?;
        }
        Ok(inspected)
    }

    /// Whether the module is the one its folder is named by, where a folder was named; asks the module only then.
    pub(super) async fn check_name(&self, settings: &Settings<Local>) -> anyhow::Result<()> {
        match self.folder {
            Some(_) => self.inspect(&host(settings)?).await.map(drop),
            None => Ok(()),
        }
    }
}

/// A module goes live under the id it names itself by, whatever its folder and its file are called.
fn check_id(folder: &Folder, file: &Path, id: &str) -> anyhow::Result<()> {
    if folder.name == id {
        return Ok(());
    }
    bail!(
        "{} names itself {id:?}, and its package is {:?}: give both the same name (`id` of its descriptor, `name` of the \
         package) and run `{}`, or name the file itself to take it as it is",
        file.display(),
        folder.name,
        build(&folder.path)
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_build_that_is_older_than_its_sources_is_refused() {
        let temp = tempfile::tempdir().expect("a folder");
        let path = temp.path();
        std::fs::write(path.join("package.json"), r#"{"name": "a"}"#).expect("written");
        std::fs::create_dir(path.join("dist")).expect("made");
        let file = std::fs::File::create(path.join("dist/a.wasm")).expect("made");
        let load = |path: &Path| {
            Subject {
                path: path.to_owned(),
            }
            .load()
        };
        assert!(load(path).is_ok());
        let before = SystemTime::now() - Duration::from_secs(60);
        file.set_modified(before).expect("dated");
        let message = error(path.to_owned());
        assert!(
            message.contains("package.json was changed after") && message.contains("rushgate module build"),
            "{message}"
        );
        assert!(load(&path.join("dist/a.wasm")).is_ok(), "the file by itself");
    }

    #[test]
    fn a_module_of_another_name_than_its_package_is_refused() {
        let temp = tempfile::tempdir().expect("a folder");
        std::fs::write(temp.path().join("package.json"), r#"{"name": "a"}"#).expect("written");
        let folder = Folder::open(temp.path()).expect("a folder of a module");
        let file = Path::new("dist/a.wasm");
        assert!(check_id(&folder, file, "a").is_ok());
        let message = check_id(&folder, file, "b").expect_err("another").to_string();
        assert!(
            message.starts_with("dist/a.wasm names itself \"b\", and its package is \"a\""),
            "{message}"
        );
    }

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
