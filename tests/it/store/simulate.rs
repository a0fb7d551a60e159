//! Simulations over the recorded sample, held against counts that know nothing of plans.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::attempts::DecidedAttempt;
use rushgate::attempts::share::{Bounds, Share};
use rushgate::audit::AuditLine;
use rushgate::campaign::Campaign;
use rushgate::control::simulate::{AttemptSource, EstimateAnswer, NewSimulation, OldSide, Simulation};
use rushgate::control::{Control, ControlError, Loader, NewCampaign, NewRevision};
use rushgate::engine::embedded::Embedded;
use rushgate::needs::{Gate, Removal};
use rushgate::order::{Attempt, OrderId};
use rushgate::revision::Revision;
use rushgate::ruleset::{Compiled, Ruleset};
use rushgate::wasm::Host;
use serde_json::{Value, json};
use testkit::on_both;

use super::attempts::{write, write_row};
use testkit::database::{self, Database, NOW};

on_both!(
    flips_are_those_that_counting_finds,
    what_a_share_says_of_all_buyers_is_right,
    a_share_of_the_buyers_has_a_share_of_the_stock,
    rows_of_the_release_before_count_as_well,
    a_broken_piece_is_named,
    each_attempt_may_be_decided_by_its_own_revision,
    landed_orders_are_replayed_as_admitted_attempts,
    wrong_rules_are_refused_like_a_revision,
);

const CAMPAIGN: &str = "spring";
const ATTEMPTS: u32 = 10_000;
const USERS: u32 = 1500;
const LIMIT: u32 = 3;
const REFUSED: &str = "n-per-user/limit-per-user";

/// A gate that is open.
pub struct Open;

impl Gate for Open {
    fn open<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    fn provide<'a>(&'a self, _: &'a Campaign, _: &'a Revision) -> BoxFuture<'a, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    fn fill<'a>(&'a self, _: &'a Compiled, _: &'a [String]) -> BoxFuture<'a, Result<(), String>> {
        async { Ok(()) }.boxed()
    }

    fn remove<'a>(&'a self, _: &'a str, _: AuditLine<'a>) -> BoxFuture<'a, Result<Removal, String>> {
        async { Ok(Removal::Gone) }.boxed()
    }
}

fn limit(limit: u32) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit, "per": "sku"}}])
}

/// A campaign with a limit of three orders per user and SKU.
pub async fn control(db: &Database, stock: u64) -> Control {
    let clock = Arc::new(|| NOW);
    let ruleset = Arc::new(Ruleset::default());
    let host = Host::new().expect("a host");
    let loader = Arc::new(Loader::new(
        db.store.clone(),
        ruleset.clone(),
        host.clone(),
        clock.clone(),
    ));
    let control = Control::new(
        db.store.clone(),
        Arc::new(Embedded::new()),
        host,
        ruleset,
        loader,
        Arc::new(Open),
        clock,
    );
    control.install_builtin().await.expect("installed");
    let new: NewCampaign = serde_json::from_value(json!({
        "id": CAMPAIGN, "opens_at": "2026-11-20T00:00:00Z", "closes_at": "2026-11-21T00:00:00Z",
        "skus": [{"id": "mug", "stock": stock}, {"id": "cup", "stock": stock}], "rules": limit(LIMIT),
    }))
    .expect("a campaign");
    control.create_campaign("test", new).await.expect("created");
    control
}

fn ask(rules: Value, more: Value) -> NewSimulation {
    let mut body = json!({"rules": rules});
    let fields = body.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    serde_json::from_value(body).expect("a simulation")
}

async fn simulate(control: &Control, new: NewSimulation) -> Simulation {
    control.simulate(CAMPAIGN, new, None).await.expect("simulated")
}

/// Attempts of few buyers, several in a millisecond, answered as a limit of three answers them.
fn attempts() -> Vec<DecidedAttempt> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut used: HashMap<(u32, &str), u32> = HashMap::new();
    (0..ATTEMPTS)
        .map(|number| {
            let user = random.u32(0..USERS).min(random.u32(0..USERS));
            let sku = if random.bool() { "mug" } else { "cup" };
            let used = used.entry((user, sku)).or_default();
            *used += 1;
            let user = format!("user-{user}");
            DecidedAttempt {
                at: NOW + i64::from(number / 7),
                attempt: Attempt {
                    order: OrderId::keyed(CAMPAIGN, &user, &number.to_string()),
                    user,
                    sku: sku.to_owned(),
                    quantity: 1,
                    attributes: Default::default(),
                },
                revision: Some(1),
                outcome: Some(if *used <= LIMIT { "admitted" } else { REFUSED }.to_owned()),
            }
        })
        .collect()
}

async fn record(db: &Database, attempts: &[DecidedAttempt], most: u64) -> Share {
    let bounds = Bounds {
        most,
        per_second: u64::MAX,
    };
    let mut share = Share::default();
    for batch in attempts.chunks(1000) {
        share = write(&db.store, batch, bounds).await.share;
    }
    share
}

/// Attempts of these buyers that were answered so and are among those of their buyer and SKU that `nth` says, counted from 1.
fn counted(attempts: &[DecidedAttempt], share: Share, outcome: &str, nth: impl Fn(u32) -> bool) -> u64 {
    let mut seen: HashMap<(&str, &str), u32> = HashMap::new();
    let found = attempts.iter().filter(|one| {
        let seen = seen.entry((&one.attempt.user, &one.attempt.sku)).or_default();
        *seen += 1;
        one.outcome.as_deref() == Some(outcome) && nth(*seen) && share.holds(CAMPAIGN, &one.attempt.user)
    });
    found.count() as u64
}

async fn flips_are_those_that_counting_finds(db: Database) {
    let control = control(&db, 1_000_000).await;
    let all = attempts();
    let share = record(&db, &all, u64::from(ATTEMPTS)).await;
    assert_eq!(share, Share::default());
    let found = simulate(&control, ask(limit(1), json!({}))).await;
    let counted_flips = counted(&all, share, "admitted", |nth| nth > 1);
    eprintln!(
        "{ATTEMPTS} attempts: {counted_flips} flips by counting, {} by simulation",
        found.flipped
    );
    assert!(counted_flips > 1000);
    assert_eq!(found.flipped, counted_flips);
    assert_eq!(found.attempts, u64::from(ATTEMPTS));
    assert_eq!(found.flips.len(), 1, "{:?}", found.flips);
    let flip = &found.flips[0];
    assert_eq!((flip.from.as_str(), flip.to.as_str()), ("admitted", REFUSED));
    assert_eq!(flip.examples.len(), 10);
    assert_eq!(
        (found.flipped_all, flip.all),
        (None, None),
        "everybody was counted"
    );
    assert_eq!(
        (found.recorded.attempts, found.recorded.differ),
        (u64::from(ATTEMPTS), 0)
    );
    assert_eq!(found.notes, [""; 0]);

    let same = simulate(&control, ask(limit(LIMIT), json!({}))).await;
    assert_eq!((same.flipped, same.flips), (0, vec![]));
    let looser = simulate(&control, ask(limit(4), json!({}))).await;
    assert_eq!(looser.flipped, counted(&all, share, REFUSED, |nth| nth == 4));
}

async fn what_a_share_says_of_all_buyers_is_right(db: Database) {
    let control = control(&db, 1_000_000).await;
    let all = attempts();
    let share = record(&db, &all, 3000).await;
    assert_eq!(share.halvings, 2, "{share:?}");
    let found = simulate(&control, ask(limit(1), json!({}))).await;
    // Of the buyers it holds, it is exact.
    assert_eq!(found.flipped, counted(&all, share, "admitted", |nth| nth > 1));
    assert_eq!(found.recorded.differ, 0);
    // Of all, it is right within what it says of itself, and says little enough.
    let everybody = Share::default();
    let close = |estimate: Option<EstimateAnswer>, truth: u64, what: &str| {
        let EstimateAnswer { count, margin } = estimate.expect("a share was counted");
        assert!(
            count.abs_diff(truth) <= margin,
            "{what}: {count} ± {margin}, in truth {truth}"
        );
        assert!(
            (1..truth / 4).contains(&margin),
            "{what}: {count} ± {margin}, in truth {truth}"
        );
    };
    let flips = counted(&all, everybody, "admitted", |nth| nth > 1);
    close(found.flipped_all, flips, "flips");
    close(found.flips[0].all, flips, "the one kind of flips");
    for row in &found.outcomes {
        let truth = counted(&all, everybody, &row.outcome, |_| true);
        close(row.all.map(|all| all.recorded), truth, &row.outcome);
        close(row.all.map(|all| all.old), truth, &row.outcome);
    }
    let sample = found.sample.as_ref().expect("from the sample");
    assert_eq!((sample.share, sample.decided), (0.25, Some(u64::from(ATTEMPTS))));
    let note = &found.notes[0];
    let kept = format!(
        "25.000 % of the buyers, {} of the {ATTEMPTS} attempts",
        found.attempts
    );
    assert!(note.contains(&kept) && note.contains("95 of 100"), "{note}");
}

async fn a_share_of_the_buyers_has_a_share_of_the_stock(db: Database) {
    let control = control(&db, 4000).await;
    let mut few = attempts();
    few.truncate(2000);
    let share = record(&db, &few, 600).await;
    let found = simulate(&control, ask(limit(1), json!({}))).await;
    let sample = found.sample.as_ref().expect("from the sample");
    assert_eq!(sample.share, 0.25);
    let kept = few.iter().filter(|one| share.holds(CAMPAIGN, &one.attempt.user));
    assert_eq!(found.attempts, kept.count() as u64);
    assert!(
        found.notes[0].contains("25.000 % of the buyers"),
        "{:?}",
        found.notes
    );
    assert_eq!(found.flipped, counted(&few, share, "admitted", |nth| nth > 1));
    // A stock of 4 units is 1 unit for a quarter of the buyers.
    let of = |simulation: &Simulation, outcome: &str| {
        let rows = &simulation.outcomes;
        rows.iter().find(|row| row.outcome == outcome).map(|row| row.old)
    };
    assert_eq!(of(&found, "sold-out"), None);
    db.execute("UPDATE stock SET total = 4").await;
    let scarce = simulate(&control, ask(limit(1), json!({}))).await;
    assert_eq!(of(&scarce, "admitted"), Some(2), "one of each SKU");
    assert!(scarce.recorded.differ > 0);
    let why = scarce.notes.last().expect("a reason");
    assert!(why.contains("a share of the stock"), "{why}");
    let chance = &scarce.notes[1];
    assert!(
        chance.contains("1 of mug") && chance.contains("1 of cup"),
        "{chance}"
    );
}

/// Answers as they would be if everything had been recorded in pieces, also where a release before kept fewer buyers.
async fn rows_of_the_release_before_count_as_well(db: Database) {
    let control = control(&db, 1_000_000).await;
    let mut all = attempts();
    all.truncate(600);
    let (rows, pieces) = all.split_at(300);
    for row in rows {
        write_row(&db, row).await;
    }
    db.execute("INSERT INTO samples (campaign_id, halvings, attempts, dropped) VALUES ('spring', 0, 300, 0)")
        .await;
    record(&db, pieces, 1000).await;
    let whole = simulate(&control, ask(limit(1), json!({}))).await;
    let everybody = Share::default();
    assert_eq!((whole.attempts, whole.recorded.differ), (600, 0), "in one order");
    assert_eq!(whole.flipped, counted(&all, everybody, "admitted", |nth| nth > 1));
    assert_eq!(whole.sample.as_ref().and_then(|sample| sample.decided), Some(600));

    // The same, had the release before left half of the buyers out.
    db.execute("UPDATE samples SET halvings = 1").await;
    let half = Share {
        halvings: 0,
        before: 1,
    };
    let found = simulate(&control, ask(limit(1), json!({}))).await;
    let kept = all
        .iter()
        .filter(|one| half.holds(CAMPAIGN, &one.attempt.user))
        .count() as u64;
    assert_eq!((found.attempts, found.recorded.differ), (kept, 0));
    assert_eq!(found.flipped, counted(&all, half, "admitted", |nth| nth > 1));
    let sample = found.sample.expect("from the sample");
    assert_eq!((sample.share, sample.decided), (0.5, None));
}

async fn a_broken_piece_is_named(db: Database) {
    let control = control(&db, 100).await;
    record(&db, &attempts()[..20], 1000).await;
    db.execute("UPDATE attempt_pieces SET payload = X'6e6f20677a6970206174206f6e6365' WHERE band = 0")
        .await;
    let error = control.simulate(CAMPAIGN, ask(limit(1), json!({})), None).await;
    let error = error.expect_err("it cannot be read").to_string();
    assert!(
        error.contains("attempt_pieces of spring, band 0, arrival 1: "),
        "{error}"
    );
}

async fn each_attempt_may_be_decided_by_its_own_revision(db: Database) {
    let control = control(&db, 1000).await;
    let new: NewRevision = serde_json::from_value(json!({"rules": limit(1)})).expect("a revision");
    control
        .create_revision("test", CAMPAIGN, new, false)
        .await
        .expect("stored");
    let mut three = attempts();
    three.truncate(3);
    for (attempt, revision) in three.iter_mut().zip([1, 1, 2]) {
        attempt.attempt.user = "ada".into();
        attempt.attempt.sku = "mug".into();
        attempt.revision = Some(revision);
        attempt.outcome = Some(if revision == 1 { "admitted" } else { REFUSED }.into());
    }
    record(&db, &three, 10).await;
    let active = simulate(&control, ask(limit(1), json!({}))).await;
    assert_eq!((active.flipped, active.recorded.differ), (2, 1));
    let why = active.notes.last().expect("a reason");
    assert!(why.contains("1 were decided by revision 2"), "{why}");
    let new = ask(limit(1), json!({"old": "recorded"}));
    assert_eq!(new.old, OldSide::Recorded);
    let recorded = simulate(&control, new).await;
    assert_eq!((recorded.flipped, recorded.recorded.differ), (1, 0));
}

async fn landed_orders_are_replayed_as_admitted_attempts(db: Database) {
    let control = control(&db, 1000).await;
    let events = ["ada", "bob", "ada"].iter().enumerate().map(|(number, user)| {
        let mut event = database::order(user, &number.to_string());
        event.sku = "mug".into();
        event.placed_at = NOW - number as i64;
        event
    });
    let slice = database::slice(0, 0, events.collect());
    db.store
        .land(database::TOPIC, &[slice], NOW)
        .await
        .expect("landed");
    let found = simulate(&control, ask(limit(1), json!({"from": "orders"}))).await;
    assert_eq!(
        (found.from, found.attempts, found.flipped),
        (AttemptSource::Orders, 3, 1)
    );
    let first = &found.flips[0].examples[0];
    assert_eq!(
        (first.user.as_str(), first.at.as_str()),
        ("ada", "2026-11-20T12:00:00.123Z")
    );
    assert_eq!(first.attributes["claim:tier"], "gold");
    assert!(found.notes[0].starts_with("Landed orders"), "{:?}", found.notes);
}

async fn wrong_rules_are_refused_like_a_revision(db: Database) {
    let control = control(&db, 1000).await;
    let refused = async |campaign: &str, rules: Value| {
        let new = ask(rules, json!({}));
        control.simulate(campaign, new, None).await.expect_err("refused")
    };
    let error = refused(
        CAMPAIGN,
        json!([{"module": "n-per-user", "params": {"limit": 0}}]),
    )
    .await;
    match error {
        ControlError::Invalid(problems) => assert_eq!(problems[0].pointer, "/rules/0/params/limit"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        refused("autumn", limit(1)).await,
        ControlError::Unknown(_)
    ));
    let nobody = simulate(&control, ask(limit(1), json!({}))).await;
    assert_eq!(nobody.attempts, 0);
    assert!(
        nobody.notes[0].contains("nobody has ordered yet"),
        "{:?}",
        nobody.notes
    );
}
