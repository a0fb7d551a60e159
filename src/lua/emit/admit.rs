//! The `admit` script: decides a batch of order attempts.

use std::collections::BTreeSet;

use super::counters::{self, is_lasting, is_rolling};
use super::expr::{CHAIN_MAX, Expressions, stock_entries};
use super::header::{self, Header, counter_name};
use super::text::{Lines, comment, integer, literal};
use super::usage::{Root, Usage};
use crate::lua::codec::{
    ATTEMPT_FIELDS, BATCH_MAX, CODE_ADMITTED, CODE_CLOSED, CODE_CONSTRAINT, CODE_EXISTING, CODE_NOT_OPEN,
    CODE_SOLD_OUT, CODE_UNKNOWN_SKU, CODE_WINDOW_FULL,
};
use crate::plan::check::{Kind, Slot};
use crate::plan::{CheckedPlan, Constraint, EarlyAccess, Expr, Node, ROLLING_ORDERS_MAX, Window};

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
    let mut writer = Writer {
        plan,
        expressions,
        lines,
        known: Known::default(),
    };
    writer.decide();
    let mut lines = writer.lines;
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
        roots.extend(constraint_nodes(constraint).map(|node| (root, node)));
    }
    for (root, early) in (constraints..).zip(&plan_text.early_access) {
        roots.push((root, early.when));
    }
    roots.extend(plan_text.counters.iter().map(|counter| (charges, counter.cost)));
    let mut usage = Usage::of(plan, &roots);
    for (root, constraint) in (0..).zip(&plan_text.constraints) {
        if let Some(measure) = constraint.measure {
            usage.use_counter(root, measure.counter);
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

fn constraint_nodes(constraint: &Constraint) -> impl Iterator<Item = Node> {
    let limit = constraint.measure.map(|measure| measure.limit);
    [constraint.when, Some(constraint.require), limit]
        .into_iter()
        .flatten()
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
            is_lasting(counter)
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

/// What has a variable at this point of the script.
#[derive(Clone, Default)]
struct Known {
    nodes: BTreeSet<Node>,
    counters: BTreeSet<u32>,
}

/// Writes the function that decides one attempt.
struct Writer<'a> {
    plan: &'a CheckedPlan,
    expressions: Expressions<'a>,
    lines: Lines,
    known: Known,
}

impl Writer<'_> {
    fn decide(&mut self) {
        self.lines.line("");
        self.lines
            .line("-- Decides the attempt whose ARGV start at `at`: its code and detail.");
        self.lines.open("local function decide(at)");
        self.lines
            .line("local order, quantity, sku = ARGV[at], tonumber(ARGV[at + 2]), ARGV[at + 3]");
        self.admitted_before();
        self.lines.line("");
        self.lines.line("-- A SKU of this campaign?");
        self.lines.line("local remaining = stock[sku] or units(sku)");
        self.reject_if("not remaining", CODE_UNKNOWN_SKU, "''");
        self.open();
        self.lines.line("");
        self.lines.line("-- Enough units left?");
        self.reject_if("remaining < quantity", CODE_SOLD_OUT, "remaining");
        let plan = self.plan;
        for (index, constraint) in plan.plan().constraints.iter().enumerate() {
            self.constraint(index, constraint);
        }
        self.charges();
        self.lines.close("end");
    }

    fn admitted_before(&mut self) {
        self.lines.line("");
        self.lines
            .line("-- Admitted before, by this batch or an earlier call?");
        self.lines.line("local tail = decided[order]");
        self.lines.open("if tail then");
        self.lines.line("repeats[at] = tail");
        self.lines.line(format!("return {CODE_EXISTING}, ''"));
        self.lines.close("end");
        self.lines.line("local before = record(order, ARGV[at + 1])");
        self.reject_if("before", CODE_EXISTING, "before");
    }

    fn reject_if(&mut self, condition: &str, code: i64, detail: &str) {
        self.lines.open(format!("if {condition} then"));
        self.lines.line(format!("return {code}, {detail}"));
        self.lines.close("end");
    }

    fn open(&mut self) {
        let schedule = self.plan.context().schedule;
        let (opens_at, closes_at) = (integer(schedule.opens_at), integer(schedule.closes_at));
        self.lines.line("");
        self.lines.line("-- Open?");
        self.reject_if(&format!("now >= {closes_at}"), CODE_CLOSED, "''");
        let plan = self.plan;
        let early_access = &plan.plan().early_access;
        if early_access.is_empty() {
            self.reject_if(&format!("now < {opens_at}"), CODE_NOT_OPEN, "''");
            return;
        }
        let whens: Vec<Node> = early_access.iter().map(|early| early.when).collect();
        self.prepare(&whens, true);
        self.lines.open(format!("if now < {opens_at} then"));
        self.lines.line("local early = false");
        for early in early_access {
            self.early(early, schedule.opens_at);
        }
        self.reject_if("not early", CODE_NOT_OPEN, "''");
        self.lines.close("end");
    }

    fn early(&mut self, early: &EarlyAccess, opens_at: i64) {
        let before = self.known.clone();
        self.lines.line(format!("-- {}", comment(&early.sentence)));
        self.lines
            .open(format!("if now >= {} then", integer(opens_at - early.lead_ms)));
        self.prepare(&[early.when], false);
        let condition = self.expressions.value(early.when).0;
        self.lines.open(format!("if {condition} then"));
        self.lines.line("early = true");
        self.lines.close("end");
        self.lines.close("end");
        self.known = before;
    }

    fn constraint(&mut self, index: usize, constraint: &Constraint) {
        self.lines.line("");
        self.lines.line(format!(
            "-- {}/{}: {}",
            comment(&constraint.rule),
            comment(&constraint.reason),
            comment(&constraint.sentence)
        ));
        let before = constraint.when.map(|when| {
            self.prepare(&[when], false);
            let rest: Vec<Node> = constraint_nodes(constraint).collect();
            self.prepare(&rest, true);
            let condition = self.expressions.value(when).0;
            self.lines.open(format!("if {condition} then"));
            self.known.clone()
        });
        self.prepare(&[constraint.require], false);
        let failed = self.expressions.negation(constraint.require);
        self.lines.open(format!("if {failed} then"));
        let inside = self.known.clone();
        let detail = self.detail(constraint);
        self.lines
            .line(format!("return {}, {detail}", CODE_CONSTRAINT + index as i64));
        self.lines.close("end");
        self.known = inside;
        if let Some(before) = before {
            self.lines.close("end");
            self.known = before;
        }
    }

    /// The numbers of a failed constraint, as an expression.
    fn detail(&mut self, constraint: &Constraint) -> String {
        let Some(measure) = constraint.measure else {
            return "''".into();
        };
        self.read_counter(measure.counter);
        self.prepare(&[measure.limit], false);
        let counter = measure.counter;
        let retry_at = match self.plan.plan().counters[counter as usize].window {
            Window::Campaign => "0".into(),
            Window::Rolling { length_ms } => {
                format!("live_{counter}.oldest and live_{counter}.oldest + {length_ms} or 0")
            }
            _ => format!("ends[{counter}]"),
        };
        let limit = self.expressions.value(measure.limit).0;
        format!("measure(used_{counter}, {limit}, {retry_at})")
    }

    /// Gives every variable the nodes need its value. With `shared`, only those that other parts of
    /// the script need too: they must not end up inside a block.
    fn prepare(&mut self, nodes: &[Node], shared: bool) {
        let usage = self.expressions.usage;
        let (variables, counters) = self.expressions.needs(nodes);
        for counter in counters {
            if !shared || usage.is_counter_shared(counter) {
                self.read_counter(counter);
            }
        }
        for node in variables {
            if (!shared || usage.is_shared(node)) && self.known.nodes.insert(node) {
                let assignment = self.expressions.assignment(node);
                self.lines.line(assignment);
            }
        }
    }

    fn read_counter(&mut self, number: u32) {
        if !self.known.counters.insert(number) {
            return;
        }
        let counter = &self.plan.plan().counters[number as usize];
        let (subject, bucket) = self.subject(number);
        match counter.window {
            Window::Rolling { length_ms } => {
                self.lines.line(format!(
                    "local live_{number} = used[{number}][{subject}] or roll({number}, {subject}, {bucket}, {length_ms})"
                ));
                self.lines
                    .line(format!("local used_{number} = live_{number}.used"));
            }
            _ => self.lines.line(format!(
                "local used_{number} = used[{number}][{subject}] or count({number}, {subject}, {bucket})"
            )),
        }
    }

    /// Where an attempt's subject of a counter and its bucket stand.
    fn subject(&self, counter: u32) -> (String, String) {
        let key = &self.plan.plan().counters[counter as usize].key;
        (
            self.expressions.slot(&Slot::Subject(key.clone())),
            self.expressions.slot(&Slot::Bucket(key.clone())),
        )
    }

    /// What an admitted order consumes. Rolling windows are asked first, because one that is full rejects.
    fn charges(&mut self) {
        let plan = self.plan;
        let counters = &plan.plan().counters;
        let costs: Vec<Node> = counters.iter().map(|counter| counter.cost).collect();
        self.lines.line("");
        self.lines.line("-- What the order consumes.");
        self.prepare(&costs, false);
        for (number, counter) in (0..).zip(counters).filter(|(_, counter)| is_rolling(counter)) {
            self.read_counter(number);
            let full = format!("live_{number}.orders >= {ROLLING_ORDERS_MAX}");
            if let Some(condition) = self.charged_when(counter.cost, &full) {
                self.reject_if(&condition, CODE_WINDOW_FULL, &number.to_string());
            }
        }
        for (number, counter) in (0..).zip(counters) {
            self.charge(number, counter.cost, &counter_name(counter), is_rolling(counter));
        }
        self.lines.line("stock[sku] = remaining - quantity");
        self.lines.line("sold[sku] = (sold[sku] or 0) + quantity");
        self.lines.line("decided[order] = ARGV[at + 4]");
        self.lines.line("admitted = admitted + 1");
        self.lines.line("taken[admitted] = at");
        self.lines.line(format!("return {CODE_ADMITTED}, ''"));
    }

    /// `condition` joined with the test that the cost is above 0; `None` where it never is.
    fn charged_when(&self, cost: Node, condition: &str) -> Option<String> {
        let above_zero = format!(
            "{} > 0",
            self.expressions.operand(cost, super::expr::Binding::Add)
        );
        match self.plan.kind(cost) {
            Kind::Int { high, .. } if high <= 0 => None,
            Kind::Int { low, .. } if low > 0 => Some(condition.into()),
            _ if condition.is_empty() => Some(above_zero),
            _ => Some(format!("{above_zero} and {condition}")),
        }
    }

    fn charge(&mut self, number: u32, cost: Node, name: &str, rolling: bool) {
        let Some(condition) = self.charged_when(cost, "") else {
            return;
        };
        let (subject, bucket) = self.subject(number);
        let units = self.expressions.value(cost).0;
        if !condition.is_empty() {
            self.lines.open(format!("if {condition} then"));
        }
        let call = match rolling {
            true => format!("charge_roll({number}, live_{number}, {subject}, {bucket}, {units})"),
            false => format!("charge({number}, {subject}, {bucket}, {units})"),
        };
        self.lines.line(format!("{call}  -- {name}"));
        if !condition.is_empty() {
            self.lines.close("end");
        }
    }
}
