//! Dead letters over the API: seen by their merchant, asked to be sent back, repaired, and given up; each with its line in the trail.

use hyper::Method;
use rushgate::access::Scope;
use serde_json::{Value, json};

use super::house::{House, ROOT, names};

async fn bodied(house: &House, key: &str, path: &str, body: Value) -> Value {
    house.post(key, path, &body).await.expect(200).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_apart_and_done_with_by_their_merchant() {
    let house = House::open("").await;
    let a = house.settle("a").await;
    let b = house.settle("b").await;
    let second = house.bury("a", 7).await;
    let key = house.with_scope(Some("a"), Scope::Letters).await;
    let list = house.get(&key, "/letters").await.expect(200);
    assert_eq!(names(&list, "letters", "id").len(), 2);
    assert_eq!(
        list.json()["totals"],
        json!([{"stage": "dead", "class": "failing", "letters": 2}])
    );
    let all = house.get(ROOT, "/letters?class=failing").await.expect(200);
    assert_eq!(names(&all, "letters", "id").len(), 3);
    let first = house.get(&key, "/letters?limit=1").await.expect(200).json();
    assert_eq!(first["letters"][0]["id"], second.as_str());
    let next = format!(
        "/letters?limit=1&before={}",
        first["next"].as_str().expect("more")
    );
    let rest = house.get(&key, &next).await.expect(200).json();
    assert_eq!(
        (&rest["letters"][0]["id"], &rest["next"]),
        (&json!(a.letter), &Value::Null)
    );
    for (query, told) in [
        ("stage=soon", "stage \"soon\" is no stage"),
        ("from=then", "from is \"then\", which is no time"),
        ("class=", "class is empty"),
    ] {
        let refused = house.get(&key, &format!("/letters?{query}")).await;
        let refused = refused.refused(400, "malformed");
        assert_eq!(
            refused["detail"].as_str().map(|text| text.contains(told)),
            Some(true),
            "{refused}"
        );
    }
    // The other merchant's is not there.
    let theirs = format!("/letters/{}", b.letter);
    house.get(&key, &theirs).await.refused(404, "unknown");
    let ids = json!({"ids": [a.letter, b.letter]});
    house
        .post(&key, "/letters/replay", &ids)
        .await
        .refused(404, "unknown");

    // Asked to be sent back, tried first.
    let path = format!("/letters/{}", a.letter);
    let shown = house.get(&key, &path).await.expect(200).json();
    assert_eq!(shown["payload"]["campaign"], "sale-a");
    assert!(
        shown["headers"]
            .as_array()
            .is_some_and(|headers| headers.len() > 4),
        "{shown}"
    );
    let asked = json!({"filter": {"campaign": "sale-a"}, "rate": 1, "at": "2026-01-01T00:00:00Z"});
    let would = bodied(&house, &key, "/letters/replay?dry_run=true", asked.clone()).await;
    assert_eq!((&would["letters"], &would["more"]), (&json!(2), &json!(false)));
    assert!(
        house.get(&key, &path).await.json()["replay_at"].is_null(),
        "it was a trial"
    );
    let done = bodied(&house, &key, "/letters/replay", asked).await;
    assert_eq!(done["letters"], 2, "{done}");
    let did = done["did"].as_str().expect("a sentence");
    assert!(
        did.starts_with("2 letters are sent back by a lander, from "),
        "{did}"
    );
    let at = house.get(&key, &path).await.json()["replay_at"].clone();
    assert_eq!(at, done["last_at"], "one a second");
    let back = bodied(&house, &key, "/letters/cancel", json!({"ids": [a.letter]})).await;
    assert_eq!(back["letters"], 1);
    let again = json!({"ids": [a.letter]});
    house
        .post(&key, "/letters/cancel", &again)
        .await
        .refused(409, "conflict");
    house
        .post(&key, "/letters/unpark", &again)
        .await
        .refused(409, "conflict");

    // Repaired: the same order it has to stay.
    let mut payload = shown["payload"].clone();
    payload["quantity"] = 2.into();
    let repair = format!("{path}/repair");
    let repaired = bodied(&house, &key, &repair, json!({"payload": payload})).await;
    assert_eq!(
        (&repaired["payload"]["quantity"], &repaired["quantity"]),
        (&json!(2), &json!(2))
    );
    payload["campaign"] = "sale-b".into();
    let refused = house.post(&key, &repair, &json!({"payload": payload})).await;
    let refused = refused.refused(422, "invalid");
    assert_eq!(refused["errors"][0]["pointer"], "/payload", "{refused}");

    // Given up, for a reason.
    let given_up = json!({"ids": [a.letter]});
    house
        .post(&key, "/letters/discard", &given_up)
        .await
        .refused(422, "invalid");
    let given_up = json!({"ids": [a.letter], "reason": "refunded by hand"});
    let done = bodied(&house, &key, "/letters/discard", given_up.clone()).await;
    assert_eq!(done["did"], "1 letter is discarded.");
    house
        .post(&key, "/letters/discard", &given_up)
        .await
        .refused(409, "conflict");
    let trail = format!("/audit?target={}", a.letter.replace('/', "%2F"));
    let trail = house.get(ROOT, &trail).await.expect(200).json();
    let actions: Vec<&str> = trail["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .filter_map(|line| line["action"].as_str())
        .collect();
    assert_eq!(
        actions,
        ["dlt.discard", "dlt.repair", "dlt.cancel", "dlt.schedule"]
    );
    assert_eq!(trail["lines"][0]["person"], "ada");
}

#[tokio::test]
async fn what_is_not_meant_is_refused() {
    let house = House::open("").await;
    let a = house.settle("a").await;
    for (path, body, pointer) in [
        ("/letters/replay", json!({}), "/ids"),
        ("/letters/replay", json!({"ids": []}), "/ids"),
        (
            "/letters/replay",
            json!({"ids": [a.letter], "filter": {}}),
            "/ids",
        ),
        ("/letters/replay", json!({"ids": [a.letter], "rate": 0}), "/rate"),
        ("/letters/replay", json!({"ids": [a.letter], "at": "soon"}), "/at"),
        (
            "/letters/replay",
            json!({"ids": [a.letter], "at": "2099-01-01T00:00:00Z"}),
            "/at",
        ),
        (
            "/letters/replay",
            json!({"filter": {"stage": "landed"}}),
            "/filter/stage",
        ),
        (
            "/letters/unpark",
            json!({"filter": {"stage": "dead"}}),
            "/filter/stage",
        ),
        (
            "/letters/discard",
            json!({"filter": {"campaign": " "}, "reason": "r"}),
            "/filter/campaign",
        ),
    ] {
        let refused = house.post(ROOT, path, &body).await.refused(422, "invalid");
        assert_eq!(
            refused["errors"][0]["pointer"], pointer,
            "{path} {body}: {refused}"
        );
    }
    for missing in ["/letters/rushgate.orders/0/99", "/letters/x/y/z"] {
        house.get(ROOT, missing).await.refused(404, "unknown");
    }
    let none = house
        .send(ROOT, Method::DELETE, "/letters", "application/json", b"")
        .await;
    assert_eq!(none.status, 405);
}
