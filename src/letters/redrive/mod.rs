//! The re-drive: replays dead letters of chosen classes by itself, once what failed them is healthy again.
//!
//! Whether it is healthy nobody knows before an order has landed. So one letter of a class goes first, and is not
//! counted as replayed; only when it has landed do the others follow, a few at a time, each few when the ones before
//! have landed. As soon as one fails again, nothing of its class is sent until another letter has shown that it can
//! land. One lander does it for all.

mod circuit;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::record::LetterId;
use circuit::{Circuit, Next};
pub use stored::StoredLetters;

/// Between looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Letters of one look: with the time between looks, a bound on their rate.
const BATCH: u32 = 20;
/// How long sending may take, well within the lease: what is cut off is not recorded, and sent again later.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// How long landing may have tried nothing again.
pub const QUIET: Duration = Duration::from_secs(30);

/// What became of a letter that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has not come back.
    Open,
    Landed,
    /// It failed again, or is gone.
    Failed,
}

/// Dead letters, as the re-drive needs them.
pub trait DeadLetters: Send + Sync + 'static {
    /// Classes of errors whose letters are replayed.
    fn classes(&self) -> &[String];

    /// Takes or keeps the right to replay by itself, among all landers.
    fn hold(&self) -> BoxFuture<'_, Result<bool, String>>;

    /// Sends one letter of a class that has been dead for `quiet`, without counting it as a replay; `None` where there
    /// is none that was not replayed too often.
    fn probe<'a>(
        &'a self,
        class: &'a str,
        quiet: Duration,
    ) -> BoxFuture<'a, Result<Option<LetterId>, String>>;

    /// Replays up to `most` letters of a class that have been dead for `quiet`; those that were replayed too often are
    /// parked. Says which were sent.
    fn replay<'a>(
        &'a self,
        class: &'a str,
        most: u32,
        quiet: Duration,
    ) -> BoxFuture<'a, Result<Vec<LetterId>, String>>;

    /// What became of letters that were sent, in their order.
    fn fates<'a>(&'a self, letters: &'a [LetterId]) -> BoxFuture<'a, Result<Vec<Fate>, String>>;
}

/// Looks again and again, until it is dropped. `retries` reads how often landing tried something again, in any topic.
pub async fn run(letters: Arc<dyn DeadLetters>, quiet: Duration, retries: impl Fn() -> u64 + Send) {
    let mut watch = Watch::new(retries(), Instant::now());
    let mut redrive = Redrive::new(letters, quiet);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !watch.is_quiet(retries(), Instant::now(), quiet) {
            continue;
        }
        if let Err(error) = redrive.look().await {
            tracing::warn!(error, "dead letters are not replayed for now");
            watch.disturb(Instant::now());
        }
    }
}

/// The re-drive of one lander, look by look.
pub struct Redrive {
    letters: Arc<dyn DeadLetters>,
    quiet: Duration,
    /// By class.
    circuits: BTreeMap<String, Circuit>,
}

impl Redrive {
    pub fn new(letters: Arc<dyn DeadLetters>, quiet: Duration) -> Self {
        Self {
            letters,
            quiet,
            circuits: BTreeMap::new(),
        }
    }

    /// One look at every class, where this lander has the right to.
    pub async fn look(&mut self) -> Result<(), String> {
        let letters = self.letters.clone();
        for class in letters.classes() {
            if !letters.hold().await? {
                // Whoever has it finds out by itself.
                self.circuits.clear();
                return Ok(());
            }
            let mut circuit = self.circuits.remove(class).unwrap_or_default();
            let done = tokio::time::timeout(SEND_LIMIT, self.turn(class, &mut circuit)).await;
            let done =
                done.unwrap_or_else(|_| Err(format!("nothing was acknowledged within {SEND_LIMIT:?}")));
            if done.is_err() {
                circuit.fail(self.quiet, Instant::now());
            }
            self.circuits.insert(class.clone(), circuit);
            done?;
        }
        Ok(())
    }

    async fn turn(&self, class: &str, circuit: &mut Circuit) -> Result<(), String> {
        let fates = self.letters.fates(circuit.sent()).await?;
        match circuit.next(&fates, self.quiet, Instant::now()) {
            Next::Wait => {}
            Next::Failed(pause) => tracing::warn!(
                class,
                next_probe_in_ms = pause.as_millis() as u64,
                "a replayed dead letter did not land: no other of its class is replayed until one does"
            ),
            Next::Probe => {
                let probe = self.letters.probe(class, self.quiet).await?;
                if let Some(letter) = probe {
                    tracing::info!(class, %letter, "one dead letter is replayed first, to see whether it lands");
                    circuit.probing(letter, Instant::now());
                }
            }
            Next::Replay => {
                let sent = self.letters.replay(class, BATCH, self.quiet).await?;
                if !sent.is_empty() {
                    let replayed = sent.len();
                    tracing::info!(
                        class,
                        replayed,
                        "dead letters replayed: what failed them is healthy again"
                    );
                }
                circuit.sending(sent, Instant::now());
            }
        }
        Ok(())
    }
}

/// Since when landing had nothing to try again.
struct Watch {
    retries: u64,
    since: Instant,
}

impl Watch {
    fn new(retries: u64, now: Instant) -> Self {
        Self { retries, since: now }
    }

    fn is_quiet(&mut self, retries: u64, now: Instant, quiet: Duration) -> bool {
        if retries != self.retries {
            self.retries = retries;
            self.since = now;
        }
        now.duration_since(self.since) >= quiet
    }

    fn disturb(&mut self, now: Instant) {
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_begins_anew_with_every_retry() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut watch = Watch::new(5, start);
        assert!(!watch.is_quiet(5, at(29), QUIET));
        assert!(watch.is_quiet(5, at(30), QUIET));
        assert!(!watch.is_quiet(6, at(31), QUIET));
        assert!(!watch.is_quiet(6, at(60), QUIET));
        assert!(watch.is_quiet(6, at(61), QUIET));
        watch.disturb(at(61));
        assert!(!watch.is_quiet(6, at(90), QUIET));
    }
}
