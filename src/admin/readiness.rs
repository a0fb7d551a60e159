//! Whether this process can do its work right now: for load balancers and operators.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use futures_util::future::{BoxFuture, join_all};

use super::Health;

/// A dependency that does not answer within this is not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks one dependency: `engine`, `bus`, `store`.
pub struct Check {
    pub name: &'static str,
    pub ask: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// All dependencies, and whether the process is on its way out.
#[derive(Default)]
pub struct Readiness {
    checks: Vec<Check>,
    draining: AtomicBool,
}

impl Readiness {
    pub fn new(checks: Vec<Check>) -> Self {
        Self {
            checks,
            draining: AtomicBool::new(false),
        }
    }

    /// From now on not ready: nobody should send anything new.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// (name, what is wrong) of everything that was asked.
    async fn ask(&self) -> Vec<(&'static str, Option<String>)> {
        let asked = self.checks.iter().map(async |check| {
            let wrong = match tokio::time::timeout(PATIENCE, (check.ask)()).await {
                Ok(Ok(())) => None,
                Ok(Err(cause)) => Some(cause),
                Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
            };
            (check.name, wrong)
        });
        let mut all = join_all(asked).await;
        let draining = self.draining.load(Ordering::Relaxed);
        all.push((
            "draining",
            draining.then(|| "the process was asked to stop".to_owned()),
        ));
        all
    }
}

/// `GET /readyz`: 200 or 503; with `?verbose` every check, otherwise only those that failed.
pub(super) async fn readyz(State(health): State<Health>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    let mut text = String::new();
    let mut ready = true;
    for (name, wrong) in health.readiness.ask().await {
        ready &= wrong.is_none();
        let _ = match wrong {
            Some(cause) => writeln!(text, "[-]{name} failed: {cause}"),
            None if verbose => writeln!(text, "[+]{name} ok"),
            None => Ok(()),
        };
    }
    let (status, word) = match ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    text.push_str(word);
    text.push('\n');
    (status, text)
}
