//! The stages of one process, wired together.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::adapters::Adapters;
use crate::admission::{Admission, AdmissionError, Intake, Unsold};
use crate::attempts::Recorder;
use crate::bus::Producer;
use crate::clock::now_ms;
use crate::config::Config;
use crate::control::{Control, Loader};
use crate::flow::Flow;
use crate::outbox::Entry;
use crate::reconcile::Reconcile;
use crate::relay::Relay;
use crate::ruleset::{Active, Ruleset};
use crate::sampling::Sample;
use crate::store::{CampaignRow, StockRow, Store};
use crate::wasm::Host;

/// Everything a gateway runs.
pub(crate) struct Parts {
    pub(crate) ruleset: Arc<Ruleset>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) control: Arc<Control>,
    pub(crate) loader: Arc<Loader>,
    pub(crate) reconcile: Arc<Reconcile>,
    pub(crate) host: Host,
    pub(crate) sample: Arc<Sample>,
    pub(crate) flow: Arc<Flow>,
    /// These end with the process.
    pub(crate) _tasks: [AbortOnDropHandle<()>; 7],
}

/// What loads and mends campaigns.
struct Base {
    owner: String,
    ruleset: Arc<Ruleset>,
    loader: Arc<Loader>,
    reconcile: Arc<Reconcile>,
}

fn base(config: &Config, adapters: &Adapters, host: Host) -> Base {
    let owner = uuid::Uuid::now_v7().simple().to_string();
    let store = &adapters.store;
    let ruleset = Arc::new(Ruleset::default());
    let loader = Arc::new(Loader::new(
        store.clone(),
        ruleset.clone(),
        host,
        Arc::new(now_ms),
    ));
    let reconcile = Arc::new(Reconcile::new(
        config.reconcile.clone(),
        adapters.engine.clone(),
        adapters.producer.clone(),
        store.clone(),
        owner.clone(),
        Arc::new(now_ms),
    ));
    Base {
        owner,
        ruleset,
        loader,
        reconcile,
    }
}

/// Rebuilding by hand: nobody is admitted here, and nothing is watched.
pub(crate) struct Mending {
    pub(crate) reconcile: Arc<Reconcile>,
    ruleset: Arc<Ruleset>,
    loader: Arc<Loader>,
    /// Sends on what is left in the outbox, as long as this lives.
    _relay: Arc<Relay>,
    _fresh: mpsc::UnboundedSender<Entry>,
}

impl Mending {
    /// Has the outbox of this campaign sent on.
    pub(crate) async fn relay_for(&self, row: &CampaignRow) -> anyhow::Result<()> {
        let (campaign, number) = (&row.campaign.id, row.activation.revision);
        let found = self.loader.revision(campaign, number).await;
        let found = found.map_err(anyhow::Error::msg)?;
        let compiled = found.with_context(|| format!("revision {number} of {campaign} is missing"))?;
        // Nobody is admitted here: the relay asks no precheck.
        let active = Active::new(compiled, row.activation, Vec::new());
        self.ruleset.put(Arc::new(active));
        Ok(())
    }
}

pub(crate) fn mend(config: &Config, adapters: &Adapters, host: Host) -> Mending {
    let base = base(config, adapters, host);
    let (fresh, none) = mpsc::unbounded_channel();
    let relay = Relay::spawn(
        config.relay(),
        adapters.engine.clone(),
        adapters.producer.clone(),
        base.ruleset.clone(),
        base.loader.clone(),
        base.owner,
        none,
    );
    Mending {
        reconcile: base.reconcile,
        ruleset: base.ruleset,
        loader: base.loader,
        _relay: relay,
        _fresh: fresh,
    }
}

/// Wires the stages; needs a runtime.
pub(crate) fn wire(config: &Config, adapters: &Adapters, host: Host) -> Parts {
    let Base {
        owner,
        ruleset,
        loader,
        reconcile,
    } = base(config, adapters, host.clone());
    let Adapters {
        store,
        engine,
        producer,
        sealing: _,
    } = adapters;
    let sample = Sample::spawn(config.sample.clone(), store.apart(1), Arc::new(now_ms));
    let recorder = sample.is_on().then(|| sample.clone() as Arc<dyn Recorder>);
    let (outbox, fresh) = mpsc::unbounded_channel();
    let flow = Flow::spawn(config.flow(), producer.clone(), store.clone());
    let admission = Admission::new(
        config.admission(),
        engine.clone(),
        ruleset.clone(),
        loader.clone(),
        reconcile.clone(),
        outbox,
        recorder,
    );
    let sending = Arc::new(OnceLock::new());
    let admission = admission.behind(Arc::new(Backlog {
        producer: producer.clone(),
        flow: flow.clone(),
        sending: sending.clone(),
    }));
    let admission = Arc::new(admission.selling(Arc::new(Sold(store.clone()))));
    let relay = Relay::spawn(
        config.relay(),
        engine.clone(),
        producer.clone(),
        ruleset.clone(),
        loader.clone(),
        owner,
        fresh,
    );
    let _ = sending.set(relay.clone());
    let control = Control::new(
        store.clone(),
        engine.clone(),
        host.clone(),
        ruleset.clone(),
        loader.clone(),
        reconcile.clone(),
        Arc::new(now_ms),
    );
    let control = control.carried_by(producer.clone(), config.kafka.partitions);
    let control = Arc::new(
        control
            .keeping(config.campaigns.retention_days)
            .reaching(config.auth.private.clone()),
    );
    let tasks = [
        admission.watch(),
        reconcile.keep_giving_back(),
        control.keep_schedule(),
        control.keep_finishing(),
        control.keep_bulk(),
        control.keep_erasing(),
        control.keep_telling_heads(),
    ];
    Parts {
        ruleset,
        admission,
        relay,
        control,
        loader,
        reconcile,
        host,
        sample,
        flow,
        _tasks: tasks,
    }
}

/// What admission asks about units.
struct Sold(Store);

impl Unsold for Sold {
    fn unsold<'a>(&'a self, campaign: &'a str) -> BoxFuture<'a, Result<HashMap<String, u64>, String>> {
        async move {
            let rows = self.0.stock(campaign).await.map_err(|error| error.to_string())?;
            let unsold = |row: StockRow| (row.sku, u64::try_from(row.total - row.sold).unwrap_or(0));
            Ok(rows.into_iter().map(unsold).collect())
        }
        .boxed()
    }
}

/// What admission asks about the way behind it.
struct Backlog {
    producer: Arc<dyn Producer>,
    flow: Arc<Flow>,
    sending: Arc<OnceLock<Arc<Relay>>>,
}

impl Intake for Backlog {
    fn check(&self, in_outbox: u64) -> Result<(), AdmissionError> {
        if self.producer.halted().is_some() {
            // It could be decided, and wait in the outbox for another gateway. But there may be none, and the buyer would
            // be told that an order is on its way which nobody carries.
            return Err(AdmissionError::Halted);
        }
        let per_record = self.sending.get().map_or(1.0, |relay| relay.orders_per_record());
        self.flow
            .check(in_outbox, per_record)
            .map_err(|shed| AdmissionError::Backlog {
                retry_after: shed.retry_after,
                refused: shed.refused,
            })
    }
}
