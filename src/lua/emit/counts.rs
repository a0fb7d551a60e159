//! What a script does with counts: where each group of them lies, how it is read, and how it is written back.

use super::groups::{Group, is_rolling};
use super::header::counter_name;
use super::part::Part;
use super::text::{Lines, integer, literal};
use crate::lua::asked::FIELDS_MAX;
use crate::lua::keys;
use crate::plan::{CheckedPlan, Window};

/// Writes which counts of a buyer were asked for beside his orders.
pub(super) fn buyers(lines: &mut Lines, part: &Part<'_>) {
    let counters = &part.plan.plan().counters;
    for group in part.groups.iter().filter(|group| group.of_buyer) {
        lines.line("");
        lines.line("-- Asked for with each buyer's orders, in this order:");
        for counter in &group.counters {
            let name = counter_name(&counters[*counter as usize]);
            lines.line(format!("-- Counter {counter}, {name}."));
        }
    }
}

/// Writes where each other group lies and how its counts of one subject are read.
pub(super) fn write_all(lines: &mut Lines, part: &Part<'_>) {
    let counters = &part.plan.plan().counters;
    for (index, group) in part.others() {
        let number = part.group(index);
        lines.line("");
        for counter in &group.counters {
            let name = counter_name(&counters[*counter as usize]);
            lines.line(format!("-- Counter {}, {name}.", part.counter(*counter)));
        }
        let first = &counters[group.counters[0] as usize];
        let id = part.counter_id(first);
        if group.lasting {
            lines.line(format!(
                "keys[{number}] = prefix .. {}",
                literal(&keys::counts_family(&id, false))
            ));
            if part.is_shadow() {
                lines.line(format!("ends[{number}] = 0"));
            }
        } else {
            let name = format!(
                "keys[{number}] = prefix .. {} .. ",
                literal(&keys::counter_windows(&id))
            );
            window(lines, part.plan, group.counters[0], number, &name);
        }
        lines.line(format!("rows[{number}], touched[{number}] = {{}}, {{}}"));
        write_read(lines, part, group, number);
    }
}

/// Sets `starts`, `ends` and `keys` of a window that changes; `key` is the statement up to the start.
pub(super) fn window(lines: &mut Lines, plan: &CheckedPlan, counter: u32, number: u32, key: &str) {
    match &plan.plan().counters[counter as usize].window {
        Window::Tumbling { length_ms, origin_ms } => {
            let origin = integer(*origin_ms);
            lines.line(format!(
                "starts[{number}] = {origin} + floor((now - {origin}) / {length_ms}) * {length_ms}"
            ));
            lines.line(format!("ends[{number}] = starts[{number}] + {length_ms}"));
        }
        Window::Calendar { .. } => {
            lines.line(format!("starts[{number}], ends[{number}] = period({{"));
            for row in needed_starts(plan, counter).chunks(8) {
                let row: Vec<String> = row.iter().map(i64::to_string).collect();
                lines.line(format!("  {},", row.join(", ")));
            }
            lines.line("})");
        }
        Window::Campaign | Window::Rolling { .. } => return,
    }
    lines.line(format!("{key}whole(starts[{number}]) .. ':'"));
}

fn write_read(lines: &mut Lines, part: &Part<'_>, group: &Group, number: u32) {
    let counters = &part.plan.plan().counters;
    let fields: Vec<String> = group
        .counters
        .iter()
        .map(|index| part.field(group, &counters[*index as usize], "subject"))
        .collect();
    let values: Vec<String> = (2..)
        .zip(&group.counters)
        .map(|(place, index)| match counters[*index as usize].window {
            Window::Rolling { length_ms } => format!("rolled(there[{place}], {length_ms})"),
            _ => format!("tonumber(there[{place}]) or 0"),
        })
        .collect();
    lines.open(format!("read[{number}] = function(subject, key)"));
    lines.line(format!(
        "local there = call('HMGET', key, MARK, {})",
        fields.join(", ")
    ));
    let lost = group.lasting && !part.is_shadow();
    if lost {
        lines.open("if not there[1] then");
        lines.line("lost = true");
        lines.close("end");
    }
    let there = if lost { "" } else { ", there = there[1]" };
    lines.line(format!(
        "local row = {{{}, subject = subject, key = key{there}}}",
        values.join(", ")
    ));
    lines.line(format!("rows[{number}][subject] = row"));
    lines.line("return row");
    lines.close("end");
}

/// Writes the buyers' buckets: records, and what was charged with them.
pub(super) fn write_buyers(lines: &mut Lines, part: &Part<'_>) {
    lines.line("-- An entry of the same millisecond is its number in it.");
    lines.line("local number = #moment + 1");
    lines.line("local place = sub(entry, 1, number) == moment .. '-' and sub(entry, number) or entry");
    lines.line("local head = 'a ' .. place .. ' ' .. revision .. ' ' .. moment .. ' '");
    lines.open("for bucket, list in pairs(writes) do");
    lines.line("local size = #list");
    match part.stride() {
        Some(stride) => {
            lines.open(format!("for i = 2, size, {stride} do"));
            lines.line("list[i] = head .. list[i]");
        }
        None => {
            lines.line("-- A number among the values is where the attempt stands whose record it is to be.");
            lines.open("for i = 2, size, 2 do");
            lines.line("local tail = ARGV[list[i]]");
            lines.line("list[i] = tail and head .. tail or list[i]");
        }
    }
    lines.close("end");
    lines.line("-- Unpacked, a longer list would overflow the stack.");
    lines.open(format!("for i = 1, size, {FIELDS_MAX} do"));
    lines.line(format!(
        "call('HSET', held[bucket][1], unpack(list, i, min(i + {}, size)))",
        FIELDS_MAX - 1
    ));
    lines.close("end");
    lines.close("end");
}

/// Writes the counts of every subject that was charged, but those of buyers.
pub(super) fn write_back(lines: &mut Lines, part: &Part<'_>) {
    let counters = &part.plan.plan().counters;
    for (index, group) in part.others() {
        let (mut always, mut sometimes) = (Vec::new(), Vec::new());
        for (place, counter) in (1..).zip(&group.counters) {
            let counter = &counters[*counter as usize];
            let value = match is_rolling(counter) {
                true => format!("row[{place}].text"),
                false => format!("whole(row[{place}])"),
            };
            let pair = format!("{}, {value}", part.field(group, counter, "row.subject"));
            match part.charged(counter) {
                Some(true) => always.push(pair),
                Some(false) => sometimes.push((place, pair)),
                None => {}
            }
        }
        if always.is_empty() && sometimes.is_empty() {
            continue;
        }
        let number = part.group(index);
        lines.open(format!("for _, row in ipairs(touched[{number}]) do"));
        if !group.lasting || part.is_shadow() {
            lines.line(format!("mark(row, ends[{number}])"));
        }
        if !always.is_empty() {
            lines.line(format!("call('HSET', row.key, {})", always.join(", ")));
        }
        for (place, pair) in sometimes {
            lines.open(format!("if row.charged_{place} then"));
            lines.line(format!("call('HSET', row.key, {pair})"));
            lines.close("end");
        }
        lines.close("end");
    }
}

/// The starts of the periods an order can fall into, and the one after them.
fn needed_starts(plan: &CheckedPlan, counter: u32) -> &[i64] {
    let starts = plan.periods(counter).map_or(&[][..], |periods| &periods.starts);
    let closes_at = plan.context().schedule.closes_at;
    let inside = starts.partition_point(|start| *start < closes_at);
    &starts[..(inside + 1).min(starts.len())]
}
