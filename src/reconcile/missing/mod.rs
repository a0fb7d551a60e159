//! Missing orders: finds by itself what the engine admitted and nobody has, whatever the cause, and sends it again.
//!
//! One gateway looks at the sums of every campaign, which costs little and names no order. Only where they stay wrong,
//! whichever way, does it read the orders of the campaign, name those that are missing, and publish them again with
//! what they were charged; landing takes them as any order.
//!
//! Sums that are right say nothing of an order whose unit somebody gave back. So the orders of a campaign are read
//! once more when it has come to rest after it had some, and seldom while it has; one campaign at a time, at little
//! cost.

mod glance;
mod looks;

use tokio::time::Instant;

use super::Reconcile;
use super::compare::{CompareError, Difference, Gap, RepairOutcome};
use glance::Seen;
use looks::Mark;
pub use looks::{Found, Looks, Metrics, Missing};

const LEASE: &str = "missing-orders";
/// In the audit trail.
const ACTOR: &str = "rushgate serve";
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
        if let Some(campaign) = looks.to_read(now) {
            self.read(looks, &campaign, now).await;
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
        let mark = match seen {
            Seen::Still(gap, mark) if looks.expects(campaign, now, &gap) => {
                looks.calm(campaign, now, &gap, Some(mark));
                return;
            }
            Seen::Failed(error) => {
                tell_failure(looks, campaign, &error);
                looks.unknown(campaign, now);
                return;
            }
            Seen::Still(_, mark) => Some(mark),
            Seen::Moving => None,
        };
        // Too soon after the last sum, which is no small matter where there are many orders.
        if !looks.may_add_up(campaign, now) {
            looks.unknown(campaign, now);
        } else if let Err(error) = self.add_up(looks, campaign, now, mark).await {
            tell_failure(looks, campaign, &error);
            looks.unknown(campaign, now);
        }
    }

    /// `mark`: the engine's side before, where nothing was on its way.
    async fn add_up(
        &self,
        looks: &mut Looks,
        campaign: &str,
        now: i64,
        mark: Option<Mark>,
    ) -> Result<(), CompareError> {
        let begun = Instant::now();
        let gap = self.gap(campaign, self.config.glance).await?;
        looks.added_up(campaign, now, begun.elapsed());
        let Some(gap) = gap else {
            looks.unknown(campaign, now);
            return Ok(());
        };
        if looks.is_news(campaign, now, &gap) {
            looks.metrics.scans.inc();
            let found = self.send_lost_again(campaign, ACTOR).await?;
            tell(campaign, &gap, &found);
            looks.scanned(campaign, now, &gap, &found, mark);
        }
        Ok(())
    }

    /// Reads the orders of a campaign whose sums give no reason to.
    async fn read(&self, looks: &mut Looks, campaign: &str, now: i64) {
        let begun = Instant::now();
        looks.metrics.scans.inc();
        match self.send_lost_again(campaign, ACTOR).await {
            Ok(found) => {
                tell(campaign, &Gap::new(), &found);
                looks.read(campaign, now, &found);
            }
            Err(error) => tell_failure(looks, campaign, &error),
        }
        looks.pause_reading(campaign, now, begun.elapsed());
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
    looks.metrics.failed.inc();
}

fn tell(campaign: &str, gap: &Gap, found: &[Difference]) {
    let done = |difference: &&Difference| {
        matches!(
            difference.outcome,
            RepairOutcome::SentAgain | RepairOutcome::Repaired
        )
    };
    for difference in found.iter().filter(|difference| !done(difference)) {
        tracing::error!(campaign, outcome = ?difference.outcome, "{}", difference.sentence);
    }
    if found.is_empty() && !gap.is_empty() {
        tracing::warn!(
            campaign,
            ?gap,
            "units that nobody holds (above 0) or that are on sale and held (below 0), and no order is missing: see \
             `rushgate reconcile`"
        );
    }
}
