//! What a buyer lists: his own orders, and the sales there are, page by page.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rushgate::gateway::Config;
use serde_json::{Value, json};

use crate::fronts::stage::{Running, known, listed_id};
use crate::fronts::wire::{Reply, call};

const ORDERS: &str = "/v1/campaigns/spring/orders";

async fn get(running: &Running, path: &str, user: &str) -> Reply {
    let token = format!("Bearer dev:{user}");
    call(running.address, "GET", path, &[("authorization", &token)], b"").await
}

fn order(number: usize, campaign: &str) -> Value {
    json!({
        "order": listed_id(number).to_string(), "state": "confirmed", "campaign": campaign, "sku": "mug",
        "quantity": 1, "revision": 3, "placed_at": format!("2026-11-21T{}.{:03}Z", ["10:00:00", "09:59:59"][number.min(1)],
        (1000 - number) % 1000), "confirmed_at": "2026-11-21T10:00:00.007Z",
    })
}

#[tokio::test]
async fn a_buyer_has_his_orders_in_pages() {
    let running = Running::start();
    let whole = get(&running, ORDERS, "ada").await;
    assert_eq!(
        (whole.status, whole.header("cache-control")),
        (200, Some("no-store"))
    );
    let spring = [0, 1, 2].map(|number| order(number, "spring"));
    assert_eq!(whole.json(), json!({"orders": spring}));

    let first = get(&running, &format!("{ORDERS}?limit=2"), "ada").await.json();
    assert_eq!(first["orders"], json!(spring[..2]));
    assert_eq!(first["next"], spring[1]["order"]);
    let rest = format!(
        "{ORDERS}?limit=2&before={}",
        first["next"].as_str().expect("a place")
    );
    assert_eq!(
        get(&running, &rest, "ada").await.json(),
        json!({"orders": spring[2..]})
    );

    let first = get(&running, "/v1/orders?limit=2", "ada").await.json();
    assert_eq!(first["orders"], json!([order(0, "spring"), order(1, "summer")]));
    let next = format!("summer/{}", listed_id(1));
    assert_eq!(first["next"], next);
    let rest = get(&running, &format!("/v1/orders?before={next}"), "ada").await;
    assert_eq!(rest.json(), json!({"orders": [order(2, "spring")]}));

    assert_eq!(
        get(&running, "/v1/orders", "bob").await.json(),
        json!({"orders": []})
    );
}

#[tokio::test]
async fn lists_of_orders_say_what_is_wrong() {
    let running = Running::start();
    for path in [ORDERS, "/v1/orders"] {
        let reply = call(running.address, "GET", path, &[], b"").await;
        reply.problem(401, "token-missing");
        for query in [
            "limit=0",
            "limit=101",
            "limit=x",
            "after=x",
            "limit=1&limit=2",
            "before=%ff",
        ] {
            let reply = get(&running, &format!("{path}?{query}"), "ada").await;
            reply.problem(400, "malformed");
        }
        for before in [
            "x",
            "spring/x",
            "",
            &format!("spring/{}", known("unheard-of")),
            &known("unheard-of").to_string(),
        ] {
            let reply = get(&running, &format!("{path}?before={before}"), "ada").await;
            let problem = reply.problem(404, "unknown");
            assert!(
                problem["detail"]
                    .as_str()
                    .is_some_and(|detail| detail.contains("next")),
                "{problem}"
            );
        }
    }
    // The place of somebody else's order is none.
    let before = format!("{ORDERS}?before={}", listed_id(0));
    get(&running, &before, "bob").await.problem(404, "unknown");
    get(&running, "/v1/campaigns/winter/orders", "ada")
        .await
        .problem(404, "unknown");
}

#[tokio::test]
async fn a_silent_database_is_not_waited_for_long() {
    let running = Running::with(Config {
        database_wait: Duration::from_millis(50),
        ..Config::default()
    });
    running.stage.silent.store(true, Ordering::SeqCst);
    get(&running, ORDERS, "ada").await.problem(503, "unavailable");
    get(&running, "/v1/orders", "ada")
        .await
        .problem(503, "unavailable");
}

/// An order that a list has shown as confirmed is not pending afterwards, whatever the engine says.
#[tokio::test]
async fn what_a_list_told_counts_as_told() {
    let running = Running::start();
    get(&running, ORDERS, "ada").await;
    running.stage.silent.store(true, Ordering::SeqCst);
    let path = format!("{ORDERS}/{}", listed_id(0));
    get(&running, &path, "ada").await.problem(503, "unavailable");
}

#[tokio::test]
async fn sales_are_listed_for_everybody_the_open_ones_first() {
    let running = Running::start();
    let ask =
        async |query: &str| call(running.address, "GET", &format!("/v1/campaigns{query}"), &[], b"").await;
    let all = ask("").await;
    assert_eq!((all.status, all.header("cache-control")), (200, Some("no-store")));
    let sale = |number: i64, state: &str, opens: &str| {
        json!({
            "campaign": format!("sale-{number}"), "title": format!("Sale {number}"), "state": state, "opens_at": opens,
            "closes_at": format!("2026-11-21T10:01:40.00{number}Z"), "skus": [{"id": "mug", "sold_out": number == 1}],
        })
    };
    let sales = [
        sale(0, "open", "2026-11-21T09:59:58.000Z"),
        sale(1, "open", "2026-11-21T09:59:59.000Z"),
        sale(2, "open", "2026-11-21T10:00:00.000Z"),
        sale(3, "scheduled", "2026-11-21T10:00:01.000Z"),
    ];
    assert_eq!(all.json(), json!({"campaigns": sales}));
    let page = ask("?limit=3").await.json();
    assert_eq!(page, json!({"campaigns": sales[..3], "next": "sale-2"}));
    assert_eq!(
        ask("?limit=3&after=sale-2").await.json(),
        json!({"campaigns": sales[3..]})
    );
    ask("?after=winter").await.problem(404, "unknown");
    for query in ["?limit=0", "?before=sale-2", "?after=a&after=b"] {
        ask(query).await.problem(400, "malformed");
    }
}
