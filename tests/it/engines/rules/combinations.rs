//! Random combinations of 1 to 8 rules with random parameters, and random attempts at them: few users, devices
//! and regions, so that limits bite, and moments that cross windows, opening, release and closing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::sample::select;
use rushgate::campaign::{Schedule, Sku};
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::decision::{Decision, Rejection};
use rushgate::plan::{AudienceRef, CheckContext};
use testkit::modules::{Modules, Rule};

use super::params;
use crate::engines::report;
use crate::engines::sides::{Side as _, Time};
use crate::engines::world::World;

pub const LISTS: [&str; 2] = ["vip", "partners"];
pub const TIERS: [&str; 3] = ["gold", "silver", "it's ]] \"q\""];
pub const REGIONS: [&str; 3] = ["eu", "us", "ü 1"];
const USERS: [&str; 4] = ["ann", "bob", "1:cid", "dän \\"];
const DEVICES: [&str; 3] = ["d1", "d2", "2:d"];
/// 2026-03-28T23:00:00Z: midnight in Berlin, two hours before the clocks there skip one.
const OPENS_AT: i64 = 1_774_738_800_000;
const DAY: i64 = 86_400_000;
const CASES: u32 = 192;
/// Attempts of one call at most.
const BATCH: usize = 5;

#[derive(Default)]
struct Figures {
    attempts: AtomicUsize,
    admitted: AtomicUsize,
    /// Rejected by a constraint, and compared before and after.
    rejected: AtomicUsize,
    /// How often a revision had one rule, two, … eight.
    rules: [AtomicUsize; 8],
}

fn members(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|member| (*member).to_owned()).collect()
}

fn lists() -> BTreeMap<String, BTreeSet<String>> {
    let vip = members(&["ann", "1:cid", "gold", "d1", "eu", "192.0.2.1"]);
    let partners = members(&["bob", "silver", "2:d", "us", "dän \\"]);
    BTreeMap::from([("vip".to_owned(), vip), ("partners".to_owned(), partners)])
}

fn context() -> impl Strategy<Value = CheckContext> {
    (
        10..30u64,
        10..30u64,
        1..6u32,
        1..4u32,
        select(vec![20 * 60_000, 3 * 3_600_000, 5 * DAY]),
    )
        .prop_map(|(a, b, buckets, sets, lasts)| {
            let list = AudienceRef::whole(2, sets);
            let sku = |id: &str, stock| Sku::new(id, stock);
            CheckContext {
                campaign: "combined".into(),
                schedule: Schedule {
                    opens_at: OPENS_AT,
                    closes_at: OPENS_AT + lasts,
                    retention_ms: rushgate::campaign::RETENTION_MS,
                },
                skus: vec![sku("a", a), sku("b", b)].into(),
                audiences: LISTS.iter().map(|id| ((*id).to_owned(), list.clone())).collect(),
                buckets,
            }
        })
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let often = |values: &[&'static str]| prop::option::weighted(0.9, select(values.to_vec()));
    let attributes = (
        often(&["192.0.2.1", "192.0.2.2"]),
        often(&TIERS),
        often(&REGIONS),
        often(&DEVICES),
        often(&["eu", "br"]),
    );
    let who = (
        0..300u32,
        select(USERS.to_vec()),
        select(vec!["a", "a", "b"]),
        select(vec![1, 1, 2, 3, 4, 6]),
    );
    (who, attributes).prop_map(
        |((key, user, sku, quantity), (ip, tier, region, device, place))| {
            let named = [
                ("ip", ip),
                ("claim:tier", tier),
                ("claim:region", region),
                ("client:device", device),
                ("client:region", place),
            ];
            let given = named
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
            Attempt {
                order: OrderId::keyed("combined", user, &key.to_string()),
                user: user.to_owned(),
                sku: sku.to_owned(),
                quantity,
                attributes: given.collect(),
            }
        },
    )
}

/// Batches with their moments, milliseconds after the opening, never going back.
fn batches() -> impl Strategy<Value = Vec<(i64, Vec<Attempt>)>> {
    let start = select(vec![-DAY, -15 * 60_000, -2, 0, 0, 0]);
    let step = select(vec![
        0,
        0,
        1,
        1,
        2,
        999,
        1000,
        59_999,
        60_000,
        15 * 60_000,
        3_600_000,
        DAY - 1,
    ]);
    let batch = prop::collection::vec(attempt(), 1..=BATCH);
    (start, prop::collection::vec((step, batch), 4..24)).prop_map(|(start, steps)| {
        let mut at = start;
        let moved = steps.into_iter().map(|(step, batch)| {
            at += step;
            (at, batch)
        });
        moved.collect()
    })
}

fn play(rules: &[Rule], context: CheckContext, batches: &[(i64, Vec<Attempt>)], figures: &Figures) {
    let plan = Modules::shared().merged(rules, &context);
    let mut world = World::with_audiences(plan, context, Time::Frozen, &lists());
    let mut taken = Vec::new();
    for (at, batch) in batches {
        let now = OPENS_AT + at;
        let before = all_rejected(&world, batch, now).then(|| (world.redis.dump(), world.embedded.dump()));
        let decisions = world.admit(now, batch);
        let by_rule =
            |decision: &&Decision| matches!(decision, Decision::Rejected(Rejection::Constraint { .. }));
        if let Some(before) = before {
            assert_eq!(
                before,
                (world.redis.dump(), world.embedded.dump()),
                "rejected, and yet something changed"
            );
            figures
                .rejected
                .fetch_add(decisions.iter().filter(by_rule).count(), Ordering::Relaxed);
        }
        let admitted = batch
            .iter()
            .zip(&decisions)
            .filter(|(_, decision)| **decision == Decision::Admitted);
        taken.extend(admitted.map(|(attempt, _)| (attempt.clone(), now)));
        world.inspect(&batch[0]);
    }
    world.assert_same_state();
    for (attempt, placed_at) in taken.iter().step_by(4) {
        assert!(world.release(attempt, *placed_at));
    }
    world.assert_same_state();
    figures.attempts.fetch_add(world.decided, Ordering::Relaxed);
    figures.admitted.fetch_add(taken.len(), Ordering::Relaxed);
    figures.rules[rules.len() - 1].fetch_add(1, Ordering::Relaxed);
}

/// Whether the interpreter rejects every attempt of a batch.
fn all_rejected(world: &World, batch: &[Attempt], now: i64) -> bool {
    let mut state = world.oracle.clone();
    let plan = &world.family.plan;
    batch.iter().all(|attempt| {
        let decision = rushgate::plan::eval::decide(plan, 1, &mut state, attempt, now);
        matches!(decision, Decision::Rejected(_))
    })
}

#[test]
fn one_to_eight_rules_are_decided_alike_by_all_sides() {
    let figures = Figures::default();
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    proptest!(config, |(rules in params::rules(), context in context(), batches in batches())| {
        play(&rules, context, &batches, &figures);
    });
    let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
    let spread: Vec<String> = figures
        .rules
        .iter()
        .map(|rules| count(rules).to_string())
        .collect();
    let (attempts, admitted, rejected) = (
        count(&figures.attempts),
        count(&figures.admitted),
        count(&figures.rejected),
    );
    report::cases(
        CASES as usize,
        &format!(
            "random combinations of 1 to 8 rules ({}) over oracle, embedded and Redis: {attempts} attempts, \
             {admitted} admitted, {rejected} rejected by a rule and nothing changed",
            spread.join(", ")
        ),
    );
    assert!(
        admitted > attempts / 20 && rejected > attempts / 20,
        "limits neither always nor never bite"
    );
    assert!(
        figures.rules.iter().all(|rules| count(rules) > 0),
        "every number of rules was there"
    );
}
