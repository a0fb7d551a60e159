//! What becomes of counts: counters that store something else, come and go.

use super::*;

#[test]
fn a_counter_that_stores_something_else_is_re_keyed() {
    use Attribute::{Ip, IpNetwork, Sku as Mug, User};
    let units = || {
        limited(
            &[User],
            Window::Campaign,
            Expr::Attribute(Attribute::Quantity),
            vec![Expr::Int(2)],
        )
    };
    for (old, new, counts, sentence) in [
        (
            keyed(&[User]),
            keyed(&[Ip]),
            Counts::Zero,
            "per user → per IP address; starts at zero.",
        ),
        (
            keyed(&[Ip]),
            keyed(&[IpNetwork]),
            Counts::Zero,
            "per IP address → per IPv4 address or IPv6 /64; starts at zero, except that an IPv4 address or IPv6 /64 \
             with the same text as an IP address goes on from that one's count.",
        ),
        (
            keyed(&[User]),
            keyed(&[User, Mug]),
            Counts::Zero,
            "per user → per user and SKU; starts at zero.",
        ),
        (
            keyed(&[]),
            keyed(&[Ip]),
            Counts::Zero,
            "all orders together → per IP address; starts at zero, except that orders without IP address go on from \
             the count of all orders.",
        ),
        (
            per_user(2),
            units(),
            Counts::Carried,
            "orders → units; counts go on as numbers: what was counted in orders is read in units.",
        ),
        (
            per_user(2),
            rolling(1),
            Counts::Zero,
            "over the whole campaign → over the last 1 hour; starts at zero.",
        ),
        (
            rolling(2),
            rolling(1),
            Counts::Kept,
            "over the last 2 hours → over the last 1 hour; counts are kept; orders older than 1 hour stop counting \
             at once.",
        ),
        (
            rolling(1),
            rolling(2),
            Counts::Carried,
            "over the last 1 hour → over the last 2 hours; counts are kept, but orders older than 1 hour of those \
             who ordered again are forgotten already.",
        ),
        // It is half past one: the second hour has begun, the three hours have not ended.
        (
            tumbling(1),
            tumbling(3),
            Counts::Carried,
            "in windows of 1 hour that start at 2026-03-04T12:00:00.000Z and every 1 hour from there → in windows \
             of 3 hours that start at 2026-03-04T12:00:00.000Z and every 3 hours from there; the current window, \
             from 2026-03-04T12:00:00.000Z, goes on with what the old window of the same start counted; what later \
             windows counted (the last from 2026-03-04T13:00:00.000Z) is not in it.",
        ),
        (
            tumbling(3),
            tumbling(6),
            Counts::Kept,
            "in windows of 3 hours that start at 2026-03-04T12:00:00.000Z and every 3 hours from there → in windows \
             of 6 hours that start at 2026-03-04T12:00:00.000Z and every 6 hours from there; the current window, \
             from 2026-03-04T12:00:00.000Z, goes on with its count.",
        ),
        (
            calendar(CalendarUnit::Day, "Europe/Berlin"),
            calendar(CalendarUnit::Day, "Asia/Kolkata"),
            Counts::Zero,
            "per day in the time zone Europe/Berlin → per day in the time zone Asia/Kolkata; starts at zero with \
             the window from 2026-03-03T18:30:00.000Z.",
        ),
        // Wednesday: the week began with a Monday that is a day of its own.
        (
            calendar(CalendarUnit::Day, "UTC"),
            calendar(CalendarUnit::Month, "UTC"),
            Counts::Zero,
            "per day in the time zone UTC → per month in the time zone UTC; starts at zero with the window from \
             2026-03-01T00:00:00.000Z.",
        ),
    ] {
        let change = changes(old, new).pop().expect("the counter comes last");
        assert_eq!(change.class, Class::ReKeyed, "{sentence}");
        assert_eq!(change.sentence, format!("n/orders: re-keyed, {sentence}"));
        let counter = change.counter.expect("about a counter");
        assert_eq!(
            (counter.counts, counter.needs_accept),
            (counts, true),
            "{sentence}"
        );
    }
}

/// A limit on a counter that counts something else cannot be compared by its number.
#[test]
fn a_constraint_on_a_re_keyed_counter_is_changed() {
    let (class, _) = said(
        keyed(&[Attribute::User]),
        keyed(&[Attribute::Ip]),
        Part::Constraint,
    );
    assert_eq!(class, Class::Changed);
}

/// The rule of a plan under another id, counting another cost.
fn renamed(mut plan: Plan, id: &str, cost: Expr) -> Plan {
    plan.counters[0].id = id.into();
    plan.nodes[0] = cost;
    plan
}

fn quantity() -> Expr {
    Expr::Attribute(Attribute::Quantity)
}

/// What is known of every order that landed fills the counter that takes the place of another of its rule.
#[test]
fn a_counter_of_a_rule_that_decides_is_filled() {
    let units = || renamed(per_user(2), "n/units", quantity());
    let all: Vec<(Part, Class, String)> = changes(per_user(2), units())
        .into_iter()
        .map(|change| (change.part, change.class, change.sentence))
        .collect();
    assert_eq!(
        all[1..],
        [
            (
                Part::Counter,
                Class::New,
                "n/units: new; filled by the activation from all orders so far, so who has bought has used it. The \
                 gate is closed for a moment for that: orders that come then are to be sent again."
                    .to_owned()
            ),
            (
                Part::Counter,
                Class::Dropped,
                "n/orders: dropped; its counts stay stored and nothing reads them: a later revision of the rule that brings it \
                 back has it filled from all orders."
                    .to_owned()
            ),
        ]
    );
    let said = changes(per_user(2), units());
    assert_eq!(needs_accept(&said).count(), 0);
    assert_eq!(filled(&said), ["n/units"]);
    let [old, new] = [units(), per_user(2)].map(|plan| check(plan, context()).expect("valid"));
    let back = diff(&old, &new, &stored(&new, 4), NOW);
    assert_eq!(filled(&back), ["n/orders"], "the orders in between are filled in");
}

/// What was sent or stood in a token is not known of every order: then nobody loses a count without a word.
#[test]
fn a_counter_that_cannot_be_filled_is_asked_for() {
    let by_device = || {
        renamed(
            keyed(&[Attribute::Client("device".into())]),
            "n/devices",
            Expr::Int(1),
        )
    };
    let by_tier = || {
        let mut plan = renamed(per_user(2), "n/units", quantity());
        // 1 for gold, 0 for everybody else.
        let claim = plan.nodes.len() as u32;
        plan.nodes.push(Expr::Attribute(Attribute::Claim("tier".into())));
        plan.nodes.push(Expr::Lookup {
            of: claim,
            entries: vec![("gold".into(), 1)],
            default: 0,
        });
        plan.counters[0].cost = claim + 1;
        plan
    };
    for (new, id, attribute) in [
        (by_device(), "n/devices", "device"),
        (by_tier(), "n/units", "tier of the token"),
    ] {
        let said = changes(per_user(2), new);
        assert!(filled(&said).is_empty());
        let asked: Vec<&str> = needs_accept(&said).map(|(id, _)| id).collect();
        assert_eq!(asked, [id, "n/orders"]);
        let change = said
            .iter()
            .find(|change| change.class == Class::New && change.part == Part::Counter);
        assert_eq!(
            change.map(|change| change.sentence.clone()),
            Some(format!(
                "{id}: new; starts at zero: orders admitted so far are not in it, for the {attribute} of earlier orders \
                 is not known for certain. Who has bought may buy again."
            ))
        );
    }
}

/// The SKU of an order that landed decides its attributes: the counter is filled.
#[test]
fn a_counter_by_an_attribute_of_the_sku_is_filled() {
    let colour = || Attribute::OfSku("colour".into());
    let by_colour = renamed(keyed(&[Attribute::User, colour()]), "n/units", quantity());
    let said = changes(per_user(2), by_colour);
    assert_eq!(filled(&said), ["n/units"]);
    let mut weighed = renamed(per_user(2), "n/points", quantity());
    let of = weighed.nodes.len() as u32;
    weighed.nodes.push(Expr::Attribute(colour()));
    weighed.nodes.push(Expr::Lookup {
        of,
        entries: vec![("red".into(), 2)],
        default: 1,
    });
    weighed.counters[0].cost = of + 1;
    assert_eq!(filled(&changes(per_user(2), weighed)), ["n/points"]);
    let other = keyed(&[Attribute::User, Attribute::OfSku("size".into())]);
    let re_keyed = changes(keyed(&[Attribute::User, colour()]), other);
    let sentence = &re_keyed
        .iter()
        .find(|change| change.part == Part::Counter)
        .expect("told")
        .sentence;
    assert!(
        sentence.contains("per user and colour of the SKU → per user and size of the SKU"),
        "{sentence}"
    );
}

/// What landed orders do not tell is lost, whatever takes its place.
#[test]
fn a_counter_that_cannot_be_filled_again_is_not_dropped_without_a_word() {
    let by_device = renamed(
        keyed(&[Attribute::Client("device".into())]),
        "n/devices",
        Expr::Int(1),
    );
    let said = changes(by_device, renamed(per_user(2), "n/units", quantity()));
    assert_eq!(filled(&said), ["n/units"]);
    let asked: Vec<&str> = needs_accept(&said).map(|(id, _)| id).collect();
    assert_eq!(asked, ["n/devices"]);
    let dropped = said
        .iter()
        .find(|change| change.class == Class::Dropped && change.part == Part::Counter);
    assert_eq!(
        dropped.map(|change| change.sentence.as_str()),
        Some(
            "n/devices: dropped; its counts stay stored and nothing reads them: a later revision that brings it back goes on \
             from them without the orders in between."
        )
    );
}

/// Another rule's counters stand for nothing that was counted before.
#[test]
fn a_rule_that_is_new_starts_at_zero() {
    let other = || {
        let mut plan = renamed(per_user(2), "m/orders", Expr::Int(1));
        plan.constraints[0].rule = "m".into();
        plan
    };
    let said = changes(per_user(2), other());
    let new = said.iter().find(|change| {
        change
            .counter
            .as_ref()
            .is_some_and(|counter| counter.id == "m/orders")
    });
    let new = new.expect("it is new");
    assert_eq!(
        new.sentence,
        "m/orders: new; starts at zero: orders admitted so far are not in it. Who has bought may buy again."
    );
    let asked: Vec<&str> = needs_accept(&said).map(|(id, _)| id).collect();
    assert_eq!(asked, ["n/orders"]);
    let [old, new] = [other(), per_user(2)].map(|plan| check(plan, context()).expect("valid"));
    let back = diff(&old, &new, &stored(&new, 4), NOW);
    let back = back
        .iter()
        .find(|change| change.part == Part::Counter)
        .expect("a counter");
    assert_eq!(
        back.sentence,
        "n/orders: back from revision 4; goes on from the counts it had then, without the orders since. Who has bought \
         may buy again."
    );
}
