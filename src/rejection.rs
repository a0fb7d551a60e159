//! Why an order is refused, in one vocabulary: rushgate's own reasons, and those that the modules of rules declare.
//!
//! How an own reason is answered (status, whether a retry may help, title) stands in the table of problems, whose row it
//! names; whatever is stored or counted says its name.

use std::fmt;

use crate::wire::problem::{self, Kind};

/// A reason of rushgate's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Own {
    NotOpen,
    Closed,
    UnknownSku,
    /// Somebody has paused the sale.
    Paused,
    SoldOut,
    /// As many orders in a rolling window as can be counted.
    WindowFull,
    AttributeMissing,
    AttributeUnreadable,
    /// A claim has none or several values, and a rule reads one.
    ClaimNotSingle,
    /// The `Idempotency-Key` belongs to another order.
    KeyReused,
    /// A rule could not check the order before it was decided.
    PrecheckFailed,
}

impl Own {
    pub const ALL: [Self; 11] = [
        Self::NotOpen,
        Self::Closed,
        Self::UnknownSku,
        Self::Paused,
        Self::SoldOut,
        Self::WindowFull,
        Self::AttributeMissing,
        Self::AttributeUnreadable,
        Self::ClaimNotSingle,
        Self::KeyReused,
        Self::PrecheckFailed,
    ];

    /// Its row in the table of problems.
    pub fn kind(self) -> &'static Kind {
        match self {
            Self::NotOpen => &problem::NOT_OPEN,
            Self::Closed => &problem::CLOSED,
            Self::UnknownSku => &problem::UNKNOWN_SKU,
            Self::Paused => &problem::PAUSED,
            Self::SoldOut => &problem::SOLD_OUT,
            Self::WindowFull => &problem::WINDOW_FULL,
            Self::AttributeMissing => &problem::ATTRIBUTE_MISSING,
            Self::AttributeUnreadable => &problem::ATTRIBUTE_UNREADABLE,
            Self::ClaimNotSingle => &problem::CLAIM_NOT_SINGLE,
            Self::KeyReused => &problem::KEY_REUSED,
            Self::PrecheckFailed => &problem::PRECHECK_FAILED,
        }
    }

    /// As it is answered, stored and counted.
    pub fn name(self) -> &'static str {
        self.kind().slug
    }
}

/// Codes that a module may not declare: the slugs of all problems, and of one that is gone.
pub fn is_reserved(code: &str) -> bool {
    const GONE: &str = "stale";
    code == GONE || problem::ALL.iter().any(|kind| kind.slug == code)
}

/// A reason of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    Own(Own),
    /// A module's own, by its code.
    Rule(String),
}

impl Reason {
    pub fn name(&self) -> &str {
        match self {
            Self::Own(own) => own.name(),
            Self::Rule(code) => code,
        }
    }
}

impl From<Own> for Reason {
    fn from(own: Own) -> Self {
        Self::Own(own)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_reasons_have_the_names_that_are_stored() {
        let names = [
            "not-open",
            "closed",
            "unknown-sku",
            "paused",
            "sold-out",
            "window-full",
            "attribute-missing",
            "attribute-unreadable",
            "claim-not-single",
            "key-reused",
            "precheck-failed",
        ];
        assert_eq!(Own::ALL.map(Own::name), names);
        assert!(names.into_iter().all(is_reserved) && is_reserved("stale") && !is_reserved("too-many"));
    }
}
