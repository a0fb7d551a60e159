//! A revision that two people have to agree to: who made it, what it lacks, and the button of the second one.

use serde_json::{Value, json};

use crate::console::desk::{Desk, TOKEN, check_plain};

async fn sent(desk: &Desk, token: &str, path: &str, body: &Value) -> Value {
    let url = format!("{}/admin/v1{path}", desk.gate.admin);
    let bearer = format!("Bearer {token}");
    let reply = desk
        .gate
        .http
        .post(&url, &[("authorization", &bearer)], body)
        .await;
    assert!((200..300).contains(&reply.status), "{path}: {}", reply.text());
    reply.json()
}

async fn person(desk: &Desk, person: &str) -> String {
    let body = json!({"name": "desk", "person": person, "role": "merchant"});
    let made = sent(desk, TOKEN, "/keys", &body).await;
    made["key"].as_str().expect("a key").to_owned()
}

#[tokio::test]
async fn a_revision_is_approved_by_somebody_else_at_the_desk() {
    let mut desk = Desk::with_token().await;
    let (ada, bob) = (person(&desk, "ada").await, person(&desk, "bob").await);
    let on = json!({"id": "spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": 100}], "rules": [{"module": "n-per-user", "params": {"limit": 1}}], "four_eyes": true});
    sent(&desk, &ada, "/campaigns", &on).await;
    let rules = json!({"rules": [{"module": "n-per-user", "params": {"limit": 2}}]});
    sent(&desk, &ada, "/campaigns/spring/revisions", &rules).await;
    let path = "/console/sales/spring/revisions/2";
    let approve = "/console/sales/spring/revisions/2/approve";

    desk.log_in(&ada).await;
    let page = desk.get(path).await.expect(200);
    check_plain(&page, path);
    page.has("needs the approval of another person")
        .has("by nobody yet")
        .has(">ada<");
    assert!(!page.html.contains("id=\"activate\""), "{}", page.html);
    let refused = desk.post(approve, &page.form(approve, &[])).await.expect(403);
    refused.has("no other person").has("role=\"alert\"");

    desk.cookies.clear();
    desk.log_in(&bob).await;
    let page = desk.get(path).await.expect(200);
    let unseen = page.form(approve, &[("digest", "0")]);
    desk.post(approve, &unseen).await.expect(409).has("approval");
    let done = desk.post(approve, &page.form(approve, &[("note", "fine")])).await;
    done.expect(200).has("Revision 2 is approved by bob.");
    let page = desk.get(path).await.expect(200);
    page.has("id=\"activate\"").has("by bob");
    desk.post(path, &page.form(path, &[]))
        .await
        .expect(200)
        .has("Revision 2 decides");
}
