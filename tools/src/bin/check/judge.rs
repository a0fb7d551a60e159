//! The comparison: pure, so that it can be tested without any service.

use std::collections::{BTreeMap, BTreeSet};

use crate::database::{Books, Counted};
use crate::findings::Findings;
use crate::kafka::Logs;
use crate::told::Told;

/// What the campaign promised, and what the run did to it.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub per_user: Option<u64>,
    pub per_device: Option<u64>,
    pub redis_lost: bool,
    /// Orders went on after they landed.
    pub lived: bool,
    pub remaining: Option<i64>,
}

/// Compares the three.
pub fn judge(rules: &Rules, told: &Told, logs: &Logs, books: &Books) -> Findings {
    let mut found = Findings::default();
    let rows: BTreeMap<&str, bool> = books
        .rows
        .iter()
        .map(|row| (row.order.as_str(), row.confirmed))
        .collect();
    clients(&mut found, rules, told, books, &rows);
    every_row(&mut found, told, books);
    counted(&mut found, books);
    changed(&mut found, books);
    limits(&mut found, rules, books);
    topic(&mut found, told, logs, books, &rows);
    if let Some(remaining) = rules.remaining {
        let total: i64 = books.stock.values().map(|(total, _)| total).sum();
        let held = |stage: &str| stage != "discarded" && stage != "landed";
        let sold: i64 = books
            .rows
            .iter()
            .filter(|row| row.holds_stock)
            .map(|row| row.quantity)
            .sum();
        let dead = books
            .dead
            .iter()
            .filter(|(id, _)| !rows.contains_key(id.as_str()));
        let dead: i64 = dead
            .filter(|(_, (stage, _))| held(stage))
            .map(|(_, (_, units))| units)
            .sum();
        let leaked = total - sold - remaining - dead;
        found.leaked = Some(leaked);
        if rules.lived && !rules.redis_lost && leaked != 0 {
            found.unreleased += leaked.unsigned_abs();
            found.case(format!("{leaked} units are neither held nor on sale"));
        }
    }
    found
}

/// What each buyer was told, against the rows.
fn clients(found: &mut Findings, rules: &Rules, told: &Told, books: &Books, rows: &BTreeMap<&str, bool>) {
    for (id, attempt) in told {
        found.attempts += 1;
        let row = rows.get(id.as_str()).copied();
        for strange in &attempt.strange {
            found.contradicted += 1;
            found.case(format!(
                "{} was told of order {strange} instead of {id}",
                attempt.user
            ));
        }
        if attempt.ok {
            found.ok += 1;
        } else if attempt.rejected {
            found.rejected += 1;
        } else {
            found.unknown += 1;
            found.unknown_landed += u64::from(row.is_some());
        }
        let told = !attempt.states.is_empty();
        if told && row.is_none() && !books.dead.contains_key(id) {
            if rules.redis_lost && !attempt.accepted {
                found.pending_gone += 1;
            } else {
                found.lost += 1;
                found.case(format!(
                    "{} was told {:?} of order {id}, which is nowhere",
                    attempt.user, attempt.states
                ));
            }
        }
        if attempt.accepted && row == Some(false) {
            found.accepted_then_revoked += 1;
            found.revoked_wrongly += u64::from(!rules.redis_lost);
        }
        if row == Some(true) && attempt.only_no {
            found.phantom += 1;
            found.case(format!(
                "{} was always told no, and order {id} is confirmed",
                attempt.user
            ));
        } else if row == Some(true) && attempt.rejected && !rules.redis_lost {
            found.contradicted += 1;
            found.case(format!(
                "{} was told no in the end, and order {id} is confirmed",
                attempt.user
            ));
        }
    }
}

/// Every row, against what its buyer asked for.
fn every_row(found: &mut Findings, told: &Told, books: &Books) {
    for row in &books.rows {
        found.rows += 1;
        match (&row.revoked_reason, row.confirmed) {
            (_, true) => found.confirmed += 1,
            (reason, false) => {
                let reason = reason.clone().unwrap_or_else(|| "no reason".to_owned());
                *found.revoked.entry(reason).or_default() += 1;
            }
        }
        let Some(asked) = told.get(&row.order) else {
            found.phantom += 1;
            found.case(format!(
                "order {} of {} was asked for by nobody",
                row.order, row.user
            ));
            continue;
        };
        let same = asked.user == row.user && asked.sku == row.sku && asked.device == row.device;
        if !same || i64::from(asked.quantity) != row.quantity {
            found.altered += 1;
            found.case(format!("order {} is {row:?}, asked for was {asked:?}", row.order));
        }
    }
    for (stage, _) in books.dead.values() {
        *found.dead.entry(stage.clone()).or_default() += 1;
    }
}

/// Stock and usage, against the rows that hold them: each unit and each charge once.
fn counted(found: &mut Findings, books: &Books) {
    let mut units: BTreeMap<&str, i64> = BTreeMap::new();
    let mut charges: BTreeMap<Counted, i64> = BTreeMap::new();
    for row in &books.rows {
        if row.holds_stock {
            *units.entry(row.sku.as_str()).or_default() += row.quantity;
        }
        for charge in row.charges.iter().filter(|_| row.holds_allowance) {
            let key = (charge.counter.clone(), charge.window, charge.subject.clone());
            *charges.entry(key).or_default() += charge.cost;
        }
    }
    let distinct: BTreeSet<&str> = books.rows.iter().map(|row| row.order.as_str()).collect();
    found.doubled += (books.rows.len() - distinct.len()) as u64;
    for (sku, (total, sold)) in &books.stock {
        let confirmed = units.get(sku.as_str()).copied().unwrap_or(0);
        found.oversold += (*sold.max(&confirmed) - total).max(0) as u64;
        differ(found, &format!("stock of {sku}"), *sold, confirmed);
    }
    let keys: BTreeSet<&Counted> = charges.keys().chain(books.usage.keys()).collect();
    for key in keys {
        let used = books.usage.get(key).copied().unwrap_or(0);
        let expected = charges.get(key).copied().unwrap_or(0);
        differ(found, &format!("usage of {key:?}"), used, expected);
    }
}

/// Changes of the stock, against the totals: each once, and none half done.
fn changed(found: &mut Findings, books: &Books) {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for (sku, total, open) in &books.changes {
        if *open {
            found.half_changed += 1;
            found.case(format!("a change of the stock of {sku} is half done"));
        }
        last.extend(total.map(|total| (sku.as_str(), total)));
    }
    for (sku, total) in last {
        let there = books.stock.get(sku).map(|(total, _)| *total);
        if there != Some(total) {
            found.half_changed += 1;
            found.case(format!(
                "the total of {sku} is {there:?}, and its last change made it {total}"
            ));
        }
    }
}

fn differ(found: &mut Findings, what: &str, counted: i64, rows: i64) {
    if counted != rows {
        found.doubled += (counted - rows).max(0) as u64;
        found.uncounted += (rows - counted).max(0) as u64;
        found.case(format!("{what} is {counted}, rows that hold it make {rows}"));
    }
}

/// Orders per buyer and per device: those that count towards a limit.
fn limits(found: &mut Findings, rules: &Rules, books: &Books) {
    let mut users: BTreeMap<&str, u64> = BTreeMap::new();
    let mut devices: BTreeMap<&str, u64> = BTreeMap::new();
    for row in books.rows.iter().filter(|row| row.holds_allowance) {
        *users.entry(row.user.as_str()).or_default() += 1;
        if let Some(device) = &row.device {
            *devices.entry(device.as_str()).or_default() += 1;
        }
    }
    for (counts, limit) in [(users, rules.per_user), (devices, rules.per_device)] {
        for (who, count) in counts {
            let over = limit.map_or(0, |limit| count.saturating_sub(limit));
            if over > 0 {
                found.over_limit += over;
                found.case(format!("{who} has {count} orders"));
            }
        }
    }
}

/// The orders topic, against the rows. What a buyer was told of and is nowhere is counted already.
fn topic(found: &mut Findings, told: &Told, logs: &Logs, books: &Books, rows: &BTreeMap<&str, bool>) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut newest: BTreeMap<&[u8], i64> = BTreeMap::new();
    let mut turns: BTreeMap<u32, rushgate::order::Ordinal> = BTreeMap::new();
    for copy in &logs.orders {
        if !seen.insert(copy.order.as_str()) {
            found.duplicates_absorbed += 1;
            continue;
        }
        if let Some((shard, turn)) = copy.turn {
            let newest = turns.entry(shard).or_insert(turn);
            found.inverted += u64::from(turn < *newest);
            *newest = turn.max(*newest);
        } else {
            let newest = newest.entry(copy.key.as_slice()).or_insert(copy.placed_at);
            found.inverted += u64::from(copy.placed_at < *newest);
            *newest = copy.placed_at.max(*newest);
        }
        let told = told
            .get(&copy.order)
            .is_some_and(|attempt| !attempt.states.is_empty());
        if !told && !rows.contains_key(copy.order.as_str()) && !books.dead.contains_key(&copy.order) {
            found.lost += 1;
            found.case(format!(
                "order {} ({} unit(s)) is in Kafka and nowhere else",
                copy.order, copy.quantity
            ));
        }
    }
    found.in_kafka = seen.len() as u64;
    (found.unreadable, found.retried) = (logs.unreadable, logs.retried);
    (found.dead_lettered, found.replayed) = (logs.dead, logs.replayed);
}

#[cfg(test)]
mod tests;
