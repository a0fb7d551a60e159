//! The live state of orders: streams of server-sent events, and answers that wait until an order is confirmed.
//!
//! ```text
//! GET …/events ─▶ places (budget) ─▶ subscribe ─▶ read the state ─▶ Stream ◀─ inbox ◀─ watch ◀─ keep ◀─ database
//! POST, Prefer: wait ───────────────▶ subscribe ────────────────────▶ answer ◀─ inbox ◀──┘  ◀─ Changes
//! ```

mod event;
mod figures;
mod inbox;
mod keep;
mod last_id;
mod open;
mod places;
mod source;
mod stream;
mod wait;
mod watch;

use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::Orders;
use super::told::Told;
use figures::Figures;
use places::Places;
use watch::{Of, Subscription, Watch};

pub use source::{Landed, Standing};
pub(super) use wait::{PREFERENCE_APPLIED, Wait};
pub use watch::Changes;

/// What streams and waits of a gateway have in common.
pub(super) struct Live {
    watch: Arc<Watch>,
    places: Arc<Places>,
    figures: Figures,
}

impl Live {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let places = Arc::<Places>::default();
        Self {
            watch: Arc::default(),
            figures: Figures::new(registry, places.clone()),
            places,
        }
    }

    pub(super) fn changes(&self) -> Changes {
        Changes::of(&self.watch)
    }

    /// Every stream ends, and every wait.
    pub(super) fn close(&self) {
        self.watch.close();
    }

    /// Subscribes; the first one has somebody look after what is watched, until nobody watches.
    fn subscribe<O: Orders>(
        &self,
        (orders, told): (&Arc<O>, &Arc<Told>),
        campaign: &str,
        of: Of,
    ) -> Subscription {
        let (subscription, begins) = self.watch.subscribe(campaign, of);
        if begins {
            tokio::spawn(keep::keep(self.watch.clone(), orders.clone(), told.clone()));
        }
        subscription
    }
}
