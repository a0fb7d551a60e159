//! The guard: most records fail, and nothing is moved away until that has passed.

use rushgate::bus::DEAD_LETTER_TOPIC;
use testkit::database;

use super::poison::{FAILING, release, trap};
use super::*;

testkit::on_both!(
    only_poison_trips_the_guard_and_moves_nothing_until_it_has_passed,
    what_can_never_land_waits_for_somebody_who_raises_the_share,
);

async fn only_poison_trips_the_guard_and_moves_nothing_until_it_has_passed(db: Database) {
    sale(&db.store, 1000).await;
    trap(&db).await;
    let (producer, consumer) = embedded::pair(0);
    let mut dead = producer.consumer(DEAD_LETTER_TOPIC, 0);
    let landing = spawn(quick(), &db.store, &producer, consumer);
    let mut batch: Vec<Outbound> = (0..150)
        .map(|n| outbound(&order(FAILING, &n.to_string())))
        .collect();
    batch.extend((0..50).map(|n| outbound(&order(&format!("u{n}"), "1"))));
    let answer = publish(&producer, batch);
    database::until("the guard trips", || landing.state().guard().is_some()).await;
    assert_eq!(landing.state().guard(), Some((150, 200)));
    // The others of the batch have landed, but the offset stays before the first that fails.
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 50);
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 0);
    assert!(answer.try_recv().is_err(), "nothing is acknowledged");

    release(&db).await;
    assert_eq!(wait(&answer), Ok(()));
    let state = landing.state();
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.duplicates.get(),
            metrics.moved.total()
        ),
        (200, 0, 0)
    );
    assert_eq!(state.guard(), None);
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 0);
    assert!(records(&mut dead).is_empty());
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 200);
}

async fn what_can_never_land_waits_for_somebody_who_raises_the_share(db: Database) {
    sale(&db.store, 1000).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = spawn(quick(), &db.store, &producer, consumer);
    let nonsense = || Outbound {
        partition: None,
        key: "k".to_owned(),
        payload: b"no order".to_vec(),
    };
    let answer = publish(&producer, vec![nonsense(); 120]);
    database::until("the guard trips", || landing.state().guard().is_some()).await;
    stop(landing).await;
    assert!(wait(&answer).is_err());
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 0);

    let consumer = producer.consumer(TOPIC, 0);
    let config = Config {
        poison_share: 1.0,
        ..quick()
    };
    let landing = spawn(config, &db.store, &producer, consumer);
    assert_eq!(wait(&publish(&producer, vec![nonsense(); 120])), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (0, 120));
    let kept = "SELECT COUNT(*) FROM dead_letters WHERE class = 'undecodable' AND stage = 'dead'";
    assert_eq!(db.number(kept).await, 120);
}
