//! Simulation: recorded attempts replayed, in order, under the active revision and under other rules.
//!
//! ```text
//!  database or file ─▶ pages of attempts ─▶ a thread of its own: two worlds, the interpreter ─▶ differences
//! ```
//!
//! Nothing is stored, and no counter, stock or order of the campaign is touched.

mod answer;
mod audiences;
mod notes;
mod sampled;
mod source;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::campaigns::schedule_of;
use super::compile::RuleSpecs;
use super::folding::check_folds;
use super::problem::Problem;
use super::requests::{check_rules, check_schedule};
use super::{Control, ControlError, RuleSpec};
use crate::attempts::DecidedAttempt;
use crate::attempts::replay::{Replay, World, scaled};
use crate::attempts::tally::Tally;
use crate::campaign::{Campaign, Skus};
use crate::plan::{Audiences, CheckContext, CheckedPlan, Folds, check, explain};
use crate::revision::Revision;
use crate::store::SampleRow;

pub use answer::{
    AllBuyers, Compared, EstimateAnswer, ExampleAnswer, FlipAnswer, OutcomeAnswer, SampleAnswer, SideAnswer,
    Simulation,
};
use source::Feed;

/// Attempts of one simulation at most: both worlds remember every admitted order and every counter.
pub const SIMULATED_MAX: u64 = 1_000_000;
/// Pages that may wait for the thread that replays.
const PAGES_WAITING: usize = 4;
/// How often a simulation begins again because the sample shrank under it.
const ROUNDS_MAX: u32 = 3;

/// What is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptSource {
    /// The recorded sample.
    #[default]
    Sample,
    /// The landed orders.
    Orders,
    /// What comes with the request.
    File,
}

/// What decides on the old side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OldSide {
    /// The active revision, every attempt.
    #[default]
    Active,
    /// The revision an attempt was recorded under.
    Recorded,
}

/// Body of `POST /admin/v1/campaigns/{id}/simulate`. Times left out are those of the active revision, and so is how attributes
/// are folded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSimulation {
    pub rules: Vec<RuleSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Folds>,
    /// The sample where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<AttemptSource>,
    #[serde(default)]
    pub old: OldSide,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<jiff::Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<jiff::Timestamp>,
}

/// Attempts that come with the request, in the order of their moments.
pub type Given<'a> = BoxStream<'a, Result<Vec<DecidedAttempt>, ControlError>>;

/// An attempt with the plan the old side decides it by.
type ReplayedAttempt = (DecidedAttempt, Arc<CheckedPlan>);

/// The two revisions that are compared. The new one is not stored.
struct Compare {
    campaign: Campaign,
    old: Revision,
    new: Revision,
    side: OldSide,
}

/// A revision's plan for a world that holds a share of the buyers.
fn plan_of(revision: &Revision, campaign: &Campaign, skus: &Skus) -> Result<Arc<CheckedPlan>, ControlError> {
    let context = CheckContext {
        skus: skus.clone(),
        ..revision.context(campaign)
    };
    Ok(Arc::new(check(revision.plan.clone(), context)?))
}

impl Control {
    /// Replays attempts under the active revision and under these rules. One at a time per gateway.
    /// `given`: what comes with the request, where `new.from` says so.
    pub async fn simulate(
        &self,
        campaign: &str,
        new: NewSimulation,
        given: Option<Given<'_>>,
    ) -> Result<Simulation, ControlError> {
        let Ok(_only) = self.simulating.try_acquire() else {
            let why = "this gateway is running another simulation; try again when it has ended";
            return Err(ControlError::Conflict(why.to_owned()));
        };
        let (compare, warnings) = self.sides(campaign, &new).await?;
        let from = new.from.unwrap_or_default();
        let mut given = given;
        for _ in 0..ROUNDS_MAX {
            let sample = match from {
                AttemptSource::Sample => self.store.sample(campaign).await?,
                AttemptSource::Orders | AttemptSource::File => SampleRow::default(),
            };
            let feed = match (from, given.take()) {
                (AttemptSource::Sample, _) => Feed::sample(&self.store, campaign, sample).await?,
                (AttemptSource::Orders, _) => Feed::orders(&self.store, campaign).await?,
                (AttemptSource::File, Some(given)) => Feed::Given(given),
                (AttemptSource::File, None) => return Err(no_file()),
            };
            let skus = Skus::from(scaled(&compare.campaign.skus, sample.share));
            let (old, fresh) = (
                plan_of(&compare.old, &compare.campaign, &skus)?,
                plan_of(&compare.new, &compare.campaign, &skus)?,
            );
            let worlds = (
                self.world(&compare.old, &old, &skus).await?,
                self.world(&compare.new, &fresh, &skus).await?,
            );
            let replay = Replay::new(campaign, worlds.0, worlds.1, fresh.clone());
            let tally = self.replay(&compare, &skus, old.clone(), replay, feed).await?;
            // A sample that shrank meanwhile lost buyers half-way.
            let is_whole =
                from != AttemptSource::Sample || self.store.sample(campaign).await?.share == sample.share;
            if is_whole {
                let facts = notes::Facts {
                    from,
                    side: new.old,
                    sample,
                    skus: &skus,
                    old: &old,
                    new: &fresh,
                    revision: compare.old.number,
                    warnings: &warnings,
                };
                let notes = notes::notes(&facts, &tally);
                return Ok(answer::answer(&facts, campaign, tally, notes));
            }
        }
        let why = "the sample is shrinking because many attempts come in; try again in a moment";
        Err(ControlError::Conflict(why.to_owned()))
    }

    /// A revision's world before its first order.
    async fn world(
        &self,
        revision: &Revision,
        plan: &CheckedPlan,
        skus: &Skus,
    ) -> Result<World, ControlError> {
        let prechecks = self.loader.prechecks(revision).await;
        let prechecks = prechecks.map_err(ControlError::Unavailable)?;
        Ok(World::new(skus, self.audience_members(plan).await?, prechecks))
    }

    /// Compiles the new rules as a revision would.
    async fn sides(
        &self,
        campaign: &str,
        new: &NewSimulation,
    ) -> Result<(Compare, Vec<crate::wasm::Diagnostic>), ControlError> {
        let row = self.row(campaign).await?;
        let schedule = schedule_of(row.schedule, new.opens_at, new.closes_at);
        let mut problems: Vec<Problem> = Vec::new();
        check_schedule(schedule, &mut problems);
        check_rules(&new.rules, &mut problems);
        new.fold
            .iter()
            .for_each(|folds| check_folds(folds, &mut problems));
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let rules = RuleSpecs {
            rules: &new.rules,
            shadow: &[],
            folds: &self.folds_of(&row, new.fold.as_ref()).await?,
            merchant: &row.merchant,
        };
        let draft = self
            .draft(&row.campaign, &rules, schedule, Audiences::new())
            .await?;
        let number = row.activation.revision;
        let Some(old) = self.store.revision(campaign, number).await? else {
            return Err(ControlError::Internal(format!(
                "revision {number} of {campaign} is not in the database"
            )));
        };
        let compare = Compare {
            campaign: row.campaign,
            old,
            new: draft.compiled.revision,
            side: new.old,
        };
        Ok((compare, draft.warnings))
    }

    /// Feeds the thread that replays, until everything is read.
    async fn replay(
        &self,
        compare: &Compare,
        skus: &Skus,
        active: Arc<CheckedPlan>,
        mut replay: Replay,
        mut feed: Feed<'_>,
    ) -> Result<Tally, ControlError> {
        let (pages, mut read) = mpsc::channel::<Vec<ReplayedAttempt>>(PAGES_WAITING);
        let played = tokio::task::spawn_blocking(move || {
            while let Some(page) = read.blocking_recv() {
                for (recorded, old) in &page {
                    replay.play(old, recorded);
                }
            }
            replay.tally
        });
        let mut plans = HashMap::from([(compare.old.number, active.clone())]);
        let mut count = 0;
        while let Some(page) = feed.next().await? {
            count += page.len() as u64;
            if count > SIMULATED_MAX {
                let why = format!("more than {SIMULATED_MAX} attempts; take a shorter time or fewer buyers");
                return Err(ControlError::Invalid(vec![Problem::new("", why)]));
            }
            let mut steps = Vec::with_capacity(page.len());
            for recorded in page {
                let plan = match (compare.side, recorded.revision) {
                    (OldSide::Recorded, Some(number)) => {
                        self.old_plan(compare, skus, &mut plans, &active, number).await?
                    }
                    _ => active.clone(),
                };
                steps.push((recorded, plan));
            }
            if pages.send(steps).await.is_err() {
                break;
            }
        }
        drop(pages);
        let ended = |error| ControlError::Internal(format!("the replay broke off: {error}"));
        played.await.map_err(ended)
    }

    /// The plan of an earlier revision; the active one where there is no such revision.
    async fn old_plan(
        &self,
        compare: &Compare,
        skus: &Skus,
        plans: &mut HashMap<u32, Arc<CheckedPlan>>,
        active: &Arc<CheckedPlan>,
        number: u32,
    ) -> Result<Arc<CheckedPlan>, ControlError> {
        if let Some(plan) = plans.get(&number) {
            return Ok(plan.clone());
        }
        let plan = match self.store.revision(&compare.campaign.id, number).await? {
            Some(revision) => plan_of(&revision, &compare.campaign, skus)?,
            None => active.clone(),
        };
        plans.insert(number, plan.clone());
        Ok(plan)
    }
}

fn no_file() -> ControlError {
    let problem = Problem::new("/from", "the attempts of a file come behind this line")
        .hint("send application/x-ndjson: this object on the first line, then one attempt per line");
    ControlError::Invalid(vec![problem])
}

/// The sentences of a plan, as a merchant reads them.
fn sentences(plan: &CheckedPlan) -> Vec<String> {
    explain::explain(plan)
}
