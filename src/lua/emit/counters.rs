//! The counters of a plan: their keys and current windows, as a script sets them up.

use super::header::counter_name;
use super::text::{Lines, integer, literal};
use crate::lua::keys;
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

/// Sets `keys[k]`, and `starts[k]` and `ends[k]` for counters whose windows change. `place` gives a
/// counter's number in the script and the id it is kept under.
pub(super) fn windows(lines: &mut Lines, plan: &CheckedPlan, place: &dyn Fn(u32, &Counter) -> (u32, String)) {
    for (index, counter) in (0..).zip(&plan.plan().counters) {
        let (number, id) = place(index, counter);
        lines.line("");
        lines.line(format!("-- Counter {number}, {}.", counter_name(counter)));
        match &counter.window {
            Window::Campaign => family(lines, number, &keys::counter_family(&id, 0)),
            Window::Rolling { .. } => family(lines, number, &keys::rolling_family(&id)),
            Window::Tumbling { length_ms, origin_ms } => {
                let origin = integer(*origin_ms);
                lines.line(format!(
                    "starts[{number}] = {origin} + floor((now - {origin}) / {length_ms}) * {length_ms}"
                ));
                lines.line(format!("ends[{number}] = starts[{number}] + {length_ms}"));
                windowed(lines, number, &id);
            }
            Window::Calendar { .. } => {
                lines.line(format!("starts[{number}], ends[{number}] = period({{"));
                for row in needed_starts(plan, index).chunks(8) {
                    let row: Vec<String> = row.iter().map(i64::to_string).collect();
                    lines.line(format!("  {},", row.join(", ")));
                }
                lines.line("})");
                windowed(lines, number, &id);
            }
        }
    }
}

fn family(lines: &mut Lines, number: u32, family: &str) {
    lines.line(format!("keys[{number}] = prefix .. {}", literal(family)));
}

fn windowed(lines: &mut Lines, number: u32, id: &str) {
    let name = literal(&keys::counter_windows(id));
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
