//! A campaign that is tried before it is made: whatever creating it would be refused for is found, and nothing is written.

use std::fs;

use serde_json::{Value, json};
use testkit::database::{Database, connect};
use testkit::http::Reply;

use crate::stories::gate::Gate;
use crate::stories::merchant::rushgate;

fn campaign() -> Value {
    json!({
        "id": "spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": 10}], "rules": [{"module": "n-per-user", "params": {"limit": 2}}],
        "hold": {"minutes": 15}, "origins": ["https://shop.example"],
    })
}

async fn post(gate: &Gate, query: &str, body: &Value) -> Reply {
    let url = format!("{}/admin/v1/campaigns{query}", gate.admin);
    gate.http.post(&url, &[], body).await
}

#[tokio::test]
async fn a_dry_run_refuses_what_creating_would_and_stores_nothing() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    let url = format!("sqlite://{}", data.path().join("rushgate.db").display());
    let db = Database::at(connect(&url).await, url);
    let mut rows = Vec::new();
    for table in [
        "campaigns",
        "revisions",
        "stock",
        "audiences",
        "audit WHERE target = 'spring'",
    ] {
        rows.push((table, db.number(&format!("SELECT COUNT(*) FROM {table}")).await));
    }
    let with = |change: fn(&mut Value)| {
        let mut body = campaign();
        change(&mut body);
        body
    };
    for (body, pointer) in [
        (
            with(|new| new["closes_at"] = json!("2025-01-01T00:00:00Z")),
            "/closes_at",
        ),
        (with(|new| new["skus"][0]["id"] = json!("")), "/skus/0/id"),
        (
            with(|new| new["skus"][0]["stock"] = json!(1_u64 << 60)),
            "/skus/0/stock",
        ),
        (
            with(|new| new["rules"][0]["params"]["limit"] = json!("two")),
            "/rules/0/params/limit",
        ),
        (
            with(|new| new["rules"][0]["module"] = json!("n-per-usr")),
            "/rules/0/module",
        ),
        (
            with(|new| new["shadow"] = json!([{"module": "nowhere"}])),
            "/shadow/0/module",
        ),
        (with(|new| new["hold"]["minutes"] = json!(0)), "/hold/minutes"),
        (
            with(|new| new["origins"] = json!(["https://shop.example/"])),
            "/origins/0",
        ),
        (with(|new| new["retention_days"] = json!(0)), "/retention_days"),
        (with(|new| new["id"] = json!("a b")), "/id"),
        (
            with(|new| new["rules"][0] = json!({"module": "audience", "params": {"list": "vip"}})),
            "/rules/0/params/list",
        ),
        (with(|new| new["nope"] = json!(1)), "/nope"),
    ] {
        let tried = post(&gate, "?dry_run=true", &body).await.refused(422, "invalid");
        let pointers = |problem: &Value| {
            let errors = problem["errors"].as_array().into_iter().flatten();
            let all = errors
                .map(|error| error["pointer"].clone())
                .chain([problem["pointer"].clone()]);
            all.collect::<Vec<_>>()
        };
        assert!(pointers(&tried).contains(&json!(pointer)), "{body}: {tried}");
        // Word for word what creating it is refused with.
        let made = post(&gate, "", &body).await.refused(422, "invalid");
        assert_eq!(
            (pointers(&tried), &tried["detail"]),
            (pointers(&made), &made["detail"])
        );
    }
    post(&gate, "?dry_run=true", &with(|new| new["id"] = json!("demo")))
        .await
        .refused(409, "conflict");
    let tried = post(&gate, "?dry_run=true", &campaign()).await.expect(200);
    assert_eq!(tried.headers.get("location"), None);
    let tried = tried.json();
    assert_eq!(tried.get("revision"), None, "{tried}");
    let sentences = tried["explain"].as_array().expect("sentences");
    let is_of_the_rule = |sentence: &Value| {
        let sentence = sentence.as_str();
        sentence.is_some_and(|sentence| sentence.contains("at most 2 units"))
    };
    assert!(sentences.iter().any(is_of_the_rule), "{tried}");
    for (table, count) in rows {
        assert_eq!(
            db.number(&format!("SELECT COUNT(*) FROM {table}")).await,
            count,
            "{table}"
        );
    }
    gate.http
        .get(&format!("{}/admin/v1/campaigns/spring", gate.admin), &[])
        .await
        .refused(404, "unknown");
    // The same plan is what is made.
    let made = post(&gate, "", &campaign()).await.expect(201).json();
    assert_eq!(made["plan_digest"], tried["plan_digest"]);
}

#[tokio::test]
async fn a_file_of_a_new_sale_is_tried_before_anybody_is_asked() {
    const SALE: &str = "\
id: spring
opens_at: 2026-01-01T00:00:00Z
closes_at: 2027-12-31T00:00:00Z
skus:
  - {id: mug, stock: 100}
rules:
  - module: n-per-user
    params: {limit: 2}
";
    let gate = Gate::dev().await;
    let folder = tempfile::tempdir().expect("a folder");
    let apply = async |text: &str, more: &str| {
        fs::write(folder.path().join("sale.yaml"), text).expect("written");
        let arguments = ["campaign", "apply", "-f", "sale.yaml", more];
        rushgate(&gate, folder.path(), &arguments).await
    };
    for (from, to, words) in [
        ("limit: 2", "limit: two", "/rules/0/params/limit"),
        ("n-per-user", "n-per-usr", "/rules/0/module"),
        ("2027-12-31", "2025-12-31", "/closes_at"),
        ("stock: 100", "stock: 99999999999999", "/skus/0/stock"),
        ("rules:", "hold: {minutes: 0}\nrules:", "/hold/minutes"),
    ] {
        let refused = apply(&SALE.replace(from, to), "--dry-run")
            .await
            .refused(&[words]);
        assert_eq!(refused.out, "", "{to}: nobody is told what it would be");
        apply(&SALE.replace(from, to), "--yes").await.refused(&[words]);
    }
    let dry = apply(SALE, "--dry-run").await;
    assert_eq!(dry.code, Some(2), "{dry:?}");
    assert!(
        dry.out.contains("campaign spring is new") && dry.out.contains("at most 2 units"),
        "{dry:?}"
    );
    let made = apply(SALE, "--yes").await.ok();
    assert!(
        made.contains("campaign spring is created, under revision 1"),
        "{made}"
    );
    let same = apply(SALE, "--dry-run").await.ok();
    assert!(same.contains("is as sale.yaml says"), "{same}");
}
