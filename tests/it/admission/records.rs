//! What leaves a gateway: one record per outbox entry, the same bytes whoever sends it.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use rushgate::order::Ordinal;
use rushgate::record::{RECORD_BYTES_MAX, Record};
use rushgate::seal::{Key, Keyring, Seal};

use super::*;

fn keys() -> Arc<Keyring> {
    let key = Key::new("k1".parse().expect("an id"), &[7; 32]).expect("a key");
    Arc::new(Keyring::new(vec![key]).expect("a ring"))
}

/// Buyers, and what a client notes of each.
fn buyers() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(("\\PC{1,12}", "\\PC{1,12}"), 1..12)
}

/// A stage whose plan reads the note.
async fn noting(config: Config) -> Stage {
    let stage = stage(config).await;
    let mut plan = per_user(9);
    plan.counters[0].key.push(Attribute::Client("note".to_owned()));
    let second = Activation {
        epoch: 2,
        revision: 2,
    };
    stage.activate_plan(plan, second).await;
    // Fences this gateway, which then has the plan.
    let of_nothing = Attempt {
        sku: "cup".to_owned(),
        ..attempt("nobody", "1")
    };
    let refused = stage.admission.place(CAMPAIGN, of_nothing, true).await;
    assert!(matches!(refused, Ok(Placement::Rejected(_))), "{refused:?}");
    stage
}

async fn place_all(stage: &Stage, buyers: &[(String, String)]) {
    let placing = buyers.iter().enumerate().map(|(number, (user, note))| {
        let attempt = Attempt {
            attributes: [("client:note".to_owned(), note.clone())].into(),
            ..attempt(user, &number.to_string())
        };
        stage.admission.place(CAMPAIGN, attempt, true)
    });
    futures_util::future::join_all(placing).await;
}

async fn sent_twice(buyers: Vec<(String, String)>, keys: Option<Arc<Keyring>>) {
    let stage = noting(Config {
        keys: keys.clone(),
        ..Config::default()
    })
    .await;
    stage.bus.refuse.store(true, Ordering::SeqCst);
    place_all(&stage, &buyers).await;
    let entries = stage.status().await.outbox;
    let own = std::mem::take(&mut *stage.bus.refused.lock().expect("no panic"));
    stage.bus.refuse.store(false, Ordering::SeqCst);
    until_outbox(&stage, 0).await;
    let batches = stage.bus.batches.lock().expect("no panic");
    let relayed: Vec<_> = batches.iter().flat_map(|(batch, _)| batch).collect();
    assert_eq!(relayed.len() as i64, entries);
    for record in &relayed {
        assert!(own.contains(record), "{record:?}");
        let read = record::decode(&record.payload).expect("a record");
        let scope = read.header.scope();
        let (seal, expected) = match &keys {
            Some(_) => (keys.as_deref(), Seal::Genuine),
            None => (None, Seal::Missing),
        };
        for payload in &read.payloads {
            assert_eq!(
                Payload::read(payload).expect("a payload").seal(&scope, seal),
                expected
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// What the admitting gateway sends at once, and what any relay makes of the entry later.
    #[test]
    fn a_relay_sends_the_same_bytes_as_the_gateway_that_admitted((buyers, sealed) in (buyers(), any::<bool>())) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(sent_twice(buyers, sealed.then(keys)));
    }
}

/// Every record that the bus has.
fn records(published: &[Vec<u8>]) -> Vec<Record<'_>> {
    published
        .iter()
        .map(|bytes| record::decode(bytes).expect("a record"))
        .collect()
}

async fn published(stage: &Stage) -> Vec<Vec<u8>> {
    stage.drained().await;
    let batches = stage.bus.batches.lock().expect("no panic");
    let all = batches.iter().flat_map(|(batch, _)| batch);
    all.map(|out| out.payload.clone()).collect()
}

#[tokio::test]
async fn orders_are_numbered_in_the_order_they_were_admitted_in() {
    let stage = stage(Config::default()).await;
    let named = |names: &[&str]| -> Vec<_> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), String::new()))
            .collect()
    };
    place_all(&stage, &named(&["ada", "bob", "cy"])).await;
    let second = Activation {
        epoch: 2,
        revision: 2,
    };
    stage.activate(2, second).await;
    place_all(&stage, &named(&["dan", "eve"])).await;
    let published = published(&stage).await;
    let mut ordinals = BTreeSet::new();
    for Record { header, payloads } in records(&published) {
        assert_eq!(u64::from(header.revision), header.epoch);
        ordinals.extend((header.first..).take(payloads.len()).map(|number| Ordinal {
            epoch: header.epoch,
            number,
        }));
    }
    let of =
        |epoch, numbers: std::ops::RangeInclusive<u64>| numbers.map(move |number| Ordinal { epoch, number });
    assert_eq!(ordinals, of(1, 1..=3).chain(of(2, 4..=5)).collect());
}

/// The campaign, each order alone until it goes over.
fn of_version(version: RecordVersion, epoch: u64) -> Arc<Active> {
    let of = active(9, ACTIVATION);
    let campaign = Campaign {
        record_version: version,
        ..of.campaign.clone()
    };
    let activation = Activation { epoch, revision: 1 };
    let compiled = Compiled::build(campaign, of.revision.clone()).expect("a valid plan");
    Arc::new(Active::new(compiled, activation, Vec::new()))
}

/// Users of what the bus has, apart by whether they travelled alone.
async fn travelled(stage: &Stage) -> (Vec<String>, Vec<String>) {
    until_outbox(stage, 0).await;
    let (together, alone): (Vec<_>, Vec<_>) = published(stage)
        .await
        .into_iter()
        .partition(|bytes| record::is_record(bytes));
    let user = |event: OrderEvent| event.user;
    let alone = alone
        .iter()
        .map(|bytes| OrderEvent::decode(bytes).expect("an order"));
    let together = together.iter().flat_map(|bytes| events(bytes));
    (alone.map(user).collect(), together.map(user).collect())
}

#[tokio::test]
async fn a_campaign_goes_over_between_two_orders_and_what_waits_is_relayed_as_it_was() {
    let stage = stage_of(of_version(RecordVersion::V1, 1), Config::default()).await;
    stage.bus.refuse.store(true, Ordering::SeqCst);
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Pending);
    let over = of_version(RecordVersion::V2, 2);
    *stage.database.newest.lock().expect("no panic") = over.clone();
    stage.move_fence(&over).await;
    assert_eq!(state(stage.place("bob", "1").await).0, OrderState::Pending);
    assert!(
        state(stage.place("ada", "1").await).1,
        "it is the same order as before"
    );
    stage.bus.refuse.store(false, Ordering::SeqCst);
    assert_eq!(
        travelled(&stage).await,
        (vec!["ada".to_owned()], vec!["bob".to_owned()])
    );
}

#[tokio::test]
async fn an_older_gateway_that_hears_of_the_epoch_first_is_overtaken() {
    let stage = stage_of(of_version(RecordVersion::V1, 1), Config::default()).await;
    let (old, over) = (of_version(RecordVersion::V1, 2), of_version(RecordVersion::V2, 2));
    // It read the new epoch and knows nothing of versions.
    stage.move_fence(&old).await;
    *stage.database.newest.lock().expect("no panic") = over.clone();
    assert_eq!(state(stage.place("ada", "1").await).0, OrderState::Accepted);
    assert_eq!(stage.status().await.fence, Some(over.fence()));
    assert_eq!(travelled(&stage).await, (vec![], vec!["ada".to_owned()]));
}

#[tokio::test]
async fn a_database_from_before_the_step_closes_the_gate_and_asks_no_engine_again_and_again() {
    let stage = stage_of(of_version(RecordVersion::V1, 1), Config::default()).await;
    stage.move_fence(&of_version(RecordVersion::V2, 2)).await;
    for epoch in 1..=3 {
        *stage.database.newest.lock().expect("no panic") = of_version(RecordVersion::V1, epoch);
        match stage.place("ada", "1").await {
            Err(AdmissionError::GateClosed { why, .. }) => {
                assert_eq!(why, "the engine is ahead of the database");
            }
            other => panic!("{epoch}: {other:?}"),
        }
    }
}

/// What the engine answers of the only entry, changed.
async fn entry(stage: &Stage) -> calls::RawEntry {
    let key = Shard::new(CAMPAIGN, 0).state();
    let args = rushgate::lua::repair::ledger_args(100);
    let reply = stage
        .engine
        .inner
        .run(&fixed::LEDGER, &key, args)
        .await
        .expect("runs");
    let ledger = rushgate::lua::repair::ledger_reply(reply).expect("a ledger");
    ledger.outbox.expect("few").remove(0)
}

#[tokio::test]
async fn what_cannot_be_sent_is_none_of_the_events_and_what_can_be_is() {
    let stage = stage(Config::default()).await;
    stage.bus.refuse.store(true, Ordering::SeqCst);
    place_all(&stage, &[("ada".to_owned(), String::new())]).await;
    let (under, good) = (active(1, ACTIVATION), entry(&stage).await);
    let users = |entry: &calls::RawEntry| -> Result<Vec<String>, String> {
        let events = outbox::events(&under, 0, entry)?;
        Ok(events.into_iter().map(|event| event.user).collect())
    };
    let mut damaged = good.clone();
    damaged.payloads.push(b"nonsense".to_vec());
    assert_eq!(users(&damaged), Ok(vec!["ada".to_owned()]));
    let mut of_a_later_build = good.clone();
    of_a_later_build.packed = good.packed.map(|packed| calls::Packed {
        evaluator: 99,
        ..packed
    });
    let mut large = good.clone();
    large.payloads.push(vec![0; RECORD_BYTES_MAX]);
    for (wrong, why) in [(of_a_later_build, "made by evaluator 99"), (large, "at most")] {
        let events = users(&wrong).expect_err("it cannot be sent");
        let orders = outbox::Orders::of(&under, 0, &wrong).expect_err("it cannot be sent");
        assert!(events.contains(why) && events == orders, "{events}, {orders}");
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_for_a_record_is_asked_for_in_parts() {
    let stage = noting(Config::default()).await;
    let text = "x".repeat(60_000);
    let buyers: Vec<_> = (0..9)
        .map(|number| (format!("u{number}"), text.clone()))
        .collect();
    place_all(&stage, &buyers).await;
    let published = published(&stage).await;
    assert!(published.iter().all(|bytes| bytes.len() <= RECORD_BYTES_MAX));
    let each: Vec<usize> = records(&published)
        .iter()
        .map(|record| record.payloads.len())
        .collect();
    assert_eq!(each.iter().sum::<usize>(), 9, "{each:?}");
    assert!(each.iter().all(|orders| (1..=4).contains(orders)), "{each:?}");
}
