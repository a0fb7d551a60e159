//! Machine code kept on disk, so that a module is compiled once and not at every start.
//!
//! wasmtime writes and reads it, named by a hash over the module's bytes, its own version and every setting
//! of the compiler: what a file of that name holds is what compiling would give. It is code that the gateway
//! runs, so nobody else may write to the folder.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use wasmtime::{Cache, CacheConfig};

/// Bytes of all files together from which on the least recently used ones are removed.
const DISK_BYTES_MAX: u64 = 1 << 30;

/// How modules are run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Where compiled modules are kept; `None` keeps them in memory alone.
    pub cache_dir: Option<PathBuf>,
}

/// Opens or makes the folder; without it modules are only compiled more often.
pub(super) fn open(config: &Config) -> Option<Cache> {
    let folder = config.cache_dir.as_deref()?;
    match make(folder) {
        Ok(cache) => Some(cache),
        Err(why) => {
            let folder = folder.display();
            tracing::warn!(%folder, why, "compiled modules are not kept: see wasm.cache_dir");
            None
        }
    }
}

fn make(folder: &Path) -> Result<Cache, String> {
    private(folder).map_err(|error| error.to_string())?;
    // An absolute path without links is what the cache insists on.
    let folder = folder.canonicalize().map_err(|error| error.to_string())?;
    let mut config = CacheConfig::new();
    config
        .with_directory(folder)
        .with_files_total_size_soft_limit(DISK_BYTES_MAX);
    Cache::new(config).map_err(|error| error.to_string())
}

#[cfg(unix)]
fn private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match foreign(folder)? {
        None => Ok(()),
        Some(why) => Err(io::Error::other(why)),
    }
}

/// Why the folder is not ours alone.
#[cfg(unix)]
fn foreign(folder: &Path) -> io::Result<Option<String>> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(folder)?.permissions().mode();
    Ok((mode & 0o022 != 0).then(|| {
        format!(
            "others may write to it (mode {:o}), and it holds code: chmod go-w it",
            mode & 0o777
        )
    }))
}

#[cfg(not(unix))]
fn foreign(_: &Path) -> io::Result<Option<String>> {
    Ok(None)
}

/// What keeps compiled modules from being kept there, without making anything; a folder that is not there yet is made
/// at the start.
pub fn check_folder(folder: &Path) -> io::Result<Option<String>> {
    match foreign(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        known => known,
    }
}

#[cfg(not(unix))]
fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(folder)
}
