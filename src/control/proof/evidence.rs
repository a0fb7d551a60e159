//! Evidence where structure cannot tell: two constraints asked about the same orders, many times.

use std::time::Instant;

use fastrand::Rng;

use super::candidates::Candidates;
use super::differential::TIME_MAX;
use super::episode::{self, Plans, REVISION};
use crate::plan::CheckedPlan;
use crate::plan::decision::Decision;
use crate::plan::diff::{Change, Class};
use crate::plan::eval;

/// Attempts looked at.
const ATTEMPTS: usize = 2000;

/// How often the new constraint says otherwise than the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flips {
    refused: usize,
    admitted: usize,
}

/// Classes by evidence what [`Class::Changed`] says nothing about. Both constraints are asked about each
/// attempt, over the orders that the old plan admitted: the counts of each plan are of those.
pub fn weigh(old: &CheckedPlan, new: &CheckedPlan, changes: &mut [Change]) {
    let undecided = |change: &Change| change.class == Class::Changed && change.indices.is_some();
    if !changes.iter().any(undecided) {
        return;
    }
    let (flips, attempts) = flips(old, new, changes);
    for (change, flips) in changes.iter_mut().zip(flips) {
        if undecided(change) {
            tell(change, flips, attempts);
        }
    }
}

fn tell(change: &mut Change, flips: Flips, attempts: usize) {
    let Flips { refused, admitted } = flips;
    change.class = match (refused, admitted) {
        (1.., 0) => Class::Tighter,
        (0, 1..) => Class::Looser,
        _ => Class::Changed,
    };
    change.sentence += &match (refused, admitted) {
        (0, 0) => format!("; in {attempts} random attempts no answer differs"),
        _ => format!(
            "; in {attempts} random attempts: {refused} refused that were admitted, {admitted} the other way"
        ),
    };
}

/// One per change, and the attempts looked at; only changes with indices are counted.
fn flips(old: &CheckedPlan, new: &CheckedPlan, changes: &[Change]) -> (Vec<Flips>, usize) {
    let digits = old.digest().get(..16).zip(new.digest().get(..16));
    let half = |text: &str| u64::from_str_radix(text, 16).unwrap_or_default();
    let seed = digits.map_or(0, |(one, other)| half(one) ^ half(other).rotate_left(1));
    let mut rng = Rng::with_seed(seed);
    let candidates = Candidates::of(&[old, new]);
    let plans = Plans {
        live: old,
        shadow: None,
    };
    let mut flips = vec![Flips::default(); changes.len()];
    let mut attempts = 0;
    let deadline = Instant::now() + TIME_MAX;
    while attempts < ATTEMPTS && (attempts == 0 || Instant::now() < deadline) {
        let (episode, _) = episode::draw(plans, &candidates, ATTEMPTS - attempts, &mut rng);
        let (mut before, mut after) = (episode.start.clone(), episode.start);
        for batch in &episode.batches {
            for attempt in &batch.attempts {
                attempts += 1;
                let held = eval::evaluate_constraints(old, &before, attempt, batch.now);
                let holds = eval::evaluate_constraints(new, &after, attempt, batch.now);
                for (change, flips) in changes.iter().zip(&mut flips) {
                    let Some((one, other)) = change.indices else {
                        continue;
                    };
                    // A constraint that does not apply lets pass.
                    let was = held[one as usize].unwrap_or(true);
                    let is = holds[other as usize].unwrap_or(true);
                    flips.refused += usize::from(was && !is);
                    flips.admitted += usize::from(is && !was);
                }
                if eval::decide(old, REVISION, &mut before, attempt, batch.now) == Decision::Admitted {
                    eval::place(new, REVISION, &mut after, attempt, batch.now);
                }
            }
        }
    }
    (flips, attempts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::diff::diff;
    use crate::plan::samples::samples;
    use crate::plan::{Expr, check};

    /// Two orders per user; the limit is written so that structure says nothing about it.
    fn limited(limit: impl Fn(u32) -> Vec<Expr>) -> CheckedPlan {
        let mut sample = samples()
            .into_iter()
            .find(|sample| sample.name == "orders per user")
            .expect("a sample of this name");
        let plan = &mut sample.plan;
        let quantity = crate::plan::Attribute::Quantity;
        let first = plan.nodes.len() as u32;
        plan.nodes.push(Expr::Attribute(quantity));
        plan.nodes.extend(limit(first));
        let limit = plan.nodes.len() as u32 - 1;
        let Expr::Le(used, _) = plan.nodes[plan.constraints[0].require as usize] else {
            panic!("at most so many: {plan:?}");
        };
        plan.nodes.push(Expr::Le(used, limit));
        plan.constraints[0].require = limit + 1;
        check(sample.plan, sample.context).expect("a valid plan")
    }

    fn weighed(old: &CheckedPlan, new: &CheckedPlan) -> (Class, String) {
        let mut changes = diff(old, new, &[], old.context().schedule.opens_at);
        let change = changes.iter().position(|change| change.indices.is_some());
        let index = change.expect("both have the constraint");
        assert_eq!(changes[index].class, Class::Changed, "structure cannot tell");
        weigh(old, new, &mut changes);
        (changes[index].class, changes[index].sentence.clone())
    }

    #[test]
    fn what_structure_cannot_tell_is_weighed() {
        // min(q, 2) against q mod 3: never more, where an order is of one or more units.
        let least = |q: u32| vec![Expr::Int(2), Expr::Min(q, q + 1)];
        let rest = |q: u32| vec![Expr::Mod(q, 3)];
        let (class, sentence) = weighed(&limited(least), &limited(rest));
        assert_eq!(class, Class::Tighter, "{sentence}");
        assert!(
            sentence.contains("refused that were admitted, 0 the other way"),
            "{sentence}"
        );
        let (class, _) = weighed(&limited(rest), &limited(least));
        assert_eq!(class, Class::Looser);
        // max(q, q) is q.
        let (class, sentence) = weighed(
            &limited(|q| vec![Expr::Max(q, q)]),
            &limited(|q| vec![Expr::Min(q, q)]),
        );
        assert_eq!(class, Class::Changed);
        assert!(
            sentence.ends_with("random attempts no answer differs"),
            "{sentence}"
        );
    }
}
