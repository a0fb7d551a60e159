//! One batch's transactions: tried until the database has answered.

use std::time::Instant;

use super::Landing;
use super::batch::Batch;
use super::wait::{Backoff, End};
use crate::clock::now_ms;
use crate::needs::{Confirmed, TakenOrders};
use crate::store::{Landed, Resolved, StoreError, StoreResult};

/// What earlier attempts at one transaction have left open.
#[derive(Default)]
struct Attempts {
    /// The moment of an attempt whose answer was lost.
    unanswered: Option<i64>,
    /// What attempts without an answer turned out to have written.
    resolved: Resolved,
    /// Attempts in a row that met a lock.
    locked: u32,
}

impl Landing {
    /// One transaction for what the batch has to write, which it takes in. Failures that pass are waited out, because nothing
    /// may be skipped; orders that fail for themselves are in the answer.
    pub(super) fn write(&mut self, batch: &mut Batch<'_>) -> Result<(Landed, TakenOrders), End> {
        let mut backoff = Backoff::default();
        let mut attempts = Attempts::default();
        self.state.begin(batch.oldest(), now_ms());
        loop {
            // Waiting, the consumer may have lost some of them.
            batch.forget(&self.consumer.lost());
            self.note_told(batch);
            let at = now_ms();
            match self.attempt(batch, at, &mut attempts)? {
                Ok(mut landed) => {
                    let orders = batch.take_in(&landed);
                    // Each is new, and none is revoked; what an earlier attempt had written counts as confirmed too.
                    let all = landed.confirmed == orders.len() as u64;
                    let known = all && attempts.resolved == Resolved::default();
                    let pay_by = landed.pay_by.take().filter(|_| known);
                    let confirmed = pay_by.map(|pay_by| Confirmed { at, pay_by });
                    return Ok((landed, TakenOrders { confirmed, orders }));
                }
                Err(error) => {
                    let locked = matches!(error, StoreError::Locked(_));
                    attempts.locked = if locked { attempts.locked + 1 } else { 0 };
                    if matches!(error, StoreError::Unanswered(_)) && attempts.unanswered.is_none() {
                        attempts.unanswered = Some(at);
                    }
                    self.trouble("landing waits for the database", error.to_string());
                }
            }
            self.wait(backoff.next())?;
        }
    }

    fn attempt(
        &mut self,
        batch: &Batch<'_>,
        at: i64,
        attempts: &mut Attempts,
    ) -> Result<StoreResult<Landed>, End> {
        let (topic, store, slices) = (self.config.topic.clone(), self.store.clone(), &batch.slices);
        if let Some(before) = attempts.unanswered {
            let resolved = match self.drive(store.resolve(&topic, slices, before))? {
                Ok(resolved) => resolved,
                Err(error) => return Ok(Err(error)),
            };
            attempts.unanswered = None;
            attempts.resolved.confirmed += resolved.confirmed;
            attempts.resolved.revoked += resolved.revoked;
            self.metrics.commits_resolved.inc();
            tracing::info!(
                topic,
                committed = resolved != Resolved::default(),
                "a commit without an answer is resolved"
            );
        }
        let locks = attempts.locked >= self.config.locked_tries;
        let mut landed = match self.drive(store.land_apart(&topic, slices, at, locks))? {
            Ok(landed) => landed,
            Err(error) => return Ok(Err(error)),
        };
        // What an attempt without an answer had written is met again as a duplicate.
        let Resolved { confirmed, revoked } = attempts.resolved;
        landed.duplicates = landed.duplicates.saturating_sub(confirmed + revoked);
        landed.confirmed += confirmed;
        landed.revoked += revoked;
        Ok(Ok(landed))
    }

    /// Something failed and is tried again.
    pub(super) fn trouble(&self, what: &str, error: String) {
        if self.troubles.borrow_mut().met(&error, Instant::now()).is_some() {
            tracing::warn!(topic = self.config.topic, error, "{what}");
        }
        self.metrics.retries.inc();
        self.state.note_error(error);
    }
}
