//! Every golden example of every rule, attempt by attempt, and all of its attempts in one batch.

use rushgate::wasm::Example;
use rushgate::wasm::examples::{check_context, outcome, state, steps};
use testkit::modules::{Modules, Rule};

use crate::engines::report;
use crate::engines::sides::{Side as _, Time};
use crate::engines::world::World;

fn open(module: &str, example: &Example) -> World {
    let context = check_context(example);
    let rule = Rule::new(module, example.params.clone());
    let plan = Modules::shared().merged(&[rule], &context);
    World::with_audiences(plan, context, Time::Frozen, &state(example).audiences)
}

#[test]
fn every_example_comes_out_as_promised_on_all_sides() {
    let (mut played, mut attempts, mut rejected) = (0, 0, 0);
    for module in &Modules::shared().all {
        let descriptor = &module.inspected.descriptor;
        for example in &descriptor.examples {
            let mut world = open(&descriptor.id, example);
            for (index, step) in steps(example).into_iter().enumerate() {
                let before = (world.redis.dump(), world.embedded.dump());
                let decision = world
                    .admit(step.now, std::slice::from_ref(&step.attempt))
                    .remove(0);
                let found = outcome(&world.family.plan, &decision);
                assert_eq!(
                    found, step.expect,
                    "{}, {:?}, attempt {index}",
                    descriptor.id, example.name
                );
                if matches!(found, rushgate::wasm::Expected::Rejected(_)) {
                    rejected += 1;
                    let after = (world.redis.dump(), world.embedded.dump());
                    assert_eq!(before, after, "a rejected attempt consumed something");
                }
                world.inspect(&step.attempt);
                attempts += 1;
            }
            world.assert_same_state();
            played += 1;
        }
    }
    let rules = Modules::shared().all.len();
    report::cases(
        played,
        &format!(
            "examples of {rules} rules over oracle, embedded and Redis: {attempts} attempts, {rejected} rejected"
        ),
    );
    assert!(rules == 10 && rejected > rules);
}

#[test]
fn every_example_can_be_decided_in_one_batch() {
    for module in &Modules::shared().all {
        let descriptor = &module.inspected.descriptor;
        for example in &descriptor.examples {
            let mut world = open(&descriptor.id, example);
            let attempts: Vec<_> = steps(example).into_iter().map(|step| step.attempt).collect();
            world.admit(example.context.opens_at, &attempts);
            world.assert_same_state();
        }
    }
}
