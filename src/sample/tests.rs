//! The queue and its bound, over a database in memory.

use super::*;
use crate::campaign::{Activation, Campaign, Schedule, Sku};
use crate::order::{Attempt, OrderId};
use crate::plan::{Attribute, Expr, Plan};
use crate::recorded::Outcome;
use crate::revision::Revision;
use crate::ruleset::ActiveCampaign;

const NOW: i64 = 1_795_176_000_123;
const PATIENCE: Duration = Duration::from_secs(60);

/// A campaign whose plan reads the client's device and nothing else.
fn active() -> Arc<ActiveCampaign> {
    let campaign = Campaign {
        id: "spring".into(),
        title: "Spring".into(),
        skus: vec![Sku {
            id: "mug".into(),
            stock: 10,
        }],
        uid: "u1".into(),
        buckets: 1,
        shards: 1,
        partitions: None,
        created_at: NOW,
    };
    let revision = Revision {
        campaign: "spring".into(),
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
        shadow: None,
        created_at: NOW,
    };
    let activation = Activation {
        epoch: 1,
        revision: 3,
    };
    Arc::new(ActiveCampaign::build(campaign, revision, activation).expect("a plan"))
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
        active: active(),
        at: NOW,
        attempts: users
            .map(|user| (attempt(user), Outcome::Gateway("sold-out")))
            .collect(),
    }
}

async fn sample(attempts_max: u64) -> (Arc<Sample>, Store) {
    let config = crate::store::Config {
        url: "sqlite::memory:".into(),
        connections: 1,
    };
    let store = Store::connect(&config).await.expect("connects");
    store.migrate().await.expect("migrates");
    let config = Config {
        attempts_max,
        write_every: Duration::ZERO,
    };
    (Sample::spawn(config, store.clone(), Arc::new(|| NOW)), store)
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test]
async fn what_the_plan_reads_is_kept_and_nothing_else() {
    let (sample, store) = sample(100).await;
    sample.record(decided(0..2));
    assert!(sample.drain(PATIENCE).await);
    let (rows, _) = store
        .attempts_page("spring", 0, None, i64::MAX, 10)
        .await
        .expect("read");
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
async fn buyers_outside_of_the_share_are_skipped_before_the_queue() {
    let (sample, _) = sample(1000).await;
    sample.record(decided(0..1500));
    assert!(sample.drain(PATIENCE).await);
    assert_eq!(count(&sample.figures().recorded), 1500);
    sample.record(decided(0..1500));
    let skipped = count(&sample.figures().skipped);
    assert!((600..900).contains(&skipped), "{skipped}");
    assert!(sample.drain(PATIENCE).await);
}

#[tokio::test]
async fn what_does_not_fit_is_dropped_counted_and_told() {
    let (sample, store) = sample(100).await;
    let many = decided(0..QUEUE_ATTEMPTS_MAX as u32 + 1);
    sample.record(many);
    let dropped = QUEUE_ATTEMPTS_MAX as u64 + 1;
    assert_eq!((count(&sample.figures().dropped), sample.waiting()), (dropped, 0));
    sample.record(decided(0..1));
    assert!(sample.drain(PATIENCE).await);
    let row = store.sample("spring").await.expect("asked");
    assert_eq!((row.dropped, row.attempts), (dropped, 1));
}

#[tokio::test]
async fn what_the_database_refuses_is_dropped_and_told_when_it_is_back() {
    let (sample, store) = sample(100).await;
    let mut long = decided(0..3);
    // A moment no database holds.
    long.at = i64::MAX;
    sample.record(long);
    assert!(sample.drain(PATIENCE).await);
    assert_eq!(count(&sample.figures().dropped), 3);
    sample.record(decided(0..1));
    assert!(sample.drain(PATIENCE).await);
    let row = store.sample("spring").await.expect("asked");
    assert_eq!((row.dropped, row.attempts), (3, 1));
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_may_be() {
    let (sample, store) = sample(0).await;
    assert!(!sample.is_on());
    sample.record(decided(0..3));
    assert_eq!(sample.waiting(), 0);
    assert_eq!(store.attempts_end().await.expect("asked"), 0);
}
