//! Prechecks on the way to the script: what they may do, and what they may never do.

use std::sync::Condvar;

use rushgate::ruleset::{Asked, Objection, Precheck, Verdict};

use super::*;

/// A precheck that does as it is told, and notes whom it was asked about.
#[derive(Debug)]
struct Told {
    answer: fn(&str) -> Verdict,
    asked: Mutex<Vec<String>>,
}

fn told(answer: fn(&str) -> Verdict) -> Arc<Told> {
    Arc::new(Told {
        answer,
        asked: Mutex::default(),
    })
}

impl Precheck for Told {
    fn rule(&self) -> &str {
        "gate"
    }

    fn reads(&self) -> &[Attribute] {
        &[]
    }

    fn check(&self, asked: &Asked<'_>) -> Verdict {
        self.asked
            .lock()
            .expect("no panic")
            .push(asked.attempt.user.clone());
        (self.answer)(&asked.attempt.user)
    }
}

impl Told {
    fn times(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }
}

fn pass(_: &str) -> Verdict {
    Verdict::Pass
}

fn reject(_: &str) -> Verdict {
    Verdict::Reject(Objection {
        code: "not-you".into(),
        title: "Not for you".into(),
        retryable: true,
    })
}

fn all_but_ada(user: &str) -> Verdict {
    if user == "ada" {
        reject(user)
    } else {
        Verdict::Pass
    }
}

fn fail(_: &str) -> Verdict {
    Verdict::Failed
}

fn revision(limit: i64, epoch: u64, prechecks: Vec<Arc<dyn Precheck>>) -> Arc<Active> {
    let activation = Activation {
        epoch,
        revision: u32::try_from(epoch).expect("small"),
    };
    let compiled = active(limit, activation).compiled.clone();
    Arc::new(Active::new(compiled, activation, prechecks))
}

impl Stage {
    /// Another gateway activates a revision with these prechecks: this one has yet to find out.
    async fn activate_checked(&self, limit: i64, epoch: u64, prechecks: Vec<Arc<dyn Precheck>>) {
        let newer = revision(limit, epoch, prechecks);
        let args = activate_args(&newer.fence(), newer.revision.number, &newer.family.plan, None);
        let key = Shard::new(CAMPAIGN, 0).state();
        let reply = self.engine.inner.run(&fixed::ACTIVATE, &key, args).await;
        assert_eq!(activate_reply(reply.expect("runs")), Ok(None));
        *self.database.newest.lock().expect("no panic") = newer;
    }

    /// This gateway knows it too.
    async fn serve(&self, limit: i64, epoch: u64, precheck: Arc<Told>) {
        self.activate_checked(limit, epoch, vec![precheck]).await;
        let newest = self.database.newest.lock().expect("no panic").clone();
        self.database.ruleset.put(newest);
    }

    async fn place_once(&self, user: &str) -> Result<Placement, AdmissionError> {
        self.admission.place(CAMPAIGN, attempt(user, "once"), false).await
    }
}

#[tokio::test]
async fn a_rejection_names_rule_and_reason_and_consumes_nothing() {
    let stage = stage(Config::default()).await;
    stage.serve(1, 2, told(all_but_ada)).await;
    let Ok(Placement::Rejected(refusal)) = stage.place("ada", "1").await else {
        panic!("it was not rejected")
    };
    assert_eq!(refusal.reason.name(), "not-you");
    assert_eq!(refusal.constraint.as_deref(), Some("gate/not-you"));
    assert_eq!(
        (refusal.detail.as_ref(), refusal.retryable),
        ("Not for you", true)
    );
    assert_eq!(state(stage.place("bob", "1").await).0, OrderState::Accepted);
    stage.drained().await;
    stage.admission.look().await;
    let status = stage.status().await;
    assert_eq!((status.stock["mug"], status.admitted), (9, 1));
    assert_eq!(status.rejected, BTreeMap::from([("not-you".to_owned(), 1)]));
}

#[tokio::test]
async fn a_precheck_that_fails_refuses_and_a_later_rule_is_not_asked() {
    let stage = stage(Config::default()).await;
    let (failing, later) = (told(fail), told(pass));
    stage
        .activate_checked(1, 2, vec![failing.clone(), later.clone()])
        .await;
    for (user, keyed) in [("ada", true), ("bob", false)] {
        let placed = stage.admission.place(CAMPAIGN, attempt(user, "1"), keyed).await;
        let Ok(Placement::Rejected(refusal)) = placed else {
            panic!("not rejected: {placed:?}")
        };
        assert_eq!(refusal.reason.name(), "precheck-failed");
        assert_eq!(refusal.constraint.as_deref(), Some("gate/precheck-failed"));
        assert!(refusal.retryable);
    }
    assert_eq!((failing.times(), later.times()), (2, 0));
    assert_eq!(stage.status().await.admitted, 0);
}

#[tokio::test]
async fn who_was_admitted_gets_that_order_whatever_a_newer_precheck_says() {
    let stage = stage(Config::default()).await;
    let first = stage.place("ada", "1").await;
    assert_eq!(state(first).0, OrderState::Accepted);
    stage.drained().await;
    stage.serve(1, 2, told(reject)).await;
    assert_eq!(state(stage.place("ada", "1").await), (OrderState::Accepted, true));
    assert_eq!(
        reason(stage.place("ada", "2").await),
        "not-you",
        "another key is another order"
    );
    let other = Attempt {
        quantity: 2,
        ..attempt("ada", "1")
    };
    let reused = stage.admission.place(CAMPAIGN, other, true).await;
    assert_eq!(reason(reused), "key-reused");
    stage.serve(1, 3, told(fail)).await;
    assert_eq!(state(stage.place("ada", "1").await), (OrderState::Accepted, true));
}

#[tokio::test]
async fn who_lacks_an_attribute_of_a_newer_revision_gets_the_order_it_has() {
    let stage = stage(Config::default()).await;
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Accepted);
    stage.drained().await;
    let plan = Plan {
        required: vec![Attribute::Client("device".into())],
        ..per_user(1)
    };
    let activation = Activation {
        epoch: 2,
        revision: 2,
    };
    stage.activate_plan(plan, activation).await;
    assert_eq!(state(stage.place("ada", "1").await), (OrderState::Accepted, true));
    assert_eq!(reason(stage.place("ada", "2").await), "attribute-missing");
}

#[tokio::test]
async fn a_gateway_that_finds_its_revision_stale_asks_the_newer_prechecks() {
    let stage = stage(Config::default()).await;
    let newer = told(all_but_ada);
    stage.activate_checked(2, 2, vec![newer.clone()]).await;
    let (ada, bob) = tokio::join!(stage.place_once("ada"), stage.place_once("bob"));
    assert_eq!(reason(ada), "not-you");
    assert_eq!(state(bob).0, OrderState::Accepted);
    assert_eq!(newer.times(), 2);
    stage.drained().await;
    assert_eq!(stage.bus.published()[0].revision, 2);
}

#[tokio::test]
async fn a_refusal_of_a_stale_revision_is_not_answered() {
    let stage = stage(Config::default()).await;
    let (older, newer) = (told(reject), told(pass));
    stage.serve(1, 2, older.clone()).await;
    stage.activate_checked(1, 3, vec![newer.clone()]).await;
    assert_eq!(state(stage.place_once("ada").await).0, OrderState::Accepted);
    assert_eq!((older.times(), newer.times()), (1, 1));
}

#[tokio::test]
async fn behind_a_closed_gate_nothing_is_refused_by_a_precheck() {
    let stage = stage(Config::default()).await;
    stage.serve(1, 2, told(reject)).await;
    stage.engine.inner.forget(|_| true);
    for keyed in [true, false] {
        let placed = stage.admission.place(CAMPAIGN, attempt("ada", "1"), keyed).await;
        assert!(
            matches!(placed, Err(AdmissionError::GateClosed { .. })),
            "{placed:?}"
        );
    }
    assert!(stage.database.lost.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn an_attempt_whose_first_decision_was_lost_is_looked_up_before_it_is_refused() {
    let stage = stage(Config::default()).await;
    stage.engine.lose.store(1, Ordering::SeqCst);
    stage.engine.down_after_loss.store(true, Ordering::SeqCst);
    let placing = {
        let admission = stage.admission.clone();
        tokio::spawn(async move { admission.place(CAMPAIGN, attempt("ada", "once"), false).await })
    };
    while !stage.engine.down.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    // It was admitted, but nobody knows; meanwhile a revision comes whose precheck would refuse it.
    stage.serve(1, 2, told(reject)).await;
    stage.engine.down.store(false, Ordering::SeqCst);
    assert!(
        state(placing.await.expect("no panic")).1,
        "it finds the first decision"
    );
    assert_eq!(stage.status().await.admitted, 1);
}

#[tokio::test]
async fn a_precheck_runs_once_per_attempt_and_revision() {
    let stage = stage(Config::default()).await;
    let precheck = told(pass);
    stage.serve(1, 2, precheck.clone()).await;
    stage.engine.lose.store(1, Ordering::SeqCst);
    assert!(state(stage.place_once("ada").await).1);
    assert_eq!(
        precheck.times(),
        1,
        "asking the script again does not ask the module again"
    );
}

/// A precheck that takes as long as the test wants.
#[derive(Debug, Default)]
struct Slow {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Precheck for Slow {
    fn rule(&self) -> &str {
        "slow"
    }

    fn reads(&self) -> &[Attribute] {
        &[]
    }

    fn check(&self, _: &Asked<'_>) -> Verdict {
        let mut state = self.state.lock().expect("no panic");
        state.0 = true;
        self.changed.notify_all();
        let ended = self.changed.wait_while(state, |(_, ended)| !*ended);
        drop(ended.expect("no panic"));
        Verdict::Pass
    }
}

#[tokio::test]
async fn a_slow_precheck_holds_up_no_other_campaign() {
    let stage = stage(Config::default()).await;
    let slow = Arc::new(Slow::default());
    stage.activate_checked(1, 2, vec![slow.clone()]).await;
    let spring = active(1, ACTIVATION);
    let autumn = Campaign {
        id: "autumn".into(),
        ..spring.campaign.clone()
    };
    let compiled = Compiled::build(autumn, spring.revision.clone()).expect("a valid plan");
    let other = Arc::new(Active::new(compiled, ACTIVATION, Vec::new()));
    open_as("autumn", &stage.engine.inner, &other).await;
    stage.database.ruleset.put(other);

    let mut held = Box::pin(stage.place_once("ada"));
    while !slow.state.lock().expect("no panic").0 {
        assert!(futures_util::poll!(&mut held).is_pending());
        tokio::task::yield_now().await;
    }
    let autumn = Attempt {
        order: OrderId::keyed("autumn", "bob", "1"),
        ..attempt("bob", "1")
    };
    let placed = stage.admission.place("autumn", autumn, true).await;
    assert!(matches!(placed, Ok(Placement::Order { .. })), "{placed:?}");
    assert!(futures_util::poll!(&mut held).is_pending());
    slow.state.lock().expect("no panic").1 = true;
    slow.changed.notify_all();
    assert_eq!(state(held.await).0, OrderState::Accepted);
}
