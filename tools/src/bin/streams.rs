//! `./x streams`: so many open streams of events over one gateway. What they cost, and how long after an order is in the
//! database its buyer hears of it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use testkit::deployment::{Member, Setup};
use testkit::events::Events;
use testkit::http::Http;
use testkit::process::{cpu, peak_mib, resident_mib};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Many open streams, and orders that they tell of.
#[derive(Clone, Debug, Parser)]
struct Flags {
    /// The binary to run
    #[arg(long, default_value = "target/release/rushgate")]
    rushgate: PathBuf,
    /// Open streams
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// Orders a second
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// For how long the open streams are only looked at, seconds
    #[arg(long, default_value_t = 20)]
    rest: u64,
}

/// Requests at a time.
const AT_ONCE: usize = 64;
/// Everything that is waited for.
const PATIENCE: Duration = Duration::from_secs(180);
const CAMPAIGN: &str = "streams";

/// A gateway whose streams are opened, and one lander.
struct World {
    gateway: Member,
    setup: Setup,
    http: Http,
    /// Milliseconds from a commit to its client.
    heard: mpsc::UnboundedReceiver<i64>,
    hears: mpsc::UnboundedSender<i64>,
    open: JoinSet<Result<()>>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let ended = tokio::select! {
        ended = run(&flags) => ended,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streams: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<()> {
    let mut world = World::start(flags).await?;
    let pid = world.gateway.pid();
    println!(
        "a gateway without streams           {:>8.0} MiB",
        resident_mib(pid)?
    );
    let mut lander = world.setup.land(1).await?;

    println!("\n{} buyers, a stream each of all their orders", flags.streams);
    world
        .open(flags.streams, |n| (buyer("mine", n), "events".to_owned()))
        .await?;
    world.rest(flags).await?;
    let begun = Instant::now();
    let used = cpu(pid)?;
    world.place("mine", flags).await?;
    world.told(flags.streams, begun, used).await?;
    println!("peak                                {:>8.0} MiB", peak_mib(pid)?);

    println!(
        "\n{} orders on their way, a stream each until it is confirmed",
        flags.streams
    );
    world.open.shutdown().await;
    lander.kill();
    let orders = Arc::new(world.place("one", flags).await?);
    world
        .open(flags.streams, |n| {
            (buyer("one", n), format!("{}/events", orders[n]))
        })
        .await?;
    world.rest(flags).await?;
    println!("all of them land at once");
    let begun = Instant::now();
    let used = cpu(pid)?;
    lander.spawn()?;
    world.told(flags.streams, begun, used).await?;
    println!("peak                                {:>8.0} MiB", peak_mib(pid)?);
    lander.stop().await?;
    world.gateway.stop().await
}

fn buyer(kind: &str, number: usize) -> String {
    format!("{kind}-{number}")
}

impl World {
    async fn start(flags: &Flags) -> Result<Self> {
        let mut setup = Setup::new(&flags.rushgate, "streams")?;
        let room = (flags.streams + 500).to_string();
        let all =
            ["CONNECTIONS", "PEER_CONNECTIONS", "STREAMS", "PEER_STREAMS"].map(|name| (name, room.clone()));
        let paced = [("PEER_CONNECTS", "100000".to_owned())];
        let settings = all.into_iter().chain(paced);
        setup.env = settings
            .map(|(name, value)| (format!("RUSHGATE_GATEWAY_{name}"), value))
            .collect();
        setup.migrate()?;
        let gateway = setup.serve(1).await?;
        let rules = json!([{"module": "n-per-user", "params": {"limit": 1}}]);
        let stock = 3 * flags.streams as u64;
        gateway
            .control()?
            .create_campaign(CAMPAIGN, "mug", stock, rules)
            .await?;
        let (hears, heard) = mpsc::unbounded_channel();
        Ok(Self {
            gateway,
            setup,
            http: Http::new(),
            heard,
            hears,
            open: JoinSet::new(),
        })
    }

    /// Opens a stream for each number: its buyer, and what stands behind `…/orders/`.
    async fn open(&mut self, streams: usize, of: impl Fn(usize) -> (String, String)) -> Result<()> {
        let begun = Instant::now();
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let (opened, mut all) = mpsc::unbounded_channel();
        for number in 0..streams {
            let (user, rest) = of(number);
            let path = format!("/v1/campaigns/{CAMPAIGN}/orders/{rest}");
            let (address, hears) = (self.gateway.orders.clone(), self.hears.clone());
            let (turns, opened) = (turns.clone(), opened.clone());
            self.open.spawn(async move {
                let turn = turns.acquire_owned().await?;
                let bearer = format!("Bearer dev:{user}");
                let mut events = Events::open(&address, &path, &[("authorization", &bearer)]).await?;
                drop(turn);
                if events.status() != 200 {
                    bail!("{path} answered {}", events.head);
                }
                let _ = opened.send(());
                listen(&mut events, &hears).await
            });
        }
        drop(opened);
        let all_open = async {
            for _ in 0..streams {
                if all.recv().await.is_none() {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, all_open).await?;
        self.check()?;
        println!(
            "opened in                           {:>8.1} s",
            begun.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// No stream may have failed.
    fn check(&mut self) -> Result<()> {
        while let Some(ended) = self.open.try_join_next() {
            ended??;
        }
        Ok(())
    }

    async fn rest(&self, flags: &Flags) -> Result<()> {
        let (pid, begun) = (self.gateway.pid(), Instant::now());
        let used = cpu(pid)?;
        tokio::time::sleep(Duration::from_secs(flags.rest)).await;
        let share = (cpu(pid)? - used).as_secs_f64() / begun.elapsed().as_secs_f64();
        println!(
            "at rest                             {:>8.0} MiB",
            resident_mib(pid)?
        );
        println!("at rest, of one core                {:>8.1} %", 100.0 * share);
        Ok(())
    }

    /// One order of each buyer, at the rate; their ids.
    async fn place(&self, kind: &str, flags: &Flags) -> Result<Vec<String>> {
        let url = format!("http://{}/v1/campaigns/{CAMPAIGN}/orders", self.gateway.orders);
        let begun = tokio::time::Instant::now();
        let orders = stream::iter(0..flags.streams).map(|number| {
            let (http, url, user) = (self.http.clone(), &url, buyer(kind, number));
            let at = begun + Duration::from_secs(1) * number as u32 / flags.rate;
            async move {
                tokio::time::sleep_until(at).await;
                let bearer = format!("Bearer dev:{user}");
                let headers = [("authorization", bearer.as_str())];
                let reply = http
                    .post(url, &headers, &json!({"sku": "mug", "quantity": 1}))
                    .await;
                if reply.status != 202 {
                    bail!("an order was answered {}: {}", reply.status, reply.text());
                }
                let order = reply.json()["order"].as_str().map(str::to_owned);
                order.context("an answer without an order")
            }
        });
        orders.buffered(AT_ONCE).try_collect().await
    }

    /// Waits until each stream has told of its order.
    async fn told(&mut self, orders: usize, begun: Instant, used: Duration) -> Result<()> {
        let mut delays = Vec::with_capacity(orders);
        let all = async {
            while delays.len() < orders {
                delays.extend(self.heard.recv().await);
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            self.check()?;
            bail!("only {} of {orders} orders were heard of", delays.len());
        }
        let seconds = begun.elapsed().as_secs_f64();
        let share = (cpu(self.gateway.pid())? - used).as_secs_f64() / seconds;
        delays.sort_unstable();
        let at = |share: f64| delays[((orders - 1) as f64 * share) as usize];
        println!("told {orders} states in               {seconds:>8.1} s");
        println!("meanwhile, of one core              {:>8.1} %", 100.0 * share);
        println!(
            "from commit to client               p50 {} ms, p99 {} ms, most {} ms",
            at(0.5),
            at(0.99),
            at(1.0)
        );
        Ok(())
    }
}

/// Says how old each confirmation is when it comes.
async fn listen(events: &mut Events, hears: &mpsc::UnboundedSender<i64>) -> Result<()> {
    while let Some((_, order)) = events.event().await? {
        if let Some(confirmed_at) = confirmed_at(&order)? {
            let now = jiff::Timestamp::now().as_millisecond();
            let _ = hears.send(now - confirmed_at);
        }
    }
    Ok(())
}

/// Milliseconds since 1970-01-01 UTC.
fn confirmed_at(order: &Value) -> Result<Option<i64>> {
    match order["confirmed_at"].as_str() {
        Some(at) => Ok(Some(at.parse::<jiff::Timestamp>()?.as_millisecond())),
        None => Ok(None),
    }
}
