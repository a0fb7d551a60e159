//! Type of a node of a plan, with the bounds no run can leave.

/// Type of a node, with the bounds no run can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int { low: i64, high: i64 },
    Bool,
    Text,
}

impl Kind {
    /// What a refusal calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Int { .. } => "an integer",
            Self::Bool => "a boolean",
            Self::Text => "a text",
        }
    }
}
