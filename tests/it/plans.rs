//! Plans: random ones through the checker and the interpreter.

use crate::strategies;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rushgate::control::proof::differential;
use rushgate::order::Charge;
use rushgate::plan::check::check;
use rushgate::plan::decision::{Decision, Rejection, Wait};
use rushgate::plan::eval::{charges, decide, holds, inspect};
use rushgate::plan::possible::{Impossible, impossible};
use rushgate::plan::quota::Thought;
use rushgate::plan::samples::{Act, Expected, samples};
use rushgate::plan::state::State;
use rushgate::plan::{Attribute, Expr, Plan, Window};

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a rejected attempt leaves is what it found; what all admitted orders took comes back
    /// when all of them are released.
    #[test]
    fn random_plans_never_take_from_the_rejected(
        (plan, context) in strategies::valid_plan(),
        attempts in strategies::attempts(),
    ) {
        let opens_at = context.schedule.opens_at;
        let stock: BTreeMap<String, i64> =
            context.skus.iter().map(|sku| (sku.id.clone(), sku.stock as i64)).collect();
        let plan = check(plan, context).expect("the strategy makes valid plans");
        let mut state = State { stock: stock.clone(), audiences: strategies::audiences(), ..State::default() };
        let mut admitted = BTreeSet::new();
        let mut taken = Vec::new();
        for (at, attempt) in attempts {
            let now = opens_at + at;
            let before = state.clone();
            let order = attempt.order.to_string();
            match decide(&plan, 1, &mut state, &attempt, now) {
                Decision::Admitted => {
                    prop_assert!(admitted.insert(order.clone()));
                    // The interpreter leaves it to gateways to ask for what a plan requires, and for what it cannot read.
                    let why = impossible(&plan, &attempt, now, 0);
                    let left = matches!(why, None | Some(Impossible::Missing(_) | Impossible::Unfit(_)));
                    prop_assert!(left, "{why:?}");
                    let charges = charges(&plan, &attempt, now);
                    prop_assert!(charges.iter().all(|charge| used(&state, charge, now) <= charge.limit.unwrap_or(i64::MAX)));
                    prop_assert!(charges.iter().all(|charge| charge.limit.is_none_or(|limit| charge.cost <= limit)));
                    taken.push((order, charges));
                }
                Decision::Existing(_) => {
                    prop_assert!(admitted.contains(&order));
                    prop_assert_eq!(&before, &state);
                }
                Decision::Rejected(_) => prop_assert_eq!(&before, &state),
            }
            prop_assert!(state.stock.values().all(|units| *units >= 0));
        }
        for (order, charges) in &taken {
            prop_assert!(state.release(order, charges));
            prop_assert!(!state.release(order, charges));
        }
        prop_assert_eq!(&state.stock, &stock);
        prop_assert!(state.counters.is_empty() && state.rolling.is_empty());
    }
}

/// What the counter of a charge holds.
fn used(state: &State, charge: &Charge, now: i64) -> i64 {
    let Charge {
        counter,
        window,
        rolling_ms,
        subject,
        ..
    } = charge.clone();
    if rolling_ms == 0 {
        return state.counters[&(counter, window, subject)];
    }
    let entries = &state.rolling[&(counter, subject)];
    let live = entries.iter().filter(|(moment, _)| *moment > now - rolling_ms);
    live.map(|(_, cost)| cost).sum()
}

/// Moments between the rejection and `until` to look at: all where there are few, or the edges and some
/// in between.
fn moments(now: i64, until: i64) -> Vec<i64> {
    const FEW: i64 = 400;
    if until - now <= FEW {
        return (now + 1..until).collect();
    }
    let step = (until - now) / FEW;
    let spread = (1..FEW).map(|n| now + n * step + n % 7);
    let edges = (1..20).flat_map(|n| [now + n, until - n]);
    spread
        .chain(edges)
        .filter(|at| (now + 1..until).contains(at))
        .collect()
}

/// Whether the constraint steps up and down so often that a search may give up.
fn is_wild(plan: &Plan) -> bool {
    let steps = |expr: &Expr| matches!(expr, Expr::Mod(..) | Expr::Div(..) | Expr::Mul(..));
    plan.nodes.iter().any(steps)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// The moment of a retry is the first at which all constraints hold, nothing else having changed.
    #[test]
    fn a_retry_fits_at_its_moment_and_not_before(
        (plan, context) in strategies::valid_plan(),
        attempts in strategies::attempts(),
    ) {
        let schedule = context.schedule;
        let stock = context.skus.iter().map(|sku| (sku.id.clone(), sku.stock as i64)).collect();
        let wild = is_wild(&plan);
        let plan = check(plan, context).expect("the strategy makes valid plans");
        let mut state = State { stock, audiences: strategies::audiences(), ..State::default() };
        for (at, attempt) in attempts {
            let now = schedule.opens_at + at;
            let Decision::Rejected(rejection) = decide(&plan, 1, &mut state, &attempt, now) else {
                continue;
            };
            let (Rejection::Constraint { wait, .. } | Rejection::NotOpen { wait }) = rejection else {
                continue;
            };
            let all = 0..plan.plan().constraints.len() as u32;
            let (timed, lasting): (Vec<u32>, Vec<u32>) = all.partition(|each| plan.changes_with_time(*each));
            let holds = |at: i64, each: u32| holds(&plan, &state, &attempt, at, each);
            let refuse: Vec<u32> = lasting.into_iter().filter(|each| !holds(now, *each)).collect();
            if refuse.iter().any(|each| !plan.may_pass(*each)) {
                prop_assert_eq!(wait, Wait::Forever);
                continue;
            }
            let fits = |at: &i64| {
                let decision = decide(&plan, 1, &mut state.clone(), &attempt, *at);
                let is_open = !matches!(decision, Decision::Rejected(Rejection::NotOpen { .. }));
                is_open && timed.iter().all(|each| holds(*at, *each))
            };
            match wait {
                Wait::Until(at) => {
                    prop_assert!(refuse.is_empty() && now < at && at < schedule.closes_at);
                    prop_assert!(fits(&at), "{rejection:?}: refused {} ms later", at - now);
                }
                Wait::Unknown => prop_assert!(wild || !refuse.is_empty(), "{rejection:?}"),
                Wait::Forever => {}
            }
            if wait != Wait::Unknown {
                let until = wait.until().unwrap_or(schedule.closes_at);
                let earlier = moments(now, until).into_iter().find(fits);
                prop_assert_eq!(earlier, None, "{:?} from {} to {}", rejection, now, until);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// What the quota says of an order of which everything is known is what the order is answered.
    #[test]
    fn an_order_is_refused_as_its_quota_says(
        (plan, context) in strategies::valid_plan(),
        attempts in strategies::attempts(),
    ) {
        let opens_at = context.schedule.opens_at;
        let stock = context.skus.iter().map(|sku| (sku.id.clone(), sku.stock as i64)).collect();
        let plan = check(plan, context).expect("the strategy makes valid plans");
        let mut state = State { stock, audiences: strategies::audiences(), ..State::default() };
        for (at, attempt) in attempts {
            let facts = inspect(&plan, &state, &attempt, opens_at + at);
            let thought = Thought { plan: &plan, facts: &facts, attempt: &attempt, given: |_: &Attribute| true };
            let refused = thought.allowances().iter().any(|each| each.refused == Some(true));
            match decide(&plan, 1, &mut state, &attempt, opens_at + at) {
                Decision::Existing(_) | Decision::Rejected(Rejection::UnknownSku) => {}
                Decision::Admitted => prop_assert!(thought.rejection().is_none() && !refused),
                Decision::Rejected(rejection) => {
                    let by_constraint = matches!(rejection, Rejection::Constraint { .. });
                    prop_assert!(refused || !by_constraint);
                    prop_assert_eq!(thought.rejection(), Some(rejection));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// The differential run takes any plan that passes the checker, and finds nothing.
    #[test]
    fn random_plans_can_be_proven((plan, context) in strategies::valid_plan()) {
        let plan = check(plan, context).expect("the strategy makes valid plans");
        let family = differential::family(&plan, None).expect("it fits a script");
        let begun = Instant::now();
        let report = differential::run(&family, 150);
        prop_assert_eq!(report.disagreements, 0, "{:#?}", report);
        // On a busy machine a plan that makes everything slow ends sooner, but no sooner than that.
        prop_assert!(report.attempts == 150 || begun.elapsed() >= differential::TIME_MAX, "{report:#?}");
    }
}

/// Every sample through checker and interpreter; the engines run the same table.
#[test]
fn samples_are_answered_as_they_say() {
    for sample in samples() {
        let name = sample.name;
        let opens_at = sample.context.schedule.opens_at;
        let stock = sample
            .context
            .skus
            .iter()
            .map(|sku| (sku.id.clone(), sku.stock as i64));
        let mut state = State {
            stock: stock.collect(),
            audiences: sample.audiences,
            ..State::default()
        };
        let plan = check(sample.plan, sample.context).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut admitted = BTreeMap::new();
        for (index, step) in sample.steps.iter().enumerate() {
            let now = opens_at + step.at_ms;
            match &step.act {
                Act::Attempt { attempt, expect } => {
                    let decision = decide(&plan, 1, &mut state, attempt, now);
                    assert_eq!(
                        &Expected::of(&plan, &decision),
                        expect,
                        "{name}, step {index}: {attempt:?}"
                    );
                    admitted.insert(index, (attempt.order.to_string(), charges(&plan, attempt, now)));
                }
                Act::Release { step } => {
                    let (order, charges) = &admitted[step];
                    assert!(state.release(order, charges), "{name}, step {index}");
                }
            }
        }
    }
}

#[test]
fn samples_have_names_of_their_own_and_cover_every_window() {
    let samples = samples();
    let names: BTreeSet<&str> = samples.iter().map(|sample| sample.name).collect();
    assert_eq!(names.len(), samples.len());
    let windows: Vec<&Window> = samples
        .iter()
        .flat_map(|sample| &sample.plan.counters)
        .map(|counter| &counter.window)
        .collect();
    assert!(windows.iter().any(|window| matches!(window, Window::Campaign)));
    assert!(
        windows
            .iter()
            .any(|window| matches!(window, Window::Tumbling { .. }))
    );
    assert!(
        windows
            .iter()
            .any(|window| matches!(window, Window::Calendar { .. }))
    );
    assert!(
        windows
            .iter()
            .any(|window| matches!(window, Window::Rolling { .. }))
    );
}

/// The strategies are only worth something while every answer comes about.
#[test]
fn random_attempts_meet_every_answer() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..300 {
        let mut draw =
            |strategy: BoxedStrategy<_>| strategy.new_tree(&mut runner).expect("a value").current();
        let ((plan, context), attempts) = draw((strategies::valid_plan(), strategies::attempts()).boxed());
        let opens_at = context.schedule.opens_at;
        let stock = context.skus.iter().map(|sku| (sku.id.clone(), sku.stock as i64));
        let mut state = State {
            stock: stock.collect(),
            audiences: strategies::audiences(),
            ..State::default()
        };
        let plan = check(plan, context).expect("the strategy makes valid plans");
        for (at, attempt) in attempts {
            *seen
                .entry(answer(&decide(&plan, 1, &mut state, &attempt, opens_at + at)))
                .or_default() += 1;
        }
    }
    let every = [
        "admitted",
        "existing",
        "not-open",
        "closed",
        "unknown-sku",
        "sold-out",
        "constraint",
        "timed",
    ];
    for answer in every {
        assert!(
            seen.get(answer).is_some_and(|count| *count >= 20),
            "{answer}: {seen:?}"
        );
    }
}

fn answer(decision: &Decision) -> &'static str {
    match decision {
        Decision::Admitted => "admitted",
        Decision::Existing(_) => "existing",
        Decision::Rejected(Rejection::NotOpen { .. }) => "not-open",
        Decision::Rejected(Rejection::Closed) => "closed",
        Decision::Rejected(Rejection::UnknownSku) => "unknown-sku",
        Decision::Rejected(Rejection::Paused(_)) => "paused",
        Decision::Rejected(Rejection::SoldOut { .. }) => "sold-out",
        Decision::Rejected(Rejection::WindowFull { .. }) => "window-full",
        Decision::Rejected(Rejection::Constraint {
            wait: Wait::Until(_), ..
        }) => "timed",
        Decision::Rejected(Rejection::Constraint { .. }) => "constraint",
    }
}
