//! The `inspect` script: what one buyer has used of every counter, and what else decides about limits.

use super::counts;
use super::groups;
use super::header::{self, Header, counter_name};
use super::membership::{self, Membership};
use super::text::{Lines, literal};
use crate::lua::keys;
use crate::plan::slots::Slot;
use crate::plan::{Attribute, CheckedPlan, Window};

const HEADER: Header = Header {
    shebang: "#!lua flags=no-writes",
    purpose: "-- inspect: what one buyer has used of every counter, in its current window.",
    reply: "-- Reply    {'fence', fence there or ''} | {'ok', now, paused or '', the facts: see lua/README.md}",
};
/// ARGV before the plan's slots: fence, SKU.
const FIELDS: usize = 2;

pub(super) fn script(plan: &CheckedPlan, revision: u32) -> String {
    let mut lines = Lines::default();
    header::write(&mut lines, &HEADER, plan, revision);
    lines.line("-- ARGV     fence, SKU or '', then");
    header::slots(&mut lines, plan.slots(), FIELDS + 1);
    lines.line(HEADER.reply);
    lines.line("");
    lines.part(include_str!("../../../lua/parts/begin.lua"));
    lines.line("");
    lines.line("local keys, starts, ends = {}, {}, {}");
    if groups::any_calendar(plan) {
        lines.part(include_str!("../../../lua/parts/period.lua"));
    }
    if groups::any_rolling(plan) {
        lines.part(include_str!("../../../lua/parts/roll.lua"));
    }
    lines.part(include_str!("../../../lua/parts/inspect.lua"));
    let asked = plan.quota_needs().members.iter();
    let asked: Vec<Membership> = asked
        .map(|(audience, of)| Membership::of(plan, audience, of))
        .collect();
    let member = include_str!("../../../lua/parts/listed.lua");
    membership::write_parts(&mut lines, member, &asked);
    for (index, counter) in (0..).zip(&plan.plan().counters) {
        if !counter.is_lasting() {
            lines.line("");
            lines.line(format!("-- Counter {index}, {}.", counter_name(counter)));
            let name = literal(&keys::counter_windows(&counter.id));
            let key = format!("keys[{index}] = prefix .. {name} .. ");
            counts::window(&mut lines, plan, index, index, &key);
        }
    }
    lines.line("");
    lines.line("local reply = {'ok', whole(now), paused or ''}");
    for fact in facts(plan) {
        lines.line(format!("reply[#reply + 1] = {fact}"));
    }
    lines.line("if lost then");
    lines.line("  return {'fence', ''}");
    lines.line("end");
    lines.line("return reply");
    lines.into_text()
}

fn facts(plan: &CheckedPlan) -> Vec<String> {
    let needs = plan.quota_needs();
    let mut facts = Vec::with_capacity(needs.len());
    if needs.remaining {
        facts.push("units(ARGV[2])".to_owned());
    }
    for index in &needs.counters {
        let counter = &plan.plan().counters[*index as usize];
        let subject = argument(plan, &Slot::Subject(counter.key.clone()));
        let bucket = argument(plan, &Slot::Bucket(counter.key.clone()));
        let read = match counter.is_lasting() {
            true => {
                let family = literal(&keys::counts_family(&counter.id, counter.is_of_buyer()));
                let field = literal(&keys::count_field(&counter.id, ""));
                format!("count(prefix .. {family} .. {bucket}, {field} .. {subject}, true)")
            }
            false => format!("count(keys[{index}] .. {bucket}, {subject}, false)"),
        };
        facts.push(match counter.window {
            Window::Rolling { length_ms } => format!("rolled({read}, {length_ms}).text"),
            _ => format!("{read} or '0'"),
        });
    }
    for (audience, of) in &needs.members {
        let bucket = argument(
            plan,
            &Slot::MemberBucket {
                audience: audience.clone(),
                of: of.clone(),
            },
        );
        let member = match of {
            Attribute::Sku => "ARGV[2]".to_owned(),
            other => argument(plan, &Slot::Attribute(other.clone())),
        };
        let listed = Membership::of(plan, audience, of).call(audience, &bucket, &member);
        facts.push(format!("{listed} and '1' or '0'"));
    }
    facts
}

fn argument(plan: &CheckedPlan, slot: &Slot) -> String {
    let index = plan.slots().iter().position(|each| each == slot);
    let index = index.expect("the checker lists every slot the plan reads");
    format!("ARGV[{}]", index + FIELDS + 1)
}
