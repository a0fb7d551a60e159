//! Random plans and random attempts through all sides.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use rushgate::campaign::{Pause, Paused};
use rushgate::order::Attempt;
use rushgate::plan::check;
use rushgate::plan::decision::Decision;

use crate::engines::report;
use crate::engines::sides::Time;
use crate::engines::world::World;
use crate::strategies;

/// Attempts of one call at most: small, so that sequences have many calls.
const BATCH: usize = 7;

/// Attempts at the same moment go in one call, as long as it is not too large.
pub fn batches(attempts: Vec<(i64, Attempt)>) -> Vec<(i64, Vec<Attempt>)> {
    let mut batches: Vec<(i64, Vec<Attempt>)> = Vec::new();
    for (at, attempt) in attempts {
        match batches.last_mut() {
            Some((moment, batch)) if *moment == at && batch.len() < BATCH => batch.push(attempt),
            _ => batches.push((at, vec![attempt])),
        }
    }
    batches
}

/// Runs the sequence, inspects every buyer, releases every third order, and runs the sequence again. Before some batches the
/// sale is paused, until so long after the opening, or resumed.
pub fn play(world: &mut World, opens_at: i64, batches: &[(i64, Vec<Attempt>)], pauses: &[(usize, Pause)]) {
    let mut taken = Vec::new();
    for (number, (at, batch)) in batches.iter().enumerate() {
        for (_, pause) in pauses.iter().filter(|(before, _)| *before == number) {
            let paused = pause.paused.map(|paused| Paused {
                resume_at: paused.resume_at.map(|after| opens_at + after),
            });
            world.pause(Pause { paused, ..*pause });
        }
        let decisions = world.admit(opens_at + at, batch);
        let admitted = batch
            .iter()
            .zip(decisions)
            .filter(|(_, decision)| *decision == Decision::Admitted);
        taken.extend(admitted.map(|(attempt, _)| (attempt.clone(), world.now)));
        world.inspect(&batch[0]);
    }
    world.assert_same_state();
    for (attempt, placed_at) in taken.iter().step_by(3) {
        assert!(world.release(attempt, *placed_at));
        assert!(!world.release(attempt, *placed_at));
    }
    world.assert_same_state();
    let later = batches.last().map_or(0, |(at, _)| *at);
    for (_, batch) in batches {
        world.admit(opens_at + later, batch);
    }
    world.assert_same_state();
}

#[test]
fn random_plans_are_decided_alike_by_all_sides() {
    static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);
    static ADMITTED: AtomicUsize = AtomicUsize::new(0);
    let cases = 96;
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |((plan, context) in strategies::valid_plan(), attempts in strategies::attempts(), pauses in strategies::pauses())| {
        let opens_at = context.schedule.opens_at;
        let mut world = World::with_audiences(plan, context, Time::Frozen, &strategies::audiences());
        play(&mut world, opens_at, &batches(attempts), &pauses);
        ATTEMPTS.fetch_add(world.decided, Ordering::Relaxed);
        ADMITTED.fetch_add(world.oracle.orders.len(), Ordering::Relaxed);
    });
    let (attempts, admitted) = (ATTEMPTS.load(Ordering::Relaxed), ADMITTED.load(Ordering::Relaxed));
    report::cases(
        cases as usize,
        &format!("random plans over oracle, embedded and Redis: {attempts} attempts, {admitted} admitted"),
    );
    assert!(admitted > 0 && admitted < attempts);
}

#[test]
fn random_plans_are_decided_alike_on_the_clock_of_redis() {
    static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);
    let cases = 24;
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |((plan, context) in strategies::valid_plan(), attempts in strategies::attempts())| {
        // The campaign is moved to where Redis' clock is, the first attempt at its own distance.
        let mut context = context;
        let first = attempts.first().map_or(0, |(at, _)| *at);
        let shift = jiff::Timestamp::now().as_millisecond() - first - context.schedule.opens_at;
        context.schedule.opens_at += shift;
        context.schedule.closes_at += shift;
        prop_assume!(check(plan.clone(), context.clone()).is_ok());
        let mut world = World::with_audiences(plan, context, Time::Real, &strategies::audiences());
        play(&mut world, 0, &batches(attempts), &[]);
        ATTEMPTS.fetch_add(world.decided, Ordering::Relaxed);
    });
    let attempts = ATTEMPTS.load(Ordering::Relaxed);
    report::cases(
        cases as usize,
        &format!("random plans on the clock of Redis: {attempts} attempts"),
    );
}
