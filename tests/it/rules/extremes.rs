//! Parameters at their largest, and what the rules' READMEs show: both must make plans that the host accepts.

use rushgate::campaign::Sku;
use rushgate::lua::emit::emit;
use rushgate::plan::{AudienceRef, check};
use serde_json::{Value, json};
use testkit::modules::{Modules, Rule};

use crate::rules::parameters::context;

/// Names and values as long and as many as the schemas allow: the plan is within the bounds of the host, its
/// sentences too.
#[test]
fn the_largest_parameters_make_a_plan() {
    let mut context = context();
    let long = |prefix: &str, index: usize, length: usize| {
        format!("{prefix}{index:0>width$}", width = length - prefix.len())
    };
    let skus: Vec<String> = (0..100).map(|index| long("sku-", index, 64)).collect();
    context.skus = skus.iter().map(|id| Sku::new(id.clone(), 1_000_000)).collect();
    let list = long("list-", 0, 64);
    context.audiences.insert(list.clone(), AudienceRef::whole(1, 1));
    let values: Vec<String> = (0..100).map(|index| long("value-", index, 256)).collect();
    let table = |count: usize, each: u32| -> Value {
        values[..count]
            .iter()
            .map(|value| (value.clone(), json!(each)))
            .collect()
    };
    let zone = json!({"month": "America/Argentina/ComodRivadavia"});
    let limit = |index: usize| {
        let by: Vec<String> = (0..4).map(|part| long("claim:", 4 * index + part, 70)).collect();
        json!({"by": by, "limit": 1_000_000, "count": "units", "window": zone})
    };
    let group = |index: usize| {
        let claim = json!({"name": long("c", index, 64), "values": values[..20]});
        json!({"lead": "90d", "who": {"claim": claim}})
    };
    let by = long("claim:", 0, 70);
    let groups: Value = (0..16)
        .map(|index| (long("group-", index, 24), json!(skus[6 * index..6 * index + 6])))
        .collect();
    let of_groups = |limit: Value| {
        let mut limit = limit;
        limit["groups"] = groups.clone();
        limit
    };
    let cases = vec![
        ("one-per-user", json!({"skus": skus, "per": "sku"})),
        ("one-per-user", of_groups(json!({}))),
        ("n-per-user", json!({"limit": 1_000_000, "skus": skus})),
        ("n-per-user", of_groups(json!({"limit": 1_000_000}))),
        (
            "per-window",
            of_groups(json!({"limit": 1_000_000, "window": zone})),
        ),
        (
            "per-subject",
            json!({"limits": (0..2).map(|index| of_groups(limit(index))).collect::<Vec<_>>()}),
        ),
        (
            "tiered",
            of_groups(
                json!({"tiers": table(100, 1_000_000), "others": 1_000_000, "claim": long("c", 0, 64), "window": zone}),
            ),
        ),
        (
            "per-window",
            json!({"limit": 1_000_000, "window": zone, "count": "units", "per": "user-and-sku"}),
        ),
        (
            "per-subject",
            json!({"limits": (0..8).map(limit).collect::<Vec<_>>()}),
        ),
        (
            "tiered",
            json!({"tiers": table(100, 1_000_000), "others": 1_000_000, "count": "units", "claim": long("c", 0, 64), "window": zone}),
        ),
        ("tiered", json!({"tiers": table(100, 0), "others": 1})),
        ("audience", json!({"list": list, "by": by, "mode": "deny"})),
        (
            "early-access",
            json!({"opens_at": "2026-03-01T00:00:00.000+00:00", "groups": (0..8).map(group).collect::<Vec<_>>()}),
        ),
        (
            "region-quota",
            json!({"mode": "cap", "shares": table(64, 15), "unit": "permille", "region": by, "release": {"before_closing": "1h1m1s1ms"}}),
        ),
        (
            "region-quota",
            json!({"shares": table(16, 60), "others": 40, "unit": "permille", "region": by, "release": {"before_closing": "1h1m1s1ms"}}),
        ),
        (
            "region-quota",
            json!({"mode": "cap", "shares": table(64, 15_000), "unit": "units"}),
        ),
        (
            "cooldown",
            json!({"pause": "799d23h59m59s999ms", "by": limit(0)["by"]}),
        ),
        (
            "order-cap",
            json!({"max": 1_000_000, "min": 500_000, "pack": 500_000, "skus": skus}),
        ),
    ];
    for (module, params) in cases {
        let rule = Rule::new(module, params);
        let plan = Modules::shared().merged(std::slice::from_ref(&rule), &context);
        let checked = check(plan, context.clone()).unwrap_or_else(|error| panic!("{module}: {error}"));
        emit(std::sync::Arc::new(checked), 1).unwrap_or_else(|error| panic!("{module}: {error}"));
    }
}

/// The indented JSON of a README, and its text.
fn readme(module: &str) -> (Value, String) {
    let path = format!("{}/rules/{module}/README.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let block: Vec<&str> = text.lines().filter(|line| line.starts_with("    ")).collect();
    let rule = serde_json::from_str(&block.join("\n")).unwrap_or_else(|error| panic!("{path}: {error}"));
    (rule, text)
}

#[test]
fn readmes_show_parameters_that_compile_and_name_them_all() {
    let modules = Modules::shared();
    for module in &modules.all {
        let descriptor = &module.inspected.descriptor;
        let id = descriptor.id.as_str();
        let (rule, text) = readme(id);
        assert_eq!(rule["module"], id);
        let rule = Rule::new(id, rule["params"].clone());
        let plan = modules.merged(std::slice::from_ref(&rule), &context());
        check(plan, context()).unwrap_or_else(|error| panic!("{rule:?}: {error}"));
        let properties = descriptor.params_schema["properties"]
            .as_object()
            .expect("an object's schema");
        for name in properties.keys() {
            assert!(
                text.contains(&format!("| `{name}` |")),
                "{id}: the README says nothing about {name}"
            );
            let field = &properties[name];
            assert!(
                field["description"].is_string(),
                "{id}: {name} has no description"
            );
        }
        for reason in &descriptor.reasons {
            assert!(
                text.contains(&format!("`{}`", reason.code)),
                "{id}: the README does not name {}",
                reason.code
            );
        }
    }
}
