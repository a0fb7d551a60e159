//! How a script asks an uploaded list, and the parts that it needs for it.

use super::text::{Lines, literal};
use crate::audience::ListKind;
use crate::lua::keys;
use crate::plan::{Attribute, CheckedPlan};

/// Which question an attribute's value is to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    /// Whether a text is on it.
    One,
    /// Whether a text is, or any element of an array.
    Any,
    /// Whether an address is in one of its ranges.
    Within,
}

impl Membership {
    pub(super) fn of(plan: &CheckedPlan, audience: &str, of: &Attribute) -> Self {
        match plan.context().kind_of(audience) {
            ListKind::Texts if of.may_be_array() => Self::Any,
            ListKind::Texts => Self::One,
            ListKind::Addresses(_) => Self::Within,
        }
    }

    /// The call that asks. `place` is where the list would have the value, as the gateway says: in which version and bucket.
    pub(super) fn call(self, audience: &str, place: &str, value: &str) -> String {
        let keys = format!("prefix .. {}", literal(&keys::audience_versions(audience)));
        match self {
            Self::One => format!("member({keys} .. {place}, {value})"),
            Self::Any => format!("any_member({keys}, {place}, {value})"),
            Self::Within => format!("within({keys}, {place})"),
        }
    }
}

/// Appends what these questions need: `member`, which looks into one bucket, and what asks it more than once.
pub(super) fn write_parts(lines: &mut Lines, member: &str, asked: &[Membership]) {
    for (part, is_needed) in [
        (member, !asked.is_empty()),
        (
            include_str!("../../../lua/parts/any-member.lua"),
            asked.contains(&Membership::Any),
        ),
        (
            include_str!("../../../lua/parts/within.lua"),
            asked.contains(&Membership::Within),
        ),
    ] {
        if is_needed {
            lines.part(part);
        }
    }
}
