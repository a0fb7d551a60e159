//! The limits merchants ask for, each with its story, through all sides.

use rushgate::plan::Plan;
use rushgate::plan::samples::{Act, Expected, Sample, samples};

use crate::engines::report;
use crate::engines::sides::Time;
use crate::engines::world::World;

/// Plays a story step by step; every step is a call of its own.
fn play(sample: Sample) -> usize {
    let opens_at = sample.context.schedule.opens_at;
    let mut world = World::with_audiences(sample.plan, sample.context, Time::Frozen, &sample.audiences);
    let mut placed: Vec<Option<i64>> = Vec::new();
    for (index, step) in sample.steps.iter().enumerate() {
        let now = opens_at + step.at_ms;
        match &step.act {
            Act::Attempt { attempt, expect } => {
                let decision = world.admit(now, std::slice::from_ref(attempt)).remove(0);
                let answer = Expected::of(&world.family.plan, &decision);
                assert_eq!(answer, *expect, "{} step {index}", sample.name);
                world.inspect(attempt);
                placed.push(Some(now));
            }
            Act::Release { step } => {
                let (Act::Attempt { attempt, .. }, Some(placed_at)) =
                    (&sample.steps[*step].act, placed[*step])
                else {
                    panic!("{}: step {step} is not an attempt", sample.name)
                };
                assert!(world.release(attempt, placed_at), "{} step {index}", sample.name);
                placed.push(None);
            }
        }
    }
    world.assert_same_state();
    sample.steps.len()
}

#[test]
fn every_sample_tells_the_same_story_on_all_sides() {
    let samples = samples();
    let count = samples.len();
    let steps: usize = samples.into_iter().map(play).sum();
    report::cases(
        count,
        &format!("samples over oracle, embedded and Redis: {steps} steps"),
    );
    assert!(count >= 10);
}

/// In shadow of no rules a plan counts what it would alone, whatever only it reads.
#[test]
fn every_sample_counts_alike_in_shadow() {
    for sample in samples() {
        let opens_at = sample.context.schedule.opens_at;
        let (live, lists) = (Plan::default(), &sample.audiences);
        let mut world = World::with_shadow(live, Some(sample.plan), sample.context, Time::Frozen, lists);
        for step in &sample.steps {
            if let Act::Attempt { attempt, .. } = &step.act {
                world.admit(opens_at + step.at_ms, std::slice::from_ref(attempt));
            }
        }
        world.assert_same_state();
    }
}

/// The attempts of a story in one batch, at one moment: each sees the ones before it.
#[test]
fn every_sample_can_be_decided_in_one_batch() {
    let mut decided = 0;
    for sample in samples() {
        let attempts: Vec<_> = sample
            .steps
            .iter()
            .filter_map(|step| match &step.act {
                Act::Attempt { attempt, .. } => Some(attempt.clone()),
                Act::Release { .. } => None,
            })
            .collect();
        let opens_at = sample.context.schedule.opens_at;
        let mut world = World::with_audiences(sample.plan, sample.context, Time::Frozen, &sample.audiences);
        world.admit(opens_at, &attempts);
        world.assert_same_state();
        decided += world.decided;
    }
    println!("{decided} attempts in batches");
}
