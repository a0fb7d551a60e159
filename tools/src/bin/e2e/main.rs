//! `./x e2e`: a whole sale through two gateways and two landers on real Redis, Kafka and MariaDB, held
//! against the database afterwards. Exits with 1 when one sum is wrong.

mod burst;
mod buyers;
mod figures;
mod heard;
mod issuer;
mod ledger;
mod life;
mod simulate;
mod switch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use rushgate::cli::load::LoadConfig;
use testkit::control::Control;
use testkit::deployment::{Member, Setup};

use buyers::Buyers;
use ledger::Checks;

/// Many buyers, little stock, two gateways, two landers; then every sum is checked.
#[derive(Clone, Debug, Parser)]
pub struct Flags {
    /// The binary to run
    #[arg(long, default_value = "target/release/rushgate")]
    rushgate: PathBuf,
    #[arg(long, default_value_t = 100_000)]
    attempts: u64,
    #[arg(long, default_value_t = 60_000)]
    users: u64,
    #[arg(long, default_value_t = 50_000)]
    stock: u64,
    /// Share of the attempts sent twice with the same key
    #[arg(long, default_value_t = 0.2)]
    twice: f64,
    #[arg(long, default_value_t = 128)]
    connections: usize,
    /// Kill every process three times with SIGKILL at random moments, and start it again
    #[arg(long)]
    kill: bool,
    /// Instead of the sale: activate another revision every 100 ms for 10 s under load
    #[arg(long, conflicts_with = "kill")]
    switch: bool,
    /// Instead of the sale: a tightened limit found by simulation, by a shadow and by SQL
    #[arg(long, conflicts_with_all = ["kill", "switch"])]
    simulate: bool,
    /// Instead of the sale: orders are paid, cancelled and expire, and what comes back is sold again
    #[arg(long, conflicts_with_all = ["kill", "switch", "simulate", "signed"])]
    life: bool,
    /// Buyers show signed tokens, whose keys are replaced in mid-run; over encrypted connections they always do
    #[arg(long)]
    signed: bool,
    /// Write what an order cost to this file
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
    /// Compare what an order costs with the figures of another run
    #[arg(long, value_name = "FILE")]
    beside: Option<PathBuf>,
    /// Decides users, twins and the moments of the kills
    #[arg(long)]
    seed: Option<u64>,
}

/// The processes of one run.
pub struct Deployment {
    pub gateways: Vec<Member>,
    pub landers: Vec<Member>,
    pub buyers: Buyers,
}

impl Deployment {
    async fn start(setup: &Setup, buyers: Buyers) -> Result<Self> {
        setup.migrate()?;
        Ok(Self {
            buyers,
            gateways: vec![setup.serve(1).await?, setup.serve(2).await?],
            landers: vec![setup.land(1).await?, setup.land(2).await?],
        })
    }

    pub fn targets(&self) -> Vec<String> {
        self.gateways.iter().map(Member::target).collect()
    }

    /// A load by this deployment's buyers, whose keys are replaced after `each` requests, and after as many again.
    pub fn load(&self, flags: &Flags, each: Option<u64>, config: LoadConfig) -> LoadConfig {
        let config = LoadConfig {
            targets: self.targets(),
            ca: self.buyers.ca(),
            twice: flags.twice,
            connections: flags.connections,
            ..config
        };
        let each = each.unwrap_or_else(|| Buyers::share(&config));
        LoadConfig {
            tokens: self.buyers.tokens(each),
            ..config
        }
    }

    pub fn control(&self, gateway: usize) -> Result<Control> {
        self.gateways[gateway].control()
    }

    /// Asks every process to stop; all must end by themselves.
    async fn stop(self) -> Result<()> {
        for member in self.gateways.into_iter().chain(self.landers) {
            member.stop().await?;
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let seed = flags.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
    println!("seed {seed} (repeat with --seed {seed})");
    let ended = tokio::select! {
        ended = run(&flags, seed) => ended,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match ended {
        Ok(verdict) if verdict.is_right() => {
            println!("\nevery sum is right");
            ExitCode::SUCCESS
        }
        Ok(verdict) => {
            println!("\n{} sum(s) are wrong", verdict.wrong());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("e2e: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags, seed: u64) -> Result<Checks> {
    let mut setup = Setup::new(&flags.rushgate, "e2e")?;
    if flags.life {
        let (name, value) = heard::PRIVATE;
        setup.env.push((name.to_owned(), value.to_owned()));
    }
    let buyers = Buyers::new(&mut setup, flags.signed).await?;
    let deployment = Deployment::start(&setup, buyers).await?;
    println!(
        "two gateways and two landers are up{}; logs in {}",
        match setup.authority {
            Some(_) => ", every connection encrypted",
            None => "",
        },
        setup.logs.display()
    );
    let (deployment, mut verdict) = if flags.switch {
        switch::run(&setup, deployment, flags, seed).await?
    } else if flags.life {
        life::run(&setup, deployment, flags, seed).await?
    } else if flags.simulate {
        simulate::run(&setup, deployment, flags, seed).await?
    } else {
        burst::run(&setup, deployment, flags, seed).await?
    };
    let begun = tokio::time::Instant::now();
    deployment.stop().await?;
    verdict.told(
        "four processes ended by themselves after SIGTERM",
        begun.elapsed() < Duration::from_secs(120),
    );
    Ok(verdict)
}
