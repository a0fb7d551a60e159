//! Campaigns whose retention is over: what the database says of them, and which a gateway serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rushgate::campaign::{ARCHIVE_LEAD_MS, Activation, days_ms};
use rushgate::control::Loader;
use rushgate::needs::ANSWER_MAX;
use rushgate::order::OrderId;
use rushgate::revision::Revision;
use rushgate::ruleset::Ruleset;
use rushgate::store::Store;
use rushgate::wasm::Host;
use testkit::on_both;

use testkit::database::{Database, NOW, campaign, order, revision, sale};

on_both!(
    each_campaign_is_live_as_long_as_its_active_revision_keeps_it,
    ids_come_in_order_of_creation,
    an_order_among_the_dead_letters_is_found_by_its_id,
    a_gateway_serves_a_campaign_until_it_is_archived_and_again_when_it_is_extended,
    a_thousand_invented_names_cost_a_few_reads,
    a_gateway_keeps_the_skus_of_a_campaign_once_for_all_of_its_revisions,
);

fn kept(id: &str, days: u32) -> Revision {
    let mut revision = revision(id);
    revision.schedule.retention_ms = days_ms(days);
    revision
}

async fn live(store: &Store, now: i64) -> Vec<String> {
    let rows = store.live_campaigns(now).await.expect("listed");
    rows.into_iter().map(|row| row.campaign.id).collect()
}

async fn each_campaign_is_live_as_long_as_its_active_revision_keeps_it(db: Database) {
    for (id, days) in [("short", 1), ("long", 30)] {
        let stored = db
            .store
            .insert_campaign(&campaign(id, &[("mug", 1)]), &kept(id, days))
            .await;
        stored.expect("stored");
        let row = db.store.campaign(id).await.expect("asked").expect("there");
        assert_eq!(row.schedule, kept(id, days).schedule);
        let back = db.store.revision(id, 1).await.expect("asked").expect("there");
        assert_eq!(back.schedule, row.schedule);
    }
    let (short, long) = (kept("short", 1).schedule, kept("long", 30).schedule);
    assert_eq!(live(&db.store, short.archived_at() - 1).await, ["long", "short"]);
    assert_eq!(live(&db.store, short.archived_at()).await, ["long"]);
    assert_eq!(live(&db.store, long.archived_at() - 1).await, ["long"]);
    assert_eq!(live(&db.store, long.archived_at()).await, [""; 0]);
    // What a revision says counts once it is active.
    let number = db
        .store
        .insert_revision(&kept("short", 366), Vec::new())
        .await
        .expect("stored");
    assert_eq!(live(&db.store, short.archived_at()).await, ["long"]);
    testkit::database::activate(&db.store, "short", number, NOW)
        .await
        .expect("activated");
    assert_eq!(live(&db.store, long.archived_at()).await, ["short"]);
}

async fn ids_come_in_order_of_creation(db: Database) {
    for id in ["first", "second", "third"] {
        let stored = db.store.insert_campaign(&campaign(id, &[]), &revision(id)).await;
        stored.expect("stored");
    }
    let first = db.store.campaign_ids(0, 2).await.expect("listed");
    let rest = db.store.campaign_ids(first[1].0, 2).await.expect("listed");
    let ids: Vec<&str> = first.iter().chain(&rest).map(|(_, id)| id.as_str()).collect();
    assert_eq!(ids, ["first", "second", "third"]);
}

async fn an_order_among_the_dead_letters_is_found_by_its_id(db: Database) {
    sale(&db.store, 5).await;
    let stages = ["retry", "dead", "replayed", "parked", "discarded", "landed"];
    for (offset, stage) in stages.into_iter().enumerate() {
        let event = order(stage, "k");
        let payload: String = event.encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let sql = format!(
            "INSERT INTO dead_letters (topic, `partition`, `offset`, record_key, payload, error, landed_at, stage, class, \
             order_id, campaign_id, sku_id, quantity) VALUES ('t', 0, {offset}, x'00', x'{payload}', 'e', \
             '2026-11-20 12:00:00.000', '{stage}', 'failing', '{}', 'spring', 'shoe', 1)",
            event.order
        );
        db.execute(&sql).await;
    }
    let find = async |user: &str| {
        let id = OrderId::keyed("spring", user, "k");
        db.store.stranded_order("spring", id).await.expect("asked")
    };
    for stage in &stages[..4] {
        let found = find(stage).await.expect(stage);
        assert_eq!(found, order(stage, "k"), "{stage}");
    }
    for stage in [stages[4], stages[5], "nobody"] {
        assert_eq!(find(stage).await, None, "{stage}");
    }
}

/// A gateway's list of campaigns, under a clock of the test.
struct Served {
    loader: Loader,
    ruleset: Arc<Ruleset>,
    now: Arc<AtomicI64>,
}

impl Served {
    fn over(store: &Store) -> Self {
        let ruleset = Arc::new(Ruleset::default());
        let now = Arc::new(AtomicI64::new(NOW));
        let clock = now.clone();
        let loader = Loader::new(
            store.clone(),
            ruleset.clone(),
            Host::new().expect("a host"),
            Arc::new(move || clock.load(Ordering::SeqCst)),
        );
        Self { loader, ruleset, now }
    }

    /// The epoch it would decide under.
    async fn load(&self, id: &str, at_least: u64) -> Option<u64> {
        let loaded = self.loader.load(id, at_least).await.expect("asked");
        loaded.map(|active| active.activation.epoch)
    }
}

async fn a_gateway_serves_a_campaign_until_it_is_archived_and_again_when_it_is_extended(db: Database) {
    sale(&db.store, 5).await;
    db.execute("UPDATE stock SET sold = total WHERE sku_id = 'hat'")
        .await;
    let served = Served::over(&db.store);
    assert_eq!(served.load("spring", 0).await, Some(1));
    let schedule = revision("spring").schedule;

    // It becomes archived while it is served.
    served.now.store(schedule.archived_at(), Ordering::SeqCst);
    served.loader.sync().await.expect("synced");
    assert!(served.ruleset.get("spring").is_none());
    let archived = served.ruleset.archived("spring").expect("remembered");
    assert_eq!(archived.schedule, schedule);
    assert_eq!(
        archived.skus,
        [("shoe".to_owned(), false), ("hat".to_owned(), true)]
    );
    assert_eq!(served.load("spring", 0).await, None);

    // A gateway that never served it learns it when somebody asks, and asks the database once.
    let other = Served::over(&db.store);
    other.now.store(schedule.archived_at(), Ordering::SeqCst);
    assert_eq!(other.load("spring", 0).await, None);
    let remembered = other.ruleset.archived("spring").expect("remembered");
    assert_eq!(
        (remembered.schedule, &remembered.skus),
        (schedule, &archived.skus)
    );

    // One that hears of nothing: no look, and nobody told it.
    let deaf = Served::over(&db.store);
    deaf.now.store(schedule.archived_at(), Ordering::SeqCst);
    assert_eq!(deaf.load("spring", 0).await, None);

    // It is extended: whoever activated it has it at once, the others with their next look.
    let mut later = revision("spring");
    later.schedule.closes_at = schedule.expires_at() + ARCHIVE_LEAD_MS;
    let number = db
        .store
        .insert_revision(&later, Vec::new())
        .await
        .expect("stored");
    let active = testkit::database::activate(&db.store, "spring", number, NOW).await;
    let expected = Activation {
        epoch: 2,
        revision: 2,
    };
    assert_eq!(active.expect("activated"), expected);
    assert_eq!(served.load("spring", 2).await, Some(2));
    assert_eq!(served.ruleset.archived("spring"), None);
    other.loader.sync().await.expect("synced");
    assert_eq!(other.load("spring", 0).await, Some(2));
    // For as long as an activation waits before it answers, it may go on saying that the sale is over.
    tokio::time::sleep(ANSWER_MAX).await;
    deaf.loader.renew("spring").await.expect("asked");
    let epoch = deaf.ruleset.get("spring").map(|active| active.activation.epoch);
    assert_eq!(epoch, Some(2));
}

async fn a_thousand_invented_names_cost_a_few_reads(db: Database) {
    let served = Served::over(&db.store);
    let begun = Instant::now();
    let names: Vec<String> = (0..1000).map(|n| format!("invented-{n}")).collect();
    let found = join_all(names.iter().map(|name| served.load(name, 0))).await;
    assert!(found.iter().all(Option::is_none));
    // There are ten reads a second at most: one for each name would take 100 s.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());

    // One that another gateway has just made is found at once all the same.
    sale(&db.store, 5).await;
    assert_eq!(served.load("spring", 0).await, Some(1));
    // Where the database does not answer, nobody is told that there is no such campaign.
    db.execute("ALTER TABLE campaigns RENAME TO elsewhere").await;
    assert!(served.loader.load("autumn", 0).await.is_err());
    assert_eq!(served.load("spring", 0).await, Some(1));
}

async fn a_gateway_keeps_the_skus_of_a_campaign_once_for_all_of_its_revisions(db: Database) {
    sale(&db.store, 5).await;
    for number in [2, 3] {
        let stored = db.store.insert_revision(&revision("spring"), Vec::new()).await;
        assert_eq!(stored.expect("stored"), number);
    }
    let served = Served::over(&db.store);
    let active = served.loader.load("spring", 0).await.expect("asked");
    let active = active.expect("is served");
    for number in [1, 2, 3] {
        let compiled = served.loader.revision("spring", number).await.expect("asked");
        let compiled = compiled.expect("is there");
        for skus in [&compiled.campaign.skus, &compiled.family.plan.context().skus] {
            assert!(skus.is_shared_with(&active.campaign.skus), "revision {number}");
        }
    }

    // Other units are another list.
    db.execute("UPDATE stock SET total = total + 1 WHERE campaign_id = 'spring'")
        .await;
    let stored = db.store.insert_revision(&revision("spring"), Vec::new()).await;
    assert_eq!(stored.expect("stored"), 4);
    let compiled = served.loader.revision("spring", 4).await.expect("asked");
    let compiled = compiled.expect("is there");
    assert!(!compiled.campaign.skus.is_shared_with(&active.campaign.skus));
}
