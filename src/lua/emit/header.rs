//! The header of a generated script: whose it is, and its ABI.

use super::text::{Lines, comment};
use crate::lua::codec::ATTEMPT_FIELDS;
use crate::plan::slots::Slot;
use crate::plan::{Attribute, CalendarUnit, CheckedPlan, Counter, Window};

/// What a generated script does, and its ARGV and reply as `lua/README.md` has them.
pub(super) struct Header {
    pub(super) shebang: &'static str,
    pub(super) purpose: &'static str,
    pub(super) reply: &'static str,
}

pub(super) fn write(lines: &mut Lines, header: &Header, plan: &CheckedPlan, revision: u32) {
    lines.line(header.shebang);
    lines.line(header.purpose);
    lines.line("--");
    lines.line(format!(
        "-- Campaign {}, revision {revision}, plan {}",
        comment(&plan.context().campaign),
        comment(plan.digest())
    ));
    lines.line("-- Generated: to change what it enforces, change the parameters of the revision's rules.");
    lines.line("--");
    lines.line("-- KEYS[1]  state key of the shard; the other keys are derived from its prefix");
}

/// Slots as lines of the header, counted from `first`.
pub(super) fn slots(lines: &mut Lines, slots: &[Slot], first: usize) {
    for (index, slot) in slots.iter().enumerate() {
        lines.line(format!(
            "--   {:>2}  {}",
            first + index,
            comment(&slot_name(slot))
        ));
    }
}

pub(super) fn attempt_fields(lines: &mut Lines) {
    let names: [&str; ATTEMPT_FIELDS] = ["record tail"];
    for (index, name) in names.iter().enumerate() {
        lines.line(format!("--   {index:>2}  {name}"));
    }
}

fn slot_name(slot: &Slot) -> String {
    match slot {
        Slot::Attribute(attribute) => attribute.to_string(),
        Slot::Subject(key) => format!("subject ({})", key_name(key)),
        Slot::Bucket(key) => format!("bucket of the subject ({})", key_name(key)),
        Slot::MemberBucket { audience, of } => format!("version and bucket of {of} in the list {audience}"),
        Slot::ShadowUnfit => "'', or the code of what the shadow cannot read".into(),
    }
}

fn key_name(key: &[Attribute]) -> String {
    let names: Vec<String> = key.iter().map(ToString::to_string).collect();
    match names.as_slice() {
        [] => "everybody".into(),
        names => names.join(", "),
    }
}

/// A counter in words: `n-per-user/orders: per user, over the campaign`.
pub(super) fn counter_name(counter: &Counter) -> String {
    let window = match &counter.window {
        Window::Campaign => "over the campaign".into(),
        Window::Tumbling { length_ms, .. } => format!("per window of {length_ms} ms"),
        Window::Calendar { unit, zone } => {
            let unit = match unit {
                CalendarUnit::Day => "day",
                CalendarUnit::Week => "week",
                CalendarUnit::Month => "month",
            };
            format!("per calendar {unit} in {zone}")
        }
        Window::Rolling { length_ms } => format!("over the last {length_ms} ms"),
    };
    comment(&format!(
        "{}: per {}, {window}",
        counter.id,
        key_name(&counter.key)
    ))
}
