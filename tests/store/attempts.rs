//! The recorded sample over both databases.

use std::collections::BTreeSet;

use rushgate::campaign::RETENTION_MS;
use rushgate::order::{Attempt, OrderId};
use rushgate::recorded::{HALVINGS_MAX, Recorded, is_sampled, user_hash};
use rushgate::store::{SampleRow, Store};

use super::database::{self, Database, NOW, sale};
use crate::on_both;

on_both!(
    attempts_come_back_by_moment_and_then_by_arrival,
    the_share_of_buyers_halves_and_whole_histories_stay,
    gateways_that_write_at_once_keep_the_same_buyers,
    what_was_dropped_is_counted,
    a_sample_is_deleted_with_its_campaigns_retention,
);

const CAMPAIGN: &str = "spring";

fn attempt(user: &str, number: u32, at: i64) -> Recorded {
    Recorded {
        at,
        attempt: Attempt {
            order: OrderId::keyed(CAMPAIGN, user, &number.to_string()),
            user: user.to_owned(),
            sku: "shoe".to_owned(),
            quantity: 1 + number,
            attributes: Default::default(),
        },
        revision: Some(1),
        outcome: Some("admitted".to_owned()),
    }
}

/// Everything a reader sees, in pages of three.
async fn read(store: &Store, end: i64) -> Vec<Recorded> {
    let halvings = store.sample(CAMPAIGN).await.expect("asked").halvings;
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (page, last) = store
            .attempts_page(CAMPAIGN, halvings, after, end, 3)
            .await
            .expect("a page");
        all.extend(page);
        match last {
            Some(_) => after = last,
            None => return all,
        }
    }
}

async fn attempts_come_back_by_moment_and_then_by_arrival(db: Database) {
    let mut first = attempt("ada", 0, NOW + 5);
    first.attempt.attributes = [("client:device".to_owned(), "ü 1".to_owned())].into();
    let mut refused = attempt("Ada", 1, NOW + 5);
    refused.outcome = Some("n-per-user/limit-per-user".to_owned());
    refused.revision = Some(7);
    let early = attempt("ada ", 2, NOW);
    let (late, later) = (attempt("bob", 3, NOW + 5), attempt("eve", 4, NOW + 6));
    let written = [first, refused, early, late, later];
    db.store
        .insert_attempts(CAMPAIGN, &written, 0, 100)
        .await
        .expect("written");
    let end = db.store.attempts_end().await.expect("asked");
    db.store
        .insert_attempts(CAMPAIGN, &[attempt("zoe", 5, NOW)], 0, 100)
        .await
        .expect("written");
    let [first, refused, early, late, later] = written;
    assert_eq!(
        read(&db.store, end).await,
        [early, first, refused, late, later],
        "and not what arrived after the end"
    );
    assert_eq!(read(&db.store, i64::MAX).await.len(), 6);
    let sample = db.store.sample("another").await.expect("asked");
    assert_eq!(sample, SampleRow::default());
}

async fn the_share_of_buyers_halves_and_whole_histories_stay(db: Database) {
    let (users, most) = (120, 100);
    for round in 0..5 {
        let attempts: Vec<Recorded> = (0..users)
            .map(|user| attempt(&format!("user-{user}"), round, NOW + i64::from(round)))
            .collect();
        let sample = db
            .store
            .insert_attempts(CAMPAIGN, &attempts, 0, most)
            .await
            .expect("written");
        assert!(sample.attempts <= most, "{sample:?}");
        assert_eq!(sample, db.store.sample(CAMPAIGN).await.expect("asked"));
        let kept = read(&db.store, i64::MAX).await;
        assert_eq!(kept.len() as u64, sample.attempts);
        let sampled = |user: &&u32| is_sampled(user_hash(&format!("user-{user}")), sample.halvings);
        let buyers = (0..users).collect::<Vec<u32>>().iter().filter(sampled).count();
        assert_eq!(
            kept.len(),
            buyers * (round as usize + 1),
            "every buyer of the sample from the first attempt on, at {sample:?}"
        );
    }
    let sample = db.store.sample(CAMPAIGN).await.expect("asked");
    assert!((3..HALVINGS_MAX).contains(&sample.halvings), "{sample:?}");
    let rows = db.number("SELECT COUNT(*) FROM attempts").await;
    assert_eq!(rows as u64, sample.attempts, "the others are deleted");
}

async fn gateways_that_write_at_once_keep_the_same_buyers(db: Database) {
    let other = database::connect(&db.url).await;
    let write = async |store: &Store, gateway: u32| {
        for round in 0..10 {
            let number = gateway * 10 + round;
            let attempts: Vec<Recorded> = (0..40)
                .map(|user| attempt(&format!("user-{user}"), number, NOW + i64::from(number)))
                .collect();
            let written = store.insert_attempts(CAMPAIGN, &attempts, 1, 150).await;
            written.expect("written");
        }
    };
    tokio::join!(write(&db.store, 0), write(&other, 1));
    let sample = db.store.sample(CAMPAIGN).await.expect("asked");
    let kept = read(&other, i64::MAX).await;
    assert_eq!(kept.len() as u64, sample.attempts);
    assert_eq!(sample.dropped, 20);
    let buyers: BTreeSet<&str> = kept.iter().map(|row| row.attempt.user.as_str()).collect();
    assert!(!buyers.is_empty());
    assert_eq!(kept.len(), buyers.len() * 20, "whole histories from both");
}

async fn what_was_dropped_is_counted(db: Database) {
    for dropped in [3, 0, 4] {
        db.store
            .insert_attempts(CAMPAIGN, &[], dropped, 10)
            .await
            .expect("written");
    }
    let expected = SampleRow {
        dropped: 7,
        ..SampleRow::default()
    };
    assert_eq!(db.store.sample(CAMPAIGN).await.expect("asked"), expected);
}

async fn a_sample_is_deleted_with_its_campaigns_retention(db: Database) {
    sale(&db.store, 10).await;
    let closes_at = database::revision(CAMPAIGN).schedule.closes_at;
    db.store
        .insert_attempts(CAMPAIGN, &[attempt("ada", 0, NOW), attempt("bob", 0, NOW)], 0, 10)
        .await
        .expect("written");
    let forget = async |now: i64| {
        let deleted = db.store.forget_attempts(now).await;
        deleted.expect("asked")
    };
    assert_eq!(forget(closes_at + RETENTION_MS - 1).await, 0);
    assert_eq!(forget(closes_at + RETENTION_MS).await, 2);
    assert_eq!(forget(closes_at + RETENTION_MS).await, 0);
    assert_eq!(
        db.store.sample(CAMPAIGN).await.expect("asked"),
        SampleRow::default()
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM attempts").await, 0);
}
