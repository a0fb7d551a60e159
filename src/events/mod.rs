//! Telling everybody else: every change of an order becomes an event of the topic `order-events`, after its commit, at least
//! once, and never not at all. README.md says how; docs/EVENTS.md what those who read the topic may rely on.
//!
//! Landing hands on what it has landed (`live.rs`); what is not known to be told is told again (`again.rs`), and later changes are
//! told as they come (`changes.rs`), both by one lander for all.

mod again;
mod changes;
mod config;
mod lease;
mod live;
mod metrics;
mod owners;
mod publish;
mod spans;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::bus::{Log, Producer, Topics};
use crate::needs::{Hooks, Teller};
use crate::seldom::Seldom;
use crate::store::{Store, Untold};
use again::Again;
use changes::Changes;
pub use config::Config;
use lease::Lease;
use live::{Live, Stretches};
pub use metrics::{Metrics, register};
use owners::Owners;
use publish::Publisher;

/// Between looks at how far telling is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// At an end, between looks at whether everything is told.
const END_POLL: Duration = Duration::from_millis(20);

/// What telling stands on.
pub struct Needs {
    pub store: Store,
    /// Its records carry no seal: they are for everybody.
    pub producer: Arc<dyn Producer>,
    /// None where no log keeps what has landed.
    pub log: Option<Arc<dyn Log>>,
    pub topics: Topics,
    /// Who keeps changes for webhooks; None where there are none.
    pub hooks: Option<Arc<dyn Hooks>>,
}

/// Telling, until it is stopped or dropped.
pub struct Events {
    pub metrics: Metrics,
    /// None where nothing is told.
    live: Option<Live>,
    tasks: Vec<JoinHandle<()>>,
}

impl Events {
    /// Starts it; needs a runtime.
    pub fn spawn(config: &Config, needs: Needs) -> Self {
        let Needs {
            store,
            producer,
            log,
            topics,
            hooks,
        } = needs;
        let metrics = Metrics::default();
        let publisher = Publisher {
            producer,
            topic: topics.order_events.clone(),
            hooks,
            owners: Owners::new(store.clone()),
            metrics: metrics.clone(),
        };
        let landed = topics.landed().into_iter().map(str::to_owned).collect();
        let live = config
            .enabled
            .then(|| Live::new(store.clone(), publisher.clone(), Handle::current()));
        let owner = uuid::Uuid::now_v7().simple().to_string();
        let lease = Arc::new(Lease::new(store.clone(), owner));
        let changes = Changes {
            store: store.clone(),
            publisher: publisher.clone(),
            tells: config.enabled,
        };
        let again = Again::new(store, publisher, log, landed);
        let mut tasks = vec![
            tokio::spawn(look(again, lease.clone(), config.enabled)),
            tokio::spawn(tell_changes(changes, lease)),
        ];
        tasks.extend(live.clone().map(|live| tokio::spawn(note(live))));
        Self { metrics, live, tasks }
    }

    /// Who is to hear of what lands.
    pub fn teller(&self) -> Option<Arc<dyn Teller>> {
        let live = self.live.clone()?;
        Some(Arc::new(live))
    }

    /// Once nothing lands any more: waits until what is in hand is told, at most `limit`, and writes down how far that is. What
    /// is left then is told by others.
    pub async fn stop(self, limit: Duration) {
        let Some(live) = &self.live else { return };
        let begun = Instant::now();
        while !live.is_idle() && begun.elapsed() < limit {
            tokio::time::sleep(END_POLL).await;
        }
        let noted = async {
            let stretches = live.note(&Stretches::new()).await?;
            live.note(&stretches).await
        };
        match tokio::time::timeout(limit.saturating_sub(begun.elapsed()).max(END_POLL), noted).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "how far changes were told is not written down"),
            Err(_) => tracing::debug!("the database does not take how far changes were told"),
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Writes down how far live telling is, again and again.
async fn note(live: Live) {
    let mut before = Stretches::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match live.note(&before).await {
            Ok(now) => before = now,
            Err(error) => tracing::debug!(%error, "how far changes were told is not written down for now"),
        }
    }
}

/// Looks after what stands still, again and again. Without `tells`, what has landed counts as told.
async fn look(mut again: Again, lease: Arc<Lease>, tells: bool) {
    let mut troubles = Seldom::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match look_once(&mut again, &lease, tells).await {
            Ok(()) => troubles.over(),
            Err(error) => {
                again.publisher.metrics.failures.inc();
                let error = format!("{error:#}");
                if troubles.met(&error, std::time::Instant::now()).is_some() {
                    tracing::warn!(error, "changes of orders that stand still are not told for now");
                }
            }
        }
    }
}

/// Tells later changes, again and again.
async fn tell_changes(changes: Changes, lease: Arc<Lease>) {
    let mut troubles = Seldom::default();
    loop {
        let told = async {
            if lease.is_held().await? {
                return changes.tell().await;
            }
            changes.rest();
            Ok(false)
        };
        let pause = match told.await {
            Ok(more) => {
                troubles.over();
                if more { Duration::ZERO } else { changes::LOOK_EVERY }
            }
            Err(error) => {
                changes.publisher.metrics.failures.inc();
                let error = format!("{error:#}");
                if troubles.met(&error, std::time::Instant::now()).is_some() {
                    tracing::warn!(error, "later changes of orders are not told for now");
                }
                LOOK_EVERY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn look_once(again: &mut Again, lease: &Lease, tells: bool) -> anyhow::Result<()> {
    let stale = again.look(tells).await?;
    if stale.is_empty() || !lease.is_held().await? {
        return Ok(());
    }
    for row in &stale {
        if tells {
            again.tell(row).await?;
        } else {
            let Untold { topic, partition, .. } = row;
            let stretch = (row.told, row.next);
            again.store.note_told(topic, *partition, stretch).await?;
        }
    }
    Ok(())
}
