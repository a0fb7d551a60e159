//! Counters that come after orders: filled with them behind a closed gate, and restored by the rebuild that opens it.

use std::sync::Arc;

use rushgate::lua::keys::Shard;
use rushgate::lua::{Args, calls, fixed};
use rushgate::plan::{Attribute, CalendarUnit, Counter, Expr, Plan, Window};
use rushgate::reconcile::Rebuilt;
use rushgate::revision::Revision;
use rushgate::ruleset::Compiled;

use crate::reconcile::sale::{CAMPAIGN, Sale, Side, attempt, now};
use crate::reconcile::{differences, on_both_sides};

on_both_sides!(
    orders_from_before_a_counter_are_counted_once,
    what_passes_a_limit_keeps_its_count_and_no_more,
    orders_of_before_a_moved_opening_are_of_no_day_behind_it,
);

/// Units of each user and SKU, and of each user in an hour: beside nothing that was there before.
fn units() -> Plan {
    let counter = |id: &str, key: &[Attribute], window| Counter {
        id: format!("rule/{id}"),
        key: key.to_vec(),
        window,
        cost: 0,
    };
    let length_ms = 3_600_000;
    let folded = Attribute::Folded {
        of: Box::new(Attribute::User),
        fold: "lowercase".parse().expect("a step"),
    };
    Plan {
        nodes: vec![Expr::Attribute(Attribute::Quantity)],
        counters: vec![
            counter("units", &[Attribute::User, Attribute::Sku], Window::Campaign),
            counter(
                "units-of-kind",
                &[Attribute::OfSku("kind".into())],
                Window::Campaign,
            ),
            counter("units-of-folded", &[folded], Window::Campaign),
            counter("rolling-units", &[Attribute::User], Window::Rolling { length_ms }),
        ],
        ..Plan::default()
    }
}

fn ids() -> Vec<String> {
    units().counters.into_iter().map(|counter| counter.id).collect()
}

/// The second revision of the sale, stored.
async fn second(sale: &Sale) -> Compiled {
    let revision = Revision {
        number: 2,
        plan: units(),
        ..sale.active.revision.clone()
    };
    stored(sale, revision).await
}

async fn stored(sale: &Sale, revision: Revision) -> Compiled {
    let number = sale
        .db
        .store
        .insert_revision(&revision, Vec::new())
        .await
        .expect("stored");
    let revision = Revision { number, ..revision };
    Compiled::build(sale.active.campaign.clone(), revision).expect("a valid plan")
}

/// Records the activation under the epoch after this one; whether nobody was faster.
async fn activate(sale: &Sale, seen: u64) -> bool {
    let store = &sale.db.store;
    let recorded = store.insert_activation_after(CAMPAIGN, 2, seen, now()).await;
    recorded.expect("asked").is_some()
}

async fn epoch(sale: &Sale) -> u64 {
    let activation = sale.db.store.activation(CAMPAIGN).await.expect("asked");
    activation.expect("active").epoch
}

async fn is_closed(sale: &Sale) -> bool {
    let state = Shard::new(CAMPAIGN, 0).state();
    let reply = sale.engine().run(&fixed::WATCH, &state, Args::default()).await;
    let status = calls::watch_reply(reply.expect("asked"));
    status.expect("a status").fence.is_none()
}

async fn used(sale: &Sale, counter: &str) -> i64 {
    let sql = format!(
        "SELECT CAST(COALESCE(SUM(used), 0) AS SIGNED) FROM `usage` WHERE counter = 'rule/{counter}'"
    );
    sale.db.number(&sql).await
}

async fn subjects(sale: &Sale, counter: &str) -> i64 {
    let sql = format!("SELECT COUNT(DISTINCT subject) FROM `usage` WHERE counter = 'rule/{counter}'");
    sale.db.number(&sql).await
}

async fn orders_from_before_a_counter_are_counted_once(side: Side) {
    let sale = Arc::new(Sale::open(side, 1000).await);
    for n in 0..60 {
        let (user, sku) = (
            format!("{}{}", ["u", "U"][n % 2], n % 20 / 2),
            ["mug", "hat"][n % 2],
        );
        assert!(sale.place(&user, &n.to_string(), sku).await);
    }
    let seen = epoch(&sale).await;
    let revision = second(&sale).await;
    // Some are still on their way.
    sale.reconcile.fill(&revision, &ids()).await.expect("filled");
    assert!(is_closed(&sale).await);
    assert_eq!(
        (used(&sale, "units").await, used(&sale, "rolling-units").await),
        (60, 60)
    );
    assert_eq!(subjects(&sale, "units-of-folded").await, 10, "u1 is U1");
    assert_eq!(used(&sale, "units-of-folded").await, 60);
    // Again, as a gateway does that was told that it came too late: nobody is charged twice.
    sale.reconcile.fill(&revision, &ids()).await.expect("filled");
    assert_eq!(
        (used(&sale, "units").await, used(&sale, "rolling-units").await),
        (60, 60)
    );

    assert!(activate(&sale, seen).await, "nobody opened it in between");
    let rebuilt = sale.reconcile.rebuild(CAMPAIGN, 0).await.expect("rebuilt");
    assert!(
        matches!(rebuilt, Rebuilt::Restored { orders: 60, .. }),
        "{rebuilt:?}"
    );
    // What the engine counts is what the database has, the new counters included.
    assert_eq!(differences(&sale).await, []);
    let found = sale
        .db
        .store
        .order(CAMPAIGN, attempt("U1", "3", "hat").order)
        .await;
    let charges = found.expect("asked").expect("landed").charges;
    let on = |counter: &str| charges.iter().filter(|charge| charge.counter == counter).count();
    assert_eq!(
        (on("rule/orders"), on("rule/units"), on("rule/rolling-units")),
        (1, 1, 1)
    );
    // The campaign says what was ordered.
    let of_kind = "SELECT used FROM `usage` WHERE counter = 'rule/units-of-kind' AND subject = 'kind of mug'";
    assert_eq!(
        (used(&sale, "units-of-kind").await, sale.db.number(of_kind).await),
        (60, 30)
    );
    let subjects = "SELECT COUNT(*) FROM `usage` WHERE counter = 'rule/units' AND used = 3";
    assert_eq!(sale.db.number(subjects).await, 20);

    // Whoever rebuilds while orders are being filled raises the epoch, so the activation after it is told.
    let seen = epoch(&sale).await;
    sale.reconcile.fill(&revision, &ids()).await.expect("filled");
    sale.reconcile.rebuild(CAMPAIGN, 0).await.expect("rebuilt");
    assert!(!activate(&sale, seen).await, "it was opened in between");
}

/// An order that no limit of the counter let in may pass it: then exactly that is allowed.
async fn what_passes_a_limit_keeps_its_count_and_no_more(side: Side) {
    let sale = Sale::open(side, 1000).await;
    for key in ["1", "2", "3"] {
        assert!(sale.place("ada", key, "mug").await);
        assert!(sale.place("bob", key, "mug").await);
    }
    sale.settled().await;
    // Ada has ordered one under a limit of two, when the counter decided before.
    let subject: String = "3:ada3:mug".into();
    sale.db
        .execute(&format!(
            "INSERT INTO `usage` (campaign_id, counter, subject, window_start, used, allowed) \
             VALUES ('{CAMPAIGN}', 'rule/units', '{subject}', 0, 1, 2)"
        ))
        .await;
    let revision = second(&sale).await;
    sale.reconcile.fill(&revision, &ids()).await.expect("filled");
    let of = async |what: &str, subject: &str| {
        let sql =
            format!("SELECT {what} FROM `usage` WHERE counter = 'rule/units' AND subject = '{subject}'");
        sale.db.number(&sql).await
    };
    assert_eq!(
        (of("used", &subject).await, of("allowed", &subject).await),
        (4, 4)
    );
    assert_eq!(of("used", "3:bob3:mug").await, 3);
    assert_eq!(of("COUNT(allowed)", "3:bob3:mug").await, 0, "nobody has said");
}

/// A calendar's first day is that of the opening: who bought before a sale was moved has bought nothing on it.
async fn orders_of_before_a_moved_opening_are_of_no_day_behind_it(side: Side) {
    let sale = Sale::open(side, 1000).await;
    assert!(sale.place("ada", "1", "mug").await);
    sale.settled().await;
    let mut revision = Revision {
        number: 2,
        plan: units(),
        ..sale.active.revision.clone()
    };
    let days = |days: i64| days * 86_400_000;
    revision.schedule.opens_at = now() + days(2);
    revision.schedule.closes_at = now() + days(4);
    revision.plan.counters.push(Counter {
        id: "rule/daily-units".into(),
        key: vec![Attribute::User],
        window: Window::Calendar {
            unit: CalendarUnit::Day,
            zone: "UTC".into(),
        },
        cost: 0,
    });
    let revision = stored(&sale, revision).await;
    let ids = [ids(), vec!["rule/daily-units".to_owned()]].concat();
    sale.reconcile.fill(&revision, &ids).await.expect("filled");
    assert_eq!(
        (used(&sale, "units").await, used(&sale, "daily-units").await),
        (1, 0)
    );
}
