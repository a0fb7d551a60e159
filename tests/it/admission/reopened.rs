//! What is no last word: a sale that is opened again, and units that are taken and have not landed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rushgate::admission::{Config, Placement, Refusal};
use rushgate::campaign::{Activation, Schedule};
use rushgate::needs::ANSWER_MAX;
use rushgate::order::OrderState;
use rushgate::revision::Revision;
use rushgate::ruleset::{Active, Compiled};

use super::{ACTIVATION, CAMPAIGN, Stage, active, attempt, reason, stage, stage_of, state};

/// A second later nothing is answered from before.
const LATER: Duration = ANSWER_MAX.saturating_add(Duration::from_millis(50));

/// The same sale, closing so many milliseconds from now.
fn closing(in_ms: i64, activation: Activation) -> Arc<Active> {
    let closes_at = jiff::Timestamp::now().as_millisecond() + in_ms;
    scheduled(activation, |schedule| Schedule {
        closes_at,
        ..schedule
    })
}

fn scheduled(activation: Activation, when: impl Fn(Schedule) -> Schedule) -> Arc<Active> {
    let open = active(1, activation);
    let revision = Revision {
        schedule: when(open.revision.schedule),
        ..open.revision.clone()
    };
    let compiled = Compiled::build(open.campaign.clone(), revision).expect("a valid plan");
    Arc::new(Active::new(compiled, activation, Vec::new()))
}

async fn unkeyed(stage: &Stage, user: &str) -> Placement {
    let placed = stage.admission.place(CAMPAIGN, attempt(user, "x"), false).await;
    placed.expect("decided")
}

async fn is_closed(stage: &Stage) -> bool {
    matches!(unkeyed(stage, "late").await, Placement::Rejected(refusal) if refusal.reason.name() == "closed")
}

const SECOND: Activation = Activation {
    epoch: 2,
    revision: 2,
};

#[tokio::test]
async fn the_gateway_that_opens_a_sale_again_takes_orders_at_once() {
    let stage = stage_of(closing(-1, ACTIVATION), Config::default()).await;
    assert!(is_closed(&stage).await);
    stage.engine.down.store(true, Ordering::SeqCst);
    assert!(is_closed(&stage).await, "it is known");
    assert!(stage.admission.refused(CAMPAIGN, "late", ("mug", 1)).is_some());
    stage.engine.down.store(false, Ordering::SeqCst);

    let later = closing(3_600_000, SECOND);
    stage.database.ruleset.put(later.clone());
    assert_eq!(
        stage.admission.refused(CAMPAIGN, "late", ("mug", 1)),
        None,
        "an older revision was closed"
    );
    stage.move_fence(&later).await;
    assert_eq!(state(Ok(unkeyed(&stage, "late").await)).0, OrderState::Accepted);
}

#[tokio::test]
async fn a_gateway_that_has_not_heard_says_closed_for_no_longer_than_the_one_that_opens_waits() {
    let stage = stage_of(closing(-1, ACTIVATION), Config::default()).await;
    assert!(is_closed(&stage).await);
    let later = closing(3_600_000, SECOND);
    *stage.database.newest.lock().expect("no panic") = later.clone();
    stage.move_fence(&later).await;
    // No watch runs here that would tell it.
    tokio::time::sleep(LATER).await;
    assert_eq!(stage.admission.refused(CAMPAIGN, "late", ("mug", 1)), None);
    assert_eq!(state(Ok(unkeyed(&stage, "late").await)).0, OrderState::Accepted);
}

fn sold_out(placed: Placement) -> Refusal {
    match placed {
        Placement::Rejected(refusal) if refusal.reason.name() == "sold-out" => refusal,
        other => panic!("not sold out: {other:?}"),
    }
}

#[tokio::test]
async fn sold_out_is_no_last_word_while_orders_are_on_their_way() {
    let stage = stage(Config::default()).await;
    for n in 0..10 {
        stage.place(&format!("u{n}"), "k").await.expect("admitted");
    }
    // All are taken, and of seven the database knows.
    stage.database.unsold.store(3, Ordering::SeqCst);
    let keyed = async |quantity| {
        let mut asked = attempt("late", "k");
        asked.quantity = quantity;
        let placed = stage.admission.place(CAMPAIGN, asked, true).await;
        sold_out(placed.expect("decided"))
    };
    let at_once = |quantity| stage.admission.refused(CAMPAIGN, "late", ("mug", quantity));
    let may_come_back = |refusal: &Refusal| {
        assert_eq!(refusal.retryable, refusal.retry_after.is_some(), "{refusal:?}");
        assert_eq!(refusal.retry, None, "nobody knows when");
        refusal.retryable
    };
    assert!(may_come_back(&keyed(1).await));
    assert!(may_come_back(&keyed(3).await));
    assert!(!may_come_back(&keyed(4).await), "that many are not on their way");
    assert!(may_come_back(&sold_out(unkeyed(&stage, "late").await)));
    assert!(may_come_back(&at_once(3).expect("known")));
    assert!(!may_come_back(&at_once(4).expect("known")));

    stage.database.unsold.store(0, Ordering::SeqCst);
    tokio::time::sleep(LATER).await;
    assert_eq!(at_once(1), None, "too old to be told");
    let refusal = sold_out(unkeyed(&stage, "late").await);
    assert!(!may_come_back(&refusal), "all have landed");
    assert_eq!(refusal.detail, "Every unit is sold.");
    assert!(!may_come_back(&keyed(1).await));
    assert!(!may_come_back(&at_once(1).expect("known")));
    assert_eq!(reason(Ok(unkeyed(&stage, "late").await)), "sold-out");
}

#[tokio::test]
async fn a_sale_that_is_not_open_is_not_called_sold_out() {
    let stage = stage(Config::default()).await;
    for n in 0..10 {
        stage.place(&format!("u{n}"), "k").await.expect("admitted");
    }
    sold_out(unkeyed(&stage, "late").await);
    assert!(stage.admission.refused(CAMPAIGN, "late", ("mug", 1)).is_some());

    // Paused: its opening is moved.
    let paused = scheduled(SECOND, |schedule| Schedule {
        opens_at: jiff::Timestamp::now().as_millisecond() + 600_000,
        ..schedule
    });
    stage.database.ruleset.put(paused.clone());
    stage.move_fence(&paused).await;
    assert_eq!(stage.admission.refused(CAMPAIGN, "late", ("mug", 1)), None);
    assert_eq!(reason(Ok(unkeyed(&stage, "late").await)), "not-open");
}
