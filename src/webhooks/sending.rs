//! Who sends to which endpoint: of all processes one, which has its lease. What an endpoint is to hear waits in the database, so
//! whoever takes it over goes on where the other left off; what was on its way then is sent once more, under the same id.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as Since;

use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

use super::metrics::Metrics;
use super::post::Poster;
use super::worker::Worker;
use crate::seldom::Seldom;
use crate::store::{Store, StoreResult, WebhookRow};

/// Messages on their way to all endpoints together.
const AT_ONCE: usize = 64;
/// Connections to the database: landing does not wait behind deliveries.
const CONNECTIONS: u32 = 4;
/// Between looks at which endpoints there are.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an endpoint stays with a process that died.
const LEASE_MS: i64 = 10_000;
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Whose turn it is to prune.
const PRUNING: &str = "webhook-pruning";
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Rounds of one turn, some of each endpoint each.
const PRUNE_ROUNDS: usize = 40;
/// How long deliveries are kept.
const KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

/// What sending stands on.
pub struct Needs {
    pub store: Store,
    pub poster: Poster,
    pub clock: fn() -> i64,
    pub metrics: Metrics,
}

/// Sending, until it is stopped or dropped.
pub struct Sending {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Sending {
    /// Starts it; needs a runtime.
    pub fn spawn(needs: Needs) -> Self {
        let keeper = Keeper {
            store: needs.store.apart(CONNECTIONS),
            poster: needs.poster,
            clock: needs.clock,
            metrics: needs.metrics,
            owner: uuid::Uuid::now_v7().simple().to_string(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            running: BTreeMap::new(),
            pruned: None,
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(keeper.run(stopped));
        Self {
            stop: Some(stop),
            task,
        }
    }

    /// Sends nothing more, and leaves the endpoints to others. What is on its way is sent again by them.
    pub async fn stop(mut self, limit: Duration) {
        drop(self.stop.take());
        if tokio::time::timeout(limit, &mut self.task).await.is_err() {
            tracing::debug!("endpoints of webhooks are left with their leases");
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Has a worker for each endpoint that is this process's.
struct Keeper {
    store: Store,
    poster: Poster,
    clock: fn() -> i64,
    metrics: Metrics,
    /// Names this process in leases.
    owner: String,
    permits: Arc<Semaphore>,
    running: BTreeMap<String, Running>,
    pruned: Option<Instant>,
}

struct Running {
    hook: watch::Sender<WebhookRow>,
    task: JoinHandle<()>,
    renewed: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lease(id: &str) -> String {
    format!("webhook.{id}")
}

impl Keeper {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut trouble = Seldom::default();
        loop {
            let looked = async {
                self.look().await?;
                self.prune().await
            };
            match looked.await {
                Ok(()) => trouble.over(),
                Err(error) => {
                    if trouble.met(&error.to_string(), Since::now()).is_some() {
                        tracing::warn!(%error, "webhooks are not looked after for now");
                    }
                }
            }
            tokio::select! {
                _ = &mut stopped => return self.leave().await,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&mut self) -> StoreResult<()> {
        let hooks = self.store.webhooks().await?;
        self.metrics.endpoints.see(&hooks, (self.clock)());
        let enabled = |id: &String| {
            let mut enabled = hooks.iter().filter(|hook| hook.disabled.is_none());
            enabled.any(|hook| hook.id == *id)
        };
        // Those that are gone or disabled: whatever they wait for is not waited for.
        self.running
            .retain(|id, running| enabled(id) && !running.task.is_finished());
        for hook in hooks.into_iter().filter(|hook| hook.disabled.is_none()) {
            self.keep(hook).await?;
        }
        Ok(())
    }

    /// Goes on with an endpoint, takes it where nobody has it, or lets go of it.
    async fn keep(&mut self, hook: WebhookRow) -> StoreResult<()> {
        let known = self.running.get(&hook.id);
        if known.is_none_or(|running| running.renewed.elapsed() >= RENEW_EVERY) {
            let (name, now) = (lease(&hook.id), (self.clock)());
            if !self.store.lease(&name, &self.owner, now, LEASE_MS).await? {
                self.running.remove(&hook.id);
                return Ok(());
            }
        }
        let Some(running) = self.running.get_mut(&hook.id) else {
            self.begin(hook);
            return Ok(());
        };
        if running.renewed.elapsed() >= RENEW_EVERY {
            running.renewed = Instant::now();
        }
        running.hook.send_if_modified(|known| {
            let changed = *known != hook;
            *known = hook;
            changed
        });
        Ok(())
    }

    fn begin(&mut self, hook: WebhookRow) {
        let (id, failing_since) = (hook.id.clone(), hook.failing_since);
        let (sender, receiver) = watch::channel(hook);
        let worker = Worker {
            store: self.store.clone(),
            poster: self.poster.clone(),
            clock: self.clock,
            metrics: self.metrics.clone(),
            permits: self.permits.clone(),
            hook: receiver,
            failing_since,
        };
        let running = Running {
            hook: sender,
            task: tokio::spawn(worker.run()),
            renewed: Instant::now(),
        };
        self.running.insert(id, running);
    }

    /// Removes what is old, or whose endpoint is gone: one process for all, now and then.
    async fn prune(&mut self) -> StoreResult<()> {
        if self.pruned.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return Ok(());
        }
        self.pruned = Some(Instant::now());
        let now = (self.clock)();
        let for_ms = PRUNE_EVERY.as_millis() as i64;
        if !self.store.lease(PRUNING, &self.owner, now, for_ms).await? {
            return Ok(());
        }
        for _ in 0..PRUNE_ROUNDS {
            if self.store.prune_deliveries(now - KEPT_MS).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn leave(mut self) {
        let ids: Vec<String> = std::mem::take(&mut self.running).into_keys().collect();
        for name in ids.iter().map(|id| lease(id)).chain([PRUNING.to_owned()]) {
            // It ends by itself, only later.
            if let Err(error) = self.store.leave_lease(&name, &self.owner).await {
                tracing::debug!(%error, name, "a lease is not given up");
            }
        }
    }
}
