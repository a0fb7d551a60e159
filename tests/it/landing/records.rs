//! Records of many orders: what lands of them, what is forged, and what fails while the others land.

use rushgate::bus::origin::{self, Origin};
use rushgate::bus::{DEAD_LETTER_TOPIC, Forward, Headers};
use rushgate::landing::Awaits;
use rushgate::order::Attempt;
use rushgate::plan::eval;
use rushgate::record::{self, EntryHead, EntryId, Header, encode_payload};
use rushgate::seal::Keyring;
use rushgate::store::{LetterFilter, Stage};
use testkit::database;

use super::forged::{forward, keyring, require_seals, verifying};
use super::poison::{FAILING, REFUSED, Silent, release, trap, with_retry};
use super::*;

testkit::on_both!(
    records_of_many_orders_land_beside_those_of_one,
    a_batch_is_as_many_orders_and_not_records,
    what_nobody_of_ours_published_is_passed_over_whole,
    an_order_is_forged_for_itself,
    old_orders_and_those_out_of_their_sale_are_dead_letters,
    charges_that_cannot_be_made_are_waited_for,
    one_poison_order_in_a_record_of_two_hundred,
    half_of_a_record_and_a_whole_one,
    a_record_is_read_again_after_a_crash_between,
    orders_that_cannot_be_read_stay_with_their_header,
);

const AT: i64 = NOW + 1000;
const ORDERS: &str = "SELECT COUNT(*) FROM orders";
const SOLD: &str = "SELECT sold FROM stock WHERE sku_id = 'shoe'";
const LETTERS: &str = "SELECT COUNT(*) FROM dead_letters";

/// An entry of the campaign [`sale`] makes, whose first order is the so-manieth of its shard.
fn stored(first: u64) -> EntryHead {
    EntryHead {
        id: EntryId {
            ms: AT as u64,
            seq: first,
        },
        shard: 0,
        epoch: 1,
        revision: 1,
        evaluator: eval::VERSION,
        at: AT,
        first,
    }
}

/// The record that whoever publishes an entry makes of it.
fn packed(stored: &EntryHead, payloads: &[Vec<u8>]) -> Vec<u8> {
    with_header(stored, payloads, |header| header)
}

fn with_header(
    stored: &EntryHead,
    payloads: &[Vec<u8>],
    change: impl FnOnce(Header<'_>) -> Header<'_>,
) -> Vec<u8> {
    let campaign = database::campaign("spring", &[]);
    let revision = database::revision("spring");
    let header = change(Header::of(&campaign, &revision, stored));
    record::encode(&header, payloads.iter().map(Vec::as_slice)).expect("it fits")
}

/// What a gateway with these keys makes of an order of one shoe, before the call.
fn asked(user: &str, asked_at: i64, stored: &EntryHead, keys: Option<&Keyring>) -> Vec<u8> {
    let order = order(user, "1");
    let attempt = Attempt {
        order: order.order,
        user: order.user,
        sku: order.sku,
        quantity: order.quantity,
        attributes: order.attributes,
    };
    let campaign = database::campaign("spring", &[]);
    let revision = database::revision("spring");
    let scope = Header::of(&campaign, &revision, stored).scope();
    encode_payload(&attempt, asked_at, &scope, keys)
}

fn payloads(users: &[String], stored: &EntryHead, keys: Option<&Keyring>) -> Vec<Vec<u8>> {
    let asked = |user: &String| asked(user, AT - 3, stored, keys);
    users.iter().map(asked).collect()
}

fn users(orders: std::ops::Range<u64>) -> Vec<String> {
    orders.map(|n| format!("u{n}")).collect()
}

/// A record of so many orders by `u0`, `u1` and so on, without seals.
fn plain_record(orders: std::ops::Range<u64>) -> Forward {
    let stored = stored(orders.start);
    to_orders(packed(&stored, &payloads(&users(orders), &stored, None)))
}

fn to_orders(payload: Vec<u8>) -> Forward {
    Forward {
        topic: TOPIC.to_owned(),
        partition: Some(0),
        key: b"spring/0".to_vec(),
        payload,
        headers: Headers::new(),
    }
}

/// A record as it stands in the topic once these keys have signed it for a partition.
fn signed(keys: &Arc<Keyring>, partition: i32, record: Forward) -> Forward {
    let (plain, mut consumer) = embedded::pair(0);
    let record = Forward {
        partition: Some(partition),
        ..record
    };
    let answer = forward(&plain.sealed(keys.clone()), vec![record.clone()]);
    let headers = records(&mut consumer).remove(0).headers;
    drop(answer);
    Forward { headers, ..record }
}

async fn records_of_many_orders_land_beside_those_of_one(db: Database) {
    sale(&db.store, 1000).await;
    let (producer, landing) = start(&db.store);
    let one = |user: &str| Forward {
        key: order(user, "1").key().into_bytes(),
        ..to_orders(order(user, "1").encode())
    };
    let sent = vec![
        one("ada"),
        plain_record(0..200),
        one("bob"),
        plain_record(200..201),
    ];
    assert_eq!(wait(&forward(&producer, sent)), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.moved.total(),
            metrics.duplicates.get()
        ),
        (203, 0, 0)
    );
    assert_eq!(metrics.unsealed.get(), 203, "orders, not records");
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 4);
    assert_eq!(db.number(SOLD).await, 203);
    let counted = "SELECT COUNT(*) FROM `usage` WHERE used = 1 AND counter = 'one-per-user/orders'";
    assert_eq!(db.number(counted).await, 203);
    // The receipt is what records of one order carry.
    let row = async |user: &str| {
        let found = db.store.order("spring", order(user, "1").order).await;
        found.expect("asked").expect("landed")
    };
    let (ada, u7) = (row("ada").await, row("u7").await);
    let charge = |row: &rushgate::order::LandedOrder| {
        let charge = row.charges[0].clone();
        (
            row.charges.len(),
            charge.counter,
            charge.window,
            charge.cost,
            charge.limit,
        )
    };
    assert_eq!(charge(&ada), charge(&u7));
    assert_eq!((u7.charges[0].subject.as_str(), u7.placed_at), ("u7", AT));
    assert_eq!((ada.fingerprint, ada.revision), (u7.fingerprint, u7.revision));
}

async fn a_batch_is_as_many_orders_and_not_records(db: Database) {
    sale(&db.store, 1000).await;
    let (producer, consumer) = embedded::pair(0);
    let sent = (0..10).map(|n| plain_record(n * 50..(n + 1) * 50)).collect();
    let answer = forward(&producer, sent);
    let config = Config {
        batch_records: 100,
        ..quick()
    };
    let landing = spawn(config, &db.store, &producer, consumer);
    assert_eq!(wait(&answer), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.batches.get()), (500, 5));
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 10);
}

async fn what_nobody_of_ours_published_is_passed_over_whole(db: Database) {
    sale(&db.store, 1000).await;
    require_seals(&db.store).await;
    let (old, keys) = (keyring(&[("old", 3)]), keyring(&[("a", 1)]));
    db.store.use_seal_key(old.first(), NOW).await.expect("noted");
    assert!(db.store.retire_seal_key("old", NOW, &[]).await.expect("asked"));
    let (plain, consumer) = embedded::pair(0);
    let ours = plain.sealed(keys.clone());
    let stored = stored(0);
    let record = to_orders(packed(&stored, &payloads(&users(0..5), &stored, Some(&keys))));
    let good = signed(&keys, 0, record.clone());
    let mut altered = good.clone();
    let last = altered.payload.len() - 1;
    altered.payload[last] ^= 1;
    let renamed = with_header(&stored, &payloads(&users(0..5), &stored, Some(&keys)), |header| {
        Header {
            campaign: "summer",
            ..header
        }
    });
    let another_campaign = Forward {
        payload: renamed,
        ..good.clone()
    };
    let forged = vec![
        record.clone(),
        altered,
        another_campaign,
        signed(&keyring(&[("a", 2)]), 0, record.clone()),
        signed(&old, 0, record.clone()),
        signed(&keyring(&[("invented", 1)]), 0, record.clone()),
        signed(&keys, 3, record.clone()),
    ];
    let sent = forged.len() as u64;
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    let (first, again) = (forward(&plain, forged), forward(&plain, vec![good.clone(), good]));
    assert_eq!((wait(&first), wait(&again)), (Ok(()), Ok(())));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.forged.get(),
            metrics.forged_kept.get(),
            metrics.moved.total()
        ),
        (sent, sent, 0)
    );
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.duplicates.get(),
            metrics.unsealed.get()
        ),
        (5, 5, 0)
    );
    assert_eq!(
        (db.number(ORDERS).await, db.number(SOLD).await),
        (5, 5),
        "a replayed record changes nothing"
    );
    let why = |offset: i64, text: &str| {
        format!(
            "{LETTERS} WHERE stage = 'forged' AND `offset` = {offset} AND position = 0 AND INSTR(error, '{text}') > 0"
        )
    };
    for (offset, text) in [
        (0, "no seal"),
        (1, "not what its key makes"),
        (2, "not what its key makes"),
        (3, "not what its key makes"),
        (4, "retired"),
        (5, "none of ours"),
        (6, "another partition"),
    ] {
        assert_eq!(db.number(&why(offset, text)).await, 1, "{offset} {text}");
    }
}

async fn an_order_is_forged_for_itself(db: Database) {
    sale(&db.store, 1000).await;
    require_seals(&db.store).await;
    let (old, keys) = (keyring(&[("old", 3)]), keyring(&[("a", 1)]));
    db.store.use_seal_key(old.first(), NOW).await.expect("noted");
    // Long before: what may have waited in an outbox since is none of the forged ones.
    let before = NOW - 3_600_000;
    assert!(db.store.retire_seal_key("old", before, &[]).await.expect("asked"));
    db.execute("UPDATE seal_cut_over SET decided_at = '2026-11-01 00:00:00.000'")
        .await;
    let (producer, consumer) = embedded::pair(0);
    let ours = producer.sealed(keys.clone());
    let here = stored(0);
    let elsewhere = |change: fn(&mut EntryHead)| {
        let mut other = here;
        change(&mut other);
        asked("eve", AT, &other, Some(&keys))
    };
    let mut altered = asked("eve", AT, &here, Some(&keys));
    let last = altered.len() - 1;
    altered[last] ^= 1;
    let orders = vec![
        asked("ann", AT, &here, Some(&keys)),
        asked("eve", AT, &here, None),
        asked("eve", AT, &here, Some(&old)),
        asked("eve", AT, &here, Some(&keyring(&[("a", 2)]))),
        altered,
        elsewhere(|stored| stored.shard = 1),
        elsewhere(|stored| stored.epoch = 2),
        elsewhere(|stored| stored.revision = 2),
        asked("bob", AT, &here, Some(&keys)),
    ];
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    let answer = forward(&ours, vec![to_orders(packed(&here, &orders))]);
    assert_eq!(wait(&answer), Ok(()));
    let state = landing.state();
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.forged.get(),
            metrics.forged_kept.get()
        ),
        (2, 7, 7)
    );
    assert_eq!((metrics.moved.total(), state.guard()), (0, None));
    let places = "SELECT CAST(SUM(position) * 10 + COUNT(*) AS SIGNED) FROM dead_letters \
                  WHERE stage = 'forged' AND `offset` = 0 AND order_id IS NULL";
    assert_eq!(db.number(places).await, 287, "positions 1 to 7");
    assert_eq!(db.number(ORDERS).await, 2);
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 1);
}

async fn old_orders_and_those_out_of_their_sale_are_dead_letters(db: Database) {
    sale(&db.store, 1000).await;
    let keys = keyring(&[("a", 1)]);
    let (producer, consumer) = embedded::pair(0);
    let mut dead = producer.consumer(DEAD_LETTER_TOPIC, 0);
    let ours = producer.sealed(keys.clone());
    let (here, mut closed) = (stored(0), stored(10));
    closed.at = NOW + 3_600_000 + 2000;
    let long_ago = AT - 2000 - 5 * 60 * 1000 - 1;
    let mixed = vec![
        asked("ann", AT, &here, Some(&keys)),
        asked("old", long_ago, &here, Some(&keys)),
        asked("bob", long_ago + 1, &here, Some(&keys)),
    ];
    let late = vec![asked("late", closed.at, &closed, Some(&keys))];
    let another = vec![asked("cat", AT, &here, Some(&keys))];
    let config = Config {
        guarded: false,
        ..verifying(&keys)
    };
    let landing = spawn(config, &db.store, &ours, consumer);
    let sent = vec![
        to_orders(packed(&here, &mixed)),
        to_orders(packed(&closed, &late)),
    ];
    assert_eq!(wait(&forward(&ours, sent)), Ok(()));
    assert_eq!(
        wait(&forward(&ours, vec![to_orders(packed(&here, &another))])),
        Ok(())
    );
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.moved.total(),
            metrics.forged.get()
        ),
        (3, 2, 0)
    );
    let kept = |offset: i64, position: i64, text: &str| {
        format!(
            "{LETTERS} WHERE class = 'implausible' AND stage = 'dead' AND `offset` = {offset} AND \
             position = {position} AND order_id IS NOT NULL AND INSTR(error, '{text}') > 0"
        )
    };
    assert_eq!(db.number(&kept(0, 1, "was asked for at")).await, 1);
    assert_eq!(db.number(&kept(1, 0, "has closed")).await, 1);
    // A person may let it pass: what is kept is a whole order, with its charges.
    let letter = records(&mut dead).remove(0);
    let event = OrderEvent::decode(&letter.payload).expect("an order");
    assert_eq!((event.user.as_str(), event.charges.len()), ("old", 1));
    assert_eq!(letter.key, b"spring/old");
}

async fn charges_that_cannot_be_made_are_waited_for(db: Database) {
    sale(&db.store, 1000).await;
    let keys = keyring(&[("a", 1)]);
    let (producer, consumer) = embedded::pair(0);
    let ours = producer.sealed(keys.clone());
    let mut second = stored(0);
    second.revision = 2;
    let mut newer = stored(2);
    newer.evaluator = eval::VERSION + 1;
    let of = |stored: &EntryHead, user: &str| {
        let orders = [
            asked("first", AT, stored, Some(&keys)),
            asked(user, AT, stored, Some(&keys)),
        ];
        to_orders(packed(stored, &orders))
    };
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    let state = landing.state();
    let waits = || state.awaiting(Awaits::Revision);
    let unknown = forward(&ours, vec![of(&second, "ann")]);
    database::until("an unknown revision is waited for", || waits() == 1).await;
    assert!(unknown.try_recv().is_err(), "nothing is skipped");
    let revision = database::revision("spring");
    assert_eq!(
        db.store
            .insert_revision(&revision, Vec::new())
            .await
            .expect("stored"),
        2
    );
    testkit::database::activate(&db.store, "spring", 2, NOW)
        .await
        .expect("activated");
    assert_eq!(wait(&unknown), Ok(()));
    database::until("it waits no more", || waits() == 0).await;
    let unmade = forward(&ours, vec![of(&newer, "bob")]);
    database::until("an unknown evaluator is waited for", || waits() == 1).await;
    let metrics = stop(landing).await;
    assert!(wait(&unmade).is_err(), "it stays where it is");
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.moved.total(),
            metrics.forged.get()
        ),
        (2, 0, 0)
    );
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 1);
    assert_eq!(db.number(LETTERS).await, 0);
}

/// A record of 200 orders in which these users stand at these positions.
fn with_users(keys: &Keyring, odd: &[(usize, &str)]) -> Forward {
    let stored = stored(0);
    let mut all = users(0..200);
    for (position, user) in odd {
        all[*position] = (*user).to_owned();
    }
    to_orders(packed(&stored, &payloads(&all, &stored, Some(keys))))
}

async fn one_poison_order_in_a_record_of_two_hundred(db: Database) {
    sale(&db.store, 1000).await;
    trap(&db).await;
    let keys = keyring(&[("a", 1)]);
    let (producer, consumer) = embedded::pair(0);
    let (mut retry, ours) = (producer.consumer("retry", 0), producer.sealed(keys.clone()));
    let config = with_retry(verifying(&keys), "retry", 1);
    let landing = spawn(config, &db.store, &ours, consumer);
    let answer = forward(&ours, vec![with_users(&keys, &[(7, FAILING)])]);
    assert_eq!(wait(&answer), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.moved.total(),
            metrics.duplicates.get()
        ),
        (199, 1, 0)
    );
    assert_eq!((db.number(SOLD).await, db.number(ORDERS).await), (199, 199));
    let place = "SELECT CAST(`offset` * 1000 + position AS SIGNED) FROM dead_letters WHERE stage = 'retry'";
    assert_eq!(db.number(place).await, 7);
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 1);
    let moved = records(&mut retry).remove(0);
    let from = Origin::read(&moved.headers).expect("an origin");
    assert_eq!((from.topic.as_str(), from.offset, from.position), (TOPIC, 0, 7));
    assert_eq!(moved.key, b"spring/failing", "alone");

    release(&db).await;
    retry.seek(0, 0);
    let level = Config {
        topic: "retry".to_owned(),
        delay: Duration::from_millis(1),
        guarded: false,
        ..verifying(&keys)
    };
    let landing = spawn(level, &db.store, &ours, retry);
    let metrics = landing.metrics();
    database::until("it lands from there", || metrics.confirmed.get() == 1).await;
    assert_eq!(stop(landing).await.forged.get(), 0, "landing has signed it again");
    assert_eq!(db.number(SOLD).await, 200);
    let closed = format!("{LETTERS} WHERE stage = 'landed' AND `offset` = 0 AND position = 7");
    assert_eq!((db.number(&closed).await, db.number(LETTERS).await), (1, 1));
}

/// Letters that are not to be tried again by themselves, in the order in which they would be replayed.
async fn dead(db: &Database) -> Vec<rushgate::store::DeadLetter> {
    let filter = LetterFilter {
        stages: vec![Stage::Dead],
        ..LetterFilter::default()
    };
    let first = db.store.dead_letters(&filter, None, 60).await.expect("read");
    let after = first.last().map(|letter| letter.origin.clone());
    let rest = db.store.dead_letters(&filter, after.as_ref(), 1000).await;
    [first, rest.expect("read")].concat()
}

async fn half_of_a_record_and_a_whole_one(db: Database) {
    sale(&db.store, 1000).await;
    trap(&db).await;
    let keys = keyring(&[("a", 1)]);
    let (producer, consumer) = embedded::pair(0);
    let ours = producer.sealed(keys.clone());
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    refuse_bad(&db).await;
    let half: Vec<String> = (0..200)
        .map(|n| {
            if n % 2 == 0 {
                format!("u{n}")
            } else {
                format!("bad{n}")
            }
        })
        .collect();
    let stored_half = stored(0);
    let half = packed(&stored_half, &payloads(&half, &stored_half, Some(&keys)));
    assert_eq!(wait(&forward(&ours, vec![to_orders(half)])), Ok(()));
    assert_eq!(db.number(ORDERS).await, 100);
    let letters = dead(&db).await;
    let positions: Vec<u32> = letters.iter().map(|letter| letter.origin.position).collect();
    assert_eq!(
        positions,
        (1..200).step_by(2).collect::<Vec<u32>>(),
        "in the order of the record"
    );
    stop(landing).await;

    // A whole record: the guard counts orders, and stops landing before anything is moved.
    let whole: Vec<String> = (0..200).map(|n| format!("bad-too{n}")).collect();
    let stored_whole = stored(200);
    let whole = to_orders(packed(
        &stored_whole,
        &payloads(&whole, &stored_whole, Some(&keys)),
    ));
    let consumer = producer.consumer(TOPIC, 1);
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    let answer = forward(&ours, vec![whole]);
    let state = landing.state();
    database::until("the guard trips", || state.guard() == Some((200, 200))).await;
    assert_eq!(db.number(LETTERS).await, 100, "nothing is moved");
    allow_bad(&db).await;
    assert_eq!(wait(&answer), Ok(()));
    assert_eq!(stop(landing).await.confirmed.get(), 200);

    // What was moved is replayed in its order, and lands so.
    let consumer = producer.consumer(TOPIC, 2);
    let landing = spawn(verifying(&keys), &db.store, &ours, consumer);
    let back = letters.iter().map(|letter| Forward {
        topic: TOPIC.to_owned(),
        partition: Some(0),
        key: letter.key.clone(),
        payload: letter.payload.clone(),
        headers: Origin {
            topic: letter.origin.topic.clone(),
            partition: letter.origin.partition,
            offset: letter.origin.offset,
            position: letter.origin.position,
            timestamp: letter.recorded_at.unwrap_or(0),
            group: "g".to_owned(),
        }
        .headers(),
    });
    assert_eq!(wait(&forward(&ours, back.collect())), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.duplicates.get(),
            metrics.forged.get()
        ),
        (100, 0, 0)
    );
    let closed = format!("{LETTERS} WHERE stage = 'landed'");
    assert_eq!((db.number(&closed).await, db.number(LETTERS).await), (100, 100));
    assert_eq!(db.number(SOLD).await, 400);
    let ordinals: Vec<Option<u64>> = letters
        .iter()
        .map(|letter| OrderEvent::decode(&letter.payload).expect("an order"))
        .map(|event| event.ordinal.map(|ordinal| ordinal.number))
        .collect();
    let expected: Vec<Option<u64>> = (1..200).step_by(2).map(Some).collect();
    assert_eq!(
        ordinals, expected,
        "they keep their place among the orders of their shard"
    );
}

/// A rule of the database that refuses orders of some users.
async fn refuse_bad(db: &Database) {
    match db.is_sqlite() {
        true => {
            db.execute(
                "CREATE TRIGGER bad BEFORE INSERT ON orders WHEN NEW.user_id LIKE 'bad%' \
                 BEGIN SELECT RAISE(ABORT, 'bad'); END",
            )
            .await;
        }
        false => {
            db.execute("ALTER TABLE orders ADD CONSTRAINT bad CHECK (user_id NOT LIKE 'bad%')")
                .await;
        }
    }
}

async fn allow_bad(db: &Database) {
    let sql = match db.is_sqlite() {
        true => "DROP TRIGGER bad",
        false => "ALTER TABLE orders DROP CONSTRAINT bad",
    };
    db.execute(sql).await;
}

async fn a_record_is_read_again_after_a_crash_between(db: Database) {
    sale(&db.store, 1000).await;
    trap(&db).await;
    let keys = keyring(&[("a", 1)]);
    let (producer, consumer) = embedded::pair(0);
    let mut retry = producer.consumer("retry", 0);
    let ours = producer.sealed(keys.clone());
    let config = with_retry(verifying(&keys), "retry", 1);
    let silent: Arc<dyn Producer> = Arc::new(Silent(ours.clone()));
    let landing = Landing::spawn(
        config.clone(),
        Box::new(consumer),
        silent,
        db.store.clone(),
        Handle::current(),
        rushgate::landing::Metrics::default(),
    )
    .expect("a thread");
    let record = || vec![with_users(&keys, &[(2, FAILING), (3, REFUSED)])];
    let answer = forward(&ours, record());
    let copies = || async { producer.high_watermarks("retry").await.expect("asked")[&0] };
    let begun = std::time::Instant::now();
    while copies().await == 0 {
        assert!(begun.elapsed() < LIMIT, "no copy");
        tokio::task::yield_now().await;
    }
    stop(landing).await;
    assert!(wait(&answer).is_err(), "nothing is acknowledged");
    // What could land has landed, and the record has not been passed.
    assert_eq!((db.number(ORDERS).await, db.number(LETTERS).await), (198, 0));
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 0);

    // The next owner reads the same log from the database's offset.
    let consumer = producer.consumer(TOPIC, 0);
    let landing = spawn(config, &db.store, &ours, consumer);
    assert_eq!(wait(&forward(&ours, record())), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.duplicates.get(),
            metrics.moved.total()
        ),
        (0, 198, 2)
    );
    assert_eq!((db.number(ORDERS).await, db.number(SOLD).await), (198, 198));
    assert_eq!(records(&mut retry).len(), 2, "a copy more, of one order");
    let places = "SELECT CAST(SUM(position) * 10 + COUNT(*) AS SIGNED) FROM dead_letters WHERE `offset` = 0";
    assert_eq!(db.number(places).await, 52);
    assert_eq!(db.store.offsets(TOPIC).await.expect("read")[&0], 1);
}

async fn orders_that_cannot_be_read_stay_with_their_header(db: Database) {
    sale(&db.store, 1000).await;
    let (producer, consumer) = embedded::pair(0);
    let mut dead = producer.consumer(DEAD_LETTER_TOPIC, 0);
    let landing = spawn(quick(), &db.store, &producer, consumer);
    let here = stored(40);
    let mut orders = payloads(&users(0..3), &here, None);
    orders[1].truncate(12);
    let mut newer = packed(&here, &orders);
    newer[0] = 3;
    let mut cut = packed(&here, &orders);
    cut.truncate(60);
    let sent = vec![
        to_orders(packed(&here, &orders)),
        to_orders(newer),
        to_orders(cut.clone()),
    ];
    assert_eq!(wait(&forward(&producer, sent)), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!((metrics.confirmed.get(), metrics.moved.total()), (2, 3));
    let kept = |offset: i64, position: i64, class: &str| {
        format!(
            "{LETTERS} WHERE `offset` = {offset} AND position = {position} AND class = '{class}' AND order_id IS NULL"
        )
    };
    for (offset, position, class) in [
        (0, 1, "undecodable"),
        (1, 0, "unknown-version"),
        (2, 0, "undecodable"),
    ] {
        assert_eq!(
            db.number(&kept(offset, position, class)).await,
            1,
            "{offset} {class}"
        );
    }
    let letters = records(&mut dead);
    let alone = record::decode(&letters[0].payload).expect("a record");
    assert_eq!(
        (alone.payloads, alone.header.first),
        (vec![orders[1].as_slice()], 41)
    );
    assert_eq!(letters[2].payload, cut);
    assert_eq!(origin::attempts(&letters[0].headers), 1);
}
