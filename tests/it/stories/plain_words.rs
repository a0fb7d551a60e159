//! Whatever stands in a body where something else belongs, the answer says so in plain words, with a pointer.

use hyper::Method;
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::Gate;

/// Words of serde and of Rust, which say nothing to who sent the body.
const FOREIGN: [&str; 14] = [
    "struct ",
    "sequence",
    "invalid type",
    "invalid value",
    "invalid length",
    "variant",
    "unknown field",
    "missing field",
    "duplicate field",
    "u32",
    "u64",
    "usize",
    "a map",
    " at line ",
];

/// A path that takes a body, the members that may stand there, and those that may be anything.
struct Taken {
    method: Method,
    path: String,
    members: &'static [&'static str],
    /// Whether the body may be left out: then an empty object is taken.
    optional: bool,
}

fn taken(method: Method, path: &str, members: &'static [&'static str], optional: bool) -> Taken {
    Taken {
        method,
        path: path.to_owned(),
        members,
        optional,
    }
}

/// Every body of the two planes.
fn bodies() -> Vec<Taken> {
    let order = "0".repeat(32);
    let of_order = |act: &str| format!("/admin/v1/campaigns/demo/orders/{order}/{act}");
    let post = |path: &str, members| taken(Method::POST, path, members, false);
    let maybe = |path: &str, members| taken(Method::POST, path, members, true);
    vec![
        post(
            "/v1/campaigns/demo/orders",
            &["sku", "quantity", "attributes", "replaces"],
        ),
        post(
            "/admin/v1/campaigns",
            &[
                "id",
                "title",
                "opens_at",
                "closes_at",
                "retention_days",
                "skus",
                "rules",
                "fold",
                "shadow",
                "hold",
                "cancel_by_buyer",
                "releases",
                "origins",
            ],
        ),
        taken(
            Method::PATCH,
            "/admin/v1/campaigns/demo",
            &[
                "title",
                "opens_at",
                "closes_at",
                "origins",
                "accept",
                "hold",
                "cancel_by_buyer",
                "releases",
                "note",
            ],
            true,
        ),
        post(
            "/admin/v1/campaigns/demo/revisions",
            &[
                "rules",
                "fold",
                "shadow",
                "opens_at",
                "retention_days",
                "activate_at",
            ],
        ),
        post(
            "/admin/v1/campaigns/demo/activate",
            &["revision", "accept", "note"],
        ),
        post(
            "/admin/v1/campaigns/demo/clone",
            &["id", "title", "opens_at", "closes_at", "note"],
        ),
        post(
            "/admin/v1/campaigns/demo/skus",
            &["id", "stock", "attributes", "accept", "note"],
        ),
        maybe(
            "/admin/v1/campaigns/demo/skus/mug/stock",
            &["sku", "add", "remove", "set", "expect", "accept", "note"],
        ),
        maybe(
            "/admin/v1/campaigns/demo/pause",
            &["pause_at", "resume_at", "note"],
        ),
        maybe("/admin/v1/campaigns/demo/resume", &["note"]),
        post(
            "/admin/v1/campaigns/demo/simulate",
            &["rules", "fold", "from", "old", "opens_at"],
        ),
        maybe(&of_order("pay"), &["reason", "note", "releases"]),
        maybe(&of_order("cancel"), &["reason", "note", "releases"]),
        maybe(&of_order("refund"), &["reason", "note", "releases"]),
        post(
            "/admin/v1/campaigns/demo/orders/cancel",
            &["filter", "reason", "note", "releases", "rate", "expect"],
        ),
        post("/admin/v1/webhooks", &["url", "events", "campaign", "note"]),
        maybe("/admin/v1/buyers/ann/erase", &["note", "lists"]),
    ]
}

/// Values of every kind; of a member, most are of the wrong one.
fn kinds() -> [Value; 9] {
    [
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!("tomorrow"),
        json!([]),
        json!([7]),
        json!({}),
        json!({"a": {"b": 7}}),
    ]
}

async fn send(gate: &Gate, to: &Taken, body: &str) -> Reply {
    let plane = match to.path.starts_with("/admin") {
        true => &gate.admin,
        false => &gate.orders,
    };
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer dev:ann"),
    ];
    let url = format!("{plane}{}", to.path);
    gate.http
        .send(to.method.clone(), &url, &headers, body.as_bytes().to_vec())
        .await
}

/// The problem document, which speaks plainly.
fn plain(reply: Reply, asked: &str) -> Value {
    assert!((400..500).contains(&reply.status), "{asked}: {}", reply.text());
    let problem = reply.json();
    let mut told = vec![problem["detail"].as_str().unwrap_or_default().to_owned()];
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    told.extend(errors.iter().map(ToString::to_string));
    for word in FOREIGN {
        assert!(
            told.iter().all(|text| !text.contains(word)),
            "{asked}: {word:?} in {problem}"
        );
    }
    problem
}

#[tokio::test]
async fn a_body_of_another_shape_is_answered_in_plain_words() {
    let gate = Gate::dev().await;
    for to in bodies() {
        for (body, detail) in [
            ("7", "an object is expected, not the number 7"),
            ("null", "an object is expected, not null"),
            ("\"x\"", "an object is expected, not the text \"x\""),
            ("[]", "an object is expected, not an array"),
            (r#"{"nonsense":1}"#, "there is no member \"nonsense\"; there are "),
        ] {
            let asked = format!("{} {body}", to.path);
            let problem = plain(send(&gate, &to, body).await, &asked);
            let told = problem["detail"].as_str().unwrap_or_default();
            assert_eq!(problem["reason"], "invalid", "{asked}: {problem}");
            assert!(told.starts_with(detail), "{asked}: {problem}");
            let pointer = if detail.contains("nonsense") {
                "/nonsense"
            } else {
                ""
            };
            assert_eq!(problem["pointer"], pointer, "{asked}: {problem}");
        }
        if !to.optional {
            let problem = plain(send(&gate, &to, "{}").await, &to.path);
            let told = problem["detail"].as_str().unwrap_or_default();
            assert!(told.ends_with(" is missing"), "{}: {problem}", to.path);
        }
    }
}

#[tokio::test]
async fn a_member_of_another_kind_is_answered_in_plain_words() {
    let gate = Gate::dev().await;
    for to in bodies() {
        for member in to.members {
            let mut pointed = 0;
            for value in kinds() {
                let body = json!({*member: value}).to_string();
                let asked = format!("{} {body}", to.path);
                let reply = send(&gate, &to, &body).await;
                // What fits is no matter here.
                if reply.status < 400 {
                    continue;
                }
                let problem = plain(reply, &asked);
                let at = problem["pointer"].as_str().unwrap_or_default();
                let here = at.strip_prefix('/').and_then(|at| at.strip_prefix(member));
                pointed += usize::from(here.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
            }
            assert!(pointed >= 4, "{} {member}: only {pointed} point there", to.path);
        }
    }
}

#[tokio::test]
async fn what_belongs_there_is_named() {
    let gate = Gate::dev().await;
    for (path, body, pointer, detail) in [
        (
            "/campaigns",
            r#"{"id":"a","opens_at":"tomorrow"}"#,
            "/opens_at",
            "a moment like \"2026-11-21T10:00:00Z\" (RFC 3339) is expected, not the text \"tomorrow\"",
        ),
        (
            "/campaigns",
            r#"{"releases":{"fraud":7}}"#,
            "/releases/fraud",
            "one of the words stock+allowance, stock, none is expected, not the number 7",
        ),
        (
            "/campaigns",
            r#"{"releases":{"fraud":"all"}}"#,
            "/releases/fraud",
            "\"all\" is none of the words that may stand here: stock+allowance, stock, none",
        ),
        (
            "/campaigns",
            r#"{"releases":{"fraud":"stock","fraud":"none"}}"#,
            "/releases/fraud",
            "the member fraud stands there twice",
        ),
        (
            "/campaigns",
            r#"{"hold":{"minutes":"15"}}"#,
            "/hold/minutes",
            "a whole number from 0 to 4294967295 is expected, not the text \"15\"",
        ),
        (
            "/campaigns/demo/simulate",
            r#"{"rules":[],"from":"yesterday"}"#,
            "/from",
            "\"yesterday\" is none of the words that may stand here: sample, orders, file",
        ),
        (
            "/campaigns/demo/orders/cancel",
            r#"{"filter":{"states":"paid"}}"#,
            "/filter/states",
            "there is no member \"states\"; there are state, user, sku, from, to",
        ),
    ] {
        let to = taken(Method::POST, &format!("/admin/v1{path}"), &[], false);
        let problem = send(&gate, &to, body).await.refused(422, "invalid");
        assert_eq!(
            (problem["pointer"].as_str(), problem["detail"].as_str()),
            (Some(pointer), Some(detail)),
            "{body}"
        );
    }
    let to = taken(Method::PATCH, "/admin/v1/campaigns/demo", &[], false);
    let twice = send(&gate, &to, r#"{"releases":{"fraud":"stock","fraud":"none"}}"#).await;
    assert_eq!(twice.refused(422, "invalid")["pointer"], "/releases/fraud");
    let none = send(&gate, &to, r#"{"releases":{"paid":"stock"}}"#).await;
    assert_eq!(none.refused(422, "invalid")["pointer"], "/releases/paid");
}
