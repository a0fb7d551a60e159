//! The counters of a plan: their keys and current windows, as a script sets them up.

use super::header::counter_name;
use super::text::{Lines, integer, literal};
use crate::plan::{CheckedPlan, Counter, Window};

/// Whether any counter has a calendar window.
pub(super) fn any_calendar(plan: &CheckedPlan) -> bool {
    let counters = &plan.plan().counters;
    counters
        .iter()
        .any(|counter| matches!(counter.window, Window::Calendar { .. }))
}

pub(super) fn any_rolling(plan: &CheckedPlan) -> bool {
    plan.plan().counters.iter().any(is_rolling)
}

pub(super) fn is_rolling(counter: &Counter) -> bool {
    matches!(counter.window, Window::Rolling { .. })
}

/// Sets `keys[k]`, and `starts[k]` and `ends[k]` for counters whose windows change.
pub(super) fn windows(lines: &mut Lines, plan: &CheckedPlan) {
    for (index, counter) in plan.plan().counters.iter().enumerate() {
        let number = index as u32;
        lines.line("");
        lines.line(format!("-- Counter {number}, {}.", counter_name(counter)));
        match &counter.window {
            Window::Campaign => {
                let name = literal(&format!("counter:{}:0:", counter.id));
                lines.line(format!("keys[{number}] = prefix .. {name}"));
            }
            Window::Rolling { .. } => {
                let name = literal(&format!("rolling:{}:", counter.id));
                lines.line(format!("keys[{number}] = prefix .. {name}"));
            }
            Window::Tumbling { length_ms, origin_ms } => {
                let origin = integer(*origin_ms);
                lines.line(format!(
                    "starts[{number}] = {origin} + floor((now - {origin}) / {length_ms}) * {length_ms}"
                ));
                lines.line(format!("ends[{number}] = starts[{number}] + {length_ms}"));
                windowed(lines, number, counter);
            }
            Window::Calendar { .. } => {
                lines.line(format!("starts[{number}], ends[{number}] = period({{"));
                for row in needed_starts(plan, number).chunks(8) {
                    let row: Vec<String> = row.iter().map(i64::to_string).collect();
                    lines.line(format!("  {},", row.join(", ")));
                }
                lines.line("})");
                windowed(lines, number, counter);
            }
        }
    }
}

fn windowed(lines: &mut Lines, number: u32, counter: &Counter) {
    let name = literal(&format!("counter:{}:", counter.id));
    lines.line(format!(
        "keys[{number}] = prefix .. {name} .. whole(starts[{number}]) .. ':'"
    ));
}

/// The starts of the periods an order can fall into, and the one after them.
fn needed_starts(plan: &CheckedPlan, counter: u32) -> &[i64] {
    let starts = plan.periods(counter).map_or(&[][..], |periods| &periods.starts);
    let closes_at = plan.context().schedule.closes_at;
    let inside = starts.partition_point(|start| *start < closes_at);
    &starts[..(inside + 1).min(starts.len())]
}
