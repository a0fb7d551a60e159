//! How often a campaign's state is looked at: always while orders come or wait in its outbox, hardly where nobody
//! asks for it. Moments are milliseconds on the clock of [`super::local::Local`]; 0 means never.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// A campaign is active for so long after an order.
pub(super) const ACTIVE_MS: u64 = 60_000;
/// While orders keep coming, the other gateways are told so again after this.
pub(super) const TELL_MS: u64 = 15_000;
// A closed gate is looked at after an eighth of the time it has been closed, within these bounds.
const CLOSED_MIN_MS: u64 = 1000;
const CLOSED_MAX_MS: u64 = 15_000;

/// What a lane's pace follows from.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The last order.
    ordered: AtomicU64,
    /// When the other gateways were last told of orders.
    told: AtomicU64,
    /// The last look.
    looked: AtomicU64,
    /// Since when looks find the gate closed.
    closed: AtomicU64,
    /// Entries in the outbox at the last look.
    entries: AtomicU64,
    /// The server's memory may not be what it was at the last look.
    suspect: AtomicBool,
}

impl Pace {
    /// An order came. Says whether nobody had ordered for so long that the campaign was idle.
    pub(super) fn note_order(&self, now: u64) -> bool {
        let before = self.ordered.swap(now, Relaxed);
        before == 0 || now.saturating_sub(before) > ACTIVE_MS
    }

    pub(super) fn note_look(&self, now: u64, open: bool, entries: u64) {
        self.looked.store(now, Relaxed);
        self.entries.store(entries, Relaxed);
        match open {
            true => self.closed.store(0, Relaxed),
            false if self.closed.load(Relaxed) == 0 => self.closed.store(now, Relaxed),
            false => {}
        }
    }

    /// Before a look: what happens from here on makes it suspect again.
    pub(super) fn begin_look(&self) {
        self.suspect.store(false, Relaxed);
    }

    pub(super) fn suspect(&self) {
        self.suspect.store(true, Relaxed);
    }

    pub(super) fn looked(&self) -> u64 {
        self.looked.load(Relaxed)
    }

    fn is_ordered(&self, now: u64) -> bool {
        let ordered = self.ordered.load(Relaxed);
        ordered != 0 && now.saturating_sub(ordered) <= ACTIVE_MS
    }

    /// Whether the other gateways are to be told now that orders came; they then are.
    pub(super) fn tell(&self, now: u64) -> bool {
        let told = self.told.load(Relaxed);
        let tell = self.is_ordered(now) && (told == 0 || now.saturating_sub(told) >= TELL_MS);
        if tell {
            self.told.store(now, Relaxed);
        }
        tell
    }

    /// What the others were told is forgotten.
    pub(super) fn untold(&self) {
        self.told.store(0, Relaxed);
    }

    /// Whether the state is to be looked at by this gateway now; `open`: it was found to be whole.
    pub(super) fn is_due(&self, now: u64, open: bool) -> bool {
        let looked = self.looked.load(Relaxed);
        if looked == 0 || self.suspect.load(Relaxed) {
            return true;
        }
        if open {
            return self.is_ordered(now) || self.entries.load(Relaxed) > 0;
        }
        let closed = match self.closed.load(Relaxed) {
            0 => return true,
            since => now.saturating_sub(since),
        };
        now.saturating_sub(looked) >= (closed / 8).clamp(CLOSED_MIN_MS, CLOSED_MAX_MS)
    }

    /// Whether one gateway's look now and then is enough; `open`: the state was found to be whole.
    pub(super) fn is_idle(&self, now: u64, open: bool) -> bool {
        open && !self.is_due(now, open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at(open: bool, entries: u64) -> Pace {
        let pace = Pace::default();
        assert!(pace.is_due(1, open), "nobody has looked yet");
        pace.begin_look();
        pace.note_look(1000, open, entries);
        pace
    }

    #[test]
    fn a_campaign_is_active_for_a_minute_after_an_order() {
        let pace = looked_at(true, 0);
        assert!(pace.is_idle(2000, true));
        assert!(pace.note_order(5000), "it was idle");
        assert!(!pace.note_order(6000), "it is active");
        assert!(pace.is_due(66_000, true));
        assert!(pace.is_idle(66_001, true));
        assert!(pace.note_order(70_000));
    }

    #[test]
    fn what_waits_in_an_outbox_keeps_it_active() {
        let pace = looked_at(true, 3);
        assert!(pace.is_due(900_000, true));
        pace.note_look(900_000, true, 0);
        assert!(pace.is_idle(900_001, true));
    }

    #[test]
    fn a_memory_that_may_be_another_is_looked_at_once() {
        let pace = looked_at(true, 0);
        pace.suspect();
        assert!(pace.is_due(2000, true) && !pace.is_idle(2000, true));
        pace.begin_look();
        pace.note_look(2000, true, 0);
        assert!(pace.is_idle(2001, true));
    }

    #[test]
    fn a_closed_gate_is_looked_at_less_and_less() {
        let pace = looked_at(false, 0);
        let (mut now, mut looks) = (1000, Vec::new());
        while now < 300_000 {
            now += 250;
            if pace.is_due(now, false) {
                pace.note_look(now, false, 0);
                looks.push(now);
            }
        }
        assert_eq!(looks[..3], [2000, 3000, 4000]);
        let pauses: Vec<u64> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert_eq!(pauses.last(), Some(&CLOSED_MAX_MS));
        assert!(!pace.is_idle(now, false), "it waits for somebody to open it");
    }

    #[test]
    fn the_others_are_told_at_once_and_then_now_and_then() {
        let pace = looked_at(true, 0);
        assert!(!pace.tell(2000), "there was no order");
        let mut told = Vec::new();
        for now in (3000..60_000).step_by(1000) {
            pace.note_order(now);
            if pace.tell(now) {
                told.push(now);
            }
        }
        assert_eq!(told, [3000, 18_000, 33_000, 48_000]);
        pace.untold();
        assert!(pace.tell(60_000), "after they forgot");
    }
}
