//! The `admit` script: decides a batch of order attempts.

use std::collections::BTreeSet;

use super::counters::{self, is_rolling};
use super::decide;
use super::expr::{CHAIN_MAX, Expressions, stock_entries};
use super::header::{self, Header};
use super::text::{Lines, integer, literal};
use super::usage::{Root, Usage};
use crate::lua::codec::{ATTEMPT_FIELDS, BATCH_MAX};
use crate::plan::check::Kind;
use crate::plan::{CheckedPlan, Expr, Node};

const HEADER: Header = Header {
    shebang: "#!lua",
    purpose: "-- admit: decides a batch of order attempts, each seeing what the ones before it changed.",
    reply: "-- Reply    {'fence', fence there or ''} | {'ok', now, entry id or '', then per attempt: code, detail}",
};

pub(super) fn script(plan: &CheckedPlan, revision: u32) -> String {
    let usage = usage(plan);
    let expressions = Expressions { plan, usage: &usage };
    let mut lines = Lines::default();
    write_header(&mut lines, plan, revision);
    write_prelude(&mut lines, &expressions, revision);
    let mut lines = decide::write(lines, expressions);
    lines.part(include_str!("../../../lua/parts/admit-write.lua"));
    lines.into_text()
}

fn write_header(lines: &mut Lines, plan: &CheckedPlan, revision: u32) {
    header::write(lines, &HEADER, plan, revision);
    lines.line("-- ARGV     fence, number of attempts, then per attempt");
    header::attempt_fields(lines);
    header::slots(lines, plan, ATTEMPT_FIELDS);
    lines.line(HEADER.reply);
    lines.line("-- Codes    0 admitted, 1 admitted before, 2 not open, 3 closed, 4 unknown SKU, 5 sold out,");
    lines.line("--          6 rolling window full, 10 + k constraint k failed");
    lines.line("");
}

/// Every place an expression is used from. Constraints come first, then early accesses, then the
/// charges all together.
fn usage(plan: &CheckedPlan) -> Usage {
    let plan_text = plan.plan();
    let constraints = plan_text.constraints.len() as Root;
    let charges = constraints + plan_text.early_access.len() as Root;
    let mut roots: Vec<(Root, Node)> = Vec::new();
    for (root, constraint) in (0..).zip(&plan_text.constraints) {
        roots.extend(decide::constraint_nodes(constraint).map(|node| (root, node)));
    }
    for (root, early) in (constraints..).zip(&plan_text.early_access) {
        roots.push((root, early.when));
    }
    roots.extend(plan_text.counters.iter().map(|counter| (charges, counter.cost)));
    let mut usage = Usage::of(plan, &roots);
    for root in 0..constraints {
        for counter in &plan.needs(root).counters {
            usage.use_counter(root, *counter);
        }
    }
    for (counter, _) in (0..)
        .zip(&plan_text.counters)
        .filter(|(_, counter)| is_rolling(counter))
    {
        usage.use_counter(charges, counter);
    }
    usage
}

/// Everything before the decisions: shared parts, large tables, the counters' windows.
fn write_prelude(lines: &mut Lines, expressions: &Expressions<'_>, revision: u32) {
    let plan = expressions.plan;
    let nodes = &plan.plan().nodes;
    lines.part(include_str!("../../../lua/parts/begin.lua"));
    lines.line("");
    lines.line(format!("local revision, batch_max = '{revision}', {BATCH_MAX}"));
    lines.line(format!(
        "local fields = {}  -- ARGV per attempt",
        ATTEMPT_FIELDS + plan.slots().len()
    ));
    lines.part(include_str!("../../../lua/parts/admit-state.lua"));
    if nodes.iter().any(|expr| matches!(expr, Expr::Mod(..))) {
        lines.part(include_str!("../../../lua/parts/mod.lua"));
    }
    if nodes
        .iter()
        .enumerate()
        .any(|(index, expr)| matches!(expr, Expr::Select(..)) && plan.kind(index as Node) == Kind::Bool)
    {
        lines.part(include_str!("../../../lua/parts/pick.lua"));
    }
    write_tables(lines, expressions);
    if counters::any_calendar(plan) {
        lines.part(include_str!("../../../lua/parts/period.lua"));
    }
    if counters::any_rolling(plan) {
        lines.part(include_str!("../../../lua/parts/roll.lua"));
        lines.part(include_str!("../../../lua/parts/admit-roll.lua"));
    }
    counters::windows(lines, plan);
    for (index, counter) in plan.plan().counters.iter().enumerate() {
        lines.line(format!(
            "lasting[{index}], used[{index}], added[{index}] = {}, {{}}, {{}}",
            counter.is_lasting()
        ));
    }
    if expressions.variables_in_table() {
        lines.line("");
        lines.line(
            "-- Values used more than once; each is written before it is read, for every attempt anew.",
        );
        lines.line("local v = {}");
    }
}

/// Functions that build the tables too large for a row of comparisons.
fn write_tables(lines: &mut Lines, expressions: &Expressions<'_>) {
    let plan = expressions.plan;
    let mut first = true;
    for (index, expr) in plan.plan().nodes.iter().enumerate() {
        let rows: Vec<(String, String)> = match expr {
            Expr::OneOf(_, texts) => texts.iter().map(|text| (literal(text), "true".into())).collect(),
            Expr::Lookup { entries, .. } => number_rows(entries),
            Expr::Stock => number_rows(&stock_entries(plan)),
            _ => continue,
        };
        if rows.len() <= CHAIN_MAX || !expressions.usage.is_needed(index as Node) {
            continue;
        }
        if std::mem::take(&mut first) {
            lines.part(include_str!("../../../lua/parts/tables.lua"));
        }
        let mut seen = BTreeSet::new();
        lines.line("");
        lines.open(format!("build[{index}] = function()"));
        lines.open("return {");
        for (key, value) in rows.iter().filter(|(key, _)| seen.insert(key)) {
            lines.line(format!("[{key}] = {value},"));
        }
        lines.close("}");
        lines.close("end");
    }
}

fn number_rows(entries: &[(String, i64)]) -> Vec<(String, String)> {
    entries
        .iter()
        .map(|(text, n)| (literal(text), integer(*n)))
        .collect()
}
