//! How many partitions a campaign's orders are spread over: what the bus says when it is made, and never again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::bus::{Acknowledge, BusError, Forward, Outbound, Producer};
use rushgate::campaign::{Campaign, RecordVersion};
use rushgate::control::{Control, Loader, NewCampaign};
use rushgate::engine::embedded::Embedded;
use rushgate::ruleset::Ruleset;
use rushgate::wasm::Host;
use serde_json::json;

use super::simulate::Open;
use super::*;

testkit::on_both!(
    a_campaign_keeps_its_partitions,
    a_new_campaign_takes_the_partitions_that_the_topic_has_then,
);

/// What is configured.
const CONFIGURED: u32 = 9;

/// A topic that grows, of a bus that can be away.
struct Topic(Mutex<Option<i32>>);

impl Producer for Topic {
    fn publish(&self, _: Vec<Outbound>, acknowledge: Acknowledge) {
        acknowledge(Err(BusError::Unacknowledged("nothing is published".into())));
    }

    fn forward(&self, _: Vec<Forward>, acknowledge: Acknowledge) {
        acknowledge(Err(BusError::Unacknowledged("nothing is forwarded".into())));
    }

    fn in_flight(&self) -> usize {
        0
    }

    fn flush(&self, _: Duration) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }

    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        assert_eq!(topic, self.orders_topic());
        let partitions = *self.0.lock().expect("no panic");
        let away = || BusError::Unacknowledged("away".into());
        async move {
            let partitions = partitions.ok_or_else(away)?;
            Ok((0..partitions).map(|partition| (partition, 0)).collect())
        }
        .boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>> {
        async { Ok(()) }.boxed()
    }
}

async fn stored(db: &Database, id: &str) -> Option<u32> {
    let row = db.store.campaign(id).await.expect("asked").expect("there");
    row.campaign.partitions
}

async fn a_campaign_keeps_its_partitions(db: Database) {
    let spread = Campaign {
        partitions: Some(12),
        record_version: RecordVersion::V2,
        ..campaign("spread", &[("mug", 5)])
    };
    for new in [&spread, &campaign("by-key", &[])] {
        let inserted = db.store.insert_campaign(new, &revision(&new.id)).await;
        inserted.expect("stored");
    }
    let row = db.store.campaign("spread").await.expect("asked").expect("there");
    assert_eq!(row.campaign, spread);
    assert_eq!(stored(&db, "by-key").await, None);
    // A gateway of the release before does not know the column.
    db.execute(
        "INSERT INTO campaigns (campaign_id, title, uid, buckets, shards, revision, epoch, created_at) \
         SELECT 'older', title, uid, buckets, shards, revision, epoch, created_at FROM campaigns \
         WHERE campaign_id = 'spread'",
    )
    .await;
    db.execute(
        "INSERT INTO revisions (campaign_id, revision, rules, opens_at, closes_at, plan, plan_digest, created_at, \
         audiences, retention_days) SELECT 'older', revision, rules, opens_at, closes_at, plan, plan_digest, \
         created_at, audiences, retention_days FROM revisions WHERE campaign_id = 'spread'",
    )
    .await;
    assert_eq!(stored(&db, "older").await, None);
    // An activation leaves it as it is.
    let activated = testkit::database::activate(&db.store, "spread", 1, NOW).await;
    assert_eq!(activated.expect("activated").epoch, 2);
    assert_eq!(stored(&db, "spread").await, Some(12));
}

async fn a_new_campaign_takes_the_partitions_that_the_topic_has_then(db: Database) {
    let topic = Arc::new(Topic(Mutex::new(Some(4))));
    let clock = Arc::new(|| NOW);
    let ruleset = Arc::new(Ruleset::default());
    let host = Host::new().expect("a host");
    let loader = Loader::new(db.store.clone(), ruleset.clone(), host.clone(), clock.clone());
    let control = Control::new(
        db.store.clone(),
        Arc::new(Embedded::new()),
        host,
        ruleset,
        Arc::new(loader),
        Arc::new(Open),
        clock,
    );
    let control = control.carried_by(topic.clone(), CONFIGURED);
    control.install_builtin().await.expect("installed");
    for (id, has, takes) in [
        ("first", Some(4), 4),
        ("grown", Some(24), 24),
        ("away", None, CONFIGURED),
    ] {
        *topic.0.lock().expect("no panic") = has;
        let new: NewCampaign = serde_json::from_value(json!({
            "id": id, "opens_at": "2026-11-20T00:00:00Z", "closes_at": "2026-11-21T00:00:00Z",
            "skus": [{"id": "mug", "stock": 5}], "rules": [{"module": "n-per-user", "params": {"limit": 1}}],
        }))
        .expect("a campaign");
        control.create_campaign("test", new).await.expect("created");
        assert_eq!(stored(&db, id).await, Some(takes), "{id}");
        let active = control.active(id).expect("it is served");
        assert_eq!(active.campaign.partitions, Some(takes), "{id}");
    }
    assert_eq!(stored(&db, "first").await, Some(4), "growing moves nothing");
}
