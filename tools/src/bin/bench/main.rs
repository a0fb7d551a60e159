//! `./x bench`: what an order costs, beside a bare reference measured in the same run on the same machine.
//!
//! Load tool, gateway, Redis, Kafka and the database share the machine, so throughputs say little by
//! themselves; CPU time per order, read from /proc, says more, and ratios say most.

mod campaigns;
mod consoles;
mod end;
mod gateway;
mod landing;
mod peer;
mod pipeline;
mod rules;
mod script;
mod small;
mod table;
mod wrk;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use testkit::control::Control;
use testkit::deployment::{Member, Setup};

use table::Table;

/// Measures the gateway, its Redis script, landing and the whole path
#[derive(Clone, Debug, Parser)]
struct Flags {
    /// What to measure
    #[arg(value_enum, default_value_t = Part::Orders)]
    part: Part,
    /// The binary to measure
    #[arg(long, default_value = "target/release/rushgate")]
    rushgate: PathBuf,
    /// Seconds of each load
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Orders per second of the latency run
    #[arg(long, default_value_t = 9_000.0)]
    rate: f64,
    /// Landed orders that the pipeline is measured with
    #[arg(long, default_value_t = 1_000_000)]
    orders: u64,
    /// Campaigns that there are many of
    #[arg(long, default_value_t = 1000)]
    campaigns: usize,
    /// Open pages of the console
    #[arg(long, default_value_t = 50)]
    consoles: usize,
    /// Repetitions beside a peer, or beside open consoles
    #[arg(long, default_value_t = 2)]
    repetitions: u32,
    /// Where the table goes as JSON
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Part {
    /// What an order costs: gateway, script, landing, the whole path
    Orders,
    /// What rules cost: time in the script, shadows, prechecks, memory, lists
    Rules,
    /// What comes after admission: landing, a stalled Kafka, rebuild, reconcile, bytes
    Pipeline,
    /// What landing pays for each index of orders and for telling of them
    Landing,
    /// What many campaigns cost, and large ones: idle, after a loss, made beside others
    Campaigns,
    /// What open pages of the console cost a sale
    Consoles,
    /// Beside another system on the same services: `./x bench --peer DIR`
    Peer,
}

/// What every part of the benchmark works with.
pub struct Bench {
    pub setup: Setup,
    pub time: Duration,
    pub rate: f64,
    pub orders: u64,
    pub campaigns: usize,
    pub table: Table,
}

pub const SKU: &str = "mug";
/// More than any run sells.
pub const STOCK: u64 = 5_000_000;

impl Bench {
    /// Opens a campaign with one order per user.
    pub async fn campaign(&self, gateway: &Member, id: &str, stock: u64) -> Result<()> {
        let rules = serde_json::json!([{"module": "one-per-user"}]);
        Control::new(&gateway.admin)
            .create_campaign(id, SKU, stock, rules)
            .await
            .map(drop)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    let mut bench = Bench {
        setup: Setup::new(&flags.rushgate, "bench")?,
        time: Duration::from_secs(flags.seconds.max(1)),
        rate: flags.rate,
        orders: flags.orders,
        campaigns: flags.campaigns.max(1),
        table: Table::default(),
    };
    bench.setup.migrate()?;
    match flags.part {
        Part::Orders => orders(&mut bench).await?,
        Part::Rules => rules::run(&mut bench).await?,
        Part::Pipeline => pipeline::run(&mut bench).await?,
        Part::Landing => pipeline::added(&mut bench).await?,
        Part::Peer => peer::run(&mut bench, flags.repetitions).await?,
        Part::Campaigns => campaigns::run(&mut bench).await?,
        Part::Consoles => consoles::run(&mut bench, flags.consoles, flags.repetitions).await?,
    }
    bench.table.print();
    bench.table.write(&flags.json)?;
    println!("written to {}", flags.json.display());
    Ok(())
}

async fn orders(bench: &mut Bench) -> Result<()> {
    eprintln!("start and compile");
    small::run(bench).await?;
    eprintln!("gateway beside a bare responder, Redis beside a hand-written script");
    gateway::run(bench).await?;
    eprintln!("landing beside a bare insert");
    landing::run(bench).await?;
    eprintln!("end to end");
    end::run(bench).await
}
