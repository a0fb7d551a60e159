//! The ids of the built-in rules' counters: what keeps a count over revisions, and what begins a new one.

use serde_json::{Value, json};
use testkit::modules::{Modules, Rule};

use crate::rules::parameters::{context, window};

/// What counted orders by default goes on doing so under its version, and under the same ids.
#[test]
fn versions_that_were_released_count_as_they_did() {
    let plan = |selector: &str, params: &Value| {
        let rule = Rule {
            name: "rule".into(),
            ..Rule::new(selector, params.clone())
        };
        Modules::shared().merged(&[rule], &context())
    };
    for (module, params) in [
        ("one-per-user", json!({})),
        ("one-per-user", json!({"per": "sku"})),
        ("n-per-user", json!({"limit": 2})),
        ("per-window", window(json!({"day": "UTC"}))),
        ("per-subject", json!({"limits": [{"by": ["ip"], "limit": 1}]})),
        ("tiered", json!({"tiers": {"a": 1}, "others": 1})),
    ] {
        let before = plan(&format!("{module}@1.0.0"), &params);
        let mut orders = params.clone();
        match &mut orders["limits"] {
            Value::Array(limits) => limits[0]["count"] = json!("orders"),
            _ => {
                orders.as_object_mut().map(|params| params.remove("limits"));
                orders["count"] = json!("orders");
            }
        }
        let after = plan(module, &orders);
        assert_eq!(before.counters.len(), after.counters.len(), "{module}");
        for (one, other) in before.counters.iter().zip(&after.counters) {
            assert_eq!(
                (&one.id, &one.key, &one.window, &before.nodes[one.cost as usize]),
                (
                    &other.id,
                    &other.key,
                    &other.window,
                    &after.nodes[other.cost as usize]
                ),
                "{module}"
            );
        }
        assert_ne!(
            before.counters[0].id,
            plan(module, &params).counters[0].id,
            "{module}: units"
        );
    }
}

/// A changed limit keeps the counter; whatever changes what is counted has another.
#[test]
fn ids_of_counters_follow_what_is_counted() {
    let ids = |module: &str, params: Value| -> Vec<String> {
        let plan = Modules::shared().merged(&[Rule::new(module, params)], &context());
        plan.counters.into_iter().map(|counter| counter.id).collect()
    };
    let same = [
        (
            "per-window",
            json!({"limit": 1, "window": {"day": "UTC"}}),
            json!({"limit": 9, "window": {"day": "UTC"}}),
        ),
        (
            "per-window",
            window(json!({"rolling": "90m"})),
            window(json!({"rolling": "1h30m"})),
        ),
        (
            "per-subject",
            json!({"limits": [{"by": ["ip", "client:device"], "limit": 1}]}),
            json!({"limits": [{"by": ["client:device", "ip"], "limit": 2}]}),
        ),
        (
            "tiered",
            json!({"tiers": {"a": 1}, "others": 1}),
            json!({"tiers": {"b": 2}, "others": 0, "claim": "level"}),
        ),
        // The same SKUs, however they are listed or named; each SKU for itself, whichever are limited.
        (
            "n-per-user",
            json!({"limit": 1, "skus": ["mug", "riesling"]}),
            json!({"limit": 2, "groups": {"all": ["riesling", "mug"]}}),
        ),
        (
            "n-per-user",
            json!({"limit": 1, "per": "sku"}),
            json!({"limit": 1, "per": "sku", "skus": ["mug"]}),
        ),
        ("cooldown", json!({"pause": "1m"}), json!({"pause": "1h"})),
        (
            "region-quota",
            json!({"mode": "cap", "shares": {"eu": 1}}),
            json!({"mode": "cap", "shares": {"us": 20}, "unit": "permille", "others": 30}),
        ),
        (
            "region-quota",
            json!({"shares": {"eu": 1, "us": 2}, "others": 0}),
            json!({"shares": {"eu": 20, "us": 1}, "others": 7, "release": {"after_opening": "1h"}}),
        ),
    ];
    for (module, one, other) in same {
        assert_eq!(
            ids(module, one.clone()),
            ids(module, other.clone()),
            "{module} {one} {other}"
        );
    }
    let different = [
        (
            "per-window",
            window(json!({"day": "UTC"})),
            window(json!({"week": "UTC"})),
        ),
        (
            "per-window",
            window(json!({"day": "UTC"})),
            window(json!({"day": "Asia/Tokyo"})),
        ),
        (
            "per-window",
            window(json!({"rolling": "1h"})),
            window(json!({"rolling": "2h"})),
        ),
        (
            "per-window",
            window(json!({"rolling": "1h"})),
            window(json!({"tumbling": {"length": "1h"}})),
        ),
        (
            "per-window",
            window(json!({"tumbling": {"length": "1h"}})),
            window(json!({"tumbling": {"length": "1h", "from": "2026-03-01T00:30:00Z"}})),
        ),
        (
            "per-window",
            window(json!({"day": "UTC"})),
            json!({"limit": 2, "window": {"day": "UTC"}, "per": "user-and-sku"}),
        ),
        (
            "per-subject",
            json!({"limits": [{"by": ["client:device"], "limit": 1}]}),
            json!({"limits": [{"by": ["claim:device"], "limit": 1}]}),
        ),
        (
            "tiered",
            json!({"tiers": {"a": 1}, "others": 1}),
            json!({"tiers": {"a": 1}, "others": 1, "count": "orders"}),
        ),
        ("one-per-user", json!({}), json!({"count": "orders"})),
        ("one-per-user", json!({}), json!({"skus": ["mug"]})),
        (
            "n-per-user",
            json!({"limit": 1, "skus": ["mug"]}),
            json!({"limit": 1, "skus": ["mug", "riesling"]}),
        ),
        (
            "n-per-user",
            json!({"limit": 1, "skus": ["mug"]}),
            json!({"limit": 1, "skus": ["mug"], "per": "sku"}),
        ),
        (
            "cooldown",
            json!({"pause": "1m"}),
            json!({"pause": "1m", "by": ["ip"]}),
        ),
        (
            "region-quota",
            json!({"shares": {"eu": 1}}),
            json!({"shares": {"eu": 1}, "region": "client:region"}),
        ),
        (
            "region-quota",
            json!({"mode": "cap", "shares": {"eu": 1}}),
            json!({"mode": "cap", "shares": {"eu": 1}, "region": "client:region"}),
        ),
        (
            "region-quota",
            json!({"mode": "reserve", "shares": {"eu": 1}}),
            json!({"mode": "cap", "shares": {"eu": 1}}),
        ),
        (
            "region-quota",
            json!({"shares": {"eu": 1}}),
            json!({"shares": {"us": 1}}),
        ),
    ];
    for (module, one, other) in different {
        assert_ne!(
            ids(module, one.clone()),
            ids(module, other.clone()),
            "{module} {one} {other}"
        );
    }
}
