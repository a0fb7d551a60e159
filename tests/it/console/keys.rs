//! Keys in the console: one is made with what its maker may do, shown once, and revoked.

use serde_json::json;

use crate::console::desk::{Desk, TOKEN, check_plain, pair};

const NEW: &str = "/console/keys/new";

/// The key that a page shows.
fn shown(html: &str) -> String {
    let (_, rest) = html
        .split_once("id=\"made\" class=\"secret\" value=\"")
        .expect("a key");
    rest.split('"').next().expect("it ends").to_owned()
}

/// Another desk at the same gateway, whose key was made by this one.
async fn log_in(desk: &mut Desk, key: &str) {
    desk.cookies.clear();
    assert_eq!(desk.log_in(key).await.status, 303);
}

#[tokio::test]
async fn a_key_is_made_shown_once_and_revoked() {
    let mut desk = Desk::with_token().await;
    desk.log_in(TOKEN).await;
    let page = desk.get(NEW).await.expect(200);
    page.has("value=\"audit\"")
        .has("value=\"admin\"")
        .has("all merchants");
    check_plain(&page, NEW);
    let wrong = page.form(
        NEW,
        &[("name", ""), ("person", "ada"), ("days", "0"), ("role", "viewer")],
    );
    let page = desk.post(NEW, &wrong).await.expect(422);
    page.has("/name</code> is empty")
        .has("/expires_in_days</code> is 0");
    let none = page.form(NEW, &[("name", "desk"), ("days", ""), ("role", "")]);
    let page = desk.post(NEW, &none).await.expect(422);
    page.has("/scopes</code> nothing says what the key may do");
    let mut form = page.form(NEW, &[("name", "desk"), ("days", "3")]);
    form.extend(["keys", "orders:read"].map(|scope| pair("scope", scope)));
    let made = desk.post(NEW, &form).await.expect(200);
    check_plain(&made, NEW);
    let key = shown(&made.html);
    assert!(key.starts_with("rgk_"), "{key}");
    // The same form again makes no other, and shows nothing.
    let again = desk.post(NEW, &form).await.expect(409);
    again.has("This form made the key");
    assert!(!again.html.contains(&key));
    let list = desk.get("/console/keys").await.expect(200);
    list.has("desk").has("orders:read, keys").has("badge ok");
    assert!(!list.html.contains(&key), "it is shown once");
    assert_eq!(list.html.matches("badge ok").count(), 1);

    log_in(&mut desk, &key).await;
    let page = desk.get(NEW).await.expect(200);
    page.has("value=\"orders:read\"");
    for beyond in ["value=\"orders:write\"", "value=\"admin\"", "value=\"viewer\""] {
        assert!(!page.html.contains(beyond), "{beyond}");
    }
    let mut form = page.form(NEW, &[("name", "other"), ("person", "bob")]);
    form.push(pair("scope", "orders:write"));
    let refused = desk.post(NEW, &form).await.expect(422);
    refused.has("asks for orders:write, which you may not do yourself");

    let id = key.split('_').nth(1).expect("an id");
    let list = desk.get("/console/keys").await.expect(200);
    let revoke = list.form("/console/keys", &[("id", id)]);
    let gone = desk.post("/console/keys", &revoke).await.expect(200);
    gone.has(&format!("Key {id} is nobody")).has("badge revoked");
    assert_eq!(
        desk.get("/console/keys").await.status,
        303,
        "its log-in has ended"
    );
}

#[tokio::test]
async fn who_may_not_see_keys_is_not_led_to_them() {
    let mut desk = Desk::with_token().await;
    let url = format!("{}/admin/v1/keys", desk.gate.admin);
    let body = json!({"name": "viewer", "person": "ada", "role": "viewer"}).to_string();
    let authorization = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    let made = desk
        .gate
        .http
        .send(hyper::Method::POST, &url, &headers, body.into_bytes())
        .await;
    let made = made.expect(201).json();
    log_in(&mut desk, made["key"].as_str().expect("a key")).await;
    let page = desk.get("/console").await.expect(200);
    assert!(!page.html.contains("href=\"/console/keys\""));
    for path in ["/console/keys", NEW] {
        desk.get(path).await.expect(403).has("the scope keys");
    }
}
