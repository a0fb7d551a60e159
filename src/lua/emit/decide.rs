//! The function of the `admit` script that decides one attempt: the questions of the ABI in their
//! order, the plan's constraints among them, and what an admitted order consumes. For rules in shadow,
//! the same without the questions that only the deciding plan asks.

use std::collections::BTreeSet;

use super::expr::{Binding, Expressions};
use super::groups::is_rolling;
use super::header::counter_name;
use super::part::Role;
use super::text::{Lines, comment, integer};
use crate::lua::codec::{
    CODE_ADMITTED, CODE_ATTRIBUTE_MISSING, CODE_CLOSED, CODE_CONSTRAINT, CODE_EXISTING, CODE_FAULT,
    CODE_NOT_OPEN, CODE_PAUSED, CODE_SOLD_OUT, CODE_UNKNOWN_SKU, CODE_WINDOW_FULL,
};
use crate::plan::facts::Needs;
use crate::plan::slots::Slot;
use crate::plan::{CheckedPlan, Constraint, Counter, EarlyAccess, Node, ROLLING_ORDERS_MAX};

/// Values that one call of `format` is given: each takes one of Lua's registers, which variables have as well.
const FACTS_AT_ONCE: usize = 16;

/// The function that answers what [`CheckedPlan::retry_needs`] names of an attempt.
const RETRY_FACTS: &str = "refusing";

/// A moment as a person reads it.
fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |moment| moment.to_string())
}

/// What has a variable at this point of the script.
#[derive(Clone, Default)]
struct Known {
    nodes: BTreeSet<Node>,
    counters: BTreeSet<u32>,
    /// Groups whose row is known.
    groups: BTreeSet<u32>,
}

/// Writes the function that decides one attempt.
pub(super) struct Writer<'a> {
    plan: &'a CheckedPlan,
    pub(super) expressions: Expressions<'a>,
    pub(super) lines: Lines,
    known: Known,
    /// Fields and values of the buyer's counts, as an admitted order leaves them.
    pub(super) counted: Vec<String>,
}

/// Appends the function that decides one attempt.
pub(super) fn write(lines: Lines, expressions: Expressions<'_>) -> Lines {
    let mut writer = Writer::new(lines, expressions);
    match writer.expressions.part.role {
        Role::Decides => writer.decide(),
        Role::Shadow { .. } => writer.shadow(),
    }
    writer.lines
}

/// Appends the function that answers what it takes to say when an order that is refused would fit. Only who is refused calls
/// it, so nobody else pays for what it reads.
pub(super) fn write_retry_facts(lines: Lines, expressions: Expressions<'_>) -> Lines {
    let mut writer = Writer::new(lines, expressions);
    let plan = writer.plan;
    let needs = plan.retry_needs();
    if needs.is_empty() {
        return writer.lines;
    }
    writer.lines.line("");
    writer
        .lines
        .line("-- Everything an order is refused by, for whoever may come back: from that follows when.");
    writer.lines.open(format!(
        "local function {RETRY_FACTS}(at, bucket, counts, item, quantity)"
    ));
    let part = writer.expressions.part;
    let of_buyer = |counter: &u32| part.place_of_buyer(*counter).is_some();
    for (is_read, line) in [
        (needs.counters.iter().any(of_buyer), "local values = held[bucket]"),
        (needs.remaining, "local remaining = stock[item]"),
        (part.reads_sku(), "local sku = ARGV[3 + item]"),
    ] {
        if is_read {
            writer.lines.line(line);
        }
    }
    let facts = writer.facts(needs);
    writer.lines.line(format!("return {facts}"));
    writer.lines.close("end");
    writer.lines
}

impl<'a> Writer<'a> {
    fn new(lines: Lines, expressions: Expressions<'a>) -> Self {
        Self {
            plan: expressions.part.plan,
            expressions,
            lines,
            known: Known::default(),
            counted: Vec::new(),
        }
    }

    fn decide(&mut self) {
        self.lines.line("local values = held[bucket]");
        self.admitted_before();
        self.lines.line("");
        self.lines.line("-- A SKU of this campaign?");
        self.lines.line("local remaining = stock[item]");
        self.reject_if("not remaining", CODE_UNKNOWN_SKU, "''");
        if self.expressions.part.reads_sku() {
            self.lines.line("local sku = ARGV[3 + item]");
        }
        self.rules();
        self.charges();
        self.lines
            .line("stock[item], sold[item] = remaining - quantity, true");
        self.lines.line("admitted = admitted + 1");
        self.reply(CODE_ADMITTED, "''");
    }

    fn shadow(&mut self) {
        self.lines.line("");
        self.lines.line(
            "-- Decides it a second time, by the rules in shadow: its code. They have counters of their own.",
        );
        self.lines
            .open("local function shadow(at, quantity, sku, remaining)");
        if self.expressions.part.slots.contains(&Slot::ShadowUnfit) {
            let code = self.expressions.slot(&Slot::ShadowUnfit);
            self.lines.open(format!("if {code} ~= '' then"));
            self.lines.line(format!("return tonumber({code})"));
            self.lines.close("end");
        }
        let plan = self.plan;
        for attribute in &plan.plan().required {
            let value = self.expressions.slot(&Slot::Attribute(attribute.clone()));
            self.reject_if(&format!("{value} == ''"), CODE_ATTRIBUTE_MISSING, "");
        }
        self.rules();
        self.charges();
        self.reply(CODE_ADMITTED, "");
        self.lines.close("end");
    }

    /// The questions every plan asks.
    fn rules(&mut self) {
        self.open();
        if !self.expressions.part.is_shadow() {
            self.lines.line("");
            self.lines.line("-- Paused?");
            self.reject_if("paused", CODE_PAUSED, "paused");
        }
        self.lines.line("");
        self.lines.line("-- Enough units left?");
        self.reject_if("remaining < quantity", CODE_SOLD_OUT, "remaining");
        let plan = self.plan;
        for (index, constraint) in plan.plan().constraints.iter().enumerate() {
            self.constraint(index, constraint);
        }
    }

    fn admitted_before(&mut self) {
        self.lines.line("");
        self.lines.line(
            "-- Admitted before, by an earlier call, or by this one (a number: where that attempt stands)?",
        );
        self.lines.line("local before = values[order]");
        self.lines.open("if before then");
        self.lines.line("again = again or ARGV[before] ~= nil");
        self.reply(CODE_EXISTING, "before");
        self.lines.close("end");
    }

    /// Nobody reads the details of the shadow.
    fn reply(&mut self, code: i64, detail: &str) {
        let part = self.expressions.part;
        match part.role {
            Role::Shadow { .. } => self.lines.line(format!("return {code}")),
            Role::Decides if part.is_large() => self.lines.line(format!("return {code}, {detail}")),
            Role::Decides if code == CODE_ADMITTED => self.lines.line(format!("code = {code}")),
            Role::Decides => {
                self.lines.line(format!("code, detail = {code}, {detail}"));
                self.lines.line("break");
            }
        }
    }

    fn reject_if(&mut self, condition: &str, code: i64, detail: &str) {
        self.lines.open(format!("if {condition} then"));
        self.reply(code, detail);
        self.lines.close("end");
    }

    fn open(&mut self) {
        let schedule = self.plan.context().schedule;
        let (opens_at, closes_at) = (integer(schedule.opens_at), integer(schedule.closes_at));
        let [opens, closes] = [schedule.opens_at, schedule.closes_at].map(moment);
        self.lines.line("");
        self.lines.line(format!("-- Open? From {opens} to {closes}."));
        self.reject_if(&format!("now >= {closes_at}"), CODE_CLOSED, "''");
        let plan = self.plan;
        let early_access = &plan.plan().early_access;
        let facts = self.retry_facts();
        if early_access.is_empty() {
            self.reject_if(&format!("now < {opens_at}"), CODE_NOT_OPEN, &facts);
            return;
        }
        let whens: Vec<Node> = early_access.iter().map(|early| early.when).collect();
        self.prepare(&whens, true);
        self.lines.open(format!("if now < {opens_at} then"));
        self.lines.line("local early = false");
        for early in early_access {
            self.early(early, schedule.opens_at);
        }
        self.reject_if("not early", CODE_NOT_OPEN, &facts);
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
        let name = comment(&constraint.name());
        self.lines
            .line(format!("-- {name}: {}", comment(&constraint.sentence)));
        let before = constraint.when.map(|when| {
            self.prepare(&[when], false);
            let rest: Vec<Node> = constraint.condition().collect();
            self.prepare(&rest, true);
            let condition = self.expressions.value(when).0;
            self.lines.open(format!("if {condition} then"));
            self.known.clone()
        });
        self.prepare(&[constraint.require], false);
        let failed = self.expressions.negation(constraint.require);
        self.lines.open(format!("if {failed} then"));
        let inside = self.known.clone();
        let plan = self.plan;
        let facts = match plan.may_pass(index as u32) {
            true => self.retry_facts(),
            false => self.facts(plan.needs(index as u32)),
        };
        self.reply(CODE_CONSTRAINT + index as i64, &facts);
        self.lines.close("end");
        self.known = inside;
        if let Some(before) = before {
            self.lines.close("end");
            self.known = before;
        }
    }

    /// The call that answers what it takes to say when the order would fit.
    fn retry_facts(&self) -> String {
        match self.plan.retry_needs().is_empty() {
            true => "''".to_owned(),
            false => format!("{RETRY_FACTS}(at, bucket, counts, item, quantity)"),
        }
    }

    /// What an answer carries besides its code, as an expression; counters that were not read are.
    fn facts(&mut self, needs: &Needs) -> String {
        if self.expressions.part.is_shadow() {
            return String::new();
        }
        let (mut formats, mut values) = (Vec::new(), Vec::new());
        if needs.remaining {
            formats.push("%.0f");
            values.push("remaining".to_owned());
        }
        for counter in &needs.counters {
            self.read_counter(*counter);
            let rolling = is_rolling(&self.plan.plan().counters[*counter as usize]);
            formats.push(if rolling { "%s" } else { "%.0f" });
            let part = self.expressions.part;
            values.push(match rolling {
                true => format!("{}.text", part.live(*counter)),
                false => part.used(*counter),
            });
        }
        for (audience, of) in &needs.members {
            formats.push("%.0f");
            values.push(format!("{} and 1 or 0", self.expressions.member(audience, of).0));
        }
        match values.as_slice() {
            [] => "''".to_owned(),
            [one] => one.clone(),
            several => {
                let pieces = formats.chunks(FACTS_AT_ONCE).zip(several.chunks(FACTS_AT_ONCE));
                let piece = |(formats, values): (&[&str], &[String])| {
                    format!("format('{}', {})", formats.join(" "), values.join(", "))
                };
                pieces.map(piece).collect::<Vec<_>>().join(" .. ' ' .. ")
            }
        }
    }

    /// Gives every variable the nodes need its value. With `shared`, only those that other parts of
    /// the script need too: they must not end up inside a block.
    fn prepare(&mut self, nodes: &[Node], shared: bool) {
        let part = self.expressions.part;
        let (variables, counters) = self.expressions.needs(nodes);
        for counter in counters {
            if !shared || part.usage.is_counter_shared(counter) {
                self.read_counter(counter);
            }
        }
        for node in variables {
            if (!shared || part.usage.is_shared(node)) && self.known.nodes.insert(node) {
                let assignment = self.expressions.assignment(node);
                self.lines.line(assignment);
            }
        }
    }

    fn read_counter(&mut self, index: u32) {
        if !self.known.counters.insert(index) {
            return;
        }
        let counter = &self.plan.plan().counters[index as usize];
        let number = self.expressions.part.counter(index);
        if let Some(place) = self.expressions.part.place_of_buyer(index) {
            return self.read_of_buyer(counter, number, &place);
        }
        let part = self.expressions.part;
        let (group, place) = part.place(index);
        let (used, live, row) = (part.used(number), part.live(number), part.row(group));
        if self.known.groups.insert(group) {
            let subject = self.expressions.slot(&Slot::Subject(counter.key.clone()));
            let bucket = self.expressions.slot(&Slot::Bucket(counter.key.clone()));
            let value =
                format!("rows[{group}][{subject}] or read[{group}]({subject}, keys[{group}] .. {bucket})");
            self.lines.line(part.assignment(&row, &value));
        }
        let count = format!("{row}[{place}]");
        if is_rolling(counter) {
            self.lines.line(part.assignment(&live, &count));
            self.lines.line(part.assignment(&used, &format!("{live}.used")));
        } else {
            self.lines.line(part.assignment(&used, &count));
        }
    }

    /// What an admitted order consumes. Everything is read before anything is changed, and rolling windows
    /// are asked first, because one that is full rejects.
    fn charges(&mut self) {
        let part = self.expressions.part;
        let counters = &self.plan.plan().counters;
        let costs: Vec<Node> = counters.iter().map(|counter| counter.cost).collect();
        self.lines.line("");
        self.lines.line("-- What the order consumes.");
        self.prepare(&costs, false);
        for (index, counter) in (0..).zip(counters) {
            if part.charged(counter).is_some() {
                self.read_counter(index);
            }
        }
        for (index, counter) in (0..).zip(counters).filter(|(_, counter)| is_rolling(counter)) {
            let live = part.live(part.counter(index));
            let full = format!("{live}.orders >= {ROLLING_ORDERS_MAX}");
            let condition = match part.charged(counter) {
                Some(true) => full,
                Some(false) => format!("{} and {full}", self.above_zero(counter.cost)),
                None => continue,
            };
            let detail = format!("'{index} ' .. {}", self.retry_facts());
            self.reject_if(&condition, CODE_WINDOW_FULL, &detail);
        }
        if part.is_shadow() {
            self.reject_if("lost", CODE_FAULT, "");
        }
        let stride = part.stride();
        if stride.is_none() && !part.is_shadow() {
            self.begin_list();
        }
        let mut touched = BTreeSet::new();
        for (index, counter) in (0..).zip(counters) {
            self.charge(index, counter, &mut touched);
        }
        if stride.is_some() && !part.is_shadow() {
            self.fill_list();
        }
    }

    pub(super) fn above_zero(&self, cost: Node) -> String {
        format!("{} > 0", self.expressions.operand(cost, Binding::Add))
    }

    fn charge(&mut self, index: u32, counter: &Counter, touched: &mut BTreeSet<u32>) {
        let part = self.expressions.part;
        let Some(always) = part.charged(counter) else {
            return;
        };
        let number = part.counter(index);
        if let Some(place) = part.place_of_buyer(index) {
            return self.charge_buyer(number, counter, always, &place);
        }
        let (group, place) = part.place(index);
        let row = part.row(group);
        if !always {
            let condition = self.above_zero(counter.cost);
            self.lines.open(format!("if {condition} then"));
            self.lines.line(format!("{row}.charged_{place} = true"));
        }
        let name = counter_name(counter);
        self.lines.line(match is_rolling(counter) {
            true => format!(
                "add({}, {})  -- {name}",
                part.live(number),
                self.expressions.value(counter.cost).0
            ),
            false => format!(
                "{row}[{place}] = {} + {}  -- {name}",
                part.used(number),
                self.expressions.operand(counter.cost, Binding::Multiply)
            ),
        });
        if !always || touched.insert(group) {
            self.lines.line(format!("touch({group}, {row})"));
        }
        if !always {
            self.lines.close("end");
        }
    }
}
