//! What a gateway may answer without asking: SKUs the script called sold out, and a campaign it
//! called closed. The watch takes both back when the shard's state says otherwise, and neither is believed for longer
//! than a second: where the watch hardly looks, or does not get an answer, the script is asked.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::engine_clock::EngineClock;
use super::pace::Pace;
use super::returns::Returns;
use crate::campaign::{Campaign, Pause, Paused};
use crate::clock::now_ms;
use crate::lua::calls::ShardStatus;
use crate::needs::ANSWER_MAX;
use crate::rejection::Own;
use crate::ruleset::Active;

/// A pause that somebody has to end.
const UNTIL_RESUMED: i64 = i64::MAX;

/// Flags and counts of one campaign on this gateway.
pub(super) struct Local {
    /// When each SKU was last known to have no unit left, by [`Local::elapsed`]; 0 where it has some. SKUs may come later.
    sold_out: ArcSwap<HashMap<String, Arc<AtomicU64>>>,
    /// Epoch under which the script answered `closed`; 0 for none.
    closed: AtomicU64,
    /// When that was last known.
    closed_at: AtomicU64,
    /// Until when the sale was paused when it was last looked at: a moment, [`UNTIL_RESUMED`], or 0 where it went on.
    paused_until: AtomicI64,
    /// Whether units that are taken may come back.
    pub(super) returns: Returns,
    pub(super) pace: Pace,
    /// Held by whoever looks because somebody wants to see the campaign.
    pub(super) showing: tokio::sync::Mutex<()>,
    begun: Instant,
    /// Of the server that has the campaign's keys.
    clock: EngineClock,
    /// Of whichever server answered last: it counts until the campaign's own has.
    any_clock: Arc<EngineClock>,
    rejected: Mutex<BTreeMap<String, u64>>,
    /// Orders in the outbox.
    in_outbox: AtomicU64,
    /// Age of the oldest entry there.
    oldest_ms: AtomicU64,
    /// Held while the watch has a newer revision loaded.
    loading: Arc<Semaphore>,
    /// The incarnation of the engine whose state was found to be whole.
    verified: Mutex<Option<String>>,
}

impl Local {
    pub(super) fn new(campaign: &Campaign, any_clock: Arc<EngineClock>) -> Self {
        let sold_out = campaign
            .skus
            .iter()
            .map(|sku| (sku.id.clone(), Arc::default()))
            .collect();
        Self {
            sold_out: ArcSwap::from_pointee(sold_out),
            closed: AtomicU64::new(0),
            closed_at: AtomicU64::new(0),
            paused_until: AtomicI64::new(0),
            returns: Returns::default(),
            pace: Pace::default(),
            showing: tokio::sync::Mutex::default(),
            begun: Instant::now(),
            clock: EngineClock::default(),
            any_clock,
            in_outbox: AtomicU64::new(0),
            oldest_ms: AtomicU64::new(0),
            rejected: Mutex::default(),
            loading: Arc::new(Semaphore::new(1)),
            verified: Mutex::default(),
        }
    }

    /// Milliseconds since this began, never 0.
    pub(super) fn elapsed(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64 + 1
    }

    /// An order came. Says whether the campaign was idle.
    pub(super) fn note_order(&self) -> bool {
        self.pace.note_order(self.elapsed())
    }

    /// Whether the state is to be looked at by this gateway now.
    pub(super) fn is_due(&self) -> bool {
        self.pace.is_due(self.elapsed(), self.verified().is_some())
    }

    /// Whether one gateway's look now and then is enough.
    pub(super) fn is_idle(&self) -> bool {
        self.pace.is_idle(self.elapsed(), self.verified().is_some())
    }

    /// Whether the last look is recent enough to answer from.
    pub(super) fn is_fresh(&self) -> bool {
        self.is_recent(self.pace.looked())
    }

    fn is_recent(&self, known: u64) -> bool {
        known != 0 && self.elapsed().saturating_sub(known) <= ANSWER_MAX.as_millis() as u64
    }

    /// The incarnation of the engine that may decide, where one is known.
    pub(super) fn verified(&self) -> Option<String> {
        self.verified.lock().expect("no panic holds this lock").clone()
    }

    pub(super) fn verify(&self, incarnation: String) {
        *self.verified.lock().expect("no panic holds this lock") = Some(incarnation);
    }

    /// It is no longer there, or what it holds is no longer whole.
    pub(super) fn forget(&self, incarnation: &str) {
        let mut verified = self.verified.lock().expect("no panic holds this lock");
        if verified.as_deref() == Some(incarnation) {
            *verified = None;
        }
    }

    /// A refusal that needs no script, of an attempt without an `Idempotency-Key`: one that has a key is always asked for,
    /// because it may be the retry of an admitted order. `active` is the newest that this gateway has heard of: what an older
    /// one called closed may have been opened since, and before the sale opens, after it, or while it is paused, another
    /// reason than empty shelves comes first: the script says which.
    pub(super) fn refuse(&self, sku: &str, active: Option<&Active>) -> Option<Own> {
        let recent = |known: &AtomicU64| self.is_recent(known.load(Ordering::Relaxed));
        let closed = self.closed.load(Ordering::Relaxed);
        if closed != 0
            && active.is_none_or(|active| active.activation.epoch <= closed)
            && recent(&self.closed_at)
        {
            return Some(Own::Closed);
        }
        let is_sold_out = self.sold_out.load().get(sku).is_some_and(|known| recent(known));
        let is_open = |active: &Active| active.revision.schedule.is_open(self.now());
        (is_sold_out && active.is_none_or(is_open) && self.paused().is_none()).then_some(Own::SoldOut)
    }

    /// Whether the sale is paused, as far as it was looked at.
    pub(super) fn paused(&self) -> Option<Paused> {
        let resume_at = match self.paused_until.load(Ordering::Relaxed) {
            0 => return None,
            UNTIL_RESUMED => None,
            at if at <= self.now() => return None,
            at => Some(at),
        };
        Some(Paused { resume_at })
    }

    pub(super) fn seen_pause(&self, pause: Pause) {
        let until = |paused: Paused| paused.resume_at.unwrap_or(UNTIL_RESUMED);
        self.paused_until
            .store(pause.paused.map_or(0, until), Ordering::Relaxed);
    }

    /// What was last known, however old.
    pub(super) fn is_sold_out(&self, sku: &str) -> bool {
        self.sold_out
            .load()
            .get(sku)
            .is_some_and(|known| known.load(Ordering::Relaxed) != 0)
    }

    /// `asked` is when the question was sent, by [`Self::elapsed`]: the answer is not older.
    pub(super) fn set_stock(&self, sku: &str, remaining: i64, asked: u64) {
        let known = match self.sold_out.load().get(sku) {
            Some(known) => known.clone(),
            None => self.learn_sku(sku),
        };
        known.store(if remaining <= 0 { asked } else { 0 }, Ordering::Relaxed);
    }

    /// Whether the SKU was ever told of here.
    pub(super) fn knows(&self, sku: &str) -> bool {
        self.sold_out.load().contains_key(sku)
    }

    /// The engine has told of a SKU that this did not begin with.
    fn learn_sku(&self, sku: &str) -> Arc<AtomicU64> {
        let new: Arc<AtomicU64> = Arc::default();
        self.sold_out.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.entry(sku.to_owned()).or_insert_with(|| new.clone());
            known
        });
        self.sold_out.load().get(sku).cloned().unwrap_or(new)
    }

    pub(super) fn set_closed(&self, epoch: u64, asked: u64) {
        self.closed.store(epoch, Ordering::Relaxed);
        self.closed_at.store(asked, Ordering::Relaxed);
    }

    /// The shard is at `epoch`: a `closed` of an older one no longer counts.
    pub(super) fn seen_epoch(&self, epoch: u64, asked: u64) {
        match self.closed.load(Ordering::Relaxed) {
            0 => {}
            closed if closed == epoch => self.closed_at.store(asked, Ordering::Relaxed),
            _ => self.closed.store(0, Ordering::Relaxed),
        }
    }

    /// `None` while another load that was begun here goes on.
    pub(super) fn begin_load(&self) -> Option<OwnedSemaphorePermit> {
        self.loading.clone().try_acquire_owned().ok()
    }

    pub(super) fn seen_outbox(&self, status: &ShardStatus) {
        self.in_outbox.store(status.pending(), Ordering::Relaxed);
        let age = match status.oldest {
            0 => 0,
            oldest => u64::try_from(status.now - oldest).unwrap_or(0),
        };
        self.oldest_ms.store(age, Ordering::Relaxed);
    }

    /// Age of the oldest entry of the outbox; 0 where there is none.
    pub(super) fn oldest_ms(&self) -> u64 {
        self.oldest_ms.load(Ordering::Relaxed)
    }

    pub(super) fn in_outbox(&self) -> u64 {
        self.in_outbox.load(Ordering::Relaxed)
    }

    /// The engine, asked at `asked` by [`Self::elapsed`], has just said that it is this moment.
    pub(super) fn seen_now(&self, now: i64, asked: u64) {
        let asked = self.begun + Duration::from_millis(asked.saturating_sub(1));
        self.clock.seen(now, asked);
        self.any_clock.seen(now, asked);
    }

    /// Whether the engine has ever said what time it is.
    pub(super) fn knows_now(&self) -> bool {
        self.clock.now().or_else(|| self.any_clock.now()).is_some()
    }

    /// The engine's clock, about: the moment of what is answered without asking it. Until the engine has said it, this
    /// machine's.
    pub(super) fn now(&self) -> i64 {
        let known = self.clock.now().or_else(|| self.any_clock.now());
        known.unwrap_or_else(now_ms)
    }

    pub(super) fn count(&self, reason: &str) {
        let mut rejected = self.rejected.lock().expect("no panic holds this lock");
        match rejected.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(rejected.insert(reason.to_owned(), 1)),
        }
    }

    /// Takes the rejections counted since the last call.
    pub(super) fn take_counts(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.rejected.lock().expect("no panic holds this lock"))
    }

    /// Puts counts back that could not be delivered.
    pub(super) fn put_back(&self, counts: BTreeMap<String, u64>) {
        let mut rejected = self.rejected.lock().expect("no panic holds this lock");
        for (reason, count) in counts {
            *rejected.entry(reason).or_default() += count;
        }
    }
}
