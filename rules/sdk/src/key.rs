//! What counters count by, as the plan is written: in the words of `types2` where the feature `rule2` is on. Without it
//! they are those of `types`, and nothing more is linked into a module: its bytes follow from what it says.

#[cfg(feature = "rule2")]
use alloc::vec::Vec;

use crate::bindings::exports::rushgate::policy::types as wit;
#[cfg(feature = "rule2")]
use crate::bindings::exports::rushgate::policy::types2;

#[cfg(not(feature = "rule2"))]
pub(crate) use wit::{Attribute as Part, Counter as Keyed};

#[cfg(feature = "rule2")]
pub(crate) use types2::{Attribute as Part, Counter as Keyed};

#[cfg(not(feature = "rule2"))]
pub(crate) fn part(attribute: wit::Attribute) -> Part {
    attribute
}

#[cfg(feature = "rule2")]
pub(crate) fn part(attribute: wit::Attribute) -> Part {
    Part::Plain(attribute)
}

/// As `rule` can say them; `None` where only `rule2` can.
#[cfg(feature = "rule2")]
pub(crate) fn plain(counters: Vec<Keyed>) -> Option<Vec<wit::Counter>> {
    let plain = |part| match part {
        Part::Plain(attribute) => Some(attribute),
        Part::SkuAttribute(_) => None,
    };
    let each = counters.into_iter().map(|counter| {
        Some(wit::Counter {
            id: counter.id,
            key: counter.key.into_iter().map(plain).collect::<Option<_>>()?,
            window: counter.window,
            cost: counter.cost,
        })
    });
    each.collect()
}
