//! Gateways whose own clocks are minutes off: what a buyer is told of time is the engine's.

use std::sync::atomic::AtomicI64;

use serde_json::Value;

use super::front::Front;
use super::*;

const MINUTE_MS: i64 = 60_000;
/// How far what is told may be from the engine's clock, milliseconds.
const SLACK_MS: i64 = 50;
/// Of the rolling window, in seconds.
const COOLDOWN_S: i64 = 30;

fn own() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A gateway, and an engine whose clock is `ahead` of the gateway's.
struct Apart {
    stage: Stage,
    front: Front,
    ahead: Arc<AtomicI64>,
}

/// One order within [`COOLDOWN_S`], of a sale that opens and closes so long after now by the engine's clock.
fn sale(now: i64, opens_in: i64, closes_in: i64) -> Arc<Active> {
    let mut plan = per_user(1);
    plan.counters[0].window = Window::Rolling {
        length_ms: COOLDOWN_S * 1000,
    };
    let active = active_with(plan, ACTIVATION);
    let mut revision = active.revision.clone();
    (revision.schedule.opens_at, revision.schedule.closes_at) = (now + opens_in, now + closes_in);
    let compiled = Compiled::build(active.campaign.clone(), revision).expect("a valid plan");
    Arc::new(Active::new(compiled, ACTIVATION, Vec::new()))
}

impl Apart {
    async fn new(ahead: i64, opens_in: i64, closes_in: i64) -> Self {
        let first = sale(own() + ahead, opens_in, closes_in);
        let ahead = Arc::new(AtomicI64::new(ahead));
        let clock = ahead.clone();
        let engine = Embedded::with_clock(Arc::new(move || (own() + clock.load(Ordering::SeqCst)) * 1000));
        let stage = stage_over(engine, first, Config::default()).await;
        let front = Front::over(&stage).await;
        Self { stage, front, ahead }
    }

    fn engine_now(&self) -> i64 {
        own() + self.ahead.load(Ordering::SeqCst)
    }

    async fn order(&self) -> (u16, Option<i64>, Value) {
        let body = r#"{"sku":"mug","quantity":1}"#;
        let reply = self.front.order("dev:ada", None, body).await;
        (reply.status, reply.wait, reply.json)
    }

    async fn state(&self) -> String {
        let reply = self.front.get("").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json["state"].as_str().expect("a state").to_owned()
    }

    fn is_told(&self, moment: i64) -> bool {
        (moment - self.engine_now()).abs() <= SLACK_MS
    }
}

/// A moment as JSON has it.
fn moment(value: &Value) -> i64 {
    let text = value.as_str().expect("a moment");
    text.parse::<jiff::Timestamp>()
        .expect("RFC 3339")
        .as_millisecond()
}

/// The clocks of two gateways, against the engine's.
const OFF: [i64; 2] = [2 * MINUTE_MS, -2 * MINUTE_MS];

#[tokio::test]
async fn an_early_buyer_is_told_to_wait_by_the_clock_that_opens() {
    for ahead in OFF {
        let apart = Apart::new(ahead, MINUTE_MS, 10 * MINUTE_MS).await;
        // Nobody has asked the engine anything yet.
        assert_eq!(apart.state().await, "scheduled", "{ahead}");
        assert!(apart.is_told(apart.stage.admission.now(CAMPAIGN)), "{ahead}");
        let (status, wait, problem) = apart.order().await;
        assert_eq!((status, problem["reason"].as_str()), (425, Some("not-open")));
        assert!(matches!(wait, Some(59 | 60)), "{ahead}: {wait:?}");
        let opens_in = moment(&problem["retry_at"]) - apart.engine_now();
        assert!((55_000..=60_000).contains(&opens_in), "{ahead}: {opens_in}");
    }
}

#[tokio::test]
async fn a_buyer_is_told_when_to_come_again_by_the_clock_that_counts() {
    for ahead in OFF {
        let apart = Apart::new(ahead, -MINUTE_MS, 10 * MINUTE_MS).await;
        assert_eq!(apart.state().await, "open", "{ahead}");
        let (status, _, order) = apart.order().await;
        assert_eq!(status, 202, "{order}");
        assert!(apart.is_told(moment(&order["placed_at"])), "{ahead}: {order}");
        let (status, wait, problem) = apart.order().await;
        assert_eq!(status, 409, "{problem}");
        assert_eq!(wait, Some(COOLDOWN_S), "{ahead}");
        let quota = apart.front.get("/quota").await.json;
        assert!(apart.is_told(moment(&quota["as_of"])), "{ahead}: {quota}");
        let resets_in = moment(&quota["constraints"][0]["resets_at"]) - apart.engine_now();
        assert!(
            (COOLDOWN_S * 1000 - 5000..=COOLDOWN_S * 1000).contains(&resets_in),
            "{ahead}: {resets_in}"
        );
    }
}

#[tokio::test]
async fn a_sale_is_over_by_the_clock_that_closes_it_and_not_before() {
    for ahead in OFF {
        let closed = Apart::new(ahead, -10 * MINUTE_MS, -MINUTE_MS).await;
        assert_eq!(closed.state().await, "closed", "{ahead}");
        let (status, _, problem) = closed.order().await;
        assert_eq!((status, problem["reason"].as_str()), (410, Some("closed")));
        let open = Apart::new(ahead, -10 * MINUTE_MS, MINUTE_MS).await;
        assert_eq!(open.state().await, "open", "{ahead}");
    }
}

#[tokio::test]
async fn an_engine_whose_state_is_lost_says_what_time_it_is_all_the_same() {
    for ahead in OFF {
        let apart = Apart::new(ahead, -10 * MINUTE_MS, MINUTE_MS).await;
        apart.stage.engine.inner.forget(|_| true);
        // By the gateway's clock, the sale may be over.
        let (status, _, problem) = apart.order().await;
        assert_eq!(status, 503, "{ahead}: {problem}");
        assert!(apart.is_told(apart.stage.admission.now(CAMPAIGN)), "{ahead}");
        assert_eq!(apart.state().await, "open", "{ahead}");
    }
}

#[tokio::test]
async fn an_engine_that_is_away_is_believed_as_it_was_last_heard() {
    for ahead in OFF {
        let apart = Apart::new(ahead, -10 * MINUTE_MS, MINUTE_MS).await;
        assert_eq!(apart.state().await, "open", "{ahead}");
        apart.stage.engine.down.store(true, Ordering::SeqCst);
        assert_eq!(apart.state().await, "open", "{ahead}");
        assert!(apart.is_told(apart.stage.admission.now(CAMPAIGN)), "{ahead}");
        // It comes back with its clock set.
        apart.ahead.store(-ahead, Ordering::SeqCst);
        apart.stage.engine.down.store(false, Ordering::SeqCst);
        apart.stage.admission.look().await;
        assert!(apart.is_told(apart.stage.admission.now(CAMPAIGN)), "{ahead}");
    }
}
