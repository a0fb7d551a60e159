//! Who asks what is left is told what an order would be answered: by list, tier, cap, cooldown and schedule alike.

use hyper::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::stories::gate::Gate;

/// A time of an answer.
fn time(value: &Value) -> Timestamp {
    value.as_str().expect("a text").parse().expect("a time")
}

/// A sale that opens so many minutes from now, for members of a list.
async fn open(gate: &Gate, minutes: i64) {
    let url = format!("{}/admin/v1/audiences/members", gate.admin);
    let text = [("content-type", "text/plain")];
    let put = gate
        .http
        .send(Method::PUT, &url, &text, "ann\nbob\ncid\n".into())
        .await;
    assert!((200..300).contains(&put.status), "{put:?}");
    let rules = json!([
        {"module": "audience", "params": {"list": "members"}},
        {"module": "order-cap", "params": {"max": 2}},
        {"module": "tiered", "params": {"tiers": {"gold": 4}, "others": 0, "count": "units"}},
        {"module": "per-subject", "params": {"limits": [{"by": ["client:device"], "limit": 1}]}},
        {"module": "cooldown", "params": {"pause": "1h"}},
    ]);
    let from_now = |minutes| (Timestamp::now() + SignedDuration::from_mins(minutes)).to_string();
    let campaign = json!({
        "id": "spring", "title": "Spring", "opens_at": from_now(minutes), "closes_at": from_now(minutes + 600),
        "skus": [{"id": "mug", "stock": 3}], "rules": rules,
    });
    gate.control("/campaigns", &campaign).await.expect(201);
}

/// The members of an answer that say how and until when an order is refused.
fn said(problem: &Value) -> Value {
    let members = ["reason", "constraint", "detail", "retryable", "retry_at"];
    members
        .map(|member| (member.to_owned(), problem[member].clone()))
        .into_iter()
        .collect()
}

/// What an order is answered, having been told the same before.
async fn refused(gate: &Gate, user: &str, (quantity, device): (u32, &str)) -> Value {
    let query = format!("?sku=mug&quantity={quantity}&client.device={device}");
    let quota = gate.quota("spring", user, &query).await.expect(200).json();
    let order = json!({"sku": "mug", "quantity": quantity, "attributes": {"device": device}});
    let problem = gate.place_in("spring", user, &[], order).await.json();
    assert_eq!(said(&quota["refused"]), said(&problem), "{user}: {quota}");
    let named = problem["constraint"].clone();
    let constraints = quota["constraints"].as_array().expect("constraints").iter();
    let refusing = |each: &&Value| each["refused"] == true;
    let first = constraints
        .clone()
        .find(refusing)
        .map(|each| each["constraint"].clone());
    if !named.is_null() {
        assert_eq!(first, Some(named), "{quota}");
    }
    problem
}

#[tokio::test]
async fn who_is_refused_already_is_told_so_and_why_and_until_when() {
    let gate = Gate::dev().await;
    open(&gate, -60).await;
    // Who may order.
    let quota = gate
        .quota("spring", "ann?tier=gold", "?sku=mug&client.device=d1")
        .await;
    let quota = quota.expect(200).json();
    assert_eq!(quota["refused"], Value::Null);
    let constraints = quota["constraints"].as_array().expect("constraints");
    assert!(constraints.len() >= 6, "{quota}");
    assert!(constraints.iter().all(|each| each["refused"] == false), "{quota}");
    // What is not known of an order is not judged.
    let quota = gate.quota("spring", "ann?tier=gold", "").await.expect(200).json();
    assert_eq!(quota["refused"], Value::Null);
    let constraints = quota["constraints"].as_array().expect("constraints").iter();
    let (unknown, known): (Vec<&Value>, Vec<&Value>) =
        constraints.partition(|each| each["refused"].is_null());
    assert!(known.iter().all(|each| each["refused"] == false), "{quota}");
    let names = unknown
        .iter()
        .map(|each| each["constraint"].as_str().unwrap_or_default());
    let of_device = ["per-subject/subject-missing", "per-subject/limit-per-device"];
    assert!(names.eq(of_device), "{quota}");
    for each in unknown {
        assert_eq!(each["missing"], json!(["client.device"]), "{quota}");
    }

    let mut seen = Vec::new();
    for (user, asked) in [
        ("kim?tier=gold", (1, "d1")),
        ("ann?tier=gold", (3, "d1")),
        ("bob?tier=tin", (1, "d1")),
        ("ann?tier=gold", (4, "d1")),
    ] {
        let problem = refused(&gate, user, asked).await;
        assert_eq!(problem["retryable"], false, "{problem}");
        seen.push(problem["reason"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(
        seen,
        ["not-invited", "order-too-large", "tier-excluded", "sold-out"]
    );

    let order = json!({"sku": "mug", "quantity": 1, "attributes": {"device": "d1"}});
    let placed = gate
        .place_in("spring", "ann?tier=gold", &[], order)
        .await
        .expect(202);
    let placed = placed.json();
    let problem = refused(&gate, "cid?tier=gold", (1, "d1")).await;
    assert_eq!(problem["reason"], "limit-per-device");
    let problem = refused(&gate, "ann?tier=gold", (1, "d2")).await;
    assert_eq!(
        (&problem["reason"], &problem["retryable"]),
        (&json!("cooldown"), &json!(true))
    );
    let until = time(&placed["placed_at"]) + SignedDuration::from_hours(1);
    assert_eq!(time(&problem["retry_at"]), until);
    // The device she has used is hers for good, whatever the cooldown says.
    let problem = refused(&gate, "ann?tier=gold", (1, "d1")).await;
    assert_eq!(problem["reason"], "limit-per-device");
}

#[tokio::test]
async fn before_the_opening_who_will_be_refused_then_is_told_so() {
    let gate = Gate::dev().await;
    open(&gate, 60).await;
    let problem = refused(&gate, "ann?tier=gold", (1, "d1")).await;
    assert_eq!(
        (&problem["reason"], &problem["retryable"]),
        (&json!("not-open"), &json!(true))
    );
    for user in ["kim?tier=gold", "ann?tier=tin"] {
        let problem = refused(&gate, user, (1, "d1")).await;
        assert_eq!(
            (&problem["reason"], &problem["retryable"]),
            (&json!("not-open"), &json!(false))
        );
        assert_eq!(problem["retry_at"], Value::Null);
    }
}
