//! Claims that are there and cannot be read: no order is decided as if they were not.

use rushgate::order::unreadable;
use rushgate::ruleset::{Asked, Precheck, Verdict};

use super::*;

/// A precheck that lets everybody pass.
#[derive(Debug)]
struct Reading(Vec<Attribute>);

impl Precheck for Reading {
    fn rule(&self) -> &str {
        "gate"
    }

    fn reads(&self) -> &[Attribute] {
        &self.0
    }

    fn check(&self, _: &Asked<'_>) -> Verdict {
        Verdict::Pass
    }
}

/// Turns away one company, and nobody without one.
fn without_evilcorp() -> Plan {
    let mut plan = per_user(5);
    plan.nodes.extend([
        Expr::Attribute(Attribute::Claim("company".into())),
        Expr::OneOf(5, vec!["evilcorp".into()]),
        Expr::Not(6),
    ]);
    plan.constraints.insert(
        0,
        Constraint {
            when: None,
            require: 7,
            reason: "blocked".into(),
            rule: "audience".into(),
            retryable: false,
            sentence: "Not for evilcorp.".into(),
            measure: None,
        },
    );
    plan
}

fn with(key: &str, attributes: &[(&str, &str)]) -> Attempt {
    let attributes = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Attempt {
        attributes: attributes.collect(),
        ..attempt("ada", key)
    }
}

async fn refused(stage: &Stage, attempt: Attempt) -> String {
    refused_as("attribute-unreadable", stage, attempt).await
}

async fn refused_as(reason: &str, stage: &Stage, attempt: Attempt) -> String {
    match stage.admission.place(CAMPAIGN, attempt, true).await {
        Ok(Placement::Rejected(refusal)) if refusal.reason.name() == reason => refusal.detail.into_owned(),
        other => panic!("not refused: {other:?}"),
    }
}

const SECOND: Activation = Activation {
    epoch: 2,
    revision: 2,
};

#[tokio::test]
async fn a_claim_that_the_rules_read_and_cannot_read_refuses_the_order() {
    let stage = stage(Config::default()).await;
    stage.activate_plan(without_evilcorp(), SECOND).await;
    let mark = unreadable("claim:company");
    let place = async |key, attributes: &[(&str, &str)]| {
        stage.admission.place(CAMPAIGN, with(key, attributes), true).await
    };
    assert_eq!(
        reason(place("1", &[("claim:company", "evilcorp")]).await),
        "blocked"
    );
    let detail = refused(&stage, with("2", &[(&mark, "is an array")])).await;
    assert!(
        detail.contains("the claim \"company\" of the token, which is an array"),
        "{detail}"
    );
    // Absent, or read by nobody: as before.
    assert_eq!(state(place("3", &[]).await).0, OrderState::Accepted);
    let other = unreadable("claim:groups");
    assert_eq!(
        state(place("4", &[(&other, "is an array")]).await).0,
        OrderState::Accepted
    );
    assert_eq!(stage.status().await.admitted, 2, "who was refused holds nothing");
    // Nor is a quota told as if the claim were not there.
    let quota = stage
        .admission
        .quota(CAMPAIGN, &with("5", &[(&mark, "is an object")]))
        .await;
    let Err(AdmissionError::Refused(refusal)) = quota else {
        panic!("not refused: {quota:?}")
    };
    assert_eq!(refusal.reason.name(), "attribute-unreadable");
}

#[tokio::test]
async fn an_array_is_asked_element_by_element_and_counted_by_nothing() {
    let stage = stage(Config::default()).await;
    stage.activate_plan(without_evilcorp(), SECOND).await;
    let company = |key, value: &str| with(key, &[("claim:company", value)]);
    let place = async |attempt| stage.admission.place(CAMPAIGN, attempt, true).await;
    let several = "\u{1f}goodcorp\u{1f}evilcorp";
    assert_eq!(reason(place(company("1", several)).await), "blocked");
    for (key, value) in [("2", "\u{1f}goodcorp\u{1f}acme"), ("3", "\u{1f}"), ("4", "acme")] {
        assert_eq!(state(place(company(key, value)).await).0, OrderState::Accepted);
    }
    // Counted by it, an order has one.
    let mut plan = without_evilcorp();
    plan.counters[0].key = vec![Attribute::Claim("company".into())];
    let third = Activation {
        epoch: 3,
        revision: 3,
    };
    stage.activate_plan(plan, third).await;
    for (key, value, what) in [("5", several, "of 2 elements"), ("6", "\u{1f}", "of no element")] {
        let detail = refused_as("claim-not-single", &stage, company(key, value)).await;
        assert!(
            detail.contains("the claim \"company\" of the token, which is an array") && detail.contains(what),
            "{detail}"
        );
        let quota = stage.admission.quota(CAMPAIGN, &company(key, value)).await;
        let Err(AdmissionError::Refused(refusal)) = quota else {
            panic!("not refused: {quota:?}")
        };
        assert_eq!(refusal.reason.name(), "claim-not-single");
    }
    // Who was admitted with several gets that order, whatever the rules are now.
    assert_eq!(
        state(place(company("2", "\u{1f}goodcorp\u{1f}acme")).await),
        (OrderState::Accepted, true)
    );
}

#[tokio::test]
async fn who_was_admitted_gets_that_order_whatever_the_token_is_now() {
    let stage = stage(Config::default()).await;
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Accepted);
    stage.drained().await;
    stage.activate_plan(without_evilcorp(), SECOND).await;
    let mark = unreadable("claim:company");
    let again = stage
        .admission
        .place(CAMPAIGN, with("1", &[(&mark, "is an array")]), true)
        .await;
    assert_eq!(state(again), (OrderState::Accepted, true));
}

#[tokio::test]
async fn a_precheck_is_not_asked_about_what_it_cannot_be_handed() {
    let stage = stage(Config::default()).await;
    let groups = unreadable("claim:groups");
    for (epoch, reads, refuses) in [
        (2, vec![Attribute::Claim("groups".into())], true),
        (3, vec![Attribute::Claim("*".into())], true),
        (
            4,
            vec![Attribute::Client("*".into()), Attribute::Claim("tier".into())],
            false,
        ),
    ] {
        let activation = Activation {
            epoch,
            revision: epoch as u32,
        };
        stage.activate(1000, activation).await;
        let compiled = active(1000, activation).compiled.clone();
        let newer = Active::new(compiled, activation, vec![Arc::new(Reading(reads))]);
        let newer = Arc::new(newer);
        *stage.database.newest.lock().expect("no panic") = newer.clone();
        stage.database.ruleset.put(newer);
        let attempt = with(&epoch.to_string(), &[(&groups, "is an array")]);
        let several = with(&format!("{epoch}+"), &[("claim:groups", "\u{1f}a\u{1f}b")]);
        match refuses {
            true => {
                refused(&stage, attempt).await;
                refused_as("claim-not-single", &stage, several).await;
            }
            false => {
                let placed = stage.admission.place(CAMPAIGN, attempt, true).await;
                assert_eq!(state(placed).0, OrderState::Accepted);
            }
        }
    }
}
