//! Time zones that parameters name wrongly: a module hands them on, and only the gateway knows which there are.

use serde_json::Value;

use super::places::places_of;
use super::problem::Problem;
use crate::plan::calendar::{is_zone, zones_like};
use crate::plan::{Plan, Window};

/// A problem for each parameter that a counter of the plan has as its zone, and that is none. A zone that is not among the
/// parameters is the module's own fault.
pub(super) fn wrong_zones(at: &str, plan: &Plan, params: &Value) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Vec::new();
    for counter in &plan.counters {
        let Window::Calendar { zone, .. } = &counter.window else {
            continue;
        };
        if is_zone(zone) {
            continue;
        }
        for pointer in places_of(params, zone, &format!("{at}/params")) {
            if problems.iter().all(|problem| problem.pointer != pointer) {
                let problem =
                    Problem::new(&pointer, format!("{zone:?} is no time zone of the IANA database"));
                problems.push(problem.hint(hint(zone)));
            }
        }
    }
    problems
}

fn hint(zone: &str) -> String {
    match zones_like(zone).as_slice() {
        [] => "use a name such as \"Europe/Berlin\" or \"UTC\"".to_owned(),
        like => {
            let like: Vec<String> = like.iter().map(|name| format!("{name:?}")).collect();
            format!("use {}", like.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_offered() {
        for (zone, hint_is) in [
            ("Berlin", "use \"Europe/Berlin\""),
            ("new york", "use \"America/New_York\""),
            ("Europe/Berln", "use \"Europe/Berlin\""),
            ("Europe-Berlin", "use \"Europe/Berlin\""),
            (
                "nowhere at all",
                "use a name such as \"Europe/Berlin\" or \"UTC\"",
            ),
            ("", "use a name such as \"Europe/Berlin\" or \"UTC\""),
        ] {
            assert_eq!(hint(zone), hint_is, "{zone}");
        }
    }
}
