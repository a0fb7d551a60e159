//! Cold starts: topics that were just made, partitions that are added, leaders that move, gateways that begin.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use tokio::time::Instant;

use crate::fleet::Role;
use crate::leaders;
use crate::stack::Service;
use crate::strike::Scene;
use crate::topics::Topics;

/// More than usual: each has a first batch of its own.
pub const PARTITIONS: usize = 24;
/// So many are added.
const ADDED: usize = 12;
/// Between moves of the leaders.
const MOVE_EVERY: Duration = Duration::from_millis(700);
/// So long a broker stops, and so long all go on.
const STOPPED: Duration = Duration::from_millis(300);
const GOES_ON: Duration = Duration::from_millis(100);
/// A gateway is gone for so long before the next one begins in its place.
const GONE_MS: std::ops::Range<u64> = 20..200;
const DELETED_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// How a run begins whose topics nobody knows yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// They are made while the processes start, and the first orders come at once.
    JustMade,
}

impl Topics {
    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.brokers);
        client.create().context("an admin client")
    }

    /// Removes the pipeline's topics, with everything in them.
    pub async fn delete(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let placed = self.placed().await?;
            if placed.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > DELETED_WITHIN {
                bail!("the topics are still there after {DELETED_WITHIN:?}");
            }
            let names: Vec<&str> = placed.iter().map(|(name, _)| name.as_str()).collect();
            // Those that are being deleted already are told as unknown.
            self.admin()?.delete_topics(&names, &AdminOptions::new()).await?;
            tokio::time::sleep(POLL).await;
        }
    }

    /// Adds partitions to all of them, to the orders last: whoever moves an order finds its partition everywhere.
    async fn grow(&self) -> Result<()> {
        let mut placed = self.placed().await?;
        placed.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, partitions) in &placed {
            let grown = NewPartitions::new(name, partitions.len() + ADDED);
            let grown = self
                .admin()?
                .create_partitions(&[grown], &AdminOptions::new())
                .await?;
            if let Some(Err((topic, error))) = grown.into_iter().next() {
                bail!("{topic}: no partitions could be added: {error}");
            }
        }
        self.in_sync().await
    }

    async fn move_leaders(&self) -> Result<()> {
        let placed = self.placed().await?;
        let broker = self.brokers.split(',').next().unwrap_or_default().to_owned();
        tokio::task::spawn_blocking(move || leaders::rotate(&broker, &placed)).await?
    }
}

impl Scene<'_> {
    pub async fn add_partitions(&self) -> Result<()> {
        println!("    {ADDED} partitions more");
        self.topics.grow().await
    }

    /// What a broker learns late, it learns between two requests that have waited for it.
    pub async fn stutter(&self, time: Duration) -> Result<()> {
        println!("    brokers stutter for {time:?}");
        let begun = Instant::now();
        let mut numbers = (1..=self.stack.brokers.len()).cycle();
        while begun.elapsed() < time {
            let broker = Service::Broker(numbers.next().unwrap_or(1));
            self.stack.freeze(broker).await?;
            tokio::time::sleep(STOPPED).await;
            self.stack.thaw(broker).await?;
            tokio::time::sleep(GOES_ON).await;
        }
        Ok(())
    }

    pub async fn leaders_move(&self, time: Duration) -> Result<()> {
        println!("    leaders move for {time:?}");
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.topics.move_leaders().await?;
            tokio::time::sleep(MOVE_EVERY).await;
        }
        self.topics.in_sync().await
    }

    /// One gateway after the other ends, and another begins in its place.
    pub async fn new_gateways(&self, time: Duration, random: &mut fastrand::Rng) -> Result<()> {
        println!("    new gateways for {time:?}");
        let begun = Instant::now();
        let mut gateways = (0..2).cycle();
        while begun.elapsed() < time {
            let gone = Duration::from_millis(random.u64(GONE_MS));
            let next = gateways.next().unwrap_or(0);
            self.fleet.kill(Role::Gateway, next, gone);
            tokio::time::sleep(gone).await;
            self.fleet.ready().await?;
        }
        Ok(())
    }
}
