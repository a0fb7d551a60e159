//! The history of a campaign, and activations that are compared first.

use rushgate::audit::AuditLine;
use rushgate::store::{ActivationRow, StoreError};
use serde_json::json;
use testkit::on_both;

use testkit::database::{Database, NOW, revision, sale};

on_both!(
    an_activation_is_appended_only_to_the_epoch_it_was_compared_with,
    the_history_comes_newest_first,
);

async fn an_activation_is_appended_only_to_the_epoch_it_was_compared_with(db: Database) {
    sale(&db.store, 5).await;
    db.store
        .insert_revision(&revision("spring"), Vec::new())
        .await
        .expect("stored");
    let after = async |revision, seen| {
        db.store
            .insert_activation_after("spring", revision, seen, NOW)
            .await
    };
    let first = after(2, 1)
        .await
        .expect("activated")
        .expect("nobody came between");
    assert_eq!((first.epoch, first.revision), (2, 2));
    let late = after(1, 1).await.expect("answered");
    assert_eq!(late, None, "somebody came between");
    assert_eq!(db.store.activation("spring").await.expect("asked"), Some(first));
    let none = after(9, 2).await;
    assert!(matches!(none, Err(StoreError::Conflict(_))), "{none:?}");

    // Of many that have seen the same epoch, one wins.
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let store = db.store.clone();
            tokio::spawn(async move { store.insert_activation_after("spring", 1, 2, NOW).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        let appended = task.await.expect("runs").expect("answered");
        won += usize::from(appended.is_some());
    }
    assert_eq!(won, 1);
}

async fn the_history_comes_newest_first(db: Database) {
    sale(&db.store, 5).await;
    for _ in 0..2 {
        db.store
            .insert_revision(&revision("spring"), Vec::new())
            .await
            .expect("stored");
    }
    let numbers = async |before, limit| {
        let numbers = db.store.revision_numbers("spring", before, limit).await;
        numbers.expect("listed")
    };
    assert_eq!(numbers(None, 2).await, [3, 2]);
    assert_eq!(numbers(Some(2), 2).await, [1]);
    let active = testkit::database::activate(&db.store, "spring", 3, NOW + 7)
        .await
        .expect("activated");
    let rows = db.store.activations("spring", 1).await.expect("listed");
    assert_eq!(
        rows,
        [ActivationRow {
            activation: active,
            at: NOW + 7
        }]
    );
    for (at, revision) in [(NOW, 2), (NOW + 1, 3)] {
        let detail = json!({"revision": revision});
        db.store
            .audit(&[AuditLine::new(at, "ops", "revision.create", "spring", detail)])
            .await
            .expect("stored");
    }
    let lines = db.store.audited("spring", 10).await.expect("listed");
    let lines: Vec<_> = lines
        .iter()
        .map(|line| (line.at, line.actor.as_str(), &line.detail["revision"]))
        .collect();
    assert_eq!(lines, [(NOW + 1, "ops", &json!(3)), (NOW, "ops", &json!(2))]);
    assert_eq!(db.store.audited("autumn", 10).await.expect("listed"), []);
}
