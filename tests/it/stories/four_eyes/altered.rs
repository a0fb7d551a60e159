//! Rows that are altered in the database between the approval and the activation.

use hyper::Method;
use serde_json::json;

use super::house::{House, limited};

/// Altered after it was approved: the part that the refusal names.
const ALTERED: &[(&str, &str)] = &[
    (
        "rules",
        "UPDATE revisions SET rules = REPLACE(rules, '\"limit\":2', '\"limit\":200')",
    ),
    (
        "shadow",
        "UPDATE revisions SET shadow = REPLACE(shadow, '\"limit\":1', '\"limit\":9')",
    ),
    (
        "times",
        "UPDATE revisions SET opens_at = '2026-01-02 00:00:00.000'",
    ),
    (
        "times",
        "UPDATE revisions SET closes_at = '2027-12-30 00:00:00.000'",
    ),
    ("times", "UPDATE revisions SET retention_days = 8"),
    (
        "plan",
        "UPDATE revisions SET plan_digest = REPLACE(plan_digest, 'a', 'b')",
    ),
    (
        "fold",
        "UPDATE revisions SET folds = '{\"user\":[\"lowercase\"]}'",
    ),
    (
        "lists",
        "UPDATE revisions SET audiences = REPLACE(audiences, '\"version\":2', '\"version\":1')",
    ),
    ("stock", "UPDATE revisions SET stock = '{\"mug\":5}'"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_altered_after_its_approval_is_not_put_in_force() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    for lines in [&b"ann\n"[..], b"ann\neve\n"] {
        let list = house
            .send(&ada, Method::PUT, "/audiences/vip", ("text/plain", lines))
            .await;
        assert_eq!(list.status, 201, "{}", list.text());
    }
    house.begun(&ada, &bob, "spring").await;
    let rules = json!([{"module": "n-per-user", "params": {"limit": 2}}, {"module": "audience", "params": {"list": "vip"}}]);
    for (part, statement) in ALTERED {
        let body = json!({"rules": rules, "shadow": limited(1)});
        let made = house.revision_with(&ada, "spring", body).await;
        house.approve(&bob, "spring", made).await.expect(200);
        let where_it_is = format!("campaign_id = 'spring' AND revision = {made}");
        house.sql(&format!("{statement} WHERE {where_it_is}")).await;
        let refused = house.activate(&ada, "spring", made).await;
        assert_eq!(refused.status, 409, "{part}: {}", refused.text());
        let refused = refused.refused(409, "approval-stale");
        let differs = refused["differs"].as_array().cloned().unwrap_or_default();
        assert!(differs.contains(&json!(part)), "{statement}: {refused}");
        // Nor is it approved as it is by then: it is not what was made.
        house
            .approve(&bob, "spring", made)
            .await
            .refused(409, "approval-stale");
        // Whoever writes the digest anew as well has no approval of it.
        house
            .sql(&format!(
                "UPDATE revisions SET content = NULL WHERE {where_it_is}"
            ))
            .await;
        house
            .activate(&ada, "spring", made)
            .await
            .refused(409, "approval-stale");
    }
    // What it was made for, and not only its row.
    let made = house.revision(&ada, "spring", 3).await;
    house.approve(&bob, "spring", made).await.expect(200);
    house
        .sql("UPDATE stock SET total = 5000 WHERE campaign_id = 'spring'")
        .await;
    let refused = house
        .activate(&ada, "spring", made)
        .await
        .refused(409, "approval-stale");
    assert_eq!(refused["differs"], json!(["stock"]));
    house
        .sql("UPDATE stock SET total = 100 WHERE campaign_id = 'spring'")
        .await;
    let rules = json!([{"module": "audience", "params": {"list": "vip"}}]);
    let asking = house
        .revision_with(&ada, "spring", json!({ "rules": rules }))
        .await;
    house.approve(&bob, "spring", asking).await.expect(200);
    house
        .sql("UPDATE audiences SET digest = REPLACE(digest, 'a', 'b') WHERE audience_id = 'vip'")
        .await;
    let refused = house
        .activate(&ada, "spring", asking)
        .await
        .refused(409, "approval-stale");
    assert_eq!(refused["differs"], json!(["lists"]));
    // Put back as it was, it is what was approved.
    house.activate(&ada, "spring", made).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_somebody_writes_by_hand_needs_another_person_as_well() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    house.begun(&ada, &bob, "spring").await;
    let made = house.revision(&ada, "spring", 2).await;
    house.approve(&bob, "spring", made).await.expect(200);
    // The approver becomes the maker's other key, or a key that there is not.
    let (own, _) = house.key_by(&ada, "zoe").await;
    for key in [own.as_str(), "0123456789abcdef"] {
        let statement = format!("UPDATE approvals SET key_id = '{key}' WHERE revision = {made}");
        house.sql(&statement).await;
        house
            .activate(&ada, "spring", made)
            .await
            .refused(409, "approval-needed");
    }
    // A gateway that has read a revision before it was put back serves what it has read.
    let made = house.revision(&ada, "spring", 3).await;
    let row = format!("WHERE campaign_id = 'spring' AND revision = {made}");
    house.approve(&bob, "spring", made).await.expect(200);
    house
        .sql(&format!(
            "UPDATE revisions SET created_at = '2026-01-01 00:00:00.000' {row}"
        ))
        .await;
    let refused = house.activate(&ada, "spring", made).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
}
