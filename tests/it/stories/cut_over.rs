//! A deployment goes over to records of many orders, while its gateway takes orders and nothing lands.

use crate::stories::keys::{Deployment, Gateway};

const KEYS: &[&str] = &["a"];

/// Fields of the campaign's state in Redis.
fn fence(deployment: &Deployment) -> String {
    let client = redis::Client::open(deployment.redis_url.as_str()).expect("a URL");
    let mut redis = client.get_connection().expect("connected");
    redis::cmd("HGET")
        .arg("rg:{spring.0}:state")
        .arg("fence")
        .query(&mut redis)
        .expect("a fence")
}

/// User and order of each.
async fn buy(gateway: &Gateway, users: std::ops::Range<u32>) -> Vec<(String, String)> {
    let mut placed = Vec::new();
    for user in users.map(|number| format!("u{number}")) {
        let order = gateway.place(&user).await.expect("admitted");
        placed.push((user, order));
    }
    placed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_goes_over_once_all_are_replaced_and_loses_nothing() {
    let deployment = Deployment::start().await;
    let redis = deployment.redis_url.clone();
    let (code, said) = deployment.run(&["migrate"], KEYS);
    assert_eq!(code, Some(0), "{said}");
    // What one has that was migrated when it had campaigns.
    deployment.db.execute("DELETE FROM record_versions").await;
    let gateway = Gateway::up(deployment.role("serve", KEYS));
    gateway.create().await;
    let mut placed = buy(&gateway, 0..20).await;
    assert!(fence(&deployment).ends_with(":2"), "{}", fence(&deployment));

    // A lander of the release before, which writes nothing of versions.
    deployment
        .db
        .execute(
            "INSERT INTO seal_senders (process, key_id, name, seals, stopped, seen_at) \
             VALUES ('old', 'a', 'rushgate lander on b, process 7', 1, 0, UTC_TIMESTAMP(3))",
        )
        .await;
    let over = ["migrate", "--cut-over", "--redis-url", &redis];
    let (code, said) = deployment.run(&over, KEYS);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("rushgate lander on b, process 7, last seen"),
        "{said}"
    );
    placed.extend(buy(&gateway, 20..40).await);
    assert!(fence(&deployment).contains("/1."), "nothing was done");

    deployment
        .db
        .execute("DELETE FROM seal_senders WHERE process = 'old'")
        .await;
    let (code, said) = deployment.run(&over, KEYS);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("spring: went over, under epoch 3"), "{said}");
    assert!(fence(&deployment).ends_with("/2.3:3"), "{}", fence(&deployment));
    placed.extend(buy(&gateway, 40..60).await);
    let (code, said) = deployment.run(&over, KEYS);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("0 campaign(s) went over"), "{said}");

    let _lander = deployment.role("land", KEYS);
    for (user, order) in &placed {
        gateway.until_confirmed(user, order).await;
    }
    let dead = "SELECT COUNT(*) FROM dead_letters";
    assert_eq!(deployment.db.number(dead).await, 0);
}
