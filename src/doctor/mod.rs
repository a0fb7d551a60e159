//! `rushgate doctor`: tries every leg that a role stands on, one step after the other, and says of the first that fails
//! what is wrong and what to do. Nothing is written anywhere.
//!
//! The adapters say what they find (`engine::redis`, `bus::kafka` and `store` have a file `examine` each); what it means
//! is judged here.

mod alive;
mod certificates;
mod clocks;
mod configuration;
mod database;
mod files;
mod kafka;
mod leg;
mod listeners;
mod machine;
mod net;
mod redis;
mod report;
mod seals;
mod tokens;
mod topics;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use futures_util::future::OptionFuture;

use crate::bus::{self, Topics};
use crate::config::{Config, ConfigError};
use leg::Leg;
pub use machine::limits;
pub use report::{Finding, FindingLevel, LegReport, Report};

/// Which process is to stand on the legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Serve,
    Land,
}

/// How many files and connections a process may have open; `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// In force.
    pub soft: Option<u64>,
    /// To what a process may raise it by itself.
    pub hard: Option<u64>,
}

/// What is examined, and what it stands in.
pub struct Patient<'a> {
    pub config: &'a Config,
    /// The file the configuration was read from.
    pub file: Option<PathBuf>,
    pub kafka: bus::kafka::Config,
    pub topics: Topics,
    /// Of every topic, as the configuration wants them.
    pub partitions: usize,
    pub replication: usize,
    /// `None`: both.
    pub role: Option<Role>,
    /// How long one step may take.
    pub limit: Duration,
    /// This machine's clock, milliseconds since 1970-01-01 UTC.
    pub clock: fn() -> i64,
    /// `None`: they are not looked at.
    pub descriptors: Option<Descriptors>,
    /// Names of the variables of the environment.
    pub variables: Vec<String>,
}

/// All that can be said where the configuration cannot be read.
pub fn unreadable(error: &ConfigError) -> Report {
    Report {
        legs: vec![configuration::unreadable(error)],
    }
}

/// Tries all legs side by side.
pub async fn examine(patient: &Patient<'_>) -> Report {
    let leg = |name, steps| Leg::new(name, steps, patient.limit);
    let serves = patient.role != Some(Role::Land);
    let redis = serves.then(|| {
        let leg = leg("redis", redis::STEPS);
        leg.examine(async |leg| redis::examine(patient, leg).await)
    });
    let tokens = serves.then(|| {
        let leg = leg("tokens", tokens::STEPS);
        leg.examine(async |leg| tokens::examine(patient, leg).await)
    });
    let (configuration, machine, redis, kafka, database, seals, tokens, listeners) = tokio::join!(
        leg(configuration::NAME, configuration::STEPS)
            .examine(async |leg| configuration::examine(patient, leg).await),
        leg("machine", machine::STEPS).examine(async |leg| machine::examine(patient, leg).await),
        OptionFuture::from(redis),
        leg("kafka", kafka::STEPS).examine(async |leg| kafka::examine(patient, leg).await),
        leg("database", database::STEPS).examine(async |leg| database::examine(patient, leg).await),
        leg("seals", seals::STEPS).examine(async |leg| seals::examine(patient, leg).await),
        OptionFuture::from(tokens),
        leg("listeners", listeners::STEPS).examine(async |leg| listeners::examine(patient, leg).await),
    );
    let legs = [
        Some(configuration),
        Some(machine),
        redis,
        Some(kafka),
        Some(database),
        Some(seals),
        tokens,
        Some(listeners),
    ];
    Report {
        legs: legs.into_iter().flatten().collect(),
    }
}
