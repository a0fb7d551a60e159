//! The `admit` script: decides a batch of order attempts.

use std::collections::BTreeSet;

use super::counts;
use super::decide;
use super::expr::{CHAIN_MAX, Expressions, stock_entries};
use super::groups;
use super::header::{self, Header};
use super::membership::{self, Membership};
use super::part::Part;
use super::shadow;
use super::text::{Lines, integer, literal};
use crate::lua::codec::{ATTEMPT_FIELDS, BATCH_MAX};
use crate::plan::kind::Kind;
use crate::plan::slots::Slot;
use crate::plan::{CheckedPlan, Expr, Node, eval};

const HEADER: Header = Header {
    shebang: "#!lua",
    purpose: "-- admit: decides a batch of order attempts, each seeing what the ones before it changed.",
    reply: "-- Reply    {'fence', fence there or ''} | {'ok', now, entry or '', then per attempt: code, detail}",
};

pub(super) fn script(
    plan: &CheckedPlan,
    shadow: Option<&CheckedPlan>,
    slots: &[Slot],
    revision: u32,
) -> String {
    let mut parts = vec![Part::decides(plan, slots)];
    parts.extend(shadow.map(|shadow| Part::shadow(shadow, &parts[0], revision)));
    let mut lines = Lines::default();
    write_header(&mut lines, &parts, revision);
    write_prelude(&mut lines, &parts, revision);
    if let Some(shadow) = parts.get(1) {
        lines = decide::write(lines, Expressions { part: shadow });
        lines.part(include_str!("../../../lua/parts/admit-compare.lua"));
    }
    lines = decide::write_retry_facts(lines, Expressions { part: &parts[0] });
    // A call per attempt costs a little; what has so many variables costs more.
    let apart = parts[0].is_large();
    if apart {
        lines.line("");
        lines.line("-- Decides an attempt: its code and detail.");
        lines.open("local function decide(at, bucket, order, counts, item, quantity)");
        lines = decide::write(lines, Expressions { part: &parts[0] });
        lines.close("end");
    }
    lines.part(include_str!("../../../lua/parts/admit-loop.lua"));
    lines.indent();
    match apart {
        true => lines.line("local code, detail = decide(at, bucket, order, counts, item, quantity)"),
        false => {
            lines.line("local code, detail");
            lines.open("repeat  -- once; a question that is answered breaks out");
            lines = decide::write(lines, Expressions { part: &parts[0] });
            lines.close("until true");
        }
    }
    lines.outdent();
    if shadow.is_some() {
        lines.line("  compare(at, code, item, quantity)");
    }
    lines.part(include_str!("../../../lua/parts/admit-write.lua"));
    lines.indent();
    counts::write_buyers(&mut lines, &parts[0]);
    counts::write_back(&mut lines, &parts[0]);
    lines.outdent();
    lines.part(include_str!("../../../lua/parts/admit-records.lua"));
    lines.line("end");
    if let [plan, shadow] = parts.as_slice() {
        shadow::keep(&mut lines, plan, shadow, revision);
    }
    lines.line("return reply");
    lines.into_text()
}

fn write_header(lines: &mut Lines, parts: &[Part<'_>], revision: u32) {
    header::write(lines, &HEADER, parts[0].plan, revision);
    if let Some(shadow) = parts.get(1) {
        lines.line(format!(
            "-- Shadow   plan {}, which decides every attempt a second time and changes no answer",
            shadow.plan.digest()
        ));
    }
    lines.line("-- ARGV     fence, facts about what follows, payloads, SKUs, then per bucket of buyers: its number, and per buyer");
    lines.line("--          fields of counts and ids of orders; then per attempt");
    header::attempt_fields(lines);
    header::slots(lines, parts[0].slots, ATTEMPT_FIELDS);
    lines.line(HEADER.reply);
    lines.line("-- Codes    0 admitted, 1 admitted before, 2 not open, 3 closed, 4 unknown SKU, 5 sold out,");
    lines.line("--          6 rolling window full, 10 + k constraint k failed, 998 paused");
    lines.line("");
}

/// What a plan asks uploaded lists.
fn memberships(plan: &CheckedPlan) -> impl Iterator<Item = Membership> {
    plan.plan().nodes.iter().filter_map(|expr| match expr {
        Expr::Member { audience, of } => Some(Membership::of(plan, audience, of)),
        _ => None,
    })
}

/// Everything before the decisions: shared parts, large tables, the counters' windows.
fn write_prelude(lines: &mut Lines, parts: &[Part<'_>], revision: u32) {
    lines.part(include_str!("../../../lua/parts/begin.lua"));
    lines.line("");
    lines.line(format!("local revision, batch_max = '{revision}', {BATCH_MAX}"));
    lines.line(format!("local evaluator = '{}'", eval::VERSION));
    lines.line(format!(
        "local fields = {}  -- ARGV per attempt",
        ATTEMPT_FIELDS + parts[0].slots.len()
    ));
    lines.line("");
    lines.part(include_str!("../../../lua/parts/length.lua"));
    lines.part(include_str!("../../../lua/parts/admit-read.lua"));
    let any = |is: fn(&CheckedPlan) -> bool| parts.iter().any(|part| is(part.plan));
    if any(|plan| has(plan, |expr| matches!(expr, Expr::Mod(..)))) {
        lines.part(include_str!("../../../lua/parts/mod.lua"));
    }
    if any(|plan| has(plan, |expr| matches!(expr, Expr::Number { .. }))) {
        lines.part(include_str!("../../../lua/parts/integer.lua"));
    }
    if any(chooses_truth) {
        lines.part(include_str!("../../../lua/parts/pick.lua"));
    }
    let asked: Vec<Membership> = parts.iter().flat_map(|part| memberships(part.plan)).collect();
    let member = include_str!("../../../lua/parts/member.lua");
    membership::write_parts(lines, member, &asked);
    if parts.iter().any(needs_marks) {
        lines.part(include_str!("../../../lua/parts/admit-mark.lua"));
    }
    write_tables(lines, parts);
    if any(groups::any_calendar) {
        lines.part(include_str!("../../../lua/parts/period.lua"));
    }
    if any(groups::any_rolling) {
        lines.part(include_str!("../../../lua/parts/roll.lua"));
        lines.part(include_str!("../../../lua/parts/admit-roll.lua"));
    }
    if parts.iter().any(Part::rolls_for_buyers) {
        lines.part(include_str!("../../../lua/parts/admit-live.lua"));
    }
    counts::buyers(lines, &parts[0]);
    if parts
        .iter()
        .any(|part| part.groups.iter().any(|group| !group.of_buyer))
    {
        lines.part(include_str!("../../../lua/parts/admit-rows.lua"));
    }
    for part in parts {
        if part.is_shadow() {
            lines.line("");
            lines.line("-- The shadow's own. Their buckets are made when first used.");
        }
        counts::write_all(lines, part);
    }
    if parts.iter().any(|part| part.usage.variables_in_table()) {
        lines.line("");
        lines.line(
            "-- Values used more than once; each is written before it is read, for every attempt anew.",
        );
        lines.line("local v = {}");
    }
    if parts.iter().any(Part::counts_in_table) {
        lines.line("");
        lines.line(
            "-- What was counted for an attempt; each is written before it is read, for every attempt anew.",
        );
        lines.line("local counted = {}");
    }
}

/// Whether it makes buckets when they are first used.
fn needs_marks(part: &Part<'_>) -> bool {
    part.groups.iter().any(|group| !group.lasting || part.is_shadow())
}

fn has(plan: &CheckedPlan, is: fn(&Expr) -> bool) -> bool {
    plan.plan().nodes.iter().any(is)
}

fn chooses_truth(plan: &CheckedPlan) -> bool {
    let mut nodes = (0..).zip(&plan.plan().nodes);
    nodes.any(|(node, expr)| matches!(expr, Expr::Select(..)) && plan.kind(node) == Kind::Bool)
}

/// Functions that build the tables too large for a row of comparisons, and those that may be asked for each element of an
/// array.
fn write_tables(lines: &mut Lines, parts: &[Part<'_>]) {
    let (mut first, mut first_of_array) = (true, true);
    for part in parts {
        for (node, expr) in (0..).zip(&part.plan.plan().nodes) {
            let rows = table_rows(part.plan, expr);
            let of_array = matches!(expr, Expr::OneOf(of, _) if part.plan.may_be_array(*of));
            let is_table = rows.len() > CHAIN_MAX || (of_array && !rows.is_empty());
            if !is_table || !part.usage.is_needed(node) {
                continue;
            }
            if std::mem::take(&mut first) {
                lines.part(include_str!("../../../lua/parts/tables.lua"));
            }
            if of_array && std::mem::take(&mut first_of_array) {
                lines.part(include_str!("../../../lua/parts/any.lua"));
            }
            write_table(lines, part.table(node), &rows);
        }
    }
}

fn table_rows(plan: &CheckedPlan, expr: &Expr) -> Vec<(String, String)> {
    match expr {
        Expr::OneOf(_, texts) | Expr::StartsWith(_, texts) | Expr::EndsWith(_, texts) => {
            texts.iter().map(|text| (literal(text), "true".into())).collect()
        }
        Expr::Lookup { entries, .. } => number_rows(entries),
        Expr::Stock => number_rows(&stock_entries(plan)),
        _ => Vec::new(),
    }
}

fn write_table(lines: &mut Lines, number: Node, rows: &[(String, String)]) {
    let mut seen = BTreeSet::new();
    lines.line("");
    lines.open(format!("build[{number}] = function()"));
    lines.open("return {");
    for (key, value) in rows.iter().filter(|(key, _)| seen.insert(key)) {
        lines.line(format!("[{key}] = {value},"));
    }
    lines.close("}");
    lines.close("end");
}

fn number_rows(entries: &[(String, i64)]) -> Vec<(String, String)> {
    entries
        .iter()
        .map(|(text, n)| (literal(text), integer(*n)))
        .collect()
}
