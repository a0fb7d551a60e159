//! Tests of what gives a ceiling.

use super::*;
use crate::plan::check;
use crate::plan::samples::samples;

/// A module's plan may share its parts again and again: written out, these have 2^60 of them.
#[test]
fn conditions_and_sums_that_share_their_parts_end() {
    let sample = samples()
        .into_iter()
        .find(|sample| sample.name == "orders per user");
    let sample = sample.expect("there");
    let mut plan = sample.plan;
    let require = plan.constraints[0].require;
    let add = |plan: &mut Plan, expr| {
        plan.nodes.push(expr);
        plan.nodes.len() as Node - 1
    };
    let mut all = require;
    for _ in 0..60 {
        all = add(&mut plan, Expr::And(all, all));
    }
    plan.constraints[0].require = all;
    let checked = check(plan.clone(), sample.context.clone()).expect("passes");
    assert_eq!(
        checked.ceilings.len(),
        1,
        "the condition is one, however often it stands there"
    );
    let counter = add(&mut plan, Expr::Counter(0));
    let mut sum = add(&mut plan, Expr::Sub(counter, counter));
    for _ in 0..60 {
        sum = add(&mut plan, Expr::Sub(sum, sum));
    }
    let limit = add(&mut plan, Expr::Int(2));
    plan.constraints[0].require = add(&mut plan, Expr::Le(sum, limit));
    // Its numbers are beyond every bound, so that it is refused; what counts is that this is found out.
    assert!(check(plan, sample.context).is_err());
}

/// A limit on a buyer's own count is held; one on what is left, or on a sum of counts, is not.
#[test]
fn what_the_database_cannot_hold_is_known() {
    let held = |name: &str| {
        let mut samples = samples().into_iter();
        let plan = samples.find(|sample| sample.name == name).expect(name).plan;
        let all = plan
            .constraints
            .iter()
            .map(|constraint| is_held(&plan, constraint));
        all.collect::<Vec<bool>>()
    };
    assert_eq!(held("orders per user"), [true]);
    assert_eq!(held("cooldown"), [true]);
    assert_eq!(held("a limit and a cost that claims say"), [true]);
    assert_eq!(held("cap per order and packs"), [true, true]);
    assert_eq!(held("not member of an uploaded list"), [true], "no count decides");
    assert_eq!(held("smaller orders as stock runs out"), [false]);
    assert_eq!(held("reserved for two regions"), [false]);
}
