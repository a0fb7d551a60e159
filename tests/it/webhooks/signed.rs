//! What is sent is signed as receivers verify it, also while a secret is replaced.

use rushgate::order::ToldChange;
use rushgate::webhooks::{Rotation, WebhookError};
use testkit::database::Database;
use testkit::on_both;

use crate::webhooks::house::{House, confirmed, paid};
use crate::webhooks::receiver::Receiver;

on_both!(
    a_message_is_the_event_signed,
    a_secret_is_replaced_without_a_gap,
    endpoints_hear_what_they_ask_for,
);

async fn a_message_is_the_event_signed(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    let hook = house.hook(&receiver.url()).await;
    let sending = house.sending();
    let change = confirmed("ada");
    house.tell(std::slice::from_ref(&change)).await;
    // It is told twice, as everything may be, and kept once.
    house.tell(std::slice::from_ref(&change)).await;
    house.until_in_state("delivered", 1).await;
    let [seen] = &receiver.seen()[..] else {
        panic!("{:?}", receiver.ids());
    };
    assert!(seen.is_signed_with(&hook.secret));
    assert!(!seen.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert_eq!((seen.path.as_str(), seen.id()), ("/hooks", change.id()));
    assert_eq!(seen.header("content-type"), "application/json");
    assert!(seen.header("user-agent").starts_with("rushgate/"));
    let body = seen.json();
    assert_eq!(body["type"], "order.confirmed");
    assert_eq!(body["timestamp"], "2026-11-20T12:00:00.123Z");
    let data = ToldChange::decode(body["data"].to_string().as_bytes());
    assert_eq!(data.expect("the event of the topic"), change);
    assert_eq!(house.metrics.delivered.get(), 1);
    sending.stop(std::time::Duration::from_secs(5)).await;
}

async fn a_secret_is_replaced_without_a_gap(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    let hook = house.hook(&receiver.url()).await;
    let id = &hook.webhook.id;
    let rotated = house.desk.rotate("eve", id, Rotation::default()).await;
    let second = rotated.expect("another secret").secret;
    assert_ne!(second, hook.secret);
    let _sending = house.sending();
    house.tell(&[confirmed("ada")]).await;
    receiver.until_seen(1).await;
    let both = &receiver.seen()[0];
    assert!(both.is_signed_with(&hook.secret) && both.is_signed_with(&second));
    assert_eq!(both.header("webhook-signature").split(' ').count(), 2);

    let at_once = Rotation { keep_hours: 0 };
    let third = house
        .desk
        .rotate("eve", id, at_once)
        .await
        .expect("another secret")
        .secret;
    let tried = house.desk.test("eve", id).await.expect("sent");
    assert!(tried.delivered && tried.status == Some(204), "{tried:?}");
    let seen = receiver.seen();
    let last = seen.last().expect("a message");
    assert_eq!(
        (last.id(), last.json()["type"].as_str()),
        (tried.message, Some("webhook.test"))
    );
    assert!(last.is_signed_with(&third) && !last.is_signed_with(&second));
    let too_long = house.desk.rotate("eve", id, Rotation { keep_hours: 169 }).await;
    let Err(WebhookError::Invalid(faults)) = too_long else {
        panic!("it is kept for too long");
    };
    assert_eq!(faults[0].pointer, "/keep_hours");
    // Nobody is shown a secret again, nor is one in the audit trail.
    let shown = serde_json::to_string(&house.desk.show(id).await.expect("shown")).expect("JSON");
    let audit = "SELECT GROUP_CONCAT(detail) FROM audit";
    let told = house.db.text(audit).await;
    assert!(
        !shown.contains("whsec_") && !told.contains("whsec_"),
        "{shown} {told}"
    );
}

async fn endpoints_hear_what_they_ask_for(db: Database) {
    testkit::database::sale(&db.store, 10).await;
    let house = House::over(db);
    let [all, paid_only, spring] = [
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    ];
    house.hook(&all.url()).await;
    house.asking(&paid_only.url(), &["order.paid"], None).await;
    house.asking(&spring.url(), &[], Some("spring")).await;
    let autumn = ToldChange {
        campaign: "autumn".to_owned(),
        ..confirmed("bob")
    };
    let changes = [confirmed("ada"), paid("ada"), autumn.clone()];
    house.tell(&changes).await;
    let _sending = house.sending();
    house.until_in_state("delivered", 3 + 1 + 2).await;
    let ids = |receiver: &Receiver| {
        let mut ids = receiver.ids();
        ids.sort();
        ids
    };
    let mut wanted: Vec<String> = changes.iter().map(ToldChange::id).collect();
    wanted.sort();
    assert_eq!(ids(&all), wanted);
    assert_eq!(paid_only.ids(), [paid("ada").id()]);
    assert_eq!(
        spring.ids(),
        [confirmed("ada").id(), paid("ada").id()],
        "by number"
    );
}
