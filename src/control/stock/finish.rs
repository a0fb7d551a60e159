//! Changes that are half done: whoever meets one does the rest.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::{Control, ControlError, half_done};
use crate::clock;
use crate::failpoint::{self, Point};
use crate::seldom::Seldom;
use crate::store::{StockChange, StockChangeKind};

/// Between two looks at the database. A change that was there at the last look, too, was left by whoever began it.
const EVERY: Duration = Duration::from_secs(1);

impl Control {
    /// Looks every second for changes of the stock that nobody ends: the gateway that began them may be gone.
    /// Until the handle is dropped.
    pub fn keep_finishing(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let control = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tick = clock::every(EVERY);
            let (mut seen, mut trouble) = (HashSet::new(), Seldom::default());
            loop {
                tick.tick().await;
                if let Err(error) = control.finish_left(&mut seen).await
                    && trouble.met(&error.to_string(), Instant::now()).is_some()
                {
                    tracing::warn!(%error, "a change of the stock is half done");
                }
            }
        }))
    }

    /// Ends the changes that were half done when `seen` was looked at, and still are; the others are seen now.
    async fn finish_left(&self, seen: &mut HashSet<String>) -> Result<(), ControlError> {
        let open = self.store.open_stock_changes().await?;
        let before = std::mem::take(seen);
        let mut failed = None;
        for change in open {
            if self.under_way.is_here(&change.operation) {
                continue;
            }
            seen.insert(change.operation.clone());
            if before.contains(&change.operation) {
                let (campaign, operation) = (change.campaign.clone(), change.operation.clone());
                match self.finish(change).await {
                    Ok(()) => tracing::info!(
                        campaign,
                        operation,
                        "a change of the stock was half done, and is done"
                    ),
                    Err(error) => failed = Some(error),
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Does what is left to do of a change.
    pub(super) async fn finish(&self, change: StockChange) -> Result<(), ControlError> {
        match change.kind {
            _ if change.is_done => Ok(()),
            StockChangeKind::Remove => self.finish_removal(change, None).await.map(drop),
            StockChangeKind::Add | StockChangeKind::Sku => {
                let finished = self.finish_committed(&change).await;
                finished.map_err(|error| half_done(&change, error))
            }
        }
    }

    /// The database has the change: the shard gets the fence, and the units that were added.
    pub(super) async fn finish_committed(&self, change: &StockChange) -> Result<(), ControlError> {
        failpoint::hit(Point::S4);
        self.bring(&change.campaign, change.epoch.unwrap_or(0)).await?;
        failpoint::hit(Point::S5);
        let (campaign, now) = (&change.campaign, (self.clock)());
        self.store.end_stock_change(campaign, change.number, now).await?;
        failpoint::hit(Point::S6);
        Ok(())
    }
}
