//! The audit trail, read; and its heads, told to the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::{Control, ControlError};
use crate::audit::{AuditEntry, Head};
use crate::clock;
use crate::seldom::Seldom;
use crate::store::{AuditFilter, AuditPlace};

/// Lines of one page at most, and one that says whether more follow.
const PAGE_MAX: u32 = 101;
/// Between two times that the log is told the heads.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// Who tells them holds this: longer than it takes until the next time, so that one process does.
const LEASE: &str = "audit-heads";
const LEASE_MS: i64 = 90_000;

impl Control {
    /// Newest first, those older than the line `before`.
    pub async fn audit_page(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, ControlError> {
        let place = AuditPlace::Before(before.unwrap_or(i64::MAX));
        let limit = limit.clamp(1, PAGE_MAX);
        Ok(self.store.audit_page(filter, place, limit).await?)
    }

    /// The last lines of all chains.
    pub async fn audit_heads(&self) -> Result<Vec<Head>, ControlError> {
        Ok(self.store.audit_heads().await?)
    }

    /// Tells the log where each chain ends, as long as no other gateway does and the handle is kept: whoever cuts lines off the end of
    /// a chain leaves it whole, and does not reach the log.
    pub fn keep_telling_heads(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let control = self.clone();
        let owner = uuid::Uuid::now_v7().simple().to_string();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tick = clock::every(TOLD_EVERY);
            let mut trouble = Seldom::default();
            loop {
                tick.tick().await;
                if let Err(error) = control.tell_heads(&owner).await
                    && trouble.met(&error.to_string(), Instant::now()).is_some()
                {
                    tracing::warn!(%error, "the log is not told where the audit trail ends");
                }
            }
        }))
    }

    async fn tell_heads(&self, owner: &str) -> Result<(), ControlError> {
        if !self.store.lease(LEASE, owner, (self.clock)(), LEASE_MS).await? {
            return Ok(());
        }
        for head in self.store.audit_heads().await? {
            let Head {
                merchant,
                number,
                hash,
            } = head;
            if number == 0 {
                continue;
            }
            tracing::info!(merchant, head = %format_args!("{number}:{hash}"), "the audit trail ends here");
        }
        Ok(())
    }
}
