//! The life of orders after they landed: what was released is on sale again, once; every change follows from the one before; and
//! what a shop was told is so.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::database::{Books, Row};
use crate::findings::Findings;

/// What may follow what, written down a second time: the product's table is what is checked.
const FOLLOWS: [(&str, &str); 4] = [
    ("confirmed", "paid"),
    ("confirmed", "cancelled"),
    ("confirmed", "expired"),
    ("paid", "refunded"),
];

/// One act of the shop, and how it was answered in the end; status 0: it was not.
#[derive(Clone, Debug, Deserialize)]
pub struct Act {
    pub order: String,
    pub act: String,
    pub key: String,
    pub status: u16,
}

pub fn read(path: &Path) -> Result<Vec<Act>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let lines = BufReader::new(file).lines().enumerate();
    lines
        .map(|(number, line)| {
            serde_json::from_str(&line?).with_context(|| format!("{}:{}", path.display(), number + 1))
        })
        .collect()
}

/// Judges the lives of all rows.
pub fn judge(found: &mut Findings, acts: &[Act], books: &Books) {
    for row in &books.rows {
        *found.states.entry(row.state.clone()).or_default() += 1;
        if let Some(why) = wrong_steps(row, books) {
            found.misstated += 1;
            found.case(format!("order {}: {why}", row.order));
        }
        if let Some(why) = wrong_release(row, books) {
            found.unreleased += 1;
            found.case(format!("order {}: {why}", row.order));
        }
    }
    told(found, acts, books);
}

fn wrong_steps(row: &Row, books: &Books) -> Option<String> {
    let landed = if row.confirmed { "confirmed" } else { "revoked" };
    let (mut state, mut number) = (landed, 1);
    for step in books.steps.get(&row.order).into_iter().flatten() {
        // One that a person gave up did not come through landing.
        if (step.number, step.from.as_str(), step.to.as_str()) == (1, "", "revoked") {
            continue;
        }
        if step.number != number + 1 || step.from != state || !FOLLOWS.contains(&(state, &step.to)) {
            return Some(format!("was {state} ({number}), and then {step:?}"));
        }
        (state, number) = (&step.to, step.number);
    }
    (row.state != state).then(|| format!("is {}, and its last change made it {state}", row.state))
}

fn wrong_release(row: &Row, books: &Books) -> Option<String> {
    let ends = !matches!(row.state.as_str(), "confirmed" | "paid");
    let release = books.releases.get(&row.order);
    match (ends, release) {
        (false, Some(_)) => Some(format!("is {} and gave something back", row.state)),
        (false, None) if !(row.holds_stock && row.holds_allowance) => {
            Some(format!("is {} and does not hold all", row.state))
        }
        (true, Some(release)) if release.waiting => Some("has not given back in Redis".to_owned()),
        (true, Some(_)) if row.holds_stock => Some("gave back, and holds its units".to_owned()),
        (true, None) if !(row.holds_stock && row.holds_allowance) => {
            Some("holds less than all, and gave nothing back".to_owned())
        }
        _ => None,
    }
}

/// An answer that was a yes is in the rows, under its key; of two that exclude each other, one was a yes at most.
fn told(found: &mut Findings, acts: &[Act], books: &Books) {
    let mut yes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for act in acts {
        found.acts += 1;
        if act.status != 200 {
            found.acts_refused += u64::from(act.status != 0);
            continue;
        }
        let steps = books.steps.get(&act.order).into_iter().flatten();
        if !steps.clone().any(|step| step.key.as_deref() == Some(&act.key)) {
            found.misstated += 1;
            found.case(format!(
                "{} of order {} was answered with yes, and no row has its key",
                act.act, act.order
            ));
        }
        yes.entry(&act.order).or_default().push(&act.act);
    }
    for (order, acts) in yes {
        if acts.contains(&"pay") && acts.contains(&"cancel") {
            found.misstated += 1;
            found.case(format!("order {order} was paid and cancelled, both with yes"));
        }
    }
}
