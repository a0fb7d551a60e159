//! Who counts as another person.

use rushgate::access::Scope;
use serde_json::json;

use super::house::{House, ROOT};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_two_people() {
    let house = House::open().await;
    let (_, ada) = house.key_by(ROOT, "ada").await;
    let bob = house.person("bob").await;
    house.sale(&ada, "spring").await;

    // Keys of the same person, whatever they are called.
    for person in ["ada", "Ada", " ADA ", "ada\u{a0}"] {
        let again = house.person(person).await;
        let refused = house.approve(&again, "spring", 1).await;
        refused.refused(403, "another-person");
    }
    // Somebody whom she made, and whom that one made.
    let (_, made) = house.key_by(&ada, "cid").await;
    let (_, made_by_made) = house.key_by(&made, "dora").await;
    for key in [&made, &made_by_made] {
        let refused = house
            .approve(key, "spring", 1)
            .await
            .refused(403, "another-person");
        assert!(
            refused["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("ada")),
            "{refused}"
        );
    }
    // A token names nobody.
    house
        .approve(ROOT, "spring", 1)
        .await
        .refused(403, "another-person");
    // A key without the scope, and another merchant's.
    let reader = json!({"name": "r", "person": "bob", "scopes": [Scope::CampaignsRead, Scope::CampaignsWrite, Scope::RulesActivate]});
    let reader = house.post(ROOT, "/keys", &reader).await.expect(201).json();
    let reader = reader["key"].as_str().expect("a key");
    house.approve(reader, "spring", 1).await.refused(403, "forbidden");
    house
        .post(ROOT, "/merchants", &json!({"id": "b"}))
        .await
        .expect(201);
    let stranger = json!({"name": "s", "person": "bob", "role": "merchant", "merchant": "b"});
    let stranger = house.post(ROOT, "/keys", &stranger).await.expect(201).json();
    let stranger = stranger["key"].as_str().expect("a key");
    house.approve(stranger, "spring", 1).await.refused(404, "unknown");
    let shown = house.get(ROOT, "/campaigns/spring/revisions/1").await;
    assert_eq!(
        (&shown["approved"], &shown["approvals"]),
        (&json!(false), &json!([]))
    );
    house.approve(&bob, "spring", 1).await.expect(200);

    // Whoever makes keys is behind all of them: two people whom he made are he.
    let (_, carol) = house.key_by(ROOT, "carol").await;
    let (_, eve) = house.key_by(&carol, "eve").await;
    let (_, fay) = house.key_by(&carol, "fay").await;
    let made = house.revision(&eve, "spring", 2).await;
    for key in [&fay, &carol] {
        house
            .approve(key, "spring", made)
            .await
            .refused(403, "another-person");
    }
    house
        .activate(&eve, "spring", made)
        .await
        .refused(409, "approval-needed");
    // Bob's key comes from somebody else.
    house.approve(&bob, "spring", made).await.expect(200);
    house.activate(&eve, "spring", made).await.expect(200);

    // And the other way: a revision made with a key that its approver has made.
    let (_, of_bob) = house.key_by(&bob, "gus").await;
    let made = house.revision(&of_bob, "spring", 3).await;
    house
        .approve(&bob, "spring", made)
        .await
        .refused(403, "another-person");
    house.approve(&ada, "spring", made).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_as_good_as_its_key() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    let (id, bob) = house.key_by(ROOT, "bob").await;
    house.begun(&ada, &bob, "spring").await;
    let made = house.revision(&ada, "spring", 2).await;
    house.approve(&bob, "spring", made).await.expect(200);
    house.delete(ROOT, &format!("/keys/{id}")).await.expect(204);
    let refused = house.activate(&ada, "spring", made).await;
    let refused = refused.refused(409, "approval-needed");
    assert!(
        refused["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("revoked")),
        "{refused}"
    );
    // What is in force stays so.
    assert_eq!(house.in_force("spring").await, 1);
    assert_eq!(house.order("spring", "ann").await, 202);
    let cid = house.person("cid").await;
    house.approve(&cid, "spring", made).await.expect(200);
    house.activate(&ada, "spring", made).await.expect(200);

    // Made with a token, it is nobody's: nobody is known to be another person.
    let made = house.revision(ROOT, "spring", 4).await;
    house
        .approve(&cid, "spring", made)
        .await
        .refused(403, "another-person");
    house
        .activate(&ada, "spring", made)
        .await
        .refused(409, "approval-needed");
}
