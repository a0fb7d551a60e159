//! The load tool: buyers as they are, over HTTP. They keep connections, try again with the same
//! `Idempotency-Key` after whatever went wrong, and some press the button twice. Every answer is kept, so
//! that a run can be held against the database afterwards.

mod answer;
mod link;
mod log;
mod report;
mod script;
mod sign;
mod target;
mod tokens;
mod trail;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

pub use answer::{Answer, Refused};
pub use log::{Logged, LoggedAnswer, SenderOutcome};
pub use report::{LatencyReport, LoadReport, SeenOrder};
pub use tokens::Tokens;

use crate::cli::client::tls::TrustError;

/// Attempts of one run at most: their order is kept in memory.
pub const ATTEMPTS_MAX: u64 = 50_000_000;
/// Buyers where nobody says how many.
const USERS: u64 = 10_000;

/// One run.
#[derive(Clone, Debug)]
pub struct LoadConfig {
    /// Gateways as `host:port`, or as URLs of http or https; connections are spread over them and move on after an error.
    pub targets: Vec<String>,
    /// PEM certificates of the only authorities that are believed about targets of https; without, those of the machine.
    pub ca: Option<PathBuf>,
    pub tokens: Tokens,
    pub campaign: String,
    pub sku: String,
    /// Units of every order.
    pub quantity: u32,
    /// Attempts, each with an `Idempotency-Key` of its own; at most [`ATTEMPTS_MAX`].
    pub attempts: u64,
    /// Different buyers; every one attempts at least once where there are attempts enough.
    pub users: u64,
    /// Share of the attempts that are sent twice with the same key, 0 to 1.
    pub twice: f64,
    /// Share of the attempts whose sender gives up after the first request without an answer, 0 to 1.
    pub impatient: f64,
    /// Different devices, as the client attribute `device`: each buyer uses one, several buyers share it. 0 sends none.
    pub devices: u64,
    /// Connections over all targets together; each has one request in flight.
    pub connections: usize,
    /// Attempts per second (open loop: a slow answer does not slow the next attempts down while
    /// connections are left); as fast as answers come where it is `None`.
    pub rate: Option<f64>,
    /// The run ends after this, whatever of the attempts is left.
    pub duration: Option<Duration>,
    /// One request's answer is waited for so long.
    pub timeout: Duration,
    /// An attempt is repeated for so long after errors, timeouts, 429 and 5xx.
    pub retry_for: Duration,
    /// Decides who attempts when, and which attempts are sent twice.
    pub seed: u64,
    /// Beginning of user names and keys: two runs against one campaign use different ones.
    pub prefix: String,
    /// Where every answer is written down, as JSON lines of [`Logged`].
    pub log: Option<PathBuf>,
}

impl Default for LoadConfig {
    fn default() -> Self {
        Self {
            targets: vec!["127.0.0.1:8080".to_owned()],
            ca: None,
            tokens: Tokens::default(),
            campaign: "demo".to_owned(),
            sku: "mug".to_owned(),
            quantity: 1,
            attempts: 10_000,
            users: USERS,
            twice: 0.0,
            impatient: 0.0,
            devices: 0,
            connections: 64,
            rate: None,
            duration: None,
            timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(60),
            seed: 1,
            prefix: "u".to_owned(),
            log: None,
        }
    }
}

/// Why a run could not start.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{0}")]
    Config(String),
    #[error("no gateway answers: {0}")]
    Unreachable(String),
    #[error("--log {path}: {cause}", path = path.display())]
    Log { path: PathBuf, cause: std::io::Error },
    #[error(transparent)]
    Tls(#[from] TrustError),
}

impl LoadConfig {
    fn check(&self) -> Result<(), LoadError> {
        let wrong = |what: &str| Err(LoadError::Config(what.to_owned()));
        if self.targets.is_empty() {
            return wrong("name at least one target");
        }
        if self.attempts == 0 || self.attempts > ATTEMPTS_MAX {
            return wrong("attempts must be 1 to 50,000,000");
        }
        if self.users == 0 || self.connections == 0 {
            return wrong("users and connections must be at least 1");
        }
        if ![self.twice, self.impatient]
            .iter()
            .all(|share| (0.0..=1.0).contains(share))
        {
            return wrong("twice and impatient are shares: 0 to 1");
        }
        if self.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
            return wrong("the rate must be above 0");
        }
        Ok(())
    }
}

/// Runs the load and answers when every attempt has its final answer or was given up.
pub async fn run(config: LoadConfig) -> Result<LoadReport, LoadError> {
    config.check()?;
    worker::run(config).await
}

/// `rushgate load`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Gateway as host:port, http://host:port or https://host:port; repeat it for several
    #[arg(long = "target", default_value = "127.0.0.1:8080")]
    targets: Vec<String>,
    /// PEM certificates of the only authorities that are believed about https; without, those of the machine
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[arg(long, default_value = "demo")]
    campaign: String,
    #[arg(long, default_value = "mug")]
    sku: String,
    /// Units of every order
    #[arg(long, default_value_t = 1)]
    quantity: u32,
    #[arg(long, default_value_t = 10_000)]
    attempts: u64,
    /// Different buyers [default: 10000, or one per token]
    #[arg(long)]
    users: Option<u64>,
    /// What buyers show: a token per line, each that of another buyer. Without it and without --sign-key, tokens of
    /// `dev:<user>`, which gateways take with --insecure-dev-auth
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    #[command(flatten)]
    sign: sign::Args,
    /// Share of the attempts sent twice with the same key
    #[arg(long, default_value_t = 0.0)]
    twice: f64,
    /// Share of the attempts whose sender gives up after the first request without an answer
    #[arg(long, default_value_t = 0.0)]
    impatient: f64,
    /// Different devices, sent as the client attribute `device`; several buyers share each
    #[arg(long, default_value_t = 0)]
    devices: u64,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Attempts per second; without it, as fast as answers come
    #[arg(long)]
    rate: Option<f64>,
    /// Stop after so many seconds
    #[arg(long)]
    duration: Option<f64>,
    /// Milliseconds to wait for one answer
    #[arg(long, default_value_t = 5_000)]
    timeout_ms: u64,
    /// Seconds to go on trying one attempt after errors
    #[arg(long, default_value_t = 60)]
    retry_for: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Beginning of user names and keys
    #[arg(long, default_value = "u")]
    prefix: String,
    /// Write every attempt with all its answers to this file, as JSON lines
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Print the report as JSON, without the single orders
    #[arg(long)]
    json: bool,
}

impl Args {
    /// The tokens, and how many buyers show them.
    fn buyers(&self) -> Result<(Tokens, u64), LoadError> {
        let Some(path) = &self.tokens else {
            let signed = self.sign.tokens().map_err(LoadError::Config)?;
            return Ok((signed.unwrap_or_default(), self.users.unwrap_or(USERS)));
        };
        let (tokens, count) = Tokens::read(path, &self.prefix).map_err(LoadError::Config)?;
        match self.users {
            Some(users) if users > count => Err(LoadError::Config(format!(
                "--users {users} is more than the {count} tokens of {}: each buyer shows one of their own",
                path.display()
            ))),
            users => Ok((tokens, users.unwrap_or(count))),
        }
    }

    fn config(&self) -> Result<LoadConfig, LoadError> {
        let (tokens, users) = self.buyers()?;
        Ok(LoadConfig {
            targets: self.targets.clone(),
            ca: self.ca.clone(),
            tokens,
            campaign: self.campaign.clone(),
            sku: self.sku.clone(),
            quantity: self.quantity,
            attempts: self.attempts,
            users,
            twice: self.twice,
            impatient: self.impatient,
            devices: self.devices,
            connections: self.connections,
            rate: self.rate,
            duration: self.duration.map(|s| Duration::from_secs_f64(s.max(0.0))),
            timeout: Duration::from_millis(self.timeout_ms),
            retry_for: Duration::from_secs(self.retry_for),
            seed: self.seed,
            prefix: self.prefix.clone(),
            log: self.log.clone(),
        })
    }
}

/// Runs `rushgate load` and prints the report; `true` when every attempt got its final answer and no two
/// answers contradict each other.
pub async fn main(args: Args) -> Result<bool, LoadError> {
    let report = run(args.config()?).await?;
    if args.json {
        println!("{}", report.to_json());
    } else {
        println!("{report}");
    }
    Ok(report.unknown == 0 && report.contradictions.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_before_anything_is_sent() {
        let with = |change: fn(&mut LoadConfig)| {
            let mut config = LoadConfig::default();
            change(&mut config);
            config.check().is_err()
        };
        assert!(with(|c| c.targets.clear()));
        assert!(with(|c| c.attempts = ATTEMPTS_MAX + 1));
        assert!(with(|c| c.users = 0));
        assert!(with(|c| c.twice = 1.5));
        assert!(with(|c| c.rate = Some(f64::NAN)));
        assert!(!with(|_| ()));
    }
}
