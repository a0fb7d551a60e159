//! The life of orders over HTTP: paid, cancelled and refunded by whoever runs the sale, cancelled by their buyers.

use hyper::Method;
use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::{Gate, PATIENCE, POLL, command};

fn mug() -> Value {
    json!({"sku": "mug", "quantity": 1})
}

/// A sale of so many mugs, two orders per buyer, with these members more.
async fn sell(gate: &Gate, stock: u64, more: Value) {
    let mut campaign = json!({
        "id": "spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": stock}], "rules": [{"module": "n-per-user", "params": {"limit": 2}}],
    });
    let members = more.as_object().expect("members").clone();
    campaign.as_object_mut().expect("an object").extend(members);
    gate.control("/campaigns", &campaign).await.expect(201);
}

/// An order that has landed: its id.
async fn bought(gate: &Gate, user: &str) -> String {
    let placed = until_on_sale(gate, user).await;
    let landed = gate
        .order_in_state(user, placed.header("location"), "confirmed")
        .await;
    landed["order"].as_str().expect("an id").to_owned()
}

async fn act(gate: &Gate, order: &str, act: &str, key: Option<&str>, body: &Value) -> Reply {
    let headers: Vec<(&str, &str)> = key.iter().map(|key| ("idempotency-key", *key)).collect();
    let url = format!("{}/admin/v1/campaigns/spring/orders/{order}/{act}", gate.admin);
    gate.http.post(&url, &headers, body).await
}

async fn shown(gate: &Gate, order: &str) -> Value {
    let url = format!("{}/admin/v1/campaigns/spring/orders/{order}", gate.admin);
    gate.http.get(&url, &[]).await.expect(200).json()
}

async fn cancel(gate: &Gate, user: &str, order: &str) -> Reply {
    let token = format!("Bearer dev:{user}");
    let url = format!("{}/v1/campaigns/spring/orders/{order}/cancel", gate.orders);
    let headers = [("authorization", token.as_str())];
    gate.http.send(Method::POST, &url, &headers, Vec::new()).await
}

async fn patch(gate: &Gate, body: &Value) -> Reply {
    let url = format!("{}/admin/v1/campaigns/spring", gate.admin);
    let headers = [("content-type", "application/json")];
    gate.http
        .send(Method::PATCH, &url, &headers, body.to_string().into_bytes())
        .await
}

fn did(answer: &Value) -> &str {
    answer["did"].as_str().expect("a sentence")
}

/// Buys as soon as it is on sale: what came back may be called sold out for a second.
async fn until_on_sale(gate: &Gate, user: &str) -> Reply {
    let begun = std::time::Instant::now();
    loop {
        let placed = gate.place_in("spring", user, &[], mug()).await;
        if placed.status == 202 {
            return placed;
        }
        assert!(begun.elapsed() < PATIENCE, "it stays sold out");
        placed.refused(409, "sold-out");
        tokio::time::sleep(POLL).await;
    }
}

async fn used(gate: &Gate, user: &str) -> i64 {
    let quota = gate.quota("spring", user, "?sku=mug").await.expect(200).json();
    quota["constraints"][0]["used"].as_i64().expect("a number")
}

#[tokio::test]
async fn what_is_wrong_is_said_and_changes_no_order() {
    let gate = Gate::dev().await;
    sell(&gate, 10, json!({})).await;
    let order = bought(&gate, "ann").await;
    for (act_is, body, status, reason, pointer) in [
        ("pay", json!({"reason": "Two words"}), 422, "invalid", "/reason"),
        ("pay", json!({"reason": ""}), 422, "invalid", "/reason"),
        ("pay", json!({"releases": "stock"}), 422, "invalid", "/releases"),
        ("pay", json!({"nope": 1}), 422, "invalid", "/nope"),
        ("cancel", json!({"releases": "all"}), 422, "invalid", "/releases"),
        ("cancel", json!({"note": "x\u{7}"}), 422, "invalid", "/note"),
        (
            "cancel",
            json!({"note": "x".repeat(501)}),
            422,
            "invalid",
            "/note",
        ),
        (
            "refund",
            json!({"reason": "x".repeat(65)}),
            422,
            "invalid",
            "/reason",
        ),
    ] {
        let problem = act(&gate, &order, act_is, Some("k"), &body).await;
        let problem = problem.refused(status, reason);
        assert_eq!(problem["pointer"], pointer, "{body}: {problem}");
    }
    for name in ["pay", "cancel", "refund"] {
        let problem = act(&gate, &order, name, None, &json!({})).await;
        let problem = problem.refused(400, "idempotency-key");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("needs the header Idempotency-Key"), "{detail}");
        for unknown in ["0".repeat(32), "cart-1".to_owned()] {
            let problem = act(&gate, &unknown, name, Some("k"), &json!({})).await;
            problem.refused(404, "unknown");
        }
    }
    let url = format!("{}/admin/v1/campaigns/autumn/orders/{order}/pay", gate.admin);
    let elsewhere = gate
        .http
        .post(&url, &[("idempotency-key", "k")], &json!({}))
        .await;
    elsewhere.refused(404, "unknown");
    let refund = act(&gate, &order, "refund", Some("k"), &json!({})).await;
    let refund = refund.refused(409, "order-state");
    assert_eq!(refund["state"], "confirmed", "{refund}");
    let order = shown(&gate, &order).await;
    assert_eq!(
        (&order["state"], &order["holds"]),
        (&json!("confirmed"), &json!("all"))
    );
    assert_eq!(order["changes"].as_array().map(Vec::len), Some(1), "{order}");
}

#[tokio::test]
async fn an_order_is_paid_once_and_refunded_once() {
    let gate = Gate::dev().await;
    sell(&gate, 1, json!({})).await;
    let order = bought(&gate, "ann").await;
    let body = json!({"reason": "card", "note": "ref 4711"});
    let paid = act(&gate, &order, "pay", Some("p-1"), &body).await.expect(200);
    assert_eq!(paid.header("idempotent-replayed"), "");
    let paid = paid.json();
    assert_eq!((&paid["state"], &paid["holds"]), (&json!("paid"), &json!("all")));
    let change = &paid["change"];
    assert_eq!(
        (
            &change["number"],
            &change["from"],
            &change["to"],
            &change["actor"]
        ),
        (&json!(2), &json!("confirmed"), &json!("paid"), &json!("local"))
    );
    assert_eq!(
        (&change["reason"], &change["note"]),
        (&json!("card"), &json!("ref 4711"))
    );

    let again = act(&gate, &order, "pay", Some("p-1"), &body).await.expect(200);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json(), paid);
    let second = act(&gate, &order, "pay", Some("p-2"), &body).await;
    assert_eq!(second.refused(409, "order-state")["state"], "paid");
    // The key is of that payment, and of nothing else.
    for (name, body) in [
        ("refund", json!({})),
        ("pay", json!({"reason": "cash", "note": "ref 4711"})),
        ("pay", json!({"reason": "card"})),
    ] {
        let other = act(&gate, &order, name, Some("p-1"), &body).await;
        other.refused(422, "key-reused");
    }
    let cancelled = act(&gate, &order, "cancel", Some("c-1"), &json!({})).await;
    let cancelled = cancelled.refused(409, "order-state");
    assert!(
        cancelled["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("refund it instead")),
        "{cancelled}"
    );

    let refunded = act(&gate, &order, "refund", Some("r-1"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        did(&refunded),
        "Refunded: its 1 unit of mug is on sale again, and its buyer may buy as many as before."
    );
    let all = shown(&gate, &order).await;
    assert_eq!(
        (&all["state"], &all["holds"]),
        (&json!("refunded"), &json!("none"))
    );
    let made: Vec<(&Value, &Value, &Value)> = all["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .map(|change| (&change["number"], &change["to"], &change["reason"]))
        .collect();
    assert_eq!(
        made,
        [
            (&json!(1), &json!("confirmed"), &Value::Null),
            (&json!(2), &json!("paid"), &json!("card")),
            (&json!(3), &json!("refunded"), &json!("refund")),
        ]
    );
    assert_eq!(used(&gate, "ann").await, 0);
    until_on_sale(&gate, "bob").await;
    // Each state is asked for by its name.
    for (state, there) in [("refunded", 1), ("paid", 0), ("cancelled", 0)] {
        let url = format!("{}/admin/v1/campaigns/spring/orders?state={state}", gate.admin);
        let page = gate.http.get(&url, &[]).await.expect(200).json();
        assert_eq!(page["orders"].as_array().map(Vec::len), Some(there), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_payment_and_a_cancel_in_the_same_moment_one_is_made() {
    let gate = Gate::dev().await;
    sell(&gate, 100, json!({"cancel_by_buyer": true})).await;
    for round in 0..6 {
        let user = format!("u{round}");
        let order = bought(&gate, &user).await;
        let nothing = json!({});
        let (paid, cancelled, by_buyer) = tokio::join!(
            act(&gate, &order, "pay", Some("p"), &nothing),
            act(&gate, &order, "cancel", Some("c"), &nothing),
            cancel(&gate, &user, &order),
        );
        let answers = [paid.status, cancelled.status, by_buyer.status];
        let made = answers.iter().filter(|status| **status == 200).count();
        assert_eq!(made, 1, "{answers:?}: {paid:?} {cancelled:?} {by_buyer:?}");
        assert!(
            answers.iter().all(|status| [200, 409].contains(status)),
            "{answers:?}"
        );
        let expected = if paid.status == 200 { "paid" } else { "cancelled" };
        let order = shown(&gate, &order).await;
        assert_eq!(order["state"], expected);
        assert_eq!(order["changes"].as_array().map(Vec::len), Some(2), "{order}");
    }
}

#[tokio::test]
async fn buyers_cancel_where_the_sale_lets_them_and_the_last_unit_sells_again() {
    let gate = Gate::dev().await;
    sell(&gate, 1, json!({})).await;
    let keyed = [("idempotency-key", "cart-1")];
    let placed = gate.place_in("spring", "ann", &keyed, mug()).await.expect(202);
    let location = placed.header("location").to_owned();
    let order = gate.order_in_state("ann", &location, "confirmed").await;
    let order = order["order"].as_str().expect("an id");
    gate.place_in("spring", "bob", &[], mug())
        .await
        .refused(409, "sold-out");
    cancel(&gate, "ann", order)
        .await
        .refused(403, "cancel-not-allowed");
    let allowed = patch(&gate, &json!({"cancel_by_buyer": true}))
        .await
        .expect(200)
        .json();
    assert_eq!(did(&allowed), "Buyers may cancel what is not paid.");
    assert_eq!(gate.figures("spring").await["cancel_by_buyer"], true);

    cancel(&gate, "bob", order).await.refused(404, "unknown");
    cancel(&gate, "ann", "nonsense").await.refused(404, "unknown");
    cancel(&gate, "ann", &"0".repeat(32))
        .await
        .refused(404, "unknown");
    let url = format!("{}/v1/campaigns/spring/orders/{order}/cancel", gate.orders);
    let token = [("authorization", "Bearer dev:ann")];
    let said = gate
        .http
        .post(&url, &token, &json!({"reason": "changed my mind"}))
        .await;
    assert_eq!(said.refused(422, "invalid")["pointer"], "/reason");
    gate.http
        .get(&url, &token)
        .await
        .refused(405, "method-not-allowed");
    gate.http
        .post(&url, &[], &json!({}))
        .await
        .refused(401, "token-missing");

    let cancelled = cancel(&gate, "ann", order).await.expect(200).json();
    assert_eq!(
        (&cancelled["state"], &cancelled["order"]),
        (&json!("cancelled"), &json!(order))
    );
    let again = cancel(&gate, "ann", order).await.expect(200).json();
    assert_eq!(again, cancelled);
    // A retry of the order gets the order, and not another one.
    let retried = gate.place_in("spring", "ann", &keyed, mug()).await.expect(202);
    assert_eq!(retried.header("idempotent-replayed"), "true");
    assert_eq!(retried.json()["state"], "cancelled");
    let change = shown(&gate, order).await["changes"][1].clone();
    assert_eq!(
        (&change["actor"], &change["reason"]),
        (&json!("buyer"), &json!("buyer"))
    );
    assert_eq!(used(&gate, "ann").await, 0);
    until_on_sale(&gate, "bob").await;

    // What somebody else has cancelled, or is paid, is not the buyer's to cancel.
    let refused = act(&gate, order, "pay", Some("p"), &json!({})).await;
    assert_eq!(refused.refused(409, "order-state")["state"], "cancelled");
    let more = json!({"add": 2});
    gate.control("/campaigns/spring/skus/mug/stock", &more)
        .await
        .expect(200);
    let paid = bought(&gate, "cid").await;
    act(&gate, &paid, "pay", Some("p"), &json!({})).await.expect(200);
    assert_eq!(
        cancel(&gate, "cid", &paid).await.refused(409, "order-state")["state"],
        "paid"
    );
    let other = bought(&gate, "dan").await;
    act(&gate, &other, "cancel", Some("c"), &json!({}))
        .await
        .expect(200);
    assert_eq!(
        cancel(&gate, "dan", &other).await.refused(409, "order-state")["state"],
        "cancelled"
    );
}

/// A retry says of the order all that is said of it elsewhere.
#[tokio::test]
async fn a_retry_has_the_members_that_the_order_has() {
    let gate = Gate::dev().await;
    sell(
        &gate,
        10,
        json!({"hold": {"minutes": 15}, "cancel_by_buyer": true}),
    )
    .await;
    let keyed = [("idempotency-key", "cart-1")];
    let placed = gate.place_in("spring", "ann", &keyed, mug()).await.expect(202);
    let location = placed.header("location").to_owned();
    let order = gate.order_in_state("ann", &location, "confirmed").await;
    assert!(
        order["confirmed_at"].is_string() && order["pay_by"].is_string(),
        "{order}"
    );
    let retry = async || {
        gate.place_in("spring", "ann", &keyed, mug())
            .await
            .expect(202)
            .json()
    };
    assert_eq!(retry().await, order);
    let id = order["order"].as_str().expect("an id");
    let cancelled = cancel(&gate, "ann", id).await.expect(200).json();
    assert_eq!(cancelled["confirmed_at"], order["confirmed_at"]);
    assert_eq!(retry().await, cancelled);
}

#[tokio::test]
async fn a_fraud_gives_the_unit_back_and_keeps_the_allowance_used() {
    let gate = Gate::dev().await;
    sell(
        &gate,
        2,
        json!({"releases": {"fraud": "stock", "expired": "none"}}),
    )
    .await;
    let (first, second) = (bought(&gate, "eve").await, bought(&gate, "eve").await);
    let fraud = json!({"reason": "fraud", "note": "stolen card"});
    let cancelled = act(&gate, &first, "cancel", Some("c"), &fraud)
        .await
        .expect(200)
        .json();
    assert_eq!(
        did(&cancelled),
        "Cancelled: its 1 unit of mug is on sale again; what it used of the limits stays used."
    );
    assert_eq!(cancelled["holds"], "allowance");
    assert_eq!(used(&gate, "eve").await, 2);
    until_on_sale(&gate, "ann").await;
    // What is said with the cancel goes before what the campaign says.
    let all = json!({"reason": "fraud", "releases": "none"});
    let kept = act(&gate, &second, "cancel", Some("c"), &all)
        .await
        .expect(200)
        .json();
    assert_eq!(
        did(&kept),
        "Cancelled: nothing comes back, neither its 1 unit of mug nor what it used of the limits."
    );
    assert_eq!((&kept["holds"], used(&gate, "eve").await), (&json!("all"), 2));
    gate.place_in("spring", "bob", &[], mug())
        .await
        .refused(409, "sold-out");
}

#[tokio::test]
async fn the_terms_of_orders_are_said_shown_changed_and_cloned() {
    let gate = Gate::dev().await;
    let hold = json!({"minutes": 15, "on_expiry": "release"});
    let terms = json!({"hold": hold, "cancel_by_buyer": true, "releases": {"fraud": "stock"}});
    sell(&gate, 10, terms.clone()).await;
    let of = |shown: &Value| json!({"hold": shown["hold"], "cancel_by_buyer": shown["cancel_by_buyer"], "releases": shown["releases"]});
    let figures = gate.figures("spring").await;
    assert_eq!(of(&figures), terms);
    let order = bought(&gate, "ann").await;
    let held = shown(&gate, &order).await;
    assert!(held["pay_by"].is_string(), "{held}");
    let url = format!("{}/v1/campaigns/spring/orders/{order}", gate.orders);
    let seen = gate
        .http
        .get(&url, &[("authorization", "Bearer dev:ann")])
        .await
        .expect(200);
    assert_eq!(seen.json()["pay_by"], held["pay_by"]);
    let paid = act(&gate, &order, "pay", Some("p"), &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(paid.get("pay_by"), None, "it waits for nothing any more");

    let new = json!({"id": "next", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z"});
    gate.control("/campaigns/spring/clone", &new).await.expect(201);
    assert_eq!(of(&gate.figures("next").await), terms);

    for (body, pointer) in [
        (json!({"hold": {"minutes": 0}}), "/hold/minutes"),
        (json!({"hold": {"minutes": 43_201}}), "/hold/minutes"),
        (json!({"hold": {"minutes": "15"}}), "/hold/minutes"),
        (
            json!({"hold": {"minutes": 15, "on_expiry": "keep"}}),
            "/hold/on_expiry",
        ),
        (json!({"hold": {"seconds": 15}}), "/hold/seconds"),
        (json!({"cancel_by_buyer": "yes"}), "/cancel_by_buyer"),
        (json!({"releases": {"fraud": "all"}}), "/releases/fraud"),
        (json!({"releases": {"Fraud": "stock"}}), "/releases/Fraud"),
    ] {
        let problem = patch(&gate, &body).await.refused(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{body}: {problem}");
    }
    assert_eq!(of(&gate.figures("spring").await), terms);
    let revision = gate.figures("spring").await["revision"].clone();
    let none = json!({"hold": null, "releases": null, "cancel_by_buyer": false});
    let changed = patch(&gate, &none).await.expect(200).json();
    assert_eq!(
        did(&changed),
        "None of the orders that land from now on expires. Buyers cannot cancel any more. Of an order that ends comes back: \
         everything otherwise."
    );
    let figures = gate.figures("spring").await;
    assert_eq!(
        of(&figures),
        json!({"hold": null, "cancel_by_buyer": false, "releases": null})
    );
    assert_eq!(figures["revision"], revision, "no rule is touched");
    let order = bought(&gate, "bob").await;
    assert_eq!(shown(&gate, &order).await.get("pay_by"), None);
}

#[tokio::test]
async fn a_payment_system_does_its_part_and_nothing_else() {
    let mut command = command(&["dev"]);
    command
        .env("RUSHGATE_ADMIN_TOKEN", "operators")
        .env("RUSHGATE_PAYMENT_TOKEN", "payments");
    let gate = Gate::spawn(command).await;
    let placed = gate.place("ann", mug()).await.expect(202);
    let landed = gate
        .order_in_state("ann", placed.header("location"), "confirmed")
        .await;
    let order = landed["order"].as_str().expect("an id");
    let ask = async |token: &str, method: Method, path: &str, body: &Value| {
        let url = format!("{}/admin/v1{path}", gate.admin);
        let token = format!("Bearer {token}");
        let headers = [
            ("authorization", token.as_str()),
            ("idempotency-key", path),
            ("content-type", "application/json"),
        ];
        gate.http
            .send(method, &url, &headers, body.to_string().into_bytes())
            .await
    };
    let none = json!({});
    let (of_orders, of_order) = (
        "/campaigns/demo/orders",
        format!("/campaigns/demo/orders/{order}"),
    );
    for (method, path) in [
        (Method::GET, "/campaigns"),
        (Method::GET, "/campaigns/demo"),
        (Method::GET, of_orders),
        (Method::POST, "/campaigns"),
        (Method::POST, "/campaigns/demo/pause"),
        (Method::POST, "/campaigns/demo/skus/mug/stock"),
        (Method::PATCH, "/campaigns/demo"),
        (Method::DELETE, "/campaigns/demo"),
        (Method::GET, "/modules"),
        (Method::DELETE, &of_order),
    ] {
        let refused = ask("payments", method.clone(), path, &none).await;
        let refused = refused.refused(403, "forbidden");
        let detail = refused["detail"].as_str().expect("a detail");
        assert!(detail.contains("and nothing else"), "{method} {path}: {detail}");
    }
    ask("paymentss", Method::GET, &of_order, &none)
        .await
        .refused(401, "token-invalid");
    let paid = ask("payments", Method::POST, &format!("{of_order}/pay"), &none).await;
    assert_eq!(paid.expect(200).json()["change"]["actor"], "payments");
    let refunded = ask("payments", Method::POST, &format!("{of_order}/refund"), &none).await;
    assert_eq!(refunded.expect(200).json()["state"], "refunded");
    let shown = ask("payments", Method::GET, &of_order, &none).await;
    assert_eq!(shown.expect(200).json()["changes"][2]["actor"], "payments");
    ask("operators", Method::GET, "/campaigns", &none)
        .await
        .expect(200);
}

async fn bulk(gate: &Gate, query: &str, key: Option<&str>, body: &Value) -> Reply {
    let headers: Vec<(&str, &str)> = key.iter().map(|key| ("idempotency-key", *key)).collect();
    let url = format!("{}/admin/v1/campaigns/spring/orders/cancel{query}", gate.admin);
    gate.http.post(&url, &headers, body).await
}

async fn job(gate: &Gate, id: &Value, ended: &str) -> Value {
    let id = id.as_str().expect("an id");
    let url = format!("{}/admin/v1/campaigns/spring/orders/jobs/{id}", gate.admin);
    let begun = std::time::Instant::now();
    loop {
        let job = gate.http.get(&url, &[]).await.expect(200).json();
        if job["state"] == ended {
            return job;
        }
        assert!(begun.elapsed() < PATIENCE, "not {ended}: {job}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
async fn orders_of_a_filter_are_tried_cancelled_and_stopped() {
    let gate = Gate::dev().await;
    sell(&gate, 8, json!({"releases": {"fraud": "stock"}})).await;
    for (body, pointer) in [
        (json!({"filter": {}}), "/filter"),
        (json!({}), "/filter"),
        (json!({"filter": {"state": "shipped"}}), "/filter/state"),
        (json!({"filter": {"nope": "x"}}), "/filter/nope"),
        (
            json!({"filter": {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}}),
            "/filter/to",
        ),
        (json!({"filter": {"user": "eve"}, "rate": 0}), "/rate"),
        (json!({"filter": {"user": "eve"}, "rate": 2001}), "/rate"),
        (json!({"filter": {"user": "eve"}, "reason": "A b"}), "/reason"),
    ] {
        let problem = bulk(&gate, "", Some("k"), &body).await.refused(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{body}: {problem}");
    }
    let eves = json!({"filter": {"user": "eve"}, "reason": "fraud", "note": "a ring"});
    bulk(&gate, "", None, &eves).await.refused(400, "idempotency-key");
    let paid = bought(&gate, "eve").await;
    act(&gate, &paid, "pay", Some("p"), &json!({})).await.expect(200);
    bought(&gate, "eve").await;
    bought(&gate, "ann").await;
    let tried = bulk(&gate, "?dry_run=true", None, &eves).await.expect(200).json();
    assert_eq!(
        did(&tried),
        "1 of 2 orders would be cancelled. Nothing was changed: this was a dry run."
    );
    assert_eq!((&tried["orders"], &tried["units"]), (&json!(2), &json!(2)));
    assert_eq!(tried["by_state"]["paid"], json!({"orders": 1, "units": 1}));
    assert_eq!(tried["by_sku"]["mug"], json!({"orders": 2, "units": 2}));
    assert_eq!(tried["first"].as_array().map(Vec::len), Some(2));
    let mut expecting = eves.clone();
    expecting["expect"] = json!(3);
    let other = bulk(&gate, "", Some("k"), &expecting)
        .await
        .refused(409, "conflict");
    assert!(
        other["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("lets 2 orders")),
        "{other}"
    );
    bulk(&gate, "?dry_run=true", None, &expecting)
        .await
        .refused(409, "conflict");
    expecting["expect"] = json!(2);
    bulk(&gate, "?dry_run=true", None, &expecting).await.expect(200);
    let begun = bulk(&gate, "", Some("k"), &expecting).await.expect(202).json();
    assert_eq!(
        (&begun["state"], &begun["matched"]),
        (&json!("running"), &json!(2))
    );
    let again = bulk(&gate, "", Some("k"), &expecting).await.expect(202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["job"], begun["job"]);
    bulk(&gate, "", Some("k"), &eves).await.refused(422, "key-reused");
    let done = job(&gate, &begun["job"], "done").await;
    assert_eq!(did(&done), "1 of 2 orders are cancelled.");
    assert_eq!((&done["skipped"], &done["failed"]), (&json!(1), &json!(0)));
    assert_eq!(used(&gate, "eve").await, 2, "a fraud keeps what it used");

    // One order a second, stopped after the first.
    for user in ["bob", "cid", "dan", "flo"] {
        bought(&gate, user).await;
    }
    let all = json!({"filter": {"state": "confirmed"}, "rate": 1});
    let begun = bulk(&gate, "", Some("k-2"), &all).await.expect(202).json();
    assert_eq!(begun["matched"], 5);
    let id = begun["job"].as_str().expect("an id");
    let url = format!("{}/admin/v1/campaigns/spring/orders/jobs/{id}", gate.admin);
    let stopped = gate
        .http
        .send(Method::DELETE, &url, &[], Vec::new())
        .await
        .expect(200)
        .json();
    assert_eq!(stopped["state"], "stopped", "{stopped}");
    let changed = stopped["changed"].as_u64().expect("a number");
    assert!(changed < 5, "{stopped}");
    let again = gate
        .http
        .send(Method::DELETE, &url, &[], Vec::new())
        .await
        .expect(200)
        .json();
    assert_eq!(again["ended_at"], stopped["ended_at"]);
    for unknown in ["nonsense", &"0".repeat(32)] {
        let url = format!("{}/admin/v1/campaigns/spring/orders/jobs/{unknown}", gate.admin);
        gate.http.get(&url, &[]).await.refused(404, "unknown");
        gate.http
            .send(Method::DELETE, &url, &[], Vec::new())
            .await
            .refused(404, "unknown");
    }
}
