//! The queue and its bound, over a database in memory.

use super::*;
use crate::attempts::share::lot;
use crate::attempts::{DecidedAttempt, Outcome, pieces};
use crate::campaign::{Campaign, RecordVersion, Schedule, Sku};
use crate::order::{Attempt, OrderId};
use crate::plan::{Attribute, Expr, Plan};
use crate::rejection::Own;
use crate::revision::Revision;
use crate::ruleset::Compiled;
use crate::store::SampleRow;

const NOW: i64 = 1_795_176_000_123;
const PATIENCE: Duration = Duration::from_secs(60);

/// A campaign whose plan reads the client's device and nothing else.
fn compiled(id: &str) -> Arc<Compiled> {
    let campaign = Campaign {
        id: id.into(),
        title: "Spring".into(),
        skus: vec![Sku::new("mug", 10)].into(),
        uid: "u1".into(),
        buckets: 1,
        shards: 1,
        partitions: None,
        record_version: RecordVersion::V1,
        created_at: NOW,
    };
    let revision = Revision {
        campaign: id.into(),
        number: 3,
        rules: Vec::new(),
        schedule: Schedule {
            opens_at: NOW,
            closes_at: NOW + 3_600_000,
            retention_ms: crate::campaign::RETENTION_MS,
        },
        plan: Plan {
            nodes: vec![Expr::Attribute(Attribute::Client("device".into()))],
            required: vec![Attribute::Client("device".into())],
            ..Plan::default()
        },
        plan_digest: "d".into(),
        audiences: Default::default(),
        folds: Default::default(),
        shadow: None,
        stock: None,
        created_at: NOW,
    };
    Arc::new(Compiled::build(campaign, revision).expect("a plan"))
}

fn decided(users: std::ops::Range<u32>) -> Decided {
    let attempt = |user: u32| Attempt {
        order: OrderId::keyed("spring", &user.to_string(), ""),
        user: format!("user-{user}"),
        sku: "mug".into(),
        quantity: 1,
        attributes: [("client:device", "d"), ("claim:name", "Ada")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    };
    Decided {
        compiled: compiled("spring"),
        at: NOW,
        attempts: users
            .map(|user| (attempt(user), Outcome::Own(Own::SoldOut)))
            .collect(),
    }
}

async fn sample(most: u64) -> (Arc<Sample>, Store) {
    let config = crate::store::Config::new("sqlite::memory:", 1);
    let store = Store::connect(&config).await.expect("connects");
    store.migrate().await.expect("migrates");
    // Samples of campaigns that are not there are forgotten.
    for id in ["spring", "autumn"] {
        let known = compiled(id);
        let inserted = store.insert_campaign(&known.campaign, &known.revision).await;
        inserted.expect("inserted");
    }
    let config = Config {
        attempts_max: most,
        attempts_per_second: u64::MAX,
        // Whoever waits for it hurries it.
        write_every: PATIENCE,
    };
    (Sample::spawn(config, store.apart(1), Arc::new(|| NOW)), store)
}

/// As admission does.
fn offer(sample: &Sample, mut decided: Decided) {
    decided
        .attempts
        .retain(|(attempt, _)| sample.keeps("spring", &attempt.user));
    sample.record(decided);
}

async fn rows(store: &Store) -> Vec<DecidedAttempt> {
    let pieces = store
        .attempt_pieces("spring", 0, None, i64::MAX, 1000)
        .await
        .expect("read");
    let unpacked = pieces
        .iter()
        .flat_map(|(_, piece)| pieces::unpack(&piece.payload).expect("readable"));
    unpacked.map(|(_, recorded)| recorded).collect()
}

async fn row(store: &Store) -> SampleRow {
    store.sample("spring").await.expect("asked")
}

#[tokio::test]
async fn what_the_plan_reads_is_kept_and_nothing_else() {
    let (sample, store) = sample(100).await;
    offer(&sample, decided(0..2));
    assert!(sample.drain(PATIENCE).await);
    let rows = rows(&store).await;
    let kept: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.at,
                row.revision,
                row.outcome.as_deref(),
                &row.attempt.attributes,
            )
        })
        .collect();
    let device = [("client:device".to_owned(), "d".to_owned())].into();
    assert_eq!(kept, [(NOW, Some(3), Some("sold-out"), &device); 2]);
}

#[tokio::test]
async fn buyers_outside_of_the_share_are_only_counted() {
    let (sample, store) = sample(1000).await;
    offer(&sample, decided(0..1500));
    assert!(sample.drain(PATIENCE).await);
    let first = row(&store).await;
    assert_eq!((first.share.halvings, first.attempts + first.skipped), (1, 1500));
    let outside = decided(0..1500)
        .attempts
        .into_iter()
        .filter(|(attempt, _)| lot("spring", &attempt.user).band == 0);
    let outside = outside.count() as u64;
    assert_eq!(first.skipped, outside, "whole buyers, those of the lowest band");

    // Of those who are in, everything is kept; of the others nothing is spooled.
    let kept_before = sample.metrics().recorded.get();
    offer(&sample, decided(0..200));
    let kept = sample.waiting() as u64;
    assert!((1..200).contains(&kept), "{kept}");
    assert!(sample.drain(PATIENCE).await);
    assert_eq!(sample.metrics().recorded.get(), kept_before + kept);
    let second = row(&store).await;
    assert_eq!(second.attempts, first.attempts + kept);
    assert_eq!(second.decided(), Some(1700), "nobody is forgotten: {second:?}");
    assert_eq!(rows(&store).await.len() as u64, second.attempts);
}

#[tokio::test]
async fn much_is_written_before_its_time_and_all_of_it() {
    let (sample, store) = sample(1_000_000).await;
    for user in (0..HURRY_ATTEMPTS as u32).step_by(8) {
        offer(&sample, decided(user..user + 8));
    }
    // Nobody drains, and `write_every` is far away.
    while sample.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    let there = row(&store).await;
    assert_eq!(there.attempts, HURRY_ATTEMPTS as u64);
    assert!(
        (2..10).contains(&there.arrivals),
        "few writes, each within a bound: {there:?}"
    );
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_counted_and_told() {
    let (sample, store) = sample(100).await;
    let users = (SPOOL_BYTES_MAX / 256) as u32;
    offer(&sample, decided(0..users));
    let dropped = u64::from(users);
    assert_eq!((sample.metrics().dropped.get(), sample.waiting()), (dropped, 0));
    offer(&sample, decided(0..1));
    assert!(sample.drain(PATIENCE).await);
    let row = row(&store).await;
    assert_eq!((row.dropped, row.attempts), (dropped, 1));
}

#[tokio::test]
async fn what_the_database_refuses_is_dropped_and_told_and_other_campaigns_are_written() {
    let (sample, store) = sample(100).await;
    let mut long = decided(0..3);
    // A moment no database holds.
    long.at = i64::MAX;
    offer(&sample, long);
    let mut other = decided(0..2);
    other.compiled = compiled("autumn");
    sample.record(other);
    sample.shared.hurry.notify_one();
    while sample.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sample.metrics().dropped.get(), 3);
    assert_eq!(store.sample("autumn").await.expect("asked").attempts, 2);
    offer(&sample, decided(0..1));
    assert!(sample.drain(PATIENCE).await);
    let row = row(&store).await;
    assert_eq!((row.dropped, row.attempts), (3, 1));
}

#[tokio::test]
async fn what_is_spooled_is_written_when_the_stage_goes() {
    let (sample, store) = sample(100).await;
    offer(&sample, decided(0..5));
    drop(sample);
    while row(&store).await.attempts < 5 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_may_be() {
    let (sample, store) = sample(0).await;
    assert!(!sample.is_on());
    assert!(!sample.keeps("spring", "ada"));
    sample.record(decided(0..3));
    assert!(sample.drain(PATIENCE).await);
    assert_eq!((sample.waiting(), row(&store).await), (0, SampleRow::default()));
}

#[test]
fn what_a_precheck_could_not_be_handed_is_kept_with_the_refusal_for_it() {
    let names = |outcome: Outcome| -> Vec<String> {
        let mut decided = decided(0..1);
        let (attempt, was) = &mut decided.attempts[0];
        let more = [
            ("claim:groups", "\u{1f}a\u{1f}b"),
            ("unreadable:claim:home", "is an object"),
        ];
        let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
        attempt.attributes.extend(more);
        *was = outcome;
        let kept = decided.into_attempts().next().expect("an attempt");
        kept.attempt.attributes.into_keys().collect()
    };
    let unfit = ["claim:groups", "client:device", "unreadable:claim:home"];
    for own in [Own::AttributeUnreadable, Own::ClaimNotSingle] {
        assert_eq!(names(Outcome::Own(own)), unfit);
        assert_eq!(names(Outcome::Named(own.name().to_owned())), unfit);
    }
    assert_eq!(names(Outcome::Own(Own::SoldOut)), ["client:device"]);
}
