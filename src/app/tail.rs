//! Live streams of orders hear of changes that other processes make: a gateway with streams or waits reads the topic order-events
//! from its end on. Without it they look at the database.

use crate::bus::kafka::{Follower, Tail};
use crate::config::Config;
use crate::gateway::Changes;
use crate::order::ToldChange;

struct Streams(Changes);

impl Follower for Streams {
    fn is_wanted(&self) -> bool {
        self.0.are_watched()
    }

    fn is_complete(&self, complete: bool) {
        self.0.are_complete(complete);
    }

    fn take(&self, payload: &[u8]) {
        // What is no event is not ours; the database is looked at all the same.
        if let Ok(change) = ToldChange::decode(payload) {
            self.0
                .changed(&change.campaign, &change.user, change.order, change.state);
        }
    }
}

/// Follows it, where changes are told at all.
pub(super) fn follow(config: &Config, changes: Changes) -> Option<Tail> {
    if !config.events.enabled {
        return None;
    }
    let topic = config.topics().ok()?.order_events;
    match Tail::follow(config.kafka(), topic, Streams(changes)) {
        Ok(tail) => Some(tail),
        Err(error) => {
            tracing::warn!(%error, "no thread to follow changes of orders with: streams look at the database");
            None
        }
    }
}
