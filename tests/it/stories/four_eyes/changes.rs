//! Changes of a running sale that make a revision and put it in force in one step.

use serde_json::{Value, json};

use super::house::{House, limited, sale};
use hyper::Method;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sells_more_or_later_waits_for_another_person() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    house.begun(&ada, &bob, "spring").await;
    let stock = async || house.figures("spring").await["skus"][0]["stock"].clone();
    let mut in_force = 1;

    let times = json!({"closes_at": "2028-01-01T00:00:00Z"});
    let more = json!({"add": 50, "note": "more came"});
    let most = json!({"set": 500, "expect": 150});
    let sku = json!({"id": "cup", "stock": 5});
    for (path, body) in [
        ("", times),
        ("/skus/mug/stock", more),
        ("/stock", {
            let mut body = most;
            body["sku"] = "mug".into();
            body
        }),
        ("/skus", sku),
    ] {
        let path = format!("/campaigns/spring{path}");
        let before = house.figures("spring").await;
        let asked = match path.as_str() {
            "/campaigns/spring" => house.patch(&ada, &path, &body).await,
            _ => house.post(&ada, &path, &body).await,
        };
        assert_eq!(asked.status, 202, "{path}: {}", asked.text());
        let proposed = asked.json();
        assert!(
            proposed["did"]
                .as_str()
                .is_some_and(|did| did.starts_with("Nothing is changed yet")),
            "{proposed}"
        );
        let after = house.figures("spring").await;
        for same in ["revision", "closes_at", "skus"] {
            assert_eq!(before[same], after[same], "{path}");
        }
        house
            .approve_proposal(&ada, "spring", &proposed)
            .await
            .refused(403, "another-person");
        let mut unseen = proposed.clone();
        unseen["proposal"]["digest"] = "0".repeat(64).into();
        house
            .approve_proposal(&bob, "spring", &unseen)
            .await
            .refused(409, "approval-stale");
        let made = house
            .approve_proposal(&bob, "spring", &proposed)
            .await
            .expect(200)
            .json();
        in_force += 1;
        assert_eq!(house.in_force("spring").await, in_force, "{made}");
        assert_eq!(
            (
                &made["proposal"]["state"],
                &made["proposal"]["decided_by"]["person"]
            ),
            (&json!("done"), &json!("bob"))
        );
        house
            .approve_proposal(&bob, "spring", &proposed)
            .await
            .refused(409, "conflict");
        // It counts as approved: one may come back to it.
        let shown = house
            .get(&ada, &format!("/campaigns/spring/revisions/{in_force}"))
            .await;
        assert_eq!(
            (&shown["approved"], &shown["made_by"]["person"]),
            (&json!(true), &json!("ada")),
            "{shown}"
        );
    }
    assert_eq!(stock().await, 500);
    assert_eq!(
        house.figures("spring").await["closes_at"],
        "2028-01-01T00:00:00.000Z"
    );

    // What sells less is done at once.
    house
        .post(&ada, "/campaigns/spring/skus/mug/stock", &json!({"remove": 100}))
        .await
        .expect(200);
    assert_eq!(stock().await, 400);
    house
        .post(&ada, "/campaigns/spring/pause", &json!({}))
        .await
        .expect(200);
    house
        .post(&ada, "/campaigns/spring/resume", &json!({}))
        .await
        .expect(200);
    house
        .patch(&ada, "/campaigns/spring", &json!({"title": "Spring"}))
        .await
        .expect(200);
    house
        .post(&ada, "/campaigns/spring/end", &json!({}))
        .await
        .expect(200);
    // And not undone by one.
    let reopened = house
        .patch(
            &ada,
            "/campaigns/spring",
            &json!({"closes_at": "2028-01-01T00:00:00Z"}),
        )
        .await;
    assert_eq!(reopened.status, 202, "{}", reopened.text());
    let shown = house.get(&ada, "/campaigns/spring/proposals").await;
    let states: Vec<&Value> = shown["proposals"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["state"])
        .collect();
    assert_eq!(
        states,
        [
            &json!("waiting"),
            &json!("done"),
            &json!("done"),
            &json!("done"),
            &json!("done")
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_is_of_what_was_looked_at() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    house.begun(&ada, &bob, "spring").await;
    let add = json!({"add": 50});
    let stock = "/campaigns/spring/skus/mug/stock";

    // What it was proposed against has changed.
    let proposed = house.post(&ada, stock, &add).await.expect(202).json();
    house.post(&ada, stock, &json!({"remove": 1})).await.expect(200);
    house
        .approve_proposal(&bob, "spring", &proposed)
        .await
        .refused(409, "approval-stale");

    // Its row was altered.
    for (column, value) in [
        ("body", "'{\"path\":\"mug\",\"body\":{\"add\":5000}}'"),
        ("person", "'cid'"),
        ("against", "1"),
        ("kind", "'sku.create'"),
    ] {
        let proposed = house.post(&ada, stock, &add).await.expect(202).json();
        let id = proposed["proposal"]["id"].as_str().expect("an id");
        house
            .sql(&format!(
                "UPDATE proposals SET {column} = {value} WHERE proposal_id = '{id}'"
            ))
            .await;
        house
            .approve_proposal(&bob, "spring", &proposed)
            .await
            .refused(409, "approval-stale");
    }

    // It was withdrawn; the same request again is the same proposal.
    let proposed = house.post(&ada, stock, &add).await.expect(202).json();
    let path = format!(
        "/campaigns/spring/proposals/{}",
        proposed["proposal"]["id"].as_str().expect("an id")
    );
    house.delete(&ada, &path).await.expect(200);
    house
        .approve_proposal(&bob, "spring", &proposed)
        .await
        .refused(409, "conflict");
    house
        .delete(&ada, "/campaigns/spring/proposals/none")
        .await
        .refused(404, "unknown");

    // Proposed with a key that the approver has made.
    let (_, of_bob) = house.key_by(&bob, "gus").await;
    let proposed = house.post(&of_bob, stock, &add).await.expect(202).json();
    house
        .approve_proposal(&bob, "spring", &proposed)
        .await
        .refused(403, "another-person");
    // What is refused then is refused at once.
    house
        .post(&ada, stock, &json!({"add": 50, "expect": 7}))
        .await
        .refused(409, "conflict");
    house
        .patch(
            &ada,
            "/campaigns/spring",
            &json!({"closes_at": "2020-01-01T00:00:00Z"}),
        )
        .await
        .refused(422, "invalid");
    assert_eq!(house.figures("spring").await["skus"][0]["stock"], 99);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_have_to_agree_that_two_need_not_agree() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    // Turned on later: what is in force stays so, and one comes back to it when it is approved.
    house.post(&ada, "/campaigns", &sale("spring")).await.expect(201);
    house
        .patch(&ada, "/campaigns/spring", &json!({"four_eyes": true}))
        .await
        .expect(200);
    assert_eq!(house.order("spring", "ann").await, 202);
    let second = house.revision(&ada, "spring", 2).await;
    house.approve(&bob, "spring", second).await.expect(200);
    house.activate(&ada, "spring", second).await.expect(200);
    house
        .activate(&ada, "spring", 1)
        .await
        .refused(409, "approval-needed");
    house.approve(&bob, "spring", 1).await.expect(200);
    house.activate(&ada, "spring", 1).await.expect(200);

    // Off is proposed, alone and beside other things.
    for off in [
        json!({"four_eyes": false}),
        json!({"four_eyes": false, "title": "other"}),
        json!({"four_eyes": false, "closes_at": "2028-01-01T00:00:00Z"}),
    ] {
        let proposed = house
            .patch(&ada, "/campaigns/spring", &off)
            .await
            .expect(202)
            .json();
        house
            .approve_proposal(&ada, "spring", &proposed)
            .await
            .refused(403, "another-person");
        assert_eq!(house.figures("spring").await["four_eyes"], true);
    }
    let third = house.revision(&ada, "spring", 3).await;
    house
        .activate(&ada, "spring", third)
        .await
        .refused(409, "approval-needed");
    let off = json!({"four_eyes": false});
    let proposed = house
        .patch(&ada, "/campaigns/spring", &off)
        .await
        .expect(202)
        .json();
    house
        .approve_proposal(&bob, "spring", &proposed)
        .await
        .expect(200);
    assert_eq!(house.figures("spring").await["four_eyes"], false);
    house.activate(&ada, "spring", third).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_of_a_list_is_another_revision() {
    let house = House::open().await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    let list = async |path: &str, lines: &'static [u8]| {
        house.send(&ada, Method::PUT, path, ("text/plain", lines)).await
    };
    list("/audiences/vip", b"ann\n").await.expect(201);
    let mut asking = sale("spring");
    let rules = json!([{"module": "audience", "params": {"list": "vip"}}]);
    (asking["rules"], asking["four_eyes"]) = (rules.clone(), true.into());
    house.post(&ada, "/campaigns", &asking).await.expect(201);
    house.approve(&bob, "spring", 1).await.expect(200);
    house
        .post(&ada, "/campaigns/spring/resume", &json!({}))
        .await
        .expect(200);
    assert_eq!(house.order("spring", "eve").await, 409);
    list("/audiences/vip?activate=spring", b"ann\neve\n")
        .await
        .refused(409, "approval-needed");
    let member = "/audiences/vip/members/eve?activate=spring";
    list(member, b"").await.refused(409, "approval-needed");
    // The list as it is uploaded changes nothing by itself.
    list("/audiences/vip", b"ann\neve\n").await.expect(201);
    assert_eq!(house.order("spring", "eve").await, 409);
    let second = house
        .revision_with(&ada, "spring", json!({ "rules": rules }))
        .await;
    house
        .activate(&ada, "spring", second)
        .await
        .refused(409, "approval-needed");
    house.approve(&bob, "spring", second).await.expect(200);
    house.activate(&ada, "spring", second).await.expect(200);
    assert_eq!(house.order("spring", "eve").await, 202);
    // Other rules in the shadow are another revision as well.
    let shadowed = json!({"rules": rules, "shadow": limited(1)});
    let third = house.revision_with(&ada, "spring", shadowed).await;
    house
        .activate(&ada, "spring", third)
        .await
        .refused(409, "approval-needed");
}
