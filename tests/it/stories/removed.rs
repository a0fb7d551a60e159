//! A campaign that is removed through one gateway is gone at the other when that answers, in Redis and in the database too.

use hyper::Method;
use testkit::http::{Http, Reply};

use crate::stories::keys::{Deployment, Gateway};

const KEYS: &[&str] = &["a"];

fn redis_keys(deployment: &Deployment) -> Vec<String> {
    let client = redis::Client::open(deployment.redis_url.as_str()).expect("a URL");
    let mut redis = client.get_connection().expect("connected");
    let found: Vec<String> = redis::cmd("KEYS")
        .arg("rg:{spring.*")
        .query(&mut redis)
        .expect("listed");
    // A gateway may look into the outbox once more: its right to do so expires by itself.
    let found = found.into_iter().filter(|key| !key.ends_with(":relay"));
    found.collect()
}

async fn remove(gateway: &Gateway) -> Reply {
    let url = format!("{}/admin/v1/campaigns/spring", gateway.admin);
    Http::new().send(Method::DELETE, &url, &[], Vec::new()).await
}

async fn shown(gateway: &Gateway) -> u16 {
    let url = format!("{}/v1/campaigns/spring", gateway.orders);
    Http::new().get(&url, &[]).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_that_is_removed_is_gone_everywhere_when_that_is_answered() {
    let deployment = Deployment::start().await;
    let (code, said) = deployment.run(&["migrate"], KEYS);
    assert_eq!(code, Some(0), "{said}");
    let first = Gateway::up(deployment.role("serve", KEYS));
    let second = Gateway::up(deployment.role("serve", KEYS));
    let _lander = deployment.role("land", KEYS);
    // Twice: what the first one of the name was is in nobody's way.
    for _ in 0..2 {
        first.create().await;
        assert_eq!(shown(&second).await, 200);
        let removed = remove(&first).await;
        assert_eq!(removed.status, 204, "{}", removed.text());
        for gateway in [&first, &second] {
            assert_eq!(shown(gateway).await, 404);
            assert_eq!(gateway.place("ada").await, Err(404));
        }
        assert_eq!(redis_keys(&deployment), ["rg:{spring.0}:state"]);
        assert_eq!(deployment.db.number("SELECT COUNT(*) FROM campaigns").await, 0);
    }
    first.create().await;
    let order = second.place("ada").await.expect("admitted");
    // By whichever gateway it is asked, and whether or not the order has landed.
    assert_eq!(remove(&first).await.status, 409);
    first.until_confirmed("ada", &order).await;
    assert_eq!(remove(&second).await.status, 409);
    let other = first.place("bob").await.expect("its gate is open");
    second.until_confirmed("bob", &other).await;
}
