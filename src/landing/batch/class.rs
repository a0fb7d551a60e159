//! Why records and orders do not land, in a word each.

use crate::store::StoreError;

/// Why a record does not land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::landing) enum Class {
    /// Its bytes are no order.
    Undecodable,
    /// An order as a newer build writes them.
    UnknownVersion,
    /// An order that no database of rushgate can hold.
    Invalid,
    /// An order that nobody can have been admitted with: its campaign or its revision says otherwise.
    Implausible,
    /// Another order has its id.
    Conflict,
    /// The database refuses one of its values.
    Refused,
    /// The database fails with it, for a reason of its own.
    Failing,
    /// Another transaction keeps its rows locked.
    Locked,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::UnknownVersion => "unknown-version",
            Self::Invalid => "invalid",
            Self::Implausible => "implausible",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Failing => "failing",
            Self::Locked => "locked",
        }
    }

    /// Whether the database said so, and may say otherwise next time.
    pub(super) fn is_of_database(self) -> bool {
        use Class::{Conflict, Failing, Locked, Refused};
        matches!(self, Conflict | Refused | Failing | Locked)
    }

    /// Whether a later attempt may succeed without anybody changing the record.
    pub fn retries(self) -> bool {
        matches!(self, Self::Failing | Self::Locked)
    }

    pub(super) fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Refused(_)
            | StoreError::Conflict(_)
            | StoreError::Unapproved(_)
            | StoreError::Changed(_) => Self::Refused,
            StoreError::Contradiction(_) => Self::Conflict,
            StoreError::Locked(_) => Self::Locked,
            StoreError::Permanent(_) | StoreError::Transient(_) | StoreError::Unanswered(_) => Self::Failing,
        }
    }
}
