//! When an order that is refused would fit: the first moment at which nothing refuses it, everything else staying as it is.
//! In what order the questions are asked names the reason, and says nothing about when.

use super::decision::{Rejection, Wait};
use super::facts::{Count, Facts};
use super::run::{Run, Source};
use super::search::Search;
use super::{CheckedPlan, Constraint, ROLLING_ORDERS_MAX, Window};
use crate::order::Attempt;

/// What of a plan is asked: all of it, or, of an order that somebody only thinks of, what can be judged.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Indices of constraints.
    pub(super) constraints: Vec<u32>,
    /// Indices of counters: those of rolling windows that may be full.
    pub(super) counters: Vec<u32>,
}

impl Scope {
    fn all(plan: &CheckedPlan) -> Self {
        Self {
            constraints: (0..plan.plan().constraints.len() as u32).collect(),
            counters: (0..plan.plan().counters.len() as u32).collect(),
        }
    }
}

/// The rejection of an attempt by a constraint, from the facts [`CheckedPlan::needs`] names.
pub fn by_constraint(plan: &CheckedPlan, index: u32, facts: &Facts, attempt: &Attempt) -> Rejection {
    let measure = plan.plan().constraints[index as usize].measure;
    let mut run = Run::new(plan, Source::Facts(facts), attempt, facts.taken_at);
    Rejection::Constraint {
        index,
        measure: measure.map(|measure| run.measured(measure)),
        wait: match plan.may_pass(index) {
            true => wait(plan, facts, attempt, &Scope::all(plan)),
            // The facts say nothing of the rest.
            false => Wait::Forever,
        },
    }
}

/// The rejection of an attempt that comes too early: it may come back when the sale opens, or when an early access lets it
/// in, unless something else refuses it then. Facts: [`CheckedPlan::retry_needs`].
pub fn not_open(plan: &CheckedPlan, facts: &Facts, attempt: &Attempt) -> Rejection {
    Rejection::NotOpen {
        wait: wait(plan, facts, attempt, &Scope::all(plan)),
    }
}

/// The rejection by a rolling window that counts no more orders: one has to leave it first. Facts:
/// [`CheckedPlan::retry_needs`].
pub fn window_full(plan: &CheckedPlan, counter: u32, facts: &Facts, attempt: &Attempt) -> Rejection {
    Rejection::WindowFull {
        counter,
        wait: wait(plan, facts, attempt, &Scope::all(plan)),
    }
}

/// How long an order that is refused goes on to be. Facts: [`CheckedPlan::retry_needs`].
pub(super) fn wait(plan: &CheckedPlan, facts: &Facts, attempt: &Attempt, scope: &Scope) -> Wait {
    let mut run = Run::new(plan, Source::Facts(facts), attempt, facts.taken_at);
    let all = scope.constraints.iter().copied();
    let (timed, lasting): (Vec<u32>, Vec<u32>) = all.partition(|index| plan.changes_with_time(*index));
    let refuse: Vec<u32> = lasting.into_iter().filter(|index| !run.holds(*index)).collect();
    // Asked first: it costs nothing, and then nothing is searched for.
    if refuse.iter().any(|index| !plan.may_pass(*index)) {
        return Wait::Forever;
    }
    let rooms = scope
        .counters
        .iter()
        .map(|counter| room(plan, *counter, facts, &mut run));
    let from = rooms.fold(facts.taken_at, i64::max);
    if from >= plan.context().schedule.closes_at {
        return Wait::Forever;
    }
    match search(plan, facts, attempt, (from, &timed)) {
        // Something else has to come besides.
        Wait::Until(_) if !refuse.is_empty() => Wait::Unknown,
        wait => wait,
    }
}

/// The first moment, not before `from`, at which the sale is open and these constraints hold.
fn search(plan: &CheckedPlan, facts: &Facts, attempt: &Attempt, (from, timed): (i64, &[u32])) -> Wait {
    let schedule = plan.context().schedule;
    let constraints = timed
        .iter()
        .map(|index| &plan.plan().constraints[*index as usize]);
    let conditions = constraints.flat_map(Constraint::condition);
    // Once the sale is open, it stays so.
    let early = plan.plan().early_access.iter();
    let early: Vec<_> = early.filter(|_| from < schedule.opens_at).collect();
    let mut openings: Vec<i64> = early
        .iter()
        .map(|early| schedule.opens_at - early.lead_ms)
        .collect();
    openings.push(schedule.opens_at);
    let roots = conditions.chain(early.iter().map(|early| early.when));
    Search::new(plan, facts, attempt, roots).first(from, &openings, |run| {
        run.is_open() && timed.iter().all(|index| run.holds(*index))
    })
}

/// Whether an order would be charged to a rolling window that counts no more.
pub(super) fn is_full(plan: &CheckedPlan, counter: u32, run: &mut Run<'_>) -> bool {
    let cost = plan.plan().counters[counter as usize].cost;
    run.live(counter).len() >= ROLLING_ORDERS_MAX && run.int(cost) > 0
}

/// From when on a counter takes the order: at once, unless it is a rolling window that is full.
fn room(plan: &CheckedPlan, counter: u32, facts: &Facts, run: &mut Run<'_>) -> i64 {
    let (Window::Rolling { length_ms }, Some(Count::Rolling(entries))) = (
        &plan.plan().counters[counter as usize].window,
        facts.counters.get(&counter),
    ) else {
        return facts.taken_at;
    };
    if !is_full(plan, counter, run) {
        return facts.taken_at;
    }
    let mut moments: Vec<i64> = entries.iter().map(|(moment, _)| *moment).collect();
    moments.sort_unstable();
    moments[moments.len() - ROLLING_ORDERS_MAX].saturating_add(*length_ms)
}
