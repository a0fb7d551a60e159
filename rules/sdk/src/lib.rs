//! Write a rule module for rushgate.
//!
//! A rule turns a merchant's parameters into a [`Plan`]: what is counted, and what must hold for an order to
//! be admitted. It implements [`Rule`] and names itself in [`export!`]; `rules/README.md` shows a whole one.
//!
//! Expressions are typed, so that a plan that makes no sense does not compile. Adding a text:
//!
//! ```compile_fail
//! use rushgate_rule::*;
//! let _ = quantity() + user();
//! ```
//!
//! A cost that depends on what others bought, and so could not be recomputed when the order is released:
//!
//! ```compile_fail
//! use rushgate_rule::*;
//! Plan::new().counter("per-user", [user()], Window::Campaign, remaining());
//! ```
//!
//! The quantity in a counter's key:
//!
//! ```compile_fail
//! use rushgate_rule::*;
//! Plan::new().counter("per-quantity", [quantity()], Window::Campaign, 1);
//! ```
//!
//! # Parameters
//!
//! [`params`] has the parts that merchants meet in many rules, so that a window or a length of time is written the same way
//! everywhere: [`params::WindowParam`], [`params::Span`], [`params::MomentParam`], [`params::Subject`], [`params::AttributeParam`],
//! [`params::Count`], [`params::Scope`], [`params::ListId`]. Each brings its JSON Schema, what it adds to a counter's id (`slug`), what it
//! says in a sentence (`words`, `noun`), and, where a schema cannot say everything, a `check` that pushes [`Diagnostic`]s:
//!
//! ```
//! use rushgate_rule::{Context, Diagnostic, Plan, Reason, counter_id, refuse, user};
//! use rushgate_rule::params::{Count, WindowParam};
//!
//! const LIMIT: Reason = Reason::new("limit-per-window", "Limit reached").retryable();
//!
//! fn compile(context: &Context, limit: u32, count: Count, window: WindowParam) -> Result<Plan, Vec<Diagnostic>> {
//!     let mut problems = Vec::new();
//!     window.check("/window", &mut problems);
//!     refuse(problems)?;
//!     let mut plan = Plan::new();
//!     let id = counter_id(&[count.noun(), "per-user", &window.slug(context)]);
//!     let counter = plan.counter(id, [user()], window.window(context), count.cost());
//!     let limit = i64::from(limit);
//!     plan.require((counter.used() + count.cost()).le(limit), &LIMIT, "At most so many in each window.")
//!         .measure(counter, limit);
//!     Ok(plan)
//! }
//! ```
//!
//! # Ids of counters
//!
//! A count goes on in the next revision where its counter has the same id. So the id names what is counted, for whom, and over
//! which window, and nothing else: `orders-per-user-day-europe-berlin`. With another limit the count goes on; with another key,
//! window or unit the number would mean something else, the id differs, and the count starts at nothing. [`counter_id`] joins the parts
//! to a name the host accepts, and never makes the same of two different ones.
//!
//! # Choosing attributes by parameter
//!
//! A plan reads only attributes its module declares. Where the merchant names the attribute, declare `claim("*")` and
//! `client("*")`, which stand for every name: [`params::AttributeParam::needs`]. They are never required; let the plan reject
//! orders without a value where that matters: [`params::Missing`].
//!
//! # What needs `rule2`
//!
//! With the feature `rule2`, a text can be read as an integer (`Text::number`) and asked for what it begins and ends with
//! (`Text::starts_with`, `Text::ends_with`); `sku_attribute` is what the campaign says of the order's SKU, and
//! `Plan::counter_by` counts by it. Then [`export!`] exports `rule2` beside `rule`. A gateway from before it refuses
//! parameters whose plan needs that, and says so.
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod attribute;
#[doc(hidden)]
pub mod bindings;
mod example;
mod expr;
mod id;
mod key;
pub mod params;
mod plan;
// What describes its export is linked into the module as soon as it is compiled: only where it is asked for.
#[cfg(any(feature = "precheck", not(target_family = "wasm")))]
pub mod precheck;
mod rule;
#[cfg(feature = "rule2")]
mod rule2;
#[cfg(target_family = "wasm")]
mod runtime;
mod words;

pub use attribute::{Attribute, claim, client, ip, quantity, sku, user};
#[cfg(feature = "rule2")]
pub use attribute::{Key, SkuAttribute, sku_attribute};
pub use bindings::exports::rushgate::policy::types::{Context, Sku};
pub use example::{Example, Order};
pub use expr::{
    Bool, Boolean, Both, Expr, Int, Integer, Live, Meet, Operand, PerOrder, Text, Textual, closes_at, int,
    now, opens_at, remaining, select, stock, text,
};
pub use id::counter_id;
pub use plan::{Constraint, Counter, Plan, Window};
pub use rule::{Diagnostic, Exported, Need, Reason, Rule, refuse};
pub use schemars;
pub use serde;
pub use serde_json::{self, json};
pub use words::{listed, listed_within};

/// The example of `rules/README.md` compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
