//! One request of a buyer as it goes on: what is sent, what came back, and how long to wait before the next try.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::LoadConfig;
use super::log::{Logged, LoggedAnswer, SenderOutcome};
use super::script::Job;
use crate::clock::now_ms;

/// A buyer without an answer tries again after up to so many milliseconds, twice as many after each failure.
const BACKOFF_MS_FIRST: u64 = 50;
const BACKOFF_MS_MAX: u64 = 1_000;

/// A request of one job as it goes on, for the log.
pub(super) struct Trail {
    pub(super) logged: Logged,
    backoff_ms: u64,
}

impl Trail {
    pub(super) fn new(config: &LoadConfig, job: Job, since: Instant) -> Self {
        let LoadConfig { prefix, devices, .. } = config;
        let now = now_ms();
        Self {
            logged: Logged {
                campaign: config.campaign.clone(),
                key: format!("{prefix}-{}", job.attempt),
                user: format!("{prefix}{}", job.user),
                device: (*devices > 0).then(|| format!("{prefix}-d{}", u64::from(job.user) % devices)),
                sku: config.sku.clone(),
                quantity: config.quantity,
                begun: now - since.elapsed().as_millis() as i64,
                ended: now,
                answers: Vec::new(),
                outcome: SenderOutcome::Unknown,
                order: None,
            },
            backoff_ms: BACKOFF_MS_FIRST,
        }
    }

    pub(super) fn body(&self) -> Bytes {
        let Logged { sku, quantity, .. } = &self.logged;
        let mut body = serde_json::json!({"sku": sku, "quantity": quantity});
        if let Some(device) = &self.logged.device {
            body["attributes"] = serde_json::json!({"device": device});
        }
        body.to_string().into()
    }

    pub(super) fn note(&mut self, by: String, status: u16, said: &str) {
        self.logged.answers.push(LoggedAnswer {
            at: now_ms(),
            status,
            said: said.to_owned(),
            by,
        });
    }

    /// How long to wait before asking again; `asked` is what the gateway asked for.
    pub(super) fn pause(&mut self, asked: Duration) -> Duration {
        let backoff = Duration::from_millis(fastrand::u64(1..=self.backoff_ms));
        self.backoff_ms = (self.backoff_ms * 2).min(BACKOFF_MS_MAX);
        asked.max(backoff)
    }
}
