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

use std::io::{ErrorKind, Write as _};

use clap::Subcommand;

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

/// Prints to standard output. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2 orders`, `1 order`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(12_202_216), "12,202,216");
        assert_eq!(counted(1, "example"), "1 example");
        assert_eq!(counted(0, "example"), "0 examples");
    }
}
