//! Machine code kept on disk, so that a module is compiled once and not at every start.
//!
//! wasmtime writes and reads it, named by a hash over the module's bytes, its own version and every setting
//! of the compiler: what a file of that name holds is what compiling would give. It is code that the gateway
//! runs, so nobody else may write to the folder.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wasmtime::{Cache, CacheConfig};

/// Bytes of all files together from which on the least recently used ones are removed.
const DISK_BYTES_MAX: u64 = 1 << 30;

/// How modules are run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "struct Wasm")]
pub struct Config {
    /// Where compiled modules are kept. Left out: in memory, or while the process lives where children compile.
    pub cache_dir: Option<PathBuf>,
    /// The rushgate binary that is started to compile and ask a module within limits. Left out: that happens
    /// in this process, which is for modules that are trusted.
    #[serde(skip)]
    pub program: Option<PathBuf>,
}

/// This very binary, also where its file was replaced meanwhile. Where it cannot be found no module is
/// taken: it is never a reason to look at one in this process.
pub fn own_program() -> PathBuf {
    let own = Path::new("/proc/self/exe");
    match own.exists() {
        true => own.to_owned(),
        false => std::env::current_exe().unwrap_or_else(|_| own.to_owned()),
    }
}

/// A folder that is ours alone, with wasmtime's cache in it.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) cache: Cache,
    temporary: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // What is left is in the folder for such things.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Folder {
    /// Opens or makes the configured folder; without it modules are only compiled more often.
    pub(super) fn open(config: &Config) -> Option<Self> {
        let folder = config.cache_dir.as_deref()?;
        match Self::make(folder, false) {
            Ok(folder) => Some(folder),
            Err(why) => {
                let folder = folder.display();
                tracing::warn!(%folder, why, "compiled modules are not kept: see wasm.cache_dir");
                None
            }
        }
    }

    /// A new folder that lives as long as this value. The error is a sentence.
    pub(super) fn temporary() -> Result<Self, String> {
        let name = format!("rushgate-wasm-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let folder = std::env::temp_dir().join(name);
        let failed = |why: String| {
            format!(
                "no private folder for compiled modules can be made at {}: {why}; see wasm.cache_dir",
                folder.display()
            )
        };
        // One that is there already is not ours.
        builder(false)
            .create(&folder)
            .map_err(|error| failed(error.to_string()))?;
        Self::make(&folder, true).map_err(failed)
    }

    /// The folder of the process that started this one.
    pub(super) fn of_parent(path: &Path) -> Result<Self, String> {
        Self::make(path, false)
    }

    fn make(folder: &Path, temporary: bool) -> Result<Self, String> {
        private(folder).map_err(|error| error.to_string())?;
        // An absolute path without links is what the cache insists on.
        let path = folder.canonicalize().map_err(|error| error.to_string())?;
        let mut config = CacheConfig::new();
        config
            .with_directory(&path)
            .with_files_total_size_soft_limit(DISK_BYTES_MAX);
        let cache = Cache::new(config).map_err(|error| error.to_string())?;
        Ok(Self {
            path,
            cache,
            temporary,
        })
    }
}

#[cfg(unix)]
fn builder(recursive: bool) -> DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = DirBuilder::new();
    builder.recursive(recursive).mode(0o700);
    builder
}

#[cfg(not(unix))]
fn builder(recursive: bool) -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(recursive);
    builder
}

#[cfg(unix)]
fn private(folder: &Path) -> io::Result<()> {
    builder(true).create(folder)?;
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
    builder(true).create(folder)
}
