//! An episode: a shard's start and the batches of attempts made on it, drawn while the interpreter
//! decides them, so that quantities meet limits.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::candidates::{Candidates, Cast};
use crate::lua::Family;
use crate::order::{Attempt, OrderId, QUANTITY_MAX};
use crate::plan::decision::Decision;
use crate::plan::eval::{decide, decide_with_shadow, measures};
use crate::plan::state::State;
use crate::plan::window::window_start;
use crate::plan::{Attribute, COST_MAX, COUNTER_MAX, CheckedPlan, ROLLING_ORDERS_MAX, Window};

/// Attempts of one episode.
pub(super) const ATTEMPTS: usize = 100;
/// Attempts of one call at most.
const BATCH_MAX: usize = 8;
/// Subjects that have nearly used up a limit when an episode starts.
const NEARLY_FULL: usize = 6;
/// Limits below this are reached by the attempts themselves.
const SMALL: i64 = 6;
/// The revision number of a proof's scripts.
pub(super) const REVISION: u32 = 1;

/// Attempts of one call.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Milliseconds since 1970-01-01 UTC.
    pub(super) now: i64,
    pub(super) attempts: Vec<Attempt>,
}

#[derive(Clone, Debug)]
pub(super) struct Episode {
    pub(super) start: State,
    pub(super) batches: Vec<Batch>,
}

/// What the interpreter says to an episode.
#[derive(Debug)]
pub(super) struct Interpreted {
    pub(super) decisions: Vec<Vec<Decision>>,
    pub(super) end: State,
}

/// The plan that decides, and the one in shadow if there is one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plans<'a> {
    pub(super) live: &'a CheckedPlan,
    pub(super) shadow: Option<&'a CheckedPlan>,
}

impl<'a> Plans<'a> {
    pub(super) fn of(family: &'a Family) -> Self {
        Self {
            live: &family.plan,
            shadow: family.shadow.as_deref(),
        }
    }

    pub(super) fn all(self) -> impl Iterator<Item = &'a CheckedPlan> {
        std::iter::once(self.live).chain(self.shadow)
    }

    fn decide(self, state: &mut State, attempt: &Attempt, now: i64) -> Decision {
        match self.shadow {
            None => decide(self.live, REVISION, state, attempt, now),
            Some(shadow) => decide_with_shadow(self.live, shadow, REVISION, state, attempt, now),
        }
    }
}

struct Draw<'a> {
    plans: Plans<'a>,
    candidates: &'a Candidates,
    cast: Cast,
    rng: &'a mut Rng,
    /// Orders so far, for retries.
    made: Vec<Attempt>,
}

/// Draws an episode of so many attempts at most and decides it. It ends with the sale.
pub(super) fn draw(
    plans: Plans<'_>,
    candidates: &Candidates,
    most: usize,
    rng: &mut Rng,
) -> (Episode, Interpreted) {
    let cast = candidates.cast(rng);
    let mut now = candidates.first_moment(rng);
    let mut draw = Draw {
        plans,
        candidates,
        cast,
        rng,
        made: Vec::new(),
    };
    let start = draw.start(now);
    let mut state = start.clone();
    let (mut batches, mut decisions) = (Vec::new(), Vec::new());
    let most = most.min(ATTEMPTS);
    while draw.made.len() < most {
        let count = draw.rng.usize(1..=BATCH_MAX.min(most - draw.made.len()));
        let (mut batch, mut answers) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count {
            let attempt = draw.attempt(&state, now);
            answers.push(plans.decide(&mut state, &attempt, now));
            draw.made.push(attempt.clone());
            batch.push(attempt);
        }
        batches.push(Batch { now, attempts: batch });
        decisions.push(answers);
        if now >= plans.live.context().schedule.closes_at {
            break;
        }
        now = candidates.next_moment(now, draw.rng);
    }
    (
        Episode { start, batches },
        Interpreted {
            decisions,
            end: state,
        },
    )
}

/// What the interpreter says to an episode that is there already.
pub(super) fn decided(plans: Plans<'_>, episode: &Episode) -> Interpreted {
    let mut state = episode.start.clone();
    let decisions = episode
        .batches
        .iter()
        .map(|Batch { now, attempts }| {
            attempts
                .iter()
                .map(|attempt| plans.decide(&mut state, attempt, *now))
                .collect()
        })
        .collect();
    Interpreted {
        decisions,
        end: state,
    }
}

impl Draw<'_> {
    /// Stock and lists of the cast, and some subjects near the limits that an episode could not reach.
    fn start(&mut self, now: i64) -> State {
        let mut state = State {
            stock: self.cast.skus.iter().cloned().collect(),
            audiences: self.cast.members.clone(),
            ..State::default()
        };
        for _ in 0..NEARLY_FULL {
            let attempt = self.fresh();
            self.near_the_limits(self.plans.live, &mut state, &attempt, now);
            if let Some(shadow) = self.plans.shadow {
                let mut counts = State {
                    counters: std::mem::take(&mut state.shadow.counters),
                    rolling: std::mem::take(&mut state.shadow.rolling),
                    ..state.clone()
                };
                self.near_the_limits(shadow, &mut counts, &attempt, now);
                state.shadow.counters = counts.counters;
                state.shadow.rolling = counts.rolling;
            }
        }
        state
    }

    fn near_the_limits(&mut self, plan: &CheckedPlan, state: &mut State, attempt: &Attempt, now: i64) {
        let measured = measures(plan, state, attempt, now);
        for (constraint, measured) in plan.plan().constraints.iter().zip(measured) {
            if let (Some(measure), Some(limit)) = (constraint.measure, measured.map(|m| m.limit))
                && limit > SMALL
            {
                self.nearly_use_up((plan, measure.counter), state, limit, attempt, now);
            }
        }
    }

    fn nearly_use_up(
        &mut self,
        (plan, index): (&CheckedPlan, u32),
        state: &mut State,
        limit: i64,
        attempt: &Attempt,
        now: i64,
    ) {
        let counter = &plan.plan().counters[index as usize];
        let subject = plan.subject(&counter.key, attempt);
        let used = limit.min(COUNTER_MAX) - self.rng.i64(0..SMALL);
        let Window::Rolling { length_ms } = counter.window else {
            let window = window_start(plan, index, now);
            let key = (counter.id.clone(), window, subject);
            state.counters.entry(key).or_insert(used);
            return;
        };
        let orders = used.min(ROLLING_ORDERS_MAX as i64);
        let each = (used / orders).clamp(1, COST_MAX);
        let span = length_ms.min(now);
        let mut moments: Vec<i64> = (0..orders).map(|_| now - self.rng.i64(0..=span)).collect();
        moments.sort_unstable();
        let entries = moments.into_iter().map(|moment| (moment, each)).collect();
        state
            .rolling
            .entry((counter.id.clone(), subject))
            .or_insert(entries);
    }

    /// The next attempt: mostly a new order, now and then one that was tried before.
    fn attempt(&mut self, state: &State, now: i64) -> Attempt {
        if self.rng.u8(0..16) == 0
            && let Some(again) = self.rng.choice(&self.made)
        {
            return again.clone();
        }
        let mut attempt = self.fresh();
        if self.rng.u8(0..4) == 0 {
            self.meet_a_limit(state, &mut attempt, now);
        }
        attempt
    }

    fn fresh(&mut self) -> Attempt {
        let cast = &self.cast;
        let mut attributes = BTreeMap::new();
        for (attribute, values) in &cast.values {
            // A missing value reads as the empty text.
            if *attribute != Attribute::User && self.rng.u8(0..10) > 0 {
                let value = self.rng.choice(values).cloned().unwrap_or_default();
                attributes.insert(attribute.to_string(), value);
            }
        }
        let user = cast.values.get(&Attribute::User);
        let user = user.and_then(|users| self.rng.choice(users)).cloned();
        let sku = match self.rng.u8(0..32) {
            0 => None,
            _ => self.rng.choice(&cast.skus).map(|(id, _)| id.clone()),
        };
        let number = self.made.len().to_string();
        let user = user.unwrap_or_default();
        Attempt {
            order: OrderId::keyed("proof", &self.rng.u64(..).to_string(), &number),
            user,
            sku: sku.unwrap_or_else(|| "unknown".to_owned()),
            quantity: self.candidates.quantity(self.rng),
            attributes,
        }
    }

    /// As many units as a constraint, or the stock, still allows, or one more.
    fn meet_a_limit(&mut self, state: &State, attempt: &mut Attempt, now: i64) {
        let measured = measures(self.plans.live, state, attempt, now)
            .into_iter()
            .flatten();
        let mut left: Vec<i64> = measured
            .map(|numbers| numbers.limit.saturating_sub(numbers.used))
            .collect();
        if self.rng.u8(0..8) == 0 {
            left.extend(state.stock.get(&attempt.sku));
        }
        if let Some(left) = self.rng.choice(&left) {
            let units = left.saturating_add(self.rng.i64(0..2));
            attempt.quantity = units.clamp(1, i64::from(QUANTITY_MAX)) as u32;
        }
    }
}
