//! The log of deliveries: in pages, by state; and what is sent again of it.

use rushgate::clock::now_ms;
use rushgate::order::ToldChange;
use rushgate::store::{DeliveryRow, DeliveryState};
use rushgate::webhooks::{Replay, WebhookError};
use testkit::database::Database;
use testkit::on_both;

use crate::webhooks::house::{House, confirmed, paid};
use crate::webhooks::receiver::{Answer, Receiver};

on_both!(
    the_log_is_read_page_by_page,
    what_was_delivered_is_sent_again_of_an_order_or_of_a_time,
    wrong_replays_are_refused,
);

async fn the_log_is_read_page_by_page(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    let hook = house.hook(&receiver.url()).await;
    let id = &hook.webhook.id;
    let changes: Vec<ToldChange> = (0..25).map(|number| confirmed(&format!("u{number}"))).collect();
    house.tell(&changes).await;
    // Some of each state, written down at the same moment as others.
    house
        .db
        .execute("UPDATE webhook_deliveries SET state = 'failed' WHERE order_id < '5'")
        .await;
    house
        .db
        .execute("UPDATE webhook_deliveries SET state = 'delivered' WHERE order_id > 'a'")
        .await;
    let mut pages: Vec<Vec<DeliveryRow>> = Vec::new();
    loop {
        let before = pages.last().and_then(|page| page.last()).map(DeliveryRow::place);
        let page = house
            .desk
            .deliveries(id, None, before.as_ref(), 10)
            .await
            .expect("a page");
        if page.is_empty() {
            break;
        }
        pages.push(page);
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    let all: Vec<DeliveryRow> = pages.into_iter().flatten().collect();
    assert!(
        all.windows(2).all(|pair| pair[0].place() > pair[1].place()),
        "each once, in order"
    );
    for state in DeliveryState::ALL {
        let some = house
            .desk
            .deliveries(id, Some(state), None, 100)
            .await
            .expect("a page");
        let wanted: Vec<&DeliveryRow> = all.iter().filter(|row| row.state == state).collect();
        assert_eq!(some.iter().collect::<Vec<_>>(), wanted, "{state:?}");
    }
    let unknown = house.desk.deliveries("nobody", None, None, 10).await;
    assert!(matches!(unknown, Err(WebhookError::Unknown(_))), "{unknown:?}");
}

async fn what_was_delivered_is_sent_again_of_an_order_or_of_a_time(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    let hook = house.hook(&receiver.url()).await;
    let id = &hook.webhook.id;
    let before = jiff::Timestamp::from_millisecond(now_ms() - 1000).expect("a moment");
    house
        .tell(&[confirmed("ada"), paid("ada"), confirmed("bob")])
        .await;
    let _sending = house.sending();
    house.until_in_state("delivered", 3).await;
    let of_order = Replay {
        order: Some(confirmed("ada").order.to_string()),
        ..Replay::default()
    };
    assert_eq!(
        house
            .desk
            .replay("eve", id, of_order)
            .await
            .expect("sent")
            .replayed,
        2
    );
    receiver.until_seen(5).await;
    house.until_in_state("delivered", 3).await;
    let (first, second) = (confirmed("ada").id(), paid("ada").id());
    assert_eq!(receiver.ids()[3..], [first, second], "by number");
    receiver.answer(Answer::Status(500, String::new()));
    let of_time = Replay {
        from: Some(before),
        state: Some("delivered".to_owned()),
        ..Replay::default()
    };
    let replayed = house.desk.replay("eve", id, of_time.clone()).await.expect("sent");
    assert_eq!((replayed.replayed, replayed.more_from), (3, None));
    house.until_in_state("waiting", 3).await;
    let earlier = Replay {
        from: None,
        to: Some(before),
        state: Some("waiting".to_owned()),
        ..Replay::default()
    };
    assert_eq!(
        house
            .desk
            .replay("eve", id, earlier)
            .await
            .expect("asked")
            .replayed,
        0
    );
    let lines = "SELECT COUNT(*) FROM audit WHERE action = 'webhook.replay'";
    assert_eq!(house.db.number(lines).await, 3);
}

async fn wrong_replays_are_refused(db: Database) {
    let house = House::over(db);
    let receiver = Receiver::start().await;
    let hook = house.hook(&receiver.url()).await;
    let moment = |text: &str| Some(text.parse().expect("a moment"));
    let order = Some("0".repeat(32));
    for (asked, pointer) in [
        (
            Replay {
                order: Some("x".into()),
                ..Replay::default()
            },
            "/order",
        ),
        (
            Replay {
                order,
                state: Some("failed".into()),
                ..Replay::default()
            },
            "/order",
        ),
        (
            Replay {
                state: Some("lost".into()),
                ..Replay::default()
            },
            "/state",
        ),
        (
            Replay {
                state: Some("delivered".into()),
                ..Replay::default()
            },
            "/from",
        ),
        (
            Replay {
                from: moment("2026-11-20T12:00:00Z"),
                to: moment("2026-11-20T12:00:00Z"),
                ..Replay::default()
            },
            "/to",
        ),
    ] {
        match house.desk.replay("eve", &hook.webhook.id, asked.clone()).await {
            Err(WebhookError::Invalid(faults)) => assert_eq!(faults[0].pointer, pointer),
            other => panic!("{asked:?}: {other:?}"),
        }
    }
}
