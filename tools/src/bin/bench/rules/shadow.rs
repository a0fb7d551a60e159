//! Script time with a rule in shadow, beside the same rules without.

use anyhow::Result;
use serde_json::json;

use super::forge::{Forge, Rule};
use super::time::{BATCHES, ROUNDS, measure};
use crate::Bench;

pub async fn run(bench: &mut Bench, forge: &Forge) -> Result<()> {
    let one: Vec<Rule> = vec![("n-per-user", json!({"limit": 3}))];
    let stricter: Vec<Rule> = vec![("n-per-user", json!({"limit": 2}))];
    let eight = super::time::eight_rules();
    for (what, rules) in [("1 rule", &one), ("8 rules", &eight)] {
        for batch in BATCHES {
            let (mut on, mut off) = (f64::INFINITY, f64::INFINITY);
            for _ in 0..ROUNDS {
                let family = forge.family(rules).await?;
                off = off.min(measure(bench, family, batch).await?);
                let family = forge.shadowed(rules, &stricter).await?;
                on = on.min(measure(bench, family, batch).await?);
            }
            let what = format!("script, {batch} in a call: {what} and 1 in shadow");
            bench.table.ratio(what, on, "µs", off, None);
        }
    }
    Ok(())
}
