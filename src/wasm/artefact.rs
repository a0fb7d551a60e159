//! Where wasmtime's cache keeps the machine code of a component: whether it is there is asked before a
//! component is loaded, so that a gateway compiles nothing that a child has not.
//!
//! The name is a hash over the compiler, its settings and the component. It is wasmtime's own and not part of its
//! interface; a test holds that what was compiled is found here.

use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use wasmtime::Engine;

/// Age from which on a file that was not written to its end never will be: its writer is dead.
const ABANDONED_AFTER: Duration = Duration::from_secs(300);
/// What such a file ends with.
const UNFINISHED: &str = "wip-atomic-write-mod";

struct Name(Sha256);

impl Hasher for Name {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the whole hash is the name")
    }
}

fn name(engine: &Engine, component: &[u8]) -> String {
    let mut hasher = Name(Sha256::new());
    let no_debug_package: Option<&[u8]> = None;
    let no_intrinsics: Option<&str> = None;
    let state = (
        engine.precompile_compatibility_hash(),
        component,
        no_debug_package,
        no_intrinsics,
    );
    state.hash(&mut hasher);
    URL_SAFE_NO_PAD.encode(hasher.0.finalize())
}

/// The file in `folder` that holds the component's machine code for this engine.
pub(super) fn find(folder: &Path, engine: &Engine, component: &[u8]) -> Option<PathBuf> {
    let name = name(engine, component);
    versions(folder)
        .map(|version| version.join(&name))
        .find(|file| file.is_file())
}

/// Takes away what a writer that was killed left half-written: wasmtime would never write that file again.
pub(super) fn clear(folder: &Path, engine: &Engine, component: &[u8]) {
    let name = name(engine, component);
    for version in versions(folder) {
        let file = version.join(&name).with_extension(UNFINISHED);
        let age = fs::metadata(&file).and_then(|found| found.modified());
        let age = age.ok().and_then(|written| written.elapsed().ok());
        if age.is_some_and(|age| age > ABANDONED_AFTER) {
            // Somebody else may have been faster, which is as good.
            let _ = fs::remove_file(&file);
        }
    }
}

/// A folder for each version of wasmtime that ever wrote here.
fn versions(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let folders = fs::read_dir(folder.join("modules")).into_iter().flatten();
    folders.flatten().map(|entry| entry.path())
}
