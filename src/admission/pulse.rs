//! The pulse: one call a second that says whether the server's memory is still the same, and which campaigns any
//! gateway has orders for. What would otherwise have to be asked for each campaign is asked once for each server.
//!
//! A memory that is gone (a restart, a failover, a FLUSHALL) has another name or another mark; all campaigns are then
//! looked at. A campaign without orders anywhere is looked at once a minute, by one gateway.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Admission;
use super::lane::Lane;
use super::pace::{ACTIVE_MS, TELL_MS};
use crate::engine::EngineError;
use crate::lua::pulse::{Pulse, pulse_args, pulse_reply};
use crate::lua::{fixed, keys};

/// How often an idle campaign is looked at.
const IDLE_EVERY: Duration = Duration::from_millis(ACTIVE_MS);
/// Servers that one pulse goes after, when they change under it.
const TRIES: u32 = 3;
/// How long a campaign stays on everybody's list after it was told.
const LISTED_MS: u64 = ACTIVE_MS + TELL_MS;

/// What is remembered from pulse to pulse.
pub(super) struct Rhythm {
    memory: Mutex<Memory>,
    round: Mutex<Round>,
    /// Whether this gateway looks at the idle campaigns.
    pub(super) leads: AtomicBool,
    /// Some campaign is to be looked at now.
    pub(super) again: Notify,
}

impl Default for Rhythm {
    fn default() -> Self {
        Self {
            memory: Mutex::default(),
            round: Mutex::default(),
            leads: AtomicBool::new(false),
            again: Notify::new(),
        }
    }
}

/// The server's memory as it was last met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Memory {
    /// Which server it is in.
    name: Option<String>,
    mark: Option<String>,
}

/// How many looks at idle campaigns are due.
#[derive(Debug, Default)]
struct Round {
    since: Option<Instant>,
    owed: f64,
}

impl Round {
    /// So many of so many idle campaigns are to be looked at now, that each has its turn once per [`IDLE_EVERY`].
    fn take(&mut self, idle: usize, now: Instant) -> usize {
        let passed = self
            .since
            .replace(now)
            .map_or(Duration::ZERO, |since| now - since);
        let owed = self.owed + idle as f64 * passed.as_secs_f64() / IDLE_EVERY.as_secs_f64();
        let now_due = owed.min(idle as f64).floor();
        self.owed = (owed - now_due).min(1.0);
        now_due as usize
    }
}

impl Admission {
    /// Feels the pulse once.
    pub async fn pulse(&self) {
        let lanes = self.lanes();
        let told: Vec<&Arc<Lane>> = lanes
            .iter()
            .filter(|lane| lane.local.pace.tell(lane.local.elapsed()))
            .collect();
        let pulse = match self.beat(&told).await {
            Ok(pulse) => pulse,
            Err(error) => {
                tracing::debug!(%error, "pulse");
                told.iter().for_each(|lane| lane.local.pace.untold());
                return;
            }
        };
        if self.is_another_memory(pulse.mark) {
            for lane in &lanes {
                lane.local.pace.suspect();
                lane.local.pace.untold();
            }
            // What orders came for is told to the new memory.
            self.shared.wake.notify_one();
            self.rhythm.again.notify_one();
        }
        let ordered: HashSet<String> = pulse.ordered.into_iter().collect();
        for lane in &lanes {
            if lane.local.verified().is_none() && ordered.contains(&lane.shard.campaign) {
                self.shared.rebuilder.hurry(&lane.shard.campaign);
            }
        }
        let mut idle: Vec<Arc<Lane>> = lanes.into_iter().filter(|lane| lane.local.is_idle()).collect();
        let quiet = idle.iter().map(|lane| lane.shard.campaign.clone());
        let quiet = quiet.filter(|campaign| !ordered.contains(campaign)).collect();
        self.shared.ruleset.set_quiet(quiet);
        if self.rhythm.leads.load(Ordering::Relaxed) {
            // Those first that nobody has looked at for longest.
            let age = |lane: &Arc<Lane>| lane.local.elapsed().saturating_sub(lane.local.pace.looked());
            idle.sort_by_cached_key(|lane| std::cmp::Reverse(age(lane)));
            let due = self.round(idle.len());
            self.look_at_all(&idle[..due]).await;
        }
    }

    /// The call, to whichever server is there.
    async fn beat(&self, told: &[&Arc<Lane>]) -> Result<Pulse, EngineError> {
        let engine = &self.shared.engine;
        let mut tries = 1;
        loop {
            let known = self.memory().name.clone();
            let name = match known {
                Some(name) => name,
                None => {
                    let name = engine.incarnation().await?;
                    let mut memory = self.memory();
                    // Whatever mark it has, it is another memory.
                    *memory = Memory {
                        name: Some(name.clone()),
                        mark: None,
                    };
                    name
                }
            };
            let mark = uuid::Uuid::now_v7().simple().to_string();
            let campaigns = told.iter().map(|lane| lane.shard.campaign.as_str());
            let args = pulse_args(&mark, LISTED_MS, campaigns);
            let asked = Instant::now();
            match engine.run_on(&name, &fixed::PULSE, keys::PULSE, args).await {
                Ok(reply) => {
                    let pulse = pulse_reply(reply).map_err(|error| EngineError::Script {
                        script: "pulse",
                        cause: error.to_string(),
                    })?;
                    self.shared.clock.seen(pulse.now, asked);
                    return Ok(pulse);
                }
                Err(EngineError::Changed { .. }) if tries < TRIES => {
                    self.memory().name = None;
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.rhythm.memory.lock().expect("no panic holds this lock")
    }

    /// Whether the mark is another one than before; it is remembered.
    fn is_another_memory(&self, mark: String) -> bool {
        let before = self.memory().mark.replace(mark.clone());
        before != Some(mark)
    }

    fn round(&self, idle: usize) -> usize {
        let mut round = self.rhythm.round.lock().expect("no panic holds this lock");
        round.take(idle, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_idle_campaign_has_its_turn_once_a_minute() {
        for idle in [1, 28, 1000] {
            let (mut round, begun) = (Round::default(), Instant::now());
            let looks = (0..=180).map(|second| round.take(idle, begun + Duration::from_secs(second)));
            let looks: Vec<usize> = looks.collect();
            let all: usize = looks.iter().sum();
            assert!(all.abs_diff(3 * idle) <= 1, "{idle}: {all}");
            let most = looks.into_iter().max().unwrap_or(0);
            assert!(most <= idle / 60 + 1, "{idle}: {most} at once");
        }
    }

    #[test]
    fn nothing_piles_up_where_there_is_nothing_idle() {
        let (mut round, begun) = (Round::default(), Instant::now());
        assert_eq!(round.take(0, begun), 0);
        assert_eq!(round.take(0, begun + Duration::from_secs(600)), 0);
        assert_eq!(round.take(10, begun + Duration::from_secs(600)), 0);
        assert_eq!(
            round.take(10, begun + Duration::from_secs(6000)),
            10,
            "each of them at most once"
        );
    }
}
