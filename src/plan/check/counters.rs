//! Checks of counters: ids, keys, windows and costs.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::node_kind;
use crate::plan::calendar::{Periods, periods};
use crate::plan::context::CheckContext;
use crate::plan::error::PlanError;
use crate::plan::kind::Kind;
use crate::plan::names::{check_attribute, is_name};
use crate::plan::nodes::Nodes;
use crate::plan::{
    Attribute, COST_MAX, COUNTER_KEY_MAX, CalendarUnit, Counter, EARLY_ACCESS_MS_MAX, NOW_MAX, Node,
    PLAN_CALENDARS_MAX, Plan, TUMBLING_MS_MIN, WINDOW_MS_MAX, Window,
};

/// Calendars go on for so long after the campaign closed. Nobody is charged any more by then, so this does not
/// follow the campaign's retention: a revision's script stays the same when that changes.
const CALENDAR_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;

pub(super) fn check_counters(
    plan: &Plan,
    context: &CheckContext,
    nodes: &Nodes,
) -> Result<Vec<Option<Periods>>, PlanError> {
    let lead = plan
        .early_access
        .iter()
        .map(|early| early.lead_ms)
        .fold(0, i64::max);
    let from = context.schedule.opens_at - lead.min(EARLY_ACCESS_MS_MAX);
    let to = context.schedule.closes_at + CALENDAR_AFTER_MS;
    let mut calendars: BTreeMap<(CalendarUnit, &str), Periods> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    let mut all = Vec::with_capacity(plan.counters.len());
    for (index, counter) in plan.counters.iter().enumerate() {
        let here = |error: PlanError| error.under("counters", index);
        check_counter(counter, nodes).map_err(here)?;
        if !ids.insert(&counter.id) {
            let message = format!("the counter {:?} is there twice", counter.id);
            return Err(here(PlanError::new("id", "name", message)));
        }
        let Window::Calendar { unit, zone } = &counter.window else {
            all.push(None);
            continue;
        };
        let key = (*unit, zone.as_str());
        if !calendars.contains_key(&key) {
            if calendars.len() == PLAN_CALENDARS_MAX {
                let message = format!("more than {PLAN_CALENDARS_MAX} different calendars in one plan");
                return Err(here(PlanError::new("window", "window", message)));
            }
            let table = periods(*unit, zone, from, to)
                .map_err(|error| here(PlanError::new("window", "window", error.to_string())))?;
            calendars.insert(key, table);
        }
        all.push(calendars.get(&key).cloned());
    }
    Ok(all)
}

fn check_counter(counter: &Counter, nodes: &Nodes) -> Result<(), PlanError> {
    let parts: Vec<&str> = counter.id.split('/').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
        let message = format!(
            "the id {:?} is not of lower-case letters, digits and hyphens, with at most one '/'",
            counter.id
        );
        return Err(PlanError::new("id", "name", message));
    }
    if counter.key.len() > COUNTER_KEY_MAX {
        let message = format!(
            "{} attributes; at most {COUNTER_KEY_MAX} are allowed",
            counter.key.len()
        );
        return Err(PlanError::new("key", "bound", message));
    }
    let mut seen = BTreeSet::new();
    for attribute in &counter.key {
        check_attribute(attribute).map_err(|(code, message)| PlanError::new("key", code, message))?;
        if *attribute == Attribute::Quantity {
            return Err(PlanError::new(
                "key",
                "attribute",
                "quantity cannot be part of a key",
            ));
        }
        if !seen.insert(attribute) {
            return Err(PlanError::new(
                "key",
                "attribute",
                format!("{attribute} is there twice"),
            ));
        }
    }
    check_window(&counter.window).map_err(|message| PlanError::new("window", "window", message))?;
    check_cost(counter.cost, nodes)
}

fn check_window(window: &Window) -> Result<(), String> {
    let within = |what: &str, value: i64, low: i64, high: i64| match value {
        value if (low..=high).contains(&value) => Ok(()),
        value => Err(format!(
            "the {what} of {value} ms is not within {low} to {high} ms"
        )),
    };
    match window {
        // The zone of a calendar is looked up when its table is made.
        Window::Campaign | Window::Calendar { .. } => Ok(()),
        Window::Tumbling { length_ms, origin_ms } => {
            within("length", *length_ms, TUMBLING_MS_MIN, WINDOW_MS_MAX)?;
            within("origin", *origin_ms, 0, NOW_MAX)
        }
        Window::Rolling { length_ms } => within("length", *length_ms, 1, WINDOW_MS_MAX),
    }
}

fn check_cost(cost: Node, nodes: &Nodes) -> Result<(), PlanError> {
    let (low, high) = match node_kind(cost, nodes).map_err(|error| PlanError {
        at: "cost".into(),
        ..error
    })? {
        Kind::Int { low, high } => (low, high),
        other => {
            let message = format!("is {}; an integer is needed", other.name());
            return Err(PlanError::new("cost", "type", message));
        }
    };
    if low < 0 || high > COST_MAX {
        let message = format!("could reach {low} to {high}; 0 to {COST_MAX} is allowed");
        return Err(PlanError::new("cost", "bound", message));
    }
    if !nodes.reads[cost as usize].nothing_that_changes() {
        let message = "reads more than attributes and constants, so it could not be computed again";
        return Err(PlanError::new("cost", "type", message));
    }
    Ok(())
}
