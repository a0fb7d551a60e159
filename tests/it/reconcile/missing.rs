//! Orders that nobody has: found, sent again or given up, whatever lost them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rushgate::campaign::{Campaign, Sku, partition_of};
use rushgate::lua::calls;
use rushgate::lua::fixed;
use rushgate::lua::record::Record;
use rushgate::order::{OrderEvent, OrderId, OrderState};
use rushgate::outbox;
use rushgate::plan::{Attribute, Constraint, Counter, Expr, Plan, Window};
use rushgate::reconcile::missing::{Looks, Missing};
use rushgate::reconcile::{Kind, RepairOutcome};
use rushgate::record::{self, Payload};
use rushgate::revision::Revision;
use tokio::sync::Semaphore;

use crate::reconcile::sale::{CAMPAIGN, PARTITIONS, Sale, Side, now};
use crate::reconcile::{differences, on_both_sides};

on_both_sides!(
    a_lost_order_is_found_within_two_minutes_and_lands_with_its_charges,
    a_plan_that_reads_attributes_finds_them_in_the_record,
    an_old_record_waits_for_an_operator,
    a_repair_sends_lost_orders_again_at_once,
    what_is_sent_again_goes_to_the_partition_of_its_lane,
    what_is_given_up_comes_back_once_and_a_late_copy_does_not_land,
    an_order_of_a_revision_that_is_gone_can_only_be_given_up,
    an_entry_nobody_can_relay_is_sent_from_the_records_and_removed,
    nothing_is_missing_while_orders_come_and_are_given_back,
    units_that_no_order_explains_are_looked_into_once,
);

pub const SECOND: i64 = 1000;

/// One order per device and tier, and four for each user: reads two attributes.
fn by_device() -> Plan {
    let counter = |id: &str, key: Vec<Attribute>| Counter {
        id: format!("rule/{id}"),
        key,
        window: Window::Campaign,
        cost: 0,
    };
    Plan {
        nodes: vec![
            Expr::Int(1),
            Expr::Counter(0),
            Expr::Add(1, 0),
            Expr::Int(4),
            Expr::Le(2, 3),
            Expr::Counter(1),
            Expr::Add(5, 0),
            Expr::Le(6, 3),
        ],
        counters: vec![
            counter("orders", vec![Attribute::User]),
            counter(
                "devices",
                vec![
                    Attribute::Client("device".into()),
                    Attribute::Claim("tier".into()),
                ],
            ),
        ],
        constraints: [4, 7]
            .map(|require| Constraint {
                when: None,
                require,
                reason: "limit".into(),
                rule: "rule".into(),
                retryable: false,
                sentence: "Each may place at most 4 orders.".into(),
                measure: None,
            })
            .into(),
        ..Plan::default()
    }
}

const TABLET: [(&str, &str); 2] = [("client:device", "tab {1}"), ("claim:tier", "gold")];

/// Places an order that the bus acknowledges and loses.
pub async fn lose(sale: &Sale, user: &str, attributes: &[(&str, &str)]) -> OrderEvent {
    sale.bus.lose(true);
    assert!(sale.place_with(user, "1", "mug", attributes).await, "admitted");
    sale.settled().await;
    sale.bus.lose(false);
    let lost = sale.bus.lost().pop().expect("it was lost");
    let record = record::decode(&lost).expect("a record");
    let payload = Payload::read(record.payloads[0]).expect("a payload");
    let attempt = payload.attempt().expect("an order");
    outbox::event(&sale.active, 0, &attempt, record.header.at)
}

pub async fn round(sale: &Sale, looks: &mut Looks, at: i64) {
    sale.reconcile.find_missing(looks, at).await.expect("looked");
}

pub fn missing(looks: &Looks) -> Option<Missing> {
    looks.found.of(CAMPAIGN)
}

/// Waits until the order has a row, and answers its state and charges.
pub async fn landed(sale: &Sale, event: &OrderEvent) -> (OrderState, Option<String>) {
    let begun = Instant::now();
    loop {
        let row = sale.db.store.order(CAMPAIGN, event.order).await.expect("read");
        if let Some(row) = row {
            assert_eq!(row.charges, event.charges);
            assert_eq!(
                (
                    row.attempt.user,
                    row.attempt.sku,
                    row.attempt.quantity,
                    row.placed_at,
                    row.fingerprint
                ),
                (
                    event.user.clone(),
                    event.sku.clone(),
                    event.quantity,
                    event.placed_at,
                    event.fingerprint.clone()
                )
            );
            return (row.state, row.revoked_reason);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not land");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn actions(sale: &Sale) -> Vec<(String, String)> {
    let trail = sale.db.store.audited(CAMPAIGN, 20).await.expect("read");
    trail.into_iter().map(|row| (row.actor, row.action)).collect()
}

fn act(actor: &str, action: &str) -> (String, String) {
    (actor.to_owned(), action.to_owned())
}

async fn a_lost_order_is_found_within_two_minutes_and_lands_with_its_charges(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    // A campaign behind a closed gate holds up no other.
    closed_campaign(&sale).await;
    let (mut looks, start) = (Looks::default(), now());
    round(&sale, &mut looks, start).await;
    assert_eq!(missing(&looks), None);
    let event = lose(&sale, "bob", &[]).await;
    assert_eq!(event.charges.len(), 3);
    // It is noticed, and for a minute it may be on its way.
    let seen = start + 10 * SECOND;
    for at in [seen, seen + 59 * SECOND] {
        round(&sale, &mut looks, at).await;
        let figures = missing(&looks).expect("units are missing");
        assert_eq!(
            (figures.units, figures.orders, looks.metrics.scans.get()),
            (1, 0, 0)
        );
    }
    round(&sale, &mut looks, seen + 60 * SECOND).await;
    assert_eq!(
        (looks.metrics.scans.get(), looks.metrics.sent_again.get()),
        (1, 1)
    );
    assert_eq!(landed(&sale, &event).await, (OrderState::Confirmed, None));
    assert_eq!(
        actions(&sale).await,
        [act("rushgate serve", "reconcile.send-again")]
    );
    round(&sale, &mut looks, seen + 70 * SECOND).await;
    assert_eq!(missing(&looks), None, "nothing is missing any more");
    assert_eq!(differences(&sale).await, []);
    // What was lost turns up: it is the same order.
    sale.bus.find_again();
    sale.settled().await;
    assert_eq!(sale.db.number("SELECT COUNT(*) FROM orders").await, 2);
    assert_eq!(
        sale.db
            .number("SELECT sold FROM stock WHERE sku_id = 'mug'")
            .await,
        2
    );
    assert_eq!(differences(&sale).await, []);
}

async fn closed_campaign(sale: &Sale) {
    let campaign = Campaign {
        id: "summer".into(),
        title: "Summer".into(),
        skus: vec![Sku::new("hat", 5)].into(),
        uid: "u2".into(),
        ..sale.active.campaign.clone()
    };
    let revision = Revision {
        campaign: "summer".into(),
        ..sale.active.revision.clone()
    };
    let stored = sale.db.store.insert_campaign(&campaign, &revision).await;
    stored.expect("stored");
}

async fn a_plan_that_reads_attributes_finds_them_in_the_record(side: Side) {
    let sale = Sale::open_under(side, 100, by_device()).await;
    let event = lose(&sale, "bob", &TABLET).await;
    assert_eq!(event.charges[1].subject, "7:tab {1}4:gold");
    let start = now();
    let mut looks = Looks::default();
    for at in [0, 60] {
        round(&sale, &mut looks, start + at * SECOND).await;
    }
    assert_eq!(looks.metrics.sent_again.get(), 1);
    assert_eq!(landed(&sale, &event).await, (OrderState::Confirmed, None));
    let orders = sale.db.store.orders_of(CAMPAIGN, &[event.order]).await;
    assert_eq!(
        orders.expect("read")[0].attempt.attributes,
        event.attributes,
        "a rebuild and a simulation know them too"
    );
    assert_eq!(differences(&sale).await, []);
    // A rebuild keeps them in the record.
    sale.redis("DEL", "state", &[]).await;
    let rebuilt = sale.reconcile.rebuild(CAMPAIGN, 0).await;
    rebuilt.expect("rebuilt");
    let record = record_of(&sale, (event.order, &event.user)).await;
    assert_eq!(record.attributes, Some(event.attributes));
}

async fn record_of(sale: &Sale, (order, user): (OrderId, &str)) -> Record {
    let key = sale.buyers_bucket(user);
    let reply = sale.run(&fixed::BUCKETS, vec![key.into_bytes()]).await;
    let (_, buckets) = rushgate::lua::repair::buckets_reply(reply).expect("a bucket");
    let bucket = buckets[0].as_ref().expect("it has its mark");
    let id = order.to_string();
    let (_, value) = bucket
        .iter()
        .find(|(field, _)| field == id.as_bytes())
        .expect("a record");
    Record::decode(value).expect("a record")
}

/// As it was written before attributes were kept.
async fn make_old(sale: &Sale, (order, user): (OrderId, &str)) {
    let record = record_of(sale, (order, user)).await;
    assert!(record.attributes.is_some());
    let old = Record {
        attributes: None,
        ..record
    };
    let old = old.encode();
    sale.redis("HSET", &sale.buyers_bucket(user), &[&order.to_string(), &old])
        .await;
}

async fn an_old_record_waits_for_an_operator(side: Side) {
    let sale = Sale::open_under(side, 100, by_device()).await;
    let event = lose(&sale, "bob", &TABLET).await;
    make_old(&sale, (event.order, &event.user)).await;
    let (mut looks, start) = (Looks::default(), now());
    for at in [0, 60, 70, 200] {
        round(&sale, &mut looks, start + at * SECOND).await;
    }
    assert_eq!(
        (looks.metrics.scans.get(), looks.metrics.sent_again.get()),
        (1, 0)
    );
    let expected = Missing {
        units: 1,
        orders: 1,
        for_operator: 1,
        ..Missing::default()
    };
    assert_eq!(missing(&looks), Some(expected));
    // Another one is lost: only that one is sent. Nothing had happened, so the next look is 90 seconds later.
    let other = lose(&sale, "eve", &TABLET).await;
    for at in [290, 305] {
        round(&sale, &mut looks, start + at * SECOND).await;
    }
    assert_eq!(
        (looks.metrics.scans.get(), looks.metrics.sent_again.get()),
        (2, 1)
    );
    assert_eq!(landed(&sale, &other).await.0, OrderState::Confirmed);
    // A repair leaves it alone and says why.
    let compared = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    let lost = compared
        .differences
        .iter()
        .find(|each| each.kind == Kind::LostOrder)
        .expect("it is lost");
    assert_eq!(lost.outcome, RepairOutcome::Refused);
    assert!(
        lost.sentence.ends_with(
            "; it cannot be sent again, an operator decides: revision 1 reads claim:tier, client:device, and its \
             record was written before that was kept"
        ),
        "{}",
        lost.sentence
    );
    // The operator gives it up. Its counts follow with the next repair, since nobody knows its device.
    let released = sale.reconcile.compare_and_release(CAMPAIGN, "eve").await;
    let released = released.expect("compared");
    assert!(
        released.left.iter().all(|each| each.kind == Kind::CounterHigh),
        "{released:?}"
    );
    let repaired = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    assert_eq!(repaired.left, []);
    assert_eq!(differences(&sale).await, []);
    round(&sale, &mut looks, start + 320 * SECOND).await;
    assert_eq!(missing(&looks), None);
}

async fn a_repair_sends_lost_orders_again_at_once(side: Side) {
    let sale = Sale::open(side, 100).await;
    let mut events = Vec::new();
    for user in ["ada", "bob"] {
        events.push(lose(&sale, user, &[]).await);
    }
    let found = differences(&sale).await;
    let lost = found.iter().filter(|(kind, ..)| *kind == Kind::LostOrder).count();
    assert_eq!(lost, 2, "{found:?}");
    let compared = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    let sent = compared
        .differences
        .iter()
        .filter(|each| each.outcome == RepairOutcome::SentAgain);
    assert_eq!((sent.count(), compared.left.len()), (2, 0), "{compared:?}");
    for event in &events {
        assert_eq!(landed(&sale, event).await, (OrderState::Confirmed, None));
    }
    assert_eq!(
        actions(&sale).await,
        [(); 2].map(|()| act("eve", "reconcile.send-again"))
    );
}

async fn what_is_sent_again_goes_to_the_partition_of_its_lane(side: Side) {
    let sale = Sale::open(side, 100).await;
    for user in ["ada", "bob"] {
        lose(&sale, user, &[]).await;
    }
    sale.bus.lose(true);
    let compared = sale.over_the_bus().compare(CAMPAIGN, Some("eve")).await;
    let compared = compared.expect("compared");
    let sent = compared.differences.iter();
    let sent = sent.filter(|each| each.outcome == RepairOutcome::SentAgain);
    assert_eq!(sent.count(), 2, "{compared:?}");
    // Two by the relay, and two by the repair.
    let lane = partition_of(CAMPAIGN, 0, PARTITIONS);
    assert_eq!(sale.bus.lost_partitions(), [Some(lane); 4]);
}

async fn what_is_given_up_comes_back_once_and_a_late_copy_does_not_land(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    let event = lose(&sale, "bob", &[]).await;
    assert_eq!(sale.counted("bob").await, "1");
    let compared = sale
        .reconcile
        .compare_and_release(CAMPAIGN, "eve")
        .await
        .expect("compared");
    let given_up = compared
        .differences
        .iter()
        .filter(|each| each.outcome == RepairOutcome::GivenUp);
    assert_eq!((given_up.count(), compared.left.len()), (1, 0), "{compared:?}");
    assert_eq!(
        landed(&sale, &event).await,
        (OrderState::Revoked, Some("lost".to_owned()))
    );
    assert_eq!(sale.counted("bob").await, "0");
    assert_eq!(actions(&sale).await, [act("eve", "reconcile.give-up")]);
    // Again, by hand and by the gateways: there is nothing left to give back.
    let again = sale
        .reconcile
        .compare_and_release(CAMPAIGN, "eve")
        .await
        .expect("compared");
    assert!(again.differences.is_empty() && !again.repaired, "{again:?}");
    assert_eq!(sale.reconcile.give_back().await.expect("asked"), 0);
    // The lost record turns up: it is known already, and is not sold.
    sale.bus.find_again();
    sale.place("ada", "2", "mug").await;
    sale.settled().await;
    assert_eq!(
        landed(&sale, &event).await,
        (OrderState::Revoked, Some("lost".to_owned()))
    );
    assert_eq!(
        sale.db
            .number("SELECT sold FROM stock WHERE sku_id = 'mug'")
            .await,
        2
    );
    assert_eq!(differences(&sale).await, []);
    // What it held is free: four more of the four each may have.
    for (key, admitted) in [("2", true), ("3", true), ("4", true), ("5", true), ("6", false)] {
        assert_eq!(sale.place("bob", key, "mug").await, admitted, "{key}");
    }
    sale.settled().await;
    assert_eq!(differences(&sale).await, []);
}

async fn an_order_of_a_revision_that_is_gone_can_only_be_given_up(side: Side) {
    let sale = Sale::open(side, 100).await;
    let event = lose(&sale, "bob", &[]).await;
    let mut record = record_of(&sale, (event.order, &event.user)).await;
    record.placed.revision = 9;
    let id = event.order.to_string();
    sale.redis("HSET", &sale.buyers_bucket(&event.user), &[&id, &record.encode()])
        .await;
    let compared = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    let lost = compared
        .differences
        .iter()
        .find(|each| each.kind == Kind::LostOrder)
        .expect("it is lost");
    assert!(
        lost.outcome == RepairOutcome::Refused
            && lost.sentence.ends_with("revision 9 is not in the database"),
        "{lost:?}"
    );
    let released = sale.reconcile.compare_and_release(CAMPAIGN, "eve").await;
    assert!(
        released
            .expect("compared")
            .left
            .iter()
            .all(|each| each.kind == Kind::CounterHigh)
    );
    sale.reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    assert_eq!(differences(&sale).await, []);
}

async fn an_entry_nobody_can_relay_is_sent_from_the_records_and_removed(side: Side) {
    let sale = Sale::open(side, 100).await;
    let mut events = Vec::new();
    for user in ["ada", "bob"] {
        events.push(lose(&sale, user, &[]).await);
    }
    // One payload of two cannot be read, so the relay leaves the whole entry.
    let good = serde_json::json!({"order": events[0].order, "user": "ada", "sku": "mug", "quantity": 1});
    let at = events[0].placed_at.to_string();
    let fields = [
        "*",
        "rev",
        "1",
        "at",
        &at,
        "n",
        "2",
        "o",
        &good.to_string(),
        "o",
        "{",
    ];
    sale.redis("XADD", "outbox", &fields).await;
    let entry = sale.outbox().await[0].id.clone();
    for event in &events {
        let mut record = record_of(&sale, (event.order, &event.user)).await;
        record.entry = entry.clone();
        let id = event.order.to_string();
        sale.redis("HSET", &sale.buyers_bucket(&event.user), &[&id, &record.encode()])
            .await;
    }
    let reply = sale
        .run(
            &fixed::LOOKUP,
            calls::lookup_args([(events[0].order, events[0].user.as_str())], 4),
        )
        .await;
    let found = calls::lookup_reply(reply).expect("found").orders;
    assert!(found[0].as_ref().is_some_and(|found| found.waiting));
    let kinds: Vec<Kind> = differences(&sale).await.into_iter().map(|each| each.0).collect();
    for kind in [Kind::LostOrder, Kind::StuckEntry] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let (mut looks, start) = (Looks::default(), now());
    for at in [0, 60] {
        round(&sale, &mut looks, start + at * SECOND).await;
    }
    assert_eq!(looks.metrics.sent_again.get(), 2);
    for event in &events {
        assert_eq!(landed(&sale, event).await, (OrderState::Confirmed, None));
    }
    assert!(sale.outbox().await.is_empty(), "its orders are in the database");
    assert_eq!(differences(&sale).await, []);
    let removed = act("rushgate serve", "reconcile.entry-removed");
    assert_eq!(actions(&sale).await[0], removed);
}

/// Orders of each look.
const ORDERS: usize = 30;

async fn nothing_is_missing_while_orders_come_and_are_given_back(side: Side) {
    let sale = Arc::new(Sale::open(side, 5_000).await);
    // These the database refuses: their units come back while the others order.
    for user in 0..200 {
        let sql = format!(
            "INSERT INTO `usage` (campaign_id, counter, window_start, subject, used, allowed) VALUES \
             ('{CAMPAIGN}', 'rule/orders', 0, 'full-{user}', 4, 4)"
        );
        sale.db.execute(&sql).await;
    }
    // Buyers order while a look is made, and no faster than landing can follow, so that each look says something.
    let turns = Arc::new(Semaphore::new(0));
    let buyers: Vec<_> = (0..3)
        .map(|buyer| tokio::spawn(order_by_turns(sale.clone(), turns.clone(), buyer)))
        .collect();
    let (mut looks, start) = (Looks::default(), now());
    for n in 0..20 {
        turns.add_permits(ORDERS);
        round(&sale, &mut looks, start + n * 61 * SECOND).await;
        assert_eq!(missing(&looks), None, "look {n}");
        while turns.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!((looks.metrics.scans.get(), looks.metrics.failed.get()), (0, 0));
    turns.close();
    let mut orders = 0;
    for buyer in buyers {
        orders += buyer.await.expect("no panic");
    }
    assert_eq!(orders, 20 * ORDERS);
    sale.settled().await;
    while sale.reconcile.give_back().await.expect("given back") > 0 {}
    assert!(sale.db.number("SELECT COUNT(*) FROM releases").await > 0);
    round(&sale, &mut looks, start + 25 * 61 * SECOND).await;
    assert_eq!(missing(&looks), None, "nothing is on its way back");
    // One that is lost among them is found all the same.
    let event = lose(&sale, "bob", &[]).await;
    for n in [30, 31] {
        round(&sale, &mut looks, start + n * 61 * SECOND).await;
    }
    assert_eq!(looks.metrics.sent_again.get(), 1);
    assert_eq!(landed(&sale, &event).await, (OrderState::Confirmed, None));
}

/// An order a turn, until there are no more; says how many. One buyer gives back what others hold, too.
async fn order_by_turns(sale: Arc<Sale>, turns: Arc<Semaphore>, buyer: usize) -> usize {
    for n in 0.. {
        match turns.acquire().await {
            Ok(turn) => turn.forget(),
            Err(_) => return n,
        }
        let user = match buyer == 0 && n < 200 {
            true => format!("full-{n}"),
            false => format!("u{buyer}-{}", n / 4),
        };
        let sku = if n % 3 == 0 { "hat" } else { "mug" };
        sale.place(&user, &n.to_string(), sku).await;
        if buyer == 1 {
            sale.reconcile.give_back().await.expect("given back");
        }
    }
    unreachable!("turns end")
}

async fn units_that_no_order_explains_are_looked_into_once(side: Side) {
    let sale = Sale::open(side, 100).await;
    sale.place("ada", "1", "mug").await;
    sale.settled().await;
    sale.redis("HINCRBY", "stock", &["mug", "-3"]).await;
    // More than there may be is told apart.
    sale.redis("HINCRBY", "stock", &["hat", "2"]).await;
    let (mut looks, start) = (Looks::default(), now());
    for at in [0, 60, 70, 80, 600] {
        round(&sale, &mut looks, start + at * SECOND).await;
    }
    // The gateways' lease is another's for a moment: what this one knew is old.
    let mut other = Looks::default();
    round(&sale, &mut other, start).await;
    assert_eq!(missing(&other).map(|each| each.units), Some(3));
    let (lease, later) = ("missing-orders", now() + 3600 * SECOND);
    let store = &sale.db.store;
    assert!(store.lease(lease, "other", later, 1).await.expect("taken"));
    round(&sale, &mut other, start + 60 * SECOND).await;
    assert_eq!((missing(&other), other.metrics.scans.get()), (None, 0));
    assert!(store.lease(lease, "other", later, -later).await.expect("given"));
    assert_eq!(
        (looks.metrics.scans.get(), looks.metrics.sent_again.get()),
        (1, 0)
    );
    assert_eq!(
        missing(&looks).map(|each| (each.units, each.surplus, each.orders)),
        Some((3, 2, 0))
    );
    let compared = sale
        .reconcile
        .compare(CAMPAIGN, Some("eve"))
        .await
        .expect("compared");
    assert_eq!(compared.left, []);
    round(&sale, &mut looks, start + 700 * SECOND).await;
    assert_eq!(missing(&looks), None);
    assert_eq!(differences(&sale).await, []);
}
