//! A lane: the queue of one campaign and the task that decides it, one script call at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::call_result::CallResult;
use super::depth::Depth;
use super::local::Local;
use super::{AdmissionError, AnswerWhen, Refusal, Shared};
use crate::attempts::Outcome;
use crate::clock::now_ms;
use crate::failpoint::{self, Point};
use crate::lua::calls::{Packed, RawEntry};
use crate::lua::codec::{self, AdmitReply};
use crate::lua::keys::Shard;
use crate::order::{Attempt, BODY, OrderState, replaced_by};
use crate::outbox::{self, Orders};
use crate::plan::decision::{Decision, Placed, Rejection};
use crate::plan::eval;
use crate::record::Payloads;
use crate::rejection::Own;
use crate::ruleset::Active;
use crate::state::{Condition, LostPart};

/// Whether Kafka acknowledged the whole batch.
pub(super) type Acknowledgement = oneshot::Receiver<bool>;
/// Where the answer to an attempt goes.
pub(super) type Answerer = oneshot::Sender<Result<LaneAnswer, AdmissionError>>;

/// Between tries while the engine does not answer.
pub(super) const RETRY_EVERY: Duration = Duration::from_millis(25);

/// An attempt that waits for its decision.
pub(super) struct Job {
    pub(super) attempt: Attempt,
    /// Attributes the plan does not read: a newer one, under which the attempt is asked again, may.
    pub(super) unread: BTreeMap<String, String>,
    /// It carried an `Idempotency-Key`.
    pub(super) keyed: bool,
    /// A script call was made for it, whose reply may have been lost: it may have been admitted.
    pub(super) asked: bool,
    /// The epoch whose prechecks it has passed.
    pub(super) passed: Option<u64>,
    pub(super) deadline: Instant,
    pub(super) answer: Answerer,
}

impl Job {
    pub(super) fn end(self, answer: Result<LaneAnswer, AdmissionError>) {
        // A caller that went away does not read its answer; the order goes on.
        let _ = self.answer.send(answer);
    }
}

pub(super) enum LaneAnswer {
    Admitted(Placed, OrderState),
    Existing(Placed),
    Rejected(Refusal),
    /// So few units of the SKU are left, and that many were asked for.
    SoldOut {
        sku: String,
        quantity: u32,
        remaining: i64,
    },
}

/// The handle of a lane.
pub(super) struct Lane {
    pub(super) shard: Shard,
    /// The campaign's: another one of the same name, after this one was removed, has a lane of its own.
    pub(super) uid: String,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) local: Arc<Local>,
}

impl Lane {
    /// Starts the lane's task; it ends when the handle is gone and the queue is empty.
    pub(super) fn spawn(shared: Arc<Shared>, active: &Active) -> Arc<Self> {
        let (jobs, queue) = mpsc::channel(shared.config.load().queue);
        let shard = Shard::new(&active.campaign.id, 0);
        let local = Arc::new(Local::new(&active.campaign, shared.clock.clone()));
        let worker = Worker {
            shard: shard.clone(),
            shared,
            local: local.clone(),
            depth: Arc::default(),
        };
        tokio::spawn(worker.run(queue));
        Arc::new(Self {
            shard,
            uid: active.campaign.uid.clone(),
            jobs,
            local,
        })
    }
}

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) shard: Shard,
    pub(super) local: Arc<Local>,
    pub(super) depth: Arc<Depth>,
}

impl Worker {
    async fn run(self, mut queue: mpsc::Receiver<Job>) {
        let batch = self.shared.config.load().batch.clamp(1, codec::BATCH_MAX);
        let mut jobs = Vec::with_capacity(batch);
        while queue.recv_many(&mut jobs, batch).await > 0 {
            // Where buyers are answered after Kafka's acknowledgement, those that come while enough is on its way go
            // together.
            if self.shared.config.load().answer == AnswerWhen::Accepted {
                self.depth.gather().await;
            }
            self.shared.trips.back().await;
            let room = batch - jobs.len();
            let _ = queue.recv_many(&mut jobs, room).now_or_never();
            self.decide_all(std::mem::take(&mut jobs)).await;
        }
    }

    /// Answers every job, asking as often as their deadlines allow.
    async fn decide_all(&self, mut jobs: Vec<Job>) {
        loop {
            jobs = self.drop_late(jobs);
            if jobs.is_empty() {
                return;
            }
            let result = self.decide_once(&mut jobs).await;
            match result {
                CallResult::Done => return,
                CallResult::Again => {}
                CallResult::Later(error) => {
                    tracing::debug!(campaign = %self.shard.campaign, %error, "admission waits for the engine");
                    tokio::time::sleep(RETRY_EVERY).await;
                }
                CallResult::Closed(_) | CallResult::Lost { .. } => {
                    if let CallResult::Lost { epoch, .. } = &result {
                        self.shared.rebuilder.clone().lost(&self.shard.campaign, *epoch);
                    }
                    self.shared.wake.notify_one();
                    self.shared.rebuilder.hurry(&self.shard.campaign);
                    let error = AdmissionError::from(result);
                    return jobs.into_iter().for_each(|job| job.end(Err(error.clone())));
                }
                CallResult::Gone(campaign) => {
                    let error = AdmissionError::UnknownCampaign(campaign);
                    return jobs.into_iter().for_each(|job| job.end(Err(error.clone())));
                }
                CallResult::Failed(why) => {
                    if self.shared.tells(&why) {
                        tracing::error!(campaign = %self.shard.campaign, why, "admission failed");
                    }
                    return jobs
                        .into_iter()
                        .for_each(|job| job.end(Err(AdmissionError::Engine(why.clone()))));
                }
            }
        }
    }

    fn drop_late(&self, jobs: Vec<Job>) -> Vec<Job> {
        let now = Instant::now();
        if jobs.iter().all(|job| job.deadline > now) {
            return jobs;
        }
        let (in_time, late): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.deadline > now);
        let within = self.shared.config.load().deadline;
        late.into_iter()
            .for_each(|job| job.end(Err(AdmissionError::Deadline(within))));
        in_time
    }

    /// One script call for all jobs; leaves those unanswered that have to be asked again.
    async fn decide_once(&self, jobs: &mut Vec<Job>) -> CallResult {
        let Some(active) = self.shared.ruleset.get(&self.shard.campaign) else {
            return match self.shared.ruleset.archived(&self.shard.campaign) {
                Some(_) => CallResult::Closed("the campaign has ended".into()),
                None => CallResult::Gone(self.shard.campaign.clone()),
            };
        };
        if let Err(result) = self.screen(&active, jobs).await {
            return result;
        }
        *jobs = self.drop_late(std::mem::take(jobs));
        if jobs.is_empty() {
            return CallResult::Done;
        }
        let attempts = jobs.iter().map(|job| &job.attempt);
        let (now, keys) = (now_ms(), self.shared.config.load().keys.clone());
        let payloads = outbox::payloads(&active, self.shard.number, attempts, now, keys.as_deref());
        let mut rest = jobs.split_off(payloads.len());
        let result = self.ask_for(&active, jobs, payloads).await;
        match result {
            CallResult::Done if !rest.is_empty() => {
                *jobs = rest;
                CallResult::Again
            }
            result => {
                jobs.append(&mut rest);
                result
            }
        }
    }

    /// One script call for as many jobs as there are payloads.
    async fn ask_for(&self, active: &Arc<Active>, jobs: &mut Vec<Job>, payloads: Payloads) -> CallResult {
        jobs.iter_mut().for_each(|job| job.asked = true);
        let fence = active.fence();
        failpoint::hit(Point::G1);
        let begun = self.local.elapsed();
        let attempts = jobs.iter().map(|job| &job.attempt);
        let args = codec::admit_args(&active.family, &fence, attempts, payloads.as_bytes());
        let asked = self
            .shared
            .ask(&self.shard, &self.local, active, &active.family.admit, args);
        let seat = self.shared.trips.board();
        let reply = asked.await;
        drop(seat);
        let reply = match reply {
            Ok(reply) => reply,
            Err(result) => return result,
        };
        match codec::admit_reply(&active.family, jobs.iter().map(|job| &job.attempt), reply) {
            Ok(AdmitReply::Decided {
                now,
                entry,
                decisions,
            }) => {
                self.local.seen_now(now, begun);
                self.local.seen_epoch(active.activation.epoch, begun);
                self.learn(active, jobs, &decisions, begun);
                let acknowledgement = entry.map(|entry| {
                    let admitted = Admitted {
                        jobs,
                        decisions: &decisions,
                        payloads,
                        at: now,
                    };
                    self.hand_over(active, entry, admitted)
                });
                self.answer(active, std::mem::take(jobs), now, acknowledgement, decisions);
                CallResult::Done
            }
            Ok(AdmitReply::Fenced(there)) => self.shared.refence(&self.shard, active, there).await,
            Err(error) => CallResult::Failed(error.to_string()),
        }
    }

    /// Answers everybody; the relay has what was admitted.
    fn answer(
        &self,
        active: &Arc<Active>,
        jobs: Vec<Job>,
        now: i64,
        acknowledgement: Option<Acknowledgement>,
        decisions: Vec<Decision>,
    ) {
        let mut decided = Vec::new();
        let mut buyers = Vec::new();
        for (job, decision) in jobs.into_iter().zip(decisions) {
            if let Some(why) = self.lost(active, &job.attempt, &decision) {
                job.end(Err(CallResult::Closed(why).into()));
                continue;
            }
            let mut outcome = Outcome::of(&decision);
            let told = match decision {
                Decision::Admitted => None,
                Decision::Existing(placed) => {
                    let (told, found) = self.existing(&job.attempt, placed);
                    outcome = found;
                    Some(told)
                }
                Decision::Rejected(Rejection::SoldOut { remaining }) => {
                    self.local.count(Own::SoldOut.name());
                    Some(LaneAnswer::SoldOut {
                        sku: job.attempt.sku.clone(),
                        quantity: job.attempt.quantity,
                        remaining,
                    })
                }
                Decision::Rejected(rejection) => {
                    let refusal = Refusal::named(&active.family.plan, &rejection, now);
                    Some(LaneAnswer::Rejected(self.counted(refusal)))
                }
            };
            let Job { attempt, answer, .. } = job;
            if let Some(outcome) = outcome
                && self.shared.keeps(&self.shard.campaign, &attempt.user)
            {
                decided.push((attempt.clone(), outcome));
            }
            match told {
                // A caller that went away does not read its answer; the order goes on.
                Some(told) => drop(answer.send(Ok(told))),
                None => buyers.push((placed(active, attempt, now), answer)),
            }
        }
        if let Some(acknowledgement) = acknowledgement {
            self.shared.promise(buyers, acknowledgement);
        }
        self.shared.record(active, now, decided);
    }

    /// The engine does not know a SKU of the campaign: its stock was lost, and nothing may be said of it.
    fn lost(&self, active: &Active, attempt: &Attempt, decision: &Decision) -> Option<String> {
        let unknown = *decision == Decision::Rejected(Rejection::UnknownSku);
        let known = || active.campaign.skus.iter().any(|sku| sku.id == attempt.sku);
        if !unknown || !known() {
            return None;
        }
        if let Some(incarnation) = self.local.verified() {
            self.local.forget(&incarnation);
        }
        let stock = LostPart::Stock(attempt.sku.clone());
        self.shared.judge(active, Condition::Lacks(stock))
    }

    /// Found to have been admitted before; with how that is recorded, where it is another attempt.
    pub(super) fn existing(&self, attempt: &Attempt, placed: Placed) -> (LaneAnswer, Option<Outcome>) {
        if placed.is_of(attempt) {
            return (LaneAnswer::Existing(placed), None);
        }
        let refusal = self.counted(Refusal::key_reused());
        (LaneAnswer::Rejected(refusal), Some(Outcome::Own(Own::KeyReused)))
    }

    fn hand_over(&self, active: &Active, entry: codec::Entry, admitted: Admitted<'_>) -> Acknowledgement {
        let (acknowledged, acknowledgement) = oneshot::channel();
        let id = entry.id.clone();
        let orders = match admitted.orders(active, self.shard.number, entry) {
            Ok(orders) => orders,
            Err(why) => {
                tracing::error!(campaign = %self.shard.campaign, entry = id, why, "an entry is left to the sweep");
                return acknowledgement;
            }
        };
        let under_way = self.shared.delivery.sent(Instant::now());
        let entered = self.depth.enter();
        let entry = outbox::Entry {
            shard: self.shard.clone(),
            id,
            partition: active.campaign.partition_of(self.shard.number),
            orders,
            acknowledged: Some(Box::new(move |ok| {
                under_way.answered(Instant::now(), ok);
                drop(entered);
                // Nobody may be waiting any more.
                let _ = acknowledged.send(ok);
            })),
        };
        failpoint::hit(Point::G3);
        // Without a relay the entry stays in the outbox for another gateway's.
        let _ = self.shared.outbox.send(entry);
        acknowledgement
    }

    /// What the next ones are answered without asking; it was asked at `begun`.
    fn learn(&self, active: &Active, jobs: &[Job], decisions: &[Decision], begun: u64) {
        // One that comes is in the shard before it is on sale.
        let is_sold =
            |sku: &str| self.local.knows(sku) || active.campaign.skus.iter().any(|each| each.id == sku);
        for (job, decision) in jobs.iter().zip(decisions) {
            match decision {
                Decision::Rejected(Rejection::SoldOut { remaining }) if is_sold(&job.attempt.sku) => {
                    self.local.set_stock(&job.attempt.sku, *remaining, begun);
                }
                Decision::Rejected(Rejection::Closed) => {
                    self.local.set_closed(active.activation.epoch, begun);
                }
                _ => {}
            }
        }
    }

    pub(super) fn counted(&self, refusal: Refusal) -> Refusal {
        self.local.count(refusal.reason.name());
        refusal
    }
}

/// What one call decided.
struct Admitted<'a> {
    jobs: &'a [Job],
    decisions: &'a [Decision],
    /// What the entry carries of each job, whatever became of it.
    payloads: Payloads,
    at: i64,
}

impl Admitted<'_> {
    /// The admitted orders as their entry says them.
    fn orders(self, active: &Active, shard: u32, entry: codec::Entry) -> Result<Orders, String> {
        let is_admitted = |decision: &Decision| *decision == Decision::Admitted;
        let Some(first) = entry.first else {
            let jobs = self.jobs.iter().zip(self.decisions);
            let admitted = jobs.filter(|(_, decision)| is_admitted(decision));
            let event = |(job, _): (&Job, _)| outbox::event(active, shard, &job.attempt, self.at);
            return Ok(Orders::Alone(admitted.map(event).collect()));
        };
        let stored = RawEntry {
            id: entry.id,
            revision: active.revision.number,
            placed_at: self.at,
            packed: Some(Packed {
                epoch: active.activation.epoch,
                evaluator: eval::VERSION,
                first,
            }),
            payloads: Vec::new(),
        };
        let payloads = self.payloads.iter().zip(self.decisions);
        let admitted = payloads.filter(|(_, decision)| is_admitted(decision));
        let admitted: Vec<&[u8]> = admitted.map(|(payload, _)| payload).collect();
        Orders::together(active, shard, &stored, admitted.into_iter())
    }
}

fn placed(active: &Active, mut attempt: Attempt, now: i64) -> Placed {
    Placed {
        placed_at: now,
        revision: active.revision.number,
        body: attempt.attributes.remove(BODY),
        replaces: replaced_by(&attempt.attributes),
        quantity: attempt.quantity,
        sku: attempt.sku,
        user: attempt.user,
        released: false,
    }
}
