//! Whoever sends ends in the midst: another process goes on, nothing is missing, and what comes twice has one id.

use std::collections::BTreeSet;
use std::time::Duration;

use rushgate::order::ToldChange;
use testkit::database::Database;
use testkit::on_both;

use crate::webhooks::house::{House, confirmed, paid};
use crate::webhooks::receiver::{Answer, Receiver};

on_both!(
    what_was_on_its_way_is_sent_again_under_its_id,
    two_processes_do_not_send_the_same,
    what_is_old_or_of_nobody_goes,
);

fn changes() -> Vec<ToldChange> {
    let users = (0..30).map(|number| format!("u{number}"));
    users.flat_map(|user| [confirmed(&user), paid(&user)]).collect()
}

fn unique(receiver: &Receiver) -> BTreeSet<String> {
    receiver.ids().into_iter().collect()
}

async fn what_was_on_its_way_is_sent_again_under_its_id(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    house.hook(&receiver.url()).await;
    house.tell(&changes()).await;
    receiver.answer(Answer::Hang);
    // One leaves in order, one dies with its lease.
    let first = house.sending();
    receiver.until_seen(8).await;
    first.stop(Duration::from_secs(5)).await;
    assert_eq!(house.db.number("SELECT COUNT(*) FROM leases").await, 0);
    let second = house.sending();
    receiver.until_seen(16).await;
    drop(second);
    house.db.execute("UPDATE leases SET expires_ms = 0").await;
    receiver.answer(Answer::ok());
    let _third = house.sending();
    house.until_in_state("delivered", 60).await;
    let wanted: BTreeSet<String> = changes().iter().map(ToldChange::id).collect();
    assert_eq!(unique(&receiver), wanted);
    assert_eq!(receiver.ids().len(), 60 + 16, "those on their way came again");
}

async fn two_processes_do_not_send_the_same(db: Database) {
    let house = House::over(db);
    let receivers = [Receiver::start().await, Receiver::start().await];
    for receiver in &receivers {
        house.hook(&receiver.url()).await;
    }
    let _both = [house.sending(), house.sending()];
    house.tell(&changes()).await;
    house.until_in_state("delivered", 120).await;
    for receiver in &receivers {
        assert_eq!((receiver.ids().len(), unique(receiver).len()), (60, 60));
    }
}

async fn what_is_old_or_of_nobody_goes(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    let (kept, removed) = (
        house.hook(&receiver.url()).await,
        house.hook(&receiver.url()).await,
    );
    house.tell(&changes()).await;
    let old = "UPDATE webhook_deliveries SET created_at = '2026-01-01 00:00:00.000' WHERE number = 1";
    house.db.execute(old).await;
    house
        .desk
        .remove("eve", &removed.webhook.id)
        .await
        .expect("removed");
    let _sending = house.sending();
    house.until("SELECT COUNT(*) FROM webhook_deliveries", 30).await;
    let left = format!(
        "SELECT COUNT(*) FROM webhook_deliveries WHERE webhook_id = '{}' AND number = 2",
        kept.webhook.id
    );
    assert_eq!(house.db.number(&left).await, 30);
    assert!(house.desk.show(&removed.webhook.id).await.is_err());
}
