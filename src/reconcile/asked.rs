//! What other stages have done here: rebuilds, and gates that are opened.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Reconcile;
use crate::audit::AuditLine;
use crate::campaign::Campaign;
use crate::needs::{Gate, Rebuilder, Removal};
use crate::revision::Revision;
use crate::ruleset::Compiled;

impl Rebuilder for Reconcile {
    fn lost(self: Arc<Self>, campaign: &str, epoch: u64) {
        self.rebuild_soon(campaign, epoch);
    }

    fn hurry(&self, campaign: &str) {
        Self::hurry(self, campaign);
    }

    fn lead(&self) -> BoxFuture<'_, bool> {
        async {
            self.leads().await.unwrap_or_else(|error| {
                tracing::debug!(%error, "nobody knows which gateway leads");
                false
            })
        }
        .boxed()
    }
}

impl Gate for Reconcile {
    fn open<'a>(&'a self, campaign: &'a str) -> BoxFuture<'a, Result<(), String>> {
        let opened = Self::open(self, campaign);
        opened
            .map(|opened| opened.map(drop).map_err(|error| error.to_string()))
            .boxed()
    }

    fn provide<'a>(
        &'a self,
        campaign: &'a Campaign,
        revision: &'a Revision,
    ) -> BoxFuture<'a, Result<(), String>> {
        let provided = Self::provide(self, campaign, revision);
        provided
            .map(|provided| provided.map_err(|error| error.to_string()))
            .boxed()
    }

    fn fill<'a>(
        &'a self,
        revision: &'a Compiled,
        counters: &'a [String],
    ) -> BoxFuture<'a, Result<(), String>> {
        let filled = Self::fill(self, revision, counters);
        filled
            .map(|filled| filled.map_err(|error| error.to_string()))
            .boxed()
    }

    fn remove<'a>(
        &'a self,
        campaign: &'a str,
        line: AuditLine<'a>,
    ) -> BoxFuture<'a, Result<Removal, String>> {
        let removed = Self::remove(self, campaign, line);
        removed
            .map(|removed| removed.map_err(|error| error.to_string()))
            .boxed()
    }

    fn give_back_soon(&self) {
        Self::give_back_soon(self);
    }
}
