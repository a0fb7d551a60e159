//! The `inspect` script: what one buyer has used of every counter.

use super::counters::{self, is_rolling};
use super::header::{self, Header};
use super::text::Lines;
use crate::plan::check::Slot;
use crate::plan::{CheckedPlan, Window};

const HEADER: Header = Header {
    shebang: "#!lua flags=no-writes",
    purpose: "-- inspect: what one buyer has used of every counter, in its current window.",
    reply: "-- Reply    {'fence', fence there or ''} | {'ok', now, per counter: units used}",
};

pub(super) fn script(plan: &CheckedPlan, revision: u32) -> String {
    let mut lines = Lines::default();
    header::write(&mut lines, &HEADER, plan, revision);
    lines.line("-- ARGV     fence, then");
    header::slots(&mut lines, plan, 2);
    lines.line(HEADER.reply);
    lines.line("");
    lines.part(include_str!("../../../lua/parts/begin.lua"));
    lines.line("");
    lines.line("local keys, starts, ends = {}, {}, {}");
    if counters::any_calendar(plan) {
        lines.part(include_str!("../../../lua/parts/period.lua"));
    }
    if counters::any_rolling(plan) {
        lines.part(include_str!("../../../lua/parts/roll.lua"));
    }
    counters::windows(&mut lines, plan);
    lines.line("");
    lines.line("local reply = {'ok', whole(now)}");
    for (index, counter) in plan.plan().counters.iter().enumerate() {
        let argument = |slot: Slot| {
            let position = plan.slots().iter().position(|each| *each == slot);
            format!(
                "ARGV[{}]",
                position.expect("the checker lists every slot the plan reads") + 2
            )
        };
        let subject = argument(Slot::Subject(counter.key.clone()));
        let bucket = argument(Slot::Bucket(counter.key.clone()));
        let read = format!("call('HGET', keys[{index}] .. {bucket}, {subject})");
        let units = match counter.window {
            Window::Rolling { length_ms } => format!("rolled({read}, {length_ms}).used"),
            _ => format!("tonumber({read}) or 0"),
        };
        debug_assert_eq!(is_rolling(counter), units.starts_with("rolled"));
        lines.line(format!("reply[{}] = whole({units})", index + 3));
    }
    lines.line("return reply");
    lines.into_text()
}
