//! Jobs over orders, as they are shown, listed and stopped.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::operations::Operation;
use super::{Control, ControlError};
use crate::order::{OrderState, Release};
use crate::store::{JobCounts, OrderFilter, OrderJob};
use crate::wire::Moment;

/// As the audit trail names it.
pub const BULK_STOP: &str = "order.bulk-stop";

/// A job as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = OrderJob)]
pub struct JobView {
    pub campaign: String,
    pub job: String,
    /// What was done, or is being done, in a sentence.
    pub did: String,
    /// `running`, `done` or `stopped`.
    pub state: &'static str,
    /// What becomes of the orders.
    pub to: OrderState,
    /// Orders, when it was asked for.
    pub matched: u64,
    pub changed: u64,
    /// In a state that does not allow it.
    pub skipped: u64,
    pub failed: u64,
    pub rate: u32,
    /// Which orders: what the filter names.
    pub filter: Map<String, Value>,
    pub actor: String,
    pub reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub releases: Release,
    pub begun_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Moment>,
}

impl From<OrderJob> for JobView {
    fn from(job: OrderJob) -> Self {
        let JobCounts {
            changed,
            skipped,
            failed,
        } = job.done;
        let to = job.to.as_str();
        let (state, did) = match (job.ended_at, job.stopped) {
            (None, _) => (
                "running",
                format!("{changed} of {} orders are {to} so far.", job.matched),
            ),
            (Some(_), false) => ("done", format!("{changed} of {} orders are {to}.", job.matched)),
            (Some(_), true) => (
                "stopped",
                format!(
                    "{changed} of {} orders are {to}; then it was stopped.",
                    job.matched
                ),
            ),
        };
        Self {
            campaign: job.campaign,
            job: job.id,
            did,
            state,
            to: job.to,
            matched: job.matched,
            changed,
            skipped,
            failed,
            rate: job.rate,
            filter: shown(&job.filter),
            actor: job.actor,
            reason: job.reason,
            note: job.note,
            releases: job.release,
            begun_at: Moment(job.begun_at),
            ended_at: job.ended_at.map(Moment),
        }
    }
}

impl Control {
    /// Jobs over a campaign's orders, the one begun last first, those behind the job `before`.
    pub async fn order_jobs(
        &self,
        campaign: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<JobView>, ControlError> {
        self.row(campaign).await?;
        let before = match before {
            None => None,
            Some(id) => {
                let job = self.store.order_job(campaign, id).await?;
                Some(job.ok_or_else(|| unknown_job(campaign, id))?)
            }
        };
        let jobs = self.store.order_jobs(campaign, before.as_ref(), limit).await?;
        Ok(jobs.into_iter().map(JobView::from).collect())
    }

    pub async fn order_job(&self, campaign: &str, id: &str) -> Result<JobView, ControlError> {
        let job = self.store.order_job(campaign, id).await?;
        job.map(JobView::from).ok_or_else(|| unknown_job(campaign, id))
    }

    /// Stops a job; what it changed stays changed. One that has ended stays as it is.
    pub async fn stop_order_job(&self, operation: Operation<'_>, id: &str) -> Result<JobView, ControlError> {
        let campaign = operation.campaign;
        let now = (self.clock)();
        let line = operation.line(
            now,
            serde_json::json!({"job": id, "from": "running", "to": "stopped"}),
        );
        self.store.end_order_job(campaign, id, now, true, &[line]).await?;
        self.order_job(campaign, id).await
    }
}

fn shown(filter: &OrderFilter) -> Map<String, Value> {
    let texts = [
        ("state", filter.state.map(|state| json!(state))),
        ("user", filter.user.as_ref().map(|user| json!(user))),
        ("sku", filter.sku.as_ref().map(|sku| json!(sku))),
        ("from", filter.from.map(|from| json!(Moment(from)))),
        ("to", filter.to.map(|to| json!(Moment(to)))),
    ];
    let named = texts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    named.collect()
}

fn unknown_job(campaign: &str, id: &str) -> ControlError {
    let id = crate::wire::echo(id);
    ControlError::Unknown(format!("campaign {campaign:?} has no job {id}"))
}
