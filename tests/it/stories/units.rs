//! "Two for each customer" is about units; a running sale that counted orders goes on with what its buyers have.

use serde_json::{Value, json};
use testkit::http::Reply;

use crate::stories::gate::Gate;

fn order(sku: &str, quantity: u32) -> Value {
    json!({"sku": sku, "quantity": quantity})
}

/// A sale of tees in two sizes, and of mugs.
async fn open(gate: &Gate, rules: Value) {
    let sku = |id: &str| json!({"id": id, "stock": 1000});
    let campaign = json!({
        "id": "spring", "title": "Spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [sku("tee-s"), sku("tee-m"), sku("mug")], "rules": rules,
    });
    gate.control("/campaigns", &campaign).await.expect(201);
}

async fn revise(gate: &Gate, rules: Value) -> Value {
    let body = json!({"rules": rules});
    let answer = gate.control("/campaigns/spring/revisions", &body).await;
    answer.expect(201).json()
}

async fn activate(gate: &Gate, body: Value) -> Reply {
    gate.control("/campaigns/spring/activate", &body).await
}

async fn place(gate: &Gate, user: &str, sku: &str, quantity: u32) -> Reply {
    gate.place_in("spring", user, &[], order(sku, quantity)).await
}

#[tokio::test]
async fn one_mug_each_is_one_mug() {
    let gate = Gate::dev().await;
    let problem = gate.place("ada", order("mug", 100)).await;
    let problem = problem.refused(409, "limit-per-user");
    assert_eq!((&problem["used"], &problem["limit"]), (&json!(0), &json!(1)));
    gate.place("ada", order("mug", 1)).await.expect(202);
    gate.place("ada", order("mug", 1))
        .await
        .refused(409, "limit-per-user");
}

#[tokio::test]
async fn a_limit_of_a_group_is_for_all_its_skus_together() {
    let gate = Gate::dev().await;
    let groups = json!({"tees": ["tee-s", "tee-m"], "mugs": ["mug"]});
    open(
        &gate,
        json!([{"module": "n-per-user", "params": {"limit": 3, "groups": groups}}]),
    )
    .await;
    place(&gate, "ada", "tee-s", 2).await.expect(202);
    let problem = place(&gate, "ada", "tee-m", 2)
        .await
        .refused(409, "limit-per-user");
    let says = problem["detail"].as_str().unwrap_or_default();
    assert!(
        says.contains("at most 3 units of the group tees (tee-s, tee-m) together"),
        "{problem}"
    );
    assert_eq!((&problem["used"], &problem["limit"]), (&json!(2), &json!(3)));
    place(&gate, "ada", "tee-m", 1).await.expect(202);
    place(&gate, "ada", "mug", 3).await.expect(202);
    place(&gate, "ada", "mug", 1).await.refused(409, "limit-per-user");
    let left = gate.quota("spring", "bob", "?sku=tee-s").await.expect(200).json();
    assert_eq!(left["constraints"][0]["remaining"], 3, "{left}");
}

/// Who has bought has used it: under the limit of units too, after a restart too, and under a group made later.
#[tokio::test]
async fn a_running_sale_that_moves_from_orders_to_units_keeps_its_counts() {
    let data = tempfile::tempdir().expect("a folder");
    let gate = Gate::dev_in(data.path()).await;
    open(
        &gate,
        json!([{"module": "n-per-user@1.0.0", "params": {"limit": 2}}]),
    )
    .await;
    place(&gate, "ada", "tee-s", 3).await.expect(202);
    place(&gate, "ada", "mug", 1).await.expect(202);
    place(&gate, "ada", "mug", 1).await.refused(409, "limit-per-user");
    place(&gate, "bob", "tee-s", 2).await.expect(202);

    let revised = revise(&gate, json!([{"module": "n-per-user", "params": {"limit": 2}}])).await;
    let changes = revised["changes"].as_array().expect("changes");
    let said: Vec<&str> = changes
        .iter()
        .filter_map(|change| change["sentence"].as_str())
        .collect();
    let limit = said[1];
    assert!(
        limit.starts_with("n-per-user/limit-per-user: changed; in 2000 random attempts: "),
        "{limit}"
    );
    assert_eq!(
        said,
        [
            "n-per-user: module n-per-user@1.0.0 → n-per-user@2.0.0",
            limit,
            "n-per-user/units-per-user: new; filled by the activation from all orders so far, so who has bought has \
             used it. The gate is closed for a moment for that: orders that come then are to be sent again.",
            "n-per-user/orders-per-user: dropped; its counts stay stored and nothing reads them: a later revision \
             of the rule that brings it back has it filled from all orders.",
        ]
    );
    activate(&gate, json!({"revision": 2})).await.expect(200);
    let ada = place(&gate, "ada", "tee-s", 1)
        .await
        .refused(409, "limit-per-user");
    assert_eq!((&ada["used"], &ada["limit"]), (&json!(4), &json!(2)));
    place(&gate, "bob", "tee-s", 1)
        .await
        .refused(409, "limit-per-user");
    place(&gate, "cid", "mug", 3).await.refused(409, "limit-per-user");
    place(&gate, "cid", "mug", 2).await.expect(202);

    // Another group, another counter: what was bought of its SKUs is in it.
    let tees = json!([{"module": "n-per-user", "params": {"limit": 4, "skus": ["tee-s", "tee-m"]}}]);
    revise(&gate, tees).await;
    activate(&gate, json!({"revision": 3})).await.expect(200);
    place(&gate, "ada", "tee-m", 2)
        .await
        .refused(409, "limit-per-user");
    place(&gate, "ada", "tee-m", 1).await.expect(202);
    place(&gate, "ada", "mug", 50).await.expect(202);

    gate.terminate();
    let gate = Gate::dev_in(data.path()).await;
    let ada = place(&gate, "ada", "tee-s", 1)
        .await
        .refused(409, "limit-per-user");
    assert_eq!((&ada["used"], &ada["limit"]), (&json!(4), &json!(4)));
    place(&gate, "bob", "tee-s", 2).await.expect(202);
    place(&gate, "bob", "tee-s", 1)
        .await
        .refused(409, "limit-per-user");
}

#[tokio::test]
async fn a_sale_that_is_moved_to_later_lets_nobody_in() {
    let gate = Gate::dev().await;
    let at = |minutes: i64| {
        format!(
            "{:.3}",
            jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)
        )
    };
    let announced = at(30);
    let early = |opening: &str| {
        let group = json!({"lead": "2h", "who": {"claim": {"values": ["gold"]}}});
        json!([{"module": "early-access", "params": {"opens_at": opening, "groups": [group]}}])
    };
    let campaign = json!({
        "id": "spring", "title": "Spring", "opens_at": announced, "closes_at": at(6000),
        "skus": [{"id": "mug", "stock": 100}], "rules": early(&announced),
    });
    gate.control("/campaigns", &campaign).await.expect(201);
    place(&gate, "ada?tier=gold", "mug", 1).await.expect(202);
    place(&gate, "bob", "mug", 1).await.refused(425, "not-open");

    // Paused by a later opening, and then moved with its early access.
    let paused = at(60);
    let body = json!({"rules": early(&announced), "opens_at": paused});
    let revised = gate
        .control("/campaigns/spring/revisions", &body)
        .await
        .expect(201)
        .json();
    let says = revised["explain"][1].as_str().unwrap_or_default();
    assert!(
        says.contains("the sale was moved: they may order when everybody may"),
        "{says}"
    );
    activate(&gate, json!({"revision": 2})).await.expect(200);
    place(&gate, "ada?tier=gold", "mug", 1)
        .await
        .refused(425, "not-open");
    let body = json!({"rules": early(&paused), "opens_at": paused});
    gate.control("/campaigns/spring/revisions", &body)
        .await
        .expect(201);
    activate(&gate, json!({"revision": 3})).await.expect(200);
    place(&gate, "ada?tier=gold", "mug", 1).await.expect(202);
}

/// Buyers order all the while: whoever is let in under the new limit has it kept with everything bought before.
#[tokio::test]
async fn orders_that_come_while_a_counter_is_filled_are_in_it() {
    const LIMIT: u64 = 5;
    let gate = Gate::dev().await;
    let rule = |module: &str| json!([{"module": module, "params": {"limit": LIMIT}}]);
    open(&gate, rule("n-per-user@1.0.0")).await;
    revise(&gate, rule("n-per-user")).await;
    let buyer = async |name: String| {
        // Units under the old limit and under the new one.
        let mut units = [0, 0];
        for _ in 0..40 {
            let reply = place(&gate, &name, "mug", 2).await;
            match reply.status {
                202 => {
                    let revision = reply.json()["revision"].as_u64().expect("a number");
                    units[usize::from(revision == 2)] += 2;
                }
                409 | 503 => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                _ => panic!("{reply:?}"),
            }
        }
        units
    };
    let buyers = futures_util::future::join_all((0..24).map(|n| buyer(format!("u{n}"))));
    let activation = async {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        activate(&gate, json!({"revision": 2})).await.expect(200)
    };
    let (bought, _) = tokio::join!(buyers, activation);
    let before: u64 = bought.iter().map(|[before, _]| before).sum();
    assert!(before > 0, "nobody was fast enough: {bought:?}");
    for [before, after] in bought {
        assert!(
            after == 0 || before + after <= LIMIT,
            "{before} and {after} units"
        );
    }
    for n in 0..24 {
        place(&gate, &format!("u{n}"), "mug", 5)
            .await
            .refused(409, "limit-per-user");
    }
    place(&gate, "late", "mug", 5).await.expect(202);
}
