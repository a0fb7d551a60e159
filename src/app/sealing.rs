//! What a process that sends records has to know of seals while it runs: whether what it sends is still taken.
//!
//! It writes down that it sends, and with which keys, and looks every two seconds at what has ended. Where that is what
//! it does, it sends nothing any more: an entry that stays in the outbox is relayed by a gateway whose seal counts, a
//! record that is sent without one is forged. While the database is away it goes on as it was: `rushgate seal` waits
//! for it.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use futures_util::FutureExt;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use super::seals;
use crate::admin::{Check, Helper};
use crate::bus::Halt;
use crate::clock::now_ms;
use crate::config::Config;
use crate::metrics::gauge;
use crate::seldom::Seldom;
use crate::store::{Sender, Store, StoreResult, WITHOUT_SEAL};

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// While somebody waits for this process to stop sending.
const STOP_LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long an end waits for the database to take leave.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 190;
/// One for the process, however often its start is tried.
static PROCESS: LazyLock<String> = LazyLock::new(|| uuid::Uuid::now_v7().simple().to_string());

/// A process that is written down as one that sends records.
pub(crate) struct Sealing {
    store: Store,
    sender: Sender,
    halt: Halt,
    /// A key that only verifies and is retired.
    retired: Arc<Mutex<Option<String>>>,
    watch: JoinHandle<()>,
}

impl Drop for Sealing {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Sealing {
    /// Agrees with the others on keys, and says what this process, a `role`, sends with. Fails where what it would send
    /// is forged.
    pub(crate) async fn join(config: &Config, store: &Store, role: &str) -> anyhow::Result<Self> {
        seals::agree(config, store).await?;
        let keys = config.keyring.iter().flat_map(|keyring| keyring.keys());
        let sender = Sender {
            process: PROCESS.clone(),
            name: name(role),
            keys: keys.map(|key| key.id().to_string()).collect(),
        };
        store.note_sender(&sender, false, now_ms()).await?;
        // After that: see `store::senders`.
        if store.ended_seals().await?.contains(sender.seals_with()) {
            store.forget_sender(&sender.process).await?;
            bail!(ended(sender.seals_with()));
        }
        let (halt, retired) = (Halt::default(), Arc::default());
        let watch = tokio::spawn(watch(
            store.clone(),
            sender.clone(),
            halt.clone(),
            Arc::clone(&retired),
        ));
        Ok(Self {
            store: store.clone(),
            sender,
            halt,
            retired,
            watch,
        })
    }

    /// For every producer of this process.
    pub(crate) fn halt(&self) -> &Halt {
        &self.halt
    }

    /// Resolves when this process may not send any more: why.
    pub(crate) async fn halted(&self) -> String {
        loop {
            if let Some(why) = self.halt.why() {
                return why.to_owned();
            }
            tokio::time::sleep(STOP_LOOK_EVERY).await;
        }
    }

    /// Not ready where nothing may be sent.
    pub(crate) fn check(&self) -> Check {
        let halt = self.halt.clone();
        let answer = move || halt.why().map_or(Ok(()), |why| Err(why.to_owned()));
        Check {
            name: "seal",
            ask: Box::new(move || std::future::ready(answer()).boxed()),
        }
    }

    /// What verifies with a retired key lands what a thief of it writes.
    pub(crate) fn retired(&self) -> Helper {
        let retired = self.retired.clone();
        let answer = move || match &*retired.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(key) => Err(format!("key {key} of seal.keys is retired: take it out")),
        };
        let check = Check {
            name: "keys",
            ask: Box::new(move || std::future::ready(answer()).boxed()),
        };
        Helper {
            check,
            without: "until then records under it are landed here",
        }
    }

    /// Puts its metrics on the page.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let halt = self.halt.clone();
        let help = "1 where this process sends nothing any more, because its seal does not count";
        gauge(registry, "seal_halted", help, move || {
            i64::from(halt.why().is_some())
        });
    }

    /// Nothing is sent any more, because the process ends.
    pub(crate) async fn leave(&self) {
        self.watch.abort();
        let left = self.store.forget_sender(&self.sender.process);
        if !matches!(tokio::time::timeout(LEAVE_PATIENCE, left).await, Ok(Ok(()))) {
            tracing::warn!(
                name = self.sender.name,
                "still listed as one that sends records: `rushgate seal` asks for --force"
            );
        }
    }
}

fn name(role: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty());
    let name = format!(
        "rushgate {role} on {}, process {}",
        host.unwrap_or("an unnamed host"),
        std::process::id()
    );
    name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
}

/// Why a process that seals with this key sends nothing, and what to do.
fn ended(key: &str) -> String {
    let (what, give) = match key {
        WITHOUT_SEAL => (
            "records have to carry a seal, and this process has no key".to_owned(),
            "give it seal.keys, as the other gateways and landers have it,",
        ),
        key => (
            format!("key {key}, with which this process seals, is retired"),
            "put another key first in seal.keys",
        ),
    };
    format!("{what}: it sends nothing any more, {give} and start it again")
}

async fn watch(store: Store, sender: Sender, halt: Halt, retired: Arc<Mutex<Option<String>>>) {
    let mut trouble = Seldom::default();
    let mut told_still = false;
    loop {
        let stopping = halt.why().is_some() && !told_still;
        tokio::time::sleep(if stopping { STOP_LOOK_EVERY } else { LOOK_EVERY }).await;
        match look(&store, &sender, &halt, &retired).await {
            Ok(still) => {
                trouble.over();
                told_still = still;
            }
            Err(error) => {
                if trouble.met(&error.to_string(), Instant::now()).is_some() {
                    tracing::warn!(%error, "whether its seals still count cannot be asked: this process goes on as it was");
                }
            }
        }
    }
}

/// One look at what has ended; says whether this process is still, and has told so.
async fn look(
    store: &Store,
    sender: &Sender,
    halt: &Halt,
    retired: &Mutex<Option<String>>,
) -> StoreResult<bool> {
    if halt.why().is_none() {
        let over = store.ended_seals().await?;
        if over.contains(sender.seals_with()) {
            let why = ended(sender.seals_with());
            tracing::error!("{why}. Orders that wait in an outbox are relayed by gateways whose seal counts");
            halt.halt(why);
        }
        let spare = sender.keys.iter().skip(1).find(|key| over.contains(*key));
        *retired.lock().unwrap_or_else(PoisonError::into_inner) = spare.cloned();
    }
    let still = halt.is_still();
    store.note_sender(sender, still, now_ms()).await?;
    Ok(still)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::store;

    pub(in crate::app) async fn store() -> Store {
        let url = "sqlite::memory:".to_owned();
        let store = Store::connect(&store::Config::new(url, 1)).await.expect("opened");
        store.migrate().await.expect("migrated");
        store
    }

    fn sender(keys: &[&str]) -> Sender {
        Sender {
            process: "p".to_owned(),
            name: "rushgate serve".to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    #[tokio::test]
    async fn whoever_uses_what_has_ended_stops_and_says_so() {
        for (keys, ends, text) in [
            (
                &[][..],
                WITHOUT_SEAL,
                "has no key: it sends nothing any more, give it seal.keys",
            ),
            (
                &["a", "b"],
                "a",
                "key a, with which this process seals, is retired",
            ),
        ] {
            let (store, sender) = (store().await, sender(keys));
            let (halt, retired) = (Halt::default(), Mutex::default());
            let look = async || look(&store, &sender, &halt, &retired).await.expect("asked");
            assert!(!look().await);
            assert_eq!(halt.why(), None);
            store.announce_end(ends, 1).await.expect("announced");
            assert!(look().await, "nothing is under way");
            let why = halt.why().expect("ended");
            assert!(why.contains(text), "{why}");
            let rows = store.senders(ends).await.expect("read");
            assert!(rows[0].seals && rows[0].stopped, "{rows:?}");
        }
    }

    #[tokio::test]
    async fn a_key_that_only_verifies_halts_nothing_and_is_told() {
        let (store, sender) = (store().await, sender(&["a", "b"]));
        let (halt, retired) = (Halt::default(), Mutex::default());
        store.announce_end("b", 1).await.expect("announced");
        store.announce_end(WITHOUT_SEAL, 1).await.expect("announced");
        assert!(!look(&store, &sender, &halt, &retired).await.expect("asked"));
        assert_eq!(halt.why(), None);
        assert_eq!(retired.into_inner().expect("no panic").as_deref(), Some("b"));
    }
}
