//! Changes under an `Idempotency-Key`: each has one id, one taker at a time, and one answer.

use rushgate::store::{OperationKey, OperationRow};
use testkit::on_both;

use testkit::database::{Database, NOW};

on_both!(
    a_key_has_one_operation_and_one_answer,
    keys_are_compared_byte_by_byte
);

fn asked(id: &str) -> OperationRow {
    OperationRow {
        id: id.to_owned(),
        kind: "campaign.pause".to_owned(),
        asked: "digest".to_owned(),
        answer: None,
    }
}

fn under(key: &str) -> OperationKey<'_> {
    OperationKey {
        campaign: "spring",
        key,
    }
}

async fn a_key_has_one_operation_and_one_answer(db: Database) {
    let store = &db.store;
    let begin = async |id| {
        store
            .begin_operation(under("k"), asked(id), NOW)
            .await
            .expect("begun")
    };
    let take = async |id, now| {
        store
            .take_operation(under("k"), id, now, 10)
            .await
            .expect("asked")
    };
    assert_eq!(begin("first").await, asked("first"));
    assert_eq!(begin("second").await, asked("first"), "the same one");
    assert!(take("first", NOW).await);
    assert!(!take("first", NOW + 9).await, "somebody is at it");
    assert!(take("first", NOW + 10).await, "whoever was at it is given up");
    store.leave_operation(under("k"), "first").await.expect("left");
    assert!(take("first", NOW).await);
    assert!(!take("second", NOW + 99).await, "there is no such one");
    store
        .end_operation(under("k"), "first", "{}")
        .await
        .expect("ended");
    let done = OperationRow {
        answer: Some("{}".to_owned()),
        ..asked("first")
    };
    assert_eq!(begin("third").await, done);
    assert!(!take("first", NOW + 99).await, "it is done");
    store.forget_operation(under("k"), "first").await.expect("asked");
    assert_eq!(begin("third").await, done, "what is done is not forgotten");
}

async fn keys_are_compared_byte_by_byte(db: Database) {
    for (key, id) in [("k", "1"), ("K", "2"), ("k ", "3")] {
        let begun = db.store.begin_operation(under(key), asked(id), NOW).await;
        assert_eq!(begun.expect("begun").id, id);
    }
    db.store
        .forget_operation(under("k"), "1")
        .await
        .expect("forgotten");
    let again = db.store.begin_operation(under("k"), asked("4"), NOW).await;
    assert_eq!(again.expect("begun").id, "4");
}
