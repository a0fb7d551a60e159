//! The interpreter: decides attempts from a [`CheckedPlan`] in plain Rust. It is the oracle the
//! generated Lua is held against, and computes the charges an admitted order carries.

use super::decision::{Decision, Measured, Placed, Rejection};
use super::facts::Facts;
use super::outcome;
use super::retry;
use super::run::{Run, Source};
use super::state::State;
use super::window::window_start;
use super::{CheckedPlan, Window};
use crate::campaign::Pause;
use crate::order::{Attempt, Charge, replaced_by};
use crate::rejection::Own;

/// Version of what [`charges`] makes of a plan, an attempt and a moment. Records name it: landing makes the charges again,
/// and only the same evaluator makes the same ones. A change that makes others of anything old raises it.
pub const VERSION: u32 = 1;

/// Decides one attempt at `now` (milliseconds since 1970-01-01 UTC) and, when it is admitted,
/// applies it to the state. A rejected attempt changes nothing.
///
/// The questions come in the order of `lua/README.md`: admitted before? known SKU? closed? open? paused?
/// enough stock? the constraints in order; rolling windows full?
pub fn decide(plan: &CheckedPlan, revision: u32, state: &mut State, attempt: &Attempt, now: i64) -> Decision {
    let order = attempt.order.to_string();
    if let Some(placed) = state.orders.get(&order) {
        return Decision::Existing(placed.clone());
    }
    if let Err(rejection) = judge(plan, state, attempt, now) {
        return Decision::Rejected(rejection);
    }
    place(plan, revision, state, attempt, now);
    Decision::Admitted
}

/// Records an attempt as admitted at `now`, whatever the plan would have said to it.
pub fn place(plan: &CheckedPlan, revision: u32, state: &mut State, attempt: &Attempt, now: i64) {
    state.apply(attempt, &charges(plan, attempt, now), now);
    let placed = Placed {
        placed_at: now,
        revision,
        quantity: attempt.quantity,
        sku: attempt.sku.clone(),
        user: attempt.user.clone(),
        released: false,
        body: attempt.body().map(str::to_owned),
        replaces: replaced_by(&attempt.attributes),
    };
    state.orders.insert(attempt.order.to_string(), placed);
}

/// The same while other rules decide every attempt a second time, on counts of their own. Their answer
/// changes nothing but those counts and the figures.
pub fn decide_with_shadow(
    plan: &CheckedPlan,
    shadow: &CheckedPlan,
    revision: u32,
    state: &mut State,
    attempt: &Attempt,
    now: i64,
) -> Decision {
    let mut other = state.clone();
    let decision = decide(plan, revision, state, attempt, now);
    let live = match &decision {
        Decision::Existing(_) | Decision::Rejected(Rejection::UnknownSku | Rejection::Paused(_)) => {
            return decision;
        }
        Decision::Admitted => outcome::of(plan, Ok(())),
        Decision::Rejected(rejection) => outcome::of(plan, Err(rejection)),
    };
    other.counters = std::mem::take(&mut state.shadow.counters);
    other.rolling = std::mem::take(&mut state.shadow.rolling);
    // A pause is no rule: it is asked of the rules that decide alone.
    other.pause = Pause::default();
    let shadowed = if let Some(unfit) = shadow.reads().unfit(&attempt.attributes) {
        unfit.reason().name().to_owned()
    } else if shadow.missing(attempt).is_some() {
        Own::AttributeMissing.name().to_owned()
    } else {
        let judged = judge(shadow, &other, attempt, now);
        if judged.is_ok() {
            other.apply(attempt, &charges(shadow, attempt, now), now);
        }
        outcome::of(shadow, judged.as_ref().copied())
    };
    state.shadow.counters = other.counters;
    state.shadow.rolling = other.rolling;
    *state.shadow.figures.entry((live, shadowed)).or_default() += 1;
    decision
}

fn judge(plan: &CheckedPlan, state: &State, attempt: &Attempt, now: i64) -> Result<(), Rejection> {
    let mut run = Run::new(plan, Source::State(state), attempt, now);
    let schedule = plan.context().schedule;
    let Some(&remaining) = state.stock.get(&attempt.sku) else {
        return Err(Rejection::UnknownSku);
    };
    if now >= schedule.closes_at {
        return Err(Rejection::Closed);
    }
    if !run.is_open() {
        return Err(retry::not_open(plan, &run.facts(plan.retry_needs()), attempt));
    }
    if let Some(paused) = state.pause.at(now) {
        return Err(Rejection::Paused(paused));
    }
    if remaining < i64::from(attempt.quantity) {
        return Err(Rejection::SoldOut { remaining });
    }
    for index in 0..plan.plan().constraints.len() as u32 {
        if !run.holds(index) {
            let facts = run.facts(plan.needs(index));
            return Err(retry::by_constraint(plan, index, &facts, attempt));
        }
    }
    for counter in 0..plan.plan().counters.len() as u32 {
        if retry::is_full(plan, counter, &mut run) {
            let facts = run.facts(plan.retry_needs());
            return Err(retry::window_full(plan, counter, &facts, attempt));
        }
    }
    Ok(())
}

/// Whether one constraint holds for an attempt at `now`, whatever the others say.
#[cfg(feature = "testing")]
pub fn holds(plan: &CheckedPlan, state: &State, attempt: &Attempt, now: i64, constraint: u32) -> bool {
    Run::new(plan, Source::State(state), attempt, now).holds(constraint)
}

/// Per constraint, whether it holds for an attempt; `None` where it does not apply. All of them, also
/// those behind the first that fails.
pub fn evaluate_constraints(
    plan: &CheckedPlan,
    state: &State,
    attempt: &Attempt,
    now: i64,
) -> Vec<Option<bool>> {
    let mut run = Run::new(plan, Source::State(state), attempt, now);
    plan.plan()
        .constraints
        .iter()
        .map(|constraint| {
            let applies = constraint.when.is_none_or(|when| run.bool(when));
            applies.then(|| run.bool(constraint.require))
        })
        .collect()
}

/// Per constraint, the numbers it would show if it failed for an attempt; `None` where it shows none.
pub fn measures(plan: &CheckedPlan, state: &State, attempt: &Attempt, now: i64) -> Vec<Option<Measured>> {
    let mut run = Run::new(plan, Source::State(state), attempt, now);
    let constraints = plan.plan().constraints.iter();
    constraints
        .map(|constraint| constraint.measure.map(|measure| run.measured(measure)))
        .collect()
}

/// What an attempt admitted at `now` consumes. Follows from the plan, the attempt and the moment
/// alone, so it can be computed again by whoever finds the order in the outbox.
pub fn charges(plan: &CheckedPlan, attempt: &Attempt, now: i64) -> Vec<Charge> {
    let mut run = Run::new(plan, Source::Nothing, attempt, now);
    let mut charges = Vec::with_capacity(plan.plan().counters.len());
    for (index, counter) in (0..).zip(&plan.plan().counters) {
        let cost = run.int(counter.cost);
        if cost <= 0 {
            continue;
        }
        let (window, rolling_ms) = match counter.window {
            Window::Rolling { length_ms } => (now, length_ms),
            _ => (window_start(plan, index, now), 0),
        };
        charges.push(Charge {
            counter: counter.id.clone(),
            window,
            rolling_ms,
            subject: plan.subject(&counter.key, attempt),
            cost,
            limit: run.ceiling(index).map(|before| before.saturating_add(cost)),
        });
    }
    charges
}

/// What `inspect` answers: per counter, how much of it the attempt's subject has used, and what else
/// decides about the limits.
#[cfg(feature = "testing")]
pub fn inspect(plan: &CheckedPlan, state: &State, attempt: &Attempt, now: i64) -> Facts {
    Facts {
        paused: state.pause.at(now),
        ..Run::new(plan, Source::State(state), attempt, now).facts(plan.quota_needs())
    }
}

#[cfg(test)]
mod tests;
