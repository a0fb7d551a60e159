//! Rows of dead letters: each record that was moved has its own, whatever stands at its place.

use rushgate::order::OrderEvent;
use rushgate::record::{At, DeadRecord, LandingSlice, LetterId};
use rushgate::store::{DeadLetter, Discarded, LetterFilter, Stage};
use serde_json::json;
use testkit::database::{Database, NOW, TOPIC, order, sale, slice};

testkit::on_both!(
    letters_of_a_topic_made_anew_get_rows_of_their_own,
    nonsense_of_a_topic_made_anew_gets_rows_of_its_own,
    nonsense_below_the_stored_offset_gets_its_row,
    a_planted_row_swallows_no_letter_that_comes_later,
    a_failing_copy_leaves_the_payload_as_it_was,
    no_record_claims_a_place_that_no_log_has,
);

const RETRY: &str = "rushgate.orders.retry.5s";

fn refused(offset: i64, order: &OrderEvent, recorded_at: i64) -> DeadRecord {
    DeadRecord {
        at: offset.into(),
        key: order.key().into_bytes(),
        payload: order.encode(),
        class: "refused",
        error: "no".to_owned(),
        attempts: 1,
        order: Some(order.clone()),
        holds: true,
        recorded_at: Some(recorded_at),
        ..DeadRecord::default()
    }
}

fn nonsense(offset: i64, payload: &[u8], recorded_at: i64) -> DeadRecord {
    DeadRecord {
        at: offset.into(),
        key: b"k".to_vec(),
        payload: payload.to_vec(),
        class: "undecodable",
        error: "no order".to_owned(),
        attempts: 1,
        recorded_at: Some(recorded_at),
        ..DeadRecord::default()
    }
}

fn at(offset: i64) -> LetterId {
    LetterId {
        topic: TOPIC.to_owned(),
        partition: 0,
        offset,
        position: 0,
    }
}

/// Moves records away that were read one after the other.
async fn bury(db: &Database, topic: &str, dead: Vec<DeadRecord>) {
    let (from, next) = (dead[0].at.offset, dead[dead.len() - 1].at.offset + 1);
    let buried = LandingSlice {
        from,
        next,
        dead,
        ..slice(0, from, Vec::new())
    };
    db.store.land(topic, &[buried], NOW).await.expect("moved");
}

/// As it is where a log was rewritten, or is to be read again.
async fn from_the_beginning(db: &Database) {
    let sql = format!("UPDATE landing_offsets SET next_offset = 0 WHERE topic = '{TOPIC}'");
    db.execute(&sql).await;
}

async fn letters(db: &Database, stage: Stage) -> Vec<DeadLetter> {
    let filter = LetterFilter {
        stages: vec![stage],
        ..LetterFilter::default()
    };
    db.store.dead_letters(&filter, None, 100).await.expect("read")
}

async fn give_up(db: &Database, letter: &DeadLetter) {
    let (store, why) = (&db.store, json!({}));
    let given_up = store.discard_dead_letter(NOW, "ops", letter, &why, false);
    assert_eq!(given_up.await.expect("discarded"), Discarded::GivenUp);
}

/// Lands orders whose headers say where they were first.
async fn land_returned(db: &Database, from: i64, returned: Vec<(OrderEvent, LetterId)>) {
    let (orders, origins): (Vec<_>, Vec<_>) = returned.into_iter().unzip();
    let back = LandingSlice {
        returned: (from..).map(At::from).zip(origins).collect(),
        ..slice(0, from, orders)
    };
    db.store.land(RETRY, &[back], NOW).await.expect("landed");
}

async fn letters_of_a_topic_made_anew_get_rows_of_their_own(db: Database) {
    sale(&db.store, 100).await;
    let orders = |key: &str| -> Vec<OrderEvent> { (0..12).map(|n| order(&format!("u{n}"), key)).collect() };
    let (old, new) = (orders("old"), orders("new"));
    let dead = |orders: &[OrderEvent], moment| -> Vec<DeadRecord> {
        let records = (0..).zip(orders);
        records
            .map(|(offset, order)| refused(offset, order, moment))
            .collect()
    };
    bury(&db, TOPIC, dead(&old, NOW)).await;
    // Six have landed since, and six may yet.
    let landed = (0..6).map(|n| (old[n as usize].clone(), at(n))).collect();
    land_returned(&db, 0, landed).await;
    from_the_beginning(&db).await;
    bury(&db, TOPIC, dead(&new, NOW + 5)).await;
    assert_eq!(letters(&db, Stage::Landed).await.len(), 6);
    let open = letters(&db, Stage::Dead).await;
    let of_new = |letter: &&DeadLetter| {
        let id = letter.order.as_deref();
        new.iter()
            .any(|order| id == Some(order.order.to_string().as_str()))
    };
    let beside: Vec<&DeadLetter> = open.iter().filter(of_new).collect();
    assert_eq!((open.len(), beside.len()), (18, 12));

    // Read once more, they have their rows, and landing knows that they were moved.
    from_the_beginning(&db).await;
    bury(&db, TOPIC, dead(&new, NOW + 5)).await;
    let read = db.store.land(TOPIC, &[slice(0, 0, new.clone())], NOW).await;
    assert_eq!(read.expect("read").recovered, 0);
    let again = letters(&db, Stage::Dead).await;
    assert_eq!(again.len(), 18);
    assert_eq!(again.iter().filter(|letter| letter.attempts == 2).count(), 12);

    // A copy that names the place where it was read finds its row, as does a replay that names the letter.
    land_returned(&db, 6, vec![(new[0].clone(), at(0)), (new[7].clone(), at(7))]).await;
    let id = |order: &OrderEvent| {
        let id = Some(order.order.to_string());
        let letter = beside.iter().find(|letter| letter.order == id).expect("there");
        letter.origin.to_string().parse::<LetterId>().expect("an id")
    };
    land_returned(&db, 8, vec![(new[8].clone(), id(&new[8]))]).await;
    for order in [&new[0], &new[7], &new[8]] {
        let letter = db
            .store
            .dead_letter(&id(order))
            .await
            .expect("read")
            .expect("there");
        assert_eq!(letter.stage, Stage::Landed);
    }
    assert_eq!(letters(&db, Stage::Landed).await.len(), 9);
    let other = db.store.dead_letter(&at(7)).await.expect("read").expect("there");
    assert_eq!(
        other.stage,
        Stage::Dead,
        "the order of the old topic has not landed"
    );

    // One that fails again does so in its own row; one that is given up is.
    let mut copy = refused(0, &new[9], NOW + 5);
    copy.origin = Some(at(9));
    copy.attempts = 7;
    bury(&db, "rushgate.orders.retry.9s", vec![copy]).await;
    let letter = db
        .store
        .dead_letter(&id(&new[9]))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(letter.attempts, 7);
    give_up(&db, &letter).await;
    assert_eq!(letters(&db, Stage::Discarded).await.len(), 1);
    assert_eq!(db.number("SELECT COUNT(*) FROM dead_letters").await, 24);
}

async fn nonsense_of_a_topic_made_anew_gets_rows_of_its_own(db: Database) {
    let dead = |payload: &[u8], moment| (0..3).map(|n| nonsense(n, payload, moment)).collect();
    bury(&db, TOPIC, dead(b"{", NOW)).await;
    db.execute("UPDATE dead_letters SET stage = 'discarded'").await;
    // The same bytes again, twice, and others; then the log is read once more.
    for (payload, moment) in [(b"{", NOW + 1), (b"{", NOW + 2), (b"[", NOW + 3), (b"[", NOW + 3)] {
        from_the_beginning(&db).await;
        bury(&db, TOPIC, dead(payload, moment)).await;
    }
    assert_eq!(letters(&db, Stage::Discarded).await.len(), 3);
    let open = letters(&db, Stage::Dead).await;
    assert_eq!(open.len(), 9);
    assert_eq!(open.iter().filter(|letter| letter.attempts == 2).count(), 3);
}

/// The topic was made anew, and nobody has set the offset back.
async fn nonsense_below_the_stored_offset_gets_its_row(db: Database) {
    sale(&db.store, 100).await;
    let ada = order("ada", "1");
    bury(&db, TOPIC, vec![nonsense(0, b"{", NOW)]).await;
    let old = slice(0, 1, vec![ada.clone(), order("bob", "1")]);
    assert_eq!(
        db.store.land(TOPIC, &[old], NOW).await.expect("landed").confirmed,
        2
    );
    let next = "SELECT next_offset FROM landing_offsets";
    assert_eq!(db.number(next).await, 3);
    let buried = |dead: Vec<DeadRecord>| LandingSlice {
        next: 2,
        dead,
        ..slice(0, 0, Vec::new())
    };
    // Whoever reads again what has its row, or of an order that has landed since, is sent on.
    let known = buried(vec![nonsense(0, b"{", NOW), refused(1, &ada, NOW)]);
    let answer = db.store.land(TOPIC, &[known], NOW).await.expect("compared");
    assert_eq!((answer.fenced[&0], answer.dead, answer.recovered), (3, 0, 0));
    // What comes in the new log gets its own, and its partition goes on behind it; once.
    let new = buried(vec![
        nonsense(0, b"[", NOW + 9),
        refused(1, &order("eve", "1"), NOW + 9),
    ]);
    for recovered in [2, 0] {
        let answer = db.store.land(TOPIC, std::slice::from_ref(&new), NOW).await;
        let answer = answer.expect("compared");
        assert_eq!(answer.recovered, recovered);
        assert_eq!(
            (db.number(next).await, letters(&db, Stage::Dead).await.len()),
            (2, 3)
        );
    }
}

async fn a_planted_row_swallows_no_letter_that_comes_later(db: Database) {
    sale(&db.store, 100).await;
    let (ada, bob) = (order("ada", "1"), order("bob", "1"));
    // Records without a seal say that they stood where nothing has been written yet: the second knows the order.
    let mut planted = [nonsense(0, b"{", 1), refused(1, &bob, 2)];
    let mut forged = bob.clone();
    forged.charges.clear();
    planted[1].payload = forged.encode();
    planted[0].origin = Some(at(5));
    planted[1].origin = Some(at(6));
    bury(&db, RETRY, planted.to_vec()).await;
    db.execute("UPDATE dead_letters SET stage = 'discarded'").await;
    let honest = vec![
        refused(5, &ada, NOW),
        refused(6, &bob, NOW),
        nonsense(7, b"{", NOW),
    ];
    bury(&db, TOPIC, honest).await;
    let open = letters(&db, Stage::Dead).await;
    assert_eq!(open.len(), 3);
    for payload in [ada.encode(), bob.encode(), b"{".to_vec()] {
        assert_eq!(open.iter().filter(|letter| letter.payload == payload).count(), 1);
    }
    let mut copy = refused(2, &bob, NOW);
    copy.origin = Some(at(6));
    bury(&db, RETRY, vec![copy]).await;
    let open = letters(&db, Stage::Dead).await;
    let own = open.iter().find(|letter| letter.payload == bob.encode());
    assert_eq!((open.len(), own.expect("there").attempts), (3, 2));
}

async fn a_failing_copy_leaves_the_payload_as_it_was(db: Database) {
    sale(&db.store, 100).await;
    let ada = order("ada", "1");
    bury(&db, TOPIC, vec![refused(0, &ada, NOW)]).await;
    // The same buyer, SKU and quantity, charged to somebody else.
    let mut other = ada.clone();
    other.charges[0].subject = "eve".to_owned();
    let mut copy = refused(0, &other, NOW);
    (copy.origin, copy.error) = (Some(at(0)), "no again".to_owned());
    bury(&db, RETRY, vec![copy]).await;
    let letter = db.store.dead_letter(&at(0)).await.expect("read").expect("there");
    assert_eq!(
        (letter.error.as_str(), letter.attempts, letter.stage),
        ("no again", 2, Stage::Dead)
    );
    assert_eq!(letter.payload, ada.encode());
    give_up(&db, &letter).await;
    let receipt = db.text("SELECT CAST(receipt AS CHAR) FROM orders").await;
    assert!(receipt.contains("ada") && !receipt.contains("eve"), "{receipt}");
}

async fn no_record_claims_a_place_that_no_log_has(db: Database) {
    let mut claims = nonsense(0, b"{", NOW);
    claims.origin = Some(at(1 << 52));
    bury(&db, TOPIC, vec![claims]).await;
    assert_eq!(letters(&db, Stage::Dead).await[0].origin, at(0));
}
