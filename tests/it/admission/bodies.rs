//! What a retry under an `Idempotency-Key` has to be: the same body.

use rushgate::order::BODY;

use super::front::{Front, Reply};
use super::*;

const DEVICE: &str = r#"{"sku":"mug","quantity":1,"attributes":{"device":"d1","shop":"web"}}"#;
const PLAIN: &str = r#"{"sku":"mug","quantity":1}"#;

/// Whether the answer is the first order's.
fn is_replayed(first: &Reply, again: &Reply) -> bool {
    (again.status, again.is_replayed) == (202, true) && again.json["order"] == first.json["order"]
}

fn is_refused(reply: &Reply) -> bool {
    (reply.status, reply.json["reason"].as_str()) == (422, Some("key-reused"))
}

#[tokio::test]
async fn a_retry_with_other_attributes_is_another_order() {
    for first_body in [DEVICE, PLAIN] {
        let stage = stage(Config::default()).await;
        let front = Front::over(&stage).await;
        let first = front.order("dev:ada", Some("k"), first_body).await;
        assert_eq!((first.status, first.is_replayed), (202, false), "{first:?}");
        for body in [
            DEVICE,
            PLAIN,
            // The same as one of them, in other words.
            r#"{"attributes":{"shop":"web","device":"d1"}, "quantity":1, "sku":"mug"}"#,
            r#"{"sku":"mug","quantity":1,"attributes":{}}"#,
            r#"{"sku":"mug","quantity":1,"attributes":{"device":"d2","shop":"web"}}"#,
            r#"{"sku":"mug","quantity":1,"attributes":{"device":"d1"}}"#,
            r#"{"sku":"mug","quantity":1,"attributes":{"device":"d1","shop":"web","tier":"gold"}}"#,
            r#"{"sku":"mug","quantity":1,"attributes":{"shop":"d1","device":"web"}}"#,
            r#"{"sku":"mug","quantity":2}"#,
        ] {
            let parsed = |text: &str| -> serde_json::Value {
                let mut body: serde_json::Value = serde_json::from_str(text).expect("JSON");
                body["attributes"]
                    .is_null()
                    .then(|| body["attributes"] = serde_json::json!({}));
                body
            };
            let again = front.order("dev:ada", Some("k"), body).await;
            match parsed(body) == parsed(first_body) {
                true => assert!(is_replayed(&first, &again), "{body}: {again:?}"),
                false => assert!(is_refused(&again), "{body}: {again:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_in_the_body_may_change_between_tries() {
    let stage = stage(Config::default()).await;
    let front = Front::over(&stage).await;
    let first = front.order("dev:ada?tier=gold", Some("k"), DEVICE).await;
    assert_eq!(first.status, 202, "{first:?}");
    let again = front
        .order("dev:ada?tier=silver&region=eu", Some("k"), DEVICE)
        .await;
    assert!(is_replayed(&first, &again), "{again:?}");
}

#[tokio::test]
async fn an_order_of_before_bodies_were_kept_is_found_by_sku_and_quantity_alone() {
    let stage = stage(Config::default()).await;
    let front = Front::over(&stage).await;
    // An older gateway's attempts do not say what their body was.
    assert_eq!(
        state(stage.place("ada", "k").await),
        (OrderState::Accepted, false)
    );
    for body in [PLAIN, DEVICE] {
        let again = front.order("dev:ada", Some("k"), body).await;
        assert_eq!((again.status, again.is_replayed), (202, true), "{again:?}");
    }
    let other = front
        .order("dev:ada", Some("k"), r#"{"sku":"mug","quantity":2}"#)
        .await;
    assert!(is_refused(&other), "{other:?}");
    // And an older gateway finds a newer one's order.
    let first = front.order("dev:bob", Some("k"), DEVICE).await;
    assert_eq!((first.status, first.is_replayed), (202, false), "{first:?}");
    assert!(state(stage.place("bob", "k").await).1);
}

#[tokio::test]
async fn what_its_body_was_travels_with_an_order_of_a_key_and_with_no_other() {
    let stage = stage(Config::default()).await;
    let front = Front::over(&stage).await;
    front.order("dev:ada", Some("k"), DEVICE).await;
    front.order("dev:bob", None, DEVICE).await;
    stage.drained().await;
    let kept = |event: &OrderEvent| event.attributes.keys().cloned().collect::<Vec<_>>();
    let mut events = stage.bus.published();
    events.sort_by(|a, b| a.user.cmp(&b.user));
    let kept: Vec<_> = events.iter().map(kept).collect();
    assert_eq!(kept, [vec![BODY.to_owned()], vec![]]);
}
