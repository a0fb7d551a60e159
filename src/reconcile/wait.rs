//! What a rebuild waits for behind the closed gate: that the database knows every order which was ever
//! admitted and survived.
//!
//! The campaign's own outbox is waited for alone. What comes after says the same of every campaign, so campaigns wait for it
//! in rounds: whoever comes while one is gathering joins it, and whoever comes later begins the next beside it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::behind::behind;
use super::compare::Desk;
use super::error::RebuildError;
use super::work::Work;
use super::{Config, Reconcile};
use crate::bus::Producer;
use crate::store::Store;

/// Between looks at what keeps an outbox from being empty.
const STUCK_EVERY: Duration = Duration::from_secs(5);
/// How long this gateway's own orders may take to be acknowledged before the watermark is read: those
/// of campaigns that are open keep coming.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);
/// How long a round waits for more campaigns before it begins.
const GATHER: Duration = Duration::from_millis(50);

/// Waiting together for what had been admitted before.
type Round = Shared<BoxFuture<'static, Result<(), Late>>>;

/// Why a round ended without it.
#[derive(Clone, Debug)]
enum Late {
    Patience(String),
    Bus(crate::bus::BusError),
    Store(crate::store::StoreError),
}

impl Late {
    fn into_error(self, waited: Duration) -> RebuildError {
        match self {
            Self::Patience(what) => RebuildError::Patience { what, waited },
            Self::Bus(error) => error.into(),
            Self::Store(error) => error.into(),
        }
    }
}

/// The round that can still be joined.
#[derive(Clone, Default)]
pub(super) struct Rounds(Arc<Mutex<Option<Round>>>);

impl Rounds {
    fn gathering(&self) -> MutexGuard<'_, Option<Round>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A round that has not begun: what the caller knows to be sent on is below its watermarks.
    fn join(&self, reconcile: &Reconcile) -> Round {
        let mut gathering = self.gathering();
        if let Some(round) = &*gathering {
            return round.clone();
        }
        let rounds = self.clone();
        let (config, store) = (reconcile.config.clone(), reconcile.store.clone());
        let producer = reconcile.producer.clone();
        let round = async move {
            tokio::time::sleep(GATHER).await;
            rounds.gathering().take();
            all_landed(&config, &*producer, &store).await
        };
        let round = round.boxed().shared();
        *gathering = Some(round.clone());
        round
    }
}

/// What gateways had in hand, and no outbox has any more, is in the database or among the dead letters.
async fn all_landed(config: &Config, producer: &dyn Producer, store: &Store) -> Result<(), Late> {
    // It is to be below the watermark: this gateway's is waited for, the others' gets its time.
    futures_util::join!(producer.flush(FLUSH_LIMIT), tokio::time::sleep(config.grace));
    let topic = producer.orders_topic();
    let marks = producer.high_watermarks(topic).await.map_err(Late::Bus)?;
    let begun = tokio::time::Instant::now();
    loop {
        let landed = store.offsets(topic).await.map_err(Late::Store)?;
        match behind(topic, &marks, &landed) {
            None => return Ok(()),
            Some(what) if begun.elapsed() > config.patience => return Err(Late::Patience(what)),
            Some(_) => tokio::time::sleep(config.poll).await,
        }
    }
}

impl Reconcile {
    /// What is on the bus by now has landed or is among the dead letters, while gates stay open.
    pub(super) async fn wait_for_landing(&self) -> Result<(), RebuildError> {
        let landed = self.rounds.join(self).await;
        landed.map_err(|late| late.into_error(self.config.patience))
    }
}

impl Work<'_> {
    /// The outbox is empty, and everything on the bus has landed or is among the dead letters.
    pub(super) async fn wait_for_the_database(&self) -> Result<(), RebuildError> {
        self.wait_for_the_outbox().await?;
        let config = &self.reconcile.config;
        let mut round = self.reconcile.rounds.join(self.reconcile);
        loop {
            tokio::select! {
                landed = &mut round => return landed.map_err(|late| late.into_error(config.patience)),
                () = tokio::time::sleep(config.lease / 3) => self.hold().await?,
            }
        }
    }

    /// Whether the outbox holds nothing but entries that nobody can relay: they stay, and are told.
    async fn only_stuck(&self) -> bool {
        let stuck = async {
            let desk = Desk::open(self.reconcile, &self.shard.campaign).await?;
            desk.only_stuck().await
        };
        match stuck.await {
            Ok(Some(entries)) => {
                tracing::error!(
                    campaign = self.shard.campaign,
                    ?entries,
                    "the outbox holds entries that cannot be relayed; the campaign is rebuilt without them, and they stay \
                     to be looked at"
                );
                true
            }
            Ok(None) => false,
            Err(error) => {
                tracing::debug!(campaign = self.shard.campaign, %error, "what waits in the outbox is not known");
                false
            }
        }
    }

    async fn wait_for_the_outbox(&self) -> Result<(), RebuildError> {
        let config = &self.reconcile.config;
        let begun = tokio::time::Instant::now();
        let mut looked = Duration::ZERO;
        loop {
            let entries = self.status().await?.outbox;
            if entries == 0 {
                return Ok(());
            }
            if begun.elapsed() > looked + STUCK_EVERY {
                looked = begun.elapsed();
                if self.only_stuck().await {
                    return Ok(());
                }
            }
            if begun.elapsed() > config.patience {
                let what = format!(
                    "the outbox to drain: it has {entries} entries, which a gateway sends on as soon as Kafka takes \
                     them"
                );
                let waited = config.patience;
                return Err(RebuildError::Patience { what, waited });
            }
            self.hold().await?;
            tokio::time::sleep(config.poll).await;
        }
    }
}
