//! From a command line to an exit code.

use std::process::ExitCode;

use super::config::config;
use super::doctor::doctor;
use super::migrate::migrate;
use super::openapi::openapi;
use super::out::Exit;
use super::rebuild::rebuild;
use super::reconcile::reconcile;
use super::seal::seal;
use super::settings::variable;
use super::{
    Command, Dev, Doctor, Migrate, Rebuild, Settings, audit, buyer, campaign, dlt, key, load, merchant,
    module, order, parse, simulate, webhook,
};
use crate::app::{self, Sources};
use crate::config::{Config, check_environment};
use crate::{failpoint, telemetry, wasm};

/// Parses the command line of this process, and does what it asks.
pub fn main() -> ExitCode {
    match run(parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Exit>() {
            Some(exit) => ExitCode::from(exit.0),
            None => {
                eprintln!("rushgate: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    if let Ok(text) = std::env::var(failpoint::VARIABLE) {
        failpoint::arm(&text)?;
    }
    // The doctor reports it beside what else is wrong.
    if !matches!(command, Command::Doctor(_)) {
        check_environment(std::env::vars_os())?;
    }
    match command {
        Command::Dev(Dev { data, settings }) => {
            telemetry::spare_lines();
            start(settings, |config, sources| app::dev(config, data, sources))
        }
        Command::Serve(settings) => {
            telemetry::spare_lines();
            start(settings, app::serve)
        }
        Command::Land(settings) => {
            telemetry::spare_lines();
            start(settings, app::land)
        }
        Command::Rebuild(Rebuild {
            campaign,
            force,
            settings,
        }) => start(settings, |config, _| rebuild(config, campaign, force)),
        Command::Migrate(Migrate {
            cut_over,
            force,
            settings,
        }) => start(settings, move |config, _| migrate(config, cut_over, force)),
        Command::Doctor(Doctor { args, settings }) => {
            let file = settings.file(&variable);
            on_runtime(doctor(args, file, settings.resolve(&variable)))
        }
        Command::Config(command) => config(command),
        Command::Openapi(args) => openapi(&args),
        Command::Campaign(command) => on_runtime(campaign::run(command)),
        Command::Order(command) => on_runtime(order::run(command)),
        Command::Buyer(command) => on_runtime(buyer::run(command)),
        Command::Audit(command) => on_runtime(audit::run(command)),
        Command::Webhook(command) => on_runtime(webhook::run(command)),
        Command::Key(command) => on_runtime(key::run(command)),
        Command::Merchant(command) => on_runtime(merchant::run(command)),
        Command::Load(args) => on_runtime(play(args)),
        Command::Simulate(args) => on_runtime(simulate::main(args)),
        Command::Reconcile(args) => on_runtime(reconcile(args)),
        Command::Seal(command) => on_runtime(seal(command)),
        Command::Dlt(command) => on_runtime(dlt::dlt(command)),
        Command::Module(command) => on_runtime(module::run(command)),
        Command::Child { order } => Ok(wasm::child::work(&order)?),
    }
}

/// Settles the configuration, starts logging, and runs the role until it ends.
fn start<F>(settings: Settings, role: impl FnOnce(Config, Sources) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let config = settings.begin()?;
    on_runtime(role(config, Sources::new(move || settings.resolve(&variable))))
}

fn on_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// Fails when an attempt was left without an answer, or answers contradict each other, so that scripts notice.
async fn play(args: load::Args) -> anyhow::Result<()> {
    match load::main(args).await? {
        true => Ok(()),
        false => anyhow::bail!("an attempt got no final answer, or two answers contradict each other"),
    }
}
