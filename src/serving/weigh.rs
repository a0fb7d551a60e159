//! Weighs what a connection asked for nothing, and closes it where that is too much.

use std::sync::atomic::Ordering;

use super::conn::{Conn, Told};
use super::judge::Why;
use super::limits::KNOWN_IN_VAIN;
use super::peer::PeerKey;

impl Conn {
    /// It is polled.
    pub(super) fn polled(&self) {
        self.turn.begin();
        // Where nothing can be written, the library leaves lying what it has read.
        if !self.is_blocked() {
            self.weigh();
        }
    }

    /// A request came to nothing.
    pub(super) fn in_vain(&self) {
        self.vain.refused();
        self.weigh();
    }

    /// Whether a request that shows a token is to be looked at although there is room for it: the first ones, so that it is
    /// known in time who may have more come to nothing, and where it is half too much.
    pub(super) fn looks(&self) -> bool {
        self.vain.is_early_look() || self.vain.weight() >= self.shared.limits.in_vain / 2
    }

    /// Closes it where too much came to nothing. Who is known, and a proxy, is only asked to leave, much later.
    pub(super) fn weigh(&self) {
        let is_known = self.is_proxy || self.known.load(Ordering::Relaxed);
        let limit = self.shared.limits.in_vain;
        let limit = match is_known {
            true => limit.saturating_mul(KNOWN_IN_VAIN),
            false => limit,
        };
        if self.vain.weight() < limit || !self.vain.end() {
            return;
        }
        // Over HTTP/1.1 there is one request at a time, whose answer says that it was the last.
        let told = match is_known || !self.is_h2.load(Ordering::Relaxed) {
            true => Told::Leave,
            false => Told::Close,
        };
        if !is_known {
            self.pays();
        }
        self.tell(told, Why::InVain);
    }

    /// The HTTP library has had enough by itself.
    pub(super) fn had_enough(&self) {
        if self.vain.end() {
            self.pays();
            self.shared.figures.closed(Why::InVain);
        }
    }

    fn pays(&self) {
        if self.has_share {
            let (shared, peer) = (&self.shared, PeerKey::of(self.address));
            shared.pace.asked_in_vain(peer, shared.now(), &shared.limits);
        }
    }
}
