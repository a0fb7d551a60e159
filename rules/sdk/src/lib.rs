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
#![cfg_attr(target_family = "wasm", no_std)]

extern crate alloc;

mod attribute;
#[doc(hidden)]
pub mod bindings;
mod example;
mod expr;
mod id;
pub mod params;
mod plan;
mod rule;
#[cfg(target_family = "wasm")]
mod runtime;
mod words;

pub use attribute::{Attribute, claim, client, ip, quantity, sku, user};
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
pub use words::listed;

/// The example of `rules/README.md` compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
