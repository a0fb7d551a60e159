//! Figures of one listener's connections.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::judge::Why;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Handles into the registry; the default ones are in none.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    open: Gauge,
    closed: Family<Reason, Counter>,
    refused: Counter,
}

impl Figures {
    /// `plane` begins the names: `http_connections`, `http_connections_closed`, `http_requests_refused`.
    pub fn new(registry: &mut Registry, plane: &'static str) -> Self {
        let figures = Self::default();
        registry.register(
            format!("{plane}_connections"),
            "Open connections",
            figures.open.clone(),
        );
        registry.register(
            format!("{plane}_connections_closed"),
            "Connections that were closed by this side, by reason: opening (no TLS or no first bytes in time), idle, stalled (takes \
             nothing of what it is sent), idlest (another one needed its place), share (its peer has its share), pace (its peer makes \
             connections too fast), in-vain (too much of what it asked came to nothing), memory",
            figures.closed.clone(),
        );
        registry.register(
            format!("{plane}_requests_refused"),
            "Requests refused because of the memory that requests in flight hold",
            figures.refused.clone(),
        );
        figures
    }

    pub(super) fn closed(&self, why: Why) {
        self.closed.get_or_create(&Reason { reason: why.name() }).inc();
    }

    pub(super) fn refused(&self) {
        self.refused.inc();
    }

    /// Counts a connection while it is open, whichever way it ends.
    pub(super) fn open(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
    }
}

pub(super) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
