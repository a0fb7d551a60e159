//! Who may come in: the log-in by key, what ends it, and what forms have to prove.

use hyper::Method;
use serde_json::{Value, json};

use crate::console::desk::{Desk, TOKEN, check_plain, pair};

const PAUSE: &str = "/console/sales/demo/act/pause";

/// The form of the pause's page, confirmed.
async fn confirmation(desk: &Desk) -> Vec<(String, String)> {
    let page = desk.get(PAUSE).await.expect(200);
    page.form(PAUSE, &[("step", "confirm")])
}

async fn state(desk: &Desk) -> String {
    let url = format!("{}/admin/v1/campaigns/demo", desk.gate.admin);
    let token = format!("Bearer {TOKEN}");
    let shown = desk
        .gate
        .http
        .get(&url, &[("authorization", &token)])
        .await
        .expect(200)
        .json();
    shown["state"].as_str().expect("a state").to_owned()
}

#[tokio::test]
async fn a_key_opens_the_console_and_the_cookie_has_nothing_of_it() {
    let mut desk = Desk::with_token().await;
    for path in ["/console", "/console/health", "/console/sales/demo?as=json"] {
        let sent = desk.get(path).await;
        assert_eq!(sent.status, 303, "{path}");
        assert!(
            sent.location.starts_with("/console/login?next=%2Fconsole"),
            "{}",
            sent.location
        );
    }
    let form = desk
        .get("/console/login?next=%2Fconsole%2Fhealth")
        .await
        .expect(200);
    check_plain(&form, "the log-in");
    form.has("value=\"/console/health\"").has("type=\"password\"");
    for wrong in ["", "nobody", "T0KEN-OF-THE-DESK"] {
        let refused = desk.log_in(wrong).await.expect(401);
        refused.has("This key is not known here.");
        assert!(refused.set_cookie.is_empty());
    }
    let entered = desk.log_in(TOKEN).await;
    assert_eq!((entered.status, entered.location.as_str()), (303, "/console"));
    let cookie = &entered.set_cookie[0];
    for part in ["HttpOnly", "SameSite=Strict", "Path=/console", "Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains(TOKEN) && !cookie.contains("Secure"), "{cookie}");
    desk.get("/console")
        .await
        .expect(200)
        .has("admin")
        .has("Log out everywhere");
    let commands = desk.get(PAUSE).await.expect(200);
    commands.has("Authorization: Bearer $RUSHGATE_ADMIN_TOKEN");
    assert!(!commands.html.contains(TOKEN));
}

#[tokio::test]
async fn behind_tls_the_cookie_goes_nowhere_else() {
    let desk = Desk::with_token().await;
    let origin = desk.gate.admin.replace("http://", "https://");
    let headers = [("origin", origin.as_str()), ("x-forwarded-proto", "https")];
    let entered = desk
        .post_from("/console/login", &[pair("key", TOKEN)], &headers)
        .await
        .expect(303);
    assert!(
        entered.set_cookie[0].contains("; Secure"),
        "{:?}",
        entered.set_cookie
    );
}

#[tokio::test]
async fn nobody_is_led_away_by_the_log_in() {
    let mut desk = Desk::with_token().await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/admin/v1/campaigns",
        "/console/\\evil",
    ] {
        let entered = desk
            .post("/console/login", &[pair("key", TOKEN), pair("next", next)])
            .await;
        assert_eq!(entered.location, "/console", "{next}");
    }
    // A log-in that another page sends logs nobody in.
    let fields = [pair("key", TOKEN)];
    for headers in [
        [("origin", "https://evil.example")],
        [("sec-fetch-site", "cross-site")],
    ] {
        let refused = desk
            .post_from("/console/login", &fields, &headers)
            .await
            .expect(403);
        assert!(refused.set_cookie.is_empty());
    }
    desk.cookies.insert("rushgate-session".into(), "0".repeat(64));
    assert_eq!(desk.get("/console").await.status, 303);
}

#[tokio::test]
async fn a_form_is_sent_by_its_own_page_in_its_own_log_in() {
    let mut desk = Desk::with_token().await;
    desk.log_in(TOKEN).await;
    let form = confirmation(&desk).await;
    let own = desk.gate.admin.clone();
    let others_proof = {
        let first = desk.cookies.clone();
        desk.log_in(TOKEN).await;
        let other = confirmation(&desk).await;
        desk.cookies = first;
        other
    };
    // The first log-in ended with the second one of the same browser.
    desk.post(PAUSE, &form).await.expect(401);
    desk.log_in(TOKEN).await;
    let form = confirmation(&desk).await;
    desk.post(PAUSE, &others_proof).await.expect(403);
    for (headers, status) in [
        (vec![("origin", "https://evil.example")], 403),
        (vec![("origin", "null")], 403),
        (vec![("origin", "http://127.0.0.1:1")], 403),
        (
            vec![("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
            403,
        ),
        (vec![("sec-fetch-site", "same-site")], 403),
    ] {
        let refused = desk.post_from(PAUSE, &form, &headers).await;
        assert_eq!(refused.status, status, "{headers:?}");
        check_plain(&refused, "a refusal");
    }
    assert_eq!(state(&desk).await, "open");
    desk.post_from(
        PAUSE,
        &form,
        &[("origin", &own), ("sec-fetch-site", "same-origin")],
    )
    .await
    .expect(200);
    assert_eq!(state(&desk).await, "paused");
}

#[tokio::test]
async fn one_logs_out_here_or_everywhere() {
    let mut desk = Desk::with_token().await;
    let mut logged_in = Vec::new();
    for _ in 0..3 {
        desk.cookies.clear();
        desk.log_in(TOKEN).await;
        logged_in.push(desk.cookies.clone());
    }
    let log_out =
        |page: &crate::console::desk::Page, more: &[(&str, &str)]| page.form("/console/logout", more);
    desk.cookies = logged_in[0].clone();
    let page = desk.get("/console").await.expect(200);
    let gone = desk.post("/console/logout", &log_out(&page, &[])).await;
    assert_eq!((gone.status, gone.location.as_str()), (303, "/console/login"));
    assert_eq!(
        desk.get("/console").await.status,
        303,
        "the session is over, whoever has its id"
    );
    desk.cookies = logged_in[1].clone();
    let page = desk.get("/console").await.expect(200);
    desk.post("/console/logout", &log_out(&page, &[("everywhere", "1")]))
        .await
        .expect(303);
    for cookies in logged_in {
        desk.cookies = cookies;
        assert_eq!(desk.get("/console").await.status, 303);
        // A script or a stream is told, and not sent to a page.
        let live = desk
            .send(
                Method::GET,
                "/console/live",
                &[("hx-request", "true")],
                Vec::new(),
            )
            .await;
        assert_eq!(live.status, 401);
    }
}

#[tokio::test]
async fn without_a_key_it_is_for_this_machine_alone() {
    let desk = Desk::open().await;
    assert_eq!(desk.get("/console/login").await.location, "/console");
    desk.get("/console").await.expect(200).has("local");
    for headers in [[("host", "evil.example")], [("origin", "https://evil.example")]] {
        let refused = desk.send(Method::GET, "/console", &headers, Vec::new()).await;
        assert_eq!(refused.status, 403, "{headers:?}");
    }
    // Another page of this machine cannot send its forms.
    let form = confirmation(&desk).await;
    desk.post_from(PAUSE, &form, &[("origin", "http://localhost:3000")])
        .await
        .expect(403);
    assert_eq!(desk.gate.figures("demo").await["state"], "open");
}

/// What the root token makes.
async fn made(desk: &Desk, path: &str, body: &Value) -> Value {
    let url = format!("{}/admin/v1{path}", desk.gate.admin);
    let token = format!("Bearer {TOKEN}");
    let headers = [("authorization", token.as_str())];
    desk.gate.http.post(&url, &headers, body).await.expect(201).json()
}

#[tokio::test]
async fn a_look_at_a_sale_is_shared_with_those_alone_who_may_see_the_same() {
    let mut desk = Desk::with_token().await;
    made(&desk, "/merchants", &json!({"id": "b"})).await;
    let of = |person: &str, merchant: &str, scopes: Value| json!({"name": "desk", "person": person, "merchant": merchant, "scopes": scopes});
    let mut visitors = vec![(TOKEN.to_owned(), 200)];
    for (body, status) in [
        (of("ada", "default", json!(["campaigns:read"])), 200),
        (of("bob", "default", json!(["orders:read"])), 403),
        (of("eve", "b", json!(["campaigns:read"])), 404),
        (of("cyd", "default", json!(["campaigns:read"])), 200),
    ] {
        let key = made(&desk, "/keys", &body).await;
        visitors.push((key["key"].as_str().expect("a key").to_owned(), status));
    }
    // Whoever comes after somebody else sees no more than whoever comes first.
    let back = visitors.clone().into_iter().rev();
    for (key, status) in visitors.clone().into_iter().chain(back) {
        assert_eq!(desk.log_in(&key).await.status, 303);
        desk.get("/console/sales/demo").await.expect(status);
    }
}
