//! Windows at the edges of time: both clock changes of Europe/Berlin, midnight in Asia/Kolkata, and rolling
//! windows to the millisecond. Once with the clock handed to every side, and once on the clock of a Redis
//! that is made to believe it is that moment.

use jiff::Timestamp;
use rushgate::campaign::{Schedule, Sku};
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::CheckContext;
use rushgate::plan::decision::{Decision, Rejection};
use serde_json::{Value, json};
use testkit::modules::{Modules, Rule};

use crate::engines::report;
use crate::engines::sides::Time;
use crate::engines::world::World;

/// A moment, and whether the order is admitted then.
type Step = (&'static str, bool);

struct Story {
    name: &'static str,
    module: &'static str,
    params: Value,
    steps: &'static [Step],
}

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("a timestamp").as_millisecond()
}

/// Open all through 2026.
fn context() -> CheckContext {
    CheckContext {
        campaign: "year".into(),
        schedule: Schedule {
            opens_at: ms("2026-01-01T00:00:00Z"),
            closes_at: ms("2027-01-01T00:00:00Z"),
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        skus: vec![Sku::new("mug", 1000)].into(),
        audiences: Default::default(),
        buckets: 4,
    }
}

fn play(story: &Story, time: Time) -> usize {
    let rule = Rule::new(story.module, story.params.clone());
    let plan = Modules::shared().merged(&[rule], &context());
    let mut world = World::open(plan, context(), time);
    for (index, (at, admitted)) in story.steps.iter().enumerate() {
        let attempt = Attempt {
            order: OrderId::keyed("year", "ann", &index.to_string()),
            user: "ann".into(),
            sku: "mug".into(),
            quantity: 1,
            attributes: Default::default(),
        };
        let decision = world.admit(ms(at), &[attempt]).remove(0);
        assert_eq!(world.now, ms(at), "{}: the clock of Redis", story.name);
        let Decision::Rejected(Rejection::Constraint { wait, .. }) = &decision else {
            assert!(
                *admitted && decision == Decision::Admitted,
                "{} at {at}: {decision:?}",
                story.name
            );
            continue;
        };
        assert!(!admitted, "{} at {at}: {decision:?}", story.name);
        // The next order of these stories that is admitted comes at the very moment the answer names.
        let next = story.steps[index..].iter().find(|(_, admitted)| *admitted);
        assert_eq!(wait.until(), next.map(|(at, _)| ms(at)), "{} at {at}", story.name);
    }
    world.assert_same_state();
    story.steps.len()
}

fn calendar(unit: &str, zone: &str) -> Value {
    json!({"limit": 1, "window": {unit: zone}})
}

fn stories() -> Vec<Story> {
    let story = |name, module, params, steps| Story {
        name,
        module,
        params,
        steps,
    };
    vec![
        // 29 March has 23 hours in Berlin: at 01:00 UTC, two o'clock is three.
        story(
            "day, spring",
            "per-window",
            calendar("day", "Europe/Berlin"),
            &[
                ("2026-03-28T22:59:59.999Z", true),
                ("2026-03-28T23:00:00Z", true),
                ("2026-03-29T00:59:59.999Z", false),
                ("2026-03-29T01:00:00Z", false),
                ("2026-03-29T21:59:59.999Z", false),
                ("2026-03-29T22:00:00Z", true),
                ("2026-03-30T21:59:59.999Z", false),
                ("2026-03-30T22:00:00Z", true),
            ],
        ),
        // 25 October has 25 hours: half past two is there twice, at 00:30 and 01:30 UTC.
        story(
            "day, autumn",
            "per-window",
            calendar("day", "Europe/Berlin"),
            &[
                ("2026-10-24T21:59:59.999Z", true),
                ("2026-10-24T22:00:00Z", true),
                ("2026-10-25T00:30:00Z", false),
                ("2026-10-25T01:30:00Z", false),
                ("2026-10-25T22:59:59.999Z", false),
                ("2026-10-25T23:00:00Z", true),
                ("2026-10-26T22:59:59.999Z", false),
                ("2026-10-26T23:00:00Z", true),
            ],
        ),
        story(
            "week, spring",
            "per-window",
            calendar("week", "Europe/Berlin"),
            &[
                ("2026-03-22T22:59:59.999Z", true),
                ("2026-03-22T23:00:00Z", true),
                ("2026-03-29T21:59:59.999Z", false),
                ("2026-03-29T22:00:00Z", true),
            ],
        ),
        story(
            "week, autumn",
            "per-window",
            calendar("week", "Europe/Berlin"),
            &[
                ("2026-10-18T21:59:59.999Z", true),
                ("2026-10-18T22:00:00Z", true),
                ("2026-10-25T22:59:59.999Z", false),
                ("2026-10-25T23:00:00Z", true),
            ],
        ),
        story(
            "month, spring",
            "per-window",
            calendar("month", "Europe/Berlin"),
            &[
                ("2026-02-28T22:59:59.999Z", true),
                ("2026-02-28T23:00:00Z", true),
                ("2026-03-31T21:59:59.999Z", false),
                ("2026-03-31T22:00:00Z", true),
            ],
        ),
        story(
            "month, autumn",
            "per-window",
            calendar("month", "Europe/Berlin"),
            &[
                ("2026-09-30T21:59:59.999Z", true),
                ("2026-09-30T22:00:00Z", true),
                ("2026-10-31T22:59:59.999Z", false),
                ("2026-10-31T23:00:00Z", true),
            ],
        ),
        // Midnight in India is 18:30 UTC, all year.
        story(
            "day, India",
            "per-window",
            calendar("day", "Asia/Kolkata"),
            &[
                ("2026-03-29T18:29:59.999Z", true),
                ("2026-03-29T18:30:00Z", true),
                ("2026-03-30T00:00:00Z", false),
                ("2026-03-30T18:29:59.999Z", false),
                ("2026-03-30T18:30:00Z", true),
            ],
        ),
        // Lengths are real time, whatever the clocks on the wall do.
        story(
            "rolling day, spring",
            "per-window",
            json!({"limit": 1, "window": {"rolling": "24h"}}),
            &[
                ("2026-03-28T12:00:00.500Z", true),
                ("2026-03-29T12:00:00.499Z", false),
                ("2026-03-29T12:00:00.500Z", true),
            ],
        ),
        story(
            "rolling second",
            "per-window",
            json!({"limit": 1, "window": {"rolling": "1s"}}),
            &[
                ("2026-06-01T00:00:00.001Z", true),
                ("2026-06-01T00:00:01.000Z", false),
                ("2026-06-01T00:00:01.001Z", true),
            ],
        ),
        story(
            "rolling millisecond",
            "per-window",
            json!({"limit": 1, "window": {"rolling": "1ms"}}),
            &[
                ("2026-06-01T00:00:00.001Z", true),
                ("2026-06-01T00:00:00.001Z", false),
                ("2026-06-01T00:00:00.002Z", true),
            ],
        ),
        story(
            "rolling, two orders",
            "per-window",
            json!({"limit": 2, "window": {"rolling": "1h"}}),
            &[
                ("2026-10-25T00:20:00Z", true),
                ("2026-10-25T00:50:00Z", true),
                ("2026-10-25T01:19:59.999Z", false),
                ("2026-10-25T01:20:00Z", true),
                ("2026-10-25T01:49:59.999Z", false),
                ("2026-10-25T01:50:00Z", true),
            ],
        ),
        story(
            "cooldown",
            "cooldown",
            json!({"pause": "30s"}),
            &[
                ("2026-10-25T00:59:45Z", true),
                ("2026-10-25T01:00:14.999Z", false),
                ("2026-10-25T01:00:15Z", true),
            ],
        ),
        story(
            "tumbling",
            "per-window",
            json!({"limit": 1, "window": {"tumbling": {"length": "90m", "from": "2026-03-29T00:30:00Z"}}}),
            &[
                ("2026-03-29T00:29:59.999Z", true),
                ("2026-03-29T00:30:00Z", true),
                ("2026-03-29T01:59:59.999Z", false),
                ("2026-03-29T02:00:00Z", true),
            ],
        ),
    ]
}

#[test]
fn windows_begin_and_end_to_the_millisecond() {
    let stories = stories();
    let steps: usize = stories.iter().map(|story| play(story, Time::Frozen)).sum();
    let count = stories.len();
    report::cases(
        count,
        &format!("stories of windows over all sides, {steps} moments"),
    );
}

#[test]
fn windows_begin_and_end_to_the_millisecond_on_the_clock_of_redis() {
    let stories = stories();
    let steps: usize = stories.iter().map(|story| play(story, Time::Faked)).sum();
    let count = stories.len();
    report::cases(
        count,
        &format!("stories of windows on a faked clock of Redis, {steps} moments"),
    );
}
