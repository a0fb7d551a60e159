//! Records that none of ours wrote, and orders that nobody can have been admitted with.

use rushgate::bus::origin::{self, DUE, Origin, SEAL};
use rushgate::bus::sealed::{self, Seal};
use rushgate::bus::{DEAD_LETTER_TOPIC, Forward, Headers};
use rushgate::landing::{Awaits, SealConfig};
use rushgate::order::fingerprint;
use rushgate::seal::{Key, Keyring};
use rushgate::store::FORGED_PER_HOUR_MAX;
use testkit::database;

use super::poison::{FAILING, REFUSED, release, trap, with_retry};
use super::*;

testkit::on_both!(
    what_none_of_ours_wrote_is_passed_over_and_kept,
    an_order_that_was_copied_to_another_partition_is_forged,
    a_flood_of_garbage_stops_nothing_and_fills_nothing,
    records_without_a_seal_land_until_the_cut_over,
    a_lander_without_keys_waits_for_one_and_obeys_the_cut_over,
    a_key_in_use_elsewhere_is_waited_for_until_it_is_retired,
    an_order_of_an_unknown_revision_waits_for_it,
    orders_nobody_can_have_placed_are_dead_letters,
    what_landing_moves_is_sealed_and_comes_back,
    forged_records_make_nothing_wait_in_a_retry_topic,
    origins_in_forged_headers_touch_no_other_letter,
    another_order_of_the_same_id_swallows_nothing,
);

pub fn keyring(keys: &[(&str, u8)]) -> Arc<Keyring> {
    let key = |(id, fill): &(&str, u8)| Key::new(id.parse().expect("an id"), &[*fill; 32]).expect("a key");
    Arc::new(Keyring::new(keys.iter().map(key).collect()).expect("a ring"))
}

/// Verifies with these keys.
pub fn verifying(keys: &Arc<Keyring>) -> Config {
    Config {
        seal: SealConfig {
            keys: Some(keys.clone()),
            only: false,
        },
        recheck: Duration::from_millis(20),
        ..quick()
    }
}

/// From the first record on.
pub async fn require_seals(store: &Store) {
    let decided = store.decide_cut_over(&[].into(), NOW, &[]).await;
    decided.expect("decided");
}

pub fn forward(producer: &EmbeddedProducer, records: Vec<Forward>) -> Answer {
    let (sender, answer) = mpsc::channel();
    producer.forward(records, Box::new(move |result| drop(sender.send(result))));
    answer
}

fn record(topic: &str, order: &OrderEvent, headers: Headers) -> Forward {
    Forward {
        topic: topic.to_owned(),
        partition: Some(0),
        key: order.key().into_bytes(),
        payload: order.encode(),
        headers,
    }
}

/// The seal that some producer puts on a record.
fn seal_of(producer: &EmbeddedProducer, keys: &Arc<Keyring>, record: Forward) -> Vec<u8> {
    let mut reader = producer.consumer("elsewhere", 0);
    let record = Forward {
        topic: "elsewhere".to_owned(),
        ..record
    };
    assert_eq!(
        wait(&forward(&producer.sealed(keys.clone()), vec![record])),
        Ok(())
    );
    let read = records(&mut reader).remove(0);
    let found = read.headers.into_iter().find(|(name, _)| name == SEAL);
    found.expect("a seal").1
}

const KEPT: &str = "SELECT COUNT(*) FROM dead_letters WHERE stage = 'forged' AND class = 'forged' \
                    AND order_id IS NULL AND campaign_id IS NULL";
const ORDERS: &str = "SELECT COUNT(*) FROM orders";

async fn what_none_of_ours_wrote_is_passed_over_and_kept(db: Database) {
    sale(&db.store, 100).await;
    require_seals(&db.store).await;
    let (keys, (plain, consumer)) = (keyring(&[("a", 1)]), embedded::pair(0));
    let ours = plain.sealed(keys.clone());
    let mut dead = plain.consumer(DEAD_LETTER_TOPIC, 0);
    let eve = order("eve", "1");
    let seal = seal_of(&plain, &keys, record(TOPIC, &eve, Headers::new()));
    let with = |seal: &[u8]| record(TOPIC, &eve, vec![(SEAL.to_owned(), seal.to_vec())]);
    let mut garbage = with(b"1:a:-:00");
    garbage.payload = vec![0xff; 50_000];
    let forged = vec![
        record(TOPIC, &eve, Headers::new()),
        with(&seal),
        with(b"1:invented:-:00"),
        with(b"\xff\xfe"),
        garbage,
    ];
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    assert_eq!(wait(&publish(&ours, vec![outbound(&order("ada", "1"))])), Ok(()));
    assert_eq!(wait(&forward(&plain, forged)), Ok(()));
    // Another one's keys are as good as none.
    let theirs = plain.sealed(keyring(&[("a", 2)]));
    assert_eq!(wait(&publish(&theirs, vec![outbound(&eve)])), Ok(()));
    assert_eq!(wait(&publish(&ours, vec![outbound(&order("bob", "1"))])), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.moved.total(),
            metrics.duplicates.get()
        ),
        (2, 0, 0)
    );
    assert_eq!(
        (
            metrics.forged.get(),
            metrics.forged_kept.get(),
            metrics.unsealed.get()
        ),
        (6, 6, 0)
    );
    assert_eq!((db.number(KEPT).await, db.number(ORDERS).await), (6, 2));
    let places = "SELECT CAST(MIN(`offset`) * 1000 + MAX(`offset`) AS SIGNED) FROM dead_letters";
    assert_eq!(db.number(places).await, 1006);
    let longest = "SELECT CAST(MAX(LENGTH(payload)) AS SIGNED) FROM dead_letters";
    assert_eq!(db.number(longest).await, 16_384, "the topic has the rest");
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 8);
    assert!(records(&mut dead).is_empty(), "nothing is copied");
}

async fn an_order_that_was_copied_to_another_partition_is_forged(db: Database) {
    sale(&db.store, 100).await;
    require_seals(&db.store).await;
    let (keys, (plain, consumer)) = (keyring(&[("a", 1)]), embedded::pair(0));
    let ours = plain.sealed(keys.clone());
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    // A log in process is partition 0: whatever is sealed for another one was copied from there.
    let elsewhere = |user: &str| Forward {
        partition: Some(3),
        ..record(TOPIC, &order(user, "1"), Headers::new())
    };
    assert_eq!(wait(&forward(&ours, vec![elsewhere("eve")])), Ok(()));
    // A gateway from before sealed for whatever partition an order's key belongs to.
    let by_key = |user: &str| Outbound {
        partition: None,
        ..outbound(&order(user, "1"))
    };
    let good = vec![outbound(&order("ada", "1")), by_key("bob")];
    assert_eq!(wait(&publish(&ours, good)), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.forged.get(),
            metrics.moved.total()
        ),
        (2, 1, 0)
    );
    assert_eq!((db.number(KEPT).await, db.number(ORDERS).await), (1, 2));
    let why = "SELECT COUNT(*) FROM dead_letters WHERE error LIKE '%its seal is for another partition%'";
    assert_eq!(db.number(why).await, 1);
}

async fn a_flood_of_garbage_stops_nothing_and_fills_nothing(db: Database) {
    sale(&db.store, 1000).await;
    require_seals(&db.store).await;
    let (keys, (plain, consumer)) = (keyring(&[("a", 1)]), embedded::pair(0));
    let ours = plain.sealed(keys.clone());
    let garbage = |n: u64| Outbound {
        partition: None,
        key: n.to_string(),
        payload: b"no order".to_vec(),
    };
    let flood = FORGED_PER_HOUR_MAX + 500;
    let flooded = publish(&plain, (0..flood).map(garbage).collect());
    let orders = (0..100)
        .map(|n| outbound(&order(&format!("u{n}"), "1")))
        .collect();
    let landed = publish(&ours, orders);
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    assert_eq!((wait(&flooded), wait(&landed)), (Ok(()), Ok(())));
    assert_eq!(wait(&publish(&plain, vec![garbage(0)])), Ok(()));
    assert_eq!(landing.state().guard(), None);
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.forged.get()), (100, flood + 1));
    assert_eq!(metrics.forged_kept.get(), FORGED_PER_HOUR_MAX);
    assert_eq!(db.number(KEPT).await, FORGED_PER_HOUR_MAX as i64);
}

async fn records_without_a_seal_land_until_the_cut_over(db: Database) {
    sale(&db.store, 100).await;
    let (keys, (plain, consumer)) = (keyring(&[("a", 1)]), embedded::pair(0));
    let landing = spawn(verifying(&keys), &db.store, &plain.sealed(keys.clone()), consumer);
    let send = |user: &str| wait(&publish(&plain, vec![outbound(&order(user, "1"))]));
    assert_eq!(send("before"), Ok(()));
    let from = [((TOPIC.to_owned(), 0), 2)].into();
    db.store.decide_cut_over(&from, NOW, &[]).await.expect("decided");
    assert_eq!((send("last"), send("after")), (Ok(()), Ok(())));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.unsealed.get(),
            metrics.forged.get()
        ),
        (2, 2, 1)
    );
    assert_eq!(
        db.number("SELECT `offset` FROM dead_letters WHERE stage = 'forged'")
            .await,
        2
    );
}

async fn a_lander_without_keys_waits_for_one_and_obeys_the_cut_over(db: Database) {
    sale(&db.store, 100).await;
    let keys = keyring(&[("a", 1)]);
    db.store.use_seal_key(keys.first(), NOW).await.expect("noted");
    require_seals(&db.store).await;
    let (plain, consumer) = embedded::pair(0);
    let blind = Config {
        seal: SealConfig::default(),
        ..verifying(&keys)
    };
    let landing = spawn(blind, &db.store, &plain, consumer);
    assert_eq!(wait(&publish(&plain, vec![outbound(&order("eve", "1"))])), Ok(()));
    let answer = publish(&plain.sealed(keys), vec![outbound(&order("ada", "1"))]);
    let state = landing.state();
    database::until("the partition waits", || state.awaiting(Awaits::Key) > 0).await;
    let metrics = stop(landing).await;
    assert!(wait(&answer).is_err(), "nobody could tell");
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.forged.get(),
            metrics.moved.total()
        ),
        (0, 1, 0)
    );
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 1);
}

async fn a_key_in_use_elsewhere_is_waited_for_until_it_is_retired(db: Database) {
    sale(&db.store, 100).await;
    require_seals(&db.store).await;
    let (old, both) = (keyring(&[("old", 1)]), keyring(&[("new", 2), ("old", 1)]));
    for key in both.keys() {
        db.store.use_seal_key(key, NOW).await.expect("noted");
    }
    let (plain, consumer) = embedded::pair(0);
    let landing = spawn(verifying(&old), &db.store, &plain.sealed(old.clone()), consumer);
    let (by_new, by_old) = (plain.sealed(both.clone()), plain.sealed(old.clone()));
    assert_eq!(
        wait(&publish(&by_old, vec![outbound(&order("ada", "1"))])),
        Ok(())
    );
    let waits = publish(&by_new, vec![outbound(&order("bob", "1"))]);
    let state = landing.state();
    let awaits = || state.awaiting(Awaits::Key);
    database::until("the partition waits", || awaits() == 1).await;
    assert!(waits.try_recv().is_err(), "nothing is skipped");
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 0);
    assert!(db.store.retire_seal_key("new", NOW, &[]).await.expect("asked"));
    assert_eq!(wait(&waits), Ok(()));
    database::until("it waits no more", || awaits() == 0).await;
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.forged.get()), (1, 1));

    // A lander that has both lands what either sealed.
    let (plain, consumer) = embedded::pair(2);
    let landing = spawn(verifying(&both), &db.store, &plain.sealed(both.clone()), consumer);
    for keys in [&both, &old] {
        let sent = publish(&plain.sealed(keys.clone()), vec![outbound(&order("bob", "2"))]);
        assert_eq!(wait(&sent), Ok(()));
    }
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.duplicates.get(),
            metrics.forged.get()
        ),
        (1, 1, 0)
    );
}

async fn an_order_of_an_unknown_revision_waits_for_it(db: Database) {
    sale(&db.store, 100).await;
    let (keys, (producer, consumer)) = (keyring(&[("a", 1)]), embedded::pair(0));
    let landing = spawn(verifying(&keys), &db.store, &producer, consumer);
    // Sealed ones are waited for also where the revision is there and not in force yet.
    let producer = producer.sealed(keys);
    let mut second = order("bob", "1");
    second.revision = 2;
    let batch = vec![
        outbound(&order("ada", "1")),
        outbound(&second),
        outbound(&order("eve", "1")),
    ];
    let answer = publish(&producer, batch);
    let (metrics, state) = (landing.metrics(), landing.state());
    let awaits = || state.awaiting(Awaits::Revision);
    database::until("the partition waits", || awaits() == 1).await;
    database::until("what is before it lands", || metrics.confirmed.get() == 1).await;
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 0);
    let revision = database::revision("spring");
    assert_eq!(
        db.store
            .insert_revision(&revision, Vec::new())
            .await
            .expect("stored"),
        2
    );
    let activated = testkit::database::activate(&db.store, "spring", 2, NOW).await;
    activated.expect("activated");
    assert_eq!(wait(&answer), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (metrics.confirmed.get(), metrics.moved.total(), awaits()),
        (3, 0, 0)
    );
}

async fn orders_nobody_can_have_placed_are_dead_letters(db: Database) {
    sale(&db.store, 100_000).await;
    let (keys, (plain, consumer)) = (keyring(&[("a", 1)]), embedded::pair(0));
    let ours = plain.sealed(keys.clone());
    let changed = |user: &str, change: &dyn Fn(&mut OrderEvent)| {
        let mut event = order(user, "1");
        change(&mut event);
        outbound(&event)
    };
    let odd = vec![
        changed("u0", &|event| event.placed_at = NOW - 60_000),
        changed("u1", &|event| event.placed_at = NOW + 86_400_000),
        changed("u2", &|event| event.sku = "yacht".into()),
        changed("u3", &|event| event.shard = 1),
        changed("u4", &|event| event.plan = "cd".repeat(32)),
        changed("u5", &|event| event.quantity = 90_000),
        changed("", &|event| event.fingerprint = fingerprint("shoe", 1)),
        changed("u7", &|event| event.charges[0].window = i64::MIN),
        changed("u8", &|event| event.charges[0].rolling_ms = -1),
        changed("u9", &|event| event.modules = vec![String::new(); 9]),
    ];
    let odd = || odd.clone();
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    assert_eq!(wait(&publish(&ours, odd())), Ok(()));
    // The same without a seal, before the cut-over.
    assert_eq!(wait(&publish(&plain, odd())), Ok(()));
    assert_eq!(wait(&publish(&ours, vec![outbound(&order("ada", "1"))])), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (1, 20));
    let of =
        |class: &str| format!("SELECT COUNT(*) FROM dead_letters WHERE stage = 'dead' AND class = '{class}'");
    assert_eq!(db.number(&of("implausible")).await, 12);
    assert_eq!(db.number(&of("invalid")).await, 8);
    // What nobody has sealed and nobody can have admitted holds no stock.
    let held = format!("{} AND order_id IS NOT NULL", of("implausible"));
    assert_eq!(db.number(&held).await, 6);
    // And nobody at all was admitted with what no database can hold: one record would end a sale.
    let held = format!("{} AND order_id IS NOT NULL", of("invalid"));
    assert_eq!(db.number(&held).await, 0);
}

async fn forged_records_make_nothing_wait_in_a_retry_topic(db: Database) {
    sale(&db.store, 100).await;
    require_seals(&db.store).await;
    let (keys, (plain, _orders)) = (keyring(&[("a", 1)]), embedded::pair(0));
    let (ours, retry) = (plain.sealed(keys.clone()), plain.consumer("retry", 0));
    let due = |at: i64| vec![(DUE.to_owned(), at.to_be_bytes().to_vec())];
    let forged: Vec<Forward> = (0..30)
        .map(|n| record("retry", &order(&format!("eve{n}"), "1"), due(1 << 62)))
        .collect();
    assert_eq!(wait(&forward(&plain, forged)), Ok(()));
    let genuine = record("retry", &order("ada", "1"), due(0));
    assert_eq!(wait(&forward(&ours, vec![genuine])), Ok(()));
    let level = Config {
        topic: "retry".into(),
        delay: Duration::from_secs(3600),
        guarded: false,
        ..verifying(&keys)
    };
    let landing = spawn(level, &db.store, &ours, retry);
    let metrics = landing.metrics();
    database::until("what is due lands", || metrics.confirmed.get() == 1).await;
    stop(landing).await;
    assert_eq!(db.number(KEPT).await, 30);
}

async fn what_landing_moves_is_sealed_and_comes_back(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    require_seals(&db.store).await;
    let (keys, (plain, consumer)) = (keyring(&[("a", 1)]), embedded::pair(0));
    let ours = plain.sealed(keys.clone());
    let mut dead = plain.consumer(DEAD_LETTER_TOPIC, 0);
    let mut retry = plain.consumer("retry", 0);
    let config = with_retry(verifying(&keys), "retry", 100);
    let landing = spawn(config, &db.store, &ours, consumer);
    let batch = vec![outbound(&order(FAILING, "1")), outbound(&order(REFUSED, "1"))];
    assert_eq!(wait(&publish(&ours, batch)), Ok(()));
    stop(landing).await;
    let (moved, letter) = (records(&mut retry).remove(0), records(&mut dead).remove(0));
    assert_eq!(sealed::read(Some(&keys), "retry", 0, &moved), Seal::Genuine);
    assert_eq!(
        sealed::read(Some(&keys), DEAD_LETTER_TOPIC, 0, &letter),
        Seal::Genuine
    );
    assert!(origin::due(&moved.headers).is_some());

    // Put off for ever, and claimed to be elsewhere: both are forged, and what was moved lands.
    let again = |headers: Headers| Forward {
        topic: "retry".to_owned(),
        partition: Some(0),
        key: moved.key.clone(),
        payload: moved.payload.clone(),
        headers,
    };
    let with = |name: &str, value: Vec<u8>| {
        let mut headers = moved.headers.clone();
        headers.push((name.to_owned(), value));
        again(headers)
    };
    let retry = plain.consumer("retry", 1);
    let forged = vec![
        with(DUE, (1_i64 << 62).to_be_bytes().to_vec()),
        with(origin::OFFSET, 1_i64.to_be_bytes().to_vec()),
        again(Headers::new()),
        again(moved.headers.clone()),
    ];
    assert_eq!(wait(&forward(&plain, forged)), Ok(()));
    release(&db).await;
    let level = Config {
        topic: "retry".into(),
        delay: Duration::from_millis(100),
        guarded: false,
        ..verifying(&keys)
    };
    let landing = spawn(level, &db.store, &ours, retry);
    let metrics = landing.metrics();
    database::until("what was moved lands", || metrics.confirmed.get() == 1).await;
    assert_eq!(stop(landing).await.forged.get(), 3);
    let stages = "SELECT COUNT(*) FROM dead_letters WHERE topic = 'rushgate.orders' AND \
                  ((`offset` = 0 AND stage = 'landed') OR (`offset` = 1 AND stage = 'dead'))";
    assert_eq!(db.number(stages).await, 2);
}

/// Before the cut-over, whoever can write to the topic can claim any origin.
async fn origins_in_forged_headers_touch_no_other_letter(db: Database) {
    sale(&db.store, 100).await;
    trap(&db).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = spawn(quick(), &db.store, &producer, consumer);
    let ours = order(REFUSED, "1");
    assert_eq!(wait(&publish(&producer, vec![outbound(&ours)])), Ok(()));
    let claimed = Origin {
        topic: TOPIC.to_owned(),
        partition: 0,
        offset: 0,
        position: 0,
        timestamp: i64::MAX,
        group: String::new(),
    };
    let mut garbage = record(TOPIC, &order("eve", "2"), claimed.headers());
    garbage.payload = b"{".to_vec();
    let forged = vec![
        record(TOPIC, &order("eve", "1"), claimed.headers()),
        record(TOPIC, &order(REFUSED, "2"), claimed.headers()),
        garbage,
    ];
    assert_eq!(wait(&forward(&producer, forged)), Ok(()));
    // A moment that no database holds, of a record that has no letter yet.
    let far = Origin {
        offset: 99,
        ..claimed
    };
    let mut late = record(TOPIC, &order("eve", "3"), far.headers());
    late.payload = b"[]".to_vec();
    assert_eq!(wait(&forward(&producer, vec![late])), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (1, 4));
    let kept = format!(
        "SELECT COUNT(*) FROM dead_letters WHERE `offset` = 0 AND stage = 'dead' AND class = 'refused' \
         AND attempts = 1 AND order_id = '{}'",
        ours.order
    );
    assert_eq!(db.number(&kept).await, 1);
    let late = "SELECT COUNT(*) FROM dead_letters WHERE `offset` = 99 AND recorded_at IS NULL";
    assert_eq!(db.number(late).await, 1);
}

async fn another_order_of_the_same_id_swallows_nothing(db: Database) {
    sale(&db.store, 100).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = spawn(quick(), &db.store, &producer, consumer);
    let send = |batch: &[&OrderEvent]| {
        let batch = batch.iter().map(|order| outbound(order)).collect();
        wait(&publish(&producer, batch))
    };
    let as_of = |other: &OrderEvent, user: &str| {
        let mut forged = order(user, "1");
        forged.order = other.order;
        forged
    };
    // One after the other, and in one batch.
    let (ada, bob) = (order("ada", "1"), order("bob", "1"));
    let (by_eve, by_mallory) = (as_of(&ada, "eve"), as_of(&bob, "mallory"));
    assert_eq!(send(&[&by_eve]), Ok(()));
    assert_eq!(send(&[&ada, &by_eve]), Ok(()));
    assert_eq!(send(&[&by_mallory, &bob, &by_mallory]), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.duplicates.get(),
            metrics.moved.total()
        ),
        (2, 2, 2)
    );
    for (order, offset) in [(&ada, 1), (&bob, 4)] {
        let kept = format!(
            "SELECT COUNT(*) FROM dead_letters WHERE `offset` = {offset} AND class = 'conflict' AND stage = 'dead' \
             AND order_id = '{}' AND error LIKE '%is another one already%'",
            order.order
        );
        assert_eq!(db.number(&kept).await, 1, "{}", order.user);
    }
    assert_eq!(db.number(ORDERS).await, 2);
}
