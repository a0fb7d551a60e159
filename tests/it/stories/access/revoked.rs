//! Keys that are revoked while they are used.

use hyper::Method;
use serde_json::json;
use testkit::events::Events;

use super::house::{House, ROOT};

#[tokio::test]
async fn a_revoked_key_is_nobody_s_at_once_and_so_is_its_log_in() {
    let house = House::open("").await;
    let (id, key) = house
        .key(ROOT, json!({"name": "desk", "person": "ada", "role": "operator"}))
        .await;
    house.get(&key, "/campaigns").await.expect(200);
    let login = format!("{}/console/login", house.gate.admin);
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("origin", house.gate.admin.as_str()),
    ];
    let form = format!("key={key}&next=/console").into_bytes();
    let reply = house
        .gate
        .http
        .send(Method::POST, &login, &headers, form)
        .await
        .expect(303);
    let cookie = reply
        .header("set-cookie")
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    let address = house.gate.admin.strip_prefix("http://").expect("plain HTTP");
    let mut sale = Events::open(address, "/console/sales/demo/live", &[("cookie", &cookie)])
        .await
        .expect("a stream");
    assert_eq!(sale.status(), 200);
    assert!(sale.block().await.expect("it is read").is_some());
    let revoke = format!("/keys/{id}");
    house
        .send(ROOT, Method::DELETE, &revoke, "application/json", b"")
        .await
        .expect(204);
    let refused = house.get(&key, "/campaigns").await.refused(401, "token-invalid");
    assert!(
        refused["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("revoked"))
    );
    // The stream ends by itself; what was under way may still come.
    let begun = std::time::Instant::now();
    while sale.block().await.expect("it is read").is_some() {}
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    let page = format!("{}/console", house.gate.admin);
    let reply = house.gate.http.get(&page, &[("cookie", &cookie)]).await;
    assert_eq!(
        (reply.status, reply.header("location").contains("login")),
        (303, true)
    );
    // And again is no error.
    house
        .send(ROOT, Method::DELETE, &revoke, "application/json", b"")
        .await
        .expect(204);
}
