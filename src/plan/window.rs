//! Windows of counters: when they start and end, and which orders a rolling one still counts.

use super::facts::{Count, Facts};
use super::{CheckedPlan, Window};

/// Start of the window of a counter that `now` falls into, milliseconds since 1970-01-01 UTC; 0 for
/// the whole campaign and for a rolling window, which has none.
pub fn window_start(plan: &CheckedPlan, counter: u32, now: i64) -> i64 {
    match plan.plan().counters[counter as usize].window {
        Window::Campaign | Window::Rolling { .. } => 0,
        Window::Tumbling { length_ms, origin_ms } => {
            now.saturating_sub(now.saturating_sub(origin_ms).rem_euclid(length_ms))
        }
        Window::Calendar { .. } => plan.periods(counter).map_or(0, |periods| periods.start_of(now)),
    }
}

/// A rolling window of a length counts an order until exactly that long after its moment.
pub(super) fn is_live(moment: i64, now: i64, length_ms: i64) -> bool {
    moment > now.saturating_sub(length_ms)
}

/// When a counter next goes down by itself after the facts were taken.
pub(super) fn falls_at(plan: &CheckedPlan, facts: &Facts, counter: u32, now: i64) -> Option<i64> {
    let length = match plan.plan().counters[counter as usize].window {
        Window::Campaign => return None,
        Window::Rolling { length_ms } => length_ms,
        Window::Tumbling { length_ms, .. } => length_ms,
        Window::Calendar { .. } => 0,
    };
    match facts.counters.get(&counter)? {
        Count::Rolling(entries) => {
            let leaves = entries.iter().map(|(moment, _)| moment.saturating_add(length));
            leaves.filter(|at| *at > now).min()
        }
        Count::Units(0) => None,
        Count::Units(_) => {
            let end = match plan.periods(counter) {
                Some(periods) => periods.end_of(facts.taken_at)?,
                None => window_start(plan, counter, facts.taken_at).saturating_add(length),
            };
            (end > now).then_some(end)
        }
    }
}
