//! A buyer is erased although the gateway that does it dies, at whichever step: another one goes on.

use std::time::Instant;

use serde_json::{Value, json};
use testkit::http::Http;

use crate::stories::gate::{PATIENCE, POLL};
use crate::stories::keys::{Deployment, Gateway};

const KEYS: &[&str] = &["a"];
const POINTS: [&str; 4] = ["P1=abort", "P2=abort", "P3=abort", "P4=abort"];

fn user(point: &str) -> String {
    format!("buyer-of-{}", &point[..2])
}

/// Asks for an erasure, also of a gateway that dies of it: what it answers.
async fn erase(gateway: &Gateway, user: &str) -> Option<Value> {
    let url = format!("{}/admin/v1/buyers/{user}/erase", gateway.admin);
    let user = user.to_owned();
    let call = tokio::spawn(async move {
        let headers = [("idempotency-key", user.as_str())];
        Http::new()
            .post(&url, &headers, &json!({"note": "by mail"}))
            .await
    });
    call.await.ok().map(|reply| reply.json())
}

#[tokio::test]
async fn gateways_that_die_while_they_erase_leave_nothing_half_done() {
    let deployment = Deployment::start().await;
    let (code, said) = deployment.run(&["migrate"], KEYS);
    assert_eq!(code, Some(0), "{said}");
    let _lander = deployment.role("land", KEYS);
    let db = &deployment.db;
    let first = Gateway::up(deployment.role("serve", KEYS));
    first.create().await;
    first.readyz(200, "ready").await;
    for point in POINTS {
        let user = user(point);
        let order = first.place(&user).await.expect("it is on sale");
        first.until_confirmed(&user, &order).await;
    }
    let untold = "SELECT COUNT(*) FROM landing_offsets WHERE told < next_offset";
    let begun = Instant::now();
    while db.number(untold).await > 0 {
        assert!(begun.elapsed() < PATIENCE, "it is never told");
        tokio::time::sleep(POLL).await;
    }
    // The sale was over long ago.
    db.execute("UPDATE revisions SET closes_at = '2026-01-02 00:00:00.000'")
        .await;
    first.role.signal("TERM");
    assert_eq!(first.role.exit().0, Some(0));
    for point in POINTS {
        let user = user(point);
        let armed = [("RUSHGATE_FAILPOINT", point)];
        let dying = Gateway::up(deployment.role_with("serve", KEYS, &armed));
        erase(&dying, &user).await;
        db.execute("UPDATE erasures SET settled_at = asked_at WHERE done_at IS NULL")
            .await;
        let (code, said) = dying.role.exit();
        assert_ne!(code, Some(0), "{point}: {said:?}");
        db.execute("DELETE FROM leases WHERE name = 'erasures'").await;
        let open = "SELECT COUNT(*) FROM erasures WHERE done_at IS NULL";
        assert_eq!(db.number(open).await, 1, "{point}");
        let next = Gateway::up(deployment.role("serve", KEYS));
        // The same request again is the same erasure.
        let answer = erase(&next, &user).await.expect("it answers");
        assert!(answer["erasure"].is_string(), "{point}: {answer}");
        db.execute("UPDATE erasures SET settled_at = asked_at WHERE done_at IS NULL")
            .await;
        let begun = Instant::now();
        while db.number(open).await > 0 {
            assert!(begun.elapsed() < PATIENCE, "{point}: it is never done");
            tokio::time::sleep(POLL).await;
        }
        let named = format!("SELECT COUNT(*) FROM orders WHERE user_id = '{user}'");
        assert_eq!(db.number(&named).await, 0, "{point}");
        next.role.signal("TERM");
        assert_eq!(next.role.exit().0, Some(0), "{point}");
    }
    assert_eq!(db.number("SELECT COUNT(*) FROM erasures").await, 4);
    assert_eq!(
        db.number("SELECT COUNT(DISTINCT user_id) FROM orders WHERE user_id LIKE 'erased-%'")
            .await,
        4
    );
    assert_eq!(
        db.number("SELECT CAST(SUM(used) AS SIGNED) FROM `usage`").await,
        4
    );
    assert_eq!(db.number("SELECT CAST(SUM(sold) AS SIGNED) FROM stock").await, 4);
    let (code, said) = deployment.run(&["reconcile", "--redis-url", &deployment.redis_url], KEYS);
    assert_eq!(code, Some(0), "{said}");
}
