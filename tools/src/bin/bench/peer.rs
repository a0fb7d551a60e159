//! Another system that sells beside rushgate: both serve in turn, with the same Redis, Kafka and MariaDB.
//!
//! What the peer has to offer: a folder with `run.sh WORK` and `stop.sh WORK`, which start and stop the three services and
//! it, pid files under `WORK/pid` (it is `app`); `PUT /campaigns/{number}?stock=`, `POST /orders/{number}` with the header
//! `X-User`; the units left of a campaign in Redis under `seckill:{number}:stock`, and those not landed in `peer.campaign`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, MySqlPool};
use testkit::deployment::Member;
use testkit::services;
use tokio::time::Instant;

use crate::wrk::{Figures, Orders};
use crate::{Bench, STOCK, end, wrk};

const PEER: &str = "127.0.0.1:18080";
const CONNECTIONS: [u32; 2] = [64, 256];
const LANDED_WITHIN: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);
/// Orders that were in flight when the load ended have come by then.
const STILL: Duration = Duration::from_millis(500);
/// The peer's, before it is measured for the first time.
const WARM_UP: Duration = Duration::from_secs(15);

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Who {
    Peer,
    Accepted,
    Admitted,
}

impl Who {
    const ALL: [Self; 3] = [Self::Peer, Self::Accepted, Self::Admitted];

    fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Accepted => "accepted",
            Self::Admitted => "admitted",
        }
    }
}

/// One run.
struct Run {
    figures: Figures,
    landed_per_second: f64,
    /// µs of CPU per landed order, by process.
    cpu: BTreeMap<String, f64>,
    landed: i64,
}

impl Run {
    fn sum(&self) -> f64 {
        self.cpu.values().sum()
    }
}

/// A campaign of one of them.
struct Sale<'a> {
    who: Who,
    id: String,
    database: &'a MySqlPool,
    redis: redis::aio::MultiplexedConnection,
}

impl Sale<'_> {
    /// Units that buyers were given.
    async fn accepted(&mut self) -> Result<i64> {
        match self.who {
            Who::Peer => {
                let key = format!("seckill:{{{}}}:stock", self.id);
                let left: i64 = redis::cmd("GET").arg(key).query_async(&mut self.redis).await?;
                Ok(STOCK as i64 - left)
            }
            _ => {
                let key = format!("rg:{{{}.0}}:state", self.id);
                let mut admitted = redis::cmd("HGET");
                let admitted = admitted.arg(key).arg("admitted").query_async(&mut self.redis);
                let admitted: Option<i64> = admitted.await?;
                Ok(admitted.unwrap_or(0))
            }
        }
    }

    /// From the row of the stock, which the transaction that inserts the orders changes.
    async fn landed(&self) -> Result<i64> {
        let sql = match self.who {
            Who::Peer => format!("SELECT {STOCK} - stock FROM peer.campaign WHERE id = {}", self.id),
            _ => format!("SELECT sold FROM stock WHERE campaign_id = '{}'", self.id),
        };
        let landed = sqlx::query_scalar(AssertSqlSafe(sql));
        Ok(landed.fetch_one(self.database).await?)
    }

    /// Waits until all has landed and nothing more is accepted: how many, and how long after `begun`.
    async fn all_landed(&mut self, begun: Instant) -> Result<(i64, Duration)> {
        loop {
            let accepted = self.accepted().await?;
            while self.landed().await? < accepted {
                ensure!(begun.elapsed() < LANDED_WITHIN, "{}: not landed", self.id);
                tokio::time::sleep(POLL).await;
            }
            let took = begun.elapsed();
            tokio::time::sleep(STILL).await;
            if self.accepted().await? == accepted {
                return Ok((accepted, took));
            }
        }
    }
}

pub async fn run(bench: &mut Bench, repetitions: u32) -> Result<()> {
    let lander = bench.setup.land(1).await?;
    let mut number = jiff::Timestamp::now().as_second();
    for repetition in 1..=repetitions {
        for connections in CONNECTIONS {
            let mut runs = BTreeMap::new();
            for who in Who::ALL {
                number += 2;
                let warm_up = match (who, repetition) {
                    (Who::Peer, 1) => WARM_UP,
                    _ => WARM_UP / 5,
                };
                let run = measured(bench, who, connections, number, &lander, warm_up).await?;
                runs.insert(who, run);
            }
            tell(bench, repetition, connections, &runs);
        }
    }
    lander.stop().await
}

async fn measured(
    bench: &Bench,
    who: Who,
    connections: u32,
    number: i64,
    lander: &Member,
    warm_up: Duration,
) -> Result<Run> {
    let answer = [("RUSHGATE_ADMISSION_ANSWER", who.name())];
    let gateway = match who {
        Who::Peer => None,
        _ => Some(bench.setup.serve_with(1, &answer).await?),
    };
    let database = services::database(&bench.setup.urls).await?;
    let mut sale = open(bench, who, gateway.as_ref(), number, &database).await?;
    load(&sale, gateway.as_ref(), connections, warm_up).await?;
    sale.all_landed(Instant::now()).await?;

    let mut sale = open(bench, who, gateway.as_ref(), number + 1, &database).await?;
    let mut pids = end::stack_pids()?;
    if let Some(gateway) = &gateway {
        pids.retain(|(name, _)| name != "app");
        pids.extend([
            ("gateway".to_owned(), gateway.pid()),
            ("lander".to_owned(), lander.pid()),
        ]);
    }
    let before = end::cpu(&pids)?;
    let begun = Instant::now();
    let figures = load(&sale, gateway.as_ref(), connections, bench.time).await?;
    let (landed, took) = sale.all_landed(begun).await?;
    let after = end::cpu(&pids)?;
    let used = before.iter().zip(&after).map(|(before, after)| *after - *before);
    let per_order = |used: Duration| used.as_micros() as f64 / landed.max(1) as f64;
    let cpu = pids
        .into_iter()
        .map(|(name, _)| name)
        .zip(used.map(per_order))
        .collect();
    if let Some(gateway) = gateway {
        gateway.stop().await?;
    }
    Ok(Run {
        figures,
        landed_per_second: landed as f64 / took.as_secs_f64(),
        cpu,
        landed,
    })
}

async fn open<'a>(
    bench: &Bench,
    who: Who,
    gateway: Option<&Member>,
    number: i64,
    database: &'a MySqlPool,
) -> Result<Sale<'a>> {
    let id = match gateway {
        None => {
            let url = format!("http://{PEER}/campaigns/{number}?stock={STOCK}");
            let mut curl = std::process::Command::new("curl");
            curl.args(["-sf", "-X", "PUT", &url]);
            let made = tokio::task::spawn_blocking(move || curl.status()).await?;
            ensure!(
                made.context("curl is not installed")?.success(),
                "the peer opens no campaign"
            );
            number.to_string()
        }
        Some(gateway) => {
            let id = format!("beside-{number}");
            bench.campaign(gateway, &id, STOCK).await?;
            id
        }
    };
    Ok(Sale {
        who,
        id,
        database,
        redis: services::redis(&bench.setup.urls).await?,
    })
}

async fn load(
    sale: &Sale<'_>,
    gateway: Option<&Member>,
    connections: u32,
    time: Duration,
) -> Result<Figures> {
    let orders = Orders {
        address: gateway.map_or(PEER, |gateway| &gateway.orders),
        campaign: &sale.id,
        keyed: true,
        connections,
    };
    match gateway {
        None => wrk::run_peer(orders, time).await,
        Some(_) => wrk::run(orders, "u", time).await,
    }
}

fn tell(bench: &mut Bench, repetition: u32, connections: u32, runs: &BTreeMap<Who, Run>) {
    let peer = &runs[&Who::Peer];
    let name =
        |who: Who, what: &str| format!("{repetition}: {connections} connections, {}: {what}", who.name());
    for (who, run) in runs {
        let table = &mut bench.table;
        table.ratio(
            name(*who, "landed"),
            run.landed_per_second,
            "per s",
            peer.landed_per_second,
            None,
        );
        table.ratio(
            name(*who, "p99"),
            run.figures.p99_ms,
            "ms",
            peer.figures.p99_ms,
            None,
        );
        table.ratio(
            name(*who, "CPU per landed order"),
            run.sum(),
            "µs",
            peer.sum(),
            None,
        );
        for (process, us) in &run.cpu {
            let what = format!("CPU per landed order, {process}");
            match peer.cpu.get(process) {
                Some(there) => table.ratio(name(*who, &what), *us, "µs", *there, None),
                None => table.figure(name(*who, &what), *us, "µs"),
            }
        }
        table.note(format!("{}: {} landed", name(*who, "orders"), run.landed));
    }
}
