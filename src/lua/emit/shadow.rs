//! What the rules in shadow leave: counts of their own, and figures of how often which outcomes met.

use super::counts;
use super::part::Part;
use super::text::{Lines, literal};
use crate::lua::codec::{
    CODE_ADMITTED, CODE_ATTRIBUTE_MISSING, CODE_ATTRIBUTE_UNREADABLE, CODE_CLAIM_NOT_SINGLE, CODE_CLOSED,
    CODE_CONSTRAINT, CODE_FAULT, CODE_NOT_OPEN, CODE_SOLD_OUT, CODE_WINDOW_FULL,
};
use crate::lua::keys;
use crate::plan::{CheckedPlan, outcome};
use crate::rejection::Own;

/// Writes the function that keeps it, and its call: behind everything that counts.
pub(super) fn keep(lines: &mut Lines, plan: &Part<'_>, shadow: &Part<'_>, revision: u32) {
    lines.line("");
    lines.line("-- Keeps what the shadow counted. Whatever goes wrong in here stays in here.");
    lines.open("pcall(function()");
    counts::write_back(lines, shadow);
    lines.close("end)");
    lines.open("pcall(function()");
    outcomes(lines, "live", plan.plan);
    outcomes(lines, "other", shadow.plan);
    let prefix = literal(&keys::shadow_figures(revision));
    lines.open("for pair, n in pairs(met) do");
    lines.line(format!(
        "local field = {prefix} .. live[floor(pair / 1000)] .. ':' .. other[pair % 1000]"
    ));
    lines.open("if call('HINCRBY', prefix .. 'figures', field, n) == n then");
    lines.line("call('PEXPIREAT', prefix .. 'figures', whole(expires_at))");
    lines.close("end");
    lines.close("end");
    lines.close("end)");
}

/// A table of outcomes by code.
fn outcomes(lines: &mut Lines, name: &str, plan: &CheckedPlan) {
    lines.open(format!("local {name} = {{"));
    let own = [
        (CODE_ADMITTED, outcome::ADMITTED),
        (CODE_NOT_OPEN, Own::NotOpen.name()),
        (CODE_CLOSED, Own::Closed.name()),
        (CODE_SOLD_OUT, Own::SoldOut.name()),
        (CODE_WINDOW_FULL, Own::WindowFull.name()),
        (CODE_ATTRIBUTE_MISSING, Own::AttributeMissing.name()),
        (CODE_ATTRIBUTE_UNREADABLE, Own::AttributeUnreadable.name()),
        (CODE_CLAIM_NOT_SINGLE, Own::ClaimNotSingle.name()),
        (CODE_FAULT, outcome::FAULT),
    ];
    let own = own.map(|(code, text)| (code, text.to_owned()));
    let constraints = (CODE_CONSTRAINT..).zip(plan.plan().constraints.iter().map(|each| each.name()));
    for (code, text) in own.into_iter().chain(constraints) {
        lines.line(format!("[{code}] = {},", literal(&text)));
    }
    lines.close("}");
}
