//! Changes of an order arrive by their number.

use testkit::database::Database;
use testkit::on_both;

use crate::webhooks::house::{House, confirmed, paid};
use crate::webhooks::receiver::{Answer, Receiver};

on_both!(
    a_later_number_waits_for_the_earlier_one,
    a_number_that_comes_late_goes_behind_what_waits,
);

async fn a_later_number_waits_for_the_earlier_one(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Status(500, String::new()));
    house.hook(&receiver.url()).await;
    // As it may be: what was paid is told before what was confirmed.
    house.tell(&[paid("ada"), confirmed("ada")]).await;
    let _sending = house.sending();
    house
        .until("SELECT attempts FROM webhook_deliveries WHERE number = 1", 1)
        .await;
    assert_eq!(receiver.ids(), [confirmed("ada").id()]);
    // It goes behind the other one: not before that is tried again.
    let together = "SELECT COUNT(DISTINCT next_at) FROM webhook_deliveries";
    house.until(together, 1).await;
    receiver.answer(Answer::ok());
    house.all_due().await;
    house.until_in_state("delivered", 2).await;
    let (first, second) = (confirmed("ada").id(), paid("ada").id());
    assert_eq!(receiver.ids(), [first.clone(), first, second]);
}

async fn a_number_that_comes_late_goes_behind_what_waits(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Status(500, String::new()));
    house.hook(&receiver.url()).await;
    let _sending = house.sending();
    house.tell(&[confirmed("ada")]).await;
    house.until("SELECT attempts FROM webhook_deliveries", 1).await;
    house.tell(&[paid("ada")]).await;
    house
        .until("SELECT COUNT(DISTINCT next_at) FROM webhook_deliveries", 1)
        .await;
    assert_eq!(receiver.ids(), [confirmed("ada").id()], "it is not sent");
    // The one before is given up: it waits for nothing any more.
    receiver.answer(Answer::ok());
    house
        .db
        .execute("UPDATE webhook_deliveries SET state = 'failed' WHERE number = 1")
        .await;
    house.all_due().await;
    house.until_in_state("delivered", 1).await;
    assert_eq!(receiver.ids(), [confirmed("ada").id(), paid("ada").id()]);
}
