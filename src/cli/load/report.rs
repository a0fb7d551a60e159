//! What a run saw: every order, every refusal, what went wrong on the way, and how long answers took.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::answer::{Answer, Refused};

/// Contradictions that are kept word for word.
const CONTRADICTIONS_MAX: usize = 20;
/// Longest latency that is told apart, in microseconds.
const LATENCY_MAX_US: u64 = 600_000_000;

/// An order as the answers described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenOrder {
    pub attempt: u32,
    pub user: String,
    /// Whether any answer called it accepted (or further).
    pub accepted: bool,
    pub revision: u32,
    pub placed_at: jiff::Timestamp,
}

/// Answers of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LatencyReport {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// The whole run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LoadReport {
    pub seconds: f64,
    /// Attempts that got a final answer or were given up; twins are not counted.
    pub attempts: u64,
    /// Requests sent, twins and repetitions included.
    pub requests: u64,
    /// Orders by id.
    #[serde(skip)]
    pub orders: BTreeMap<String, SeenOrder>,
    /// Final refusals by reason, one per request that was answered so.
    pub refused: BTreeMap<String, u64>,
    /// Requests given up without a final answer.
    pub unknown: u64,
    pub connection_errors: u64,
    pub timeouts: u64,
    /// Answers that made the buyer ask again, by status: 429 and 5xx.
    pub again: BTreeMap<u16, u64>,
    /// Every answer, by its status and by what it said: an order's state or a reason.
    pub answers: BTreeMap<u16, BTreeMap<String, u64>>,
    /// Answers that cannot all be true, or that break the contract; the first few.
    pub contradictions: Vec<String>,
    /// From the moment an order was due to its 202, repetitions included.
    pub order_latency: LatencyReport,
    /// The same for refusals.
    pub refusal_latency: LatencyReport,
}

impl LoadReport {
    /// Orders that some answer called accepted.
    pub fn accepted(&self) -> u64 {
        self.orders.values().filter(|order| order.accepted).count() as u64
    }

    /// Answers with a status of 500 or more.
    pub fn server_errors(&self) -> u64 {
        self.again.range(500..).map(|(_, count)| count).sum()
    }

    /// Answers with this status.
    pub fn answered(&self, status: u16) -> u64 {
        self.answers.get(&status).map_or(0, |said| said.values().sum())
    }

    pub fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!(self);
        json["orders"] = self.orders.len().into();
        json["accepted"] = self.accepted().into();
        json
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.requests as f64 / self.seconds.max(f64::EPSILON);
        writeln!(
            f,
            "{} attempts in {:.2} s; {} requests, {rate:.0} per second",
            self.attempts, self.seconds, self.requests
        )?;
        writeln!(
            f,
            "  orders      {:>9}   accepted {}",
            self.orders.len(),
            self.accepted()
        )?;
        write!(f, "  answers    ")?;
        for status in self.answers.keys() {
            write!(f, " {status}: {}", self.answered(*status))?;
        }
        writeln!(f)?;
        for (reason, count) in &self.refused {
            writeln!(f, "  refused     {count:>9}   {reason}")?;
        }
        for (status, count) in &self.again {
            writeln!(f, "  asked again {count:>9}   after {status}")?;
        }
        writeln!(
            f,
            "  broken      {:>9}   timeouts {}",
            self.connection_errors, self.timeouts
        )?;
        writeln!(f, "  no answer   {:>9}", self.unknown)?;
        for (name, latency) in [("order", &self.order_latency), ("refusal", &self.refusal_latency)] {
            if latency.count > 0 {
                writeln!(
                    f,
                    "  {name:<11} p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
                    latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms
                )?;
            }
        }
        for text in &self.contradictions {
            writeln!(f, "  CONTRADICTION {text}")?;
        }
        Ok(())
    }
}

/// What one worker saw; merged at the end, so that workers share nothing.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) report: LoadReport,
    orders_us: Histogram<u64>,
    refusals_us: Histogram<u64>,
}

impl Seen {
    pub(super) fn new() -> Self {
        let histogram =
            || Histogram::new_with_max(LATENCY_MAX_US, 3).expect("bounds of a histogram are constants");
        Self {
            report: LoadReport::default(),
            orders_us: histogram(),
            refusals_us: histogram(),
        }
    }

    /// Any answer at all.
    pub(super) fn heard(&mut self, status: u16, said: &str) {
        let answers = self.report.answers.entry(status).or_default();
        match answers.get_mut(said) {
            Some(count) => *count += 1,
            None => drop(answers.insert(said.to_owned(), 1)),
        }
    }

    pub(super) fn order(&mut self, attempt: u32, user: String, answer: Answer, took: Duration) {
        self.orders_us.saturating_record(took.as_micros() as u64);
        let seen = SeenOrder {
            attempt,
            user,
            accepted: matches!(answer.state.as_str(), "accepted" | "confirmed"),
            revision: answer.revision,
            placed_at: answer.placed_at,
        };
        self.keep(answer.order, seen);
    }

    pub(super) fn refused(&mut self, refused: Refused, took: Duration) {
        self.refusals_us.saturating_record(took.as_micros() as u64);
        *self.report.refused.entry(refused.reason).or_default() += 1;
    }

    pub(super) fn contradiction(&mut self, text: String) {
        if self.report.contradictions.len() < CONTRADICTIONS_MAX {
            self.report.contradictions.push(text);
        }
    }

    /// A retry is the same order: whatever an earlier answer said about it must still hold.
    fn keep(&mut self, id: String, seen: SeenOrder) {
        let Some(before) = self.report.orders.get_mut(&id) else {
            self.report.orders.insert(id, seen);
            return;
        };
        before.accepted |= seen.accepted;
        let told = |order: &SeenOrder| (order.attempt, order.revision, order.placed_at);
        if told(before) != told(&seen) {
            let text = format!("order {id}: once {before:?}, once {seen:?}");
            self.contradiction(text);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let Self {
            report,
            orders_us,
            refusals_us,
        } = other;
        self.orders_us += orders_us;
        self.refusals_us += refusals_us;
        for (id, order) in report.orders {
            self.keep(id, order);
        }
        for (reason, count) in report.refused {
            *self.report.refused.entry(reason).or_default() += count;
        }
        for (status, count) in report.again {
            *self.report.again.entry(status).or_default() += count;
        }
        for (status, said) in report.answers {
            let answers = self.report.answers.entry(status).or_default();
            for (said, count) in said {
                *answers.entry(said).or_default() += count;
            }
        }
        for text in report.contradictions {
            self.contradiction(text);
        }
        self.report.requests += report.requests;
        self.report.unknown += report.unknown;
        self.report.connection_errors += report.connection_errors;
        self.report.timeouts += report.timeouts;
    }

    /// The report, with the check that needs all of it: one attempt, one order.
    pub(super) fn finish(mut self, attempts: u64, elapsed: Duration) -> LoadReport {
        self.report.attempts = attempts;
        self.report.seconds = elapsed.as_secs_f64();
        self.report.order_latency = latency(&self.orders_us);
        self.report.refusal_latency = latency(&self.refusals_us);
        let mut by_attempt: BTreeMap<u32, &String> = BTreeMap::new();
        let mut doubled = Vec::new();
        for (id, order) in &self.report.orders {
            if let Some(first) = by_attempt.insert(order.attempt, id) {
                doubled.push(format!(
                    "attempt {} became orders {first} and {id}",
                    order.attempt
                ));
            }
        }
        for text in doubled {
            self.contradiction(text);
        }
        self.report
    }
}

fn latency(us: &Histogram<u64>) -> LatencyReport {
    let ms = |quantile| us.value_at_quantile(quantile) as f64 / 1000.0;
    LatencyReport {
        count: us.len(),
        p50_ms: ms(0.5),
        p90_ms: ms(0.9),
        p99_ms: ms(0.99),
        p999_ms: ms(0.999),
        max_ms: us.max() as f64 / 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(order: &str, state: &str, revision: u32) -> Answer {
        Answer {
            order: order.to_owned(),
            state: state.to_owned(),
            revision,
            placed_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn seen(answers: &[(u32, Answer)]) -> Seen {
        let mut seen = Seen::new();
        for (attempt, answer) in answers {
            seen.order(
                *attempt,
                "ada".to_owned(),
                answer.clone(),
                Duration::from_millis(1),
            );
        }
        seen
    }

    #[test]
    fn a_replay_is_the_same_order_and_may_know_more() {
        let mut all = seen(&[(1, answer("a", "pending", 1))]);
        all.merge(seen(&[
            (1, answer("a", "accepted", 1)),
            (2, answer("b", "pending", 1)),
        ]));
        let report = all.finish(2, Duration::from_secs(1));
        assert_eq!((report.orders.len(), report.accepted()), (2, 1));
        assert!(report.contradictions.is_empty(), "{:?}", report.contradictions);
        assert_eq!(report.order_latency.count, 3);
    }

    #[test]
    fn answers_that_cannot_all_be_true_are_told() {
        let mut all = seen(&[(1, answer("a", "accepted", 1))]);
        all.merge(seen(&[
            (1, answer("a", "accepted", 2)),
            (1, answer("b", "accepted", 1)),
        ]));
        let report = all.finish(1, Duration::from_secs(1));
        assert_eq!(report.contradictions.len(), 2, "{:?}", report.contradictions);
    }
}
