//! What a decision does with its buyer's bucket: counts that were read with the orders, and what an admitted order adds to
//! the list that is written in the end.

use super::decide::Writer;
use super::expr::Binding;
use super::groups::is_rolling;
use super::header::counter_name;
use crate::plan::{Counter, Window};

impl Writer<'_> {
    /// A count that was read with the orders of its buyer.
    pub(super) fn read_of_buyer(&mut self, counter: &Counter, number: u32, place: &str) {
        let part = self.expressions.part;
        let (used, live) = (part.used(number), part.live(number));
        let Window::Rolling { length_ms } = counter.window else {
            let value = format!("values[{place}] and tonumber(values[{place}]) or 0");
            return self.lines.line(part.assignment(&used, &value));
        };
        let value = format!("live(values, {place}, {length_ms})");
        self.lines.line(part.assignment(&live, &value));
        self.lines.line(part.assignment(&used, &format!("{live}.used")));
    }

    /// Begins what the order adds to the list of its bucket, where that depends on the order: the record.
    pub(super) fn begin_list(&mut self) {
        self.lines.line("values[order] = at");
        self.lines
            .line("local list, base = writes[bucket] or {}, from[bucket]");
        self.lines.line("writes[bucket] = list");
        self.lines.line("local size = #list");
        self.lines
            .line("list[size + 1], list[size + 2] = ARGV[base + order], at");
    }

    /// What the order adds to the list of its bucket, where that is always the same: the record, and all counts.
    pub(super) fn fill_list(&mut self) {
        let mut pairs = vec!["ARGV[base + order], ARGV[at]".to_owned()];
        pairs.append(&mut self.counted);
        self.lines.line("values[order] = at");
        self.lines.line("local list, base = writes[bucket], from[bucket]");
        self.lines.open("if list then");
        self.lines.line("local size = #list");
        for (at, pair) in (1..).step_by(2).zip(&pairs) {
            self.lines
                .line(format!("list[size + {at}], list[size + {}] = {pair}", at + 1));
        }
        self.lines.outdent();
        self.lines.open("else");
        self.lines.open("writes[bucket] = {");
        pairs.iter().for_each(|pair| self.lines.line(format!("{pair},")));
        self.lines.close("}");
        self.lines.close("end");
    }

    /// The same of a count that is written with the record.
    pub(super) fn charge_buyer(&mut self, number: u32, counter: &Counter, always: bool, place: &str) {
        if !always {
            let condition = self.above_zero(counter.cost);
            self.lines.open(format!("if {condition} then"));
        }
        let name = counter_name(counter);
        let part = self.expressions.part;
        let (used, live) = (part.used(number), part.live(number));
        let cost = self.expressions.value(counter.cost).0;
        let value = match is_rolling(counter) {
            true => {
                self.lines.line(format!("add({live}, {cost})  -- {name}"));
                format!("{live}.text")
            }
            false => {
                let cost = self.expressions.operand(counter.cost, Binding::Multiply);
                self.lines
                    .line(format!("values[{place}] = {used} + {cost}  -- {name}"));
                format!("whole(values[{place}])")
            }
        };
        let pair = format!("ARGV[base + {place}], {value}");
        match self.expressions.part.stride() {
            Some(_) => self.counted.push(pair),
            None => {
                self.lines.line("size = #list");
                self.lines
                    .line(format!("list[size + 1], list[size + 2] = {pair}"));
            }
        }
        if !always {
            self.lines.close("end");
        }
    }
}
