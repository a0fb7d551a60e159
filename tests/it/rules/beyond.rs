//! Modules that export `rule2`: what they answer there is the plan, and what they answer as `rule` is not asked.

use std::sync::Arc;

use rushgate::plan::{Attribute, CheckContext, Expr, check, explain};
use rushgate::wasm::examples::rule_plan;
use rushgate::wasm::{Context, Host, ModuleError};
use serde_json::json;
use testkit::forge::{Body, Forge, described, encode};

fn context() -> Context {
    Context {
        campaign: "spring".into(),
        opens_at: 1_767_225_600_000,
        closes_at: 1_767_312_000_000,
        skus: Vec::new(),
    }
}

fn forge() -> Forge {
    let claim = |name: &str| json!({"plain": {"attribute": {"claim": name}}});
    let plan = json!({
        "nodes": [
            {"plain": {"attribute": "quantity"}},
            claim("most"),
            {"number": {"of": 1, "low": 0, "high": 9, "missing": 2, "unreadable": -1}},
            {"plain": {"le": [0, 2]}},
            claim("email"),
            {"starts-with": [4, ["a", "ü"]]},
            {"ends-with": [4, ["@example.com"]]},
            {"plain": {"and": [5, 6]}},
        ],
        "constraints": [
            {"require": 3, "reason": "no", "sentence": "As many as the token says.", "when": 7},
        ],
    });
    let need = |name: &str| json!({"attribute": {"claim": name}, "required": false});
    Forge {
        describe: Body::Answer(described(json!({"attributes": [need("most"), need("email")]}))),
        // What a gateway that does not know `rule2` would get.
        compile: Body::Answer(json!({"ok": {}})),
        ..Forge::planning2(plan)
    }
}

#[tokio::test]
async fn what_rule2_answers_is_the_plan() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let bytes: Arc<[u8]> = forge().component().into();
    let inspected = host.inspect(bytes.clone()).await.expect("a module");
    let exports = host.exports(bytes.clone()).await.expect("a module");
    assert!(
        exports.contains(&"rushgate:policy/rule2@1.0.0".to_owned()),
        "{exports:?}"
    );
    let compiled = host.compile(&inspected, bytes, &context(), &json!({})).await;
    let plan = compiled.expect("a plan").plan;
    let claim = |name: &str| Expr::Attribute(Attribute::Claim(name.into()));
    let number = Expr::Number {
        of: 1,
        low: 0,
        high: 9,
        missing: 2,
        unreadable: -1,
    };
    assert_eq!(plan.nodes[1..3], [claim("most"), number]);
    assert_eq!(
        plan.nodes[5..7],
        [
            Expr::StartsWith(4, vec!["a".into(), "ü".into()]),
            Expr::EndsWith(4, vec!["@example.com".into()])
        ]
    );
    // As a revision stores it, and reads it again.
    let stored = serde_json::to_value(&plan).expect("a plan is data");
    assert_eq!(
        stored["nodes"][2],
        json!({"number": {"of": 1, "low": 0, "high": 9, "missing": 2, "unreadable": -1}})
    );
    assert_eq!(stored["nodes"][6], json!({"ends-with": [4, ["@example.com"]]}));
    assert_eq!(
        serde_json::from_value::<rushgate::plan::Plan>(stored).expect("a plan"),
        plan
    );

    let plan = rushgate::plan::merge::merge(vec![rule_plan(&inspected.descriptor, plan)]).expect("merged");
    let context = CheckContext {
        campaign: "spring".into(),
        schedule: rushgate::campaign::Schedule {
            opens_at: context().opens_at,
            closes_at: context().closes_at,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        skus: vec![rushgate::campaign::Sku::new("mug", 1)].into(),
        audiences: [].into(),
        buckets: 1,
    };
    let checked = check(plan, context).expect("passes");
    let said = explain::explain(&checked).pop().expect("a sentence");
    assert_eq!(
        said,
        "As many as the token says. Enforced: quantity ≤ (most of the token as an integer from 0 to 9; 2 where it is \
         missing, -1 where it is no such integer), where email of the token starts with one of \"a\", \"ü\" and email of \
         the token ends with \"@example.com\"."
    );
}

/// Diagnostics come through `rule2` too, and its plans have the same bounds.
#[tokio::test]
async fn rule2_refuses_and_is_bounded_as_rule_is() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let compile = async |answer| {
        let forge = Forge {
            compile2: Some(Body::Answer(answer)),
            ..Forge::default()
        };
        let bytes: Arc<[u8]> = forge.component().into();
        let inspected = host.inspect(bytes.clone()).await.expect("a module");
        host.compile(&inspected, bytes, &context(), &json!({})).await
    };
    let diagnostic = json!({"severity": "error", "pointer": "/limit", "code": "no", "message": "Not this."});
    let refused = compile(json!({"err": [diagnostic]})).await;
    let Err(ModuleError::Params(found)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (found[0].pointer.as_str(), found[0].message.as_str()),
        ("/limit", "Not this.")
    );
    let many = vec![json!({"plain": {"int": 0}}); 5000];
    let refused = compile(json!({"ok": {"nodes": many}})).await;
    assert!(
        matches!(&refused, Err(ModuleError::Misbehaved { code: "output", message, .. }) if message.contains("5000 nodes")),
        "{refused:?}"
    );
}

/// The name alone is not the interface.
#[tokio::test]
async fn another_rule2_is_refused_at_upload() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let wit = include_str!("../../../wit/policy.wit");
    let other = wit.replace(
        "ends-with(tuple<node, list<string>>)",
        "ends-with(tuple<node, string>)",
    );
    assert_ne!(wit, other);
    let core = forge().core();
    let bytes: Arc<[u8]> = testkit::forge::encode_with(core, &other, "rule-module2").into();
    let refused = host.inspect(bytes).await;
    assert!(
        matches!(&refused, Err(ModuleError::Refused { code: "wrong-world", message }) if message.contains("rule2")),
        "{refused:?}"
    );
    let newer = forge().core();
    let newer = encode(newer, "rule-module2");
    assert!(host.inspect(newer.into()).await.is_ok());
}

#[tokio::test]
async fn a_plan_reads_attributes_of_the_sku_and_counts_by_them() {
    let plan = json!({
        "nodes": [
            {"plain": {"attribute": "quantity"}},
            {"sku-attribute": "edition"},
            {"plain": {"one-of": [1, ["limited", "signed"]]}},
            {"plain": {"counter": 0}},
            {"plain": {"add": [3, 0]}},
            {"plain": {"int": 2}},
            {"plain": {"le": [4, 5]}},
        ],
        "counters": [{
            "id": "units", "key": [{"plain": "user"}, {"sku-attribute": "category"}], "window": "campaign", "cost": 0,
        }],
        "constraints": [{
            "when": 2, "require": 6, "reason": "no", "sentence": "Two of each category.",
            "measure": {"counter": 0, "limit": 5},
        }],
    });
    let host = Host::new().expect("this machine runs WebAssembly");
    let bytes: Arc<[u8]> = Forge::planning2(plan).component().into();
    let inspected = host.inspect(bytes.clone()).await.expect("a module");
    let compiled = host.compile(&inspected, bytes, &context(), &json!({})).await;
    let plan = compiled.expect("a plan").plan;
    let of = |name: &str| Attribute::OfSku(name.into());
    assert_eq!(plan.nodes[1], Expr::Attribute(of("edition")));
    assert_eq!(plan.counters[0].key, [Attribute::User, of("category")]);
    let stored = serde_json::to_value(&plan).expect("a plan is data");
    assert_eq!(
        stored["nodes"][1],
        json!({"attribute": {"sku-attribute": "edition"}})
    );
    assert_eq!(
        stored["counters"][0]["key"],
        json!(["user", {"sku-attribute": "category"}])
    );
    // No descriptor declares it.
    let merged = rushgate::plan::merge::merge(vec![rule_plan(&inspected.descriptor, plan)]);
    assert_eq!(merged.expect("merged").required, []);
}

/// What merchants and operators read has nothing hidden in it, wherever it comes from.
#[tokio::test]
async fn a_name_of_an_attribute_that_is_not_seen_is_refused() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let plan = json!({"nodes": [{"sku-attribute": "col\u{200b}our"}]});
    let bytes: Arc<[u8]> = Forge::planning2(plan).component().into();
    let inspected = host.inspect(bytes.clone()).await.expect("a module");
    let refused = host.compile(&inspected, bytes, &context(), &json!({})).await;
    assert!(
        matches!(&refused, Err(ModuleError::Misbehaved { message, .. }) if message.contains("attribute")),
        "{refused:?}"
    );
}
