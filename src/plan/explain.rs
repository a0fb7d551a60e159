//! The explanation of a plan in sentences: what the merchant reads before activating a revision.

mod enforced;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::ceiling::is_held;
use super::fold::{list_of, read_by};
use super::reach::{needed, reachable_from};
use crate::audience::ListKind;
pub use enforced::enforced;

use super::{
    Attribute, CalendarUnit, CheckedPlan, Constraint, Counter, EarlyAccess, Expr, Fold, INTEGER_MAX,
    NETWORK_BITS, NOW_MAX, Node, Plan, Window,
};

/// When the sale opens and closes, how attributes are folded, then one entry per early access and one per constraint, in order.
/// The module's own sentence comes first; what follows it is the host's: what the plan enforces, over whom and which
/// window counts run, which lists are asked, and which attributes can be forged.
pub fn explain(plan: &CheckedPlan) -> Vec<String> {
    let schedule = plan.context().schedule;
    let times = format!(
        "The sale opens at {} and closes at {}.",
        rfc3339(schedule.opens_at),
        rfc3339(schedule.closes_at)
    );
    let parts = plan.plan();
    let early = parts
        .early_access
        .iter()
        .map(|early| explain_early(plan, early, schedule.opens_at));
    let constraints = parts
        .constraints
        .iter()
        .map(|constraint| explain_constraint(plan, constraint));
    std::iter::once(times)
        .chain(folded(plan))
        .chain(early)
        .chain(constraints)
        .collect()
}

/// The same of rules in shadow, marked as such; the times are those of the rules that decide.
pub fn explain_shadow(plan: &CheckedPlan) -> Vec<String> {
    let sentences = explain(plan).into_iter().skip(1);
    sentences
        .map(|sentence| format!("In shadow, deciding nothing: {sentence}"))
        .collect()
}

/// Said of a constraint that counts what the database has no ceiling for.
const UNHELD: &str =
    " Redis alone enforces it: what is admitted against it because Redis lost writes is not revoked.";

fn explain_early(plan: &CheckedPlan, early: &EarlyAccess, opens_at: i64) -> String {
    let mut text = sentence(&early.sentence);
    text += &format!(
        " Opens {} earlier for them, at {}.",
        duration(early.lead_ms),
        rfc3339(opens_at - early.lead_ms)
    );
    text += &format!(" Enforced for: {}.", enforced::let_in(plan, early));
    text + &facts(plan, &[early.when], None)
}

fn explain_constraint(plan: &CheckedPlan, constraint: &Constraint) -> String {
    let mut roots = vec![constraint.require];
    roots.extend(constraint.when);
    roots.extend(constraint.measure.map(|measure| measure.limit));
    let measured = constraint.measure.map(|measure| measure.counter);
    let mut host = format!(" Enforced: {}.", enforced(plan, constraint));
    if let Some(shown) = enforced::shown_instead(plan, constraint) {
        host += &format!(" Buyers are shown the limit {shown}.");
    }
    let unheld = match is_held(plan.plan(), constraint) {
        true => "",
        false => UNHELD,
    };
    sentence(&constraint.sentence) + &host + &facts(plan, &roots, measured) + unheld
}

/// What the host knows about the expressions behind a sentence; each fact starts with a space.
fn facts(checked: &CheckedPlan, roots: &[Node], measured: Option<u32>) -> String {
    let plan = checked.plan();
    let reached = reachable_from(plan, roots.iter().copied());
    let mut counters: BTreeSet<u32> = measured.into_iter().collect();
    let mut lists = BTreeSet::new();
    let mut clients = BTreeSet::new();
    for expr in needed(plan, &reached) {
        match expr {
            Expr::Counter(counter) => {
                counters.insert(*counter);
            }
            Expr::Member { audience, of } => {
                lists.insert((audience, of));
            }
            _ => {}
        }
        if let Expr::Attribute(of) | Expr::Member { of, .. } = expr
            && let Attribute::Client(name) = of.brought()
        {
            clients.insert(name.as_str());
        }
    }
    clients.extend(counters.iter().flat_map(|counter| forgeable(plan, *counter)));

    let counts: BTreeSet<String> = counters
        .iter()
        .map(|counter| counts(checked, &plan.counters[*counter as usize]))
        .collect();
    let asked = lists.iter().map(|(audience, of)| {
        let version = checked
            .context()
            .audiences
            .get(*audience)
            .map_or(0, |list| list.version);
        let kind = match checked.context().kind_of(audience) {
            ListKind::Texts => "",
            ListKind::Addresses(_) => ", of addresses and ranges",
        };
        format!(
            " Looks up the {}{} in the list {} (version {version}{kind}).",
            noun(of),
            if matches!(of, Attribute::Folded { .. }) {
                ","
            } else {
                ""
            },
            list_noun(audience)
        )
    });
    let forged = clients
        .iter()
        .map(|name| format!(" {name} is sent by the buyer's program and can be forged."));
    counts.into_iter().chain(asked).chain(forged).collect()
}

fn forgeable(plan: &Plan, counter: u32) -> impl Iterator<Item = &str> {
    plan.counters[counter as usize]
        .key
        .iter()
        .filter_map(|attribute| match attribute.brought() {
            Attribute::Client(name) => Some(name.as_str()),
            _ => None,
        })
}

fn counts(plan: &CheckedPlan, counter: &Counter) -> String {
    let nouns: Vec<String> = counter.key.iter().map(noun).collect();
    let whom = match nouns.as_slice() {
        [] => "of all buyers together".to_owned(),
        [one] => format!("per {one}"),
        [first @ .., last] => format!("per {} and {last}", first.join(", ")),
    };
    let what = enforced::counted(plan, counter);
    format!(" Counts {what} {whom}, {}.", window(&counter.window))
}

pub(super) fn noun(attribute: &Attribute) -> String {
    match attribute {
        Attribute::User => "user".to_owned(),
        Attribute::Sku => "SKU".to_owned(),
        Attribute::OfSku(name) => format!("{name} of the SKU"),
        Attribute::Quantity => "quantity".to_owned(),
        Attribute::Ip => "IP address".to_owned(),
        Attribute::IpNetwork => format!("IPv4 address or IPv6 /{NETWORK_BITS}"),
        Attribute::Claim(name) => format!("{name} of the token"),
        Attribute::Client(name) => name.clone(),
        Attribute::Folded { of, fold } => format!("{}, folded ({fold})", noun(of)),
    }
}

/// A list by its key among those that the revision pins.
pub(super) fn list_noun(audience: &str) -> String {
    match list_of(audience) {
        (list, Some(_)) => format!("{list}, folded likewise"),
        (list, None) => list.to_owned(),
    }
}

/// How each attribute reads that the plan reads folded.
fn folded(plan: &CheckedPlan) -> impl Iterator<Item = String> {
    let folded: BTreeSet<(&Attribute, &Fold)> = read_by(plan.plan())
        .filter_map(|attribute| match attribute {
            Attribute::Folded { of, fold } => Some((&**of, fold)),
            _ => None,
        })
        .collect();
    folded.into_iter().map(|(of, fold)| {
        format!(
            "Rules read the {} folded ({fold}): {}. The order keeps what was sent.",
            noun(of),
            fold.sentence()
        )
    })
}

pub(super) fn window(window: &Window) -> String {
    match window {
        Window::Campaign => "over the whole campaign".to_owned(),
        Window::Tumbling { length_ms, origin_ms } => format!(
            "in windows of {} that start at {} and every {} from there",
            duration(*length_ms),
            rfc3339(*origin_ms),
            duration(*length_ms)
        ),
        Window::Calendar { unit, zone } => {
            let unit = match unit {
                CalendarUnit::Day => "per day",
                CalendarUnit::Week => "per week from Monday",
                CalendarUnit::Month => "per month",
            };
            format!("{unit} in the time zone {zone}")
        }
        Window::Rolling { length_ms } => format!("over the last {}", duration(*length_ms)),
    }
}

/// `1 hour 30 minutes`; a day is 24 hours.
pub(super) fn duration(ms: i64) -> String {
    let units = [
        (86_400_000, "day"),
        (3_600_000, "hour"),
        (60_000, "minute"),
        (1000, "second"),
        (1, "millisecond"),
    ];
    let mut rest = ms;
    let mut words = Vec::new();
    for (length, unit) in units {
        let count = rest / length;
        rest %= length;
        match count {
            0 => {}
            1 => words.push(format!("1 {unit}")),
            count => words.push(format!("{count} {unit}s")),
        }
    }
    if words.is_empty() {
        return "0 milliseconds".to_owned();
    }
    words.join(" ")
}

pub(super) fn rfc3339(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{ms} ms"),
    }
}

/// Integers above this are shown as moments: 2001-09-09.
const MOMENT_MIN: i64 = 1_000_000_000_000;

/// A number, or the moment it is in all likelihood.
pub(super) fn number(number: i64) -> String {
    if (MOMENT_MIN..INTEGER_MAX).contains(&number) && number < NOW_MAX {
        return rfc3339(number);
    }
    number.to_string()
}

/// The module's sentence with its full stop.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.ends_with(['.', '!', '?', '。']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

#[cfg(test)]
mod tests;
