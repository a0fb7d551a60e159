//! Every sample agrees; a script with one comparison changed is caught, with a short counterexample.

use super::*;
use crate::lua::Script;
use crate::plan::check;
use crate::plan::samples::{Sample, samples};

fn sample(name: &str) -> Sample {
    samples()
        .into_iter()
        .find(|sample| sample.name == name)
        .expect("a sample of this name")
}

fn family_of(sample: Sample) -> Family {
    let plan = check(sample.plan, sample.context).expect("samples are valid");
    family(&plan, None).expect("it fits a script")
}

/// The family with one place of its script written otherwise.
fn doctored(mut family: Family, from: &str, to: &str) -> Family {
    assert!(family.admit.text.contains(from), "{}", family.admit.text);
    family.admit = Script::new("admit", family.admit.text.replacen(from, to, 1));
    family
}

#[test]
fn samples_agree_and_are_seen_at_work() {
    for sample in samples() {
        let (name, constraints) = (sample.name, sample.plan.constraints.clone());
        let report = run(&family_of(sample), ATTEMPTS);
        assert_eq!(report.disagreements, 0, "{name}: {report:#?}");
        assert_eq!(report.attempts, ATTEMPTS, "{name}");
        assert!(report.admitted > 0, "{name}: {report:#?}");
        assert!(report.rejected.contains_key("sold-out"), "{name}: {report:#?}");
        for constraint in constraints {
            let rejected = report.rejected.get(&constraint.reason);
            assert!(rejected.is_some(), "{name}, {}: {report:#?}", constraint.reason);
        }
    }
}

#[test]
fn a_shadow_is_proven_with_its_counts_and_figures() {
    let (live, shadow) = (sample("orders per user"), sample("rolling window"));
    let shadow = check(shadow.plan, live.context.clone()).expect("valid there too");
    let live = check(live.plan, live.context).expect("samples are valid");
    let family = family(&live, Some(&shadow)).expect("it fits a script");
    let report = run(&family, 600);
    assert_eq!(report.disagreements, 0, "{report:#?}");
    assert!(
        report.shadow.contains_key("admitted") && report.shadow.len() > 3,
        "{report:#?}"
    );
    let wrong = run(&doctored(family, ".. ':' ..", ".. '-' .."), 600);
    assert!(wrong.disagreements > 0);
}

#[test]
fn a_run_can_be_repeated() {
    let family = family_of(sample("orders per user"));
    assert_eq!(run(&family, 300), run(&family, 300));
}

#[test]
fn a_comparison_written_wrongly_is_caught_and_shown_short() {
    let family = family_of(sample("orders per user"));
    let report = run(&doctored(family, "+ 1 > 2 then", "+ 1 >= 2 then"), ATTEMPTS);
    assert!(report.disagreements > 0);
    let shown = report.counterexample.expect("a counterexample");
    assert_eq!(shown.used, Vec::<String>::new());
    assert_eq!(shown.attempts.len(), 2, "{shown:#?}");
    assert_eq!(shown.attempts[0].user, shown.attempts[1].user);
    assert_eq!(shown.interpreter, "Admitted");
    assert!(shown.script.contains("Constraint"), "{shown:#?}");
}

#[test]
fn a_count_that_is_not_written_is_caught_by_what_is_left() {
    let family = family_of(sample("orders per user"));
    let report = run(
        &doctored(family, "ARGV[base + counts], whole(values[counts]),", ""),
        100,
    );
    let shown = report.counterexample.expect("a counterexample");
    assert_eq!(shown.attempts.len(), 1, "{shown:#?}");
    assert!(shown.interpreter.contains("the counter"), "{shown:#?}");
    assert!(shown.script.contains("is not there"), "{shown:#?}");
}
