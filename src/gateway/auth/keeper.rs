//! Keeps the keys of a source as it has them now: read again and again in the background, early when a token names a key
//! that is not there, and the last good ones kept for a while when the source fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::cache::Cache;
use super::keys::{KeySet, Rules};
use super::source::{Reading, Source, Tag};

/// Between the beginnings of two readings, of which the second is early, after the first brought a key that was asked for.
const EARLY_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The same, after early readings that brought nothing: whoever can connect can name keys that nobody has.
const EARLY_PAUSE_MAX: Duration = Duration::from_secs(10);
/// The first try after a failure; each further one waits twice as long, up to the usual pause.
const AGAIN_MIN: Duration = Duration::from_secs(1);
/// Between two readings, whatever the configuration says.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Orders that wait for a reading at the same time.
const WAITING_MAX: usize = 256;
/// For how long an order does.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Notes of a key set that are logged.
const NOTES_MAX: usize = 8;

/// How often a source is read, and for how long it may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// Between two readings of a URL.
    pub every: Duration,
    /// For how long keys are used after they were read last.
    pub keep: Duration,
}

/// Readings so far.
#[derive(Clone, Copy, Debug)]
struct Rounds {
    begun: u64,
    ended: u64,
    /// Whether the last one that ended could be read.
    good: bool,
    /// No early reading begins before.
    early_from: Instant,
}

/// Counters, for metrics.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub good: Counter,
    pub failed: Counter,
}

/// What the readings share with those who verify.
struct Shared {
    source: Source,
    rules: Rules,
    times: Times,
    /// What verified tokens are remembered in; `None`: one of the keys' own, which goes with them.
    cache: Option<Arc<Cache>>,
    held: ArcSwapOption<KeySet>,
    born: Instant,
    /// Milliseconds from `born` to the end of the last good reading.
    good_at: AtomicU64,
    tag: Mutex<Option<Tag>>,
    trouble: Mutex<Option<String>>,
    rounds: watch::Sender<Rounds>,
    early: Notify,
    at_once: Notify,
    waiting: Semaphore,
    counts: Counts,
}

/// The keys of one source.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

/// What came of waiting for keys that a token needs.
pub(super) enum Waited {
    /// A reading ended. `after`: it began after the token came, and could be read.
    Read { after: bool },
    /// None ends in time: in so long, one has.
    Later(Duration),
}

/// How the keys stand: for `/readyz` and metrics.
pub(super) struct KeysStatus {
    pub keys: usize,
    /// Since the last good reading; none: there was none.
    pub age: Option<Duration>,
    pub trouble: Option<String>,
}

impl Keeper {
    /// With what was read already, if anything was. Verified tokens are remembered in `cache`; without one, in one of the keys' own.
    pub(super) fn new(
        source: Source,
        rules: Rules,
        times: Times,
        first: Option<Reading>,
        cache: Option<Arc<Cache>>,
    ) -> Self {
        let now = Instant::now();
        let (tag, keys) = first.map_or((None, None), |first| (Some(first.tag), first.keys));
        if let Some(keys) = &keys {
            tell(&source, keys);
        }
        let shared = Shared {
            source,
            rules,
            times,
            cache,
            held: ArcSwapOption::from_pointee(keys),
            born: now,
            good_at: AtomicU64::new(0),
            tag: Mutex::new(tag),
            trouble: Mutex::default(),
            rounds: watch::Sender::new(Rounds {
                begun: 0,
                ended: 0,
                good: true,
                early_from: now,
            }),
            early: Notify::new(),
            at_once: Notify::new(),
            waiting: Semaphore::new(WAITING_MAX),
            counts: Counts::default(),
        };
        Self {
            shared: Arc::new(shared),
            task: Mutex::default(),
        }
    }

    /// Whether it would keep the same keys in the same way.
    pub(super) fn is_for(&self, source: &Source, rules: &Rules, times: Times) -> bool {
        let shared = &self.shared;
        shared.source == *source && shared.rules == *rules && shared.times == times
    }

    /// Reads in the background from now on, until dropped; needs a runtime. Only the first call does anything.
    pub(super) fn start(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_none() {
            *task = Some(tokio::spawn(run(self.shared.clone())));
        }
    }

    /// Has the source read now.
    pub(super) fn at_once(&self) {
        self.shared.at_once.notify_one();
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// The keys; none when there never were any, or when nobody knows for too long whether they still hold.
    pub(super) fn keys(&self) -> Option<Arc<KeySet>> {
        let held = self.shared.held.load_full()?;
        (self.shared.age() <= self.shared.times.keep).then_some(held)
    }

    /// Asks for an early reading and waits for the next one to end. `since` is [`Self::begun`] of when the token came.
    pub(super) async fn wait(&self, since: u64, until: Instant) -> Waited {
        let Ok(_turn) = self.shared.waiting.try_acquire() else {
            return Waited::Later(EARLY_PAUSE_MIN);
        };
        let mut rounds = self.shared.rounds.subscribe();
        let now = *rounds.borrow_and_update();
        self.shared.early.notify_one();
        let reads = now.begun > now.ended;
        if !reads && now.early_from > until {
            return Waited::Later(now.early_from - Instant::now());
        }
        match timeout_at(until, rounds.wait_for(|round| round.ended > now.ended)).await {
            Ok(Ok(round)) => Waited::Read {
                after: round.good && round.ended > since,
            },
            _ => Waited::Later(EARLY_PAUSE_MIN),
        }
    }

    /// How many readings have begun, and until when a token that comes now may wait.
    pub(super) fn begun(&self) -> (u64, Instant) {
        (self.shared.rounds.borrow().begun, Instant::now() + WAIT_MAX)
    }

    pub(super) fn status(&self) -> KeysStatus {
        let keys = self.keys();
        let known = self.shared.held.load().is_some();
        KeysStatus {
            keys: keys.map_or(0, |keys| keys.keys.len()),
            age: known.then(|| self.shared.age()),
            trouble: self
                .shared
                .trouble
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.shared.counts
    }
}

impl Shared {
    /// Since the last good reading.
    fn age(&self) -> Duration {
        let good_at = Duration::from_millis(self.good_at.load(Ordering::Acquire));
        self.born.elapsed().saturating_sub(good_at)
    }

    /// Reads once. Good: whether the keys are others now, and for how long the server wants them to be used.
    async fn read(&self) -> Result<(bool, Option<Duration>), String> {
        let before = self.tag.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Reading { keys, tag, good_for } = self.source.read(before.as_ref(), &self.rules).await?;
        let changed = keys.is_some();
        if let Some(keys) = keys {
            tell(&self.source, &keys);
            let keys = match &self.cache {
                Some(cache) => keys.remembering_in(cache),
                None => keys,
            };
            self.held.store(Some(Arc::new(keys)));
        }
        *self.tag.lock().unwrap_or_else(PoisonError::into_inner) = Some(tag);
        self.good_at
            .store(self.born.elapsed().as_millis() as u64, Ordering::Release);
        Ok((changed, good_for))
    }

    /// Says the same trouble once.
    fn put_trouble(&self, now: Option<String>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *trouble == now {
            return;
        }
        let source = self.source.shown();
        match &now {
            Some(why) => tracing::warn!(
                source,
                why,
                "the keys of tokens cannot be read; those read last go on for a while"
            ),
            None => tracing::info!(source, "the keys of tokens can be read again"),
        }
        *trouble = now;
    }
}

fn tell(source: &Source, keys: &KeySet) {
    let ids: Vec<&str> = keys
        .keys
        .iter()
        .map(|key| key.id.as_deref().unwrap_or("without an id"))
        .collect();
    tracing::info!(source = source.shown(), ?ids, "keys of tokens");
    for note in keys.notes.iter().take(NOTES_MAX) {
        tracing::warn!(source = source.shown(), note, "a key of tokens is left out");
    }
    if let Some(exposed) = source.exposed() {
        tracing::warn!("{exposed}");
    }
}

async fn run(shared: Arc<Shared>) {
    let (mut again, mut early_pause) = (AGAIN_MIN, EARLY_PAUSE_MIN);
    // A file was read when the process started.
    let mut due = match shared.held.load().is_some() {
        true => Instant::now() + shared.source.pause(shared.times.every, None),
        false => Instant::now(),
    };
    loop {
        let early = pause(&shared, due).await;
        let begun = Instant::now();
        shared.rounds.send_modify(|rounds| {
            rounds.begun += 1;
            rounds.early_from = begun + early_pause;
        });
        let read = shared.read().await;
        let usual = |good_for| shared.source.pause(shared.times.every, good_for);
        let (counter, wait, changed) = match &read {
            Ok((changed, good_for)) => (&shared.counts.good, usual(*good_for), *changed),
            Err(_) => (&shared.counts.failed, again.min(usual(None)), false),
        };
        counter.inc();
        again = match read.is_ok() {
            true => AGAIN_MIN,
            false => (again * 2).min(usual(None)),
        };
        early_pause = match early && !changed {
            true => (early_pause * 2).min(EARLY_PAUSE_MAX),
            false => EARLY_PAUSE_MIN,
        };
        let good = read.is_ok();
        shared.put_trouble(read.err());
        shared.rounds.send_modify(|rounds| {
            rounds.ended = rounds.begun;
            rounds.good = good;
            rounds.early_from = begun + early_pause;
        });
        let wait = wait.min(shared.times.keep / 2).max(PAUSE_MIN);
        due = Instant::now() + scattered(wait);
    }
}

/// Until the next reading is due, or until one is asked for; whether that made it early.
async fn pause(shared: &Shared, due: Instant) -> bool {
    let asked = async {
        shared.early.notified().await;
        let from = shared.rounds.borrow().early_from;
        sleep_until(from).await;
    };
    tokio::select! {
        () = sleep_until(due) => false,
        () = shared.at_once.notified() => false,
        () = asked => true,
    }
}

/// Gateways that started together do not ask together.
fn scattered(wait: Duration) -> Duration {
    wait.mul_f64(0.9 + 0.1 * fastrand::f64())
}
