//! Keys that are revoked while they are used.

use hyper::Method;
use serde_json::json;
use testkit::events::Events;

use super::house::{House, ROOT};

/// The cookie that the console gives to the holder of a key.
async fn log_in(house: &House, key: &str) -> String {
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
    let cookie = reply.header("set-cookie").split(';').next();
    cookie.unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_revoked_key_is_nobody_s_at_once_and_so_is_its_log_in() {
    let house = House::open("").await;
    let (id, key) = house
        .key(ROOT, json!({"name": "desk", "person": "ada", "role": "operator"}))
        .await;
    house.get(&key, "/campaigns").await.expect(200);
    let cookie = log_in(&house, &key).await;
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

#[tokio::test]
async fn the_console_shows_a_key_what_it_may_do() {
    let house = House::open("").await;
    house.settle("a").await;
    let of = |role: &str| json!({"name": "desk", "person": "ada", "role": role, "merchant": "a"});
    let (_, viewer) = house.key(ROOT, of("viewer")).await;
    let (_, operator) = house.key(ROOT, of("operator")).await;
    let mut seen = Vec::new();
    for key in [viewer, operator] {
        let cookie = log_in(&house, &key).await;
        for page in [
            "/console",
            "/console/sales/sale-a",
            "/console/sales/sale-a/rules",
            "/console/sales/demo",
        ] {
            let url = format!("{}{page}", house.gate.admin);
            let reply = house.gate.http.get(&url, &[("cookie", &cookie)]).await;
            seen.push((reply.status, reply.text().into_owned()));
        }
    }
    let statuses: Vec<u16> = seen.iter().map(|(status, _)| *status).collect();
    assert_eq!(
        statuses,
        [200, 200, 200, 404, 200, 200, 200, 404],
        "another merchant's sale is none"
    );
    for at in [0, 4] {
        assert!(
            seen[at].1.contains("sale-a") && !seen[at].1.contains("/sales/demo"),
            "{}",
            seen[at].1
        );
    }
    for (at, shown) in [(1, false), (5, true)] {
        assert_eq!(seen[at].1.contains("/act/pause\""), shown);
        assert_eq!(seen[at].1.contains("it lacks campaigns:write"), !shown);
    }
    for (at, shown) in [(2, false), (6, true)] {
        assert_eq!(seen[at].1.contains("value=\"save\""), shown);
    }
}
