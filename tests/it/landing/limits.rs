//! Limits are those of the revision, and delays those of the topic, whatever a record says.

use std::time::Instant;

use rushgate::bus::Forward;
use rushgate::bus::origin::DUE;
use rushgate::order::Attempt;
use rushgate::plan::samples::samples;
use rushgate::plan::{self, CheckContext, eval};
use testkit::database;

use super::*;

testkit::on_both!(
    a_limit_is_the_revisions_whatever_the_record_says,
    a_delay_is_the_topics_whatever_the_record_says,
);

/// Two orders per user.
async fn limited_sale(store: &Store) -> plan::CheckedPlan {
    let sample = samples()
        .into_iter()
        .find(|sample| sample.name == "orders per user");
    let campaign = database::campaign("spring", &[("shoe", 100)]);
    let mut revision = database::revision("spring");
    revision.plan = sample.expect("a sample").plan;
    store
        .insert_campaign(&campaign, &revision)
        .await
        .expect("a campaign");
    let context = CheckContext {
        campaign: campaign.id,
        schedule: revision.schedule,
        skus: campaign.skus,
        audiences: revision.audiences,
        buckets: campaign.buckets,
    };
    plan::check(revision.plan, context).expect("a plan")
}

async fn a_limit_is_the_revisions_whatever_the_record_says(db: Database) {
    let plan = limited_sale(&db.store).await;
    let (producer, consumer) = embedded::pair(0);
    let landing = spawn(quick(), &db.store, &producer, consumer);
    let placed = |key: &str, limit: Option<i64>| {
        let mut event = order("ann", key);
        let attempt = Attempt {
            order: event.order,
            user: event.user.clone(),
            sku: event.sku.clone(),
            quantity: 1,
            attributes: event.attributes.clone(),
        };
        event.charges = eval::charges(&plan, &attempt, event.placed_at);
        assert_eq!(event.charges[0].limit, Some(2));
        event.charges[0].limit = limit;
        outbound(&event)
    };
    // The first has no limit, and the guard is there all the same.
    for (key, limit) in [
        ("1", None),
        ("2", Some(2)),
        ("3", None),
        ("4", Some(1000)),
        ("5", Some(2)),
    ] {
        assert_eq!(wait(&publish(&producer, vec![placed(key, limit)])), Ok(()));
    }
    let mut uncharged = order("ann", "6");
    uncharged.charges.clear();
    assert_eq!(wait(&publish(&producer, vec![outbound(&uncharged)])), Ok(()));
    let metrics = stop(landing).await;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.revoked.get(),
            metrics.moved.total()
        ),
        (2, 3, 1)
    );
    assert_eq!(db.number("SELECT used * 10 + allowed FROM `usage`").await, 22);
    let uncharged = "SELECT COUNT(*) FROM dead_letters WHERE class = 'implausible'";
    assert_eq!(db.number(uncharged).await, 1);
}

async fn a_delay_is_the_topics_whatever_the_record_says(db: Database) {
    sale(&db.store, 100).await;
    let (producer, _orders) = embedded::pair(0);
    let retry = producer.consumer("retry", 0);
    let records = [1_i64 << 62, i64::MAX, i64::MIN, -1];
    let records = records.iter().enumerate().map(|(n, due)| {
        let order = order(&format!("u{n}"), "1");
        Forward {
            topic: "retry".to_owned(),
            partition: Some(0),
            key: order.key().into_bytes(),
            payload: order.encode(),
            headers: vec![(DUE.to_owned(), due.to_be_bytes().to_vec())],
        }
    });
    let config = Config {
        topic: "retry".to_owned(),
        delay: Duration::from_millis(150),
        ..quick()
    };
    let begun = Instant::now();
    producer.forward(records.collect(), Box::new(|_| {}));
    let landing = spawn(config, &db.store, &producer, retry);
    let metrics = landing.metrics();
    database::until("all land", || metrics.confirmed.get() == 4).await;
    assert!(
        // A record's moment is in whole milliseconds.
        begun.elapsed() >= Duration::from_millis(149),
        "none of those that are put off is early"
    );
    stop(landing).await;
}
