//! One leg under examination: its steps one after the other, each with a deadline, none behind one that failed.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;

use super::report::{Finding, FindingLevel, LegReport};

/// A step failed: the leg's further steps are not tried.
#[derive(Debug)]
pub(super) struct Stopped;

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) found: String,
    pub(super) todo: String,
}

pub(super) fn wrong(found: impl Into<String>, todo: impl Into<String>) -> Wrong {
    Wrong {
        found: found.into(),
        todo: todo.into(),
    }
}

/// Where the URL of a section stands.
pub(super) fn url_key(section: &str, url_file: &Option<PathBuf>) -> String {
    match is_named(url_file) {
        true => format!("{section}.url_file"),
        false => format!("{section}.url"),
    }
}

/// Where user and password of a section's URL stand.
pub(super) fn login_key(
    section: &str,
    url_file: &Option<PathBuf>,
    password_file: &Option<PathBuf>,
) -> String {
    let url = url_key(section, url_file);
    match is_named(password_file) {
        true => format!("{url} and {section}.password_file"),
        false => url,
    }
}

/// An empty path is none.
fn is_named(path: &Option<PathBuf>) -> bool {
    path.as_ref().is_some_and(|path| !path.as_os_str().is_empty())
}

pub(super) struct Leg {
    name: &'static str,
    steps: &'static [&'static str],
    limit: Duration,
    findings: Vec<Finding>,
}

impl Leg {
    /// `steps` names all steps in their order; each may take `limit`.
    pub(super) fn new(name: &'static str, steps: &'static [&'static str], limit: Duration) -> Self {
        Self {
            name,
            steps,
            limit,
            findings: Vec::new(),
        }
    }

    /// Examines the leg, up to the first step that fails.
    pub(super) async fn examine(
        mut self,
        work: impl AsyncFnOnce(&mut Self) -> Result<(), Stopped>,
    ) -> LegReport {
        let ended = work(&mut self).await;
        let found = |step: &&'static str| self.findings.iter().any(|finding| finding.step == *step);
        let failed = |step: &&'static str| {
            let mut findings = self.findings.iter();
            findings.any(|finding| finding.step == *step && finding.level == FindingLevel::Failed)
        };
        // What stands before the step that failed was left out because there is nothing of the kind.
        let behind = self.steps.iter().copied().skip_while(|step| !failed(step));
        let not_tried = match ended {
            Ok(()) => Vec::new(),
            Err(Stopped) => behind.filter(|step| !found(step)).collect(),
        };
        LegReport {
            leg: self.name,
            findings: self.findings,
            not_tried,
        }
    }

    /// How long a step may take.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Tries one step; a failure or the end of its time is written down.
    pub(super) async fn step<T>(
        &mut self,
        step: &'static str,
        work: impl Future<Output = Result<T, Wrong>>,
    ) -> Result<T, Stopped> {
        self.within(step, self.limit, work).await
    }

    /// Like [`Self::step`], for a client that gives up by itself within the limit and then knows why.
    pub(super) async fn longer_step<T>(
        &mut self,
        step: &'static str,
        work: impl Future<Output = Result<T, Wrong>>,
    ) -> Result<T, Stopped> {
        self.within(step, self.limit * 3, work).await
    }

    async fn within<T>(
        &mut self,
        step: &'static str,
        limit: Duration,
        work: impl Future<Output = Result<T, Wrong>>,
    ) -> Result<T, Stopped> {
        let failed = match tokio::time::timeout(limit, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(Wrong { found, todo })) => Finding::failed(step, found, todo),
            Err(_) => Finding::failed(
                step,
                format!("no answer within {} ms", limit.as_millis()),
                "see whether the server is overloaded or a firewall drops what is sent; --within gives more time",
            ),
        };
        self.findings.push(failed);
        Err(Stopped)
    }

    pub(super) fn ok(&mut self, step: &'static str, found: impl Into<String>) {
        self.findings.push(Finding::ok(step, found));
    }

    pub(super) fn warn(&mut self, step: &'static str, found: impl Into<String>, todo: impl Into<String>) {
        self.findings.push(Finding::warning(step, found, todo));
    }

    /// Writes down what a step found.
    pub(super) fn note(&mut self, findings: impl IntoIterator<Item = Finding>) -> Result<(), Stopped> {
        let before = self.findings.len();
        self.findings.extend(findings);
        let mut new = self.findings[before..].iter();
        match new.any(|finding| finding.level == FindingLevel::Failed) {
            true => Err(Stopped),
            false => Ok(()),
        }
    }
}

/// Runs something that blocks on a thread that nobody waits for: what hangs must not hold the answer back, nor the end
/// of the process.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    std::thread::spawn(move || drop(answer.send(work())));
    answered.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[&str] = &["first", "second", "third"];

    #[test]
    fn a_login_is_looked_for_where_it_stands() {
        let (none, empty, file) = (None, Some(PathBuf::new()), Some(PathBuf::from("/run/secret")));
        for (url_file, password_file, expected) in [
            (&none, &empty, "redis.url"),
            (&file, &none, "redis.url_file"),
            (&none, &file, "redis.url and redis.password_file"),
            (&file, &file, "redis.url_file and redis.password_file"),
        ] {
            assert_eq!(login_key("redis", url_file, password_file), expected);
        }
    }

    #[tokio::test]
    async fn what_fails_ends_its_leg() {
        let leg = Leg::new("redis", STEPS, Duration::from_secs(60));
        let report = leg.examine(async |leg| {
            let two = leg.step("first", async { Ok(2) }).await?;
            leg.ok("first", two.to_string());
            leg.step("second", async { Err::<(), _>(wrong("broken", "mend it")) })
                .await?;
            unreachable!("stopped")
        });
        let report = report.await;
        assert_eq!(
            report.findings,
            [
                Finding::ok("first", "2"),
                Finding::failed("second", "broken", "mend it")
            ]
        );
        assert_eq!(report.not_tried, ["third"]);
    }

    #[tokio::test]
    async fn a_step_without_an_answer_fails() {
        let leg = Leg::new("redis", STEPS, Duration::from_millis(5));
        let report = leg.examine(async |leg| leg.step("first", std::future::pending()).await);
        let report = report.await;
        assert_eq!(report.findings[0].found, "no answer within 5 ms");
        assert_eq!(report.not_tried, ["second", "third"]);
    }
}
