//! Plans: what a rule module answers for given parameters. Data, not code.
//!
//! Three types, one after the other, so that skipping a stage does not compile:
//! [`Plan`] (untrusted) → [`CheckedPlan`] (bounds, references, types, cost) → `lua::Script`.
//! The interpreter in [`eval`] reads the same [`CheckedPlan`] and is the oracle the scripts are
//! held against.

pub mod calendar;
mod ceiling;
mod certain;
pub mod check;
mod checked;
mod context;
pub mod cost;
pub mod decision;
pub mod diff;
mod error;
pub mod eval;
pub mod explain;
pub mod facts;
pub mod fold;
mod integer;
pub mod kind;
mod lists;
pub mod merge;
mod names;
mod nodes;
pub mod outcome;
pub mod possible;
pub mod quota;
mod reach;
pub mod retry;
mod run;
#[doc(hidden)]
#[cfg(any(test, feature = "testing"))]
pub mod samples;
mod search;
mod sku_texts;
pub mod slots;
pub mod state;
pub mod unfit;
pub mod window;

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

pub use check::check;
pub use checked::CheckedPlan;
pub use context::CheckContext;
pub use error::PlanError;
pub use fold::{Fold, Folds};
pub use lists::{AudienceRef, Audiences, Home, Layers};
pub use sku_texts::SkuTexts;

use crate::order::Attempt;

/// Largest integer a plan may reach: Lua numbers are doubles, exact to ±(2^53−1).
pub const INTEGER_MAX: i64 = (1 << 53) - 1;
/// Expression nodes of one merged plan.
pub const PLAN_NODES_MAX: usize = 4096;
pub const PLAN_COUNTERS_MAX: usize = crate::order::CHARGES_MAX;
pub const PLAN_CONSTRAINTS_MAX: usize = 64;
/// Entries of one `lookup` or `one-of` table.
pub const PLAN_TABLE_ENTRIES_MAX: usize = 1024;
/// Entries of all tables of one plan together.
pub const PLAN_TABLES_ENTRIES_MAX: usize = 8192;
/// Bytes of one text (constant, table key, sentence).
pub const PLAN_TEXT_BYTES_MAX: usize = 512;
/// Bytes of all texts of one plan together, so that its script stays within
/// `lua::SCRIPT_BYTES_MAX`.
pub const PLAN_TEXTS_BYTES_MAX: usize = 96 * 1024;
pub const PLAN_EARLY_ACCESS_MAX: usize = 16;
/// Distinct attributes a plan may read or require.
pub const PLAN_ATTRIBUTES_MAX: usize = 32;
/// Distinct calendars (unit and time zone): each is a table of boundaries in the script.
pub const PLAN_CALENDARS_MAX: usize = 8;
/// Bytes of a rule name, of a counter id before merging, and of a reason code.
pub const NAME_BYTES_MAX: usize = 64;
/// Claims about the token itself: no rule is handed one. The user is an attribute of its own.
pub const TOKEN_CLAIMS: [&str; 5] = ["sub", "exp", "nbf", "iat", "jti"];
/// Name of a declared claim or client attribute that stands for all of them.
pub const ANY_NAME: &str = "*";
/// Shortest tumbling window, milliseconds.
pub const TUMBLING_MS_MIN: i64 = 1000;
/// Longest tumbling or rolling window, milliseconds: [`crate::campaign::CAMPAIGN_DAYS_MAX`].
pub const WINDOW_MS_MAX: i64 = crate::campaign::CAMPAIGN_DAYS_MAX * 86_400_000;
/// Longest early access, milliseconds: 90 days.
pub const EARLY_ACCESS_MS_MAX: i64 = 90 * 86_400_000;
/// Latest moment a plan can meet, milliseconds since 1970-01-01 UTC (in the year 2248).
pub const NOW_MAX: i64 = 1 << 43;
/// Redis commands one attempt may cause at most.
pub const PLAN_COMMANDS_MAX: u32 = 160;
/// Attributes in the key of one counter.
pub const COUNTER_KEY_MAX: usize = 8;
pub use crate::order::{ATTRIBUTE_NAME_BYTES_MAX, COST_MAX};
/// A counter never exceeds this: [`crate::campaign::STOCK_MAX`] orders of [`COST_MAX`].
pub const COUNTER_MAX: i64 = 1_000_000_000_000_000;
/// Orders kept for one subject of a rolling window; one more is rejected with `window-full`.
pub const ROLLING_ORDERS_MAX: usize = 1000;

/// Bits of an IPv6 network that counts as one address: whoever has one address of it has them all. Plans name them in no
/// other way than by [`Attribute::IpNetwork`], so another number needs another attribute.
pub const NETWORK_BITS: u8 = 64;

/// An address of version 6 as its network, `2001:db8:1:2::/64`; any other text as it is.
fn network(address: &str) -> String {
    match address.parse::<Ipv6Addr>() {
        Ok(v6) => {
            let first = v6.to_bits() & (u128::MAX << (128 - NETWORK_BITS));
            format!("{}/{NETWORK_BITS}", Ipv6Addr::from_bits(first))
        }
        Err(_) => address.to_owned(),
    }
}

/// Where the value of an attribute comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attribute {
    /// `sub` of the verified token.
    User,
    Sku,
    /// Units of the order; the only attribute that is an integer.
    Quantity,
    /// Address of the connection, as text.
    Ip,
    /// What counts as one address: it, or the network of [`NETWORK_BITS`] bits of one of version 6. No module names it:
    /// [`merge::merge`] puts it into the keys of counters. Plans that were merged before it was there count addresses of
    /// version 6 one by one, and go on to, because every gateway counts as the plan says.
    IpNetwork,
    /// What the campaign says of the order's SKU: see [`SkuTexts`]. No order brings it along.
    #[serde(rename = "sku-attribute")]
    OfSku(String),
    /// A claim of the verified token.
    Claim(String),
    /// Sent by the client in `attributes`: forgeable.
    Client(String),
    /// The user, a claim or a client attribute as rules read it that see it folded. No module names it: [`Folds::apply`]
    /// puts it into plans, so that every gateway folds as the revision says.
    Folded {
        of: Box<Self>,
        fold: Fold,
    },
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Sku => f.write_str("sku"),
            Self::Quantity => f.write_str("quantity"),
            Self::OfSku(name) => write!(f, "sku:{name}"),
            Self::Ip => f.write_str("ip"),
            Self::IpNetwork => write!(f, "ip/{NETWORK_BITS}"),
            Self::Claim(name) => write!(f, "claim:{name}"),
            Self::Client(name) => write!(f, "client:{name}"),
            Self::Folded { of, fold } => write!(f, "{of} ({fold})"),
        }
    }
}

impl Attribute {
    /// Its text in an attempt at one of these SKUs; the empty text where the attempt has none.
    pub fn text_of<'a>(&self, attempt: &'a Attempt, skus: &'a SkuTexts) -> Cow<'a, str> {
        match self {
            Self::User => attempt.user.as_str().into(),
            Self::Sku => attempt.sku.as_str().into(),
            Self::Quantity => attempt.quantity.to_string().into(),
            Self::OfSku(name) => skus.text(&attempt.sku, name).into(),
            Self::IpNetwork => network(&Self::Ip.text_of(attempt, skus)).into(),
            Self::Folded { of, fold } => match of.text_of(attempt, skus) {
                Cow::Borrowed(text) => fold.value(text),
                Cow::Owned(text) => fold.value(&text).into_owned().into(),
            },
            other => attempt
                .attributes
                .get(&other.to_string())
                .map_or("", String::as_str)
                .into(),
        }
    }

    /// Whether its value may be an [`array`](crate::order::array), or of a form that no rule can read. What clients send is
    /// text, or refused.
    pub fn may_be_array(&self) -> bool {
        matches!(self.brought(), Self::Claim(_))
    }

    /// Whether every order has it, or its SKU decides it: nobody has to bring it along.
    pub(crate) fn is_given(&self) -> bool {
        matches!(self, Self::User | Self::Sku | Self::Quantity | Self::OfSku(_))
    }

    /// Whether the order's SKU alone decides it.
    pub(crate) fn is_of_sku(&self) -> bool {
        matches!(self, Self::Sku | Self::OfSku(_))
    }

    /// What an attempt must bring along, so that this one is known.
    pub fn brought(&self) -> &Self {
        match self {
            Self::IpNetwork => &Self::Ip,
            Self::Folded { of, .. } => of,
            other => other,
        }
    }

    fn folded(self, fold: Fold) -> Self {
        Self::Folded {
            of: Box::new(self),
            fold,
        }
    }

    /// Whether a module that declares this attribute may read the other: the same one, or any claim or any
    /// client attribute where the declared one is named `*`.
    pub fn declares(&self, read: &Self) -> bool {
        match (self, read) {
            (Self::Claim(name), Self::Claim(_)) | (Self::Client(name), Self::Client(_))
                if name == ANY_NAME =>
            {
                true
            }
            _ => self == read,
        }
    }
}

/// Index into [`Plan::nodes`].
pub type Node = u32;

/// One node of the expression arena; operands have smaller indices. See `wit/policy.wit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expr {
    Int(i64),
    Text(String),
    Attribute(Attribute),
    Counter(u32),
    Remaining,
    Stock,
    Now,
    OpensAt,
    ClosesAt,
    Add(Node, Node),
    Sub(Node, Node),
    Mul(Node, Node),
    Div(Node, i64),
    Mod(Node, i64),
    Min(Node, Node),
    Max(Node, Node),
    Lt(Node, Node),
    Le(Node, Node),
    Eq(Node, Node),
    And(Node, Node),
    Or(Node, Node),
    Not(Node),
    Select(Node, Node, Node),
    OneOf(Node, Vec<String>),
    Lookup {
        of: Node,
        entries: Vec<(String, i64)>,
        default: i64,
    },
    Member {
        audience: String,
        of: Attribute,
    },
    /// The integer that a text says: [`integer::integer`].
    Number {
        of: Node,
        low: i64,
        high: i64,
        /// The value where the text is empty: the order has no such attribute.
        missing: i64,
        /// The value where the text says no integer, or one that is not within `low` to `high`.
        unreadable: i64,
    },
    /// Whether a text begins with one of these, byte for byte.
    StartsWith(Node, Vec<String>),
    EndsWith(Node, Vec<String>),
}

impl Expr {
    /// The nodes this one is computed from.
    pub fn operands(&self) -> impl Iterator<Item = Node> + use<> {
        let (nodes, count) = match *self {
            Self::Int(_)
            | Self::Text(_)
            | Self::Attribute(_)
            | Self::Counter(_)
            | Self::Remaining
            | Self::Stock
            | Self::Now
            | Self::OpensAt
            | Self::ClosesAt
            | Self::Member { .. } => ([0; 3], 0),
            Self::Div(a, _)
            | Self::Mod(a, _)
            | Self::Not(a)
            | Self::OneOf(a, _)
            | Self::StartsWith(a, _)
            | Self::EndsWith(a, _) => ([a, 0, 0], 1),
            Self::Lookup { of, .. } | Self::Number { of, .. } => ([of, 0, 0], 1),
            Self::Add(a, b)
            | Self::Sub(a, b)
            | Self::Mul(a, b)
            | Self::Min(a, b)
            | Self::Max(a, b)
            | Self::Lt(a, b)
            | Self::Le(a, b)
            | Self::Eq(a, b)
            | Self::And(a, b)
            | Self::Or(a, b) => ([a, b, 0], 2),
            Self::Select(a, b, c) => ([a, b, c], 3),
        };
        nodes.into_iter().take(count)
    }

    /// The same expression behind so many other nodes and counters.
    pub(crate) fn shifted(self, nodes: Node, counters: u32) -> Self {
        let node = |node: Node| node.saturating_add(nodes);
        match self {
            Self::Counter(counter) => Self::Counter(counter.saturating_add(counters)),
            Self::Add(a, b) => Self::Add(node(a), node(b)),
            Self::Sub(a, b) => Self::Sub(node(a), node(b)),
            Self::Mul(a, b) => Self::Mul(node(a), node(b)),
            Self::Div(a, divisor) => Self::Div(node(a), divisor),
            Self::Mod(a, divisor) => Self::Mod(node(a), divisor),
            Self::Min(a, b) => Self::Min(node(a), node(b)),
            Self::Max(a, b) => Self::Max(node(a), node(b)),
            Self::Lt(a, b) => Self::Lt(node(a), node(b)),
            Self::Le(a, b) => Self::Le(node(a), node(b)),
            Self::Eq(a, b) => Self::Eq(node(a), node(b)),
            Self::And(a, b) => Self::And(node(a), node(b)),
            Self::Or(a, b) => Self::Or(node(a), node(b)),
            Self::Not(a) => Self::Not(node(a)),
            Self::Select(a, b, c) => Self::Select(node(a), node(b), node(c)),
            Self::OneOf(of, texts) => Self::OneOf(node(of), texts),
            Self::Lookup { of, entries, default } => Self::Lookup {
                of: node(of),
                entries,
                default,
            },
            Self::Number {
                of,
                low,
                high,
                missing,
                unreadable,
            } => Self::Number {
                of: node(of),
                low,
                high,
                missing,
                unreadable,
            },
            Self::StartsWith(of, texts) => Self::StartsWith(node(of), texts),
            Self::EndsWith(of, texts) => Self::EndsWith(node(of), texts),
            leaf @ (Self::Int(_)
            | Self::Text(_)
            | Self::Attribute(_)
            | Self::Remaining
            | Self::Stock
            | Self::Now
            | Self::OpensAt
            | Self::ClosesAt
            | Self::Member { .. }) => leaf,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CalendarUnit {
    Day,
    Week,
    Month,
}

/// The stretch of time a counter counts over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    Campaign,
    Tumbling { length_ms: i64, origin_ms: i64 },
    Calendar { unit: CalendarUnit, zone: String },
    Rolling { length_ms: i64 },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Stable over revisions. After [`merge::merge`] it is `<rule name>/<id of the module>`.
    pub id: String,
    pub key: Vec<Attribute>,
    pub window: Window,
    pub cost: Node,
}

impl Counter {
    /// Whether its buckets live as long as the campaign.
    pub fn is_lasting(&self) -> bool {
        matches!(self.window, Window::Campaign | Window::Rolling { .. })
    }

    /// Whether its counts lie beside the records of the buyer's orders: they last, and their subject is exactly the
    /// user.
    pub fn is_of_buyer(&self) -> bool {
        self.is_lasting() && self.key == [Attribute::User]
    }
}

/// Numbers shown with a rejection: so much used of so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    pub counter: u32,
    pub limit: Node,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    pub when: Option<Node>,
    pub require: Node,
    /// Reason code of the module's descriptor.
    pub reason: String,
    /// The rule this came from; empty before [`merge::merge`]. `<rule>/<reason>` is the name a
    /// rejection carries.
    #[serde(default)]
    pub rule: String,
    /// Whether the descriptor calls the reason retryable; filled by [`merge::merge`].
    #[serde(default)]
    pub retryable: bool,
    /// What the merchant reads.
    pub sentence: String,
    pub measure: Option<Measure>,
}

impl Constraint {
    /// The name a rejection carries: `<rule>/<reason>`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.rule, self.reason)
    }

    /// The nodes that decide whether it holds.
    pub(crate) fn condition(&self) -> impl Iterator<Item = Node> + use<> {
        self.when.into_iter().chain([self.require])
    }
}

/// Lets some buyers in before the campaign opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyAccess {
    pub lead_ms: i64,
    pub when: Node,
    pub sentence: String,
}

/// A plan as a module answered it, or several merged. Nothing in it is trusted yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub nodes: Vec<Expr>,
    pub counters: Vec<Counter>,
    pub constraints: Vec<Constraint>,
    pub early_access: Vec<EarlyAccess>,
    /// Attributes an order must carry: without one it is refused as `attribute-missing`.
    #[serde(default)]
    pub required: Vec<Attribute>,
}
