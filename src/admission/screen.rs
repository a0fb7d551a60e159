//! The screen: what is refused before the script is asked. An attempt lacks an attribute that the plan
//! requires, or has one in a form that no rule can read, or a precheck of the revision's rules does not let it pass.
//!
//! Prechecks run on blocking threads, a few at a time: a lane waits for its own, and for no other
//! lane's for longer than one [`CHUNK`]. A refusal is answered only after the engine has said that the
//! revision is still the active one, and that the attempt, if it may be a retry, was not admitted before.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Refusal;
use super::call_result::CallResult;
use super::lane::{Job, LaneAnswer, Worker};
use crate::attempts::Outcome;
use crate::lua::{calls, fixed};
use crate::order::{BODY, REPLACES, UNREADABLE};
use crate::ruleset::{Active, Asked, Verdict};

/// Attempts of one run: with rules that use up all of a precheck's time, tens of milliseconds.
const CHUNK: usize = 16;
/// Runs at the same time at most.
const RUNS_MAX: usize = 16;

/// Runs at the same time on this machine: prechecks only compute.
pub(super) fn runs() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(RUNS_MAX))
}

impl Worker {
    /// Leaves in `jobs` those that the script is to be asked about. Where a refusal cannot be answered
    /// yet, all are left, with what became of the call.
    pub(super) async fn screen(&self, active: &Arc<Active>, jobs: &mut Vec<Job>) -> Result<(), CallResult> {
        let mut refused = sort_attributes(active, jobs);
        if !active.prechecks.is_empty() {
            refused.extend(self.precheck(active, jobs).await);
        }
        if refused.is_empty() {
            return Ok(());
        }
        match self.refuse(active, &mut refused).await {
            Ok(()) => Ok(()),
            Err(result) => {
                jobs.extend(refused.into_iter().map(|(job, _)| job));
                Err(result)
            }
        }
    }

    /// Runs the prechecks for those that have not passed them under this epoch; takes out of `jobs` what is
    /// refused.
    async fn precheck(&self, active: &Arc<Active>, jobs: &mut Vec<Job>) -> Vec<(Job, Refusal)> {
        let mut runs = Vec::new();
        let mut rest = std::mem::take(jobs);
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(CHUNK));
            runs.push(self.checked(active.clone(), std::mem::replace(&mut rest, later)));
        }
        let mut refused = Vec::new();
        for (job, refusal) in join_all(runs).await.into_iter().flatten() {
            match refusal {
                None => jobs.push(job),
                Some(refusal) => refused.push((job, refusal)),
            }
        }
        refused
    }

    async fn checked(&self, active: Arc<Active>, jobs: Vec<Job>) -> Vec<(Job, Option<Refusal>)> {
        let permit = self.shared.prechecks.clone().acquire_owned().await;
        let run = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            jobs.into_iter().map(|job| check(&active, job)).collect()
        });
        // Jobs that a panic took along are answered by their dropped senders: with no decision.
        run.await.unwrap_or_else(|error| {
            tracing::error!(campaign = %self.shard.campaign, %error, "prechecks");
            Vec::new()
        })
    }

    /// Answers the refused, unless the revision is no longer the active one.
    async fn refuse(
        &self,
        active: &Arc<Active>,
        refused: &mut Vec<(Job, Refusal)>,
    ) -> Result<(), CallResult> {
        let may_exist = |job: &Job| job.keyed || job.asked;
        let retries = refused.iter().filter(|(job, _)| may_exist(job));
        let args = calls::lookup_args(
            retries.map(|(job, _)| (job.attempt.order, job.attempt.user.as_str())),
            active.campaign.buckets,
        );
        let asked = self
            .shared
            .ask(&self.shard, &self.local, active, &fixed::LOOKUP, args);
        let reply = asked.await?;
        let found = calls::lookup_reply(reply).map_err(|error| CallResult::Failed(error.to_string()))?;
        if found.fence.as_ref() != Some(&active.fence()) {
            return Err(self.shared.refence(&self.shard, active, found.fence).await);
        }
        let mut orders = found.orders.into_iter();
        let mut decided = Vec::new();
        for (job, refusal) in refused.drain(..) {
            let before = match may_exist(&job) {
                true => orders.next().flatten(),
                false => None,
            };
            let (told, outcome) = match before {
                Some(order) => self.existing(&job.attempt, order.placed),
                None => {
                    let name = refusal
                        .constraint
                        .as_deref()
                        .unwrap_or(refusal.reason.name())
                        .to_owned();
                    (
                        LaneAnswer::Rejected(self.counted(refusal)),
                        Some(Outcome::Named(name)),
                    )
                }
            };
            let Job { attempt, answer, .. } = job;
            // A caller that went away does not read its answer.
            let _ = answer.send(Ok(told));
            if let Some(outcome) = outcome
                && self.shared.keeps(&self.shard.campaign, &attempt.user)
            {
                decided.push((attempt, outcome));
            }
        }
        self.shared.record(active, self.local.now(), decided);
        Ok(())
    }
}

/// Keeps of each attempt the attributes the plan reads, and what its body was, and takes out those that lack one.
fn sort_attributes(active: &Active, jobs: &mut Vec<Job>) -> Vec<(Job, Refusal)> {
    let mut refusals = Vec::new();
    let refused = jobs.extract_if(.., |job| {
        sort_attributes_of(active, job);
        let refusal = unfit(active, job);
        let refusal = refusal.or_else(|| Refusal::missing(&active.family.plan, &job.attempt, |_| true));
        let is_refused = refusal.is_some();
        refusals.extend(refusal);
        is_refused
    });
    let refused: Vec<Job> = refused.collect();
    refused.into_iter().zip(refusals).collect()
}

fn sort_attributes_of(active: &Active, job: &mut Job) {
    // What cannot be read goes along: rules in shadow answer for it, and the sample says so.
    let is_read = |name: &String| {
        let name = name.strip_prefix(UNREADABLE).unwrap_or(name);
        active.reads.iter().any(|read| read == name)
    };
    let mut all = std::mem::take(&mut job.attempt.attributes);
    let beside = [BODY, REPLACES].map(|name| all.remove_entry(name));
    if job.unread.is_empty() && !all.keys().any(is_read) {
        // As it is where no rule reads any.
        job.unread = all;
    } else {
        all.append(&mut job.unread);
        (job.attempt.attributes, job.unread) = all.into_iter().partition(|(name, _)| is_read(name));
    }
    job.attempt.attributes.extend(beside.into_iter().flatten());
}

/// An attempt whose buyer has something that the rules read and cannot read is none without it.
fn unfit(active: &Active, job: &mut Job) -> Option<Refusal> {
    if let Some(unfit) = active.decides_by.unfit(&job.attempt.attributes) {
        return Some(Refusal::unfit(&unfit));
    }
    let unfit = active.decides_by.unfit(&job.unread)?;
    let (refusal, name) = (Refusal::unfit(&unfit), unfit.kept_as());
    // The sample says so as well: other rules may be tried on it.
    let kept = job.unread.remove_entry(&name);
    job.attempt.attributes.extend(kept);
    Some(refusal)
}

/// Asks every precheck of the revision until one does not let the attempt pass.
fn check(active: &Active, mut job: Job) -> (Job, Option<Refusal>) {
    let epoch = Some(active.activation.epoch);
    if job.passed == epoch {
        return (job, None);
    }
    let asked = Asked {
        attempt: &job.attempt,
        unread: &job.unread,
    };
    let refusal = active
        .prechecks
        .iter()
        .find_map(|precheck| match precheck.check(&asked) {
            Verdict::Pass => None,
            Verdict::Reject(objection) => Some(Refusal::objected(precheck.rule(), objection)),
            Verdict::Failed => Some(Refusal::precheck_failed(precheck.rule())),
        });
    if refusal.is_none() {
        job.passed = epoch;
    }
    (job, refusal)
}
