//! The interpreter: decides attempts from a [`CheckedPlan`] in plain Rust. It is the oracle the
//! generated Lua is held against, and computes the charges an admitted order carries.

use std::collections::{BTreeMap, BTreeSet};

use super::ceiling;
use super::facts::Facts;
use super::outcome;
use super::retry;
use super::run::{Run, Source};
use super::{Attribute, CheckedPlan, ROLLING_ORDERS_MAX, Window};
use crate::order::{Attempt, Charge, LandedOrder, fingerprint};
use crate::rejection::Own;

/// Version of what [`charges`] makes of a plan, an attempt and a moment. Records name it: landing makes the charges again,
/// and only the same evaluator makes the same ones. A change that makes others of anything old raises it.
pub const VERSION: u32 = 1;

/// Why an attempt was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The sale has not opened for this buyer; it does at `retry_at`, milliseconds since 1970-01-01 UTC.
    NotOpen {
        retry_at: i64,
    },
    Closed,
    UnknownSku,
    /// Fewer units are left than the order asks for.
    SoldOut {
        remaining: i64,
    },
    /// A rolling window holds as many orders of this subject as can be counted exactly.
    WindowFull {
        counter: u32,
        /// When the first order leaves it, if that is before closing.
        retry_at: Option<i64>,
    },
    /// Index into the constraints of the plan: the first that failed.
    Constraint {
        index: u32,
        measure: Option<Measured>,
        /// The earliest moment before closing at which time alone makes the constraint hold,
        /// milliseconds since 1970-01-01 UTC.
        retry_at: Option<i64>,
    },
}

impl Rejection {
    /// The own reason, or the index of the plan's constraint that failed.
    pub fn own(&self) -> Result<Own, u32> {
        match self {
            Self::NotOpen { .. } => Ok(Own::NotOpen),
            Self::Closed => Ok(Own::Closed),
            Self::UnknownSku => Ok(Own::UnknownSku),
            Self::SoldOut { .. } => Ok(Own::SoldOut),
            Self::WindowFull { .. } => Ok(Own::WindowFull),
            Self::Constraint { index, .. } => Err(*index),
        }
    }

    /// The name of the own reason, or the code of the constraint's.
    pub fn reason<'a>(&self, plan: &'a CheckedPlan) -> &'a str {
        match self.own() {
            Ok(own) => own.name(),
            Err(index) => &plan.plan().constraints[index as usize].reason,
        }
    }
}

/// The numbers of a failed constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub used: i64,
    pub limit: i64,
}

/// The record of an admitted order, as kept in Redis and by the interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub placed_at: i64,
    pub revision: u32,
    pub quantity: u32,
    pub sku: String,
    pub user: String,
    pub released: bool,
}

impl Placed {
    /// The record of an order that the database has.
    pub fn of(order: &LandedOrder) -> Self {
        Self {
            placed_at: order.placed_at,
            revision: order.revision,
            quantity: order.attempt.quantity,
            sku: order.attempt.sku.clone(),
            user: order.attempt.user.clone(),
            released: order.is_revoked(),
        }
    }

    /// Whether a retry under the order's id asks for what the order is: other SKUs or quantities are another order.
    pub fn is_of(&self, attempt: &Attempt) -> bool {
        (self.sku.as_str(), self.quantity) == (attempt.sku.as_str(), attempt.quantity)
    }

    /// See [`Attempt::fingerprint`].
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.sku, self.quantity)
    }
}

/// The answer to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Admitted,
    /// The same order was admitted before.
    Existing(Placed),
    Rejected(Rejection),
}

/// Everything an engine keeps for one campaign shard, in its plainest form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub stock: BTreeMap<String, i64>,
    /// (counter id, window start, subject) → used. Without rolling counters.
    pub counters: BTreeMap<(String, i64, String), i64>,
    /// (counter id, subject) → (moment, cost), oldest first.
    pub rolling: BTreeMap<(String, String), Vec<(i64, i64)>>,
    /// Order id as text → record.
    pub orders: BTreeMap<String, Placed>,
    /// Audience id → members.
    pub audiences: BTreeMap<String, BTreeSet<String>>,
    /// What rules in shadow have counted.
    pub shadow: ShadowState,
}

/// Counts of rules in shadow, and how they compare with the rules that decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShadowState {
    /// As [`State::counters`].
    pub counters: BTreeMap<(String, i64, String), i64>,
    /// As [`State::rolling`].
    pub rolling: BTreeMap<(String, String), Vec<(i64, i64)>>,
    /// (outcome of the rules, outcome of the shadow) → attempts: see [`outcome`].
    pub figures: BTreeMap<(String, String), u64>,
}

/// Decides one attempt at `now` (milliseconds since 1970-01-01 UTC) and, when it is admitted,
/// applies it to the state. A rejected attempt changes nothing.
///
/// The questions come in the order of `lua/README.md`: admitted before? known SKU? closed? open?
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
    apply(state, attempt, &charges(plan, attempt, now), now);
    let placed = Placed {
        placed_at: now,
        revision,
        quantity: attempt.quantity,
        sku: attempt.sku.clone(),
        user: attempt.user.clone(),
        released: false,
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
        Decision::Existing(_) | Decision::Rejected(Rejection::UnknownSku) => return decision,
        Decision::Admitted => outcome::of(plan, Ok(())),
        Decision::Rejected(rejection) => outcome::of(plan, Err(rejection)),
    };
    other.counters = std::mem::take(&mut state.shadow.counters);
    other.rolling = std::mem::take(&mut state.shadow.rolling);
    let required = &shadow.plan().required;
    let shadowed = if required
        .iter()
        .any(|attribute| attempt.text(attribute).is_empty())
    {
        Own::AttributeMissing.name().to_owned()
    } else {
        let judged = judge(shadow, &other, attempt, now);
        if judged.is_ok() {
            apply(&mut other, attempt, &charges(shadow, attempt, now), now);
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
    if now < schedule.opens_at && !run.is_early() {
        return Err(retry::not_open(plan, &run.facts(plan.early_needs()), attempt));
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
    for (index, counter) in (0..).zip(&plan.plan().counters) {
        if run.int(counter.cost) > 0 {
            let live = run.live(index);
            if live.len() >= ROLLING_ORDERS_MAX {
                return Err(retry::window_full(plan, index, &live));
            }
        }
    }
    Ok(())
}

/// Whether one constraint holds for an attempt at `now`, whatever the others say.
pub fn holds(plan: &CheckedPlan, state: &State, attempt: &Attempt, now: i64, constraint: u32) -> bool {
    Run::new(plan, Source::State(state), attempt, now).holds(constraint)
}

/// Per constraint, whether it holds for an attempt; `None` where it does not apply. All of them, also
/// those behind the first that fails.
pub fn verdicts(plan: &CheckedPlan, state: &State, attempt: &Attempt, now: i64) -> Vec<Option<bool>> {
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

fn apply(state: &mut State, attempt: &Attempt, charges: &[Charge], now: i64) {
    if let Some(remaining) = state.stock.get_mut(&attempt.sku) {
        *remaining -= i64::from(attempt.quantity);
    }
    for charge in charges {
        if charge.rolling_ms > 0 {
            let key = (charge.counter.clone(), charge.subject.clone());
            let entries = state.rolling.entry(key).or_default();
            entries.retain(|(moment, _)| is_live(*moment, now, charge.rolling_ms));
            entries.push((now, charge.cost));
        } else {
            let key = (charge.counter.clone(), charge.window, charge.subject.clone());
            let used = state.counters.entry(key).or_default();
            *used = used.saturating_add(charge.cost);
        }
    }
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
            subject: compose_subject(&counter.key, attempt),
            cost,
            limit: ceiling::before(plan, index, &mut run).map(|before| before.saturating_add(cost)),
        });
    }
    charges
}

/// Takes back an order's charges and stock, exactly once; says whether it did. A count that comes
/// down to nothing is forgotten, one that is already gone stays gone.
pub fn release(state: &mut State, order: &str, charges: &[Charge]) -> bool {
    let Some(placed) = state.orders.get_mut(order).filter(|placed| !placed.released) else {
        return false;
    };
    placed.released = true;
    if let Some(remaining) = state.stock.get_mut(&placed.sku) {
        *remaining += i64::from(placed.quantity);
    }
    for charge in charges {
        if charge.rolling_ms > 0 {
            let key = (charge.counter.clone(), charge.subject.clone());
            let Some(entries) = state.rolling.get_mut(&key) else {
                continue;
            };
            let entry = (charge.window, charge.cost);
            if let Some(index) = entries.iter().position(|there| *there == entry) {
                entries.remove(index);
            }
            if entries.is_empty() {
                state.rolling.remove(&key);
            }
        } else {
            let key = (charge.counter.clone(), charge.window, charge.subject.clone());
            match state.counters.get_mut(&key) {
                Some(used) if *used > charge.cost => *used -= charge.cost,
                _ => {
                    state.counters.remove(&key);
                }
            }
        }
    }
    true
}

/// What `inspect` answers: per counter, how much of it the attempt's subject has used, and what else
/// decides about the limits.
pub fn inspect(plan: &CheckedPlan, state: &State, attempt: &Attempt, now: i64) -> Facts {
    Run::new(plan, Source::State(state), attempt, now).facts(plan.quota_needs())
}

/// Start of the window of a counter that `now` falls into, milliseconds since 1970-01-01 UTC; 0 for
/// the whole campaign and for a rolling window, which has none.
pub fn window_start(plan: &CheckedPlan, counter: u32, now: i64) -> i64 {
    match plan.plan().counters[counter as usize].window {
        Window::Campaign | Window::Rolling { .. } => 0,
        Window::Tumbling { length_ms, origin_ms } => {
            now.saturating_sub(now.saturating_sub(origin_ms).rem_euclid(length_ms))
        }
        Window::Calendar { .. } => plan.periods(counter).map_or(0, |periods| periods.start_of(now)),
    }
}

/// The composed subject of a counter key. One attribute: its text. Several: each text preceded by
/// its length in bytes and a colon, so that different combinations never meet. None: empty.
pub fn compose_subject(key: &[Attribute], attempt: &Attempt) -> String {
    match key {
        [] => String::new(),
        [one] => attempt.text(one).into_owned(),
        several => several.iter().fold(String::new(), |subject, attribute| {
            let text = attempt.text(attribute);
            subject + &text.len().to_string() + ":" + &text
        }),
    }
}

/// A rolling window of a length counts an order until exactly that long after its moment.
pub(super) fn is_live(moment: i64, now: i64, length_ms: i64) -> bool {
    moment > now.saturating_sub(length_ms)
}

#[cfg(test)]
mod tests;
