//! Endpoints that hang, redirect, fail for a day or are gone.

use rushgate::clock::now_ms;
use rushgate::order::ToldChange;
use rushgate::webhooks::{Replay, WebhookChange};
use testkit::database::Database;
use testkit::on_both;

use crate::webhooks::house::{House, LONG_AGO, confirmed};
use crate::webhooks::receiver::{Answer, Receiver};

on_both!(
    an_endpoint_that_hangs_keeps_nobody_else_waiting,
    a_redirect_is_not_followed,
    what_fails_for_a_day_is_given_up_and_sent_again_when_somebody_asks,
    an_endpoint_that_is_gone_is_disabled_and_the_others_hear_of_it,
    an_endpoint_that_took_nothing_for_a_day_is_disabled,
);

fn confirmed_orders(count: usize) -> Vec<ToldChange> {
    (0..count)
        .map(|number| confirmed(&format!("u{number}")))
        .collect()
}

async fn an_endpoint_that_hangs_keeps_nobody_else_waiting(db: Database) {
    let house = House::over(db);
    let (hanging, well) = (Receiver::start().await, Receiver::start().await);
    hanging.answer(Answer::Hang);
    let hung = house.hook(&hanging.url()).await;
    house.hook(&well.url()).await;
    house.tell(&confirmed_orders(40)).await;
    let _sending = house.sending();
    hanging.until_seen(8).await;
    house.until_in_state("delivered", 40).await;
    assert_eq!(well.ids().len(), 40);
    assert_eq!(hanging.ids().len(), 8, "no more at once");
    let waiting = house.desk.show(&hung.webhook.id).await.expect("shown").waiting;
    assert_eq!(waiting, Some(40));
}

async fn a_redirect_is_not_followed(db: Database) {
    let house = House::over(db);
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    first.answer(Answer::Redirect(second.url()));
    let hook = house.hook(&first.url()).await;
    house.tell(&[confirmed("ada")]).await;
    let _sending = house.sending();
    house
        .until(
            "SELECT COUNT(*) FROM webhook_deliveries WHERE last_status = 302",
            1,
        )
        .await;
    let log = house
        .desk
        .deliveries(&hook.webhook.id, None, None, 10)
        .await
        .expect("a log");
    let error = log[0].last.error.clone().expect("an error");
    assert!(error.contains("redirects are not followed"), "{error}");
    assert_eq!((log[0].attempts, log[0].state.as_str()), (1, "waiting"));
    let in_ms = log[0].next_at - now_ms();
    assert!((0..=5500).contains(&in_ms), "{in_ms}");
    assert_eq!(second.ids(), [""; 0]);
}

async fn what_fails_for_a_day_is_given_up_and_sent_again_when_somebody_asks(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    let said = format!("{}\u{202e}\n{}", "a".repeat(1000), "b".repeat(1000));
    receiver.answer(Answer::Status(500, said));
    let hook = house.hook(&receiver.url()).await;
    let id = &hook.webhook.id;
    house.tell(&[confirmed("ada")]).await;
    let _sending = house.sending();
    let failing = "SELECT COUNT(*) FROM webhooks WHERE failing_since IS NOT NULL";
    house.until(failing, 1).await;
    assert_eq!(house.desk.show(id).await.expect("shown").state, "failing");
    let log = house.desk.deliveries(id, None, None, 10).await.expect("a log");
    let answer = log[0].last.answer.clone().expect("an answer");
    assert!(
        answer.starts_with("aaa") && answer.len() <= 1024,
        "{}",
        answer.len()
    );
    assert!(!answer.contains(['\u{202e}', '\n']), "as it may be shown");
    // The last of its attempts.
    let last = format!("UPDATE webhook_deliveries SET attempts = 10, next_at = '{LONG_AGO}'");
    house.db.execute(&last).await;
    house.until_in_state("failed", 1).await;
    assert_eq!(receiver.ids().len(), 2);
    assert_eq!(house.metrics.given_up.get(), 1);

    receiver.answer(Answer::ok());
    let replayed = house
        .desk
        .replay("eve", id, Replay::default())
        .await
        .expect("sent again");
    assert_eq!((replayed.replayed, replayed.more_from), (1, None));
    house.until_in_state("delivered", 1).await;
    let again = receiver.ids();
    assert!(
        again.len() == 3 && again.iter().all(|id| *id == again[0]),
        "one id: {again:?}"
    );
    house
        .until("SELECT COUNT(*) FROM webhooks WHERE failing_since IS NULL", 1)
        .await;
    assert_eq!(house.desk.show(id).await.expect("shown").state, "enabled");
}

async fn an_endpoint_that_is_gone_is_disabled_and_the_others_hear_of_it(db: Database) {
    let house = House::over(db);
    let (gone, alarms) = (Receiver::start().await, Receiver::start().await);
    gone.answer(Answer::Status(410, "bye".to_owned()));
    let hook = house.hook(&gone.url()).await;
    let id = &hook.webhook.id;
    house.asking(&alarms.url(), &["webhook.disabled"], None).await;
    house.tell(&[confirmed("ada")]).await;
    let sending = house.sending();
    alarms.until_seen(1).await;
    let told = alarms.seen()[0].json();
    assert_eq!(told["type"], "webhook.disabled");
    assert_eq!(told["data"]["webhook"], id.as_str());
    assert_eq!(told["data"]["why"], "it answered 410 Gone");
    assert!(
        !told.to_string().contains("/hooks"),
        "its URL may hold a secret: {told}"
    );
    house
        .until("SELECT COUNT(*) FROM audit WHERE action = 'webhook.disable'", 1)
        .await;
    let shown = house.desk.show(id).await.expect("shown");
    assert_eq!((shown.state, shown.waiting), ("disabled", Some(1)));
    assert_eq!(house.metrics.disabled.get(), 1);

    // What comes meanwhile waits, and goes on when somebody enables it.
    house.tell(&[confirmed("bob")]).await;
    gone.answer(Answer::ok());
    let enabled = WebhookChange {
        disabled: Some(false),
        ..WebhookChange::default()
    };
    house.desk.change("eve", id, enabled).await.expect("enabled");
    house.until_in_state("delivered", 3).await;
    let mut ids = gone.ids();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "ada's and bob's: {ids:?}");
    sending.stop(std::time::Duration::from_secs(5)).await;
}

async fn an_endpoint_that_took_nothing_for_a_day_is_disabled(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Status(503, String::new()));
    let hook = house.hook(&receiver.url()).await;
    let since = jiff::Timestamp::from_millisecond(now_ms() - 24 * 3_600_000).expect("a moment");
    let since = since.strftime("%Y-%m-%d %H:%M:%S%.3f");
    house
        .db
        .execute(&format!("UPDATE webhooks SET failing_since = '{since}'"))
        .await;
    house.tell(&confirmed_orders(3)).await;
    let _sending = house.sending();
    house
        .until("SELECT COUNT(*) FROM webhooks WHERE disabled_why IS NOT NULL", 1)
        .await;
    let shown = house.desk.show(&hook.webhook.id).await.expect("shown");
    let why = shown.disabled_why.expect("a reason");
    assert!(why.contains("for a day") && why.contains("answered 503"), "{why}");
    assert_eq!(shown.waiting, Some(3));
    assert_eq!(receiver.ids().len(), 1, "one at a time while it fails");
}
