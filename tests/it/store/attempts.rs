//! The recorded sample over both databases.

use std::collections::BTreeSet;

use rushgate::attempts::DecidedAttempt;
use rushgate::attempts::pieces::{cut, unpack};
use rushgate::attempts::share::{Bounds, HALVINGS_MAX, Share, lot};
use rushgate::campaign::RETENTION_MS;
use rushgate::order::{Attempt, OrderId};
use rushgate::store::{SampleRow, Spooled, Store, StoreError};
use testkit::on_both;

use testkit::database::{self, Database, NOW, sale};

on_both!(
    attempts_come_back_as_they_were_written,
    pieces_are_read_by_moment_in_pages,
    the_share_of_buyers_halves_and_whole_histories_stay,
    the_share_follows_the_rate,
    gateways_that_write_at_once_keep_the_same_buyers,
    several_campaigns_are_written_at_once,
    a_write_that_is_tried_again_is_there_once,
    what_was_dropped_and_skipped_is_counted,
    somebody_without_an_end_does_not_fill_the_database,
    rows_of_the_release_before_are_read_and_narrow_the_share,
    a_sample_is_deleted_with_its_campaigns_retention,
);

const CAMPAIGN: &str = "spring";
const UNBOUND: Bounds = Bounds {
    most: u64::MAX,
    per_second: u64::MAX,
};

fn attempt(user: &str, number: u32, at: i64) -> DecidedAttempt {
    DecidedAttempt {
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

fn most(most: u64) -> Bounds {
    Bounds { most, ..UNBOUND }
}

pub fn spooled(campaign: &str, attempts: &[DecidedAttempt]) -> Spooled {
    Spooled {
        campaign: campaign.to_owned(),
        token: fastrand::i64(0..),
        pieces: cut(campaign, attempts.iter().cloned()),
        skipped: 0,
        dropped: 0,
    }
}

pub async fn write(store: &Store, attempts: &[DecidedAttempt], bounds: Bounds) -> SampleRow {
    let written = store
        .keep_attempts(&[spooled(CAMPAIGN, attempts)], &bounds, false)
        .await;
    written.expect("written")[0]
}

/// Everything that is kept, by moment, arrival and place.
async fn read(store: &Store) -> Vec<DecidedAttempt> {
    let sample = store.sample(CAMPAIGN).await.expect("asked");
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store
            .attempt_pieces(CAMPAIGN, sample.share.halvings, after, sample.arrivals, 3)
            .await
            .expect("a page");
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        for (at, piece) in &page {
            let attempts = unpack(&piece.payload).expect("readable");
            assert_eq!(attempts.len() as u64, piece.attempts);
            all.extend(
                attempts
                    .into_iter()
                    .map(|(place, one)| ((one.at, at.arrival, place), one)),
            );
        }
    }
    all.sort_by_key(|(key, _)| *key);
    all.into_iter().map(|(_, one)| one).collect()
}

async fn attempts_come_back_as_they_were_written(db: Database) {
    let mut first = attempt("ada", 0, NOW + 5);
    first.attempt.attributes = [("client:device".to_owned(), "ü 1".to_owned())].into();
    let mut refused = attempt("Ada", 1, NOW + 5);
    refused.outcome = Some("n-per-user/limit-per-user".to_owned());
    refused.revision = Some(7);
    let early = attempt("ada ", 2, NOW);
    let (late, later) = (attempt("bob", 3, NOW + 5), attempt("eve", 4, NOW + 6));
    let written = [first, refused, early, late, later];
    let sample = write(&db.store, &written, UNBOUND).await;
    assert_eq!(
        (sample.attempts, sample.arrivals, sample.decided()),
        (5, 1, Some(5))
    );
    let [first, refused, early, late, later] = written;
    assert_eq!(read(&db.store).await, [early, first, refused, late, later]);
    write(&db.store, &[attempt("zoe", 5, NOW + 5)], UNBOUND).await;
    let all = read(&db.store).await;
    assert_eq!(
        all[4].attempt.user, "zoe",
        "what arrived later comes later in its moment"
    );
    let before = db
        .store
        .attempt_pieces(CAMPAIGN, 0, None, 1, 100)
        .await
        .expect("read");
    let before: u64 = before.iter().map(|(_, piece)| piece.attempts).sum();
    assert_eq!(before, 5, "and not what arrived after the end");
    let sample = db.store.sample("another").await.expect("asked");
    assert_eq!(sample, SampleRow::default());
}

async fn pieces_are_read_by_moment_in_pages(db: Database) {
    // Each write begins before the one before it, and several pieces begin in one moment.
    for number in (0..6).rev() {
        let attempts: Vec<DecidedAttempt> = (0..8)
            .map(|user| attempt(&format!("user-{user}"), number, NOW + i64::from(number / 2)))
            .collect();
        write(&db.store, &attempts, UNBOUND).await;
    }
    let all = read(&db.store).await;
    assert_eq!(all.len(), 48);
    assert!(all.is_sorted_by_key(|one| one.at));
    let different: BTreeSet<String> = all.iter().map(|one| one.attempt.order.to_string()).collect();
    assert_eq!(different.len(), 48, "each once");
}

async fn the_share_of_buyers_halves_and_whole_histories_stay(db: Database) {
    let users = 120;
    for round in 0..5 {
        let attempts: Vec<DecidedAttempt> = (0..users)
            .map(|user| attempt(&format!("user-{user}"), round, NOW + i64::from(round)))
            .collect();
        let sample = write(&db.store, &attempts, most(100)).await;
        assert!(sample.attempts <= 100, "{sample:?}");
        assert_eq!(sample.decided(), Some(u64::from(users) * u64::from(round + 1)));
        assert_eq!(sample, db.store.sample(CAMPAIGN).await.expect("asked"));
        let kept = read(&db.store).await;
        assert_eq!(kept.len() as u64, sample.attempts);
        let sampled = |user: &u32| sample.share.holds(CAMPAIGN, &format!("user-{user}"));
        let buyers = (0..users).filter(sampled).count();
        assert_eq!(
            kept.len(),
            buyers * (round as usize + 1),
            "every buyer of the sample from the first attempt on, at {sample:?}"
        );
    }
    let sample = db.store.sample(CAMPAIGN).await.expect("asked");
    assert!((2..HALVINGS_MAX).contains(&sample.share.halvings), "{sample:?}");
    let kept = db.number("SELECT COUNT(*) FROM attempt_pieces").await;
    let read = db
        .store
        .attempt_pieces(CAMPAIGN, 0, None, i64::MAX, 1000)
        .await
        .expect("read");
    let left: u64 = read.iter().map(|(_, piece)| piece.attempts).sum();
    assert_eq!(
        (kept as usize, left),
        (read.len(), sample.attempts),
        "the others are deleted"
    );
}

async fn the_share_follows_the_rate(db: Database) {
    let bounds = Bounds {
        most: 1_000_000,
        per_second: 10,
    };
    let second = |number: u32| -> Vec<DecidedAttempt> {
        let at = NOW + 1000 * i64::from(number);
        (0..50)
            .map(|user| attempt(&format!("user-{user}-{number}"), number, at))
            .collect()
    };
    let mut shares = Vec::new();
    for number in 0..60 {
        let sample = write(&db.store, &second(number), bounds).await;
        assert!(sample.attempts <= 10 * (20 + u64::from(number)), "{sample:?}");
        shares.push(sample.share.halvings);
    }
    assert_eq!(shares[..4], [0; 4], "a sale may begin with a rush");
    assert!(shares.is_sorted(), "who is left out stays out: {shares:?}");
    // Fifty a second, of which ten and the head of two hundred are to be kept.
    assert!((2..=3).contains(&shares[59]), "{shares:?}");
    let sample = db.store.sample(CAMPAIGN).await.expect("asked");
    assert_eq!(sample.decided(), Some(3000));
}

async fn gateways_that_write_at_once_keep_the_same_buyers(db: Database) {
    let other = database::connect(&db.url).await;
    let write = async |store: &Store, gateway: u32| {
        for round in 0..10 {
            let number = gateway * 10 + round;
            let attempts: Vec<DecidedAttempt> = (0..40)
                .map(|user| attempt(&format!("user-{user}"), number, NOW + i64::from(number)))
                .collect();
            let mut spooled = spooled(CAMPAIGN, &attempts);
            spooled.dropped = 1;
            let mut again = false;
            while let Err(error) = store
                .keep_attempts(std::slice::from_ref(&spooled), &most(150), again)
                .await
            {
                assert!(error.is_transient(), "{error}");
                again = true;
            }
        }
    };
    tokio::join!(write(&db.store, 0), write(&other, 1));
    let sample = db.store.sample(CAMPAIGN).await.expect("asked");
    let kept = read(&other).await;
    assert_eq!(kept.len() as u64, sample.attempts);
    assert_eq!((sample.dropped, sample.arrivals), (20, 20));
    assert_eq!(sample.decided(), Some(800 + 20));
    let buyers: BTreeSet<&str> = kept.iter().map(|row| row.attempt.user.as_str()).collect();
    assert!(!buyers.is_empty());
    assert_eq!(kept.len(), buyers.len() * 20, "whole histories from both");
}

async fn several_campaigns_are_written_at_once(db: Database) {
    let campaigns: Vec<String> = (0..70).rev().map(|number| format!("sale-{number}")).collect();
    let all: Vec<Spooled> = (1..)
        .zip(&campaigns)
        .map(|(count, campaign)| {
            let attempts: Vec<DecidedAttempt> =
                (0..count).map(|number| attempt("ada", number, NOW)).collect();
            spooled(campaign, &attempts)
        })
        .collect();
    let rows = db
        .store
        .keep_attempts(&all, &most(50), false)
        .await
        .expect("written");
    for ((count, campaign), row) in (1..).zip(&campaigns).zip(rows) {
        assert_eq!(row, db.store.sample(campaign).await.expect("asked"));
        assert_eq!(row.decided(), Some(count), "{campaign}");
        let held = row.share.holds(campaign, "ada");
        assert_eq!(
            (row.attempts, held),
            if count > 50 { (0, false) } else { (count, true) }
        );
    }
}

async fn a_write_that_is_tried_again_is_there_once(db: Database) {
    let attempts: Vec<DecidedAttempt> = (0..40)
        .map(|user| attempt(&format!("user-{user}"), 0, NOW))
        .collect();
    let mut both = [spooled(CAMPAIGN, &attempts), spooled("autumn", &attempts[..3])];
    both[0].skipped = 5;
    let keep = async |spooled: &[Spooled], again| {
        let written = db.store.keep_attempts(spooled, &most(30), again).await;
        written.expect("written")
    };
    // One of them was written by a try whose answer was lost, and has been halved since.
    let first = keep(&both[..1], false).await;
    let second = keep(&both, true).await;
    assert_eq!(second[0], first[0]);
    assert_eq!(first[0].decided(), Some(45));
    assert_eq!(second[1].attempts, 3);
    assert_eq!(keep(&both, true).await, second);
}

async fn what_was_dropped_and_skipped_is_counted(db: Database) {
    for (skipped, dropped) in [(1, 3), (0, 0), (10, 4)] {
        let spooled = Spooled {
            skipped,
            dropped,
            ..spooled(CAMPAIGN, &[])
        };
        db.store
            .keep_attempts(&[spooled], &most(10), false)
            .await
            .expect("written");
    }
    let expected = SampleRow {
        skipped: 11,
        dropped: 7,
        arrivals: 3,
        ..SampleRow::default()
    };
    assert_eq!(db.store.sample(CAMPAIGN).await.expect("asked"), expected);
    // The rate counts from the first attempt.
    let bounds = Bounds {
        most: 1000,
        per_second: 1,
    };
    let attempts: Vec<DecidedAttempt> = (0..40)
        .map(|user| attempt(&format!("user-{user}"), 0, NOW))
        .collect();
    let sample = write(&db.store, &attempts, bounds).await;
    assert!(sample.share.halvings > 0, "{sample:?}");
    let mut far = spooled(CAMPAIGN, &attempts);
    far.pieces.iter_mut().for_each(|piece| piece.first_at = i64::MAX);
    let error = db
        .store
        .keep_attempts(&[far], &UNBOUND, false)
        .await
        .expect_err("refused");
    assert!(matches!(error, StoreError::Refused(_)), "{error}");
}

async fn somebody_without_an_end_does_not_fill_the_database(db: Database) {
    let user = "581138".to_owned();
    assert_eq!(lot(CAMPAIGN, &user).band, HALVINGS_MAX, "one in a million");
    let write = async |number: u32| {
        let attempts: Vec<DecidedAttempt> = (0..4).map(|_| attempt(&user, number, NOW)).collect();
        write(&db.store, &attempts, most(10)).await
    };
    assert_eq!(write(0).await.share, Share::default());
    write(1).await;
    for number in 2..5 {
        let sample = write(number).await;
        let dropped = 4 * u64::from(number - 1);
        assert_eq!(
            (sample.share.halvings, sample.attempts, sample.dropped),
            (HALVINGS_MAX, 8, dropped)
        );
        assert_eq!(read(&db.store).await.len(), 8);
    }
}

/// As the release before wrote it.
pub async fn write_row(db: &Database, recorded: &DecidedAttempt) {
    let DecidedAttempt {
        at,
        attempt,
        outcome,
        revision,
    } = recorded;
    let at = jiff::Timestamp::from_millisecond(*at)
        .expect("a moment")
        .strftime("%Y-%m-%d %H:%M:%S%.3f");
    let (hash, order) = (rushgate::attempts::share::user_hash(&attempt.user), attempt.order);
    let (outcome, revision) = (outcome.as_deref().unwrap_or_default(), revision.unwrap_or(0));
    db.execute(&format!(
        "INSERT INTO attempts (campaign_id, decided_at, order_id, user_id, user_hash, sku_id, quantity, attributes, \
         revision, outcome) VALUES ('{CAMPAIGN}', '{at}', '{order}', '{}', {hash}, '{}', {}, NULL, {revision}, '{outcome}')",
        attempt.user, attempt.sku, attempt.quantity
    ))
    .await;
}

async fn rows_of_the_release_before_are_read_and_narrow_the_share(db: Database) {
    let mut refused = attempt("bob", 1, NOW + 1);
    refused.outcome = Some("sold-out".to_owned());
    let written = [attempt("ada", 0, NOW + 2), refused, attempt("eve", 2, NOW + 2)];
    for recorded in &written {
        write_row(&db, recorded).await;
    }
    db.execute("INSERT INTO samples (campaign_id, halvings, attempts, dropped) VALUES ('spring', 2, 3, 5)")
        .await;
    let end = db.store.attempts_end().await.expect("asked");
    write_row(&db, &attempt("zoe", 3, NOW)).await;
    let (first, last) = db
        .store
        .attempts_page(CAMPAIGN, None, end, 2)
        .await
        .expect("read");
    let (rest, last) = db
        .store
        .attempts_page(CAMPAIGN, last, end, 2)
        .await
        .expect("read");
    let [ada, bob, eve] = written;
    assert_eq!(
        ([first, rest].concat(), last.is_some()),
        (vec![bob, ada, eve], true)
    );
    let (none, last) = db
        .store
        .attempts_page(CAMPAIGN, last, end, 2)
        .await
        .expect("read");
    assert_eq!((none, last), (vec![], None));

    // Pieces beside them: the share is what both hold.
    let attempts: Vec<DecidedAttempt> = (0..40)
        .map(|user| attempt(&format!("user-{user}"), 0, NOW))
        .collect();
    let sample = write(&db.store, &attempts, most(30)).await;
    assert_eq!(
        sample.share,
        Share {
            halvings: 1,
            before: 2
        }
    );
    let shown = db.store.sample(CAMPAIGN).await.expect("asked");
    assert_eq!((shown.share, shown.attempts), (sample.share, sample.attempts + 3));
    assert_eq!(
        (shown.dropped, shown.decided()),
        (5, None),
        "of those left out before, nobody knows"
    );
}

async fn a_sample_is_deleted_with_its_campaigns_retention(db: Database) {
    sale(&db.store, 10).await;
    let closes_at = database::revision(CAMPAIGN).schedule.closes_at;
    let both = [attempt("ada", 0, NOW), attempt("bob", 0, NOW)];
    write(&db.store, &both, UNBOUND).await;
    write_row(&db, &both[0]).await;
    db.execute("INSERT INTO samples (campaign_id, halvings, attempts, dropped) VALUES ('spring', 0, 1, 0)")
        .await;
    let forget = async |now: i64| {
        let deleted = db.store.forget_attempts(now).await;
        deleted.expect("asked")
    };
    // Pieces that a halving left behind go at once.
    db.execute("INSERT INTO attempt_pieces SELECT campaign_id, 0, 7, 7, first_at, last_at, 1, payload FROM attempt_pieces LIMIT 1")
        .await;
    db.execute("UPDATE buyer_samples SET halvings = 1").await;
    assert_eq!(forget(closes_at + RETENTION_MS - 1).await, 0);
    assert_eq!(
        db.number("SELECT COUNT(*) FROM attempt_pieces WHERE band = 0")
            .await,
        0
    );
    assert_eq!(forget(closes_at + RETENTION_MS).await, 1);
    assert_eq!(forget(closes_at + RETENTION_MS).await, 0);
    assert_eq!(
        db.store.sample(CAMPAIGN).await.expect("asked"),
        SampleRow::default()
    );
    for table in ["attempts", "samples", "attempt_pieces", "buyer_samples"] {
        assert_eq!(
            db.number(&format!("SELECT COUNT(*) FROM {table}")).await,
            0,
            "{table}"
        );
    }
}
