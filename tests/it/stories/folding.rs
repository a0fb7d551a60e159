//! One buyer who writes the same in many ways, and a merchant who has that folded.

use hyper::Method;
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::claims::{gate, list, token};
use crate::stories::gate::Gate;

/// An order by somebody whose token has this address, from a form with this number.
async fn place(gate: &Gate, user: &str, email: &str, phone: &str) -> Reply {
    let url = format!("{}/v1/campaigns/spring/orders", gate.orders);
    let token = token(user, &json!({"email": email}));
    let body = json!({"sku": "mug", "quantity": 1, "attributes": {"phone": phone}});
    gate.http
        .post(&url, &[("authorization", token.as_str())], &body)
        .await
}

fn per_subject(by: &str) -> Value {
    json!({"module": "per-subject", "params": {"limits": [{"by": [by], "limit": 1}]}})
}

fn denied(by: &str) -> Value {
    json!({"module": "audience", "params": {"list": "blocked", "mode": "deny", "by": by}})
}

fn campaign(fold: &Value, rules: Value) -> Value {
    json!({
        "id": "spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": 1000}], "rules": rules, "fold": fold,
    })
}

async fn read(gate: &Gate, path: &str) -> Value {
    let url = format!("{}/admin/v1{path}", gate.admin);
    gate.http.get(&url, &[]).await.expect(200).json()
}

const SPELT: [&str; 6] = [
    " Ada@x.org ",
    "ADA@X.ORG",
    "ada+spring@x.org",
    "Ada@x.org\u{a0}",
    "\u{feff}ada@x.org",
    "adA+a+b@x.ORG",
];

#[tokio::test]
async fn one_buyer_of_many_spellings_orders_once() {
    let gate = gate().await;
    list(&gate, "blocked", "Eve@X.org\nfr\u{e9}d@x.org\neve+1@x.org\n").await;
    let fold = json!({
        "claim:email": ["trim", "lowercase", "nfc", "email"],
        "client:phone": ["digits"],
        "user": ["lowercase"],
    });
    let rules = json!([
        denied("claim:email"),
        {"name": "mail", "module": "per-subject", "params": per_subject("claim:email")["params"]},
        {"name": "call", "module": "per-subject", "params": per_subject("client:phone")["params"]},
        {"module": "n-per-user", "params": {"limit": 1, "count": "orders"}},
    ]);
    let made = gate.control("/campaigns", &campaign(&fold, rules)).await;
    let made = made.expect(201).json();
    let explained = made["explain"].to_string();
    for part in [
        "Rules read the email of the token folded (trim+lowercase+email+nfc)",
        "Looks up the email of the token, folded (trim+lowercase+email+nfc), in the list blocked, folded likewise (version 1)",
        "per user, folded (lowercase)",
        "phone is sent by the buyer's program and can be forged",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    let shown = read(&gate, "/campaigns/spring/revisions/1").await;
    assert_eq!(shown["fold"]["user"], json!(["lowercase"]), "{shown}");

    // The order keeps the user as sent: an order of one spelling is not another's to read.
    let order = place(&gate, "Ada", SPELT[0], "+49 170 1")
        .await
        .expect(202)
        .json();
    let path = format!(
        "{}/v1/campaigns/spring/orders/{}",
        gate.orders,
        order["order"].as_str().expect("an id")
    );
    for (user, status) in [("Ada", 200), ("ada", 404)] {
        let header = token(user, &json!({}));
        let reply = gate.http.get(&path, &[("authorization", header.as_str())]).await;
        assert_eq!(reply.status, status, "{user}: {}", reply.text());
    }
    for (n, email) in SPELT.iter().enumerate() {
        let problem = place(&gate, &format!("u{n}"), email, &format!("1-{n}"))
            .await
            .refused(409, "limit-per-subject");
        assert_eq!(problem["constraint"], "mail/limit-per-subject", "{email:?}");
    }
    for phone in ["491701", "+49 (170) 1", "49-170-1"] {
        let problem = place(&gate, "cid", "cid@x.org", phone)
            .await
            .refused(409, "limit-per-subject");
        assert_eq!(problem["constraint"], "call/limit-per-subject", "{phone:?}");
    }
    let problem = place(&gate, "ADA", "other@x.org", "2").await.json();
    assert_eq!(problem["constraint"], "n-per-user/limit-per-user", "{problem}");
    for email in ["eve@x.org", "EVE+9@x.org", "Fre\u{301}d@X.org"] {
        place(&gate, "dan", email, "3").await.refused(409, "blocked");
    }
    place(&gate, "dan", "dan@x.org", "3").await.expect(202);
    let figures = gate.figures("spring").await;
    assert_eq!(figures["skus"][0]["remaining"], 998, "{figures}");
}

#[tokio::test]
async fn what_folds_stays_until_it_is_changed_and_the_change_is_said() {
    let gate = gate().await;
    list(&gate, "blocked", "Eve@X.org\n").await;
    let fold = json!({"claim:email": ["lowercase"]});
    let rules = json!([denied("claim:email"), per_subject("claim:email")]);
    gate.control("/campaigns", &campaign(&fold, rules.clone()))
        .await
        .expect(201);
    place(&gate, "ada", "ADA@x.org", "1").await.expect(202);

    // Left out, it stays; the list in its newest version is folded as well.
    let url = format!("{}/admin/v1/audiences/blocked", gate.admin);
    let members = b"Eve@X.org\nBOB@x.org\n".to_vec();
    let uploaded = gate
        .http
        .send(Method::PUT, &url, &[("content-type", "text/plain")], members);
    let uploaded = uploaded.await.expect(201).json();
    assert_eq!(uploaded["behind"].as_array().map(Vec::len), Some(1), "{uploaded}");
    let note = uploaded["note"].as_str().unwrap_or_default();
    assert!(!note.contains("No active revision"), "{uploaded}");
    let again = gate
        .control("/campaigns/spring/revisions", &json!({"rules": rules}))
        .await
        .expect(201)
        .json();
    assert!(
        again["explain"]
            .to_string()
            .contains("blocked, folded likewise (version 2)"),
        "{again}"
    );
    assert!(
        again["changes"]
            .to_string()
            .contains("list blocked: version 1 → 2"),
        "{again}"
    );
    gate.control("/campaigns/spring/activate", &json!({"revision": 2}))
        .await
        .expect(200);
    place(&gate, "bob", "bob@X.org", "1")
        .await
        .refused(409, "blocked");
    place(&gate, "ada", "Ada@x.org", "1")
        .await
        .refused(409, "limit-per-subject");

    // One member is put on the list, and is in force under every spelling.
    let url = format!(
        "{}/admin/v1/audiences/blocked/members/CID@x.org?activate=spring",
        gate.admin
    );
    gate.http
        .send(Method::PUT, &url, &[], Vec::new())
        .await
        .expect(201);
    place(&gate, "cid", "cid@X.ORG", "1")
        .await
        .refused(409, "blocked");
    let shown = read(&gate, "/campaigns/spring/revisions/3").await;
    assert_eq!(shown["fold"], fold, "{shown}");

    // Without folding the counter counts by other texts: that is to be accepted.
    let plain = json!({"rules": rules, "fold": {}});
    let plain = gate
        .control("/campaigns/spring/revisions", &plain)
        .await
        .expect(201)
        .json();
    let changes = plain["changes"].to_string();
    for part in [
        "per-subject/units-per-claim-email: new; starts at zero",
        "per-subject/units-per-claim-email-folded-lowercase: dropped",
        "rules read claim:email as it is; before, folded (lowercase)",
    ] {
        assert!(changes.contains(part), "{part}: {changes}");
    }
    let refused = gate
        .control("/campaigns/spring/activate", &json!({"revision": 4}))
        .await;
    let refused = refused.refused(409, "accept-missing");
    let accepted = json!({"revision": 4, "accept": refused["accept"]});
    gate.control("/campaigns/spring/activate", &accepted)
        .await
        .expect(200);
    place(&gate, "eve", "eve@x.org", "1").await.expect(202);
    place(&gate, "eve", "Eve@X.org", "1")
        .await
        .refused(409, "blocked");

    // What is kept beside the list is no list.
    for path in [
        "blocked~lowercase",
        "blocked~lowercase/1/members",
        "blocked~lowercase/members/eve",
    ] {
        let url = format!("{}/admin/v1/audiences/{path}", gate.admin);
        assert_eq!(gate.http.get(&url, &[]).await.status, 404, "{path}");
    }
    for (method, path) in [
        (Method::DELETE, "blocked~lowercase/1"),
        (Method::PUT, "blocked~lowercase/members/x"),
    ] {
        let url = format!("{}/admin/v1/audiences/{path}", gate.admin);
        let reply = gate.http.send(method, &url, &[], Vec::new()).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }

    // A version goes with what was folded of it, unless a revision pins that.
    let delete = async |version: u32| {
        let url = format!("{}/admin/v1/audiences/blocked/{version}", gate.admin);
        gate.http.send(Method::DELETE, &url, &[], Vec::new()).await
    };
    assert_eq!(delete(1).await.status, 409);
    let lists = read(&gate, "/audiences").await;
    assert_eq!(lists["audiences"].as_array().map(Vec::len), Some(1), "{lists}");
}

#[tokio::test]
async fn what_no_rule_reads_is_told_and_a_dry_run_says_what_folding_changes() {
    let gate = gate().await;
    let rules = json!([{"module": "n-per-user", "params": {"limit": 1, "count": "orders"}}]);
    let made = gate
        .control("/campaigns", &campaign(&json!({}), rules.clone()))
        .await;
    made.expect(201);
    let fold = json!({"user": ["lowercase"], "claim:emial": ["trim"]});
    let new = json!({"rules": rules, "fold": fold});
    let dry = gate
        .control("/campaigns/spring/revisions?dry_run=true", &new)
        .await;
    let dry = dry.expect(200).json();
    let diagnostics = dry["diagnostics"].as_array().expect("diagnostics");
    assert_eq!(diagnostics.len(), 1, "{dry}");
    assert_eq!(diagnostics[0]["pointer"], "/fold/claim:emial", "{dry}");
    let changes = dry["changes"].to_string();
    for part in [
        "rules read user folded (lowercase); before, as it is",
        "n-per-user/orders-per-user-folded-lowercase: new; filled by the activation",
    ] {
        assert!(changes.contains(part), "{part}: {changes}");
    }
    assert_eq!(
        read(&gate, "/campaigns/spring/revisions").await["revisions"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn who_has_bought_has_bought_under_every_spelling_when_folding_begins() {
    let gate = gate().await;
    let rules = json!([{"module": "n-per-user", "params": {"limit": 1, "count": "orders"}}]);
    let made = gate
        .control("/campaigns", &campaign(&json!({}), rules.clone()))
        .await;
    made.expect(201);
    let first = place(&gate, "ada", "a@x", "1").await.expect(202).json();
    place(&gate, "Bob", "b@x", "1").await.expect(202);
    let fold = json!({"rules": rules, "fold": {"user": ["lowercase"]}});
    gate.control("/campaigns/spring/revisions", &fold)
        .await
        .expect(201);
    gate.control("/campaigns/spring/activate", &json!({"revision": 2}))
        .await
        .expect(200);
    for user in ["ada", "ADA", "Bob", "bob"] {
        place(&gate, user, "x@x", "1")
            .await
            .refused(409, "limit-per-user");
    }
    let cid = place(&gate, "Cid", "c@x", "1").await.expect(202).json();
    place(&gate, "cid", "c@x", "1")
        .await
        .refused(409, "limit-per-user");

    // Back again everybody counts as sent, and what was admitted stays.
    gate.control("/campaigns/spring/activate", &json!({"revision": 1}))
        .await
        .expect(200);
    place(&gate, "Cid", "c@x", "1")
        .await
        .refused(409, "limit-per-user");
    let later = place(&gate, "cid", "c@x", "1").await.expect(202).json();
    for (user, order) in [("ada", &first), ("Cid", &cid), ("cid", &later)] {
        confirmed(&gate, user, order).await;
    }
}

/// Waits for what becomes of an order.
async fn confirmed(gate: &Gate, user: &str, order: &Value) {
    let id = order["order"].as_str().expect("an id");
    let url = format!("{}/v1/campaigns/spring/orders/{id}", gate.orders);
    let header = token(user, &json!({}));
    let mut often = tokio::time::interval(std::time::Duration::from_millis(50));
    for _ in 0..600 {
        let shown = gate.http.get(&url, &[("authorization", header.as_str())]).await;
        let shown = shown.expect(200).json();
        match shown["state"].as_str() {
            Some("accepted" | "pending") => {}
            state => return assert_eq!(state, Some("confirmed"), "{user}: {shown}"),
        }
        often.tick().await;
    }
    panic!("the order of {user} never landed");
}

#[tokio::test]
async fn what_a_folded_list_still_has_under_another_spelling_is_said() {
    let gate = gate().await;
    list(&gate, "blocked", "Eve@X.org\neve+1@x.org\n").await;
    let fold = json!({"claim:email": ["lowercase", "email"]});
    gate.control("/campaigns", &campaign(&fold, json!([denied("claim:email")])))
        .await
        .expect(201);
    let asked = read(&gate, "/audiences/blocked/members/EVE@x.org").await;
    let folded =
        json!([{"campaign": "spring", "version": 1, "fold": ["lowercase", "email"], "listed": true}]);
    assert_eq!(
        (&asked["listed"], &asked["folded"]),
        (&json!(false), &folded),
        "{asked}"
    );
    let take_off = async |member: &str| {
        let members = format!("{}/admin/v1/audiences/blocked/members", gate.admin);
        let url = format!("{members}/{member}?activate=spring");
        let reply = gate.http.send(Method::DELETE, &url, &[], Vec::new()).await;
        reply.expect(200).json()
    };
    let left = take_off("Eve@X.org").await;
    assert_eq!(left["folded"][0]["listed"], true, "{left}");
    let note = left["note"].as_str().unwrap_or_default();
    assert!(note.contains("under another spelling"), "{left}");
    let gone = take_off("eve+1@x.org").await;
    assert_eq!(gone["folded"][0]["listed"], false, "{gone}");
    place(&gate, "eve", "eve@x.org", "1").await.expect(202);
}

#[tokio::test]
async fn what_cannot_be_folded_and_what_is_compared_in_vain_is_refused_where_it_stands() {
    let gate = gate().await;
    list(&gate, "blocked", "10.0.0.0/8\n").await;
    let tiers = json!([{"module": "tiered", "params": {"tiers": {"Gold": 5}, "others": 1, "claim": "tier"}}]);
    let by_ip = json!([denied("claim:address")]);
    let any = json!([{"module": "one-per-user"}]);
    let long = format!("claim:{}", "x".repeat(100_000));
    let shown = format!("/fold/{}", &long[..80]);
    let cases: [(Value, &Value, &str, &str); 12] = [
        (
            json!({"claim:sub": ["trim"]}),
            &any,
            "/fold/claim:sub",
            "about the token itself",
        ),
        (
            json!({"claim:a\u{200b}": ["trim"]}),
            &any,
            "/fold/claim:a\u{200b}",
            "U+200B",
        ),
        (json!({long: ["trim"]}), &any, &shown, "1 to 64 bytes"),
        (
            json!({"sku": ["trim"]}),
            &any,
            "/fold/sku",
            "cannot be folded: what can be is",
        ),
        (json!({"ip": ["trim"]}), &any, "/fold/ip", "cannot be folded"),
        (
            json!({"claim:*": ["trim"]}),
            &any,
            "/fold/claim:*",
            "cannot be folded",
        ),
        (
            json!({"claim:a/b": ["trim"], "x": ["trim"]}),
            &any,
            "/fold/x",
            "cannot be folded",
        ),
        (
            json!({"user": ["upper"]}),
            &any,
            "/fold/user/0",
            "is none of the words that may stand here",
        ),
        (json!({"user": []}), &any, "/fold/user", "names no step"),
        (
            json!({"client:Phone": ["trim"]}),
            &any,
            "/fold/client:Phone",
            "a-z, 0-9",
        ),
        (
            json!({"claim:tier": ["lowercase"]}),
            &tiers,
            "/rules/0/params/tiers/Gold",
            "no order meets",
        ),
        (
            json!({"claim:address": ["trim"]}),
            &by_ip,
            "/rules/0/params/list",
            "is of addresses",
        ),
    ];
    for (fold, rules, pointer, detail) in cases {
        let reply = gate.control("/campaigns", &campaign(&fold, rules.clone())).await;
        let problem = reply.refused(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{problem}");
        assert!(problem.to_string().contains(detail), "{detail}: {problem}");
    }
    let problem = gate
        .control(
            "/campaigns",
            &campaign(&json!({"claim:tier": ["lowercase"]}), tiers),
        )
        .await
        .refused(422, "invalid");
    assert_eq!(problem["errors"][0]["hint"], "write \"gold\"", "{problem}");
    let problem = gate
        .control(
            "/campaigns",
            &campaign(&json!({}), json!([per_subject("client:Phone")])),
        )
        .await
        .refused(422, "invalid");
    assert_eq!(problem["pointer"], "/rules/0/params/limits/0/by/0", "{problem}");
    let twice = r#"{"rules":[{"module":"one-per-user"}],"fold":{"user":["trim"],"user":["lowercase"]}}"#;
    let url = format!("{}/admin/v1/campaigns", gate.admin);
    let json = [("content-type", "application/json")];
    let reply = gate
        .http
        .send(Method::POST, &url, &json, twice.as_bytes().to_vec());
    let problem = reply.await.refused(422, "invalid");
    assert!(
        problem.to_string().contains("the member user stands there twice"),
        "{problem}"
    );
}
