//! Tests of merging.

use super::*;
use crate::order::{Attempt, OrderId};
use crate::plan::{EarlyAccess, Measure, SkuTexts, Window, slots};

/// One counter per user, one constraint over it, early access.
fn rule(name: &str) -> RulePlan {
    RulePlan {
        name: name.to_owned(),
        plan: Plan {
            nodes: vec![
                Expr::Int(1),
                Expr::Counter(0),
                Expr::Add(1, 0),
                Expr::Int(2),
                Expr::Le(2, 3),
                Expr::Attribute(Attribute::Claim("tier".into())),
                Expr::OneOf(5, vec!["gold".into()]),
            ],
            counters: vec![Counter {
                id: "orders".into(),
                key: vec![Attribute::User, Attribute::Client("device".into())],
                window: Window::Campaign,
                cost: 0,
            }],
            constraints: vec![Constraint {
                when: Some(6),
                require: 4,
                reason: "too-many".into(),
                rule: String::new(),
                retryable: false,
                sentence: "At most two.".into(),
                measure: Some(Measure { counter: 0, limit: 3 }),
            }],
            early_access: vec![EarlyAccess {
                lead_ms: 1000,
                when: 6,
                sentence: "Gold first.".into(),
            }],
            required: Vec::new(),
        },
        reasons: vec![("other".into(), false), ("too-many".into(), true)],
        attributes: vec![
            (Attribute::User, true),
            (Attribute::Claim("tier".into()), false),
            (Attribute::Client("device".into()), true),
        ],
    }
}

fn refusal(change: impl FnOnce(&mut RulePlan)) -> (String, &'static str) {
    let mut second = rule("second");
    change(&mut second);
    let error = merge(vec![rule("first"), second]).expect_err("refused");
    (error.at, error.code)
}

#[test]
fn indices_are_shifted_and_names_prefixed() {
    let plan = merge(vec![rule("first"), rule("second")]).expect("merges");
    assert_eq!(plan.nodes.len(), 14);
    assert_eq!(plan.nodes[8], Expr::Counter(1));
    assert_eq!(plan.nodes[9], Expr::Add(8, 7));
    assert_eq!(plan.nodes[13], Expr::OneOf(12, vec!["gold".into()]));
    assert_eq!(plan.counters[0].id, "first/orders");
    assert_eq!(
        (plan.counters[1].id.as_str(), plan.counters[1].cost),
        ("second/orders", 7)
    );
    let second = &plan.constraints[1];
    assert_eq!((second.when, second.require), (Some(13), 11));
    assert_eq!(
        second.measure,
        Some(Measure {
            counter: 1,
            limit: 10
        })
    );
    assert_eq!((second.rule.as_str(), second.retryable), ("second", true));
    assert_eq!(plan.early_access[1].when, 13);
    assert_eq!(plan.required, [Attribute::Client("device".into())]);
}

#[test]
fn whoever_has_an_address_counts_once_in_its_network() {
    let mut one = rule("one");
    one.attributes = vec![(Attribute::Ip, true)];
    one.plan.counters[0].key = vec![Attribute::Ip];
    one.plan.nodes[5] = Expr::Attribute(Attribute::Ip);
    let merged = merge(vec![one]).expect("merges");
    assert_eq!(merged.counters[0].key, [Attribute::IpNetwork]);
    assert_eq!(
        merged.nodes[5],
        Expr::Attribute(Attribute::Ip),
        "the address itself can be read"
    );
    // What an order must have is the address, and that is what is kept of it.
    assert_eq!(merged.required, [Attribute::Ip]);
    let reached = vec![true; merged.nodes.len()];
    assert_eq!(slots::attributes(&merged, &reached), [Attribute::Ip].into());
    let subject = |key: &[Attribute], ip: &str| {
        let attempt = Attempt {
            order: OrderId::keyed("spring", "ada", "k"),
            user: "ada".into(),
            sku: "mug".into(),
            quantity: 1,
            attributes: [("ip".to_owned(), ip.to_owned())].into(),
        };
        slots::compose_subject(key, &attempt, &SkuTexts::default())
    };
    for (ip, counted) in [
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("203.0.113.5", "203.0.113.5"),
        ("", ""),
    ] {
        assert_eq!(subject(&[Attribute::IpNetwork], ip), counted, "{ip}");
        assert_eq!(
            subject(&[Attribute::Ip], ip),
            ip,
            "a plan of before counts as before"
        );
    }
    assert_eq!(
        subject(&[Attribute::User, Attribute::IpNetwork], "2001:db8:1:2::1"),
        "3:ada17:2001:db8:1:2::/64"
    );
}

/// A gateway that does not know how the counter counts must not read the plan as another one.
#[test]
fn the_plan_says_how_addresses_count() {
    let json = serde_json::to_string(&[Attribute::Ip, Attribute::IpNetwork]).expect("JSON");
    assert_eq!(json, r#"["ip","ip-network"]"#);
}

#[test]
fn nothing_merges_to_nothing() {
    assert_eq!(merge(Vec::new()), Ok(Plan::default()));
}

#[test]
fn what_a_module_did_not_declare_is_refused() {
    let at = |at: &str, code| (format!("rules/1/{at}"), code);
    assert_eq!(
        refusal(|rule| rule.plan.constraints[0].reason = "made-up".into()),
        at("constraints/0/reason", "name")
    );
    assert_eq!(
        refusal(|rule| {
            rule.attributes.remove(1);
        }),
        at("nodes/5", "attribute")
    );
    assert_eq!(
        refusal(|rule| {
            rule.attributes.remove(2);
        }),
        at("counters/0/key", "attribute")
    );
    assert_eq!(
        refusal(|rule| rule.plan.required.push(Attribute::Ip)),
        at("required/0", "attribute")
    );
    assert_eq!(
        refusal(|rule| {
            rule.plan.nodes.push(Expr::Member {
                audience: "vip".into(),
                of: Attribute::Ip,
            });
        }),
        at("nodes/7", "attribute")
    );
}

#[test]
fn no_reference_reaches_into_another_rule() {
    let at = |at: &str| (format!("rules/1/{at}"), "index");
    assert_eq!(
        refusal(|rule| rule.plan.nodes[1] = Expr::Counter(1)),
        at("nodes/1")
    );
    assert_eq!(
        refusal(|rule| rule.plan.nodes[2] = Expr::Add(2, 0)),
        at("nodes/2")
    );
    assert_eq!(
        refusal(|rule| rule.plan.nodes[2] = Expr::Not(u32::MAX)),
        at("nodes/2")
    );
    assert_eq!(
        refusal(|rule| rule.plan.counters[0].cost = 7),
        at("counters/0/cost")
    );
    assert_eq!(
        refusal(|rule| rule.plan.constraints[0].when = Some(7)),
        at("constraints/0/when")
    );
    assert_eq!(
        refusal(|rule| rule.plan.constraints[0].require = u32::MAX),
        at("constraints/0/require")
    );
    let measure = |counter, limit| {
        move |rule: &mut RulePlan| {
            rule.plan.constraints[0].measure = Some(Measure { counter, limit });
        }
    };
    assert_eq!(refusal(measure(1, 0)), at("constraints/0/measure/counter"));
    assert_eq!(refusal(measure(0, 7)), at("constraints/0/measure/limit"));
    assert_eq!(
        refusal(|rule| rule.plan.early_access[0].when = 7),
        at("early_access/0/when")
    );
}

#[test]
fn names_are_checked() {
    let name = ("rules/1/name".to_owned(), "name");
    assert_eq!(refusal(|rule| rule.name = "first".into()), name);
    assert_eq!(refusal(|rule| rule.name = "a/b".into()), name);
    assert_eq!(refusal(|rule| rule.name = "-a".into()), name);
    assert_eq!(refusal(|rule| rule.name = "a".repeat(65)), name);
    let id = refusal(|rule| rule.plan.counters[0].id = "a/b".into());
    assert_eq!(id, ("rules/1/counters/0/id".to_owned(), "name"));
}

#[test]
fn too_much_together_is_refused() {
    let many = (0..9).map(|index| rule(&format!("rule-{index}"))).collect();
    assert_eq!(merge(many).expect_err("refused").at, "rules");
    let mut large = rule("large");
    large.plan.nodes.resize(PLAN_NODES_MAX, Expr::Int(0));
    assert_eq!(
        merge(vec![large, rule("small")]).expect_err("refused").code,
        "bound"
    );
}
