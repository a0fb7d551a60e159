//! Compare: holds what the engine has of a campaign against what the database has, while orders flow, and puts
//! differences right when told to.
//!
//! The engine is read first. Then landing has to pass what the bus held at that moment, and then the database is
//! read: whatever the engine had admitted is by then in its outbox as it was read, in the database, or lost. What
//! still differs is looked at once more before it counts, because orders go on being admitted.

mod counters;
mod difference;
mod gap;
mod lost;
mod mend;
mod orders;
mod released;
mod shard;
mod stock;
mod values;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{RebuildError, Reconcile};
use crate::audit::AskedBy;
use crate::bus::BusError;
use crate::engine::EngineError;
use crate::lua::reply::CodecError;
use crate::plan::PlanError;
use crate::store::StoreError;
use crate::wire::Moment;
use difference::Mend;
pub use difference::{Difference, Kind, Place, RepairOutcome};
pub(super) use gap::{Gap, quiet_gap};
pub(super) use shard::Desk;

/// Differences of one sort that are listed, and repaired by one run; more are counted.
const DIFFERENCES_MAX: usize = 10_000;
/// Times a comparison begins anew because another revision was activated.
const REVISIONS_MAX: u32 = 3;

/// What a repair makes of lost orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostOrders {
    /// They are published again with what they were charged, and land as any order.
    SendAgain,
    /// They are revoked, and give back what they hold.
    GiveUp,
}

/// Why a campaign could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    #[error("no campaign {0:?}; `GET /admin/v1/campaigns` lists them")]
    UnknownCampaign(String),
    #[error(
        "the gate of {0:?} is closed: its state in the engine is missing. A gateway rebuilds it; compare afterwards"
    )]
    Closed(String),
    /// By choice, nothing is kept of it in the engine.
    #[error(
        "campaign {campaign:?} is archived since {since}: the engine holds nothing of it, and there is nothing to compare"
    )]
    Archived { campaign: String, since: Moment },
    #[error("the engine holds the state of another campaign named {0:?}; is this the right Redis?")]
    Foreign(String),
    #[error(
        "a bucket of {0:?} is missing in the engine: the next order closes its gate, and a gateway rebuilds it"
    )]
    Incomplete(String),
    #[error("another revision of {0:?} is activated again and again; compare later")]
    Restless(String),
    #[error("another process repairs {0:?}; compare later")]
    Busy(String),
    #[error("what released orders of it hold cannot be given back, which a repair begins with: {0}")]
    GivingBack(RebuildError),
    #[error("waited {waited:?} for {what}; nothing can be said until then")]
    Patience { what: String, waited: Duration },
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Bus(#[from] BusError),
    #[error("{0}")]
    Codec(#[from] CodecError),
    #[error("a stored plan is refused: {0}")]
    Plan(#[from] PlanError),
    /// Internal: begin anew.
    #[error("another revision was activated meanwhile")]
    Revised,
}

/// What a comparison saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    pub campaign: String,
    /// Orders in the database.
    pub orders: u64,
    pub skus: u64,
    /// Counts of subjects.
    pub subjects: u64,
    /// Counts that kept changing and could not be compared.
    pub unsettled: u64,
    /// Differences beyond those that are listed: of the newest look.
    pub more: u64,
    pub took_ms: u64,
    /// Found and, where a repair was asked for, repaired or not.
    pub differences: Vec<Difference>,
    /// Differences after the repair; empty where none was made.
    pub left: Vec<Difference>,
    /// Whether a repair was made.
    pub repaired: bool,
}

impl Comparison {
    /// Differences that are there now.
    pub fn now(&self) -> &[Difference] {
        if self.repaired {
            &self.left
        } else {
            &self.differences
        }
    }
}

impl Reconcile {
    /// Compares a campaign; with an `actor`, also repairs in their name and compares again. Lost orders are sent
    /// again.
    pub async fn compare(&self, campaign: &str, actor: Option<&str>) -> Result<Comparison, CompareError> {
        let mend = actor.map(|actor| (AskedBy::here(actor), LostOrders::SendAgain));
        self.compare_for(campaign, mend).await
    }

    /// Like [`Self::compare`] with an actor, but lost orders are given up.
    pub async fn compare_and_release(&self, campaign: &str, actor: &str) -> Result<Comparison, CompareError> {
        let mend = (AskedBy::here(actor), LostOrders::GiveUp);
        self.compare_for(campaign, Some(mend)).await
    }

    /// The same, for whoever asks where somebody asks for a repair, and what is to become of lost orders.
    pub async fn compare_for(
        &self,
        campaign: &str,
        mend: Option<(AskedBy<'_>, LostOrders)>,
    ) -> Result<Comparison, CompareError> {
        let begun = Instant::now();
        let compared = match mend {
            None => self.look(campaign).await,
            Some((by, lost)) => self.look_and_mend(campaign, by, lost).await,
        };
        let mut comparison = match compared {
            Err(CompareError::Closed(_)) => return Err(self.closed(campaign).await?),
            compared => compared?,
        };
        comparison.took_ms = begun.elapsed().as_millis() as u64;
        Ok(comparison)
    }

    async fn look_and_mend(
        &self,
        campaign: &str,
        by: AskedBy<'_>,
        lost: LostOrders,
    ) -> Result<Comparison, CompareError> {
        let lease = lease_of(campaign);
        self.alone(campaign, self.mend_under(campaign, by, &lease, lost))
            .await
    }

    /// Why the gate is closed.
    async fn closed(&self, campaign: &str) -> Result<CompareError, CompareError> {
        let row = self.store.campaign(campaign).await?;
        let archived = row.filter(|row| row.schedule.is_archived((self.clock)()));
        Ok(match archived {
            Some(row) => CompareError::Archived {
                campaign: campaign.to_owned(),
                since: Moment(row.schedule.archived_at()),
            },
            None => CompareError::Closed(campaign.to_owned()),
        })
    }

    /// Under a lease: two repairs of one campaign would put right what the other just did.
    async fn alone<T>(
        &self,
        campaign: &str,
        work: impl Future<Output = Result<T, CompareError>>,
    ) -> Result<T, CompareError> {
        let lease = lease_of(campaign);
        if !self.lease_compare(&lease).await? {
            return Err(CompareError::Busy(campaign.to_owned()));
        }
        let done = work.await;
        self.store.lease(&lease, &self.owner, (self.clock)(), 0).await?;
        done
    }

    /// Names the lost orders of a campaign, one by one, and sends those again that can be. Answers them, with what
    /// became of each, and the entries of the outbox that nobody can relay.
    pub(super) async fn send_lost_again(
        &self,
        campaign: &str,
        actor: &str,
    ) -> Result<Vec<Difference>, CompareError> {
        let work = async {
            let desk = Desk::open(self, campaign).await?;
            let mut found = desk.compare_orders().await?.differences;
            found.retain(|each| matches!(each.kind, Kind::LostOrder | Kind::StuckEntry));
            let lease = lease_of(campaign);
            self.mend_lost(&desk, actor.into(), &lease, LostOrders::SendAgain, &mut found)
                .await?;
            Ok(found)
        };
        self.alone(campaign, work).await
    }

    /// Revoked orders give back first, so that few counts are on their way; those that hold something all the same,
    /// because another process is at it or they were released just now, are counted as what they hold.
    async fn mend_under(
        &self,
        campaign: &str,
        by: AskedBy<'_>,
        lease: &str,
        lost: LostOrders,
    ) -> Result<Comparison, CompareError> {
        self.give_back_of(campaign)
            .await
            .map_err(CompareError::GivingBack)?;
        let mut comparison = self.look(campaign).await?;
        if comparison.differences.is_empty() {
            return Ok(comparison);
        }
        self.mend(campaign, by, lease, lost, &mut comparison.differences)
            .await?;
        let again = self.look(campaign).await?;
        comparison.left = again.differences;
        comparison.more = again.more;
        comparison.repaired = true;
        Ok(comparison)
    }

    async fn lease_compare(&self, lease: &str) -> Result<bool, CompareError> {
        let for_ms = self.config.lease.as_millis() as i64;
        Ok(self
            .store
            .lease(lease, &self.owner, (self.clock)(), for_ms)
            .await?)
    }

    /// One comparison of everything.
    async fn look(&self, campaign: &str) -> Result<Comparison, CompareError> {
        for _ in 0..REVISIONS_MAX {
            match self.look_once(campaign).await {
                Err(CompareError::Revised) => tokio::time::sleep(self.config.poll).await,
                answer => return answer,
            }
        }
        Err(CompareError::Restless(campaign.to_owned()))
    }

    async fn look_once(&self, campaign: &str) -> Result<Comparison, CompareError> {
        let desk = Desk::open(self, campaign).await?;
        let orders = desk.compare_orders().await?;
        let lost: Vec<&Difference> = of_kind(&orders.differences, Kind::LostOrder);
        let mut stock = desk.compare_stock(&lost).await?;
        let mut counters = desk.compare_counters().await?;
        if !lost.is_empty() {
            for high in counters
                .differences
                .iter_mut()
                .filter(|each| each.kind == Kind::CounterHigh)
            {
                high.refuse("an order of this campaign is lost, and may be what is counted");
            }
        }
        let mut differences = Vec::new();
        for part in [&mut stock.differences, &mut counters.differences] {
            differences.append(part);
        }
        differences.extend(orders.differences);
        differences.sort_by_key(|difference| difference.kind);
        Ok(Comparison {
            campaign: campaign.to_owned(),
            orders: orders.compared,
            skus: stock.compared,
            subjects: counters.compared,
            unsettled: counters.unsettled,
            more: orders.more + counters.more,
            differences,
            ..Comparison::default()
        })
    }
}

fn lease_of(campaign: &str) -> String {
    format!("reconcile:{campaign}")
}

/// What one part of a comparison saw.
#[derive(Debug, Default)]
struct Part {
    compared: u64,
    unsettled: u64,
    more: u64,
    differences: Vec<Difference>,
}

impl Part {
    /// Keeps the first differences, and counts the rest.
    fn add(&mut self, differences: impl IntoIterator<Item = Difference>) {
        for difference in differences {
            match self.differences.len() < DIFFERENCES_MAX {
                true => self.differences.push(difference),
                false => self.more += 1,
            }
        }
    }
}

fn of_kind(differences: &[Difference], kind: Kind) -> Vec<&Difference> {
    differences.iter().filter(|each| each.kind == kind).collect()
}
