//! `rushgate module wrap`: core module to component, as an upload does it.

use std::path::PathBuf;

use anyhow::Context;

use crate::wasm;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The core module.
    core: PathBuf,
    /// Where to write the component.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let core = &args.core;
    let bytes = std::fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let component = wasm::wrap_core_module(&bytes).with_context(|| core.display().to_string())?;
    let output = &args.output;
    std::fs::write(output, component).with_context(|| format!("cannot write {}", output.display()))
}
