//! Pauses of a campaign, one behind the other, and its title.

use rushgate::campaign::{Pause, Paused};
use rushgate::store::CampaignEdit;
use rushgate::store::PauseRow;

use super::*;

testkit::on_both!(
    a_campaign_begins_without_a_pause_and_keeps_the_last_one,
    of_two_that_come_behind_the_same_pause_one_is_kept,
    a_title_is_changed_and_nothing_else,
);

fn on(number: u64, resume_at: Option<i64>, note: Option<&str>) -> PauseRow {
    PauseRow {
        pause: Pause {
            number,
            paused: Some(Paused { resume_at }),
        },
        since: Some(NOW),
        note: note.map(str::to_owned),
    }
}

fn off(number: u64) -> PauseRow {
    PauseRow {
        pause: Pause { number, paused: None },
        ..PauseRow::default()
    }
}

async fn stored(db: &Database, id: &str) {
    let inserted = db
        .store
        .insert_campaign(&campaign(id, &[("mug", 5)]), &revision(id))
        .await;
    inserted.expect("stored");
}

async fn pause(db: &Database, id: &str) -> PauseRow {
    let row = db.store.campaign(id).await.expect("asked");
    row.expect("there").pause
}

async fn a_campaign_begins_without_a_pause_and_keeps_the_last_one(db: Database) {
    stored(&db, "spring").await;
    stored(&db, "other").await;
    assert_eq!(pause(&db, "spring").await, PauseRow::default());
    let rows = [
        on(1, None, None),
        off(2),
        on(3, Some(NOW + 1), Some("der Preis stimmt nicht: 1 € “zu wenig”")),
        on(4, None, Some("")),
    ];
    for (seen, row) in (0..).zip(&rows) {
        let kept = db.store.insert_pause_after("spring", seen, row, &[]).await;
        assert_eq!(kept, Ok(true));
        assert_eq!(pause(&db, "spring").await, *row);
    }
    // Lists have it, too.
    let live = db.store.live_campaigns(NOW).await.expect("asked");
    let spring = live.iter().find(|row| row.campaign.id == "spring");
    assert_eq!(spring.map(|row| &row.pause), Some(&rows[3]));
    assert_eq!(pause(&db, "other").await, PauseRow::default());
    let nowhere = db.store.insert_pause_after("nowhere", 0, &rows[0], &[]).await;
    assert_eq!(nowhere, Ok(false));
}

async fn of_two_that_come_behind_the_same_pause_one_is_kept(db: Database) {
    stored(&db, "spring").await;
    for round in 0..10 {
        let (first, second) = (on(round + 1, None, Some("one")), on(round + 1, None, Some("two")));
        let both = [&first, &second].map(|row| db.store.insert_pause_after("spring", round, row, &[]));
        let [one, two] = both;
        let (one, two) = tokio::join!(one, two);
        let (one, two) = (one.expect("written"), two.expect("written"));
        assert!(one != two, "round {round}: {one} and {two}");
        assert_eq!(pause(&db, "spring").await, *(if one { &first } else { &second }));
    }
}

async fn a_title_is_changed_and_nothing_else(db: Database) {
    stored(&db, "spring").await;
    stored(&db, "other").await;
    let before = db.store.campaign("spring").await.expect("asked").expect("there");
    let edit = CampaignEdit {
        title: Some("Frühling!".to_owned()),
        ..CampaignEdit::default()
    };
    db.store
        .edit_campaign("spring", &edit, &[])
        .await
        .expect("written");
    let mut after = db.store.campaign("spring").await.expect("asked").expect("there");
    assert_eq!(after.campaign.title, "Frühling!");
    after.campaign.title = before.campaign.title.clone();
    assert_eq!(after, before);
    let other = db.store.campaign("other").await.expect("asked").expect("there");
    assert_ne!(other.campaign.title, "Frühling!");
}
