//! Wraps a core module into a component: `cargo run --example wrap_module -- CORE.wasm OUT.wasm`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [core, out] = arguments.as_slice() else {
        bail!("usage: wrap_module CORE.wasm OUT.wasm");
    };
    let bytes = std::fs::read(core).with_context(|| format!("reading {}", core.display()))?;
    let component = rushgate::wasm::wrap_core_module(&bytes)?;
    std::fs::write(out, component).with_context(|| format!("writing {}", out.display()))
}
