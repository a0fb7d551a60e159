//! The buyers: each worker holds one connection and takes the next job of the script.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answer::{Meaning, read};
use super::link::{Broken, Link};
use super::log::{Log, SenderOutcome};
use super::report::{LoadReport, Seen};
use super::script::{Job, jobs};
use super::target::{Target, targets};
use super::trail::Trail;
use super::{LoadConfig, LoadError};
use crate::clock::now_ms;

/// What all workers of a run share.
struct Run {
    config: LoadConfig,
    targets: Arc<[Target]>,
    jobs: Vec<Job>,
    next: AtomicUsize,
    begun: Instant,
    path: String,
    log: Log,
}

impl Run {
    /// The next job with the moment it is due, until the script or the time ends.
    fn take(&self) -> Option<(Job, Option<Instant>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let job = *self.jobs.get(number)?;
        let due = self
            .config
            .rate
            .map(|rate| self.begun + Duration::from_secs_f64(number as f64 / rate));
        let ends = self.config.duration.map(|duration| self.begun + duration);
        let at = due.unwrap_or_else(Instant::now);
        (ends.is_none_or(|ends| at < ends)).then_some((job, due))
    }
}

pub(super) async fn run(config: LoadConfig) -> Result<LoadReport, LoadError> {
    let targets = targets(&config)?;
    answers(&targets).await?;
    let unwritable = |cause| LoadError::Log {
        path: config.log.clone().unwrap_or_default(),
        cause,
    };
    let log = Log::open(config.log.as_deref()).map_err(unwritable)?;
    let path = config.log.clone().unwrap_or_default();
    let run = Arc::new(Run {
        jobs: jobs(&config),
        next: AtomicUsize::new(0),
        begun: Instant::now(),
        path: format!("/v1/campaigns/{}/orders", config.campaign),
        targets,
        config,
        log,
    });
    let mut workers = JoinSet::new();
    for number in 0..run.config.connections {
        workers.spawn(worker(run.clone(), number));
    }
    let mut all = Seen::new();
    let mut attempts = HashSet::new();
    while let Some(joined) = workers.join_next().await {
        let (seen, taken) = joined.map_err(|error| LoadError::Config(format!("a worker ended: {error}")))?;
        all.merge(seen);
        attempts.extend(taken);
    }
    let elapsed = run.begun.elapsed();
    if let Some(run) = Arc::into_inner(run) {
        let closed = run.log.close();
        closed.map_err(|cause| LoadError::Log { path, cause })?;
    }
    Ok(all.finish(attempts.len() as u64, elapsed))
}

/// A typing error in the address should not look like an outage.
async fn answers(targets: &[Target]) -> Result<(), LoadError> {
    let mut last = String::new();
    for target in targets {
        match target.reach().await {
            Ok(()) => return Ok(()),
            Err(why) => last = why,
        }
    }
    Err(LoadError::Unreachable(last))
}

async fn worker(run: Arc<Run>, number: usize) -> (Seen, Vec<u32>) {
    let mut link = Link::new(run.targets.clone(), number, run.config.timeout);
    let mut seen = Seen::new();
    let mut taken = Vec::new();
    while let Some((job, due)) = run.take() {
        let since = wait_until(due).await;
        buy(&run, &mut link, &mut seen, job, since).await;
        taken.push(job.attempt);
    }
    (seen, taken)
}

/// The moment an attempt's latency counts from. A worker that was free in time counts from when the timer
/// woke it (timers are a millisecond coarse); one that came late, from when the attempt was due.
async fn wait_until(due: Option<Instant>) -> Instant {
    match due {
        Some(due) if due > Instant::now() => {
            tokio::time::sleep_until(due).await;
            Instant::now()
        }
        Some(due) => due,
        None => Instant::now(),
    }
}

/// Sends one job until it has a final answer or patience ends.
async fn buy(run: &Run, link: &mut Link, seen: &mut Seen, job: Job, since: Instant) {
    let mut trail = Trail::new(&run.config, job, since);
    trail.logged.outcome = ask(run, link, seen, job, since, &mut trail).await;
    trail.logged.ended = now_ms();
    run.log.write(&trail.logged);
}

async fn ask(
    run: &Run,
    link: &mut Link,
    seen: &mut Seen,
    job: Job,
    since: Instant,
    trail: &mut Trail,
) -> SenderOutcome {
    let (key, body) = (trail.logged.key.clone(), trail.body());
    loop {
        seen.report.requests += 1;
        let by = link.target().to_owned();
        let token = run.config.tokens.bearer(&trail.logged.user);
        let asked = match link.post(&run.path, &token, &key, body.clone()).await {
            Ok(raw) => match read(&raw) {
                Meaning::Order(answer) => {
                    trail.note(by, raw.status.as_u16(), &answer.state);
                    seen.heard(raw.status.as_u16(), &answer.state);
                    trail.logged.order = Some(answer.order.clone());
                    seen.order(job.attempt, trail.logged.user.clone(), answer, since.elapsed());
                    return SenderOutcome::Ok;
                }
                Meaning::Refused(refused) => {
                    trail.note(by, refused.status, &refused.reason);
                    seen.heard(refused.status, &refused.reason);
                    seen.refused(refused, since.elapsed());
                    return SenderOutcome::Rejected;
                }
                Meaning::Again {
                    status,
                    after,
                    reason,
                } => {
                    trail.note(by, status, &reason);
                    seen.heard(status, &reason);
                    *seen.report.again.entry(status).or_default() += 1;
                    after
                }
                Meaning::Strange(what) => {
                    trail.note(by, raw.status.as_u16(), &what);
                    // Its text may be another for each answer.
                    seen.heard(raw.status.as_u16(), "strange");
                    seen.report.unknown += 1;
                    seen.contradiction(format!("attempt {}: {what}", job.attempt));
                    return SenderOutcome::Unknown;
                }
            },
            Err(Broken::Timeout) => {
                trail.note(by, 0, "timeout");
                seen.report.timeouts += 1;
                Duration::ZERO
            }
            Err(Broken::Connection) => {
                trail.note(by, 0, "connection");
                seen.report.connection_errors += 1;
                Duration::ZERO
            }
        };
        let pause = trail.pause(asked);
        if job.impatient || since.elapsed() + pause > run.config.retry_for {
            seen.report.unknown += 1;
            return SenderOutcome::Unknown;
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::service::service_fn;
    use hyper::{Request, Response, body::Incoming};
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::super::log::Logged;
    use super::*;

    /// What goes wrong with the first requests, before an order is answered.
    #[derive(Clone, Copy)]
    enum Fault {
        Status(u16),
        Hangup,
    }

    /// A gateway that has one fault per request, then answers the same order; its address.
    async fn gateway(faults: &'static [Fault]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("the loopback is there");
        let address = listener.local_addr().expect("a bound address").to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let asked = asked.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let fault = faults.get(asked.fetch_add(1, Ordering::SeqCst)).copied();
                    async move { answer(&request, fault) }
                });
                let serve = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serve);
            }
        });
        address
    }

    fn answer(
        request: &Request<Incoming>,
        fault: Option<Fault>,
    ) -> Result<Response<Full<Bytes>>, &'static str> {
        let reply = |status: u16, body: String| {
            Response::builder()
                .status(status)
                .body(Full::new(Bytes::from(body)))
                .map_err(|_| "a valid answer")
        };
        match fault {
            Some(Fault::Status(status)) => reply(status, String::new()),
            Some(Fault::Hangup) => Err("hung up"),
            None => {
                let key = request
                    .headers()
                    .get("idempotency-key")
                    .and_then(|key| key.to_str().ok())
                    .unwrap_or("none");
                let order = serde_json::json!({"order": key, "state": "accepted", "revision": 1,
                    "placed_at": "2026-05-01T10:00:00.000Z"});
                reply(202, order.to_string())
            }
        }
    }

    #[tokio::test]
    async fn a_buyer_tries_again_with_the_same_key_until_there_is_an_answer() {
        let faults = &[
            Fault::Status(503),
            Fault::Hangup,
            Fault::Status(429),
            Fault::Hangup,
        ];
        let config = LoadConfig {
            targets: vec![gateway(faults).await],
            attempts: 20,
            users: 20,
            twice: 1.0,
            connections: 1,
            ..LoadConfig::default()
        };
        let report = run(config).await.expect("the gateway is there");
        assert_eq!(report.contradictions, Vec::<String>::new());
        assert_eq!((report.attempts, report.orders.len()), (20, 20));
        assert_eq!((report.unknown, report.connection_errors), (0, 2));
        assert_eq!(report.requests, 44, "20 attempts, 20 twins, 4 repetitions");
        assert_eq!(report.server_errors(), 1);
        assert_eq!((report.answered(202), report.answered(429)), (40, 1));
    }

    #[tokio::test]
    async fn everything_a_buyer_was_told_is_in_the_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("clients.log");
        let config = LoadConfig {
            targets: vec![gateway(&[Fault::Status(503), Fault::Hangup]).await],
            attempts: 3,
            users: 3,
            devices: 2,
            connections: 1,
            log: Some(path.clone()),
            ..LoadConfig::default()
        };
        run(config).await.expect("the gateway is there");
        let text = std::fs::read_to_string(path).expect("written");
        let lines: Vec<Logged> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line"))
            .collect();
        assert_eq!(lines.len(), 3);
        let said: Vec<(u16, &str)> = lines[0]
            .answers
            .iter()
            .map(|a| (a.status, a.said.as_str()))
            .collect();
        assert_eq!(said, [(503, ""), (0, "connection"), (202, "accepted")]);
        assert!(
            lines
                .iter()
                .all(|line| line.outcome == SenderOutcome::Ok && line.accepted())
        );
        assert!(
            lines
                .iter()
                .all(|line| line.device.is_some() && line.order.is_some())
        );
    }

    #[tokio::test]
    async fn the_impatient_give_up_after_one_request() {
        let config = LoadConfig {
            targets: vec![gateway(&[Fault::Status(503); 2]).await],
            attempts: 3,
            users: 3,
            impatient: 1.0,
            connections: 1,
            ..LoadConfig::default()
        };
        let report = run(config).await.expect("the gateway is there");
        assert_eq!((report.requests, report.unknown, report.orders.len()), (3, 2, 1));
    }
}
