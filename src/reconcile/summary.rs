//! A comparison as the control plane answers it: differences by kind, with examples.

use serde::Serialize;
use serde_json::Value;

use super::compare::{Comparison, Difference, Kind, RepairOutcome};

/// Examples of each kind.
const EXAMPLES_MAX: usize = 20;

/// What a comparison of a campaign saw.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = Reconciled)]
pub struct Summary {
    pub campaign: String,
    /// Orders in the database that were compared.
    pub orders: u64,
    pub skus: u64,
    /// Counts of subjects that were compared.
    pub subjects: u64,
    /// Counts that kept changing, and could not be compared.
    pub unsettled: u64,
    pub took_ms: u64,
    /// Whether something was repaired; then `left` has what a second comparison saw.
    pub repaired: bool,
    /// What was found, by kind.
    pub kinds: Vec<OfKind>,
    /// What is there now, by kind.
    pub left: Vec<OfKind>,
    /// Differences that are there now, those included that are too many to be listed.
    pub differences_left: u64,
}

/// Differences of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = DifferencesOfKind)]
pub struct OfKind {
    /// `oversold`, `overcommitted`, `leaked`, `sold-mismatch`, `lost-order`, `unknown-order`, `counter-low`, `counter-high` or
    /// `stuck-entry`.
    pub kind: &'static str,
    /// What it means, in words.
    pub means: &'static str,
    /// Whether a repair puts it right.
    pub repairable: bool,
    pub found: u64,
    /// Of these: put right, or on their way again.
    pub mended: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = Difference)]
pub struct Example {
    /// All of it in a sentence.
    pub sentence: String,
    /// The SKU, order, outbox entry or count.
    #[serde(rename = "where")]
    pub place: Value,
    /// What the engine says, in units, orders or counts.
    pub engine: i64,
    /// What it should say after the database.
    pub database: i64,
    /// `found`, `repaired`, `sent-again`, `given-up`, `moved` (it changed meanwhile) or `refused`.
    pub outcome: String,
}

impl From<&Difference> for Example {
    fn from(difference: &Difference) -> Self {
        let text = |value: serde_json::Result<Value>| value.unwrap_or_default();
        let outcome = text(serde_json::to_value(difference.outcome));
        Self {
            sentence: difference.sentence.clone(),
            place: text(serde_json::to_value(&difference.place)),
            engine: difference.engine,
            database: difference.database,
            outcome: outcome.as_str().unwrap_or_default().to_owned(),
        }
    }
}

fn is_mended(difference: &Difference) -> bool {
    let outcome = difference.outcome;
    matches!(
        outcome,
        RepairOutcome::Repaired | RepairOutcome::SentAgain | RepairOutcome::GivenUp
    )
}

fn by_kind(differences: &[Difference]) -> Vec<OfKind> {
    let kinds = Kind::ALL.into_iter().filter_map(|kind| {
        let of_kind: Vec<&Difference> = differences.iter().filter(|each| each.kind == kind).collect();
        (!of_kind.is_empty()).then(|| OfKind {
            kind: kind.as_str(),
            means: kind.meaning(),
            repairable: kind.is_repairable(),
            found: of_kind.len() as u64,
            mended: of_kind.iter().filter(|each| is_mended(each)).count() as u64,
            examples: of_kind
                .into_iter()
                .take(EXAMPLES_MAX)
                .map(Example::from)
                .collect(),
        })
    });
    kinds.collect()
}

impl From<&Comparison> for Summary {
    fn from(comparison: &Comparison) -> Self {
        Self {
            campaign: comparison.campaign.clone(),
            orders: comparison.orders,
            skus: comparison.skus,
            subjects: comparison.subjects,
            unsettled: comparison.unsettled,
            took_ms: comparison.took_ms,
            repaired: comparison.repaired,
            kinds: by_kind(&comparison.differences),
            left: by_kind(comparison.now()),
            differences_left: comparison.now().len() as u64 + comparison.more,
        }
    }
}
