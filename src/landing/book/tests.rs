//! What is held against an order: everything an engine admits passes, and nothing else that is tried here.

use super::facts::SLACK_MS;
use super::*;
use crate::campaign::{Activation, Campaign, RecordVersion};
use crate::order::{Attempt, NO_LIMIT, OrderId, fingerprint};
use crate::plan::samples::{Act, Expected, Sample, Step, samples};
use crate::plan::{self, CheckedPlan, eval};
use crate::revision::PinnedRule;

const PLAN: &str = "the plan's digest";
const MODULE: &str = "its module's digest";

pub(super) fn book(sample: &Sample) -> Book {
    let (row, revision) = stored(sample);
    let mut book = Book::default();
    book.put(&reading(row), 1, Some(revision));
    book
}

/// Two revisions of it were in force.
pub(super) fn reading(row: CampaignRow) -> Reading {
    let activated = [1, 2].into();
    Reading { row, activated }
}

/// What the database has of a sample.
pub(super) fn stored(sample: &Sample) -> (CampaignRow, Revision) {
    let context = &sample.context;
    let campaign = Campaign {
        id: context.campaign.clone(),
        title: String::new(),
        skus: context.skus.clone(),
        uid: String::new(),
        buckets: context.buckets,
        shards: 1,
        partitions: None,
        record_version: RecordVersion::V1,
        created_at: 0,
    };
    let revision = Revision {
        campaign: campaign.id.clone(),
        number: 1,
        rules: vec![PinnedRule {
            name: "sample".to_owned(),
            module: "sample".to_owned(),
            version: "1.0.0".to_owned(),
            digest: MODULE.to_owned(),
            params: serde_json::Value::Null,
        }],
        schedule: context.schedule,
        plan: sample.plan.clone(),
        plan_digest: PLAN.to_owned(),
        audiences: context.audiences.clone(),
        folds: Default::default(),
        shadow: None,
        stock: None,
        created_at: 0,
    };
    let row = CampaignRow {
        campaign,
        activation: Activation {
            epoch: 1,
            revision: 1,
        },
        schedule: context.schedule,
        pause: Default::default(),
        restock: None,
        stock_change: 0,
        origins: None,
        merchant: "default".to_owned(),
        issuer_changes: 0,
        four_eyes: Default::default(),
        tag: String::new(),
    };
    (row, revision)
}

/// The orders of a sample that are admitted, as a gateway publishes them.
pub(super) fn admitted(sample: &Sample) -> Vec<OrderEvent> {
    let plan = plan::check(sample.plan.clone(), sample.context.clone()).expect("a plan");
    let event = |step: &Step| match &step.act {
        Act::Attempt {
            attempt,
            expect: Expected::Admitted,
        } => Some(placed(sample, &plan, attempt, step.at_ms)),
        _ => None,
    };
    sample.steps.iter().filter_map(event).collect()
}

/// An attempt as a gateway would publish it, had it been admitted so long after the opening.
pub(super) fn placed(sample: &Sample, plan: &CheckedPlan, attempt: &Attempt, at_ms: i64) -> OrderEvent {
    let placed_at = sample.context.schedule.opens_at + at_ms;
    let campaign = &sample.context.campaign;
    OrderEvent {
        modules: vec![MODULE.to_owned()],
        charges: eval::charges(plan, attempt, placed_at),
        ..OrderEvent::of(attempt.clone(), campaign, 0, (1, PLAN), placed_at)
    }
}

pub(super) fn clock(now: i64) -> Clock {
    Clock {
        now,
        deadline_ms: 2000,
    }
}

/// Weighed as a sealed record, at the moment it was placed.
fn weigh(book: &Book, event: &mut OrderEvent) -> Weight {
    let now = event.placed_at;
    book.weigh(event, true, None, clock(now))
}

pub(super) fn named(name: &str) -> Sample {
    let found = samples().into_iter().find(|sample| sample.name == name);
    found.expect("a sample of this name")
}

#[test]
fn whatever_an_engine_admits_is_plausible() {
    let mut orders = 0;
    for sample in samples() {
        let book = book(&sample);
        for mut event in admitted(&sample) {
            assert_eq!(weigh(&book, &mut event), Weight::Plausible, "{}", sample.name);
            orders += 1;
        }
    }
    assert!(orders > 50, "{orders}");
}

#[test]
fn what_nobody_can_have_been_admitted_with_is_implausible() {
    let sample = named("units per user");
    let (book, event) = (book(&sample), admitted(&sample).remove(0));
    let schedule = sample.context.schedule;
    let wrong = |what: &str, change: &dyn Fn(&mut OrderEvent)| {
        let mut forged = event.clone();
        change(&mut forged);
        match weigh(&book, &mut forged) {
            Weight::Implausible(why) => assert!(why.contains(what), "{what}: {why}"),
            other => panic!("{what}: {other:?}"),
        }
    };
    wrong("before", &|event| {
        event.placed_at = schedule.opens_at - SLACK_MS - 1
    });
    wrong("before", &|event| event.placed_at = i64::MIN);
    wrong("after", &|event| event.placed_at = schedule.closes_at + SLACK_MS);
    wrong("after", &|event| event.placed_at = i64::MAX);
    wrong("no SKU", &|event| event.sku = "yacht".into());
    wrong("no shard", &|event| event.shard = 1);
    wrong("its plan", &|event| event.plan = "another".into());
    wrong("its modules", &|event| event.modules.clear());
    wrong("fingerprint", &|event| event.quantity = 90_000);
    wrong("not charged", &|event| event.charges.clear());
    wrong("not the plan's", &|event| {
        event.quantity = 90_000;
        event.fingerprint = fingerprint(&event.sku, event.quantity);
    });
    wrong("not the plan's", &|event| event.charges[0].subject = "eve".into());
    wrong("not the plan's", &|event| event.charges[0].window = 1);
    wrong("twice", &|event| event.charges.push(event.charges[0].clone()));
}

#[test]
fn a_limit_is_the_revisions_whatever_the_record_says() {
    let sample = named("units per user");
    let (book, event) = (book(&sample), admitted(&sample).remove(0));
    let right = event.charges[0].limit;
    assert!(right.is_some());
    for said in [None, Some(i64::MAX), Some(0)] {
        let mut forged = event.clone();
        forged.charges[0].limit = said;
        assert_eq!(weigh(&book, &mut forged), Weight::Plausible);
        assert_eq!(forged.charges[0].limit, right);
    }
    // A charge the plan sets no limit for says so.
    let mut free = sample;
    free.plan.constraints.clear();
    let book = self::book(&free);
    let mut event = admitted(&free).remove(0);
    assert_eq!(weigh(&book, &mut event), Weight::Plausible);
    assert_eq!(event.charges[0].limit, Some(NO_LIMIT));
}

#[test]
fn early_access_is_within_the_revision() {
    let early = samples()
        .into_iter()
        .find(|sample| !sample.plan.early_access.is_empty());
    let sample = early.expect("a sample with early access");
    let lead = sample.plan.early_access.iter().map(|early| early.lead_ms).max();
    let (book, mut event) = (book(&sample), admitted(&sample).remove(0));
    let plan = plan::check(sample.plan.clone(), sample.context.clone()).expect("a plan");
    event.placed_at = sample.context.schedule.opens_at - lead.expect("one");
    let attempt = Attempt {
        order: event.order,
        user: event.user.clone(),
        sku: event.sku.clone(),
        quantity: event.quantity,
        attributes: event.attributes.clone(),
    };
    event.charges = eval::charges(&plan, &attempt, event.placed_at);
    assert_eq!(weigh(&book, &mut event), Weight::Plausible);
    event.placed_at -= SLACK_MS + 1;
    assert!(matches!(weigh(&book, &mut event), Weight::Implausible(_)));
}

#[test]
fn what_is_not_known_is_not_weighed() {
    let sample = named("units per user");
    let (book, event) = (book(&sample), admitted(&sample).remove(0));
    for (campaign, revision) in [("summer", 1), (event.campaign.as_str(), 4_000_000)] {
        let mut unknown = event.clone();
        unknown.order = OrderId::fresh(1, [0; 10]);
        unknown.campaign = campaign.to_owned();
        unknown.revision = revision;
        assert!(matches!(weigh(&book, &mut unknown), Weight::Unknown(_)));
    }
}

#[test]
fn a_revision_that_was_never_in_force_waits_for_our_own_records_alone() {
    let sample = named("units per user");
    let (row, revision) = stored(&sample);
    let mut never = reading(row);
    never.activated = [2].into();
    let mut book = Book::default();
    book.put(&never, 1, Some(revision));
    let mut event = admitted(&sample).remove(0);
    let now = event.placed_at;
    assert!(matches!(
        book.weigh(&mut event, true, None, clock(now)),
        Weight::Unknown(_)
    ));
    let weight = book.weigh(&mut event, false, None, clock(now));
    assert!(matches!(weight, Weight::Implausible(why) if why.contains("was never activated")));
    never.activated.insert(1);
    book.renew(&never);
    assert_eq!(book.weigh(&mut event, false, None, clock(now)), Weight::Plausible);
}

/// As a record of many carries it: without its receipt.
fn bare(event: &OrderEvent) -> OrderEvent {
    OrderEvent {
        modules: Vec::new(),
        charges: Vec::new(),
        ..event.clone()
    }
}

fn claim(event: &OrderEvent) -> Claim<'static> {
    Claim {
        uid: "",
        evaluator: crate::plan::eval::VERSION,
        asked_at: event.placed_at - 3,
    }
}

#[test]
fn an_order_without_a_receipt_gets_the_one_its_plan_makes() {
    let mut orders = 0;
    for sample in samples() {
        let book = book(&sample);
        for event in admitted(&sample) {
            let mut with = event.clone();
            assert_eq!(weigh(&book, &mut with), Weight::Plausible, "{}", sample.name);
            let mut without = bare(&event);
            let clock = clock(event.placed_at);
            let weight = book.weigh(&mut without, true, Some(claim(&event)), clock);
            assert_eq!(weight, Weight::Plausible, "{}", sample.name);
            assert_eq!(without, with, "{}", sample.name);
            orders += 1;
        }
    }
    assert!(orders > 0);
}

#[test]
fn what_a_record_claims_is_held_against_the_campaign_and_the_clocks() {
    let sample = named("units per user");
    let (book, event) = (book(&sample), admitted(&sample).remove(0));
    let weigh = |claim: Claim<'_>| {
        let (mut event, clock) = (bare(&event), clock(event.placed_at));
        let weight = book.weigh(&mut event, true, Some(claim), clock);
        (weight, event.charges.len())
    };
    let good = claim(&event);
    let most = 2000 + CLOCKS_MS;
    for apart in [-most, 0, most] {
        let asked_at = event.placed_at - apart;
        assert_eq!(weigh(Claim { asked_at, ..good }).0, Weight::Plausible, "{apart}");
    }
    for apart in [-most - 1, most + 1, i64::MAX] {
        let asked_at = event.placed_at.saturating_sub(apart);
        match weigh(Claim { asked_at, ..good }) {
            // Its letter holds the charges all the same: somebody may decide to land it.
            (Weight::Implausible(why), 1..) => assert!(why.contains("was asked for at"), "{why}"),
            other => panic!("{apart}: {other:?}"),
        }
    }
    match weigh(Claim {
        uid: "another",
        ..good
    }) {
        (Weight::Implausible(why), 1..) => assert!(why.contains("another campaign of this id"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn charges_that_this_build_cannot_make_are_waited_for() {
    let sample = named("units per user");
    let event = admitted(&sample).remove(0);
    let weigh = |book: &Book, claim: Claim<'_>| {
        let clock = clock(event.placed_at);
        match book.weigh(&mut bare(&event), true, Some(claim), clock) {
            Weight::Unknown(what) => what,
            other => panic!("{other:?}"),
        }
    };
    let newer = Claim {
        evaluator: crate::plan::eval::VERSION + 1,
        ..claim(&event)
    };
    assert!(weigh(&book(&sample), newer).contains("evaluator 2"));
    let (row, mut revision) = stored(&sample);
    revision.plan.counters[0].id = "A name of a build to come".to_owned();
    let mut unreadable = Book::default();
    unreadable.put(&reading(row), 1, Some(revision));
    assert!(weigh(&unreadable, claim(&event)).contains("cannot read the plan of revision 1"));
}
