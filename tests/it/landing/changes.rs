//! Campaigns that change while a lander runs: units are added, revisions are drafted and put in force.

use rushgate::landing::{Awaits, SealConfig};
use rushgate::plan::{Attribute, Constraint, Counter, Expr, Plan, Window};
use rushgate::ruleset::Compiled;
use rushgate::seal::{Key, Keyring};
use testkit::database;

use super::charges::{changed, land, placed, placed_of, plan_of};
use super::*;

testkit::on_both!(
    limits_follow_the_units_that_are_added,
    a_gateway_that_knows_other_units_kills_no_order,
    a_revision_that_was_never_in_force_admits_nobody,
);

const REVOKED: &str = "SELECT COUNT(*) FROM orders WHERE state = 'revoked'";
const DEAD: &str = "SELECT COUNT(*) FROM dead_letters";

/// Of each SKU no more than four tenths are sold.
fn four_tenths() -> Plan {
    let nodes = vec![
        Expr::Attribute(Attribute::Quantity),
        Expr::Counter(0),
        Expr::Add(1, 0),
        Expr::Stock,
        Expr::Int(4),
        Expr::Mul(3, 4),
        Expr::Div(5, 10),
        Expr::Le(2, 6),
    ];
    Plan {
        nodes,
        counters: vec![Counter {
            id: "share/units".to_owned(),
            key: vec![Attribute::Sku],
            window: Window::Campaign,
            cost: 0,
        }],
        constraints: vec![Constraint {
            when: None,
            require: 7,
            reason: "share".to_owned(),
            rule: "share".to_owned(),
            retryable: false,
            sentence: "Four tenths of each.".to_owned(),
            measure: None,
        }],
        ..Plan::default()
    }
}

/// The campaign `spring` with one revision of this plan, 100 shirts and as many shoes.
async fn sale_of(store: &Store, plan: Plan) -> Compiled {
    let campaign = database::campaign("spring", &[("shirt", 100), ("shoe", 100)]);
    let mut revision = database::revision("spring");
    revision.plan = plan;
    let inserted = store.insert_campaign(&campaign, &revision).await;
    inserted.expect("a campaign");
    known_now(store, 1).await
}

/// A revision, as a gateway knows it that starts now.
async fn known_now(store: &Store, number: u32) -> Compiled {
    let row = store.campaign("spring").await.expect("asked").expect("there");
    let revision = store.revision("spring", number).await.expect("asked");
    Compiled::build(row.campaign, revision.expect("there")).expect("a plan")
}

/// Publishes so many orders of ten shirts, and waits until they have landed.
fn land_tens(producer: &EmbeddedProducer, active: &Compiled, users: [&str; 4]) {
    let tens = users.map(|user| outbound(&placed(active, user, 10, &[])));
    assert_eq!(wait(&publish(producer, tens.to_vec())), Ok(()));
}

async fn limits_follow_the_units_that_are_added(db: Database) {
    let active = sale_of(&db.store, four_tenths()).await;
    let (producer, landing) = start(&db.store);
    land_tens(&producer, &active, ["ann", "bob", "cid", "dan"]);
    // As the runbook says; then the gateway is started anew, and the lander is not.
    db.execute("UPDATE stock SET total = 200").await;
    let active = known_now(&db.store, 1).await;
    land_tens(&producer, &active, ["eve", "fay", "gil", "hal"]);
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.revoked.get(),
            metrics.moved.total()
        ),
        (8, 0, 0)
    );
    assert_eq!((db.number(REVOKED).await, db.number(DEAD).await), (0, 0));
    let counted = "SELECT used * 1000 + allowed FROM `usage`";
    assert_eq!(db.number(counted).await, 80_080);
}

async fn a_gateway_that_knows_other_units_kills_no_order(db: Database) {
    let active = sale_of(&db.store, four_tenths()).await;
    let (producer, landing) = start(&db.store);
    // The lander knows 100 shirts, as the gateway does; then the database has 50 of them.
    let first = outbound(&placed_of(&active, "shoe", "ann", 5, &[]));
    assert_eq!(wait(&publish(&producer, vec![first])), Ok(()));
    db.execute("UPDATE stock SET total = 50 WHERE sku_id = 'shirt'")
        .await;
    // The gateway's limit is still 40; the one that counts is 20.
    let later = [("bob", 15), ("cid", 25), ("dan", 10)];
    let later = later.map(|(user, units)| outbound(&placed(&active, user, units, &[])));
    assert_eq!(wait(&publish(&producer, later.to_vec())), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.revoked.get(),
            metrics.moved.total()
        ),
        (2, 2, 0)
    );
    assert_eq!((db.number(REVOKED).await, db.number(DEAD).await), (2, 0));
    let counted = "SELECT used * 1000 + allowed FROM `usage` WHERE subject = 'shirt'";
    assert_eq!(db.number(counted).await, 15_020);
}

async fn a_revision_that_was_never_in_force_admits_nobody(db: Database) {
    let active = sale_of(&db.store, plan_of("orders per user")).await;
    // A copy of the plan without its limit, which somebody looked at and put away.
    let mut draft = database::revision("spring");
    draft.plan = active.revision.plan.clone();
    draft.plan.constraints.clear();
    assert_eq!(
        db.store
            .insert_revision(&draft, Vec::new())
            .await
            .expect("stored"),
        2
    );
    let loose = known_now(&db.store, 2).await;
    let forged = [
        placed(&active, "ann", 1, &[]),
        placed(&loose, "ann", 2, &[]),
        changed(&placed(&active, "ann", 3, &[]), |event| event.revision = 0),
    ];
    let metrics = land(&db.store, &forged).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (1, 2));
    assert_eq!(db.number("SELECT used * 10 + allowed FROM `usage`").await, 12);
    for class in ["implausible", "invalid"] {
        let of_class = format!("{DEAD} WHERE class = '{class}'");
        assert_eq!(db.number(&of_class).await, 1, "{class}");
    }

    // With a seal it waits for the activation, and so does what comes later on its partition.
    let key = Key::new("a".parse().expect("an id"), &[1; 32]).expect("a key");
    let keys = Arc::new(Keyring::new(vec![key]).expect("a ring"));
    let (plain, consumer) = embedded::pair(3);
    let config = Config {
        seal: SealConfig {
            keys: Some(keys.clone()),
            only: false,
        },
        recheck: Duration::from_millis(20),
        ..quick()
    };
    let landing = spawn(config, &db.store, &plain, consumer);
    let state = landing.state();
    let sealed = outbound(&placed(&loose, "bob", 1, &[]));
    let answer = publish(&plain.sealed(keys), vec![sealed]);
    let awaits = || state.awaiting(Awaits::Revision);
    database::until("the partition waits", || awaits() == 1).await;
    let activated = testkit::database::activate(&db.store, "spring", 2, NOW).await;
    activated.expect("activated");
    assert_eq!(wait(&answer), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (metrics.confirmed.get(), metrics.moved.total(), awaits()),
        (1, 0, 0)
    );
}
