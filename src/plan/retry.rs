//! When the same order would fit: the earliest moment at which all constraints hold, everything else staying as it is.
//! The first of those that refuse it is the one that is named; in what order they are asked does not count.

use super::decision::Rejection;
use super::facts::{Count, Facts};
use super::run::{Run, Source};
use super::search::Search;
use super::{CheckedPlan, ROLLING_ORDERS_MAX, Window};
use crate::order::Attempt;

/// The rejection of an attempt by a constraint, from the facts [`CheckedPlan::needs`] names.
pub fn by_constraint(plan: &CheckedPlan, index: u32, facts: &Facts, attempt: &Attempt) -> Rejection {
    let constraint = &plan.plan().constraints[index as usize];
    let mut run = Run::new(plan, Source::Facts(facts), attempt, facts.taken_at);
    let measure = constraint.measure.map(|measure| run.measured(measure));
    // Otherwise it refuses for good, and the facts say nothing of the rest.
    let passes = plan.changes_with_time(index) || constraint.retryable;
    let wait = match passes {
        true => {
            let rest = index + 1..plan.plan().constraints.len() as u32;
            let refuse = rest.filter(|index| !run.holds(*index));
            let constraints = std::iter::once(index).chain(refuse).collect();
            let windows = full_windows(plan, 0, &mut run);
            Refusing {
                plan,
                facts,
                attempt,
                from: facts.taken_at,
                constraints,
                windows,
            }
            .wait()
        }
        false => Wait::Forever,
    };
    Rejection::Constraint {
        index,
        measure,
        retry_at: wait.until(),
        retryable: wait != Wait::Forever,
    }
}

/// How long what refuses an order goes on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Until(i64),
    /// Something else than time has to come.
    Unknown,
    Forever,
}

impl Wait {
    fn until(self) -> Option<i64> {
        match self {
            Self::Until(at) => Some(at),
            Self::Unknown | Self::Forever => None,
        }
    }

    /// Until both have passed.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Forever, _) | (_, Self::Forever) => Self::Forever,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Until(one), Self::Until(other)) => Self::Until(one.max(other)),
        }
    }
}

/// All that refuses an order: constraints, and rolling windows that count no more.
struct Refusing<'a> {
    plan: &'a CheckedPlan,
    facts: &'a Facts,
    attempt: &'a Attempt,
    /// Before this nothing is looked for.
    from: i64,
    constraints: Vec<u32>,
    windows: Vec<u32>,
}

impl Refusing<'_> {
    fn wait(&self) -> Wait {
        // Asked first: it costs nothing, and then nothing is searched for.
        if self.constraints.iter().any(|index| self.is_final(*index)) {
            return Wait::Forever;
        }
        let constraints = self.constraints.iter().map(|index| self.wait_for(*index));
        let windows = self.windows.iter().map(|counter| self.wait_for_room(*counter));
        match constraints.chain(windows).fold(Wait::Until(self.from), Wait::and) {
            // Time may turn others over meanwhile: then it is looked on for when all hold together.
            Wait::Until(at) if !self.all_hold_at(at) => {
                let all: Vec<u32> = (0..self.plan.plan().constraints.len() as u32).collect();
                self.search(&all, at)
            }
            wait => wait,
        }
    }

    fn wait_for(&self, index: u32) -> Wait {
        match self.plan.changes_with_time(index) {
            true => self.search(&[index], self.from),
            false => Wait::Unknown,
        }
    }

    /// Neither time nor, by its module's word, anything else mends it.
    fn is_final(&self, index: u32) -> bool {
        let constraint = &self.plan.plan().constraints[index as usize];
        !constraint.retryable && !self.plan.changes_with_time(index)
    }

    fn wait_for_room(&self, counter: u32) -> Wait {
        room_at(self.plan, counter, self.facts).map_or(Wait::Forever, Wait::Until)
    }

    fn all_hold_at(&self, moment: i64) -> bool {
        let mut run = Run::new(self.plan, Source::Facts(self.facts), self.attempt, moment);
        let mut all = 0..self.plan.plan().constraints.len() as u32;
        all.all(|index| run.holds(index))
    }

    /// Until these hold together, and not before `from`.
    fn search(&self, constraints: &[u32], from: i64) -> Wait {
        let of = |index: &u32| self.plan.plan().constraints[*index as usize].condition();
        let search = Search::new(
            self.plan,
            self.facts,
            self.attempt,
            constraints.iter().flat_map(of),
        );
        let closes_at = self.plan.context().schedule.closes_at;
        let found = search.first(closes_at, &[from], |run| {
            run.now() >= from && constraints.iter().all(|index| run.holds(*index))
        });
        found.map_or(Wait::Forever, Wait::Until)
    }
}

/// Rolling windows, from this counter on, that the order would be charged to and that count no more orders.
fn full_windows(plan: &CheckedPlan, from: usize, run: &mut Run<'_>) -> Vec<u32> {
    let counters = (0..).zip(&plan.plan().counters).skip(from);
    let full = counters
        .filter(|(index, counter)| run.live(*index).len() >= ROLLING_ORDERS_MAX && run.int(counter.cost) > 0);
    full.map(|(index, _)| index).collect()
}

/// When the first order leaves a full window, if that is before closing.
fn room_at(plan: &CheckedPlan, counter: u32, facts: &Facts) -> Option<i64> {
    let Window::Rolling { length_ms } = plan.plan().counters[counter as usize].window else {
        return None;
    };
    let Some(Count::Rolling(entries)) = facts.counters.get(&counter) else {
        return None;
    };
    let mut moments: Vec<i64> = entries.iter().map(|(moment, _)| *moment).collect();
    moments.sort_unstable();
    let leaves = moments.len().saturating_sub(ROLLING_ORDERS_MAX);
    let at = moments.get(leaves)?.saturating_add(length_ms);
    (at < plan.context().schedule.closes_at).then_some(at)
}

/// The rejection of an attempt that comes too early: it may come back when the sale opens, or when
/// the first early access lets it in, unless a constraint refuses it then. Facts: [`CheckedPlan::early_needs`].
pub fn not_open(plan: &CheckedPlan, facts: &Facts, attempt: &Attempt) -> Rejection {
    let opens_at = plan.context().schedule.opens_at;
    let early_access = &plan.plan().early_access;
    let leads: Vec<i64> = early_access
        .iter()
        .map(|early| opens_at - early.lead_ms)
        .collect();
    let whens = early_access.iter().map(|early| early.when);
    let early = Search::new(plan, facts, attempt, whens).first(opens_at, &leads, |run| run.is_early());
    let from = early.unwrap_or(opens_at);
    let mut then = Run::new(plan, Source::Facts(facts), attempt, from);
    let all = 0..plan.plan().constraints.len() as u32;
    let wait = Refusing {
        plan,
        facts,
        attempt,
        from,
        constraints: all.filter(|index| !then.holds(*index)).collect(),
        // An order so early has hardly filled one.
        windows: Vec::new(),
    }
    .wait();
    Rejection::NotOpen {
        retry_at: wait.until(),
        retryable: wait != Wait::Forever,
    }
}

/// The rejection by a rolling window that counts no more orders: one has to leave it first, and each one that is as full.
/// Facts: [`CheckedPlan::full_needs`].
pub fn window_full(plan: &CheckedPlan, counter: u32, facts: &Facts, attempt: &Attempt) -> Rejection {
    let mut run = Run::new(plan, Source::Facts(facts), attempt, facts.taken_at);
    let full = full_windows(plan, counter as usize, &mut run);
    let moments: Option<Vec<i64>> = full.into_iter().map(|each| room_at(plan, each, facts)).collect();
    Rejection::WindowFull {
        counter,
        retry_at: moments.and_then(|moments| moments.into_iter().max()),
    }
}
