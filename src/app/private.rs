//! The folder of `rushgate dev --data`: orders and users are in it, and compiled rules that the process runs, so nobody else
//! on the machine may read or write there.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::fs::Mode;

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;
/// What a folder of ours holds, by the beginning of its name: the database with its journals, the lock, compiled modules.
const OURS: [&str; 2] = ["rushgate.", "wasm"];

/// Makes the folder where it is missing. From now on, whatever the process makes is its own alone.
pub(super) fn make(folder: &Path) -> anyhow::Result<()> {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    DirBuilder::new()
        .recursive(true)
        .mode(FOLDER)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))
}

/// Takes away what others may do with the folder and what is ours in it. A folder that holds something else, too, may be
/// anybody's home: it stays as it is, and the log says so.
pub(super) fn tighten(folder: &Path) -> anyhow::Result<()> {
    let shown = || format!("cannot close {} to others", folder.display());
    let entries = fs::read_dir(folder).with_context(shown)?;
    let entries: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(shown)?;
    let (ours, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|path| is_ours(path));
    for path in &ours {
        close(path).with_context(|| format!("cannot close {} to others", path.display()))?;
    }
    match others.is_empty() {
        true => close_one(folder, FOLDER).with_context(shown),
        false => {
            if open(folder).with_context(shown)? {
                tracing::warn!(
                    folder = %folder.display(),
                    "others may look into the folder of --data, which holds files that are not rushgate's, and stays as it is; \
                     its own files are closed to them"
                );
            }
            Ok(())
        }
    }
}

fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    OURS.iter().any(|ours| name.starts_with(ours))
}

fn open(path: &Path) -> std::io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.mode() & 0o077 != 0)
}

/// A file, or a folder with all that is in it. Links lead elsewhere, and are left.
fn close(path: &Path) -> std::io::Result<()> {
    let kind = fs::symlink_metadata(path)?.file_type();
    if kind.is_dir() {
        for entry in fs::read_dir(path)? {
            close(&entry?.path())?;
        }
        return close_one(path, FOLDER);
    }
    match kind.is_file() {
        true => close_one(path, FILE),
        false => Ok(()),
    }
}

fn close_one(path: &Path, mode: u32) -> std::io::Result<()> {
    match open(path)? {
        true => fs::set_permissions(path, Permissions::from_mode(mode)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("there").mode() & 0o777
    }

    fn with(folder: &Path, name: &str, bits: u32) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, "x").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(bits)).expect("a mode");
        path
    }

    #[test]
    fn what_an_earlier_process_left_open_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a mode");
        let database = with(folder.path(), "rushgate.db-wal", 0o644);
        let compiled = with(folder.path(), "wasm/modules/x", 0o664);
        let elsewhere = with(tempfile::tempdir().expect("a folder").path(), "x", 0o644);
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("rushgate.link")).expect("linked");
        tighten(folder.path()).expect("closed");
        assert_eq!(mode(folder.path()), 0o700);
        assert_eq!((mode(&database), mode(&compiled)), (0o600, 0o600));
        assert_eq!(mode(&folder.path().join("wasm/modules")), 0o700);
    }

    #[test]
    fn a_folder_of_others_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a mode");
        let (own, other) = (
            with(folder.path(), "rushgate.db", 0o644),
            with(folder.path(), "notes.txt", 0o644),
        );
        tighten(folder.path()).expect("closed");
        assert_eq!(
            (mode(folder.path()), mode(&own), mode(&other)),
            (0o755, 0o600, 0o644)
        );
    }
}
