//! Who else may read a file that holds a secret.

use std::path::Path;

use super::report::Finding;

/// A warning where every user of this machine may read the file.
pub(super) fn open_to_all(step: &'static str, path: &Path, what: &str) -> Option<Finding> {
    let mode = mode(path)?;
    (mode & 0o007 != 0).then(|| {
        Finding::warning(
            step,
            format!(
                "{} holds {what}, and everybody may read it (mode {:o})",
                path.display(),
                mode & 0o777
            ),
            format!("chmod o= {}", path.display()),
        )
    })
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path)
        .ok()
        .map(|known| known.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}
