//! What merchants can mistake: every diagnostic of the built-in rules, with its pointer.

use rushgate::campaign::{Schedule, Sku};
use rushgate::plan::{AudienceRef, CheckContext, check};
use serde_json::{Value, json};
use testkit::modules::{Modules, Rule};

/// 2026-03-01T00:00:00Z, for ten days.
const OPENS_AT: i64 = 1_772_323_200_000;
const OPENING: &str = "2026-03-01T00:00:00Z";

pub fn context() -> CheckContext {
    let sku = |id: &str, stock| Sku::new(id, stock);
    CheckContext {
        campaign: "spring-sale".into(),
        schedule: Schedule {
            opens_at: OPENS_AT,
            closes_at: OPENS_AT + 10 * 86_400_000,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        skus: vec![sku("mug", 100), sku("riesling", 1000)].into(),
        audiences: [("vip".to_owned(), AudienceRef::whole(1, 1))].into(),
        buckets: 1,
    }
}

/// `<pointer> <code>` of everything that is wrong.
fn problems(module: &str, params: Value) -> Vec<String> {
    let rule = Rule::new(module, params);
    match Modules::shared().compile(&rule, &context()) {
        Ok(_) => panic!("{rule:?} is accepted"),
        Err(problems) => {
            for problem in &problems {
                assert!(
                    problem.hint.is_some() || problem.message.len() > 10,
                    "{problem:?}"
                );
            }
            problems
                .iter()
                .map(|problem| format!("{} {}", problem.pointer, problem.code))
                .collect()
        }
    }
}

pub fn window(window: Value) -> Value {
    json!({"limit": 2, "window": window})
}

#[test]
fn what_no_schema_can_say_is_said_with_pointer_and_hint() {
    let rolling_orders = json!({"limit": 1001, "count": "orders", "window": {"rolling": "1h"}});
    let subject = |limit: Value| json!({"limits": [limit]});
    let twice = json!({"limits": [
        {"by": ["client:device", "ip"], "limit": 1},
        {"by": ["ip", "client:device"], "limit": 2},
    ]});
    let tiers = |tiers: Value, others| json!({"tiers": tiers, "others": others});
    let gold = |lead: &str| json!({"lead": lead, "who": {"claim": {"values": ["gold"]}}});
    let shares = |shares: Value, unit: &str| json!({"shares": shares, "unit": unit});
    let release = |release: Value| json!({"shares": {"eu": 10}, "release": release});
    let cases = vec![
        (
            "per-window",
            window(json!({"rolling": "0s"})),
            "/window/rolling too-short",
        ),
        (
            "per-window",
            window(json!({"rolling": "801d"})),
            "/window/rolling too-long",
        ),
        (
            "per-window",
            window(json!({"tumbling": {"length": "999ms"}})),
            "/window/tumbling/length too-short",
        ),
        (
            "per-window",
            window(json!({"tumbling": {"length": "9999999d"}})),
            "/window/tumbling/length too-long",
        ),
        (
            "per-window",
            window(json!({"tumbling": {"length": "1h", "from": "2926-01-01T00:00:00Z"}})),
            "/window/tumbling/from too-late",
        ),
        ("per-window", rolling_orders, "/limit too-many"),
        (
            "per-subject",
            subject(json!({"by": ["sku"], "limit": 1})),
            "/limits/0/by no-buyer",
        ),
        (
            "per-subject",
            subject(json!({"by": ["ip"], "limit": 1, "window": {"rolling": "0s"}})),
            "/limits/0/window/rolling too-short",
        ),
        (
            "per-subject",
            subject(json!({"by": ["ip"], "limit": 2000, "count": "orders", "window": {"rolling": "1h"}})),
            "/limits/0/limit too-many",
        ),
        ("per-subject", twice, "/limits/1 duplicate"),
        (
            "n-per-user",
            json!({"limit": 1, "skus": ["cup"]}),
            "/skus/0 unknown-sku",
        ),
        (
            "n-per-user",
            json!({"limit": 1, "groups": {"a": ["mug"], "b/c": ["riesling", "mug"]}}),
            "/groups/b~1c/1 duplicate",
        ),
        (
            "n-per-user",
            json!({"limit": 1, "groups": {" a": ["mug"]}}),
            "/groups/ a name",
        ),
        (
            "n-per-user",
            json!({"limit": 1, "per": "sku", "groups": {"a": ["mug"]}}),
            "/per each-and-groups",
        ),
        (
            "one-per-user",
            json!({"skus": ["mug"], "groups": {"a": ["mug"]}}),
            "/groups skus-and-groups",
        ),
        (
            "one-per-user",
            json!({"groups": {"a": ["cup"]}}),
            "/groups/a/0 unknown-sku",
        ),
        (
            "per-window",
            json!({"limit": 1, "window": {"day": "UTC"}, "per": "user-and-sku", "groups": {"a": ["mug"]}}),
            "/per each-and-groups",
        ),
        (
            "tiered",
            json!({"tiers": {"gold": 1}, "others": 1, "skus": ["mug", "cup"]}),
            "/skus/1 unknown-sku",
        ),
        (
            "per-subject",
            subject(json!({"by": ["ip"], "limit": 1, "skus": ["cup"]})),
            "/limits/0/skus/0 unknown-sku",
        ),
        (
            "per-subject",
            json!({"limits": [
                {"by": ["ip"], "limit": 1, "skus": ["mug"]},
                {"by": ["ip"], "limit": 2, "groups": {"mugs": ["mug"]}},
            ]}),
            "/limits/1 duplicate",
        ),
        ("tiered", tiers(json!({"gold": 0}), 0), "/others nobody"),
        ("tiered", tiers(json!({"": 1}), 1), "/tiers empty"),
        ("tiered", tiers(json!({"gold ": 1}), 1), "/tiers spaces"),
        (
            "tiered",
            tiers(json!({"go\nld": 1}), 1),
            "/tiers control-character",
        ),
        (
            "early-access",
            json!({"opens_at": OPENING, "groups": [gold("0m")]}),
            "/groups/0/lead bound",
        ),
        (
            "early-access",
            json!({"opens_at": OPENING, "groups": [gold("91d")]}),
            "/groups/0/lead bound",
        ),
        (
            "early-access",
            json!({"opens_at": OPENING, "groups": [gold("1h"), gold("2h")]}),
            "/groups/1 duplicate",
        ),
        (
            "region-quota",
            shares(json!({"eu": 60, "us": 41}), "percent"),
            "/shares over-whole",
        ),
        (
            "region-quota",
            shares(json!({"eu": 600, "us": 401}), "permille"),
            "/shares over-whole",
        ),
        (
            "region-quota",
            shares(json!({"eu": 60, "us": 41}), "units"),
            "/shares over-whole",
        ),
        (
            "region-quota",
            shares(json!({"eu": 9}), "permille"),
            "/shares less-than-one",
        ),
        (
            "region-quota",
            json!({"shares": (0..17).map(|n| (format!("r{n}"), json!(1))).collect::<serde_json::Map<_, _>>()}),
            "/shares too-many",
        ),
        (
            "region-quota",
            json!({"shares": {"eu": 10}, "region": "ip"}),
            "/region no-region",
        ),
        (
            "region-quota",
            release(json!({"after_opening": "11d"})),
            "/release outside",
        ),
        (
            "region-quota",
            release(json!({"before_closing": "10d"})),
            "/release outside",
        ),
        (
            "region-quota",
            release(json!({"at": "2026-02-28T00:00:00Z"})),
            "/release outside",
        ),
        ("cooldown", json!({"pause": "0s"}), "/pause bound"),
        ("cooldown", json!({"pause": "801d"}), "/pause bound"),
        ("cooldown", json!({"pause": "1m", "by": ["sku"]}), "/by no-buyer"),
        ("order-cap", json!({}), " nothing-limited"),
        ("order-cap", json!({"max": 2, "min": 3}), "/min min-over-max"),
        (
            "order-cap",
            json!({"max": 10, "pack": 6}),
            "/max max-not-whole-packs",
        ),
        (
            "order-cap",
            json!({"max": 4, "pack": 6}),
            "/max max-not-whole-packs",
        ),
        (
            "order-cap",
            json!({"min": 5, "pack": 2}),
            "/min min-not-whole-packs",
        ),
        (
            "order-cap",
            json!({"max": 1, "skus": ["cup"]}),
            "/skus/0 unknown-sku",
        ),
        (
            "order-cap",
            json!({"max": 1, "skus": ["mug", "mug"]}),
            "/skus/1 duplicate",
        ),
    ];
    for (module, params, expected) in cases {
        let shown = params.to_string();
        assert_eq!(problems(module, params), [expected], "{module} {shown}");
    }
}

/// What the schema alone refuses, so that a form can say it before anything is sent.
#[test]
fn schemas_refuse_what_is_out_of_form_or_bounds() {
    let cases = vec![
        (
            "per-window",
            json!({"limit": 0, "window": {"day": "UTC"}}),
            "/limit minimum",
        ),
        ("per-window", json!({"limit": 1}), "/window required"),
        ("per-window", window(json!({"rolling": "a day"})), "/window oneOf"),
        (
            "per-window",
            window(json!({"day": "UTC", "week": "UTC"})),
            "/window oneOf",
        ),
        ("per-subject", json!({"limits": []}), "/limits minItems"),
        (
            "per-subject",
            json!({"limits": [{"by": ["device"], "limit": 1}]}),
            "/limits/0/by/0 pattern",
        ),
        (
            "per-subject",
            json!({"limits": [{"by": ["ip", "ip"], "limit": 1}]}),
            "/limits/0/by uniqueItems",
        ),
        (
            "tiered",
            json!({"tiers": {"gold": 1_000_001}, "others": 1}),
            "/tiers/gold maximum",
        ),
        (
            "tiered",
            json!({"tiers": {}, "others": 1}),
            "/tiers minProperties",
        ),
        ("tiered", json!({"tiers": {"gold": 1}}), "/others required"),
        (
            "n-per-user",
            json!({"limit": 1, "skus": ["mug", "mug"]}),
            "/skus uniqueItems",
        ),
        ("n-per-user", json!({"limit": 1, "skus": []}), "/skus minItems"),
        (
            "n-per-user",
            json!({"limit": 1, "groups": {"mugs": []}}),
            "/groups/mugs minItems",
        ),
        (
            "n-per-user",
            json!({"limit": 1, "groups": {}}),
            "/groups minProperties",
        ),
        (
            "early-access",
            json!({"groups": [{"lead": "1h", "who": {"list": {"id": "vip"}}}]}),
            "/opens_at required",
        ),
        ("audience", json!({"list": "no spaces here"}), "/list pattern"),
        ("audience", json!({"list": "vip", "mode": "maybe"}), "/mode enum"),
        (
            "region-quota",
            json!({"shares": {"eu": -1}}),
            "/shares/eu minimum",
        ),
        (
            "region-quota",
            json!({"shares": {"eu": 1}, "mode": "quota"}),
            "/mode enum",
        ),
        ("cooldown", json!({"pause": "30"}), "/pause pattern"),
        ("order-cap", json!({"pack": 1}), "/pack minimum"),
        ("order-cap", json!({"cap": 1}), "/cap unknown-field"),
    ];
    for (module, params, expected) in cases {
        let shown = params.to_string();
        assert_eq!(problems(module, params), [expected], "{module} {shown}");
    }
}

/// The longest the SDK allows is what the host allows, to the millisecond.
#[test]
fn the_bounds_of_the_sdk_are_those_of_the_host() {
    let day = 86_400_000;
    let early = json!({"opens_at": OPENING, "groups": [{"lead": "90d", "who": {"list": {"id": "vip"}}}]});
    let cases = vec![
        (
            "per-window",
            window(json!({"rolling": "800d"})),
            rushgate::plan::WINDOW_MS_MAX,
            800 * day,
        ),
        (
            "per-window",
            window(json!({"tumbling": {"length": "1s"}})),
            rushgate::plan::TUMBLING_MS_MIN,
            1000,
        ),
        (
            "cooldown",
            json!({"pause": "800d"}),
            rushgate::plan::WINDOW_MS_MAX,
            800 * day,
        ),
        (
            "early-access",
            early,
            rushgate::plan::EARLY_ACCESS_MS_MAX,
            90 * day,
        ),
        (
            "per-window",
            json!({"limit": 1000, "window": {"rolling": "1h"}}),
            rushgate::plan::ROLLING_ORDERS_MAX as i64,
            1000,
        ),
    ];
    for (module, params, host, here) in cases {
        assert_eq!(host, here, "{module} {params}");
        let rule = Rule::new(module, params);
        let plan = Modules::shared().merged(std::slice::from_ref(&rule), &context());
        check(plan, context()).unwrap_or_else(|error| panic!("{rule:?}: {error}"));
    }
}

/// Whether a zone exists is for the host to say, and it names the zone.
#[test]
fn an_unknown_zone_is_refused_by_the_host() {
    let rule = Rule::new("per-window", window(json!({"day": "Europe/Atlantis"})));
    let plan = Modules::shared().merged(&[rule], &context());
    let error = check(plan, context()).expect_err("there is no such zone");
    assert!(error.message.contains("Europe/Atlantis"), "{error}");
}
