//! What a connection asks for nothing: requests that are refused, reset or time out, heads that the HTTP library turns away by
//! itself, frames that ask nothing. Each is cheap to send and work to take, so there is an end to them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use super::frames::Frames;
use super::limits::{FRAMES_FREE, FRAMES_IN_VAIN, LOOKS_MAX};

/// Counted by those who serve a connection.
#[derive(Debug, Default)]
pub(super) struct Vain {
    /// Requests that came to nothing.
    requests: AtomicUsize,
    /// Heads that came over h2, and those that became requests.
    heads: AtomicU64,
    asked: AtomicU64,
    /// Requests that were given up over h2.
    resets: AtomicU64,
    /// Frames that ask nothing.
    others: AtomicU64,
    /// Requests at whose tokens was looked.
    looks: AtomicUsize,
    /// It was too much.
    is_over: AtomicBool,
}

/// How much of it counts, in requests.
fn weight(requests: usize, (heads, asked): (u64, u64), resets: u64, others: u64) -> usize {
    let (at_first, for_each) = FRAMES_FREE;
    let unseen = heads.saturating_sub(asked);
    let chatter = others.saturating_sub(at_first + for_each * asked) / FRAMES_IN_VAIN;
    requests.saturating_add(usize::try_from(unseen + resets + chatter).unwrap_or(usize::MAX))
}

impl Vain {
    /// What was seen of the frames that came.
    pub(super) fn seen(&self, coming: &Frames) {
        self.heads.store(coming.heads, Ordering::Relaxed);
        self.resets.store(coming.resets, Ordering::Relaxed);
        self.others.store(coming.others, Ordering::Relaxed);
    }

    /// A head became a request.
    pub(super) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// A request came to nothing.
    pub(super) fn refused(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this request is one of the first that show a token.
    pub(super) fn is_early_look(&self) -> bool {
        let one_more = |looks: usize| (looks < LOOKS_MAX).then_some(looks + 1);
        self.looks
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .is_ok()
    }

    /// It is too much; says whether that is new.
    pub(super) fn end(&self) -> bool {
        !self.is_over.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// How much of it there was, in requests.
    pub(super) fn weight(&self) -> usize {
        weight(
            self.requests.load(Ordering::Relaxed),
            (
                self.heads.load(Ordering::Relaxed),
                self.asked.load(Ordering::Relaxed),
            ),
            self.resets.load(Ordering::Relaxed),
            self.others.load(Ordering::Relaxed),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_nothing_counts_where_it_is_more_than_requests_need() {
        for (what, requests, heads, asked, resets, others, weighs) in [
            ("nothing", 0, 0, 0, 0, 0, 0),
            ("requests, and some PINGs beside", 0, 10, 10, 0, 64 + 160, 0),
            ("requests that came to nothing", 7, 10, 10, 2, 0, 9),
            ("heads that were turned away", 0, 30, 10, 0, 0, 20),
            (
                "a head that is on its way to become a request",
                0,
                10,
                11,
                0,
                0,
                0,
            ),
            ("a flood of PINGs", 0, 0, 0, 0, 64 + 1_600, 100),
            ("all of it", 1, 3, 1, 1, 64 + 16 + 32, 6),
        ] {
            assert_eq!(weight(requests, (heads, asked), resets, others), weighs, "{what}");
        }
    }
}
