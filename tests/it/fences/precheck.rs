//! The precheck of a module, asked directly: what it is handed, and every way it can end.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rushgate::order::{Attempt, OrderId};
use rushgate::ruleset::{Asked, Objection, Precheck, Verdict};
use rushgate::wasm::{Host, ModuleError};
use serde_json::{Value, json};
use testkit::forge::{Body, Forge, LOOP, PASS, TRAP, described};

fn host() -> Host {
    Host::new().expect("this machine runs WebAssembly")
}

async fn ready(host: &Host, forge: &Forge, params: Value) -> Arc<dyn Precheck> {
    let bytes: Arc<[u8]> = forge.component().into();
    let module = host.inspect(bytes.clone()).await.expect("a module in good order");
    assert!(module.descriptor.precheck);
    let ready = host.precheck(&module, bytes, "gate", &params).await;
    ready.expect("it can be run")
}

fn attempt(user: &str, quantity: u32, attributes: &[(&str, &str)]) -> Attempt {
    let attributes = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Attempt {
        order: OrderId::keyed("spring", user, "key"),
        user: user.into(),
        sku: "mug".into(),
        quantity,
        attributes: attributes.collect(),
    }
}

fn ask(precheck: &Arc<dyn Precheck>, attempt: &Attempt) -> Verdict {
    let unread = BTreeMap::new();
    precheck.check(&Asked {
        attempt,
        unread: &unread,
    })
}

/// Samples of a counter: labels, and what was counted.
fn told(host: &Host, name: &str) -> Vec<(String, u64)> {
    let mut registry = Registry::default();
    host.register(&mut registry);
    let mut page = String::new();
    encode(&mut page, &registry).expect("encodes");
    let samples = page
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    samples
        .map(|(labels, count)| (labels.to_owned(), count.parse().expect("a number")))
        .collect()
}

fn no() -> Verdict {
    Verdict::Reject(Objection {
        code: "no".into(),
        title: "Not this order".into(),
        retryable: false,
    })
}

#[tokio::test]
async fn it_sees_the_order_and_passes_or_rejects_with_a_declared_reason() {
    let host = host();
    let many =
        "(select (global.get $reject0) (global.get $pass) (i32.gt_u (local.get $quantity) (i32.const 2)))";
    let precheck = ready(&host, &Forge::checking(many), json!({})).await;
    assert_eq!(precheck.rule(), "gate");
    assert_eq!(ask(&precheck, &attempt("ada", 2, &[])), Verdict::Pass);
    assert_eq!(ask(&precheck, &attempt("ada", 3, &[])), no());
    let starts_with_x = "(select (global.get $reject0) (global.get $pass)
        (i32.eq (i32.load8_u (local.get $user)) (i32.const 120)))";
    let precheck = ready(&host, &Forge::checking(starts_with_x), json!({})).await;
    assert_eq!(ask(&precheck, &attempt("ada", 1, &[])), Verdict::Pass);
    assert_eq!(ask(&precheck, &attempt("xaver", 1, &[])), no());
    let runs = told(&host, "module_prechecks_total");
    assert_eq!(runs.len(), 2, "one per digest");
    assert!(
        runs.iter()
            .all(|(labels, _)| labels.contains("module=\"forged\""))
    );
    assert_eq!(runs.iter().map(|(_, runs)| runs).sum::<u64>(), 4);
    let failures = told(&host, "module_precheck_failures_total");
    assert!(failures.len() == 2 && failures.iter().all(|(_, failures)| *failures == 0));
}

#[tokio::test]
async fn it_is_handed_the_parameters_and_the_declared_attributes_alone() {
    let host = host();
    // Rejects unless there are exactly as many bytes of parameters and attributes as it expects.
    let lengths = |params: usize, attributes: usize| {
        format!(
            "(select (global.get $pass) (global.get $reject0) (i32.and
                (i32.eq (local.get $params_len) (i32.const {params}))
                (i32.eq (local.get $attributes_len) (i32.const {attributes}))))"
        )
    };
    let all = [
        ("claim:tier", "gold"),
        ("client:device", "d1"),
        ("ip", "10.0.0.1"),
    ];
    let declaring = |attributes: Value, text: String| Forge {
        describe: Body::Answer(described(json!({ "attributes": attributes }))),
        ..Forge::checking(&text)
    };
    let forge = declaring(json!([]), lengths(2, 0));
    assert_eq!(
        ask(&ready(&host, &forge, Value::Null).await, &attempt("ada", 1, &all)),
        Verdict::Pass
    );

    let tier = json!([{"attribute": "user"}, {"attribute": {"claim": "tier"}}]);
    let forge = declaring(tier.clone(), lengths(11, 1));
    let precheck = ready(&host, &forge, json!({"limit": 2.0})).await;
    assert_eq!(ask(&precheck, &attempt("ada", 1, &all)), Verdict::Pass);
    assert_eq!(
        ask(&precheck, &attempt("ada", 1, &[])),
        Verdict::Pass,
        "a missing one is empty, not left out"
    );

    let any = json!([{"attribute": {"claim": "*"}}]);
    let several = [&all[..], &[("claim:age", "42")]].concat();
    let precheck = ready(&host, &declaring(any, lengths(2, 2)), json!({})).await;
    assert_eq!(ask(&precheck, &attempt("ada", 1, &several)), Verdict::Pass);

    // The value of the only attribute starts with a `g`: its address is behind the attribute's twelve bytes.
    let gold = "(if (result i32) (i32.eqz (i32.load offset=16 (local.get $attributes)))
        (then (global.get $reject0))
        (else (select (global.get $pass) (global.get $reject0)
            (i32.eq (i32.load8_u (i32.load offset=12 (local.get $attributes))) (i32.const 103)))))";
    let precheck = ready(&host, &declaring(tier, gold.into()), json!({})).await;
    assert_eq!(ask(&precheck, &attempt("ada", 1, &all)), Verdict::Pass);
    assert_eq!(
        ask(&precheck, &attempt("ada", 1, &[("claim:tier", "silver")])),
        no()
    );
    assert_eq!(ask(&precheck, &attempt("ada", 1, &[])), no());
    // Attributes the active plan does not read come separately.
    let unread = BTreeMap::from([("claim:tier".to_owned(), "gold".to_owned())]);
    let attempt = attempt("ada", 1, &[]);
    let asked = Asked {
        attempt: &attempt,
        unread: &unread,
    };
    assert_eq!(precheck.check(&asked), Verdict::Pass);
}

#[tokio::test]
async fn nothing_of_one_order_is_seen_by_the_next() {
    let host = host();
    let forge = Forge {
        more: "(global $calls (mut i32) (i32.const 0))".into(),
        ..Forge::checking(
            "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
             (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
             (drop (memory.grow (i32.const 1)))
             (select (global.get $pass) (global.get $reject0) (i32.and
                (i32.and (i32.eq (global.get $calls) (i32.const 1)) (i32.eq (i32.load (i32.const 16)) (i32.const 1)))
                (i32.eq (memory.size) (i32.const 3))))",
        )
    };
    let precheck = ready(&host, &forge, json!({})).await;
    for _ in 0..100 {
        assert_eq!(ask(&precheck, &attempt("ada", 1, &[])), Verdict::Pass);
    }
}

#[tokio::test]
async fn whatever_goes_wrong_is_a_failure_and_never_a_pass() {
    let host = host();
    let declared = Forge::default().verdicts;
    let verdicts = |code: &str| Forge {
        verdicts: [declared.clone(), vec![code.into()]].concat(),
        ..Forge::checking("(global.get $reject1)")
    };
    let text = Forge::checking;
    let grow = "(drop (memory.grow (i32.const 1000))) (global.get $pass)";
    let fill =
        "(loop $again (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)) (br $again)) unreachable";
    let odd_case = "(i32.store8 (i32.const 16) (i32.const 7)) (i32.const 16)";
    let long_reason = "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 1024))
        (i32.store (i32.const 24) (i32.const 65536)) (i32.const 16)";
    let no_text = "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 64))
        (i32.store (i32.const 24) (i32.const 4)) (i32.store (i32.const 64) (i32.const -1)) (i32.const 16)";
    let cases = [
        ("an endless loop", text(LOOP)),
        ("a trap", text(TRAP)),
        ("memory beyond the bound", text(grow)),
        ("bulk work without an end", text(fill)),
        (
            "deep recursion",
            Forge {
                more: "(func $deeper (call $deeper))".into(),
                ..text("(call $deeper) (global.get $pass)")
            },
        ),
        ("an answer outside of memory", text("(i32.const -4)")),
        ("an unknown case", text(odd_case)),
        ("a reason of 64 KiB", text(long_reason)),
        ("a reason that is not UTF-8", text(no_text)),
        ("a reason it does not declare", verdicts("other")),
        ("a reason of the gateway", verdicts("sold-out")),
        ("a reason with the syntax of Lua", verdicts("]]\n\0{}'\"")),
        ("no reason", verdicts("")),
    ];
    let failures = || {
        let told = told(&host, "module_precheck_failures_total");
        told.iter().map(|(_, failures)| failures).sum::<u64>()
    };
    let sound = ready(&host, &text(PASS), json!({})).await;
    for (what, forge) in cases {
        let precheck = ready(&host, &forge, json!({})).await;
        let before = failures();
        let begun = std::time::Instant::now();
        assert_eq!(ask(&precheck, &attempt("ada", 1, &[])), Verdict::Failed, "{what}");
        println!("{what}: refused after {:?}", begun.elapsed());
        assert_eq!(failures(), before + 1, "{what}");
        assert_eq!(
            ask(&sound, &attempt("ada", 1, &[])),
            Verdict::Pass,
            "after {what}"
        );
    }
}

#[tokio::test]
async fn what_could_not_run_per_order_is_refused_when_it_is_uploaded() {
    let host = host();
    for (what, forge, code) in [
        (
            "a start section without an end",
            Forge {
                more: format!("(func $begin {LOOP}) (start $begin)"),
                ..Forge::checking(PASS)
            },
            "fuel",
        ),
        (
            "too much memory",
            Forge {
                pages: 600,
                ..Forge::checking(PASS)
            },
            "precheck",
        ),
    ] {
        match host.inspect(forge.component().into()).await {
            Err(ModuleError::Misbehaved { code: found, .. } | ModuleError::Refused { code: found, .. }) => {
                assert_eq!(found, code, "{what}");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// What a precheck costs an order, a fresh instance each time: printed, not judged.
#[tokio::test]
async fn what_it_costs() {
    let host = host();
    let precheck = ready(&host, &Forge::checking(PASS), json!({})).await;
    let attempt = attempt("ada", 1, &[]);
    let runs = 2000;
    let begun = std::time::Instant::now();
    for _ in 0..runs {
        assert_eq!(ask(&precheck, &attempt), Verdict::Pass);
    }
    println!("a precheck that passes takes {:?}", begun.elapsed() / runs);
}
