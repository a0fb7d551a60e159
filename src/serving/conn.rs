//! One connection: what is known of it while it lives, written by those who serve it and read by those who judge it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::budget::{Account, Budget, Charge};
use super::figures::Figures;
use super::judge::{Action, Facts, Stamp, Why, judge};
use super::limits::{Limits, UNASKED_BYTES, UNASKED_CHARGE};
use super::pace::Pace;
use super::turn::Turn;
use super::vain::Vain;

const NEVER: Stamp = Stamp::MAX;

/// What all connections of a listener have in common.
pub(super) struct Shared {
    began: Instant,
    pub limits: Limits,
    pub bytes: Arc<Budget>,
    pub pace: Pace,
    pub figures: Figures,
}

impl Shared {
    pub(super) fn new(limits: Limits, figures: Figures) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            limits,
            bytes: Arc::default(),
            pace: Pace::default(),
            figures,
        })
    }

    pub(super) fn now(&self) -> Stamp {
        self.began.elapsed().as_micros() as Stamp
    }
}

/// What a connection was told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Leave,
    Close,
}

pub(super) struct Conn {
    pub id: u64,
    pub address: IpAddr,
    /// Whether its peer has a share, and no more than that.
    pub has_share: bool,
    /// Whether others may speak through it.
    pub is_proxy: bool,
    pub shared: Arc<Shared>,
    /// Bytes that its requests hold.
    pub bytes: Arc<Account>,
    in_flight: AtomicUsize,
    idle_since: AtomicU64,
    blocked_since: AtomicU64,
    leaving_since: AtomicU64,
    /// Answers that are being handed over: their number, and when they went on last.
    answers: Mutex<Vec<(u64, Stamp)>>,
    next_answer: AtomicU64,
    /// Somebody vouched for it.
    pub known: AtomicBool,
    /// What it asked for nothing.
    pub vain: Vain,
    pub is_h2: AtomicBool,
    /// A request has begun to arrive.
    arriving: AtomicBool,
    /// Answers in flight that say that there is no room.
    pub refusals: AtomicUsize,
    /// Answers in flight that go on for as long as there is something to tell.
    pub lasting: AtomicUsize,
    pub turn: Turn,
    /// Bytes since the last request, and what is charged for them.
    unasked: AtomicUsize,
    unasked_charge: Mutex<Option<Charge>>,
    told: AtomicU8,
    pub word: Notify,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Conn {
    pub(super) fn new(
        id: u64,
        address: IpAddr,
        (has_share, is_proxy): (bool, bool),
        of_peer: Arc<Budget>,
        shared: Arc<Shared>,
    ) -> Self {
        let limits = &shared.limits;
        let peer_bytes = if has_share {
            limits.peer_bytes
        } else {
            limits.bytes
        };
        let account = Account::new((of_peer, peer_bytes), (shared.bytes.clone(), limits.bytes));
        let (now, turn) = (shared.now(), Turn::new(shared.limits.turn_bytes));
        Self {
            id,
            address,
            has_share,
            is_proxy,
            shared,
            bytes: Arc::new(account),
            in_flight: AtomicUsize::new(0),
            idle_since: AtomicU64::new(now),
            blocked_since: AtomicU64::new(NEVER),
            leaving_since: AtomicU64::new(NEVER),
            answers: Mutex::default(),
            next_answer: AtomicU64::new(0),
            known: AtomicBool::new(false),
            vain: Vain::default(),
            is_h2: AtomicBool::new(false),
            arriving: AtomicBool::new(false),
            refusals: AtomicUsize::new(0),
            lasting: AtomicUsize::new(0),
            turn,
            unasked: AtomicUsize::new(0),
            unasked_charge: Mutex::default(),
            told: AtomicU8::new(Told::Nothing as u8),
            word: Notify::new(),
        }
    }

    /// Since when it has been idle; `None` while a request is in flight.
    pub(super) fn idle_since(&self) -> Option<Stamp> {
        let idle = self.in_flight.load(Ordering::Acquire) == 0;
        idle.then(|| self.idle_since.load(Ordering::Relaxed))
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests in flight that take the room of requests.
    pub(super) fn passing(&self) -> usize {
        self.in_flight()
            .saturating_sub(self.lasting.load(Ordering::Relaxed))
    }

    /// A request came.
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        if !self.is_h2.load(Ordering::Relaxed) {
            self.arriving.store(false, Ordering::Relaxed);
        }
        if self.unasked.swap(0, Ordering::Relaxed) > UNASKED_BYTES {
            drop(locked(&self.unasked_charge).take());
        }
    }

    /// Its answer was handed over, or it was given up.
    pub(super) fn end(&self) {
        self.idle_since.store(self.shared.now(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    /// The number of an answer that is being handed over from now on.
    pub(super) fn answer(&self) -> u64 {
        let number = self.next_answer.fetch_add(1, Ordering::Relaxed);
        locked(&self.answers).push((number, self.shared.now()));
        number
    }

    /// The answer went on, or waits for us and not for its peer.
    pub(super) fn answer_moved(&self, number: u64, waits_for_us: bool) {
        let now = if waits_for_us { NEVER } else { self.shared.now() };
        let mut answers = locked(&self.answers);
        if let Some(answer) = answers.iter_mut().find(|answer| answer.0 == number) {
            answer.1 = now;
        }
    }

    pub(super) fn answer_ended(&self, number: u64) {
        locked(&self.answers).retain(|answer| answer.0 != number);
    }

    /// Whether writing is blocked by the peer.
    pub(super) fn blocked(&self, is: bool) {
        if !is {
            self.blocked_since.store(NEVER, Ordering::Relaxed);
        } else if self.blocked_since.load(Ordering::Relaxed) == NEVER {
            self.blocked_since.store(self.shared.now(), Ordering::Relaxed);
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since.load(Ordering::Relaxed) != NEVER
    }

    /// A request has begun to arrive, or none is half here.
    pub(super) fn arriving(&self, is: bool) {
        self.arriving.store(is, Ordering::Relaxed);
    }

    pub(super) fn is_arriving(&self) -> bool {
        self.arriving.load(Ordering::Relaxed)
    }

    /// Bytes were read; `false` where they ask nothing, and there is no memory for more of them.
    pub(super) fn read(&self, bytes: usize) -> bool {
        self.turn.read(bytes);
        if self.in_flight() > 0 {
            return true;
        }
        let before = self.unasked.fetch_add(bytes, Ordering::Relaxed);
        if before > UNASKED_BYTES || before + bytes <= UNASKED_BYTES {
            return true;
        }
        let charge = Charge::take(&self.bytes, UNASKED_CHARGE, usize::MAX);
        let taken = charge.is_some();
        *locked(&self.unasked_charge) = charge;
        taken
    }

    /// Gives back what it holds beyond its requests.
    pub(super) fn clear(&self) {
        drop(locked(&self.unasked_charge).take());
    }

    pub(super) fn leave(&self) {
        self.leaving_since.store(self.shared.now(), Ordering::Relaxed);
    }

    /// Whether what is answered now is the last.
    pub(super) fn is_last(&self) -> bool {
        self.is_leaving() || self.vain.is_over()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving_since.load(Ordering::Relaxed) != NEVER
    }

    pub(super) fn judge(&self) -> Action {
        let known = |stamp: Stamp| Some(stamp).filter(|stamp| *stamp != NEVER);
        let oldest = locked(&self.answers).iter().map(|answer| answer.1).min();
        let facts = Facts {
            now: self.shared.now(),
            in_flight: self.in_flight(),
            idle_since: self.idle_since.load(Ordering::Relaxed),
            blocked_since: known(self.blocked_since.load(Ordering::Relaxed)),
            answer_since: oldest.and_then(known),
            leaving_since: known(self.leaving_since.load(Ordering::Relaxed)),
            arriving: self.is_arriving(),
        };
        judge(facts, &self.shared.limits)
    }

    /// Tells it to go; what serves it hears of it at once.
    pub(super) fn tell(&self, told: Told, why: Why) {
        self.shared.figures.closed(why);
        self.told.store(told as u8, Ordering::Release);
        self.word.notify_one();
    }

    pub(super) fn told(&self) -> Told {
        match self.told.load(Ordering::Acquire) {
            told if told == Told::Leave as u8 => Told::Leave,
            told if told == Told::Close as u8 => Told::Close,
            _ => Told::Nothing,
        }
    }
}
