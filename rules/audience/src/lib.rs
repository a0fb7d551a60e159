//! Only those on an uploaded list may order, or everybody but those.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use rushgate_rule::params::{AttributeParam, ListId};
use rushgate_rule::{
    Context, Diagnostic, Example, Need, Order, Plan, Reason, Rule, claim, ip, json, schemars,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const NOT_INVITED: Reason = Reason::new("not-invited", "Only invited buyers may order");
const BLOCKED: Reason = Reason::new("blocked", "This buyer may not order");

/// Parameters of audience.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The id of the uploaded list.
    list: ListId,
    /// Whether those on the list are the only ones who may order, or the only ones who may not.
    #[serde(default)]
    mode: Mode,
    /// The attribute whose value is looked up in the list: "user", "ip", "claim:company", "client:coupon".
    #[serde(default = "AttributeParam::user")]
    by: AttributeParam,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Allow,
    Deny,
}

struct Audience;

impl Rule for Audience {
    type Params = Params;

    const ID: &'static str = "audience";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const TITLE: &'static str = "Allowed or denied by a list";
    const SUMMARY: &'static str = "Only buyers on an uploaded list may order, or everybody but them.";
    const REASONS: &'static [Reason] = &[NOT_INVITED, BLOCKED];

    fn attributes() -> Vec<Need> {
        AttributeParam::needs()
    }

    fn examples() -> Vec<Example> {
        let of = |user: &str, company: &str| Order::by(user).with(claim("company"), company);
        vec![
            Example::new("only invited users", json!({"list": "vip"}))
                .audience("vip", &["ann", "bob"])
                .admits(Order::by("ann"))
                .rejects(Order::by("cid"), &NOT_INVITED)
                .rejects(Order::by("Ann"), &NOT_INVITED),
            Example::new(
                "only employees of these companies",
                json!({"list": "partners", "by": "claim:company"}),
            )
            .audience("partners", &["acme"])
            .admits(of("ann", "acme"))
            .rejects(of("bob", "other"), &NOT_INVITED)
            .rejects(Order::by("cid"), &NOT_INVITED),
            Example::new(
                "everybody but those blocked",
                json!({"list": "abuse", "mode": "deny", "by": "ip"}),
            )
            .audience("abuse", &["203.0.113.9"])
            .admits(Order::by("ann").with(ip(), "198.51.100.1"))
            .rejects(Order::by("bob").with(ip(), "203.0.113.9"), &BLOCKED),
        ]
    }

    fn compile(_: &Context, params: Params) -> Result<Plan, Vec<Diagnostic>> {
        let Params { list, mode, by } = params;
        let listed = by.attribute().member_of(list.as_str());
        let (noun, list) = (by.noun(), list.as_str());
        let mut plan = Plan::new();
        match mode {
            Mode::Allow => {
                let sentence = format!("Only a {noun} on the list {list} may order.");
                plan.require(listed, &NOT_INVITED, sentence)
            }
            Mode::Deny => {
                let sentence = format!("A {noun} on the list {list} may not order.");
                plan.require(!listed, &BLOCKED, sentence)
            }
        };
        Ok(plan)
    }
}

rushgate_rule::export!(Audience);
