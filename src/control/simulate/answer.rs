//! What a simulation answers.

use serde::{Deserialize, Serialize};

use super::notes::Facts;
use super::{AttemptSource, sentences};
use crate::attempts::Attributes;
use crate::attempts::tally::{Count, Estimate, Flip, Flips, Sides, Tally};
use crate::order::array;
use crate::wire::Moment;

/// The answer of `POST /admin/v1/campaigns/{id}/simulate`. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Simulation {
    pub campaign: String,
    pub from: AttemptSource,
    pub attempts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleAnswer>,
    pub old: SideAnswer,
    pub new: SideAnswer,
    /// The most frequent of the old side first.
    pub outcomes: Vec<OutcomeAnswer>,
    /// Attempts that the new rules answer otherwise than the old ones.
    pub flipped: u64,
    /// The same of all buyers, where these attempts are of a share of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flipped_all: Option<EstimateAnswer>,
    pub flips: Vec<FlipAnswer>,
    /// The old side held against what was answered then.
    pub recorded: Compared,
    /// What to know before the figures are believed.
    pub notes: Vec<String>,
}

/// What the sample holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Sample)]
pub struct SampleAnswer {
    /// Of all buyers, 0 to 1. Stock is scaled by it.
    pub share: f64,
    /// Attempts of all buyers that were decided while they were recorded; left out where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<u64>,
    /// Attempts that could not be kept in time.
    pub dropped: u64,
}

/// What all buyers would have, estimated from a share of them: in 95 of 100 cases less than `margin` off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Estimate)]
pub struct EstimateAnswer {
    pub count: u64,
    pub margin: u64,
}

/// An outcome's counts, estimated for all buyers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AllBuyers {
    pub recorded: EstimateAnswer,
    pub old: EstimateAnswer,
    pub new: EstimateAnswer,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = SimulationSide)]
pub struct SideAnswer {
    /// `None` for rules that are no revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    pub explain: Vec<String>,
    pub plan_digest: String,
}

/// How often one outcome was answered on each side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Outcome)]
pub struct OutcomeAnswer {
    /// `admitted`, a reason of the gateway's own, or `<rule>/<reason>`.
    pub outcome: String,
    pub recorded: u64,
    pub old: u64,
    pub new: u64,
    /// The same of all buyers, where these attempts are of a share of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<AllBuyers>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Flip)]
pub struct FlipAnswer {
    pub from: String,
    pub to: String,
    pub count: u64,
    /// The same of all buyers, where these attempts are of a share of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<EstimateAnswer>,
    /// The first ten.
    pub examples: Vec<ExampleAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = FlipExample)]
pub struct ExampleAnswer {
    pub at: String,
    pub user: String,
    pub sku: String,
    pub quantity: u32,
    #[serde(
        default,
        skip_serializing_if = "Attributes::is_empty",
        with = "array::as_json"
    )]
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    pub attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Recorded)]
pub struct Compared {
    /// Attempts whose recorded outcome is known.
    pub attempts: u64,
    /// Of these: attempts the old side answers otherwise here.
    pub differ: u64,
    /// From the recorded outcome to that of the old side.
    pub kinds: Vec<FlipAnswer>,
}

pub(super) fn answer(facts: &Facts<'_>, campaign: &str, tally: Tally, notes: Vec<String>) -> Simulation {
    let side = |revision, plan: &crate::plan::CheckedPlan| SideAnswer {
        revision,
        explain: sentences(plan),
        plan_digest: plan.digest().to_owned(),
    };
    let scale = Scale::of(facts);
    let outcome = |(outcome, sides): (String, Sides)| OutcomeAnswer {
        outcome,
        recorded: sides.recorded.total(),
        old: sides.old.total(),
        new: sides.new.total(),
        all: scale.all(&sides),
    };
    let mut outcomes: Vec<OutcomeAnswer> = tally.outcomes.into_iter().map(outcome).collect();
    outcomes.sort_by_key(|outcome| std::cmp::Reverse((outcome.old, outcome.new)));
    let flipped = tally.flips.count();
    Simulation {
        campaign: campaign.to_owned(),
        from: facts.from,
        attempts: tally.attempts,
        first_at: tally.span.map(|(first, _)| Moment(first).to_string()),
        last_at: tally.span.map(|(_, last)| Moment(last).to_string()),
        sample: (facts.from == AttemptSource::Sample).then(|| SampleAnswer {
            share: facts.sample.share.part(),
            decided: facts.sample.decided(),
            dropped: facts.sample.dropped,
        }),
        old: side(Some(facts.revision), facts.old),
        new: side(None, facts.new),
        outcomes,
        flipped: flipped.total(),
        flipped_all: scale.estimate(&flipped),
        recorded: Compared {
            attempts: tally.with_record,
            differ: tally.unlike_recorded.count().total(),
            kinds: scale.flips(tally.unlike_recorded),
        },
        flips: scale.flips(tally.flips),
        notes,
    }
}

/// From the buyers of the sample to all; the share of them, where it is not everybody.
struct Scale(Option<f64>);

impl Scale {
    fn of(facts: &Facts<'_>) -> Self {
        let share = facts.sample.share;
        Self((share.total() > 0).then(|| share.part()))
    }

    fn estimate(&self, count: &Count) -> Option<EstimateAnswer> {
        let Estimate { count, margin } = count.of_all(self.0?);
        Some(EstimateAnswer { count, margin })
    }

    fn all(&self, sides: &Sides) -> Option<AllBuyers> {
        Some(AllBuyers {
            recorded: self.estimate(&sides.recorded)?,
            old: self.estimate(&sides.old)?,
            new: self.estimate(&sides.new)?,
        })
    }

    fn flips(&self, flips: Flips) -> Vec<FlipAnswer> {
        let sorted = flips.into_sorted().into_iter();
        sorted
            .map(|flip| FlipAnswer {
                all: self.estimate(&flip.count),
                ..answer_of(flip)
            })
            .collect()
    }
}

fn answer_of(flip: Flip) -> FlipAnswer {
    let examples = flip.examples.into_iter().map(|recorded| ExampleAnswer {
        at: Moment(recorded.at).to_string(),
        user: recorded.attempt.user,
        sku: recorded.attempt.sku,
        quantity: recorded.attempt.quantity,
        attributes: recorded.attempt.attributes,
    });
    FlipAnswer {
        from: flip.from,
        to: flip.to,
        count: flip.count.total(),
        all: None,
        examples: examples.collect(),
    }
}
