//! Samples of limits per buyer: orders and units, over every kind of window.

use super::Sample;
use super::story::{AUTUMN, Draft, HOUR, MINUTE, SECOND, SPRING, Story, client, order, release};
use crate::plan::{Attribute, CalendarUnit, Expr, Window};

pub(super) fn samples() -> Vec<Sample> {
    vec![
        orders_per_user(),
        units_per_user(),
        per_user_and_sku(),
        per_day_in_spring(),
        per_day_in_autumn(),
        tumbling(),
        rolling(),
        cooldown(),
    ]
}

fn orders_per_user() -> Sample {
    let mut draft = Draft::default();
    let orders = draft.orders(&[Attribute::User], Window::Campaign);
    let two = draft.push(Expr::Int(2));
    draft.at_most(orders, two, "At most 2 orders per user.");
    Story::new("orders per user", draft).steps(vec![
        order(0, "ann", "shirt", 5, "", "admitted"),
        order(0, "ann", "shoe", 1, "", "admitted"),
        order(1, "ann", "shirt", 1, "", "limit"),
        order(1, "Ann", "shirt", 1, "", "admitted"),
        order(1, "ann ", "shirt", 1, "", "admitted"),
        release(2, 0),
        order(3, "ann", "shirt", 1, "", "admitted"),
        order(4, "ann", "shirt", 1, "", "limit"),
    ])
}

fn units_per_user() -> Sample {
    let mut draft = Draft::default();
    let units = draft.units(&[Attribute::User], Window::Campaign);
    let three = draft.push(Expr::Int(3));
    draft.at_most(units, three, "At most 3 units per user.");
    Story::new("units per user", draft).steps(vec![
        order(0, "ann", "shirt", 4, "", "limit"),
        order(0, "ann", "shirt", 2, "", "admitted"),
        order(0, "ann", "shoe", 2, "", "limit"),
        order(0, "ann", "shoe", 1, "", "admitted"),
        order(0, "ann", "shoe", 1, "", "limit"),
        release(1, 1),
        order(1, "ann", "shoe", 2, "", "admitted"),
        order(1, "ann", "shoe", 1, "", "limit"),
    ])
}

fn per_user_and_sku() -> Sample {
    let mut draft = Draft::default();
    let orders = draft.orders(&[Attribute::User, Attribute::Sku], Window::Campaign);
    let one = draft.push(Expr::Int(1));
    draft.at_most(orders, one, "One order per user and SKU.");
    Story::new("per user and SKU", draft).steps(vec![
        order(0, "ann", "shirt", 1, "", "admitted"),
        order(0, "ann", "shirt", 1, "", "limit"),
        order(0, "ann", "shoe", 1, "", "admitted"),
        order(0, "bob", "shoe", 1, "", "admitted"),
        order(0, "bob", "shoe", 1, "", "limit"),
    ])
}

fn one_per_day() -> Draft {
    let mut draft = Draft::default();
    let berlin = Window::Calendar {
        unit: CalendarUnit::Day,
        zone: "Europe/Berlin".into(),
    };
    let orders = draft.orders(&[Attribute::User], berlin);
    let one = draft.push(Expr::Int(1));
    draft.at_most(orders, one, "One order per user and day in Berlin.");
    draft
}

/// 29 March has 23 hours: from 23:00 UTC of the 28th to 22:00 UTC.
fn per_day_in_spring() -> Sample {
    Story::new("per day across the clock change in spring", one_per_day()).steps(vec![
        order(0, "ann", "shirt", 1, "", "admitted"),
        order(11 * HOUR - 1, "ann", "shirt", 1, "", "limit"),
        order(11 * HOUR, "ann", "shirt", 1, "", "admitted"),
        order(34 * HOUR - 1, "ann", "shirt", 1, "", "limit"),
        order(34 * HOUR, "ann", "shirt", 1, "", "admitted"),
        order(58 * HOUR - 1, "ann", "shirt", 1, "", "limit"),
        order(58 * HOUR, "ann", "shirt", 1, "", "admitted"),
    ])
}

/// 25 October has 25 hours: from 22:00 UTC of the 24th to 23:00 UTC.
fn per_day_in_autumn() -> Sample {
    let story = Story::new("per day across the clock change in autumn", one_per_day());
    story.opening(AUTUMN).steps(vec![
        order(10 * HOUR - 1, "ann", "shirt", 1, "", "admitted"),
        order(10 * HOUR, "ann", "shirt", 1, "", "admitted"),
        order(35 * HOUR - 1, "ann", "shirt", 1, "", "limit"),
        release(35 * HOUR - 1, 1),
        order(35 * HOUR - 1, "ann", "shirt", 1, "", "admitted"),
        order(35 * HOUR, "ann", "shirt", 1, "", "admitted"),
    ])
}

fn tumbling() -> Sample {
    let mut draft = Draft::default();
    let hourly = Window::Tumbling {
        length_ms: HOUR,
        origin_ms: SPRING + 10 * MINUTE,
    };
    let orders = draft.orders(&[Attribute::User], hourly);
    let two = draft.push(Expr::Int(2));
    draft.at_most(orders, two, "Two orders per user and hour.");
    Story::new("tumbling window", draft).steps(vec![
        order(10 * MINUTE - 1, "ann", "shirt", 1, "", "admitted"),
        order(10 * MINUTE - 1, "ann", "shirt", 1, "", "admitted"),
        order(10 * MINUTE - 1, "ann", "shirt", 1, "", "limit"),
        order(10 * MINUTE, "ann", "shirt", 1, "", "admitted"),
        order(20 * MINUTE, "ann", "shirt", 1, "", "admitted"),
        order(70 * MINUTE - 1, "ann", "shirt", 1, "", "limit"),
        order(70 * MINUTE, "ann", "shirt", 1, "", "admitted"),
    ])
}

fn rolling() -> Sample {
    let mut draft = Draft::default();
    let minute = Window::Rolling { length_ms: MINUTE };
    let units = draft.units(&[Attribute::User], minute);
    let five = draft.push(Expr::Int(5));
    draft.at_most(units, five, "At most 5 units per user in any minute.");
    Story::new("rolling window", draft).steps(vec![
        order(0, "ann", "shirt", 2, "", "admitted"),
        order(0, "ann", "shirt", 2, "", "admitted"),
        order(10 * SECOND, "ann", "shirt", 1, "", "admitted"),
        order(MINUTE - 1, "ann", "shirt", 1, "", "limit"),
        order(MINUTE, "ann", "shirt", 5, "", "limit"),
        order(MINUTE, "ann", "shirt", 4, "", "admitted"),
        order(MINUTE, "ann", "shirt", 1, "", "limit"),
        release(MINUTE + 1, 5),
        order(MINUTE + 1, "ann", "shirt", 4, "", "admitted"),
        order(70 * SECOND - 1, "ann", "shirt", 1, "", "limit"),
        order(70 * SECOND, "ann", "shirt", 1, "", "admitted"),
    ])
}

fn cooldown() -> Sample {
    let mut draft = Draft::default();
    let half_a_minute = Window::Rolling {
        length_ms: 30 * SECOND,
    };
    let recent = draft.orders(&[client("device")], half_a_minute);
    let used = draft.push(Expr::Counter(recent));
    let zero = draft.push(Expr::Int(0));
    let free = draft.push(Expr::Eq(used, zero));
    draft.require(free, "cooldown", "30 seconds between two orders of one device.");
    Story::new("cooldown", draft).steps(vec![
        order(0, "ann", "shirt", 1, "client:device=d1", "admitted"),
        order(1, "bob", "shirt", 1, "client:device=d1", "cooldown"),
        order(1, "bob", "shirt", 1, "client:device=d2", "admitted"),
        order(30 * SECOND - 1, "ann", "shirt", 1, "client:device=d1", "cooldown"),
        order(30 * SECOND, "ann", "shirt", 1, "client:device=d1", "admitted"),
        order(30 * SECOND, "ann", "shirt", 1, "client:device=d1", "cooldown"),
        // Without the attribute all buyers are one subject.
        order(30 * SECOND, "ann", "shirt", 1, "", "admitted"),
        order(31 * SECOND, "bob", "shirt", 1, "", "cooldown"),
    ])
}
