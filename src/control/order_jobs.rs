//! Orders cancelled and refunded in bulk: a job that whichever gateway is alive works off, so many orders a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio_util::task::AbortOnDropHandle;

use super::job_views::JobView;
use super::life::{OrderAct, OrderActBody, check};
use super::operations::{Answered, Operation, answered};
use super::problem::Problem;
use super::{Control, ControlError};
use crate::clock;
use crate::order::{OrderId, OrderState, Release, TIME_MAX_MS, TIME_MIN_MS};
use crate::seldom::Seldom;
use crate::store::{
    CHANGES_AT_ONCE, ChangedOrder, JobCounts, OrderChange, OrderFilter, OrderJob, OrderRow, Outcome,
    StoreError, StoreResult,
};

/// As the audit trail names it.
const BULK: &str = "order.bulk";
/// Orders a second, unless something else is said.
const RATE: u32 = 100;
const RATE_MAX: u32 = 2000;
/// Between two turns of a job: each changes as many orders as it may in a second.
const EVERY: Duration = Duration::from_secs(1);
/// Who works jobs off holds this.
const LEASE: &str = "order-jobs";
const LEASE_MS: i64 = 5_000;
/// Jobs of one turn.
const JOBS_MAX: u32 = 20;
/// Ids that a dry run names.
const NAMED: usize = 10;

/// Which orders. What is left out is not asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BulkFilter {
    /// One that a landed order may have.
    #[schema(value_type = Option<OrderState>)]
    pub state: Option<String>,
    pub user: Option<String>,
    pub sku: Option<String>,
    /// Placed at this time or later, and before `to`.
    pub from: Option<jiff::Timestamp>,
    pub to: Option<jiff::Timestamp>,
}

/// Body of `POST …/orders/cancel` and `…/orders/refund`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Bulk)]
#[serde(deny_unknown_fields)]
pub struct BulkBody {
    pub filter: BulkFilter,
    #[serde(default)]
    #[schema(max_length = 64, pattern = "^[a-z0-9][a-z0-9-]{0,63}$")]
    pub reason: Option<String>,
    #[serde(default)]
    #[schema(max_length = 500)]
    pub note: Option<String>,
    #[serde(default)]
    pub releases: Option<Release>,
    /// Orders a second: 1 to [`RATE_MAX`].
    #[serde(default)]
    #[schema(minimum = 1, maximum = 2000)]
    pub rate: Option<u32>,
    /// Only where the filter lets through so many orders.
    #[serde(default)]
    pub expect: Option<u64>,
}

/// Orders, and how many units they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Counted {
    pub orders: u64,
    pub units: u64,
}

/// What a dry run answers.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct BulkTried {
    campaign: String,
    did: String,
    #[serde(flatten)]
    matched: Counted,
    /// Those of them that are in a state that allows it.
    would_change: u64,
    by_sku: BTreeMap<String, Counted>,
    by_state: BTreeMap<&'static str, Counted>,
    /// Ids of the first that it would come to.
    first: Vec<OrderId>,
}

/// Whether the filter lets so many orders through as the request says, where it says how many.
fn check_expected(body: &BulkBody, matched: u64) -> Result<(), ControlError> {
    match body.expect {
        Some(expected) if expected != matched => Err(ControlError::Conflict(format!(
            "the filter lets {matched} {} through: look at them with ?dry_run=true, and expect that many",
            if matched == 1 { "order" } else { "orders" }
        ))),
        _ => Ok(()),
    }
}

impl Control {
    /// Begins a job, or with `dry_run` says which orders it would come to. What it answers is a [`JobView`], or of a dry run the
    /// orders by SKU and state.
    pub async fn change_in_bulk(
        &self,
        operation: Operation<'_>,
        act: OrderAct,
        body: &BulkBody,
        dry_run: bool,
    ) -> Result<Answered, ControlError> {
        let filter = check_bulk(act, body)?;
        self.row(operation.campaign).await?;
        if dry_run {
            let tried = self.try_bulk(operation.campaign, act, &filter).await?;
            check_expected(body, tried.matched.orders)?;
            return answered(&tried);
        }
        if operation.key.is_none() {
            return Err(ControlError::KeyMissing);
        }
        let asked = serde_json::json!({"act": act.word(), "body": body});
        self.once(operation, &asked, async |id| {
            self.begin_bulk(operation, id, act, (filter, body)).await
        })
        .await
    }

    async fn try_bulk(
        &self,
        campaign: &str,
        act: OrderAct,
        filter: &OrderFilter,
    ) -> Result<BulkTried, ControlError> {
        let (mut by_sku, mut by_state) = (BTreeMap::new(), BTreeMap::new());
        let (mut matched, mut changed) = (Counted::default(), 0);
        for found in self.store.count_orders(campaign, filter).await? {
            if found.state.may_become(act.state()) {
                changed += found.orders;
            }
            let sku: &mut Counted = by_sku.entry(found.sku).or_default();
            let state = by_state.entry(found.state.as_str()).or_default();
            for counted in [&mut matched, sku, state] {
                counted.orders += found.orders;
                counted.units += found.units;
            }
        }
        let first = self
            .store
            .listed_orders(campaign, filter, None, NAMED as u32)
            .await?;
        Ok(BulkTried {
            campaign: campaign.to_owned(),
            did: format!(
                "{changed} of {} orders would be {}. Nothing was changed: this was a dry run.",
                matched.orders,
                act.state().as_str()
            ),
            matched,
            would_change: changed,
            by_sku,
            by_state,
            first: first.iter().map(|row| row.order).collect(),
        })
    }

    async fn begin_bulk(
        &self,
        operation: Operation<'_>,
        id: String,
        act: OrderAct,
        (filter, body): (OrderFilter, &BulkBody),
    ) -> Result<JobView, ControlError> {
        let campaign = operation.campaign;
        // An earlier try of the same request may have begun it.
        if let Some(there) = self.store.order_job(campaign, &id).await? {
            return Ok(there.into());
        }
        let found = self.store.count_orders(campaign, &filter).await?;
        let matched = found.iter().map(|found| found.orders).sum();
        check_expected(body, matched)?;
        let reason = body.reason.as_deref().unwrap_or(act.word());
        let terms = self.terms(campaign).await?;
        let job = OrderJob {
            campaign: campaign.to_owned(),
            id,
            to: act.state(),
            filter,
            actor: operation.actor.to_owned(),
            reason: reason.to_owned(),
            note: body.note.clone(),
            release: body
                .releases
                .unwrap_or_else(|| terms.release(act.state(), reason)),
            rate: body.rate.unwrap_or(RATE),
            matched,
            done: JobCounts::default(),
            last: None,
            begun_at: (self.clock)(),
            ended_at: None,
            stopped: false,
        };
        self.store.begin_order_job(&job).await?;
        let detail = serde_json::json!({"job": job.id, "act": act.word(), "filter": body.filter, "reason": reason, "matched": matched});
        self.audit_operation(operation.of_kind(BULK), detail).await;
        Ok(job.into())
    }

    /// Works jobs off, as long as no other gateway does and the handle is kept.
    pub fn keep_bulk(self: &Arc<Self>) -> AbortOnDropHandle<()> {
        let control = self.clone();
        let owner = uuid::Uuid::now_v7().simple().to_string();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut tick = clock::every(EVERY);
            let mut trouble = Seldom::default();
            loop {
                tick.tick().await;
                if let Err(error) = control.work_jobs(&owner).await
                    && trouble.met(&error.to_string(), Instant::now()).is_some()
                {
                    tracing::warn!(%error, "orders could not be changed in bulk");
                }
            }
        }))
    }

    async fn work_jobs(&self, owner: &str) -> StoreResult<()> {
        let jobs = self.store.open_order_jobs(JOBS_MAX).await?;
        for mut job in jobs {
            let mut left = job.rate as usize;
            while left > 0 {
                if !self.store.lease(LEASE, owner, (self.clock)(), LEASE_MS).await? {
                    return Ok(());
                }
                let most = left.min(CHANGES_AT_ONCE);
                left -= most;
                match self.work(&job, most as u32).await? {
                    true => {}
                    false => break,
                }
                match self.store.order_job(&job.campaign, &job.id).await? {
                    Some(there) if there.ended_at.is_none() => job = there,
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// The next orders of a job; `false` where nothing is left of it, or another process was there before.
    async fn work(&self, job: &OrderJob, most: u32) -> StoreResult<bool> {
        let rows = self
            .store
            .listed_orders(&job.campaign, &job.filter, job.last, most);
        let rows = rows.await?;
        let Some(last) = rows.last().map(OrderRow::place) else {
            self.store
                .end_order_job(&job.campaign, &job.id, (self.clock)(), false)
                .await?;
            return Ok(false);
        };
        let ids: Vec<OrderId> = rows.iter().map(|row| row.order).collect();
        let more = self.change_some(job, &ids).await?;
        if more.changed > 0 && job.release != Release::None {
            self.gate.give_back_soon();
        }
        self.store.advance_order_job(job, last, more).await
    }

    /// Changes these orders, or those of them that let themselves be changed.
    async fn change_some(&self, job: &OrderJob, ids: &[OrderId]) -> StoreResult<JobCounts> {
        match self.change_under(job, ids).await {
            Ok(changed) => Ok(counts(&changed)),
            Err(StoreError::Transient(what)) => Err(StoreError::Transient(what)),
            Err(error) if ids.len() == 1 => {
                tracing::warn!(job = job.id, order = %ids[0], %error, "an order could not be changed");
                Ok(JobCounts {
                    failed: 1,
                    ..JobCounts::default()
                })
            }
            Err(_) => {
                let mut all = JobCounts::default();
                for id in ids {
                    let one = Box::pin(self.change_some(job, std::slice::from_ref(id))).await?;
                    all.changed += one.changed;
                    all.skipped += one.skipped;
                    all.failed += one.failed;
                }
                Ok(all)
            }
        }
    }

    async fn change_under(&self, job: &OrderJob, ids: &[OrderId]) -> StoreResult<Vec<ChangedOrder>> {
        // Each order is changed once, whoever works the job off again.
        let key = format!("job:{}", job.id);
        let change = OrderChange {
            to: job.to,
            actor: &job.actor,
            reason: &job.reason,
            note: job.note.as_deref(),
            key: Some(&key),
            release: job.release,
        };
        self.store.change_orders(&job.campaign, ids, change).await
    }
}

fn counts(changed: &[ChangedOrder]) -> JobCounts {
    let is_made = |each: &&ChangedOrder| matches!(each.outcome, Outcome::Made(_) | Outcome::MadeBefore(_));
    let made = changed.iter().filter(is_made).count();
    JobCounts {
        changed: made as u64,
        skipped: (changed.len() - made) as u64,
        failed: 0,
    }
}

/// The filter, where nothing is wrong with what is asked for.
fn check_bulk(act: OrderAct, body: &BulkBody) -> Result<OrderFilter, ControlError> {
    let of_one = OrderActBody {
        reason: body.reason.clone(),
        note: body.note.clone(),
        releases: body.releases,
    };
    check(act, &of_one)?;
    let (asked, mut problems) = (&body.filter, Vec::new());
    if *asked == BulkFilter::default() {
        problems.push(Problem::new("/filter", "names no orders").hint(
            "give \"state\", \"user\", \"sku\", \"from\" or \"to\"; {\"state\":\"confirmed\"} is every order that is not paid",
        ));
    }
    let state = asked.state.as_deref().map(OrderState::of);
    if state.is_some_and(|state| state.is_none_or(|state| !state.is_landed())) {
        let states = OrderState::LANDED.map(OrderState::as_str).join(", ");
        problems.push(Problem::new("/filter/state", format!("is none of {states}")));
    }
    let moment = |at: jiff::Timestamp| at.as_millisecond().clamp(TIME_MIN_MS, TIME_MAX_MS);
    let (from, to) = (asked.from.map(moment), asked.to.map(moment));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        problems.push(Problem::new("/filter/to", "is not after from"));
    }
    if body.rate.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate)) {
        problems.push(Problem::new(
            "/rate",
            format!("is not within 1 to {RATE_MAX} orders a second"),
        ));
    }
    match problems.is_empty() {
        false => Err(ControlError::Invalid(problems)),
        true => Ok(OrderFilter {
            state: state.flatten(),
            user: asked.user.clone(),
            sku: asked.sku.clone(),
            from,
            to,
        }),
    }
}
