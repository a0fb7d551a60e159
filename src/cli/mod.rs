//! The command line: one subcommand per role.

mod audit;
mod buyer;
mod campaign;
pub mod client;
mod config;
pub mod dlt;
mod doctor;
mod flags;
mod key;
pub mod load;
mod merchant;
mod migrate;
mod module;
mod openapi;
mod order;
mod out;
mod rebuild;
mod reconcile;
mod run;
mod seal;
mod settings;
mod simulate;
mod webhook;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use flags::{parse, parse_from};
pub use run::main;
pub use settings::{Role, Settings};

/// A gateway for flash sales: rules in WebAssembly, decisions in one atomic Redis script, orders landed
/// exactly once.
///
/// Start with `rushgate dev`: it needs nothing installed.
#[derive(Debug, Parser)]
#[command(name = "rushgate", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything in one process, for trying out: no Redis, no Kafka, no database needed.
    Dev(Dev),
    /// The gateway: takes orders, decides them in Redis and sends them to Kafka.
    Serve(Settings),
    /// The lander: takes orders from Kafka and writes them into the database.
    Land(Settings),
    /// Restores a campaign in Redis from the database, as gateways do when Redis lost its memory.
    Rebuild(Rebuild),
    /// Brings the database's tables and Kafka's topics up to this build.
    Migrate(Migrate),
    /// Tries every connection a role stands on, and says which one fails and what to do.
    Doctor(Doctor),
    /// Shows the configuration: every value, and where it comes from.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Looks after campaigns: lists, creates, clones, watches them, and brings them to what a file says.
    #[command(subcommand)]
    Campaign(campaign::Campaign),
    /// Shows the orders of a campaign, or writes all of them into a table; has them paid, cancelled and refunded.
    #[command(subcommand)]
    Order(order::Order),
    /// Exports and erases one buyer's data.
    #[command(subcommand)]
    Buyer(buyer::Buyer),
    /// Reads the audit trail: who changed what, and whether the trail is as it was written.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Looks after webhooks: endpoints that hear what becomes of orders.
    #[command(subcommand)]
    Webhook(webhook::Webhook),
    /// Looks after keys: who may use the control plane, and for what.
    #[command(subcommand)]
    Key(key::Key),
    /// Looks after merchants, who own campaigns, lists, webhooks and modules.
    #[command(subcommand)]
    Merchant(merchant::Merchant),
    /// Plays the buyers of a sale against gateways, and reports every answer.
    Load(load::Args),
    /// Replays recorded attempts under other rules, and says what would change.
    Simulate(simulate::Args),
    /// Compares what Redis and the database know of each campaign, and puts differences right.
    Reconcile(reconcile::ReconcileArgs),
    /// Looks after the seals of records: which keys were used, and from where on a seal is required.
    #[command(subcommand)]
    Seal(seal::Seal),
    /// Looks after dead letters: lists, replays, exports, imports and discards them.
    #[command(subcommand)]
    Dlt(dlt::Dlt),
    /// Makes, builds, tries and uploads rule modules.
    #[command(subcommand)]
    Module(module::Module),
    /// Prints what a plane is asked and answers: OpenAPI 3.1 in JSON, as it is served at /openapi.json.
    Openapi(openapi::Args),
    /// Looks at one module within limits. A gateway starts this by itself for every upload.
    #[command(name = crate::wasm::child::COMMAND, hide = true)]
    Child {
        /// What to do, as JSON; the module comes over standard input.
        order: String,
    },
}

#[derive(Debug, Args)]
pub struct Dev {
    /// Keep orders, rules and limits in this folder and come back with them.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub args: doctor::DoctorArgs,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Migrate {
    /// Also has campaigns go over to the newest form of records, which builds before this one cannot read: when all of
    /// them are replaced. Moves fences in Redis, and there is no way back.
    #[arg(long)]
    pub cut_over: bool,
    /// Although processes of older builds are listed: they are gone.
    #[arg(long, requires = "cut_over")]
    pub force: bool,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
pub struct Rebuild {
    /// The campaign's id.
    #[arg(long, value_name = "ID")]
    pub campaign: String,
    /// Also where the gate looks open: it is closed while its state is written anew.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub settings: Settings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_reach_the_configuration() {
        let cli = parse_from([
            "rushgate",
            "dev",
            "--data",
            "d",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ])
        .expect("valid");
        let Command::Dev(dev) = cli.command else {
            panic!("not dev");
        };
        assert_eq!(dev.data, Some("d".into()));
        let config = dev.settings.resolve(&|_| None).expect("valid");
        assert_eq!(config.listen.port(), 0);
        let cli = parse_from([
            "rushgate",
            "serve",
            "--redis-url",
            "redis://r",
            "--insecure-dev-auth",
        ])
        .expect("valid");
        let Command::Serve(settings) = cli.command else {
            panic!("not serve");
        };
        let gateway = settings.resolve(&|_| None).expect("valid");
        assert_eq!(gateway.redis.url, "redis://r");
        assert!(gateway.auth.insecure_dev_auth);
        assert!(config.log.format == crate::telemetry::Format::Json);
    }

    #[test]
    fn the_file_may_come_from_the_environment() {
        let env = |name: &str| (name == "RUSHGATE_CONFIG").then(|| "/nowhere/rushgate.toml".to_owned());
        let error = Settings::<Role>::default()
            .resolve(&env)
            .err()
            .expect("no such file");
        assert!(
            error
                .to_string()
                .starts_with("RUSHGATE_CONFIG: cannot read the configuration /nowhere/rushgate.toml")
        );
        let empty = |name: &str| (name == "RUSHGATE_CONFIG").then(String::new);
        let error = Settings::<Role>::default().resolve(&empty).err();
        let told = error.expect("no file").to_string();
        assert!(told.starts_with("RUSHGATE_CONFIG: is empty"), "{told}");
    }
}
