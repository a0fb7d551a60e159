//! Who bought: filtered, looked at, changed one by one and all at once.

use serde_json::json;

use crate::console::desk::{Desk, check_plain};
use crate::stories::gate::{PATIENCE, POLL};

const ORDERS: &str = "/console/sales/demo/orders";

/// Orders of these users, landed.
async fn bought(desk: &Desk, users: &[&str]) -> Vec<String> {
    let mut orders = Vec::new();
    for user in users {
        let placed = desk
            .gate
            .place(user, json!({"sku": "mug", "quantity": 1}))
            .await
            .expect(202);
        let shown = desk
            .gate
            .order_in_state(user, placed.header("location"), "confirmed")
            .await;
        orders.push(shown["order"].as_str().expect("an id").to_owned());
    }
    orders
}

#[tokio::test]
async fn orders_are_found_by_what_they_are() {
    let desk = Desk::open().await;
    desk.get(ORDERS).await.expect(200).has("Bearer dev:ada");
    let orders = bought(&desk, &["ada", "bob"]).await;
    let all = desk.get(ORDERS).await.expect(200);
    all.has(&orders[0]).has(&orders[1]).has("confirmed");
    check_plain(&all, ORDERS);
    let one = desk
        .get(&format!("{ORDERS}?state=&user=ada&sku=mug&from=&to="))
        .await
        .expect(200);
    one.has(&orders[0]).has("value=\"ada\"");
    assert!(!one.html.contains(&orders[1]));
    desk.get(&format!("{ORDERS}?state=paid"))
        .await
        .expect(200)
        .has("No order in the database fits");
    desk.get(&format!("{ORDERS}?from=2020-01-01T00:00"))
        .await
        .expect(200)
        .has(&orders[0]);
    desk.get(&format!("{ORDERS}?from=yesterday"))
        .await
        .expect(200)
        .has("which is no time");

    let page = desk.get(&format!("{ORDERS}/{}", orders[0])).await.expect(200);
    page.has("ada").has("confirmed").has("Mark as paid");
    check_plain(&page, "an order");
}

#[tokio::test]
async fn an_order_is_paid_and_refunded_once_each() {
    let desk = Desk::open().await;
    let order = bought(&desk, &["ada"]).await.remove(0);
    let path = format!("{ORDERS}/{order}");
    let form = desk
        .get(&path)
        .await
        .expect(200)
        .form(&path, &[("act", "pay"), ("reason", "card")]);
    let paid = desk.post(&path, &form).await.expect(200);
    paid.has("class=\"notice\"").has("card").has("Refund");
    desk.post(&path, &form).await.expect(200).has("Done before");
    // What its state does not allow is refused in a sentence.
    let cancel = paid.form(&path, &[("act", "cancel")]);
    desk.post(&path, &cancel).await.expect(409).has("role=\"alert\"");
    let refund = paid.form(&path, &[("act", "refund"), ("note", "came back")]);
    desk.post(&path, &refund)
        .await
        .expect(200)
        .has("refunded")
        .has("came back");
    desk.post(&path, &paid.form(&path, &[("act", "burn")]))
        .await
        .expect(400);
}

#[tokio::test]
async fn all_that_match_are_cancelled_after_a_dry_run() {
    let desk = Desk::open().await;
    let orders = bought(&desk, &["ada", "bob", "eve"]).await;
    let page = desk
        .get(&format!("{ORDERS}?state=confirmed&user=bob"))
        .await
        .expect(200);
    let tried = desk
        .post(ORDERS, &page.form(ORDERS, &[("act", "cancel")]))
        .await
        .expect(200);
    tried
        .has("What it would do")
        .has("name=\"expect\" value=\"1\"")
        .has("Idempotency-Key");
    let form = tried.form(ORDERS, &[("step", "confirm"), ("reason", "oversold")]);
    let begun = desk.post(ORDERS, &form).await;
    let job = desk.follow(&begun).await;
    job.has("Job");
    assert_eq!(
        desk.post(ORDERS, &form).await.location,
        begun.location,
        "the same job"
    );
    let waiting = tokio::time::Instant::now();
    loop {
        if desk
            .get(&begun.location)
            .await
            .expect(200)
            .html
            .contains("badge done")
        {
            break;
        }
        assert!(waiting.elapsed() < PATIENCE, "the job never ends");
        tokio::time::sleep(POLL).await;
    }
    desk.get(&format!("{ORDERS}?state=cancelled"))
        .await
        .expect(200)
        .has(&orders[1]);
    let left = desk.get(&format!("{ORDERS}?state=confirmed")).await.expect(200);
    left.has(&orders[0]).has(&orders[2]);
    // Others were placed meanwhile: so many were not agreed to.
    let stale = left.form(
        ORDERS,
        &[
            ("act", "cancel"),
            ("expect", "7"),
            ("key", "other"),
            ("step", "confirm"),
        ],
    );
    let refused = desk.post(ORDERS, &stale).await.expect(422);
    refused.has("role=\"alert\"");
}
