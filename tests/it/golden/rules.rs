//! Golden text of the rules of `rules/dist`: what a merchant writes, the explanation, and the script. One per rule,
//! and one per pair of rules that meet in an interesting way. What a change to a rule, to the explanation or to the
//! emitter does shows here; `INSTA_UPDATE=always cargo test --test it golden::` writes them anew.

use std::sync::Arc;

use rushgate::campaign::{Schedule, Sku};
use rushgate::lua::emit::emit;
use rushgate::plan::explain::explain;
use rushgate::plan::{AudienceRef, CheckContext, check};
use serde_json::{Value, json};
use testkit::modules::{Modules, Rule};

/// 2026-03-28T09:00:00Z, for two days: the clocks of Berlin change in the second night.
fn context() -> CheckContext {
    let opens_at = 1_774_688_400_000;
    CheckContext {
        campaign: "spring-sale".into(),
        schedule: Schedule {
            opens_at,
            closes_at: opens_at + 2 * 86_400_000,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        skus: vec![Sku::new("mug", 1000), Sku::new("shirt", 200)].into(),
        audiences: [("vip".to_owned(), AudienceRef::whole(3, 4))].into(),
        buckets: 4,
    }
}

fn text(rules: &[Rule]) -> String {
    let context = context();
    let plan = Modules::shared().merged(rules, &context);
    let checked = check(plan, context).unwrap_or_else(|error| panic!("{rules:#?}: {error}"));
    let explanation = explain(&checked).join("\n");
    let family = emit(Arc::new(checked), 2).expect("it fits a script");
    let rules = rules.iter().map(|rule| {
        let params = serde_json::to_string_pretty(&rule.params).expect("JSON");
        format!("{}: {params}\n", rule.module)
    });
    format!(
        "{}\n{explanation}\n\n{}",
        rules.collect::<String>(),
        family.admit.text
    )
}

fn assert_golden(name: &str, of_interest: &str, rules: &[Rule]) {
    insta::with_settings!({snapshot_path => "rules", prepend_module_to_snapshot => false, omit_expression => true, description => of_interest}, {
        insta::assert_snapshot!(name, text(rules));
    });
}

fn params(module: &str) -> Value {
    match module {
        "one-per-user" => json!({}),
        "n-per-user" => json!({"limit": 3, "groups": {"mugs": ["mug"], "shirts": ["shirt"]}}),
        "per-window" => json!({"limit": 2, "window": {"day": "Europe/Berlin"}}),
        "per-subject" => json!({"limits": [
            {"by": ["client:device"], "limit": 1},
            {"by": ["ip"], "limit": 5, "window": {"rolling": "10m"}},
        ]}),
        "tiered" => json!({"tiers": {"gold": 4, "silver": 2, "blocked": 0}, "others": 1}),
        "audience" => json!({"list": "vip"}),
        "early-access" => json!({"opens_at": "2026-03-28T09:00:00Z", "groups": [
            {"lead": "30m", "who": {"list": {"id": "vip"}}},
            {"lead": "10m", "who": {"claim": {"values": ["gold"]}}},
        ]}),
        "region-quota" => {
            json!({"shares": {"eu": 40, "us": 30}, "others": 10, "release": {"after_opening": "2h"}})
        }
        "cooldown" => json!({"pause": "30s"}),
        "order-cap" => json!({"max": 12, "min": 2, "pack": 2}),
        other => panic!("no parameters for {other}"),
    }
}

#[test]
fn every_rule_reads_as_it_did() {
    for module in &Modules::shared().all {
        let id = module.inspected.descriptor.id.as_str();
        assert_golden(
            id,
            module.inspected.descriptor.title.as_str(),
            &[Rule::new(id, params(id))],
        );
    }
    let caps = json!({"mode": "cap", "shares": {"eu": 40, "us": 30}, "others": 10, "release": {"after_opening": "2h"}});
    assert_golden(
        "region-quota-cap",
        "A share of the stock per region, as its limit",
        &[Rule::new("region-quota", caps)],
    );
}

/// Which two, and what is of interest where they meet.
const PAIRS: [(&str, &str, &str); 9] = [
    (
        "one-per-user",
        "order-cap",
        "a counter beside a question of the order alone",
    ),
    (
        "n-per-user",
        "per-window",
        "the same buyer counted over two windows",
    ),
    ("per-window", "cooldown", "a calendar window beside a rolling one"),
    ("per-subject", "tiered", "several subjects, and a limit looked up"),
    (
        "per-subject",
        "cooldown",
        "two rolling windows of different subjects",
    ),
    (
        "tiered",
        "early-access",
        "the same claim decides when and how much",
    ),
    (
        "audience",
        "early-access",
        "one list asked twice: once before the opening, once for every order",
    ),
    (
        "region-quota",
        "n-per-user",
        "units counted for each region, and by buyer",
    ),
    (
        "region-quota",
        "order-cap",
        "reserves released by the clock, and whole packs",
    ),
];

#[test]
fn pairs_of_rules_read_as_they_did() {
    for (one, other, of_interest) in PAIRS {
        let rules = [Rule::new(one, params(one)), Rule::new(other, params(other))];
        assert_golden(
            &format!("{one} and {other}").replace(' ', "-"),
            of_interest,
            &rules,
        );
    }
}
