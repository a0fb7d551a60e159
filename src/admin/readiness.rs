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
/// What the process can do without is not waited for as long: whoever probes gives up after a second, as a rule, and would
/// take a late `ready` for none.
const HELPER_PATIENCE: Duration = Duration::from_millis(500);

/// Asks one dependency: `engine`, `bus`, `store`.
pub struct Check {
    pub name: &'static str,
    pub ask: Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

/// Something the process can do without, for a while: what fails is said, and nobody is sent elsewhere for it. All
/// processes would be unready at once, and nothing gained.
pub struct Helper {
    pub check: Check,
    /// What becomes of the process's work meanwhile.
    pub without: &'static str,
}

/// All dependencies, and whether the process is on its way out.
#[derive(Default)]
pub struct Readiness {
    checks: Vec<Check>,
    helpers: Vec<Helper>,
    draining: AtomicBool,
}

/// How one of them stands.
enum CheckState {
    Good,
    /// Not as it should be, and ready all the same.
    Degraded(String),
    Failed(String),
}

impl Readiness {
    pub fn new(checks: Vec<Check>) -> Self {
        Self {
            checks,
            helpers: Vec::new(),
            draining: AtomicBool::new(false),
        }
    }

    /// The same, with what it can do without.
    pub fn helped_by(mut self, helpers: Vec<Helper>) -> Self {
        self.helpers = helpers;
        self
    }

    /// From now on not ready: nobody should send anything new.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether what lasts is to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// (name, standing) of everything that was asked.
    async fn ask(&self) -> Vec<(&'static str, CheckState)> {
        let needed = self.checks.iter().map(|check| (check, None));
        let helpers = self.helpers.iter();
        let helpers = helpers.map(|helper| (&helper.check, Some(helper.without)));
        let asked = needed.chain(helpers).map(async |(check, without)| {
            let patience = without.map_or(PATIENCE, |_| HELPER_PATIENCE);
            let standing = match (wrong(check, patience).await, without) {
                (None, _) => CheckState::Good,
                (Some(cause), Some(without)) => CheckState::Degraded(format!("{cause}; {without}")),
                (Some(cause), None) => CheckState::Failed(cause),
            };
            (check.name, standing)
        });
        let mut all = join_all(asked).await;
        let draining = match self.is_draining() {
            true => CheckState::Failed("the process was asked to stop".to_owned()),
            false => CheckState::Good,
        };
        all.push(("draining", draining));
        all
    }
}

async fn wrong(check: &Check, patience: Duration) -> Option<String> {
    match tokio::time::timeout(patience, (check.ask)()).await {
        Ok(answer) => answer.err(),
        Err(_) => Some(format!("no answer within {} ms", patience.as_millis())),
    }
}

/// `GET /readyz`: 200 or 503; with `?verbose` every check, otherwise only those that are not as they should be.
pub(super) async fn readyz(State(health): State<Health>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    let mut text = String::new();
    let mut ready = true;
    for (name, standing) in health.readiness.ask().await {
        ready &= !matches!(standing, CheckState::Failed(_));
        // Writing into a String cannot fail.
        let _ = match standing {
            CheckState::Failed(cause) => writeln!(text, "[-]{name} failed: {cause}"),
            CheckState::Degraded(cause) => writeln!(text, "[~]{name} degraded: {cause}"),
            CheckState::Good if verbose => writeln!(text, "[+]{name} ok"),
            CheckState::Good => Ok(()),
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
