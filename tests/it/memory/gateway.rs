//! A gateway's stages, wired as the product wires them, over the database of the test.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::admission::{self, Admission};
use rushgate::bus::Producer;
use rushgate::engine::Engine;
use rushgate::needs::{Rebuilder, Rules};
use rushgate::reconcile::Reconcile;
use rushgate::relay::{self, Relay};
use rushgate::ruleset::{Active, Compiled, Ruleset};
use rushgate::store::Store;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::memory::sale::{CAMPAIGN, rebuilder};

/// What the stages of one gateway need of each other.
struct Glue {
    store: Store,
    ruleset: Arc<Ruleset>,
    reconcile: Arc<Reconcile>,
}

impl Glue {
    async fn put(&self) -> Option<Arc<Active>> {
        let row = self.store.campaign(CAMPAIGN).await.expect("asked")?;
        let pause = (CAMPAIGN.to_owned(), row.pause.pause);
        self.ruleset.set_pauses([pause].into());
        let revision = self.store.revision(CAMPAIGN, row.activation.revision).await;
        let revision = revision.expect("asked").expect("stored");
        let compiled = Compiled::build(row.campaign, revision).expect("a valid plan");
        let active = Active::new(compiled, row.activation, Vec::new());
        self.ruleset.put(Arc::new(active));
        self.ruleset.get(CAMPAIGN)
    }
}

impl Rules for Glue {
    fn load<'a>(&'a self, campaign: &'a str, _: u64) -> BoxFuture<'a, Result<Option<Arc<Active>>, String>> {
        async move {
            match campaign {
                CAMPAIGN => Ok(self.put().await),
                _ => Ok(None),
            }
        }
        .boxed()
    }

    fn sync(&self) -> BoxFuture<'_, Result<(), String>> {
        self.put().map(|_| Ok(())).boxed()
    }

    fn revision<'a>(&'a self, _: &'a str, _: u32) -> BoxFuture<'a, Result<Option<Arc<Compiled>>, String>> {
        async { Ok(self.put().await.map(|active| active.compiled.clone())) }.boxed()
    }
}

impl Rebuilder for Glue {
    fn lost(self: Arc<Self>, campaign: &str, epoch: u64) {
        self.reconcile.rebuild_soon(campaign, epoch);
    }

    fn hurry(&self, campaign: &str) {
        self.reconcile.hurry(campaign);
    }
}

pub struct Gateway {
    pub admission: Arc<Admission>,
    pub relay: Arc<Relay>,
    _watch: AbortOnDropHandle<()>,
}

impl Gateway {
    pub fn start(name: &str, engine: Arc<dyn Engine>, producer: Arc<dyn Producer>, store: &Store) -> Self {
        let ruleset = Arc::new(Ruleset::default());
        let reconcile = Arc::new(rebuilder(name, engine.clone(), producer.clone(), store));
        let glue = Arc::new(Glue {
            store: store.clone(),
            ruleset: ruleset.clone(),
            reconcile,
        });
        let (outbox, fresh) = mpsc::unbounded_channel();
        let admission = Arc::new(Admission::new(
            admission::Config::default(),
            engine.clone(),
            ruleset.clone(),
            glue.clone(),
            glue.clone(),
            outbox,
            None,
        ));
        let quick = relay::Config {
            age: Duration::from_millis(100),
            every: Duration::from_millis(50),
            lease: Duration::from_millis(200),
            ..relay::Config::default()
        };
        let relay = Relay::spawn(quick, engine, producer, ruleset, glue, name.into(), fresh);
        let watch = admission.watch();
        Self {
            admission,
            relay,
            _watch: watch,
        }
    }
}
