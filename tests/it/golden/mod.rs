//! Golden text: the scripts a merchant's operator reads, for a handful of plans. A change of the
//! emitter shows here; that the text is right is shown by running it (`tests/engines`).

mod rules;

use std::sync::Arc;

use rushgate::lua::emit::{emit, emit_with_shadow};
use rushgate::plan::check;
use rushgate::plan::samples::{Sample, samples};

const SHOWN: [&str; 8] = [
    "orders per user",
    "per day across the clock change in spring",
    "rolling window",
    "tier to limit",
    "early access",
    "a limit and a cost that claims say",
    "what begins and what ends with a text",
    "attributes of the SKU",
];

fn sample(name: &str) -> Sample {
    let found = samples().into_iter().find(|sample| sample.name == name);
    found.unwrap_or_else(|| panic!("no sample {name:?}"))
}

#[test]
fn admit_scripts_read_as_they_did() {
    insta::with_settings!({snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true}, {
        for name in SHOWN {
            let Sample { plan, context, .. } = sample(name);
            let plan = check(plan, context).expect("samples are valid");
            let family = emit(Arc::new(plan), 2).expect("samples are small");
            insta::assert_snapshot!(format!("admit {name}").replace(' ', "-"), family.admit.text);
        }
    });
}

/// The tiers in force, and in shadow a limit per minute.
#[test]
fn an_admit_script_with_a_shadow_reads_as_it_did() {
    insta::with_settings!({snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true}, {
        let Sample { plan, context, .. } = sample("tier to limit");
        let shadow = check(sample("rolling window").plan, context.clone()).expect("samples are valid");
        let plan = check(plan, context).expect("samples are valid");
        let family = emit_with_shadow(Arc::new(plan), Some(Arc::new(shadow)), 2).expect("samples are small");
        insta::assert_snapshot!("admit-shadow", family.admit.text);
    });
}

#[test]
fn the_inspect_script_reads_as_it_did() {
    insta::with_settings!({snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true}, {
        let Sample { plan, context, .. } = sample(SHOWN[1]);
        let plan = check(plan, context).expect("samples are valid");
        let family = emit(Arc::new(plan), 2).expect("samples are small");
        insta::assert_snapshot!(format!("inspect {}", SHOWN[1]).replace(' ', "-"), family.inspect.text);
    });
}

/// The same plan always gives the same text, so that every gateway loads the same script.
#[test]
fn the_text_follows_from_plan_and_revision_alone() {
    for Sample { plan, context, .. } in samples() {
        let [first, again, other] = [1, 1, 2].map(|revision| {
            let plan = check(plan.clone(), context.clone()).expect("samples are valid");
            emit(Arc::new(plan), revision).expect("samples are small")
        });
        assert_eq!(first.admit, again.admit);
        assert_eq!(first.inspect, again.inspect);
        assert_ne!(first.admit.sha1, other.admit.sha1);
    }
}
