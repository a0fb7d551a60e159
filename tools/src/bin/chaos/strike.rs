//! Carries the faults out. Each function hurts, waits, and heals; whatever is drawn comes from the run's seed.

use std::time::Duration;

use anyhow::Result;
use testkit::deployment::Setup;
use testkit::services;
use tokio::sync::watch;

use crate::fleet::{Env, Fleet, INSTANCE, Role};
use crate::letters;
use crate::proxy::{Mode, Proxy};
use crate::refusal;
use crate::scenario::{Fault, Link, Memory, Trouble, What};
use crate::stack::{Service, Stack, run};
use crate::topics::Topics;

/// Killed processes stay dead for up to so long.
const DEAD_MS: std::ops::Range<u64> = 200..2_500;
const LATENCY: Duration = Duration::from_millis(200);
/// Bytes cut off the end of Redis' log.
const CUT_BYTES: std::ops::Range<u64> = 1_000..400_000;
/// Between faults that are there together.
const APART: Duration = Duration::from_secs(2);
const POISON_EVERY: u64 = 500;

/// What faults are done to.
pub struct Scene<'a> {
    pub stack: &'a Stack,
    pub topics: &'a Topics,
    pub fleet: &'a Fleet,
    pub setup: &'a Setup,
    pub campaign: &'a str,
    pub attempts: u64,
    /// How long the load is meant to last.
    pub load: Duration,
    /// Turns true when the load has ended.
    pub load_ended: watch::Receiver<bool>,
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

impl Scene<'_> {
    /// Returns when the fault is healed.
    pub async fn strike(&self, fault: Fault, random: &mut fastrand::Rng) -> Result<()> {
        let dead_for = Duration::from_millis(random.u64(DEAD_MS));
        let number = random.usize(0..2);
        match fault {
            Fault::Armed => Ok(()),
            Fault::Kill(What::Gateway) => self.kill(Role::Gateway, number, dead_for).await,
            Fault::Kill(What::Lander) => self.kill(Role::Lander, number, dead_for).await,
            Fault::Kill(what) => {
                let service = service(what, random);
                self.stack.kill(service).await?;
                println!("    SIGKILL {} for {dead_for:?}", service.name());
                tokio::time::sleep(dead_for).await;
                self.stack.mend().await
            }
            Fault::Freeze(What::Gateway, time) => self.freeze(Role::Gateway, number, seconds(time)).await,
            Fault::Freeze(What::Lander, time) => self.freeze(Role::Lander, number, seconds(time)).await,
            Fault::Freeze(what, time) => {
                let service = service(what, random);
                println!("    SIGSTOP {} for {time} s", service.name());
                self.stack.freeze(service).await?;
                tokio::time::sleep(seconds(time)).await;
                self.stack.thaw(service).await?;
                self.stack.mend().await
            }
            Fault::Memory(memory) => self.forget(memory, random, dead_for).await,
            Fault::BrokersDown(count, time) => self.brokers_down(count, time, random).await,
            Fault::RollingBounce => self.rolling_bounce().await,
            Fault::Refusal(refusal, time) => refusal::run(self, refusal, seconds(time)).await,
            Fault::Network(link, trouble, time) => self.network(link, trouble, seconds(time), random).await,
            Fault::Poison => {
                let count = (self.attempts / POISON_EVERY).max(8) as usize;
                println!("    {count} records that can never land");
                self.topics.poison(self.campaign, count, self.load / 3).await
            }
            Fault::Scaling => self.scaling().await,
            Fault::Join => self.join().await,
            Fault::SameInstance => self.same_instance().await,
            Fault::Replay(point) => letters::replay(self, point).await,
            Fault::AddPartitions => self.add_partitions().await,
            Fault::Stutter(time) => self.stutter(seconds(time)).await,
            Fault::LeadersMove(time) => self.leaders_move(seconds(time)).await,
            Fault::NewGateways(time) => self.new_gateways(seconds(time), random).await,
            Fault::Together(faults) => {
                let each = faults.iter().zip(0u32..).map(|(fault, number)| {
                    let mut random = random.fork();
                    // Boxed, because it calls itself.
                    Box::pin(async move {
                        tokio::time::sleep(APART * number).await;
                        self.strike(*fault, &mut random).await
                    })
                });
                futures_util::future::try_join_all(each).await.map(drop)
            }
        }
    }

    async fn kill(&self, role: Role, number: usize, dead_for: Duration) -> Result<()> {
        println!("    SIGKILL {role:?} {} for {dead_for:?}", number + 1);
        self.fleet.kill(role, number, dead_for);
        tokio::time::sleep(dead_for).await;
        self.fleet.ready().await
    }

    async fn freeze(&self, role: Role, number: usize, time: Duration) -> Result<()> {
        let pid = self.fleet.pid(role, number)?.to_string();
        println!("    SIGSTOP {role:?} {} for {time:?}", number + 1);
        run(std::process::Command::new("kill").args(["-STOP", &pid])).await?;
        tokio::time::sleep(time).await;
        run(std::process::Command::new("kill").args(["-CONT", &pid]))
            .await
            .map(drop)
    }

    async fn forget(&self, memory: Memory, random: &mut fastrand::Rng, dead_for: Duration) -> Result<()> {
        println!("    Redis: {memory:?}");
        match memory {
            Memory::FlushAll => {
                let mut redis = services::redis(&self.stack.urls).await?;
                Ok(redis::cmd("FLUSHALL").query_async(&mut redis).await?)
            }
            Memory::KeysDeleted => self.delete_keys(random).await,
            Memory::Empty | Memory::TruncatedAof => {
                self.stack.kill(Service::Redis).await?;
                match memory {
                    Memory::Empty => self.stack.wipe(Service::Redis).await?,
                    _ => cut_aof(random.u64(CUT_BYTES))?,
                }
                tokio::time::sleep(dead_for).await;
                self.stack.mend().await
            }
        }
    }

    /// A part of the campaign's keys, at least one; which ones, the seed decides.
    async fn delete_keys(&self, random: &mut fastrand::Rng) -> Result<()> {
        let mut redis = services::redis(&self.stack.urls).await?;
        let pattern = format!("rg:{{{}.0}}:*", self.campaign);
        let mut keys: Vec<String> = redis::cmd("KEYS").arg(&pattern).query_async(&mut redis).await?;
        keys.sort();
        random.shuffle(&mut keys);
        keys.truncate(random.usize(1..=keys.len().div_ceil(3).max(1)));
        println!(
            "    {} keys, {} the first of them",
            keys.len(),
            keys.first().map_or("", String::as_str)
        );
        Ok(redis::cmd("DEL").arg(keys).query_async(&mut redis).await?)
    }

    async fn brokers_down(&self, count: usize, time: Option<f64>, random: &mut fastrand::Rng) -> Result<()> {
        let mut numbers: Vec<usize> = (1..=self.stack.brokers.len()).collect();
        random.shuffle(&mut numbers);
        for number in &numbers[..count] {
            println!("    SIGKILL kafka-{number}");
            self.stack.kill(Service::Broker(*number)).await?;
        }
        match time {
            Some(time) => tokio::time::sleep(seconds(time)).await,
            // The sender lives as long as the run.
            None => drop(self.load_ended.clone().wait_for(|ended| *ended).await),
        }
        self.stack.mend().await
    }

    async fn rolling_bounce(&self) -> Result<()> {
        for number in 1..=self.stack.brokers.len() {
            println!("    bounces kafka-{number}");
            self.stack.kill(Service::Broker(number)).await?;
            self.stack.mend().await?;
            self.topics.in_sync().await?;
        }
        Ok(())
    }

    async fn network(
        &self,
        link: Link,
        trouble: Trouble,
        time: Duration,
        random: &mut fastrand::Rng,
    ) -> Result<()> {
        let proxies: Vec<&Proxy> = match link {
            Link::Redis => vec![&self.stack.redis],
            Link::Database => vec![&self.stack.database],
            // Two of three: with one alone, its partitions would just move.
            Link::Brokers => {
                let spared = random.usize(0..self.stack.brokers.len());
                let brokers = self.stack.brokers.iter().enumerate();
                brokers
                    .filter(|(number, _)| *number != spared)
                    .map(|(_, proxy)| proxy)
                    .collect()
            }
        };
        println!("    network to {link:?}: {trouble:?} for {time:?}");
        let mode = match trouble {
            Trouble::Cut => Mode::Cut,
            Trouble::OneWay => Mode::OneWay,
            Trouble::Latency => Mode::Latency(LATENCY),
            Trouble::Reset => Mode::Reset,
        };
        proxies.iter().for_each(|proxy| proxy.set(mode));
        tokio::time::sleep(time).await;
        proxies.iter().for_each(|proxy| proxy.set(Mode::Pass));
        Ok(())
    }

    async fn scaling(&self) -> Result<()> {
        println!("    landers: 1");
        self.fleet.remove_lander().await?;
        println!("    landers: 3");
        self.fleet.add_lander(3, &Env::new())?;
        self.fleet.add_lander(4, &Env::new())?;
        self.fleet.ready().await?;
        tokio::time::sleep(self.load / 8).await;
        println!("    landers: 1");
        self.fleet.remove_lander().await?;
        self.fleet.remove_lander().await
    }

    async fn join(&self) -> Result<()> {
        println!("    a third lander joins");
        self.fleet.add_lander(3, &Env::new())?;
        self.fleet.ready().await
    }

    async fn same_instance(&self) -> Result<()> {
        println!("    two more landers under one name");
        let twin = || vec![(INSTANCE.to_owned(), "twin".to_owned())];
        self.fleet.add_lander(3, &twin())?;
        self.fleet.add_lander(4, &twin())?;
        tokio::time::sleep(self.load / 4).await;
        self.fleet.remove_lander().await?;
        self.fleet.ready().await
    }
}

fn service(what: What, random: &mut fastrand::Rng) -> Service {
    match what {
        What::Database => Service::Database,
        What::Broker => Service::Broker(random.usize(1..=3)),
        _ => Service::Redis,
    }
}

/// Takes the tail off the newest append-only file.
fn cut_aof(bytes: u64) -> Result<()> {
    let folder = refusal::data_folder()?.join("redis/appendonlydir");
    let mut newest = None;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".incr.aof") {
            newest = newest.max(Some(path));
        }
    }
    if let Some(path) = newest {
        let length = std::fs::metadata(&path)?.len();
        println!("    {bytes} of {length} bytes cut off the end of Redis' log");
        std::fs::OpenOptions::new()
            .write(true)
            .open(path)?
            .set_len(length.saturating_sub(bytes))?;
    }
    Ok(())
}
