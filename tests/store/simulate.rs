//! Simulations over the recorded sample, held against SQL that knows nothing of plans.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::campaign::Campaign;
use rushgate::control::simulate::{NewSimulation, OldSide, Origin, Simulation};
use rushgate::control::{Control, ControlError, Gate, Loader, NewCampaign, NewRevision};
use rushgate::engine::embedded::Embedded;
use rushgate::order::{Attempt, OrderId};
use rushgate::recorded::Recorded;
use rushgate::revision::Revision;
use rushgate::ruleset::Ruleset;
use rushgate::wasm::Host;
use serde_json::{Value, json};

use super::database::{self, Database, NOW};
use crate::on_both;

on_both!(
    flips_are_those_that_sql_finds,
    a_share_of_the_buyers_has_a_share_of_the_stock,
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
}

fn limit(limit: u32) -> Value {
    json!([{"module": "n-per-user", "params": {"limit": limit, "per": "sku"}}])
}

/// A campaign with a limit of three orders per user and SKU.
async fn control(db: &Database, stock: u64) -> Control {
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
fn attempts() -> Vec<Recorded> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut used: HashMap<(u32, &str), u32> = HashMap::new();
    (0..ATTEMPTS)
        .map(|number| {
            let user = random.u32(0..USERS).min(random.u32(0..USERS));
            let sku = if random.bool() { "mug" } else { "cup" };
            let used = used.entry((user, sku)).or_default();
            *used += 1;
            let user = format!("user-{user}");
            Recorded {
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

async fn record(db: &Database, attempts: &[Recorded], most: u64) {
    for batch in attempts.chunks(1000) {
        db.store
            .insert_attempts(CAMPAIGN, batch, 0, most)
            .await
            .expect("written");
    }
}

/// Attempts that were admitted and are more than the first of their buyer and SKU.
const FLIPS: &str = "SELECT COUNT(*) FROM (SELECT outcome, ROW_NUMBER() OVER (PARTITION BY user_id, sku_id \
     ORDER BY decided_at, seq) AS nth FROM attempts WHERE campaign_id = 'spring') AS numbered \
     WHERE outcome = 'admitted' AND nth > 1";

async fn flips_are_those_that_sql_finds(db: Database) {
    let control = control(&db, 1_000_000).await;
    record(&db, &attempts(), u64::from(ATTEMPTS)).await;
    let found = simulate(&control, ask(limit(1), json!({}))).await;
    let by_sql = db.number(FLIPS).await;
    eprintln!(
        "{ATTEMPTS} attempts: {by_sql} flips by SQL, {} by simulation",
        found.flipped
    );
    assert!(by_sql > 1000);
    assert_eq!(found.flipped, by_sql as u64);
    assert_eq!(found.attempts, u64::from(ATTEMPTS));
    assert_eq!(found.flips.len(), 1, "{:?}", found.flips);
    let flip = &found.flips[0];
    assert_eq!((flip.from.as_str(), flip.to.as_str()), ("admitted", REFUSED));
    assert_eq!(flip.examples.len(), 10);
    assert_eq!(
        (found.recorded.attempts, found.recorded.differ),
        (u64::from(ATTEMPTS), 0)
    );
    assert_eq!(found.notes, [""; 0]);

    let same = simulate(&control, ask(limit(LIMIT), json!({}))).await;
    assert_eq!((same.flipped, same.flips), (0, vec![]));
    let looser = simulate(&control, ask(limit(4), json!({}))).await;
    let fourth = FLIPS.replace(
        "'admitted' AND nth > 1",
        "'n-per-user/limit-per-user' AND nth = 4",
    );
    assert_eq!(looser.flipped, db.number(&fourth).await as u64);
}

async fn a_share_of_the_buyers_has_a_share_of_the_stock(db: Database) {
    let control = control(&db, 4000).await;
    let mut few = attempts();
    few.truncate(2000);
    record(&db, &few, 600).await;
    let found = simulate(&control, ask(limit(1), json!({}))).await;
    let sample = found.sample.as_ref().expect("from the sample");
    assert_eq!(sample.share, 0.25);
    assert_eq!(
        found.attempts as i64,
        db.number("SELECT COUNT(*) FROM attempts").await
    );
    assert!(
        found.notes[0].contains("25.000 % of the buyers"),
        "{:?}",
        found.notes
    );
    assert_eq!(found.flipped, db.number(FLIPS).await as u64);
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
        (Origin::Orders, 3, 1)
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
