//! Missing orders: finds by itself what the engine admitted and nobody has, whatever the cause, and sends it again.
//!
//! One gateway looks at the sums of every campaign, which costs little and names no order. Only where units stay
//! missing does it read the orders of the campaign, name those that are missing, and publish them again with what they
//! were charged; landing takes them as any order.

mod glance;
mod looks;

use std::time::Duration;

use tokio::time::Instant;

use super::Reconcile;
use super::compare::{CompareError, Difference, Gap, Outcome};
use glance::Seen;
pub use looks::{CampaignFigures, Figures, Looks};

const LEASE: &str = "missing-orders";
/// In the audit trail.
const ACTOR: &str = "rushgate serve";
/// How long a look waits for landing: where it is behind, nothing can be said, and its lag has an alarm of its own.
const PATIENCE: Duration = Duration::from_secs(2);
/// Campaigns of one round.
const ROUND_MAX: usize = 256;
/// Of these, looked at together: they wait for landing once.
const GROUP: usize = 32;

impl Reconcile {
    /// One round at `now`, in milliseconds since 1970-01-01 UTC: looks at the campaigns whose turn it is. Does nothing
    /// where another gateway does it. A campaign that cannot be looked at holds up no other.
    pub async fn find_missing(&self, looks: &mut Looks, now: i64) -> Result<(), CompareError> {
        if !self.lease_missing().await? {
            looks.forget();
            return Ok(());
        }
        if looks.is_old(now) {
            looks.keep(self.store.live_campaigns(now).await?, now);
        }
        for group in looks.due(now, ROUND_MAX).chunks(GROUP) {
            let seen = match self.glance(group).await {
                Ok(seen) => seen,
                // Landing is one for all campaigns.
                Err(error) => {
                    looks.postpone(now);
                    return Err(error);
                }
            };
            for (target, seen) in group.iter().zip(seen) {
                self.judge(looks, &target.campaign, seen, now).await;
            }
            self.lease_missing().await?;
        }
        Ok(())
    }

    async fn lease_missing(&self) -> Result<bool, CompareError> {
        let for_ms = self.config.lease.as_millis() as i64;
        Ok(self
            .store
            .lease(LEASE, &self.owner, (self.clock)(), for_ms)
            .await?)
    }

    async fn judge(&self, looks: &mut Looks, campaign: &str, seen: Seen, now: i64) {
        let judged = match seen {
            Seen::Clear(mark) => {
                looks.clear(campaign, now, Some(mark));
                return;
            }
            Seen::Failed(error) => Err(error),
            // Too soon after the last sum, which is no small matter where there are many orders.
            Seen::Moving if !looks.may_add_up(campaign, now) => {
                looks.unknown(campaign, now);
                return;
            }
            Seen::Moving => self.add_up(looks, campaign, now).await,
        };
        if let Err(error) = judged {
            tell_failure(looks, campaign, &error);
            looks.unknown(campaign, now);
        }
    }

    async fn add_up(&self, looks: &mut Looks, campaign: &str, now: i64) -> Result<(), CompareError> {
        let begun = Instant::now();
        let gap = self.gap(campaign, PATIENCE).await?;
        looks.added_up(campaign, now, begun.elapsed());
        let Some(gap) = gap else {
            looks.unknown(campaign, now);
            return Ok(());
        };
        if gap.is_empty() {
            looks.clear(campaign, now, None);
            return Ok(());
        }
        if !looks.is_missing(campaign, now, &gap) {
            return Ok(());
        }
        looks.figures.scans += 1;
        let found = self.send_lost_again(campaign, ACTOR).await?;
        tell(campaign, &gap, &found);
        looks.scanned(campaign, now, &gap, &found);
        Ok(())
    }
}

/// What has an alarm of its own, or passes by itself, is not told campaign by campaign.
fn tell_failure(looks: &mut Looks, campaign: &str, error: &CompareError) {
    match error {
        CompareError::Closed(_)
        | CompareError::Revised
        | CompareError::Busy(_)
        | CompareError::Patience { .. } => return,
        CompareError::Engine(down) if down.is_transient() => {
            tracing::debug!(campaign, %error, "missing orders are not looked for");
        }
        _ => tracing::warn!(campaign, %error, "missing orders are not looked for"),
    }
    looks.figures.failed += 1;
}

fn tell(campaign: &str, gap: &Gap, found: &[Difference]) {
    let done =
        |difference: &&Difference| matches!(difference.outcome, Outcome::SentAgain | Outcome::Repaired);
    for difference in found.iter().filter(|difference| !done(difference)) {
        tracing::error!(campaign, outcome = ?difference.outcome, "{}", difference.sentence);
    }
    if found.is_empty() {
        tracing::warn!(
            campaign,
            ?gap,
            "units that nobody holds, and no order is missing: see `rushgate reconcile`"
        );
    }
}
