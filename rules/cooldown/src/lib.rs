//! So much time must pass between two orders of a user, or of another subject.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rushgate_rule::params::{AttributeParam, Missing, Span, Subject};
use rushgate_rule::{
    Context, Diagnostic, Example, Need, Order, Plan, Reason, Rule, Window, client, counter_id, int, json,
    refuse, schemars,
};
use schemars::JsonSchema;
use serde::Deserialize;

const COOLDOWN: Reason = Reason::new("cooldown", "The last order was too short a time ago").retryable();
const MISSING: Reason = Reason::new(
    "subject-missing",
    "The order does not say for whom the pause is counted",
);

/// The longest rolling window the host allows.
const PAUSE_MAX: Span = Span::from_days(800);

/// Parameters of cooldown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How much time must pass between two orders.
    pause: Span,
    /// Between two orders of whom: attributes such as "user", "ip", "client:device", "claim:account". Several
    /// together are one subject per combination.
    #[serde(default = "Subject::user")]
    by: Subject,
    /// What becomes of an order that lacks one of these attributes.
    #[serde(default)]
    missing: Missing,
}

struct Cooldown;

impl Rule for Cooldown {
    type Params = Params;

    const ID: &'static str = "cooldown";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Pause between orders";
    const SUMMARY: &'static str =
        "So much time must pass between two orders of a user, or of another subject such as a device.";
    const REASONS: &'static [Reason] = &[COOLDOWN, MISSING];

    fn attributes() -> Vec<Need> {
        AttributeParam::needs()
    }

    fn examples() -> Vec<Example> {
        let seconds = Duration::from_secs;
        let device = |user: &str| Order::by(user).with(client("device"), "d1");
        vec![
            Example::new("thirty seconds between two orders", json!({"pause": "30s"}))
                .admits(Order::by("ann"))
                .rejects(Order::by("ann").after(Duration::from_millis(29_999)), &COOLDOWN)
                .admits(Order::by("bob").after(Duration::from_millis(29_999)))
                .admits(Order::by("ann").after(seconds(30)))
                .rejects(Order::by("ann").after(seconds(31)), &COOLDOWN),
            Example::new(
                "a pause for each device",
                json!({"pause": "1m", "by": ["client:device"]}),
            )
            .admits(device("ann"))
            .rejects(device("bob").after(seconds(59)), &COOLDOWN)
            .admits(device("bob").after(seconds(60)))
            .rejects(Order::by("cid").after(seconds(60)), &MISSING),
            Example::new(
                "orders without a device have no pause where that is allowed",
                json!({"pause": "1m", "by": ["client:device"], "missing": "allow"}),
            )
            .admits(Order::by("ann"))
            .admits(Order::by("ann"))
            .admits(device("ann"))
            .rejects(device("ann"), &COOLDOWN),
        ]
    }

    fn compile(_: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        let Params { pause, by, missing } = params;
        let mut problems = Vec::new();
        by.check("/by", &mut problems);
        if pause.ms() == 0 || pause > PAUSE_MAX {
            let problem = Diagnostic::error("/pause", "bound", format!("a pause of {pause} is not possible"));
            problems.push(problem.hint(format!("it is 1 millisecond to {PAUSE_MAX}")));
        }
        refuse(problems)?;

        let noun = by.noun();
        let mut plan = Plan::new();
        missing.require(&mut plan, &by, &MISSING);
        // The length is this rule's limit: the last order of a subject is kept until its next, so that a
        // longer pause counts from it at once. That is why the id does not change with it.
        let id = counter_id(&["last-order-per", &by.slug()]);
        let orders = plan.counter(
            id,
            by.key(),
            Window::Rolling(pause.duration()),
            missing.cost(&by, int(1)),
        );
        let sentence = format!("{pause} must pass between two orders of the same {noun}.");
        let pause = plan.require(orders.used().lt(1), &COOLDOWN, sentence);
        missing.only_given(pause, &by).measure(orders, 1);
        Ok(plan)
    }
}

rushgate_rule::export!(Cooldown);
