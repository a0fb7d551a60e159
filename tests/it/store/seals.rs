//! Keys of seals and the cut-over, as the database keeps them.

use rushgate::seal::Key;
use rushgate::store::{CutOver, Sender, StoreError, WITHOUT_SEAL};
use testkit::database::{Database, NOW, TOPIC};
use testkit::on_both;

on_both!(
    a_key_has_one_secret_and_stays_retired,
    a_cut_over_only_ever_comes_earlier,
    senders_are_listed_by_what_they_use,
    what_has_ended_is_announced_retired_or_decided,
);

fn key(id: &str, fill: u8) -> Key {
    Key::new(id.parse().expect("an id"), &[fill; 32]).expect("a key")
}

async fn a_key_has_one_secret_and_stays_retired(db: Database) {
    for _ in 0..2 {
        db.store.use_seal_key(&key("a", 1), NOW).await.expect("noted");
    }
    let refused = |error: StoreError, why: &str| {
        let conflict = matches!(&error, StoreError::Conflict(text) if text.contains(why));
        assert!(conflict, "{error}");
    };
    let other = db.store.use_seal_key(&key("a", 2), NOW + 1).await;
    refused(other.expect_err("another secret"), "another secret");
    assert!(db.store.retire_seal_key("a", NOW + 2, &[]).await.expect("asked"));
    assert!(db.store.retire_seal_key("a", NOW + 3, &[]).await.expect("asked"));
    assert!(!db.store.retire_seal_key("never", NOW, &[]).await.expect("asked"));
    refused(
        db.store
            .use_seal_key(&key("a", 1), NOW + 4)
            .await
            .expect_err("retired"),
        "is retired",
    );
    let keys = db.store.seal_keys().await.expect("read");
    assert_eq!((keys[0].first_used_at, keys[0].retired_at), (NOW, Some(NOW + 2)));
    assert_eq!(
        (keys.len(), keys[0].check_value.clone()),
        (1, key("a", 1).check_value())
    );
}

async fn a_cut_over_only_ever_comes_earlier(db: Database) {
    assert_eq!(db.store.cut_over().await.expect("read"), None);
    let at = |partition: i32, offset: i64| ((TOPIC.to_owned(), partition), offset);
    let decide = async |from: &[((String, i32), i64)]| -> CutOver {
        let from = from.iter().cloned().collect();
        db.store.decide_cut_over(&from, NOW, &[]).await.expect("decided")
    };
    decide(&[at(0, 10), at(1, 20)]).await;
    let later = decide(&[at(0, 99), at(1, 5), at(2, 7)]).await;
    assert_eq!(
        later.from,
        [at(0, 10), at(1, 5)].into(),
        "partition 2 is sealed from its first record on"
    );
    assert!(!later.covers(TOPIC, 0, 9) && later.covers(TOPIC, 0, 10));
    assert!(later.covers(TOPIC, 2, 0) && later.covers("another", 0, 0));
    assert_eq!(db.store.cut_over().await.expect("read"), Some(later));
}

fn sender(process: &str, keys: &[&str]) -> Sender {
    Sender {
        process: process.to_owned(),
        name: format!("gateway {process}"),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    }
}

async fn senders_are_listed_by_what_they_use(db: Database) {
    let store = &db.store;
    let note = async |process, keys: &[&str], stopped, now| {
        let noted = store.note_sender(&sender(process, keys), stopped, now).await;
        noted.expect("noted");
    };
    // (process, seals, stopped, seen at)
    let listed = async |key: &str| {
        let rows = store.senders(key).await.expect("read");
        let row = |row: rushgate::store::SenderRow| (row.process, row.seals, row.stopped, row.seen_at);
        rows.into_iter().map(row).collect::<Vec<_>>()
    };
    note("p", &[], false, NOW).await;
    note("q", &["b", "a"], false, NOW).await;
    note("r", &["a"], false, NOW + 1).await;
    assert_eq!(listed(WITHOUT_SEAL).await, [("p".to_owned(), true, false, NOW)]);
    let (q, r) = ("q".to_owned(), "r".to_owned());
    assert_eq!(listed("b").await, [(q.clone(), true, false, NOW)]);
    assert_eq!(
        listed("a").await,
        [(q.clone(), false, false, NOW), (r.clone(), true, false, NOW + 1)]
    );
    let all = store.all_senders().await.expect("read");
    let all: Vec<(&str, &str)> = all
        .iter()
        .map(|row| (row.process.as_str(), row.key.as_str()))
        .collect();
    assert_eq!(all, [("p", WITHOUT_SEAL), ("q", "b"), ("q", "a"), ("r", "a")]);
    note("r", &["a"], true, NOW + 2).await;
    assert_eq!(listed("a").await[1], (r, true, true, NOW + 2));
    store.forget_senders_before(NOW + 1).await.expect("forgotten");
    assert_eq!((listed("b").await.len(), listed("a").await.len()), (0, 1));
    store.forget_sender("r").await.expect("forgotten");
    assert!(listed("a").await.is_empty());
}

async fn what_has_ended_is_announced_retired_or_decided(db: Database) {
    let store = &db.store;
    let ended = async || Vec::from_iter(store.ended_seals().await.expect("read"));
    assert!(ended().await.is_empty());
    for id in ["a", "b"] {
        store.use_seal_key(&key(id, 1), NOW).await.expect("noted");
    }
    store.retire_seal_key("a", NOW, &[]).await.expect("retired");
    for _ in 0..2 {
        store.announce_end("b", NOW).await.expect("announced");
    }
    assert_eq!(ended().await, ["a", "b"]);
    store
        .decide_cut_over(&[].into(), NOW, &[])
        .await
        .expect("decided");
    assert_eq!(ended().await, [WITHOUT_SEAL, "a", "b"]);
}
