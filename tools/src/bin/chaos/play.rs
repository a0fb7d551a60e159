//! One run: load, fault, heal, drain, check.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use testkit::deployment::Setup;
use testkit::services;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clients::{self, Clients, PER_DEVICE, PER_USER};
use crate::cold::Start;
use crate::drain::{self, Drain};
use crate::fleet::{Env, Fleet, Role};
use crate::refusal;
use crate::refused;
use crate::report::Row;
use crate::scenario::{Fault, Refusal, Scenario};
use crate::shop::Shop;
use crate::strike::Scene;
use crate::world::World;

/// The fault strikes within this part of the load.
const MOMENT: std::ops::Range<f64> = 0.15..0.4;
const DRAIN_WITHIN: Duration = Duration::from_secs(150);
const SHOP_LOG: &str = "shop.jsonl";
const ARMED: &str = "RUSHGATE_FAILPOINT";

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    pub scenario: &'a Scenario,
    pub seed: u64,
    pub attempts: u64,
    pub rate: f64,
    pub connections: usize,
    pub stock: u64,
    /// Producers with librdkafka's idempotence.
    pub idempotent: bool,
}

/// When the fault began and was healed, in milliseconds since 1970, and how long landing took from there.
struct Struck {
    at: i64,
    healed: i64,
    recovery: Duration,
}

/// Why this scenario cannot be played here, if so.
pub fn why_not(scenario: &Scenario) -> Result<Option<String>> {
    match scenario.faults.contains(&Fault::Refusal(Refusal::DiskFull, 6.0)) {
        true => refusal::why_not_full(),
        false => Ok(None),
    }
}

/// Plays it; the row says what came of it.
pub async fn play(world: &World, order: Order<'_>) -> Result<Row> {
    let Order {
        scenario,
        seed,
        attempts,
        ..
    } = order;
    let mut random = fastrand::Rng::with_seed(seed);
    let campaign = format!("{}-{seed}-{}", scenario.name, clients::now() % 1_000_000).to_ascii_lowercase();
    println!(
        "{}: seed {seed}, {attempts} attempts, campaign {campaign}",
        scenario.name
    );
    world.reset(scenario.cold).await?;
    if scenario.faults.contains(&Fault::Join) {
        // One that is still a member would not have to join.
        world.topics.landers_left().await?;
    }
    let setup = world.setup_of(&campaign, scenario, order.idempotent)?;
    let since = setup.logs.join("since.json");
    std::fs::write(&since, json!(world.topics.ends().await?).to_string())?;

    let arms = draw_arms(scenario, attempts, &mut random);
    let armed = |role, number| {
        arms.iter()
            .filter(|(r, n, _)| (*r, *n) == (role, number))
            .map(arming)
            .collect()
    };
    let fleet = Fleet::begin(&setup, scenario.restart_after(), armed)?;
    start(&fleet, &setup, scenario.cold).await?;
    create(&fleet, &campaign, order.stock).await?;
    if scenario.by_key {
        by_key(world, &fleet, &campaign).await?;
    }
    let buyers = Clients {
        rushgate: setup.rushgate.clone(),
        targets: fleet.targets(),
        campaign: campaign.clone(),
        attempts,
        rate: order.rate,
        connections: order.connections,
        seed,
        log: setup.logs.join("clients.jsonl"),
    };
    let shop = match scenario.shop {
        true => Some(Shop::open(
            fleet.controls(),
            services::database(&world.stack.urls).await?,
            (&campaign, clients::lasts(attempts, order.rate)),
            &setup.logs.join(SHOP_LOG),
        )?),
        false => None,
    };
    let mut drain = Drain::open(&world.stack.urls, &world.topics, &campaign).await?;
    let struck = under_load(
        world,
        &order,
        &setup,
        &fleet,
        (&buyers, shop.as_ref()),
        &mut drain,
        &mut random,
    )
    .await;
    // A scenario that broke off half-way leaves nothing broken behind.
    world.stack.heal_network();
    world.stack.mend().await?;
    let struck = struck?;
    fleet.ready().await?;
    drain.all(DRAIN_WITHIN).await?;
    drain.released(DRAIN_WITHIN).await?;
    drain.told(DRAIN_WITHIN).await?;
    let remaining = drain::remaining(&fleet.controls(), &campaign, DRAIN_WITHIN).await?;
    let died = fleet.died();
    fleet.stop().await?;

    let findings = world
        .check(&arguments(
            scenario,
            &campaign,
            &buyers,
            (&since, &setup.logs),
            remaining,
        ))
        .await?;
    Ok(Row {
        scenario: scenario.name.to_owned(),
        seed,
        campaign,
        latencies: clients::latencies(&buyers.log, struck.at, struck.healed)?,
        fault_ms: struck.healed - struck.at,
        recovery_ms: struck.recovery.as_millis() as u64,
        died,
        // What never struck shows nothing.
        idle: scenario.must_die() && died == 0,
        refused: match scenario.counts_refused {
            true => Some(refused::count(&setup.logs)?),
            false => None,
        },
        findings,
    })
}

/// Role and number of each process that is armed, with what.
fn draw_arms(scenario: &Scenario, attempts: u64, random: &mut fastrand::Rng) -> Vec<(Role, usize, String)> {
    let draw = |(role, number, point, most): &(Role, usize, &str, u64)| {
        let lot = random.usize(1..=2);
        let number = if *number == 0 { lot } else { *number };
        // A short run has fewer hits; very early ones belong to the start of the sale.
        let most = (*most).min((attempts / attempts_per_hit(*role, point)).max(1));
        let hit = random.u64(most.div_ceil(3)..=most);
        println!("    {role:?} {number} dies at hit {hit} of {point}");
        (*role, number, format!("{point}=abort@{hit}"))
    };
    scenario.arms.iter().map(draw).collect()
}

/// How many attempts of a run a process needs at most to come by a fail-point once, where it is slow.
fn attempts_per_hit(role: Role, point: &str) -> u64 {
    match (role, point) {
        // Lands hundreds of orders at a time.
        (Role::Lander, _) => 5_000,
        // Settles what many batches admitted.
        (Role::Gateway, "G6" | "G7") => 1_000,
        (Role::Gateway, _) => 400,
    }
}

fn arming((_, _, text): &(Role, usize, String)) -> (String, String) {
    (ARMED.to_owned(), text.clone())
}

/// Waits until orders can be placed. A cold run does not wait until the processes are ready: its first orders meet
/// producers that have sent nothing yet, and topics that are just being made.
async fn start(fleet: &Fleet, setup: &Setup, start: Option<Start>) -> Result<()> {
    match start {
        None => fleet.ready().await,
        Some(Start::JustMade) => {
            let setup = setup.clone();
            let making = tokio::task::spawn_blocking(move || setup.migrate());
            let (made, answers) = tokio::join!(making, fleet.answers());
            made??;
            answers
        }
    }
}

async fn create(fleet: &Fleet, campaign: &str, stock: u64) -> Result<()> {
    let rules = json!([
        {"module": "n-per-user", "params": {"limit": PER_USER, "count": "orders"}},
        {"module": "per-subject", "params": {"limits": [{"by": ["client:device"], "limit": PER_DEVICE, "count": "orders"}]}},
    ]);
    let controls = fleet.controls();
    let control = controls.first().context("no gateway runs")?;
    control
        .create_campaign(campaign, clients::SKU, stock, rules)
        .await
        .map(drop)
}

/// Makes a campaign one from before lanes had partitions; gateways learn it as they learn of any activation.
async fn by_key(world: &World, fleet: &Fleet, campaign: &str) -> Result<()> {
    let sql = format!("UPDATE rushgate.campaigns SET partitions = NULL WHERE campaign_id = '{campaign}'");
    world.stack.sql(&sql).await?;
    let controls = fleet.controls();
    let control = controls.first().context("no gateway runs")?;
    control.activate(campaign, 1).await
}

/// The load, and in the middle of it the fault.
async fn under_load(
    world: &World,
    order: &Order<'_>,
    setup: &Setup,
    fleet: &Fleet,
    (buyers, shop): (&Clients, Option<&Shop<'_>>),
    drain: &mut Drain,
    random: &mut fastrand::Rng,
) -> Result<Struck> {
    let load = clients::lasts(order.attempts, order.rate);
    let (ended, load_ended) = watch::channel(false);
    let shop_ended = load_ended.clone();
    let scene = Scene {
        stack: &world.stack,
        topics: &world.topics,
        fleet,
        setup,
        campaign: &buyers.campaign,
        attempts: order.attempts,
        load,
        load_ended,
    };
    let moment = load.mul_f64(MOMENT.start + random.f64() * (MOMENT.end - MOMENT.start));
    let playing = async {
        let played = buyers.run().await;
        // Nobody waits for it in most scenarios.
        let _ = ended.send(true);
        played
    };
    let faults = async {
        tokio::time::sleep(moment).await;
        let begun = Instant::now();
        let at = clients::now();
        for fault in order.scenario.faults {
            scene.strike(*fault, random).await?;
        }
        let healed = clients::now();
        if order.scenario.strikes() {
            println!("    healed after {:.1} s", begun.elapsed().as_secs_f64());
        }
        let mut recovery = drain.recover(DRAIN_WITHIN).await?;
        if order.scenario.redis_lost {
            let opening = Instant::now();
            drain::remaining(&fleet.controls(), &buyers.campaign, DRAIN_WITHIN).await?;
            recovery += opening.elapsed();
        }
        println!("    recovered after another {:.1} s", recovery.as_secs_f64());
        Ok(Struck { at, healed, recovery })
    };
    let selling = async {
        match shop {
            Some(shop) => shop.run(shop_ended).await,
            None => Ok(()),
        }
    };
    let (played, struck, sold) = tokio::join!(playing, faults, selling);
    played?;
    sold?;
    struck
}

fn arguments(
    scenario: &Scenario,
    campaign: &str,
    buyers: &Clients,
    (since, logs): (&std::path::Path, &std::path::Path),
    remaining: i64,
) -> Env {
    let text = |value: &str| value.to_owned();
    let mut arguments = vec![
        (text("--campaign"), text(campaign)),
        (text("--log"), buyers.log.display().to_string()),
        (text("--since"), since.display().to_string()),
        (text("--per-user"), PER_USER.to_string()),
        (text("--per-device"), PER_DEVICE.to_string()),
        // One word: it may be below 0.
        (format!("--remaining={remaining}"), String::new()),
    ];
    if scenario.shop {
        arguments.push((text("--shop"), logs.join(SHOP_LOG).display().to_string()));
    }
    if scenario.redis_lost {
        arguments.push((text("--redis-lost"), String::new()));
    }
    arguments
}
