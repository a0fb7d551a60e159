//! Sections of a component, read entry by entry, and how it is refused where they cannot be read or are too many.

use wasmparser::SectionLimited;

use super::{ModuleError, refused};

/// Reads a section entry by entry.
pub(super) fn each<'a, T: wasmparser::FromReader<'a>>(
    section: &SectionLimited<'a, T>,
    mut see: impl FnMut(T) -> Result<(), ModuleError>,
) -> Result<(), ModuleError> {
    section
        .clone()
        .into_iter()
        .try_for_each(|entry| see(entry.map_err(invalid)?))
}

pub(super) fn too_many(what: &str, most: u64) -> ModuleError {
    refused(
        "too-complex",
        format!("it has too many {what}; at most {most} are allowed"),
    )
}

pub(super) fn invalid(error: impl std::fmt::Display) -> ModuleError {
    refused("not-wasm", format!("the component is not valid: {error}"))
}
