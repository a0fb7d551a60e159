//! Telling later changes: each row of `order_changes` that is not told, by one lander for all, as soon as it is there.

use std::time::Duration;

use super::publish::Publisher;
use crate::clock::now_ms;
use crate::store::Store;

/// Between looks, while there is nothing.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Changes that are told together.
const BATCH: u32 = 1000;

/// Looks after later changes.
pub(super) struct Changes {
    pub store: Store,
    pub publisher: Publisher,
    /// Whether they are told; otherwise they count as told.
    pub tells: bool,
}

impl Changes {
    /// Tells what there is, a good part of it at least; says whether there may be more.
    pub(super) async fn tell(&self) -> anyhow::Result<bool> {
        let changes = self.store.untold_changes(BATCH).await?;
        let oldest = changes.iter().map(|change| change.at).min();
        let age = oldest.map_or(0, |at| now_ms() - at);
        self.publisher.metrics.behind.see_changes(age);
        if changes.is_empty() {
            return Ok(false);
        }
        let more = changes.len() == BATCH as usize;
        if self.tells {
            self.publisher.tell_in_parts(&changes).await?;
        }
        self.store.changes_were_told(&changes, now_ms()).await?;
        Ok(more)
    }

    /// Another lander looks after them.
    pub(super) fn rest(&self) {
        self.publisher.metrics.behind.see_changes(0);
    }
}
