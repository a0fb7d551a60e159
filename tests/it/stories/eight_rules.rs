//! What an order client sees: eight rules in one revision, each failing once. The problem documents stand in
//! `eight-rules.snap`, to be read.

use hyper::Method;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::Gate;

/// Whose midnight ends a day; the other one in the minute in which it is midnight there.
const ZONES: [&str; 2] = ["Asia/Kolkata", "America/New_York"];

/// Times in the answers that are not the same tomorrow, and what the snapshot has instead.
struct Moments {
    zone: &'static str,
    known: Vec<(Timestamp, &'static str)>,
}

fn midnight(zone: &str) -> Timestamp {
    let zone = TimeZone::get(zone).expect("a known zone");
    let today = Timestamp::now()
        .to_zoned(zone)
        .start_of_day()
        .expect("a day begins");
    let tomorrow = today.checked_add(1.day()).expect("in range");
    tomorrow.start_of_day().expect("a day begins").timestamp()
}

/// The campaign with its rules, in the order in which they are asked. Returns when it closes.
async fn open(gate: &Gate, zone: &str) -> Timestamp {
    let url = format!("{}/admin/v1/audiences/members", gate.admin);
    let members = "ann\nbob\ncid\ndan\neve\nfay\ngus\nhal\nivy\njon\n";
    let text = [("content-type", "text/plain")];
    let put = gate.http.send(Method::PUT, &url, &text, members.into()).await;
    assert!((200..300).contains(&put.status), "{put:?}");
    let opens_at = Timestamp::now() - SignedDuration::from_hours(1);
    let closes_at = opens_at + SignedDuration::from_hours(10 * 24);
    let rules = json!([
        {"module": "order-cap", "params": {"max": 5}},
        {"module": "audience", "params": {"list": "members"}},
        {"module": "n-per-user", "params": {"limit": 4}},
        {"module": "per-window", "params": {"limit": 2, "count": "orders", "window": {"day": zone}}},
        {"module": "per-subject", "params": {"limits": [{"by": ["client:device"], "limit": 1, "missing": "allow"}]}},
        {"module": "tiered", "params": {"tiers": {"gold": 5}, "others": 2}},
        {"module": "region-quota", "params": {
            "mode": "cap", "shares": {"eu": 10}, "others": 90, "release": {"before_closing": "1d"},
        }},
        {"module": "cooldown", "params": {"pause": "1h", "by": ["claim:household"], "missing": "allow"}},
    ]);
    let campaign = json!({
        "id": "spring", "title": "Spring", "opens_at": opens_at.to_string(), "closes_at": closes_at.to_string(),
        "skus": [{"id": "mug", "stock": 30}], "rules": rules,
    });
    let created = gate.control("/campaigns", &campaign).await.expect(201).json();
    created["closes_at"]
        .as_str()
        .map_or(closes_at, |at| at.parse().expect("a time"))
}

async fn place(gate: &Gate, user: &str, quantity: u32, device: Option<&str>) -> Reply {
    let attributes = device.map_or_else(|| json!({}), |device| json!({"device": device}));
    let order = json!({"sku": "mug", "quantity": quantity, "attributes": attributes});
    gate.place_in("spring", user, &[], order).await
}

impl Moments {
    /// The answer as text. Whatever depends on the moment is checked here and named instead.
    fn text(&self, reply: &Reply) -> String {
        let mut problem = reply.json();
        let mut head = format!("{} {}", reply.status, reply.header("content-type"));
        if let Some(at) = problem["retry_at"].as_str() {
            let at: Timestamp = at.parse().expect("a time");
            let known = self
                .known
                .iter()
                .find(|(moment, _)| moment.as_millisecond() == at.as_millisecond());
            let (_, name) = known.unwrap_or_else(|| panic!("nothing happens at {at}: {problem}"));
            problem["retry_at"] = json!(format!("<{name}>"));
            let wait = (at.as_millisecond() - Timestamp::now().as_millisecond()) / 1000;
            let said: i64 = reply
                .header("retry-after")
                .parse()
                .expect("Retry-After in seconds");
            assert!((wait..wait + 60).contains(&said), "{said} seconds, {wait} remain");
            head += "\nRetry-After: <seconds until then>";
        } else {
            assert_eq!(reply.header("retry-after"), "", "time does not help: {problem}");
        }
        let detail = problem["detail"]
            .as_str()
            .unwrap_or_default()
            .replace(self.zone, ZONES[0]);
        problem["detail"] = json!(named(&detail));
        format!(
            "{head}\n{}\n",
            serde_json::to_string_pretty(&problem).expect("JSON")
        )
    }
}

/// A midnight is the same every day; every other time of day in the detail is not.
fn named(detail: &str) -> String {
    let Some((before, after)) = detail.split_once("next at ") else {
        return detail.to_owned();
    };
    match after.starts_with("00:00 ") {
        true => detail.to_owned(),
        false => format!("{before}next at <that moment>)"),
    }
}

#[tokio::test]
async fn each_of_eight_rules_says_why_it_rejects() {
    let soon = Timestamp::now() + SignedDuration::from_mins(1);
    let zone = ZONES[usize::from(midnight(ZONES[0]) < soon)];
    let gate = Gate::dev().await;
    let closes_at = open(&gate, zone).await;
    let mut moments = Moments {
        zone,
        known: vec![
            (midnight(zone), "the next midnight in Asia/Kolkata"),
            (
                closes_at - SignedDuration::from_hours(24),
                "one day before the closing",
            ),
        ],
    };
    // Who orders how much, on which device; the ones before the last are admitted.
    type Order = (&'static str, u32, Option<&'static str>);
    let stories: [(&str, &[Order]); 8] = [
        ("order-too-large", &[("ann", 6, None)]),
        ("not-invited", &[("kim", 1, None)]),
        (
            "limit-per-user",
            &[("bob?tier=gold", 3, None), ("bob?tier=gold", 2, None)],
        ),
        (
            "limit-per-window",
            &[
                ("dan?tier=gold", 1, None),
                ("dan?tier=gold", 1, None),
                ("dan?tier=gold", 1, None),
            ],
        ),
        (
            "limit-per-device",
            &[("eve", 1, Some("d1")), ("fay", 1, Some("d1"))],
        ),
        ("limit-per-tier", &[("cid", 3, None)]),
        (
            "region-quota",
            &[("gus?tier=gold&region=eu", 3, None), ("hal?region=eu", 1, None)],
        ),
        (
            "cooldown",
            &[("ivy?household=h1", 1, None), ("jon?household=h1", 1, None)],
        ),
    ];
    let (mut shown, mut admitted) = (String::new(), 0);
    for (reason, orders) in stories {
        let (last, before) = orders.split_last().expect("somebody orders");
        for (user, quantity, device) in before {
            let order = place(&gate, user, *quantity, *device).await.expect(202).json();
            admitted += quantity;
            let placed_at: Timestamp = order["placed_at"]
                .as_str()
                .expect("a time")
                .parse()
                .expect("a time");
            moments.known.push((
                placed_at + SignedDuration::from_hours(1),
                "one hour after the order before it",
            ));
        }
        let (user, quantity, device) = last;
        let reply = place(&gate, user, *quantity, *device).await;
        let device = device.map_or_else(String::new, |device| format!(" on device {device}"));
        shown += &format!("{user} orders {quantity}{device}\n{}\n", moments.text(&reply));
        let problem: Value = reply.refused(409, reason);
        assert!(
            problem["constraint"]
                .as_str()
                .is_some_and(|name| name.ends_with(reason)),
            "{problem}"
        );
    }
    insta::with_settings!({snapshot_path => ".", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("eight-rules", shown);
    });
    let figures = gate.figures("spring").await;
    assert_eq!(
        figures["skus"][0]["remaining"],
        30 - admitted,
        "a rejected order uses up nothing: {figures}"
    );
}
