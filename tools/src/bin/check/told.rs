//! What clients were told: their log, put together by `Idempotency-Key`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use rushgate::cli::load::{Logged, LoggedAnswer, SenderOutcome};
use rushgate::order::OrderId;

/// Everything about one attempt: its requests, those of its twin, and their repetitions.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    pub user: String,
    pub device: Option<String>,
    pub sku: String,
    pub quantity: u32,
    /// Its sender ended with an order.
    pub ok: bool,
    /// What answers called the order, however it ended afterwards: `pending`, `accepted`, `confirmed` or `revoked`.
    pub states: BTreeSet<String>,
    /// Some answer called it accepted, or further on its way.
    pub accepted: bool,
    /// Every sender ended with a final no.
    pub rejected: bool,
    /// Every single answer was a final no.
    pub only_no: bool,
    /// Ids of orders that answers named, other than the one that follows from the key.
    pub strange: Vec<String>,
}

/// Attempts by the id of the order they become.
pub type Told = BTreeMap<String, Attempt>;

/// Reads the log of one campaign.
pub fn read(path: &Path, campaign: &str) -> Result<Told> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut told = Told::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line?;
        let logged: Logged =
            serde_json::from_str(&line).with_context(|| format!("{}:{}", path.display(), number + 1))?;
        if logged.campaign == campaign {
            add(&mut told, logged);
        }
    }
    Ok(told)
}

/// Adds one line of the log.
pub fn add(told: &mut Told, logged: Logged) {
    // An order's id follows from campaign, user and key: this is how an attempt nobody answered is found again.
    let id = OrderId::keyed(&logged.campaign, &logged.user, &logged.key).to_string();
    let accepted = logged.accepted();
    let attempt = told.entry(id.clone()).or_insert_with(|| Attempt {
        rejected: true,
        only_no: true,
        ..Attempt::default()
    });
    attempt.ok |= logged.outcome == SenderOutcome::Ok;
    let named = logged.answers.iter().filter(|answer| names_order(answer));
    attempt.states.extend(named.map(|answer| answer.said.clone()));
    attempt.accepted |= accepted;
    attempt.rejected &= logged.outcome == SenderOutcome::Rejected;
    attempt.only_no &= logged.answers.iter().all(is_no);
    attempt.strange.extend(logged.order.filter(|order| *order != id));
    attempt.user = logged.user;
    attempt.device = logged.device;
    attempt.sku = logged.sku;
    attempt.quantity = logged.quantity;
}

/// Whoever is told of an order in any state has one.
fn names_order(answer: &LoggedAnswer) -> bool {
    (200..300).contains(&answer.status)
}

/// 429 means "not now" and decides nothing.
fn is_no(answer: &LoggedAnswer) -> bool {
    (400..500).contains(&answer.status) && answer.status != 429
}
