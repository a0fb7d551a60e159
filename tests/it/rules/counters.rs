//! The ids of the built-in rules' counters: what keeps a count over revisions, and what begins a new one.

use serde_json::{Value, json};
use testkit::modules::{Modules, Rule};

use crate::rules::parameters::{context, window};

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
            json!({"tiers": {"a": 1}, "others": 1, "count": "units"}),
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
