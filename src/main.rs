//! The rushgate binary: one subcommand per role.

use std::process::ExitCode;

use rushgate::app::Sources;
use rushgate::cli::{self, Command, Dev, Doctor, Migrate, Rebuild, Settings};
use rushgate::config::{Config, check_environment};
use rushgate::{app, failpoint, load, module, simulate, telemetry, wasm};

/// Gives back to the system, in the background, what is not used for ten seconds.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<app::Exit>() {
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
    check_environment(std::env::vars_os().map(|(name, _)| name))?;
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
        }) => start(settings, |config, _| app::rebuild(config, campaign, force)),
        Command::Migrate(Migrate {
            cut_over,
            force,
            settings,
        }) => start(settings, move |config, _| app::migrate(config, cut_over, force)),
        Command::Doctor(Doctor { args, settings }) => {
            let env = |name: &str| std::env::var(name).ok();
            let file = settings.file(&env);
            on_runtime(app::doctor(args, file, settings.settle(&env)))
        }
        Command::Load(args) => on_runtime(play(args)),
        Command::Simulate(args) => on_runtime(simulate::main(args)),
        Command::Reconcile(args) => on_runtime(app::reconcile(args)),
        Command::Seal(command) => on_runtime(app::seal(command)),
        Command::Dlt(command) => on_runtime(app::dlt(command)),
        Command::Module(command) => on_runtime(module::run(command)),
        Command::Child { order } => Ok(wasm::child::work(&order)?),
    }
}

/// Settles the configuration, starts logging, and runs the role until it ends.
fn start<F>(settings: Settings, role: impl FnOnce(Config, Sources) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let settle = move || settings.clone().settle(&|name| std::env::var(name).ok());
    let config = settle()?;
    telemetry::init(&config.log)?;
    config.warn();
    on_runtime(role(config, Sources::new(settle)))
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
