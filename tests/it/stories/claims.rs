//! Claims in every form that JSON has, over HTTP with signed tokens: read, or refused where a rule reads them.

use std::io::Write as _;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::Gate;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A gateway that takes tokens signed with [`SECRET`].
pub(super) async fn gate() -> Gate {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).expect("written");
    let path = folder.path().join("rushgate.toml");
    let mut config = std::fs::File::create(&path).expect("a file");
    writeln!(config, "[auth]\njwt_hs256_secret_file = {secret:?}").expect("written");
    Gate::dev_with(&path).await
}

pub(super) fn token(user: &str, claims: &Value) -> String {
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

/// With a claim `account` of these digits, which no number of this program could hold.
async fn place_raw(gate: &Gate, campaign: &str, user: &str, digits: &str) -> Reply {
    let exp = jsonwebtoken::get_current_timestamp() + 3600;
    let payload = format!(r#"{{"sub":"{user}","exp":{exp},"account":{digits}}}"#);
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let message = format!("{}.{}", text(br#"{"alg":"HS256"}"#), text(payload.as_bytes()));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("signed");
    let url = format!("{}/v1/campaigns/{campaign}/orders", gate.orders);
    let token = format!("Bearer {message}.{signature}");
    let body = json!({"sku": "mug", "quantity": 1});
    gate.http
        .post(&url, &[("authorization", token.as_str())], &body)
        .await
}

pub(super) async fn list(gate: &Gate, id: &str, members: &str) {
    let url = format!("{}/admin/v1/audiences/{id}", gate.admin);
    let plain = [("content-type", "text/plain")];
    gate.http
        .send(hyper::Method::PUT, &url, &plain, members.as_bytes().to_vec())
        .await
        .expect(201);
}

/// How many attempts had an outcome: as recorded, by the old rules and by the new.
fn count(answer: &Value, name: &str) -> Option<[u64; 3]> {
    let rows = answer["outcomes"].as_array().expect("outcomes");
    let row = rows.iter().find(|row| row["outcome"] == name);
    row.map(|row| [&row["recorded"], &row["old"], &row["new"]].map(|n| n.as_u64().unwrap_or_default()))
}

/// What a claim can be besides what a rule reads.
fn unreadable() -> Vec<Value> {
    vec![
        json!([["evilcorp"]]),
        json!([{"id": "evilcorp"}]),
        json!(["evilcorp", null]),
        json!(["good", "evilcorp\n"]),
        json!(["good", "x".repeat(300)]),
        json!((0..33).map(|n| n.to_string()).collect::<Vec<_>>()),
        json!({"id": "evilcorp"}),
        json!("evilcorp\n"),
        json!("evilcorp\u{0}"),
        json!("x".repeat(300)),
    ]
}

/// The order is refused for this claim, and its value is not repeated.
#[track_caller]
fn refused(reply: Reply, claim: &str) {
    refused_as("attribute-unreadable", reply, claim);
}

#[track_caller]
fn refused_as(reason: &str, reply: Reply, claim: &str) {
    let problem = reply.refused(422, reason);
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&format!("the claim \"{claim}\"")), "{problem}");
    assert!(
        !detail.contains("evilcorp") && !detail.contains("xxx"),
        "{problem}"
    );
    assert_eq!(problem["retryable"], false);
    assert_eq!(problem["type"], format!("/problems/{reason}"));
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
        let others = json!({"roles": ["a", "b"], "aud": ["x", "y"], "address": {"city": "Ulm"}});
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
    for (value, reason) in [
        (json!({"id": "h1"}), "attribute-unreadable"),
        (json!(["h1", "h2"]), "claim-not-single"),
    ] {
        let token = token("ada", &json!({"household": value}));
        let reply = gate.http.get(&url, &[("authorization", token.as_str())]).await;
        refused_as(reason, reply, "household");
    }
}

#[tokio::test]
async fn an_array_has_each_of_its_elements_and_is_one_value_where_it_has_one() {
    let gate = gate().await;
    list(&gate, "companies", "evilcorp\nbadcorp\n").await;
    let by_company = |mode: &str| {
        json!([{"module": "audience",
            "params": {"list": "companies", "mode": mode, "by": "claim:company"}}])
    };
    gate.create("denied", 100, by_company("deny")).await;
    gate.create("allowed", 100, by_company("allow")).await;
    let most: Vec<String> = (0..31).map(|n| n.to_string()).chain(["badcorp".into()]).collect();
    for (n, (company, listed)) in [
        (json!(["evilcorp"]), true),
        (json!(["good", "evilcorp"]), true),
        (json!(["good", 7, true, "badcorp"]), true),
        (json!(most), true),
        (json!("evilcorp"), true),
        (json!(["good", "Evilcorp"]), false),
        (json!([]), false),
        (json!(null), false),
        (json!("good"), false),
        (json!(7), false),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("user-{n}");
        let claims = json!({ "company": company });
        let denied = place(&gate, "denied", &user, claims.clone()).await;
        let allowed = place(&gate, "allowed", &user, claims.clone()).await;
        // What a list can be asked for: so does the buyer's quota.
        let url = format!("{}/v1/campaigns/denied/quota", gate.orders);
        let token = token(&user, &claims);
        let quota = gate.http.get(&url, &[("authorization", token.as_str())]).await;
        quota.expect(200);
        match listed {
            true => {
                denied.refused(409, "blocked");
                allowed.expect(202);
            }
            false => {
                denied.expect(202);
                allowed.refused(409, "not-invited");
            }
        }
    }
    let tiers = json!([{"module": "tiered",
        "params": {"tiers": {"staff": 0, "gold": 2}, "others": 1, "claim": "groups"}}]);
    gate.create("tiers", 100, tiers).await;
    place(&gate, "tiers", "ada", json!({"groups": ["staff"]}))
        .await
        .refused(409, "tier-excluded");
    for _ in 0..2 {
        place(&gate, "tiers", "bob", json!({"groups": ["gold"]}))
            .await
            .expect(202);
    }
    place(&gate, "tiers", "bob", json!({"groups": "gold"}))
        .await
        .refused(409, "limit-per-tier");
    let homes = json!([{"module": "per-subject",
        "params": {"limits": [{"by": ["claim:household"], "limit": 1, "missing": "allow"}]}}]);
    gate.create("homes", 100, homes).await;
    place(&gate, "homes", "ada", json!({"household": ["h1"]}))
        .await
        .expect(202);
    place(&gate, "homes", "bob", json!({"household": ["h1", "h1"]}))
        .await
        .refused(409, "limit-per-subject");
    place(&gate, "homes", "cid", json!({"household": "h1"}))
        .await
        .refused(409, "limit-per-subject");
    for (campaign, claim) in [("tiers", "groups"), ("homes", "household")] {
        for value in [json!(["a", "b"]), json!([])] {
            let reply = place(&gate, campaign, "dan", json!({claim: value})).await;
            refused_as("claim-not-single", reply, claim);
        }
    }
}

#[tokio::test]
async fn an_order_with_several_lands_and_is_replayed_as_it_was() {
    let gate = gate().await;
    list(&gate, "companies", "evilcorp\n").await;
    let by_company = |mode: &str| {
        json!([{"module": "audience",
            "params": {"list": "companies", "mode": mode, "by": "claim:company"}}])
    };
    gate.create("denied", 100, by_company("deny")).await;
    for (user, company) in [
        ("ada", json!(["good", "acme"])),
        ("bob", json!([])),
        ("cid", json!("x")),
    ] {
        let reply = place(&gate, "denied", user, json!({"company": company}))
            .await
            .expect(202);
        gate.order_in_state(user, reply.header("location"), "confirmed")
            .await;
    }
    list(&gate, "partners", "acme\n").await;
    let partners = json!([{"module": "audience", "params": {"list": "partners", "by": "claim:company"}}]);
    let body = json!({"rules": &partners, "from": "orders"});
    let answer = gate
        .control("/campaigns/denied/simulate", &body)
        .await
        .expect(200)
        .json();
    assert_eq!(count(&answer, "admitted"), Some([3, 3, 1]), "{answer}");
    assert_eq!(
        count(&answer, "audience/not-invited"),
        Some([0, 0, 2]),
        "{answer}"
    );
    let shown = answer["flips"].to_string();
    assert!(shown.contains(r#""claim:company":[]"#), "{answer}");
    // As lines that somebody wrote.
    let line = |company: Value| {
        let attributes = json!({"claim:company": company});
        let line = json!({"at": "2026-11-21T10:00:00Z", "user": "ada", "sku": "mug", "quantity": 1,
            "attributes": attributes});
        format!("{line}\n")
    };
    let lines = [
        json!(["good", "acme"]),
        json!(["good", "evilcorp"]),
        json!("good"),
    ]
    .map(line);
    let url = format!("{}/admin/v1/campaigns/denied/simulate", gate.admin);
    let body = format!("{}\n{}", json!({ "rules": partners }), lines.concat());
    let lines = [("content-type", "application/x-ndjson")];
    let answer = gate
        .http
        .send(hyper::Method::POST, &url, &lines, body.into_bytes())
        .await;
    let answer = answer.expect(200).json();
    assert_eq!(count(&answer, "admitted"), Some([0, 2, 1]), "{answer}");
    assert_eq!(count(&answer, "audience/blocked"), Some([0, 1, 0]), "{answer}");
}

#[tokio::test]
async fn two_large_numbers_are_two_accounts() {
    let gate = gate().await;
    let accounts = json!([{"module": "per-subject",
        "params": {"limits": [{"by": ["claim:account"], "limit": 1}]}}]);
    gate.create("accounts", 100, accounts).await;
    for (n, digits) in [
        "9007199254740992",
        "9007199254740993",
        "18446744073709551616",
        "18446744073709551617",
        "123456789012345678901234567890",
        "0.12345678901234567890",
        "0.12345678901234567891",
    ]
    .into_iter()
    .enumerate()
    {
        for (turn, expected) in [("a", true), ("b", false)] {
            let reply = place_raw(&gate, "accounts", &format!("{turn}-{n}"), digits).await;
            match expected {
                true => drop(reply.expect(202)),
                false => drop(reply.refused(409, "limit-per-subject")),
            }
        }
    }
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
            place(&gate, "homes", user, json!({"household": {"id": "h1"}})).await,
            "household",
        );
        let several = json!({"household": ["h1", user]});
        refused_as(
            "claim-not-single",
            place(&gate, "homes", user, several).await,
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
        if answer["attempts"] == 5 {
            break answer;
        }
        assert!(begun.elapsed() < crate::stories::gate::PATIENCE, "{answer}");
        tokio::time::sleep(crate::stories::gate::POLL).await;
    };
    assert_eq!(
        count(&answer, "attribute-unreadable"),
        Some([2, 2, 2]),
        "{answer}"
    );
    assert_eq!(count(&answer, "claim-not-single"), Some([2, 2, 2]), "{answer}");
    assert_eq!(answer["recorded"]["differ"], 0, "{answer}");
    // Rules that ask each element tell the buyers apart.
    list(&gate, "bob-and-cid", "bob\ncid\n").await;
    let listed = json!([{"module": "audience", "params": {"list": "bob-and-cid", "by": "claim:household"}}]);
    let answer = simulated(listed).await;
    assert_eq!(count(&answer, "admitted"), Some([1, 1, 1]), "{answer}");
    assert_eq!(
        count(&answer, "attribute-unreadable"),
        Some([2, 2, 2]),
        "{answer}"
    );
    assert_eq!(
        count(&answer, "audience/not-invited"),
        Some([0, 0, 2]),
        "{answer}"
    );
    // Rules that do not read the claim take it as any other order.
    let answer = simulated(json!([{"module": "one-per-user"}])).await;
    assert_eq!(
        count(&answer, "attribute-unreadable"),
        Some([2, 2, 0]),
        "{answer}"
    );
    assert_eq!(count(&answer, "admitted"), Some([1, 1, 3]), "{answer}");
    let several = ["claim-not-single", "one-per-user/limit-per-user"].map(|name| count(&answer, name));
    assert_eq!(several, [Some([2, 2, 0]), Some([0, 0, 2])], "{answer}");
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
