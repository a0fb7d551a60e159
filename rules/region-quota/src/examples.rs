//! Golden examples of region-quota. The campaign sells 100 tickets.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::{Example, Order, claim, client, json};

use crate::{QUOTA, RESERVED};

const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);

pub fn all() -> Vec<Example> {
    vec![
        reserved(),
        reserved_until(),
        reserved_for_others(),
        percent(),
        rest(),
        released(),
        units(),
    ]
}

fn from(region: &str) -> Order {
    Order::by("ann").with(claim("region"), region)
}

fn reserved() -> Example {
    Example::new(
        "30 % for the EU, who may order of the other 70 % too",
        json!({"shares": {"eu": 30}}),
    )
    .admits(from("eu").units(40))
    .admits(from("us").units(59))
    .admits(Order::by("bob"))
    .gateway_rejects(from("us"), "sold-out")
}

fn reserved_until() -> Example {
    Example::new(
        "30 % for the EU and 20 % for the US, until two hours after the opening",
        json!({"shares": {"eu": 30, "us": 20}, "release": {"after_opening": "2h"}}),
    )
    .sku("poster", 10)
    .rejects(from("jp").units(51), &RESERVED)
    .admits(from("jp").units(50))
    .rejects(from("jp"), &RESERVED)
    .rejects(Order::by("bob"), &RESERVED)
    .admits(from("eu").units(29))
    .rejects(from("eu").units(2), &RESERVED)
    .admits(from("eu"))
    .rejects(from("eu"), &RESERVED)
    .admits(from("jp").of("poster").units(5))
    .rejects(from("jp").of("poster"), &RESERVED)
    .rejects(from("jp").after(2 * HOUR - MILLISECOND), &RESERVED)
    .admits(from("jp").after(2 * HOUR).units(20))
    .gateway_rejects(from("us").after(2 * HOUR), "sold-out")
}

fn reserved_for_others() -> Example {
    let params = json!({"shares": {"eu": 60, "us": 0}, "others": 10, "unit": "units"});
    Example::new("60 units for the EU, 10 for whoever is neither EU nor US", params)
        .rejects(from("us").units(31), &RESERVED)
        .admits(from("us").units(30))
        .rejects(from("us"), &RESERVED)
        .admits(from("jp").units(4))
        .rejects(from("eu").units(61), &RESERVED)
        .admits(Order::by("bob").units(6))
        .rejects(Order::by("bob"), &RESERVED)
        .admits(from("eu").units(60))
}

fn percent() -> Example {
    let params = json!({"mode": "cap", "shares": {"eu": 40, "us": 30}, "others": 10});
    Example::new(
        "at most 40 % for the EU, 30 % for the US, 10 % for everybody else",
        params,
    )
    .sku("poster", 10)
    .rejects(from("eu").units(41), &QUOTA)
    .admits(from("eu").units(39))
    .rejects(from("eu").units(2), &QUOTA)
    .admits(from("eu"))
    .admits(from("eu").of("poster").units(4))
    .rejects(from("eu").of("poster"), &QUOTA)
    .admits(from("jp").units(6))
    .rejects(from("br").units(5), &QUOTA)
    .admits(Order::by("bob").units(4))
    .rejects(Order::by("bob"), &QUOTA)
    .admits(from("us").units(30))
}

fn rest() -> Example {
    let params = json!({"mode": "cap", "shares": {"eu": 333, "us": 0}, "unit": "permille"});
    Example::new(
        "at most a third for the EU, nothing for the US, the rest for others",
        params,
    )
    .admits(from("eu").units(33))
    .rejects(from("eu"), &QUOTA)
    .rejects(from("us"), &QUOTA)
    .admits(from("jp").units(67))
}

fn released() -> Example {
    let params = json!({"mode": "cap", "shares": {"eu": 50, "us": 50}, "release": {"after_opening": "2h"}});
    Example::new("what is left is for everybody after two hours", params)
        .admits(from("eu").units(50))
        .rejects(from("eu").after(2 * HOUR - MILLISECOND), &QUOTA)
        .rejects(from("jp").after(2 * HOUR - MILLISECOND), &QUOTA)
        .admits(from("eu").after(2 * HOUR).units(20))
        .admits(from("jp").after(2 * HOUR).units(30))
        .gateway_rejects(from("us").after(2 * HOUR), "sold-out")
}

fn units() -> Example {
    let params = json!({
        "mode": "cap", "shares": {"north": 5, "south": 3}, "others": 0, "unit": "units", "region": "client:region",
        "release": {"before_closing": "1h"},
    });
    let from = |region: &str| Order::by("ann").with(client("region"), region);
    Example::new(
        "units by a region the buyer's program says, until an hour before the end",
        params,
    )
    .admits(from("north").units(5))
    .rejects(from("north"), &QUOTA)
    .rejects(from("south").units(4), &QUOTA)
    .rejects(from("east"), &QUOTA)
    .rejects(from("east").after(23 * HOUR - MILLISECOND), &QUOTA)
    .admits(from("east").after(23 * HOUR))
}
