//! Looking for missing orders, always, on one gateway at a time.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;

use crate::clock::{self, now_ms};
use crate::reconcile::Reconcile;
use crate::reconcile::missing::Looks;
use crate::ruleset::Ruleset;

/// Between rounds; each looks only at the campaigns whose turn it is.
const EVERY: Duration = Duration::from_secs(2);

/// Starts it; ends with the process.
pub(super) fn spawn(reconcile: Arc<Reconcile>, ruleset: Arc<Ruleset>, registry: &mut Registry) {
    let mut looks = Looks::default();
    looks.register(registry);
    tokio::spawn(async move {
        let mut tick = clock::every(EVERY);
        // An outage is told when it begins, and again when its cause changes.
        let mut last = String::new();
        loop {
            tick.tick().await;
            // The right to look runs out, and goes to a gateway that can send them again.
            if reconcile.halted().is_some() {
                continue;
            }
            looks.rest(now_ms(), |campaign| ruleset.is_quiet(campaign));
            let why = match reconcile.find_missing(&mut looks, now_ms()).await {
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            };
            if !why.is_empty() && why != last {
                tracing::warn!(error = why, "missing orders are not looked for, for now");
            }
            last = why;
        }
    });
}
