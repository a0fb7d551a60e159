//! Golden examples of region-quota. The campaign sells 100 tickets.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::{Example, Order, claim, client, json};

use crate::QUOTA;

const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);

pub fn all() -> Vec<Example> {
    vec![percent(), rest(), released(), units()]
}

fn from(region: &str) -> Order {
    Order::by("ann").with(claim("region"), region)
}

fn percent() -> Example {
    let params = json!({"shares": {"eu": 40, "us": 30}, "others": 10});
    Example::new(
        "40 % for the EU, 30 % for the US, 10 % for everybody else",
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
    let params = json!({"shares": {"eu": 333, "us": 0}, "unit": "permille"});
    Example::new(
        "a third for the EU, nothing for the US, the rest for others",
        params,
    )
    .admits(from("eu").units(33))
    .rejects(from("eu"), &QUOTA)
    .rejects(from("us"), &QUOTA)
    .admits(from("jp").units(67))
}

fn released() -> Example {
    let params = json!({"shares": {"eu": 50, "us": 50}, "release": {"after_opening": "2h"}});
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
        "shares": {"north": 5, "south": 3}, "others": 0, "unit": "units", "region": "client:region",
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
