//! The form of records: what campaigns are made with, who knows it, and the step to a newer one.

use rushgate::campaign::{Campaign, RecordVersion};
use rushgate::store::Sender;

use super::*;

testkit::on_both!(
    a_deployment_without_campaigns_begins_with_the_newest,
    a_campaign_goes_over_under_a_new_epoch,
    processes_that_say_nothing_of_it_are_of_an_older_build,
);

async fn a_deployment_without_campaigns_begins_with_the_newest(db: Database) {
    assert_eq!(db.store.record_version().await, Ok(RecordVersion::V2));
    // One that had campaigns when it was migrated.
    db.execute("DELETE FROM record_versions").await;
    assert_eq!(db.store.record_version().await, Ok(RecordVersion::V1));
    for _ in 0..2 {
        db.store
            .decide_record_version(RecordVersion::V2, NOW)
            .await
            .expect("decided");
    }
    assert_eq!(db.store.record_version().await, Ok(RecordVersion::V2));
}

async fn a_campaign_goes_over_under_a_new_epoch(db: Database) {
    let (by_key, spread) = (
        campaign("by-key", &[("mug", 5)]),
        Campaign {
            partitions: Some(12),
            ..campaign("spread", &[("mug", 5)])
        },
    );
    for (new, partitions) in [(by_key, 7), (spread, 12)] {
        let inserted = db.store.insert_campaign(&new, &revision(&new.id)).await;
        inserted.expect("stored");
        let row = db.store.campaign(&new.id).await.expect("asked").expect("there");
        assert_eq!(row.campaign.record_version, RecordVersion::V1);
        let raise = || {
            db.store
                .raise_record_version(&row, RecordVersion::V2, 7, NOW, Vec::new())
        };
        assert_eq!(
            raise().await.expect("raised").map(|activation| activation.epoch),
            Some(2)
        );
        assert_eq!(raise().await, Ok(None), "the row is of another epoch");
        let over = db.store.campaign(&new.id).await.expect("asked").expect("there");
        assert_eq!((over.activation.epoch, over.activation.revision), (2, 1));
        assert_eq!(over.campaign.record_version, RecordVersion::V2);
        assert_eq!(over.campaign.partitions, Some(partitions), "{}", new.id);
    }
    db.execute("UPDATE campaigns SET record_version = 3 WHERE campaign_id = 'spread'")
        .await;
    let later = db
        .store
        .campaign("spread")
        .await
        .expect_err("of a later build")
        .to_string();
    assert!(
        later.contains("\"spread\": its orders travel in records of version 3"),
        "{later}"
    );
}

async fn processes_that_say_nothing_of_it_are_of_an_older_build(db: Database) {
    let sender = Sender {
        process: "new".to_owned(),
        name: "rushgate lander on a, process 1".to_owned(),
        keys: vec!["k".to_owned()],
    };
    db.store.note_sender(&sender, false, NOW).await.expect("noted");
    assert_eq!(db.store.senders_below(RecordVersion::V2).await, Ok(Vec::new()));
    for key in ["a", "b"] {
        db.execute(&format!(
            "INSERT INTO seal_senders (process, key_id, name, seals, stopped, seen_at) \
             VALUES ('old', '{key}', 'rushgate gateway on b, process 7', 1, 0, '2026-11-20 12:00:00.000')"
        ))
        .await;
    }
    let older = db.store.senders_below(RecordVersion::V2).await.expect("asked");
    let names: Vec<&str> = older.iter().map(|sender| sender.name.as_str()).collect();
    assert_eq!(names, ["rushgate gateway on b, process 7"]);
}
