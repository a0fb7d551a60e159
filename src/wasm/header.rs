//! The first eight bytes: whether something is WebAssembly at all, and of which kind.

use super::ModuleError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Core,
    Component,
}

const MAGIC: &[u8] = b"\0asm";

/// Tells a core module from a component; everything else is refused with what it looks like.
pub(super) fn read(bytes: &[u8]) -> Result<Kind, ModuleError> {
    let refused = |message: String| ModuleError::Refused {
        code: "not-wasm",
        message,
    };
    if bytes.is_empty() {
        return Err(refused(
            "the upload is empty; send the bytes of a .wasm component".into(),
        ));
    }
    if !bytes.starts_with(MAGIC) {
        let text = bytes.trim_ascii_start();
        let hint = if text.starts_with(b"(component") || text.starts_with(b"(module") {
            "this is WebAssembly text; assemble it first (`wasm-tools parse`)"
        } else {
            "it does not start with the bytes 00 61 73 6d; send the bytes of a .wasm component"
        };
        return Err(refused(format!("not a WebAssembly module: {hint}")));
    }
    // After the magic: a version and a layer, two bytes each. Layer 0 is core, layer 1 components.
    match bytes.get(4..8) {
        Some([_, _, 0, 0]) => Ok(Kind::Core),
        Some([_, _, 1, 0]) => Ok(Kind::Component),
        Some(_) => Err(refused("the WebAssembly header names an unknown layer".into())),
        None => Err(refused("the file ends inside the WebAssembly header".into())),
    }
}

/// Whether these bytes begin like a core module, which the host wraps into a component.
pub fn is_core_module(bytes: &[u8]) -> bool {
    matches!(read(bytes), Ok(Kind::Core))
}
