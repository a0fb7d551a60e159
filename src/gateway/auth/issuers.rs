//! Issuers of merchants: who signs the tokens of their buyers. Each has its keys to itself, kept like those of the configuration, and
//! read from where the merchant says; which merchants have one is read from the database every second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::cache::Cache;
use super::{Auth, Config, later};
use crate::ruleset::Seller;
use crate::seldom::Seldom;
use crate::store::{Issuer, IssuerRow, Store};
use crate::wire::Problem;

/// Between two looks at which merchants have an issuer.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same while a request waits for one.
const HURRY: Duration = Duration::from_millis(50);
/// A database that does not answer within this is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// For how long a request waits until an issuer is known that its campaign says there is.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Requests that do at the same time.
const WAITING_MAX: usize = 256;
/// Merchants that are named where their keys cannot be read.
const NAMED_MAX: usize = 5;

/// A merchant that has, or had, an issuer of its own.
#[derive(Clone)]
struct Known {
    row: IssuerRow,
    /// What it was made under.
    config: Arc<Config>,
    checks: Checks,
}

/// Who checks tokens.
#[derive(Clone)]
enum Checks {
    /// The issuer of the configuration.
    Configured,
    Own(Arc<Auth>),
    /// The issuer cannot be used as it is stored, and nobody else is believed.
    Nobody(String),
}

type ByMerchant = HashMap<Box<str>, Known>;

/// Issuers of all merchants.
pub struct Issuers {
    config: ArcSwap<Config>,
    known: ArcSwap<ByMerchant>,
    /// Of tokens that any of them verified: however many merchants there are, it has one bound.
    cache: Arc<Cache>,
    /// Counts looks that the database answered.
    looks: watch::Sender<u64>,
    hurry: Notify,
    waiting: Semaphore,
}

/// How many there are, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct IssuerCounts {
    pub all: usize,
    /// Those whose keys could not be read last time.
    pub unread: usize,
    /// Those without keys: their buyers cannot order.
    pub without: usize,
}

impl Issuers {
    pub(in crate::gateway) fn new(config: &Config) -> Self {
        Self {
            config: ArcSwap::from_pointee(config.clone()),
            known: ArcSwap::default(),
            cache: Arc::default(),
            looks: watch::Sender::new(0),
            hurry: Notify::new(),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// How often keys are read and how long they are kept, as another configuration says: from the next look on.
    pub fn put_in_force(&self, config: &Config) {
        self.config.store(Arc::new(config.clone()));
        self.hurry.notify_one();
    }

    /// Reads which merchants have an issuer, again and again, as long as the handle is kept.
    pub fn keep(self: &Arc<Self>, store: Store) -> AbortOnDropHandle<()> {
        let issuers = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut troubles = Seldom::default();
            loop {
                match timeout(ANSWER_WITHIN, store.issuers()).await {
                    Ok(Ok(rows)) => {
                        troubles.over();
                        issuers.put(rows);
                    }
                    Ok(Err(error)) => warn(&mut troubles, &error.to_string()),
                    Err(_) => warn(&mut troubles, "the database gives no answer"),
                }
                tokio::select! {
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = issuers.hurry.notified() => tokio::time::sleep(HURRY).await,
                }
            }
        }))
    }

    /// As the database has them now. What has not changed goes on with its keys; needs a runtime.
    fn put(&self, rows: Vec<IssuerRow>) {
        let (config, there) = (self.config.load_full(), self.known.load_full());
        let is_same = rows.len() == there.len()
            && rows.iter().all(|row| {
                there
                    .get(row.merchant.as_str())
                    .is_some_and(|known| known.row == *row && known.is_for(&config))
            });
        if !is_same {
            let known = rows.into_iter().map(|row| {
                let before = there.get(row.merchant.as_str());
                (row.merchant.as_str().into(), self.known(row, before, &config))
            });
            self.known.store(Arc::new(known.collect()));
        }
        self.looks.send_modify(|looks| *looks += 1);
    }

    fn known(&self, row: IssuerRow, before: Option<&Known>, config: &Arc<Config>) -> Known {
        let same = before.filter(|known| known.row.issuer == row.issuer && known.is_for(config));
        let checks = match (same, &row.issuer) {
            (Some(same), _) => same.checks.clone(),
            (None, None) => Checks::Configured,
            (None, Some(issuer)) => self.checks(&row.merchant, issuer, config),
        };
        Known {
            row,
            config: config.clone(),
            checks,
        }
    }

    fn checks(&self, merchant: &str, issuer: &Issuer, config: &Config) -> Checks {
        match Auth::of_issuer(issuer, config, self.cache.clone()) {
            Ok(auth) => {
                tracing::info!(
                    merchant,
                    issuer = issuer.name,
                    "a merchant's buyers have an issuer of their own"
                );
                auth.start();
                Checks::Own(Arc::new(auth))
            }
            Err(why) => {
                tracing::warn!(
                    merchant,
                    why,
                    "the issuer of a merchant cannot be used: nobody can order from it"
                );
                Checks::Nobody(why)
            }
        }
    }

    /// Who checks the tokens of a campaign's buyers; `None`: the issuer of the configuration. A campaign may be known here before its
    /// merchant's issuer is: then this waits for that, and nobody is believed meanwhile.
    pub(in crate::gateway) async fn of(&self, seller: &Seller) -> Result<Option<Arc<Auth>>, Problem> {
        if let Some(known) = self.now(seller) {
            return known;
        }
        self.after_a_look(|| self.now(seller)).await
    }

    /// The same of a merchant, whether there is one of this id or not.
    pub(in crate::gateway) async fn of_merchant(&self, merchant: &str) -> Result<Option<Arc<Auth>>, Problem> {
        let now = || self.of_merchant_now(merchant);
        match now() {
            Some(found) => found,
            None => self.after_a_look(now).await,
        }
    }

    /// The same as it is known now; `None` where nothing is.
    pub(in crate::gateway) fn of_merchant_now(
        &self,
        merchant: &str,
    ) -> Option<Result<Option<Arc<Auth>>, Problem>> {
        (*self.looks.borrow() > 0).then(|| self.found(merchant))
    }

    /// Of a seller, as it is known now; `None` where it is not known yet.
    pub(in crate::gateway) fn now(&self, seller: &Seller) -> Option<Result<Option<Arc<Auth>>, Problem>> {
        if seller.issuer_changes == 0 {
            return Some(Ok(None));
        }
        let known = self.known.load();
        let known = known.get(&*seller.merchant)?;
        (known.row.changes >= seller.issuer_changes).then(|| known.auth())
    }

    fn found(&self, merchant: &str) -> Result<Option<Arc<Auth>>, Problem> {
        self.known.load().get(merchant).map_or(Ok(None), Known::auth)
    }

    async fn after_a_look<T>(&self, now: impl Fn() -> Option<Result<T, Problem>>) -> Result<T, Problem> {
        let Ok(_turn) = self.waiting.try_acquire() else {
            return Err(later(LOOK_EVERY));
        };
        let (mut looks, until) = (self.looks.subscribe(), Instant::now() + WAIT_MAX);
        loop {
            looks.mark_unchanged();
            if let Some(found) = now() {
                return found;
            }
            self.hurry.notify_one();
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, looks.changed()).await {
                Ok(Ok(())) => {}
                _ => return Err(later(LOOK_EVERY)),
            }
        }
    }

    /// Whether the keys of all of them could be read last time, for `/readyz`.
    pub fn fresh(&self) -> Result<(), String> {
        let known = self.known.load();
        let mut unread: Vec<(&str, String)> = known
            .iter()
            .filter_map(|(merchant, known)| Some((&**merchant, known.trouble()?)))
            .collect();
        unread.sort_unstable();
        let Some((first, why)) = unread.first() else {
            return Ok(());
        };
        let others = unread.iter().skip(1).take(NAMED_MAX - 1);
        let others: String = others.map(|(merchant, _)| format!(", {merchant}")).collect();
        let more = match unread.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Err(format!("{first}: {why}{others}{more}"))
    }

    pub(in crate::gateway) fn counts(&self) -> IssuerCounts {
        let known = self.known.load();
        let own = || {
            known
                .values()
                .filter(|known| !matches!(known.checks, Checks::Configured))
        };
        IssuerCounts {
            all: own().count(),
            unread: own().filter(|known| known.trouble().is_some()).count(),
            without: own().filter(|known| !known.has_keys()).count(),
        }
    }
}

impl Known {
    fn auth(&self) -> Result<Option<Arc<Auth>>, Problem> {
        match &self.checks {
            Checks::Configured => Ok(None),
            Checks::Own(auth) => Ok(Some(auth.clone())),
            Checks::Nobody(_) => Err(later(LOOK_EVERY)),
        }
    }

    /// Whether it would be the same under this configuration.
    fn is_for(&self, config: &Arc<Config>) -> bool {
        if Arc::ptr_eq(&self.config, config) {
            return true;
        }
        match (&self.checks, &self.row.issuer) {
            (Checks::Own(auth), Some(issuer)) => auth.is_of(issuer, config),
            (Checks::Configured, None) => true,
            _ => false,
        }
    }

    fn has_keys(&self) -> bool {
        matches!(&self.checks, Checks::Own(auth) if auth.ready().is_ok())
    }

    fn trouble(&self) -> Option<String> {
        match &self.checks {
            Checks::Configured => None,
            Checks::Own(auth) => auth.fresh().err(),
            Checks::Nobody(why) => Some(why.clone()),
        }
    }
}

fn warn(troubles: &mut Seldom, error: &str) {
    if troubles.met(error, Instant::now()).is_some() {
        tracing::warn!(
            error,
            "which merchants have an issuer of their own is not read for now; those that are known go on"
        );
    }
}
