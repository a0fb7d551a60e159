//! Puts differences right: each value only while it is still what was compared, and each in the audit trail.

use serde_json::json;

use super::super::Reconcile;
use super::difference::Mend;
use super::shard::Desk;
use super::{CompareError, Difference, Kind, LostOrders, Place, RepairOutcome};
use crate::audit::{AskedBy, AuditLine};
use crate::lua::repair::{Repair, Repaired};

const ACTION: &str = "reconcile.repair";

impl Reconcile {
    /// Every difference gets its outcome. Ends early where the lease is lost.
    pub(super) async fn mend(
        &self,
        campaign: &str,
        by: AskedBy<'_>,
        lease: &str,
        lost: LostOrders,
        differences: &mut [Difference],
    ) -> Result<(), CompareError> {
        let desk = Desk::open(self, campaign).await?;
        self.mend_lost(&desk, by, lease, lost, differences).await?;
        // Each repair of the stock counts as giving back.
        let mut given_back = 0;
        let others = differences
            .iter_mut()
            .filter(|difference| !matches!(difference.kind, Kind::LostOrder | Kind::StuckEntry));
        for difference in others {
            if !self.lease_compare(lease).await? {
                return Err(CompareError::Busy(campaign.to_owned()));
            }
            let repaired = match difference.kind.is_repairable() {
                true => desk.mend(difference, given_back, by).await?,
                false => None,
            };
            let done = matches!(repaired, Some(Repaired::Done { .. }));
            given_back += i64::from(done && matches!(difference.mend, Mend::Stock { .. }));
            difference.outcome = match &repaired {
                None => RepairOutcome::Refused,
                Some(Repaired::Done { .. }) => RepairOutcome::Repaired,
                Some(Repaired::Moved | Repaired::Fenced) => RepairOutcome::Moved,
            };
        }
        Ok(())
    }
}

impl Desk<'_> {
    /// What the audit trail says of a repair.
    fn line<'a>(&self, difference: &Difference, by: AskedBy<'a>) -> AuditLine<'a> {
        let detail = json!({
            "kind": difference.kind,
            "where": difference.place,
            "before": difference.engine.to_string(),
            "after": difference.database.to_string(),
        });
        AuditLine::new((self.reconcile.clock)(), by, ACTION, self.campaign(), detail)
    }

    /// `None` where nothing can be done. Where the line cannot be written, nothing is changed; it stays where something was.
    async fn mend(
        &self,
        difference: &Difference,
        given_back: i64,
        by: AskedBy<'_>,
    ) -> Result<Option<Repaired>, CompareError> {
        let store = &self.reconcile.store;
        if let (Mend::Sold, Place::Sku { sku }) = (&difference.mend, &difference.place) {
            let line = self.line(difference, by);
            return self.mend_sold(sku, difference, line).await.map(Some);
        }
        let mut repaired = None;
        let work = async {
            repaired = self.mend_in_engine(difference, given_back).await?;
            Ok::<_, CompareError>(matches!(repaired, Some(Repaired::Done { .. })))
        };
        store.audit_around(self.line(difference, by), work).await?;
        Ok(repaired)
    }

    async fn mend_in_engine(
        &self,
        difference: &Difference,
        given_back: i64,
    ) -> Result<Option<Repaired>, CompareError> {
        let repaired = match (&difference.mend, &difference.place) {
            (Mend::Stock { reopened, units }, Place::Sku { sku }) => {
                let (reopened, units) = (&later(reopened, given_back), *units);
                self.repair(&Repair::Stock { sku, reopened, units }).await?
            }
            (Mend::Order { record }, place) => {
                let Place::Order { order, user, .. } = place else {
                    return Ok(None);
                };
                let buckets = self.buckets();
                self.repair(&Repair::Order {
                    order: *order,
                    user,
                    buckets,
                    record,
                })
                .await?
            }
            (
                Mend::Count {
                    at,
                    there,
                    to_be,
                    expires_at,
                    reopened,
                },
                _,
            ) => {
                let (expires_at, reopened) = (*expires_at, &later(reopened, given_back));
                self.repair(&Repair::Count {
                    at,
                    there,
                    to_be,
                    expires_at,
                    reopened,
                })
                .await?
            }
            _ => return Ok(None),
        };
        Ok(Some(repaired))
    }

    async fn mend_sold(
        &self,
        sku: &str,
        difference: &Difference,
        line: AuditLine<'_>,
    ) -> Result<Repaired, CompareError> {
        let (sold, confirmed) = (difference.engine, difference.database);
        let (store, place) = (&self.reconcile.store, (self.campaign(), sku));
        Ok(match store.mend_sold(place, (sold, confirmed), &[line]).await? {
            true => Repaired::Done {
                before: sold.to_string(),
                after: confirmed.to_string(),
            },
            false => Repaired::Moved,
        })
    }
}

/// `state.reopened` as it is where only this repair gave back since it was read.
fn later(reopened: &str, given_back: i64) -> String {
    match given_back {
        0 => reopened.to_owned(),
        n => (reopened.parse::<i64>().unwrap_or(0) + n).to_string(),
    }
}
