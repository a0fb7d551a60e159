//! What a simulation answers.

use serde::{Deserialize, Serialize};

use super::notes::Facts;
use super::{Origin, sentences};
use crate::recorded::Attributes;
use crate::recorded::tally::{Flip, Flips, Sides, Tally};
use crate::wire::Moment;

/// The answer of `POST /admin/v1/campaigns/{id}/simulate`. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Simulation {
    pub campaign: String,
    pub from: Origin,
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
    pub flips: Vec<FlipAnswer>,
    /// The old side held against what was answered then.
    pub recorded: Compared,
    /// What to know before the figures are believed.
    pub notes: Vec<String>,
}

/// What the sample holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleAnswer {
    /// Of all buyers, 0 to 1. Stock is scaled by it.
    pub share: f64,
    /// Attempts that could not be kept in time.
    pub dropped: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideAnswer {
    /// `None` for rules that are no revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    pub explain: Vec<String>,
    pub plan_digest: String,
}

/// How often one outcome was answered on each side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeAnswer {
    /// `admitted`, a reason of the gateway's own, or `<rule>/<reason>`.
    pub outcome: String,
    pub recorded: u64,
    pub old: u64,
    pub new: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlipAnswer {
    pub from: String,
    pub to: String,
    pub count: u64,
    /// The first ten.
    pub examples: Vec<ExampleAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExampleAnswer {
    pub at: String,
    pub user: String,
    pub sku: String,
    pub quantity: u32,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    let mut outcomes: Vec<OutcomeAnswer> = tally.outcomes.into_iter().map(outcome).collect();
    outcomes.sort_by_key(|outcome| std::cmp::Reverse((outcome.old, outcome.new)));
    Simulation {
        campaign: campaign.to_owned(),
        from: facts.from,
        attempts: tally.attempts,
        first_at: tally.span.map(|(first, _)| Moment(first).to_string()),
        last_at: tally.span.map(|(_, last)| Moment(last).to_string()),
        sample: (facts.from == Origin::Sample).then(|| SampleAnswer {
            share: facts.share(),
            dropped: facts.sample.dropped,
        }),
        old: side(Some(facts.revision), facts.old),
        new: side(None, facts.new),
        outcomes,
        flipped: tally.flips.count(),
        recorded: Compared {
            attempts: tally.with_record,
            differ: tally.unlike_recorded.count(),
            kinds: flips(tally.unlike_recorded),
        },
        flips: flips(tally.flips),
        notes,
    }
}

fn outcome((outcome, sides): (String, Sides)) -> OutcomeAnswer {
    OutcomeAnswer {
        outcome,
        recorded: sides.recorded,
        old: sides.old,
        new: sides.new,
    }
}

fn flips(flips: Flips) -> Vec<FlipAnswer> {
    flips.into_sorted().into_iter().map(flip).collect()
}

fn flip(flip: Flip) -> FlipAnswer {
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
        count: flip.count,
        examples: examples.collect(),
    }
}
