//! `rushgate doctor`: the legs of this configuration, tried one step after the other.

use std::time::Duration;

use super::out::Exit;
use crate::clock::now_ms;
use crate::config::{Config, ConfigError};
use crate::doctor::{self, FindingLevel, Patient, Report, Role, limits};
use crate::telemetry;

/// A leg failed.
const ILL: Exit = Exit(1);
/// The report says what the log would.
const QUIET: &str = "off";

/// What to examine, and how to say it.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Only what this role stands on; both where it is left out.
    #[arg(long = "for", value_name = "ROLE")]
    pub role: Option<Role>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// How long a step may take, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub within: u64,
}

/// Prints what was found; ends with 1 where a leg failed.
pub async fn doctor(
    args: DoctorArgs,
    file: Option<std::path::PathBuf>,
    resolved: Result<Config, ConfigError>,
) -> anyhow::Result<()> {
    let report = match resolved {
        Ok(config) => examine(&args, file, &config).await?,
        Err(error) => doctor::unreadable(&error),
    };
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report.json())?),
        false => print!("{}", report.text()),
    }
    match report.level() {
        FindingLevel::Failed => Err(ILL.into()),
        FindingLevel::Ok | FindingLevel::Warning => Ok(()),
    }
}

async fn examine(
    args: &DoctorArgs,
    file: Option<std::path::PathBuf>,
    config: &Config,
) -> anyhow::Result<Report> {
    let log = match config.log == telemetry::Config::default() {
        true => telemetry::Config {
            level: QUIET.to_owned(),
            ..config.log.clone()
        },
        false => config.log.clone(),
    };
    telemetry::init(&log)?;
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let patient = Patient {
        config,
        file,
        kafka: config.kafka(),
        topics: config.topics()?,
        partitions: config.kafka.partitions as usize,
        replication: usize::from(config.kafka.replication),
        role: args.role,
        limit: Duration::from_millis(args.within),
        clock: now_ms,
        descriptors: Some(limits()),
        variables: names.collect(),
    };
    Ok(doctor::examine(&patient).await)
}
