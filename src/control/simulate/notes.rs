//! What somebody has to know before they believe a simulation's figures, in sentences.

use super::{AttemptSource, OldSide};
use crate::attempts::tally::Tally;
use crate::campaign::Sku;
use crate::order::shown_sku;
use crate::plan::{Attribute, CheckedPlan};
use crate::store::SampleRow;
use crate::wasm::Diagnostic;

/// Units of a SKU below which who got one is a matter of chance: a share of a small stock is a handful.
const FEW_UNITS: u64 = 30;

/// What a simulation was made of.
pub(super) struct Facts<'a> {
    pub(super) from: AttemptSource,
    pub(super) side: OldSide,
    pub(super) sample: SampleRow,
    /// With the stock of the worlds.
    pub(super) skus: &'a [Sku],
    pub(super) old: &'a CheckedPlan,
    pub(super) new: &'a CheckedPlan,
    /// Number of the active revision.
    pub(super) revision: u32,
    /// What the new rules' modules warn of.
    pub(super) warnings: &'a [Diagnostic],
}

pub(super) fn notes(facts: &Facts<'_>, tally: &Tally) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(nothing(facts, tally));
    notes.extend(share(facts, tally));
    notes.extend(dropped(facts));
    notes.extend(orders(facts));
    notes.extend(unread(facts, tally));
    notes.extend(unlike_recorded(facts, tally));
    let warned = |warning: &Diagnostic| format!("A module warns of {}: {}", warning.pointer, warning.message);
    notes.extend(facts.warnings.iter().map(warned));
    notes
}

fn nothing(facts: &Facts<'_>, tally: &Tally) -> Option<String> {
    if tally.attempts > 0 {
        return None;
    }
    Some(match facts.from {
        AttemptSource::Sample => {
            "No attempt of this campaign is recorded: nobody has ordered yet, or sample.attempts_max is \
                         0."
            .to_owned()
        }
        AttemptSource::Orders => "No order of this campaign has landed yet.".to_owned(),
        AttemptSource::File => "The file has no attempt.".to_owned(),
    })
}

fn share(facts: &Facts<'_>, tally: &Tally) -> Vec<String> {
    let share = facts.sample.share;
    if share.total() == 0 {
        return Vec::new();
    }
    let percent = share.part() * 100.0;
    let of = match facts.sample.decided() {
        Some(decided) => format!(", {} of the {decided} attempts that were decided", tally.attempts),
        None => String::new(),
    };
    let mut notes = vec![format!(
        "The sample holds the whole history of {percent:.3} % of the buyers{of}. The stock was scaled to that share, rounded \
         up; multiply the counts by {} for all buyers. What is said of all buyers is less than its margin off in 95 of 100 \
         cases.",
        1_u64 << share.total()
    )];
    let few = facts
        .skus
        .iter()
        .filter(|sku| (1..FEW_UNITS).contains(&sku.stock));
    let few: Vec<String> = few
        .map(|sku| format!("{} of {}", sku.stock, shown_sku(&sku.id)))
        .collect();
    if !few.is_empty() {
        notes.push(format!(
            "The share of the stock is few units ({}): when they are sold out here is largely chance.",
            few.join(", ")
        ));
    }
    let plan = facts.new.plan();
    let shared = plan
        .counters
        .iter()
        .filter(|counter| !counter.key.contains(&Attribute::User));
    let shared: Vec<&str> = shared.map(|counter| counter.id.as_str()).collect();
    if !shared.is_empty() {
        notes.push(format!(
            "{} count several buyers together and see only those of the sample, so their limits are reached too rarely \
             here.",
            shared.join(", ")
        ));
    }
    notes
}

fn dropped(facts: &Facts<'_>) -> Option<String> {
    let dropped = facts.sample.dropped;
    (dropped > 0).then(|| {
        format!("{dropped} attempts are missing from the sample: the database could not keep up with them.")
    })
}

fn orders(facts: &Facts<'_>) -> Option<String> {
    let text = "Landed orders are admitted attempts alone. This tells which of them the new rules refuse; it cannot tell \
                whom they admit that was refused, and what the landing revoked counts as admitted.";
    (facts.from == AttemptSource::Orders).then(|| text.to_owned())
}

/// An attribute that no old rule read was not kept.
fn unread(facts: &Facts<'_>, tally: &Tally) -> Vec<String> {
    if tally.attempts == 0 {
        return Vec::new();
    }
    let old = facts.old.attributes();
    let new = facts.new.attributes();
    let unread = new.iter().filter(|attribute| !old.contains(attribute));
    let sentence = |attribute: &Attribute| {
        let carried = tally.carried.get(&attribute.to_string()).copied().unwrap_or(0);
        (carried < tally.attempts).then(|| {
            format!(
                "The new rules read {attribute}, which revision {} does not: {carried} of {} attempts carry it, the others \
                 count as without. Activate a revision that reads it first, and it is recorded.",
                facts.revision, tally.attempts
            )
        })
    };
    unread.filter_map(sentence).collect()
}

fn unlike_recorded(facts: &Facts<'_>, tally: &Tally) -> Option<String> {
    let differ = tally.unlike_recorded.count().total();
    if differ == 0 {
        return None;
    }
    let mut causes = Vec::new();
    let others: Vec<String> = tally
        .revisions
        .iter()
        .filter(|(number, _)| **number != facts.revision)
        .map(|(number, count)| format!("{count} were decided by revision {number}"))
        .collect();
    if !others.is_empty() && facts.side == OldSide::Active {
        causes.push(others.join(", "));
    }
    if facts.sample.share.total() > 0 {
        causes.push("the sample's stock is a share of the stock".to_owned());
    }
    if facts.sample.dropped > 0 {
        causes.push("attempts are missing".to_owned());
    }
    causes.push("orders before the first attempt of the record, and attempts decided in the same millisecond by several \
                 gateways, are not known here".to_owned());
    let by = match facts.side {
        OldSide::Active => format!("revision {}", facts.revision),
        OldSide::Recorded => "the revision they were recorded under".to_owned(),
    };
    Some(format!(
        "{differ} of {} attempts were answered otherwise then than {by} answers them here. Why that may be: {}.",
        tally.with_record,
        causes.join("; ")
    ))
}
