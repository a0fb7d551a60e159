//! A merchant changes the stock of a running sale: units more, units back, and another SKU.

use std::time::Instant;

use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::{Gate, PATIENCE, POLL};

const MANY: &str = "n-per-user";

fn rules(limit: u32) -> Value {
    json!([{"module": MANY, "params": {"limit": limit}}])
}

fn of(sku: &str) -> Value {
    json!({"sku": sku, "quantity": 1})
}

async fn stock(gate: &Gate, sku: &str, body: Value) -> Reply {
    gate.control(&format!("/campaigns/spring/skus/{sku}/stock"), &body)
        .await
}

async fn keyed(gate: &Gate, key: &str, body: &Value) -> Reply {
    let url = format!("{}/admin/v1/campaigns/spring/skus/mug/stock", gate.admin);
    gate.http.post(&url, &[("idempotency-key", key)], body).await
}

/// Places orders of one unit until one is refused; how many were admitted.
async fn sell_out(gate: &Gate, name: &str, sku: &str) -> u32 {
    for number in 0.. {
        let placed = gate
            .place_in("spring", &format!("{name}{number}"), &[], of(sku))
            .await;
        if placed.status != 202 {
            placed.refused(409, "sold-out");
            return number;
        }
    }
    unreachable!("somebody is refused")
}

/// The figures of a SKU.
async fn figures(gate: &Gate, sku: &str) -> (i64, i64, i64) {
    let figures = gate.figures("spring").await;
    let skus = figures["skus"].as_array().expect("SKUs").clone();
    let found = skus.into_iter().find(|each| each["id"] == sku).expect("the SKU");
    let number = |name: &str| found[name].as_i64().expect("a number");
    (number("stock"), number("remaining"), number("admitted"))
}

#[tokio::test]
async fn what_is_sold_out_sells_again_and_what_is_left_comes_back() {
    let gate = Gate::dev().await;
    gate.create("spring", 3, rules(9)).await;
    assert_eq!(sell_out(&gate, "a", "mug").await, 3);
    let added = stock(
        &gate,
        "mug",
        json!({"add": 5, "expect": 3, "note": "second delivery"}),
    )
    .await
    .expect(200)
    .json();
    assert_eq!(
        added["did"],
        "5 units of mug were added: the stock is 8 units in all."
    );
    assert_eq!(
        (&added["before"], &added["stock"], &added["units"]),
        (&json!(3), &json!(8), &json!(5))
    );
    assert_eq!(
        (&added["remaining"], &added["revision"], &added["epoch"]),
        (&json!(5), &json!(2), &json!(3))
    );
    // A gateway may say that it is sold out for a second.
    let begun = Instant::now();
    while gate.place_in("spring", "bob", &[], of("mug")).await.status != 202 {
        assert!(begun.elapsed() < PATIENCE, "it stays sold out");
        tokio::time::sleep(POLL).await;
    }
    assert!(begun.elapsed().as_millis() < 1500, "{:?}", begun.elapsed());
    assert_eq!(figures(&gate, "mug").await, (8, 4, 4));

    let removed = stock(&gate, "mug", json!({"remove": 1})).await.expect(200).json();
    assert_eq!(
        removed["did"],
        "1 unit of mug was taken off. The stock is 7 units in all."
    );
    assert_eq!(removed["units"], -1);
    let more = stock(&gate, "mug", json!({"remove": 20}))
        .await
        .expect(200)
        .json();
    let did = more["did"].as_str().expect("a sentence");
    assert!(
        did.starts_with("3 units of mug were taken off of the 20 that were asked for"),
        "{did}"
    );
    assert_eq!(figures(&gate, "mug").await, (4, 0, 4));
    let none = stock(&gate, "mug", json!({"remove": 1})).await.expect(200).json();
    assert!(
        none["did"]
            .as_str()
            .expect("a sentence")
            .starts_with("Nothing was taken off mug"),
        "{none}"
    );
    assert_eq!((&none["units"], none.get("revision")), (&json!(0), None));
    assert_eq!(sell_out(&gate, "c", "mug").await, 0);

    let set = stock(&gate, "mug", json!({"set": 10, "expect": 4}))
        .await
        .expect(200)
        .json();
    assert_eq!((&set["units"], &set["stock"]), (&json!(6), &json!(10)));
    let same = stock(&gate, "mug", json!({"set": 10})).await.expect(200).json();
    assert_eq!(same["did"], "Nothing was done: the stock is 10 units already.");
    let down = stock(&gate, "mug", json!({"set": 2})).await.expect(200).json();
    assert_eq!(
        (&down["units"], &down["stock"], &down["remaining"]),
        (&json!(-6), &json!(4), &json!(0))
    );
    assert_eq!(figures(&gate, "mug").await, (4, 0, 4));
}

#[tokio::test]
async fn the_same_request_with_its_key_changes_nothing_again() {
    let gate = Gate::dev().await;
    gate.create("spring", 3, rules(9)).await;
    let body = json!({"add": 5});
    let first = keyed(&gate, "delivery-7", &body).await.expect(200);
    for _ in 0..3 {
        let again = keyed(&gate, "delivery-7", &body).await.expect(200);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.json(), first.json());
    }
    keyed(&gate, "delivery-7", &json!({"add": 6}))
        .await
        .refused(422, "key-reused");
    assert_eq!(figures(&gate, "mug").await, (8, 8, 0));
    // Without a key each is another one.
    for _ in 0..2 {
        stock(&gate, "mug", body.clone()).await.expect(200);
    }
    assert_eq!(figures(&gate, "mug").await, (18, 18, 0));
    // A refusal is not kept: who mends the request may use the key again.
    let wrong = keyed(&gate, "k", &json!({"add": 5, "expect": 3})).await;
    let problem = wrong.refused(409, "conflict");
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains("is 18 and not 3"), "{detail}");
    keyed(&gate, "k", &json!({"add": 5, "expect": 18}))
        .await
        .expect(200);
    // Two at once under one key are one.
    let (one, other) = tokio::join!(keyed(&gate, "both", &body), keyed(&gate, "both", &body));
    for reply in [one, other] {
        assert!(matches!(reply.status, 200 | 409), "{reply:?}");
    }
    keyed(&gate, "both", &body).await.expect(200);
    assert_eq!(figures(&gate, "mug").await, (28, 28, 0));
}

#[tokio::test]
async fn of_two_operators_who_saw_the_same_one_is_told_what_there_is() {
    let gate = Gate::dev().await;
    gate.create("spring", 100, rules(9)).await;
    let changes = (0..6).map(|_| stock(&gate, "mug", json!({"add": 10, "expect": 100})));
    let replies = futures_util::future::join_all(changes).await;
    let mut done = 0;
    for reply in replies {
        match reply.status {
            200 => done += 1,
            _ => {
                let problem = reply.refused(409, "conflict");
                let detail = problem["detail"].as_str().expect("a text").to_owned();
                assert!(detail.contains("is 110 and not 100"), "{detail}");
            }
        }
    }
    assert_eq!(done, 1);
    assert_eq!(figures(&gate, "mug").await, (110, 110, 0));
}

#[tokio::test]
async fn a_sku_that_comes_later_sells_at_once() {
    let gate = Gate::dev().await;
    gate.create("spring", 3, rules(9)).await;
    gate.place_in("spring", "ann", &[], of("cap"))
        .await
        .refused(404, "unknown-sku");
    let cap = json!({"id": "RED/M cap", "stock": 2, "attributes": {"colour": "red"}});
    let would = gate
        .control("/campaigns/spring/skus?dry_run=true", &cap)
        .await
        .expect(200)
        .json();
    assert_eq!(
        would["did"],
        "Nothing was done. \"RED/M cap\" would be on sale with 2 units."
    );
    gate.place_in("spring", "ann", &[], of("RED/M cap"))
        .await
        .refused(404, "unknown-sku");
    let made = gate
        .control("/campaigns/spring/skus", &cap)
        .await
        .expect(201)
        .json();
    assert_eq!(made["did"], "\"RED/M cap\" is on sale with 2 units.");
    gate.place_in("spring", "ann", &[], of("RED/M cap"))
        .await
        .expect(202);
    let shown = gate.figures("spring").await;
    assert_eq!(shown["skus"][1]["attributes"]["colour"], "red");
    assert_eq!(figures(&gate, "RED/M cap").await, (2, 1, 1));
    // Its slash is one of the path, or of the body.
    let encoded = stock(&gate, "RED%2FM%20cap", json!({"add": 1}))
        .await
        .expect(200)
        .json();
    assert_eq!(encoded["stock"], 3);
    let named = json!({"sku": "RED/M cap", "add": 1});
    let named = gate
        .control("/campaigns/spring/stock", &named)
        .await
        .expect(200)
        .json();
    assert_eq!(named["stock"], 4);
    assert_eq!(sell_out(&gate, "b", "RED/M cap").await, 3);
    gate.control("/campaigns/spring/skus", &cap)
        .await
        .refused(409, "conflict");
    let quota = gate.quota("spring", "bob", "?sku=RED/M%20cap").await;
    quota.expect(200);
}

#[tokio::test]
async fn shares_of_the_stock_follow_it_and_those_of_an_earlier_revision_do_not() {
    let gate = Gate::dev().await;
    let quota = |shares: Value, unit: &str| json!([{"module": "region-quota", "params": {"shares": shares, "unit": unit, "mode": "cap"}}]);
    let made = gate
        .create("spring", 10, quota(json!({"eu": 20}), "percent"))
        .await;
    let buyer = |number: u32| format!("u{number}?region=eu");
    let buy = async |from: u32| {
        for number in from.. {
            let reply = gate.place_in("spring", &buyer(number), &[], of("mug")).await;
            if reply.status != 202 {
                assert_eq!(reply.status, 409, "{reply:?} {made}");
                return number - from;
            }
        }
        unreachable!("somebody is refused")
    };
    assert_eq!(buy(0).await, 2);
    let url = "/campaigns/spring/skus/mug/stock?dry_run=true";
    let would = gate.control(url, &json!({"add": 10})).await.expect(200).json();
    assert_eq!(
        would["did"],
        "Nothing was done. 10 units of mug would be added: the stock is 20 units in all."
    );
    assert!(!would["follow"].as_array().expect("a list").is_empty(), "{would}");
    assert_eq!(buy(10).await, 0, "nothing was done");
    let added = stock(&gate, "mug", json!({"add": 10})).await.expect(200).json();
    assert_eq!(added["follow"], would["follow"]);
    let classes: Vec<&str> = added["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .filter_map(|change| change["class"].as_str())
        .collect();
    assert!(classes.contains(&"looser"), "{added}");
    assert_eq!(buy(20).await, 2, "20 % of 20");
    let removed = stock(&gate, "mug", json!({"remove": 10}))
        .await
        .expect(200)
        .json();
    assert_eq!(removed["stock"], 10);
    assert_eq!(buy(30).await, 0);
    stock(&gate, "mug", json!({"add": 40})).await.expect(200);
    assert_eq!(buy(40).await, 6, "20 % of 50");
    // Back to the revision of 20 units: a fifth of 20.
    let back = gate
        .control("/campaigns/spring/activate", &json!({"revision": 2}))
        .await
        .expect(200)
        .json();
    let meaning = back["meaning"].to_string();
    assert!(
        meaning.contains("of 20 units of mug, which has 50 by now"),
        "{meaning}"
    );
    assert_eq!(buy(50).await, 0);
    assert_eq!(figures(&gate, "mug").await, (50, 40, 10));
}

#[tokio::test]
async fn what_a_merchant_mistypes_is_told() {
    let gate = Gate::dev().await;
    gate.create("spring", 3, rules(9)).await;
    for (body, pointer, text) in [
        (json!({}), "", "one of add, remove and set"),
        (json!({"add": 0}), "/add", "not within 1 to 1000000000"),
        (json!({"add": -5}), "/add", "is -5"),
        (json!({"remove": 0}), "/remove", "not within 1 to"),
        (json!({"set": -1}), "/set", "not within 0 to"),
        (json!({"add": 1_000_000_000}), "/add", "1000000003 units together"),
        (json!({"add": 1, "remove": 1}), "/remove", "one change at a time"),
        (json!({"add": "many"}), "/add", "is expected, not the text"),
        (json!({"add": 1.5}), "/add", "is expected, not the number 1.5"),
        (json!({"units": 1}), "/units", "there is no member"),
        (json!({"add": 1, "expect": -1}), "/expect", "not within 0 to"),
        (
            json!({"add": 1, "note": "x".repeat(501)}),
            "/note",
            "longer than 500 bytes",
        ),
        (json!({"add": 1, "sku": "cap"}), "/sku", "the path names mug"),
    ] {
        let problem = stock(&gate, "mug", body.clone()).await.refused(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{body}: {problem}");
        assert!(problem.to_string().contains(text), "{body}: {problem}");
    }
    // More than there are: what would be left is what is not on sale.
    let url = "/campaigns/spring/skus/mug/stock?dry_run=true";
    let would = gate
        .control(url, &json!({"remove": 100}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&would["before"], &would["stock"], &would["units"]),
        (&json!(3), &json!(0), &json!(-3)),
        "{would}"
    );
    let unknown = stock(&gate, "cap", json!({"add": 1}))
        .await
        .refused(404, "unknown");
    assert!(
        unknown["detail"]
            .as_str()
            .expect("a text")
            .contains("it sells mug"),
        "{unknown}"
    );
    let nowhere = gate
        .control("/campaigns/autumn/skus/mug/stock", &json!({"add": 1}))
        .await;
    nowhere.refused(404, "unknown");
    let nothing = gate.control("/campaigns/spring/stock", &json!({"add": 1})).await;
    assert_eq!(nothing.refused(422, "invalid")["pointer"], "/sku");
    for (sku, pointer) in [
        (json!({"id": "cap", "stock": 0}), "/stock"),
        (json!({"id": "cap"}), "/stock"),
        (json!({"id": "cap ", "stock": 1}), "/id"),
        (
            json!({"id": "cap", "stock": 1, "attributes": {"a/b": ""}}),
            "/attributes/a~1b",
        ),
    ] {
        let problem = gate
            .control("/campaigns/spring/skus", &sku)
            .await
            .refused(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{sku}: {problem}");
    }
    assert_eq!(figures(&gate, "mug").await, (3, 3, 0));
    let url = format!("{}/admin/v1/campaigns/spring/revisions", gate.admin);
    let revisions = gate.http.get(&url, &[]).await.expect(200).json();
    assert_eq!(
        revisions["revisions"].as_array().expect("a list").len(),
        1,
        "nothing was made"
    );
}

#[tokio::test]
async fn rules_that_refuse_a_stock_are_asked_before_anything_is_done() {
    let gate = Gate::dev().await;
    let units =
        json!([{"module": "region-quota", "params": {"shares": {"eu": 6, "us": 3}, "unit": "units"}}]);
    gate.create("spring", 10, units).await;
    let refused = stock(&gate, "mug", json!({"remove": 5}))
        .await
        .refused(422, "invalid");
    assert_eq!(refused["pointer"], "/remove", "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("the rules of revision 1, which is active, refuse this stock"),
        "{text}"
    );
    assert_eq!(figures(&gate, "mug").await, (10, 10, 0));
    stock(&gate, "mug", json!({"remove": 1})).await.expect(200);
    assert_eq!(figures(&gate, "mug").await, (9, 9, 0));
}

#[tokio::test]
async fn a_restart_keeps_what_was_added_and_taken() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::dev_in(data.path()).await;
    gate.create("spring", 3, rules(9)).await;
    assert_eq!(sell_out(&gate, "a", "mug").await, 3);
    stock(&gate, "mug", json!({"add": 5})).await.expect(200);
    stock(&gate, "mug", json!({"remove": 2})).await.expect(200);
    assert_eq!(gate.terminate(), Some(0));
    let gate = Gate::dev_in(data.path()).await;
    assert_eq!(figures(&gate, "mug").await, (6, 3, 3));
    assert_eq!(sell_out(&gate, "b", "mug").await, 3);
    stock(&gate, "mug", json!({"add": 1})).await.expect(200);
    assert_eq!(figures(&gate, "mug").await, (7, 1, 6));
}
