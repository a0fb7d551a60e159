//! Lists on their way from the database to an engine: before a revision is activated, and again after the
//! engine lost them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use rushgate::audience::{ListKind, buckets_for, pack};
use rushgate::bus::embedded;
use rushgate::campaign::{Activation, Campaign, RecordVersion, Schedule, Sku, bucket_of};
use rushgate::engine::Engine;
use rushgate::engine::embedded::Embedded;
use rushgate::engine::redis::{self, Redis};
use rushgate::lua::codec::{self, AdmitReply};
use rushgate::lua::fixed;
use rushgate::lua::keys::{LASTING_FAMILIES, Shard};
use rushgate::lua::prolong::{Prolong, Prolonged, prolong_reply};
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::decision::Decision;
use rushgate::plan::{Attribute, AudienceRef, Expr, Layers, Plan};
use rushgate::reconcile::{Config, Rebuilt, Reconcile};
use rushgate::revision::Revision;
use rushgate::ruleset::{Active, Compiled};
use rushgate::store::{self, ChangedAudience, NewAudience, Store, StoreError};
use testkit::server::Server;

use crate::engines::canon::carried;
use crate::engines::plans::{push, require};

const MEMBERS: u32 = 5_000;

/// A campaign for members of the list `vip`, in a database of its own.
struct Sale {
    store: Store,
    reconcile: Reconcile,
    engine: Arc<dyn Engine>,
    campaign: Campaign,
    revision: Revision,
    /// Orders placed so far: each is a new one.
    placed: AtomicI64,
}

fn member(n: u32) -> String {
    format!("buyer-{n}")
}

async fn upload(store: &Store) -> AudienceRef {
    let ids: Vec<String> = (0..MEMBERS).map(member).collect();
    let buckets = buckets_for(u64::from(MEMBERS));
    let new = NewAudience {
        id: "vip".into(),
        upload: "u".into(),
        members: u64::from(MEMBERS),
        buckets,
        digest: "d".into(),
        partitions: Vec::new(),
        uploaded_at: 0,
        after: None,
        kind: ListKind::Texts,
    };
    let of = |bucket: u32| {
        let members = ids.iter().map(|id| id.as_bytes());
        pack(members.filter(move |id| bucket_of(id, buckets) == bucket))
    };
    let packed: Vec<Result<_, StoreError>> = (0..buckets).map(|bucket| Ok((bucket, of(bucket)))).collect();
    let (_, row) = store
        .insert_audience(&new, stream::iter(packed).boxed(), Vec::new())
        .await
        .expect("stored");
    AudienceRef::whole(row.version, buckets)
}

fn members_only() -> Plan {
    let mut plan = Plan::default();
    let member = push(
        &mut plan,
        Expr::Member {
            audience: "vip".into(),
            of: Attribute::User,
        },
    );
    require(&mut plan, None, member);
    plan
}

impl Sale {
    /// Stored, its gate not open yet.
    async fn new(engine: Arc<dyn Engine>) -> Self {
        let store = Store::connect(&store::Config::new("sqlite::memory:", 1))
            .await
            .expect("a database");
        store.migrate().await.expect("migrated");
        let list = upload(&store).await;
        let now = jiff::Timestamp::now().as_millisecond();
        let campaign = Campaign {
            id: "spring".into(),
            title: "Spring".into(),
            skus: vec![Sku::new("mug", 100)].into(),
            uid: "uid".into(),
            buckets: 2,
            shards: 1,
            partitions: None,
            record_version: RecordVersion::V2,
            created_at: now,
        };
        let revision = Revision {
            campaign: campaign.id.clone(),
            number: 1,
            rules: Vec::new(),
            schedule: Schedule {
                opens_at: now - 1000,
                closes_at: now + 3_600_000,
                retention_ms: rushgate::campaign::RETENTION_MS,
            },
            plan: members_only(),
            plan_digest: "p".into(),
            audiences: [("vip".to_owned(), list)].into(),
            folds: Default::default(),
            shadow: None,
            stock: None,
            created_at: now,
        };
        store.insert_campaign(&campaign, &revision).await.expect("stored");
        let (producer, _) = embedded::pair(0);
        let clock = Arc::new(AtomicI64::new(now));
        let reconcile = Reconcile::new(
            Config {
                grace: Duration::ZERO,
                ..Config::default()
            },
            engine.clone(),
            Arc::new(producer),
            store.clone(),
            "gateway".into(),
            Arc::new(move || clock.fetch_add(1, Ordering::Relaxed)),
        );
        Self {
            store,
            reconcile,
            engine,
            campaign,
            revision,
            placed: AtomicI64::new(0),
        }
    }

    /// Decides one order each; `None` where the gate is closed.
    async fn admit(&self, users: &[&str]) -> Option<Vec<bool>> {
        let activation = self
            .store
            .activation("spring")
            .await
            .expect("asked")
            .expect("active");
        let compiled = Compiled::build(self.campaign.clone(), self.revision.clone());
        let active = Active::new(compiled.expect("a valid plan"), activation, Vec::new());
        let attempts: Vec<Attempt> = users
            .iter()
            .map(|user| Attempt {
                order: OrderId::keyed(
                    "spring",
                    user,
                    &self.placed.fetch_add(1, Ordering::Relaxed).to_string(),
                ),
                user: (*user).into(),
                sku: "mug".into(),
                quantity: 1,
                attributes: Default::default(),
            })
            .collect();
        let carried = carried(&attempts);
        let args = codec::admit_args(
            &active.family,
            &active.fence(),
            attempts.iter(),
            carried.as_bytes(),
        );
        let state = Shard::new("spring", 0).state();
        let reply = self
            .engine
            .run(&active.family.admit, &state, args)
            .await
            .expect("admit runs");
        match codec::admit_reply(&active.family, attempts.iter(), reply).expect("a reply of the ABI") {
            AdmitReply::Fenced(None) => None,
            AdmitReply::Fenced(other) => panic!("fenced by {other:?}"),
            AdmitReply::Decided { decisions, .. } => Some(
                decisions
                    .iter()
                    .map(|decision| *decision == Decision::Admitted)
                    .collect(),
            ),
        }
    }
}

impl Sale {
    /// Whether every bucket that the gate needs stays as long as a revision needs it.
    async fn lasts_for(&self, revision: &Revision) -> bool {
        let mut lasts = true;
        for family in LASTING_FAMILIES {
            let prolong = Prolong {
                uid: &self.campaign.uid,
                family,
                buckets: self.campaign.buckets,
                expires_at: revision.schedule.expires_at(),
            };
            let state = Shard::new("spring", 0).state();
            let asked = self
                .engine
                .run(&fixed::PROLONG, &state, prolong.args("", None))
                .await;
            lasts &= prolong_reply(asked.expect("prolong runs")) == Ok(Prolonged::Complete);
        }
        lasts
    }
}

/// From the first opening to the loss of one bucket, and of everything. `lose` takes one key, or all there are.
async fn story(engine: Arc<dyn Engine>, lose: impl AsyncFn(Option<&str>)) {
    let sale = Sale::new(engine).await;
    let (first, last) = (member(0), member(MEMBERS - 1));
    let users = [first.as_str(), "stranger", last.as_str()];
    assert_eq!(sale.admit(&users).await, None, "no gate is open yet");
    // Behind a closed gate nothing is put anywhere, and nothing is wrong.
    sale.reconcile
        .provide(&sale.campaign, &sale.revision)
        .await
        .expect("nothing to do");
    let opened = sale.reconcile.rebuild("spring", 0).await.expect("opened");
    assert!(
        matches!(opened, Rebuilt::Restored { orders: 0, .. }),
        "{opened:?}"
    );
    let expected = Some(vec![true, false, true]);
    assert_eq!(sale.admit(&users).await, expected);

    let bucket = bucket_of(last.as_bytes(), sale.revision.audiences["vip"].buckets);
    for part in [&format!("audience:vip:1:{bucket}"), "buyers:0", "outbox", "stock"] {
        if part == "outbox" {
            // What is in it when it is lost would be lost with it.
            drained(&sale).await;
        }
        lose(Some(&format!("rg:{{spring.0}}:{part}"))).await;
        assert_eq!(
            sale.admit(&users).await,
            None,
            "without {part} the gate is closed"
        );
        let activation = sale.store.activation("spring").await.expect("asked");
        let Activation { epoch, .. } = activation.expect("active");
        // Nothing has landed and nothing is on the bus, so there is nothing to wait for.
        drained(&sale).await;
        let restored = sale.reconcile.rebuild("spring", epoch).await.expect("restored");
        assert!(matches!(restored, Rebuilt::Restored { .. }), "{restored:?}");
        assert_eq!(sale.admit(&users).await, expected, "{part} is back");
    }

    lose(None).await;
    assert_eq!(sale.admit(&users).await, None, "so does the loss of everything");
    let restored = sale.reconcile.rebuild("spring", 0).await.expect("restored");
    assert!(matches!(restored, Rebuilt::Restored { .. }), "{restored:?}");
    assert_eq!(sale.admit(&users).await, expected, "everything is back");

    // A revision that ends later keeps lists and buckets for longer; one that ends earlier takes nothing away.
    let mut later = sale.revision.clone();
    later.schedule.closes_at += 1000;
    assert!(!sale.lasts_for(&later).await);
    sale.reconcile
        .provide(&sale.campaign, &later)
        .await
        .expect("put again");
    assert!(sale.lasts_for(&later).await);
    // What is to last longer and is not there was lost: it is rebuilt first.
    later.schedule.closes_at += 1000;
    drained(&sale).await;
    lose(Some("rg:{spring.0}:counts:1")).await;
    sale.reconcile
        .provide(&sale.campaign, &later)
        .await
        .expect("rebuilt, and prolonged");
    assert!(sale.lasts_for(&later).await);
    sale.reconcile
        .provide(&sale.campaign, &sale.revision)
        .await
        .expect("there already");
    assert!(sale.admit(&["somebody else"]).await == Some(vec![false]));
    // Of a version that is not stored, the caller is told.
    let mut gone = sale.revision.clone();
    gone.audiences.get_mut("vip").expect("pinned").version = 9;
    let error = sale
        .reconcile
        .provide(&sale.campaign, &gone)
        .await
        .expect_err("not stored");
    assert!(error.to_string().contains("\"vip\", version 9"), "{error}");
}

/// Takes the first member off the list and puts the stranger on it: a version that shares all other buckets.
async fn changed(sale: &Sale) -> AudienceRef {
    let from = sale.store.newest_audience("vip").await.expect("asked");
    let from = from.expect("a list");
    let (gone, new) = (member(0), "stranger".to_owned());
    let mut buckets = std::collections::BTreeMap::new();
    for id in [&gone, &new] {
        let bucket = bucket_of(id.as_bytes(), from.buckets);
        let packed = sale.store.audience_buckets("vip", from.version, bucket, 1).await;
        buckets.insert(bucket, packed.expect("read").concat());
    }
    let text = |bucket: &[u8]| String::from_utf8(bucket.to_vec()).expect("text");
    let without = |packed: &[u8]| text(packed).replace(&format!("{gone}\n"), "").into_bytes();
    for packed in buckets.values_mut() {
        *packed = without(packed);
    }
    let home = buckets.get_mut(&bucket_of(new.as_bytes(), from.buckets));
    home.expect("read").extend_from_slice(b"stranger\n");
    let change = ChangedAudience {
        upload: "changed".into(),
        members: from.members,
        digest: "d2".into(),
        partitions: Vec::new(),
        uploaded_at: 1,
        buckets: buckets.into_iter().collect(),
        kind: from.kind.clone(),
        from,
    };
    let row = sale
        .store
        .change_audience(&change, Vec::new())
        .await
        .expect("stored")
        .expect("the newest");
    let layers = Layers {
        base: row.base.expect("made from another one"),
        changed: sale
            .store
            .audience_changed("vip", row.version)
            .await
            .expect("asked"),
    };
    AudienceRef {
        layers: Some(layers),
        ..AudienceRef::whole(row.version, row.buckets)
    }
}

/// A version of changes next to the one it was made from: only what differs is put, everything where the first is gone.
async fn story_of_changes(engine: Arc<dyn Engine>, lose: impl AsyncFn(Option<&str>)) {
    let mut sale = Sale::new(engine).await;
    sale.reconcile.rebuild("spring", 0).await.expect("opened");
    let (first, last) = (member(0), member(MEMBERS - 1));
    let users = [first.as_str(), "stranger", last.as_str()];
    let (before, after) = (Some(vec![true, false, true]), Some(vec![false, true, true]));
    assert_eq!(sale.admit(&users).await, before);
    let original = sale.revision.clone();
    let list = changed(&sale).await;
    sale.revision.audiences.insert("vip".to_owned(), list.clone());
    let provide = async |sale: &Sale| {
        let provided = sale.reconcile.provide(&sale.campaign, &sale.revision);
        provided.await.expect("put there");
    };
    assert_eq!(sale.admit(&users).await, None, "its buckets are not there");
    provide(&sale).await;
    assert_eq!(sale.admit(&users).await, after);
    // The version it was made from is as it was.
    sale.revision = original.clone();
    assert_eq!(sale.admit(&users).await, before);

    // What a version shares is there once.
    sale.revision.audiences.insert("vip".to_owned(), list.clone());
    let shared = bucket_of(last.as_bytes(), list.buckets);
    assert!(
        !list
            .layers
            .as_ref()
            .expect("layers")
            .changed
            .contains_key(&shared)
    );
    lose(Some(&format!("rg:{{spring.0}}:audience:vip:1:{shared}"))).await;
    assert_eq!(sale.admit(&users).await, None, "a shared bucket is lost");
    // A rebuild is of the active revision, which pins the first version; this one is put next to it again.
    drained(&sale).await;
    lose(None).await;
    sale.reconcile.rebuild("spring", 0).await.expect("restored");
    assert_eq!(sale.admit(&users).await, None, "the changes are not there");
    provide(&sale).await;
    assert_eq!(sale.admit(&users).await, after);
}

/// Settles what the admissions left in the outbox, as a relay does.
async fn drained(sale: &Sale) {
    let (state, outbox) = (Shard::new("spring", 0).state(), &rushgate::lua::fixed::OUTBOX);
    let args = rushgate::lua::calls::outbox_args("relay", 60_000, 0, "-", 100);
    let reply = sale.engine.run(outbox, &state, args).await.expect("outbox runs");
    let entries = rushgate::lua::calls::outbox_reply(reply)
        .expect("a reply")
        .expect("not held");
    let settled: Vec<(String, usize)> = entries
        .into_iter()
        .map(|entry| (entry.id, entry.payloads.len()))
        .collect();
    let args = rushgate::lua::calls::settle_args(&settled);
    let settle = &rushgate::lua::fixed::SETTLE;
    sale.engine.run(settle, &state, args).await.expect("settle runs");
}

/// Takes one key away, or all there are.
fn forgetting(engine: Arc<Embedded>) -> impl AsyncFn(Option<&str>) {
    async move |key: Option<&str>| {
        let gone = engine.forget(|there| key.is_none_or(|key| there == key));
        assert!(gone == 1 || key.is_none());
    }
}

/// The same in Redis.
fn deleting(server: &Server) -> impl AsyncFn(Option<&str>) {
    let client = ::redis::Client::open(server.url()).expect("a URL");
    async move |key: Option<&str>| {
        let mut raw = client.get_connection().expect("Redis is up");
        match key {
            Some(key) => {
                let removed: i64 = ::redis::cmd("DEL").arg(key).query(&mut raw).expect("DEL");
                assert_eq!(removed, 1);
            }
            None => ::redis::cmd("FLUSHALL").exec(&mut raw).expect("FLUSHALL"),
        }
    }
}

async fn redis_of(server: &Server) -> Arc<dyn Engine> {
    let engine = Redis::connect(redis::Config::new(server.url())).await;
    Arc::new(engine.expect("Redis is up"))
}

#[tokio::test]
async fn lists_come_with_the_gate_and_come_back_in_process() {
    let engine = Arc::new(Embedded::new());
    story(engine.clone(), forgetting(engine)).await;
}

#[tokio::test]
async fn lists_come_with_the_gate_and_come_back_in_redis() {
    let server = Server::start(&[]);
    story(redis_of(&server).await, deleting(&server)).await;
}

#[tokio::test]
async fn changes_of_a_list_share_what_did_not_change_in_process() {
    let engine = Arc::new(Embedded::new());
    story_of_changes(engine.clone(), forgetting(engine)).await;
}

#[tokio::test]
async fn changes_of_a_list_share_what_did_not_change_in_redis() {
    let server = Server::start(&[]);
    story_of_changes(redis_of(&server).await, deleting(&server)).await;
}
