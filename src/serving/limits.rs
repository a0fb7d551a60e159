//! How much of everything connections may take. Each number is one factor; the products are bounded too: memory by
//! [`Limits::bytes`] in all and [`Limits::peer_bytes`] per peer, connections by [`Limits::peer_connections`].

use std::time::Duration;

use super::peer::Networks;

/// Bytes of a request's head, as sent over HTTP/1.1 and as HPACK counts them over h2.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Header fields of a request over HTTP/1.1; over h2 the bytes bound them, 32 being counted for each.
pub(super) const HEADERS_MAX: usize = 100;
/// What a request takes besides its head and body: its task, its stream, and the answer's head.
pub(super) const REQUEST_BYTES: usize = 8 * 1024;
/// What a field of a head takes besides its text, in the map that holds it.
pub(super) const FIELD_BYTES: usize = 112;
/// Bytes of a stream's answer that wait to be sent, over h2.
pub(super) const SEND_BYTES: usize = 16 * 1024;
/// Bytes of a connection that asks nothing, before it is charged for the buffers that they may fill.
pub(super) const UNASKED_BYTES: usize = 32 * 1024;
/// What it is charged then: the longest head that h2 may be putting together.
pub(super) const UNASKED_CHARGE: usize = 128 * 1024;
/// Answers at a time that tell a connection that it has no more room; further requests are reset.
pub(super) const REFUSALS_MAX: usize = 8;
/// Requests with something like a token that are looked at before anything else calls for it, of one connection.
pub(super) const LOOKS_MAX: usize = 4;
/// A connection that somebody vouched for, or a proxy's, may have so many times as many requests come to nothing; then it is
/// asked to leave, and no more.
pub(super) const KNOWN_IN_VAIN: usize = 64;
/// Frames besides those of requests that an h2 connection may send at first, and once more for each request.
pub(super) const FRAMES_FREE: (u64, u64) = (64, 16);
/// So many more of them count as one request that came to nothing.
pub(super) const FRAMES_IN_VAIN: u64 = 16;
/// Connections that wait in the kernel for a listener that closes, and are still served; it has descriptors to spare for them.
pub(super) const QUEUED_MAX: usize = 256;
/// How long a connection that is asked to leave may take to say goodbye.
pub(super) const LEAVE_WITHIN: Duration = Duration::from_millis(500);
/// Connections that were closed for others and are not gone yet; above, they are cut off instead of asked.
pub(super) const LINGERING_MAX: usize = 256;

/// Body bytes that a listener for few holds of one request at most: what is charged for one whose length is not told, or is
/// longer, while it arrives and until it is answered.
pub const FEW_BODY_BYTES: usize = 32 * 1024 * 1024;

/// What one connection may have in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    pub requests: usize,
    pub bytes: usize,
}

/// Limits of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections at most; for one more, the idlest is closed.
    pub connections: usize,
    /// Of them, one peer's at most: an IPv4 address or an IPv6 /64.
    pub peer_connections: usize,
    /// New connections of one peer a second, after [`Limits::burst`] at once.
    pub peer_connects: u32,
    /// Requests of a connection that may come to nothing (refused, reset, timed out) as long as nobody vouches for it.
    pub in_vain: usize,
    /// Peers that are proxies: they have no share.
    pub proxies: Networks,
    /// Nobody has: proxies are there, and it is not known which peers they are.
    pub all_proxies: bool,
    /// From the accepted connection to its first request: TLS and the bytes that tell the protocol.
    pub opening: Duration,
    /// A connection without a request in flight is closed after so long, whatever else it sends.
    pub idle: Duration,
    /// A peer that takes nothing of what it is sent is cut off after so long.
    pub stall: Duration,
    /// Streams at a time on an h2 connection.
    pub streams: u32,
    /// What a connection may have in flight as long as nobody vouches for it.
    pub stranger: Bound,
    /// And then.
    pub known: Bound,
    /// Memory that requests in flight may hold in all.
    pub bytes: usize,
    /// Of it, one peer's at most.
    pub peer_bytes: usize,
    /// Bytes that are read of a connection in one turn, before others have theirs; fewer where it sends without a pause.
    pub turn_bytes: usize,
    /// Body bytes that are held of one request.
    pub body_bytes: usize,
    /// Body bytes that wait to be read, per h2 stream and per h2 connection.
    pub windows: (u32, u32),
}

impl Limits {
    /// Of a listener that strangers reach. `bytes` is what requests in flight may hold in all.
    pub fn for_many(connections: usize, bytes: usize) -> Self {
        Self {
            connections,
            peer_connections: share(connections),
            peer_connects: pace(share(connections)),
            in_vain: 100,
            proxies: Networks::default(),
            all_proxies: false,
            opening: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(20),
            streams: 100,
            stranger: Bound {
                requests: 16,
                bytes: 256 * 1024,
            },
            known: Bound {
                requests: 100,
                bytes: 4 * 1024 * 1024,
            },
            bytes,
            peer_bytes: bytes / 8,
            turn_bytes: 2 * 1024,
            body_bytes: 16 * 1024,
            windows: (32 * 1024, 128 * 1024),
        }
    }

    /// New connections of one peer at once: its whole share, and four seconds' worth where that is more.
    pub(super) fn burst(&self) -> usize {
        self.peer_connections.max(4 * self.peer_connects as usize)
    }

    /// Of a listener for operators and their tools: few connections, large bodies and answers.
    pub fn for_few(connections: usize) -> Self {
        let bound = Bound {
            requests: 32,
            bytes: 8 * FEW_BODY_BYTES,
        };
        Self {
            // They often come through one address, and are few.
            peer_connections: connections,
            stranger: bound,
            known: bound,
            streams: 32,
            // Their tools may send a body line by line.
            in_vain: 10_000,
            peer_bytes: 16 * FEW_BODY_BYTES,
            turn_bytes: 16 * 1024,
            body_bytes: FEW_BODY_BYTES,
            windows: (1024 * 1024, 2 * 1024 * 1024),
            ..Self::for_many(connections, 16 * FEW_BODY_BYTES)
        }
    }
}

/// A peer's share of so many connections where none is configured: an eighth, or 16 where that is more.
pub fn share(connections: usize) -> usize {
    (connections / 8).max(16).min(connections)
}

/// A peer's new connections a second where none are configured: an eighth of its share, or 64 where that is more.
pub fn pace(share: usize) -> u32 {
    u32::try_from(share / 8).unwrap_or(u32::MAX).max(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_an_eighth_and_never_too_few() {
        for (connections, of_one) in [(1, 1), (10, 10), (64, 16), (2_000, 250), (16_384, 2_048)] {
            assert_eq!(share(connections), of_one, "{connections}");
        }
    }
}
