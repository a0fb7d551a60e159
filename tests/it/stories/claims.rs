//! Tokens whose claims no rule can read: refused where a rule reads them, over HTTP with signed tokens.

use std::io::Write as _;

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::Gate;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A gateway that takes tokens signed with [`SECRET`].
async fn gate() -> Gate {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("written");
    let path = folder.path().join("rushgate.toml");
    let mut config = std::fs::File::create(&path).expect("a file");
    writeln!(config, "[auth]\njwt_hs256_secret_file = {secret:?}").expect("written");
    Gate::dev_with(&path).await
}

fn token(user: &str, claims: &Value) -> String {
    let exp = jsonwebtoken::get_current_timestamp() + 3600;
    let mut all = json!({"sub": user, "exp": exp});
    let claims = claims.as_object().expect("an object").clone();
    all.as_object_mut().expect("an object").extend(claims);
    let token = encode(&Header::default(), &all, &EncodingKey::from_secret(SECRET));
    format!("Bearer {}", token.expect("a token"))
}

async fn place(gate: &Gate, campaign: &str, user: &str, claims: Value) -> Reply {
    let url = format!("{}/v1/campaigns/{campaign}/orders", gate.orders);
    let token = token(user, &claims);
    let body = json!({"sku": "mug", "quantity": 1});
    gate.http
        .post(&url, &[("authorization", token.as_str())], &body)
        .await
}

async fn list(gate: &Gate, id: &str, members: &str) {
    let url = format!("{}/admin/v1/audiences/{id}", gate.admin);
    let plain = [("content-type", "text/plain")];
    gate.http
        .send(hyper::Method::PUT, &url, &plain, members.as_bytes().to_vec())
        .await
        .expect(201);
}

/// What a claim can be besides what a rule reads.
fn unreadable() -> Vec<Value> {
    vec![
        json!(["evilcorp"]),
        json!([]),
        json!({"id": "evilcorp"}),
        json!("evilcorp\n"),
        json!("evilcorp\u{0}"),
        json!("x".repeat(300)),
        json!(1e300),
    ]
}

/// The order is refused for this claim, and its value is not repeated.
#[track_caller]
fn refused(reply: Reply, claim: &str) {
    let problem = reply.refused(422, "attribute-unreadable");
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&format!("the claim \"{claim}\"")), "{problem}");
    assert!(
        !detail.contains("evilcorp") && !detail.contains("xxx"),
        "{problem}"
    );
    assert_eq!(problem["retryable"], false);
    assert_eq!(problem["type"], "/problems/attribute-unreadable");
}

#[tokio::test]
async fn no_rule_takes_a_claim_it_cannot_read_for_none() {
    let gate = gate().await;
    list(&gate, "companies", "evilcorp\n").await;
    let rules = [
        (
            "denied",
            "company",
            json!([{"module": "audience",
            "params": {"list": "companies", "mode": "deny", "by": "claim:company"}}]),
        ),
        (
            "tiers",
            "groups",
            json!([{"module": "tiered",
            "params": {"tiers": {"staff": 0}, "others": 5, "claim": "groups"}}]),
        ),
        (
            "homes",
            "household",
            json!([{"module": "per-subject",
            "params": {"limits": [{"by": ["claim:household"], "limit": 1, "missing": "allow"}]}}]),
        ),
    ];
    for (campaign, claim, rules) in rules {
        gate.create(campaign, 100, rules).await;
        for (n, value) in unreadable().into_iter().enumerate() {
            let reply = place(&gate, campaign, &format!("user-{n}"), json!({claim: value})).await;
            refused(reply, claim);
        }
        // Absent, null, or of no rule's interest: as ever.
        place(&gate, campaign, "ada", json!({})).await.expect(202);
        place(&gate, campaign, "bob", json!({claim: null}))
            .await
            .expect(202);
        let others = json!({"roles": ["a"], "aud": ["x", "y"], "address": {"city": "Ulm"}});
        place(&gate, campaign, "cid", others).await.expect(202);
        let figures = gate.figures(campaign).await;
        assert_eq!(figures["skus"][0]["remaining"], 97, "{figures}");
    }
    place(&gate, "denied", "dan", json!({"company": "evilcorp"}))
        .await
        .refused(409, "blocked");
    place(&gate, "denied", "eve", json!({"company": true}))
        .await
        .expect(202);
    place(&gate, "tiers", "dan", json!({"groups": "staff"}))
        .await
        .refused(409, "tier-excluded");
    for _ in 0..2 {
        place(&gate, "homes", "fay", json!({"household": 7})).await;
    }
    place(&gate, "homes", "gus", json!({"household": 7}))
        .await
        .refused(409, "limit-per-subject");
    // Nor is the buyer told what would be left without it.
    let url = format!("{}/v1/campaigns/homes/quota", gate.orders);
    let token = token("ada", &json!({"household": ["h1"]}));
    refused(
        gate.http.get(&url, &[("authorization", token.as_str())]).await,
        "household",
    );
}

#[tokio::test]
async fn what_was_refused_so_is_refused_in_a_simulation() {
    let gate = gate().await;
    let homes = |limit: u32| {
        json!([{"module": "per-subject",
            "params": {"limits": [{"by": ["claim:household"], "limit": limit, "missing": "allow"}]}}])
    };
    gate.create("homes", 100, homes(1)).await;
    for user in ["ada", "bob"] {
        refused(
            place(&gate, "homes", user, json!({"household": ["h1"]})).await,
            "household",
        );
    }
    place(&gate, "homes", "cid", json!({"household": "h1"}))
        .await
        .expect(202);
    let begun = std::time::Instant::now();
    let simulated = async |rules: Value| {
        let body = json!({"rules": rules});
        let answer = gate.control("/campaigns/homes/simulate", &body).await;
        answer.expect(200).json()
    };
    // The sample is written a moment after the answers.
    let answer = loop {
        let answer = simulated(homes(2)).await;
        if answer["attempts"] == 3 {
            break answer;
        }
        assert!(begun.elapsed() < crate::stories::gate::PATIENCE, "{answer}");
        tokio::time::sleep(crate::stories::gate::POLL).await;
    };
    let count = |answer: &Value, name: &str| {
        let rows = answer["outcomes"].as_array().expect("outcomes");
        let row = rows.iter().find(|row| row["outcome"] == name);
        row.map(|row| [&row["recorded"], &row["old"], &row["new"]].map(|n| n.as_u64().unwrap_or_default()))
    };
    assert_eq!(
        count(&answer, "attribute-unreadable"),
        Some([2, 2, 2]),
        "{answer}"
    );
    assert_eq!(answer["recorded"]["differ"], 0, "{answer}");
    // Rules that do not read the claim take it as any other order.
    let answer = simulated(json!([{"module": "one-per-user"}])).await;
    assert_eq!(
        count(&answer, "attribute-unreadable"),
        Some([2, 2, 0]),
        "{answer}"
    );
    assert_eq!(count(&answer, "admitted"), Some([1, 1, 3]), "{answer}");
}

#[tokio::test]
async fn a_rule_that_reads_what_the_token_says_of_itself_is_refused() {
    let gate = gate().await;
    let by = |claim: &str| json!({"rules": [{"module": "per-subject", "params": {"limits": [{"by": [claim], "limit": 1}]}}]});
    for claim in ["claim:sub", "claim:jti", "claim:exp"] {
        let problem = gate
            .control("/campaigns/demo/revisions", &by(claim))
            .await
            .refused(422, "invalid");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(
            detail.contains(claim) && problem["pointer"] == "/rules/0",
            "{problem}"
        );
    }
    gate.control("/campaigns/demo/revisions", &by("claim:household"))
        .await
        .expect(201);
}
