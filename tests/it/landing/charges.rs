//! Charges are the plan's, all of them and no other, whatever a record says and whatever it leaves out.

use rushgate::order::{Attempt, Charge, OrderId, fingerprint};
use rushgate::outbox;
use rushgate::plan::Plan;
use rushgate::plan::samples::samples;
use rushgate::ruleset::Compiled;
use rushgate::seal::{Key, Keyring};
use testkit::database;

use super::*;

testkit::on_both!(
    a_charge_of_another_revision_loosens_no_guard,
    invented_counters_get_no_row,
    attributes_that_are_left_out_are_charged_all_the_same,
    what_no_counter_refuses_is_refused_all_the_same,
    without_a_seal_nothing_lands_that_is_of_later,
    orders_of_two_revisions_land_side_by_side,
);

const DEAD: &str = "SELECT COUNT(*) FROM dead_letters WHERE class = 'implausible' AND stage = 'dead' \
                    AND order_id IS NULL";
const SOLD: &str = "SELECT CAST(SUM(sold) AS SIGNED) FROM stock";
const ROWS: &str = "SELECT COUNT(*) FROM `usage`";

pub(super) fn plan_of(sample: &str) -> Plan {
    let found = samples().into_iter().find(|each| each.name == sample);
    found.expect("a sample of this name").plan
}

/// The campaign `spring` with 100,000 shirts and shoes, one revision for each plan, all of them in force one after the
/// other, as gateways have them.
async fn sale_under(store: &Store, plans: &[Plan]) -> Vec<Compiled> {
    let campaign = database::campaign("spring", &[("shirt", 100_000), ("shoe", 100_000)]);
    let mut active = Vec::new();
    for (number, plan) in (1..).zip(plans) {
        let mut revision = database::revision("spring");
        revision.plan = plan.clone();
        match number {
            1 => store
                .insert_campaign(&campaign, &revision)
                .await
                .expect("a campaign"),
            _ => {
                assert_eq!(
                    store
                        .insert_revision(&revision, Vec::new())
                        .await
                        .expect("stored"),
                    number
                );
                let activated = testkit::database::activate(store, "spring", number, database::NOW).await;
                activated.expect("activated");
            }
        }
        let row = store.campaign("spring").await.expect("asked").expect("there");
        let revision = store
            .revision("spring", number)
            .await
            .expect("asked")
            .expect("there");
        active.push(Compiled::build(row.campaign, revision).expect("a plan"));
    }
    active
}

/// What a gateway publishes of an attempt at so many shirts, with attributes as `client:device=d`.
pub(super) fn placed(active: &Compiled, user: &str, quantity: u32, attributes: &[&str]) -> OrderEvent {
    placed_of(active, "shirt", user, quantity, attributes)
}

pub(super) fn placed_of(
    active: &Compiled,
    sku: &str,
    user: &str,
    quantity: u32,
    attributes: &[&str],
) -> OrderEvent {
    let pairs = attributes.iter().filter_map(|pair| pair.split_once('='));
    let attempt = Attempt {
        order: OrderId::keyed("spring", user, &format!("{quantity} {attributes:?}")),
        user: user.to_owned(),
        sku: sku.to_owned(),
        quantity,
        attributes: pairs.map(|(name, value)| (name.into(), value.into())).collect(),
    };
    outbox::event(active, 0, &attempt, active.revision.schedule.opens_at + 1)
}

fn charge(counter: &str, user: &str) -> Charge {
    Charge {
        limit: Some(1 << 62),
        ..database::charge(counter, 0, user)
    }
}

pub(super) fn changed(event: &OrderEvent, change: impl FnOnce(&mut OrderEvent)) -> OrderEvent {
    let mut event = event.clone();
    change(&mut event);
    event
}

/// Lands these, one after the other, none of them sealed.
pub(super) async fn land(store: &Store, events: &[OrderEvent]) -> Metrics {
    let (producer, consumer) = embedded::pair(0);
    let landing = spawn(quick(), store, &producer, consumer);
    for event in events {
        assert_eq!(wait(&publish(&producer, vec![outbound(event)])), Ok(()));
    }
    stop(landing).await
}

async fn a_charge_of_another_revision_loosens_no_guard(db: Database) {
    let old = plan_of("orders per user");
    let mut new = old.clone();
    new.counters[0].id = "sample/renamed".to_owned();
    let active = sale_under(&db.store, &[old, new]).await;
    let [old, new] = &active[..] else {
        panic!("two revisions");
    };
    let of_new = |n: usize| placed(new, "ann", 1, &[&format!("n={n}")]);
    let forged = changed(&placed(old, "ann", 1, &[]), |event| {
        event.charges.push(charge("sample/renamed", "ann"));
    });
    let metrics = land(&db.store, &[of_new(0), forged, of_new(1), of_new(2)]).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.revoked.get(),
            metrics.moved.total()
        ),
        (2, 1, 1)
    );
    assert_eq!(
        db.number("SELECT used * 10 + allowed FROM `usage`").await,
        22,
        "the one guard there is still holds"
    );
    assert_eq!((db.number(ROWS).await, db.number(DEAD).await), (1, 1));
    let why = db.text("SELECT CAST(error AS CHAR) FROM dead_letters").await;
    assert!(
        why.contains("\"sample/renamed\", which revision 1 does not have"),
        "{why}"
    );
}

async fn invented_counters_get_no_row(db: Database) {
    let active = sale_under(&db.store, &[Plan::default(), plan_of("orders per user")]).await;
    let forged = active.iter().map(|active| {
        changed(&placed(active, "ann", 1, &[]), |event| {
            event.charges.push(charge("made/up", "ann"));
        })
    });
    let forged: Vec<_> = forged.collect();
    let metrics = land(&db.store, &forged).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (0, 2));
    assert_eq!((db.number(ROWS).await, db.number(DEAD).await), (0, 2));
}

async fn attributes_that_are_left_out_are_charged_all_the_same(db: Database) {
    let active = sale_under(
        &db.store,
        &[plan_of("region quota"), plan_of("several subjects at once")],
    )
    .await;
    let (region, subjects) = (&active[0], &active[1]);
    let in_europe = |quantity| placed(region, "ann", quantity, &["claim:region=eu"]);
    let device = ["client:device=d", "client:street=s", "client:town=t"];
    let at_home = |user| placed(subjects, user, 1, &device);
    let uncharged = changed(&in_europe(5), |event| {
        event.quantity = 900;
        event.fingerprint = fingerprint(&event.sku, 900);
        event.attributes.clear();
        event.charges.clear();
    });
    let nowhere = changed(&in_europe(4), |event| event.attributes.clear());
    let bare = placed(region, "eve", 900, &[]);
    let by_user = changed(&at_home("eve"), |event| {
        event.attributes.clear();
        event.charges.truncate(1);
    });
    let another_device = changed(&at_home("eve"), |event| {
        event.attributes.clear();
        event.charges[1].subject = "one of many".into();
    });
    let forged = [uncharged, nowhere, bare, by_user, another_device];
    let metrics = land(&db.store, &forged).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (0, 5));
    assert_eq!(
        (
            db.number(SOLD).await,
            db.number(ROWS).await,
            db.number(DEAD).await
        ),
        (0, 0, 5)
    );

    // A buyer who has none of the attributes is charged as such, and lands.
    let (producer, consumer) = embedded::pair(5);
    let landing = spawn(quick(), &db.store, &producer, consumer);
    for event in [in_europe(5), at_home("ann"), placed(subjects, "bob", 1, &[])] {
        assert_eq!(wait(&publish(&producer, vec![outbound(&event)])), Ok(()));
    }
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (3, 0));
    assert_eq!((db.number(SOLD).await, db.number(ROWS).await), (7, 7));
}

async fn what_no_counter_refuses_is_refused_all_the_same(db: Database) {
    let active = sale_under(
        &db.store,
        &[plan_of("cap per order and packs"), plan_of("units per user")],
    )
    .await;
    let forged = [
        placed(&active[0], "eve", 90, &[]),
        placed(&active[1], "eve", 90, &[]),
    ];
    let metrics = land(&db.store, &forged).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.revoked.get(),
            metrics.moved.total()
        ),
        (0, 0, 2)
    );
    assert_eq!((db.number(SOLD).await, db.number(DEAD).await), (0, 2));
}

async fn without_a_seal_nothing_lands_that_is_of_later(db: Database) {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut revision = database::revision("spring");
    (revision.schedule.opens_at, revision.schedule.closes_at) = (now - 60_000, now + 86_400_000);
    revision.created_at = now - 60_000;
    let campaign = database::campaign("spring", &[("shoe", 100)]);
    let sale = db.store.insert_campaign(&campaign, &revision).await;
    sale.expect("a campaign");
    let at = |user: &str, placed_at: i64| {
        outbound(&changed(&order(user, "1"), |event| event.placed_at = placed_at))
    };
    let key = Key::new("a".parse().expect("an id"), &[1; 32]).expect("a key");
    let keys = Arc::new(Keyring::new(vec![key]).expect("a ring"));
    let (plain, consumer) = embedded::pair(0);
    let ours = plain.sealed(keys.clone());
    let config = Config {
        seal: rushgate::landing::SealConfig {
            keys: Some(keys),
            only: false,
        },
        ..quick()
    };
    let landing = spawn(config, &db.store, &ours, consumer);
    let later = now + 6 * 3_600_000;
    for (producer, record) in [
        (&plain, at("eve", later)),
        (&plain, at("ann", now - 10)),
        // A clock that is a little ahead is none to doubt.
        (&plain, at("bob", now + 60_000)),
        (&ours, at("cid", later)),
    ] {
        assert_eq!(wait(&publish(producer, vec![record])), Ok(()));
    }
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (3, 1));
    let why = db.text("SELECT CAST(error AS CHAR) FROM dead_letters").await;
    assert!(why.contains("ahead of this lander's clock"), "{why}");
    assert_eq!(
        db.number("SELECT COUNT(*) FROM orders WHERE user_id = 'eve'")
            .await,
        0
    );
}

async fn orders_of_two_revisions_land_side_by_side(db: Database) {
    let plans = [plan_of("several subjects at once"), plan_of("tier to limit")];
    let active = sale_under(&db.store, &plans).await;
    let (old, new) = (&active[0], &active[1]);
    let both = [
        placed(
            old,
            "ann",
            1,
            &["client:device=d", "client:street=s", "client:town=t"],
        ),
        placed(new, "ann", 1, &["claim:tier=gold"]),
        placed(old, "bob", 1, &["client:device=e"]),
        placed(new, "bob", 1, &[]),
        // What a shadow reads is in the record too, and charges nothing.
        placed(new, "cid", 1, &["client:device=f"]),
    ];
    let metrics = land(&db.store, &both).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.revoked.get(),
            metrics.moved.total()
        ),
        (5, 0, 0)
    );
    // Ann and Bob each under the larger of their two limits, of a counter that both revisions have.
    let user =
        "SELECT CAST(SUM(used * 10 + allowed) AS SIGNED) FROM `usage` WHERE counter = 'sample/count-0'";
    assert_eq!(db.number(user).await, 23 + 22 + 11);
}
