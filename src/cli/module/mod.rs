//! `rushgate module`: make, build, try, look at and push rule modules.
//!
//! ```text
//!  new ─▶ folder ─▶ build ─▶ dist/NAME.wasm ─▶ test, bench, inspect ─▶ push ─▶ control plane
//! ```

mod bench;
mod build;
mod folder;
mod inspect;
mod new;
mod push;
mod subject;
mod template;
mod trial;
mod wrap;

use clap::Subcommand;

use super::out::{counted, grouped, print, print_json};
use super::settings::{Local, Settings, variable};
use crate::wasm::Host;

/// What can be done with a rule module.
#[derive(Debug, Subcommand)]
pub enum Module {
    /// Makes a folder with a rule that builds and passes its examples as it is.
    New(new::Args),
    /// Builds the module of a folder into its dist/NAME.wasm, with the compiler of its language.
    Build(build::Args),
    /// Plays the module's golden examples through the interpreter and the generated script.
    ///
    /// Fails when an attempt comes out otherwise than promised, or when a declared reason is never seen.
    Test(trial::Args),
    /// Measures what the module costs: compiling it, asking it, and each order under its plans.
    Bench(bench::Args),
    /// Checks a module and shows what it says about itself.
    Inspect(inspect::Args),
    /// Uploads the module to a gateway's control plane.
    Push(push::Args),
    /// Makes a component of a core module that was built for wasm32-unknown-unknown.
    ///
    /// Seldom needed: an upload does the same.
    Wrap(wrap::Args),
}

/// Carries out a command. An error says what to do about it.
pub async fn run(command: Module) -> anyhow::Result<()> {
    match command {
        Module::New(args) => new::run(&args),
        Module::Build(args) => build::run(&args),
        Module::Test(args) => trial::run(&args).await,
        Module::Bench(args) => bench::run(&args).await,
        Module::Inspect(args) => inspect::run(&args).await,
        Module::Push(args) => push::run(&args).await,
        Module::Wrap(args) => wrap::run(&args),
    }
}

/// A host that keeps compiled modules where a gateway of the same user keeps them: the first of both to see a
/// module compiles it for the other.
fn host(settings: &Settings<Local>) -> anyhow::Result<Host> {
    let config = settings.resolve(&variable)?;
    Ok(Host::with(&config.wasm(None, |name| std::env::var_os(name)))?)
}
