//! Control: modules, audiences, campaigns, revisions and activations; the only writer of rules.
//!
//! ```text
//!  rules of a revision ─▶ wasm: compile(params) ─▶ merge ─▶ check ─▶ emit ─▶ prove ─▶ compare ─▶ database
//!  activate ─▶ prove ─▶ engine: lists ─▶ compare ─▶ database: next epoch ─▶ engine: move the fence ─▶ answer
//! ```

mod activate;
mod audiences;
mod by_address;
mod campaigns;
mod clone;
mod compile;
mod considered;
mod directory;
mod end;
mod eyes;
mod folding;
mod job_views;
mod keys;
mod life;
mod loader;
mod merchants;
mod modules;
mod no_module;
mod operations;
mod order_jobs;
mod orders;
mod origins;
mod pause;
mod places;
mod prechecks;
mod privacy;
mod problem;
pub mod proof;
mod removal;
mod requests;
mod revise;
mod revisions;
mod scheduled;
mod shadow;
pub mod simulate;
mod stock;
mod terms;
mod times;
mod to_come;
mod trail;
mod turns;
mod versions;
mod zones;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::audience::Suspicious;
use crate::audit::Stale;
use crate::bus::Producer;
use crate::campaign::RETENTION_DAYS;
use crate::engine::Engine;
use crate::needs::Gate;
use crate::order::OrderState;
use crate::plan::PlanError;
use crate::plan::diff::Change;
use crate::reaching::{Guarded, System};
use crate::revision::Unapproved;
use crate::ruleset::Ruleset;
use crate::serving::Networks;
use crate::store::{Store, StoreError};
use crate::wasm::{Host, ModuleError};
use crate::wire::tags::quoted;

pub use activate::Activated;
pub use audiences::{
    Asked, AskedFolded, AudienceUpload, Changed, Format, MemberChange, MembersStream, Reading, Repinned,
    Uploaded,
};
pub use campaigns::{CREATE, CampaignFigures, SkuFigures};
pub use clone::NewClone;
pub use compile::{Compared, RevisionAnswer};
pub use considered::REVISION_CREATE;
pub use end::{END, Ended};
pub use eyes::{
    APPROVE, ApproveBody, Approved, Carried, Metrics, Named, PROPOSAL_APPROVE, PROPOSAL_WITHDRAW,
    ProposalView, Proposed, StandingView, WITHDRAW,
};
pub use job_views::{BULK_STOP, JobView};
pub use keys::{KEY_CREATE, KeyView, NewKey, NewKeyView};
pub use life::{OrderAct, OrderActBody, OrderChanged, OrderInFull};
pub use loader::Loader;
pub use merchants::{MERCHANT_CREATE, MerchantChange, MerchantView, NewMerchant, TokensFrom};
pub use modules::UploadedModule;
pub use operations::{ACTIVATE, Answered, CLONE, DELETE, Operation, PAYMENTS};
pub use order_jobs::{BulkBody, BulkFilter, BulkTried};
pub use orders::OrdersStream;
pub use pause::{PAUSE, PauseAnswer, PausedView, RESUME};
pub use privacy::{BuyerLines, CampaignErasure, ERASE, EXPORT, EraseBody, ErasureView, ListedIn};
pub use problem::Problem;
pub use requests::{NewCampaign, NewRevision, RuleSpec};
pub use revisions::{ActivatedAt, RevisionHead, RevisionView};
pub use scheduled::{Planned, UNSCHEDULE};
pub use shadow::{Difference, ShadowFigures};
pub use stock::{NewSku, SKU_CREATE, STOCK_CHANGE, StockBody, StockChanged};
pub use terms::TermsView;
pub use times::{CHANGE, CampaignChange, CampaignChanged};
pub use to_come::ScheduledView;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// 404: module, campaign or revision; the text names it.
    #[error("{0}")]
    Unknown(String),
    /// 409: the id is taken, or somebody activated something newer meanwhile.
    #[error("{0}")]
    Conflict(String),
    /// 409: the same request, with the same `Idempotency-Key`, is being carried out.
    #[error(
        "the same request, with this Idempotency-Key, is being carried out: send it again in some seconds to get its answer"
    )]
    InProgress,
    /// 422: the `Idempotency-Key` is another request's.
    #[error(
        "this Idempotency-Key belongs to another request about the campaign, the order or what is made; use a new key for a new request"
    )]
    KeyReused,
    /// 422: the same, of a request to erase a buyer.
    #[error(
        "this Idempotency-Key belongs to another request to erase a buyer, or to one that says something else; use a new key"
    )]
    BuyerKeyReused,
    /// 412: what is to change is not as whoever asks has seen it.
    #[error("{}", changed(.0))]
    Changed(Box<Stale>),
    /// 400: the change is to be made once, and nothing says which request is the same.
    #[error("this change needs the header Idempotency-Key: the same request with the same key is made once")]
    KeyMissing,
    /// 409: the state that an order is in allows no such change.
    #[error("{detail}")]
    OrderState { state: OrderState, detail: String },
    /// 409: the time in which an order could be paid is over.
    #[error("{0}")]
    OrderExpired(String),
    /// 409: an order was admitted and is on its way to the database.
    #[error("{0}")]
    NotLanded(String),
    /// Two people have to agree to it, and have not.
    #[error("{0}")]
    Unapproved(Unapproved),
    /// 403: it takes another person, or one that is named.
    #[error("{0}")]
    NotAnother(String),
    /// 409: the activation re-keys or drops counters and does not name them.
    #[error("{} counter(s) must be accepted", .0.len())]
    AcceptMissing(Vec<Change>),
    /// 500: interpreter and script part over this plan; the revision is not stored or not activated.
    #[error("interpreter and script part")]
    Proof(Box<proof::Counterexample>),
    /// 422: the body is well-formed and wrong.
    #[error("{} problem(s) in the request", .0.len())]
    Invalid(Vec<Problem>),
    /// 422: lines of a list that do not look like ids.
    #[error("{0}")]
    Suspicious(Suspicious),
    /// 400: the body cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// 413.
    #[error("{0}")]
    TooLarge(String),
    /// 422: a module was refused or misbehaved; code of [`crate::wasm::ModuleError`].
    #[error("{message}")]
    Module { code: &'static str, message: String },
    /// 503: the database or the engine is down, or modules cannot be looked at; the text says what was done.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

/// That somebody else was faster, in a sentence.
fn changed(stale: &Stale) -> String {
    let of = |name: &str| stale.last_change.as_ref().and_then(|last| last[name].as_str());
    let last = match (of("action"), of("by"), of("at")) {
        (Some(action), Some(by), Some(at)) => format!(": the last change was {action}, by {by}, at {at}"),
        _ => String::new(),
    };
    format!(
        "it has changed since you looked at it{last}. Nothing was changed; its ETag is {} by now",
        quoted(&stale.tag)
    )
}

impl ControlError {
    /// The same, where something was done before it came to that: `done` says what.
    fn after(self, done: &str) -> Self {
        let because = |what: String| format!("{done}: {what}");
        match self {
            Self::Unknown(what) => Self::Unknown(because(what)),
            Self::Conflict(what) => Self::Conflict(because(what)),
            Self::Unavailable(what) => Self::Unavailable(because(what)),
            Self::Internal(what) => Self::Internal(because(what)),
            Self::Invalid(mut problems) => {
                if let Some(first) = problems.first_mut() {
                    first.detail = because(std::mem::take(&mut first.detail));
                }
                Self::Invalid(problems)
            }
            other => other,
        }
    }
}

impl From<StoreError> for ControlError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Transient(_) | StoreError::Locked(_) | StoreError::Unanswered(_) => {
                Self::Unavailable(error.to_string())
            }
            StoreError::Conflict(what) | StoreError::Contradiction(what) => Self::Conflict(what),
            StoreError::Unapproved(why) => Self::Unapproved(*why),
            StoreError::Changed(tag) => Self::Changed(Box::new(Stale {
                tag,
                ..Stale::default()
            })),
            StoreError::Permanent(_) | StoreError::Refused(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<ModuleError> for ControlError {
    fn from(error: ModuleError) -> Self {
        let message = error.to_string();
        match error {
            // It says nothing about the module: the same upload may be taken later.
            ModuleError::Refused { code: "host", .. } => Self::Unavailable(message),
            ModuleError::Refused { code, .. } | ModuleError::Misbehaved { code, .. } => {
                Self::Module { code, message }
            }
            ModuleError::Params(_) => Self::Module {
                code: "params",
                message,
            },
        }
    }
}

impl From<PlanError> for ControlError {
    fn from(error: PlanError) -> Self {
        Self::Internal(format!("a stored plan is refused: {error}"))
    }
}

/// Now, milliseconds since 1970-01-01 UTC: injected, so that tests own the clock.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What carries the orders of new campaigns.
struct Carrier {
    bus: Arc<dyn Producer>,
    /// Partitions of the orders topic where the bus has never said how many there are.
    otherwise: u32,
}

/// The stage.
pub struct Control {
    store: Store,
    engine: Arc<dyn Engine>,
    host: Host,
    ruleset: Arc<Ruleset>,
    loader: Arc<Loader>,
    gate: Arc<dyn Gate>,
    clock: Clock,
    /// Retention of new campaigns that name none, in days.
    retention_days: u32,
    /// Where merchants may have their keys published.
    reached: Guarded,
    carrier: Option<Carrier>,
    proofs: proof::Proofs,
    /// Campaigns that were opened again just now, and when all gateways ask the engine about them.
    reopening: Mutex<HashMap<String, Instant>>,
    /// Held by the simulation that runs.
    simulating: tokio::sync::Semaphore,
    /// Changes of lists' members that wait.
    collector: audiences::Collector,
    /// Held while earlier versions of built-in modules are stored.
    installing: Arc<tokio::sync::Mutex<()>>,
    /// Held while a campaign is brought to another version of a list.
    repinning: tokio::sync::Mutex<()>,
    under_way: stock::UnderWay,
    turns: turns::Turns,
    pub metrics: Metrics,
}

impl Control {
    pub fn new(
        store: Store,
        engine: Arc<dyn Engine>,
        host: Host,
        ruleset: Arc<Ruleset>,
        loader: Arc<Loader>,
        gate: Arc<dyn Gate>,
        clock: Clock,
    ) -> Self {
        Self {
            store,
            engine,
            host,
            ruleset,
            loader,
            gate,
            clock,
            retention_days: RETENTION_DAYS,
            reached: Guarded::new("auth.private", Networks::default(), Arc::new(System)),
            carrier: None,
            proofs: proof::Proofs::default(),
            reopening: Mutex::default(),
            simulating: tokio::sync::Semaphore::new(1),
            collector: audiences::Collector::default(),
            installing: Arc::default(),
            repinning: tokio::sync::Mutex::default(),
            under_way: stock::UnderWay::default(),
            turns: turns::Turns::default(),
            metrics: Metrics::default(),
        }
    }

    /// The same, with another retention for new campaigns that name none.
    pub fn keeping(self, retention_days: u32) -> Self {
        Self {
            retention_days,
            ..self
        }
    }

    /// The same, where merchants may have their keys published in these private networks.
    pub fn reaching(self, private: Networks) -> Self {
        let reached = Guarded::new("auth.private", private, Arc::new(System));
        Self { reached, ..self }
    }

    /// The same, where the orders of new campaigns go over this bus, each lane's into one partition; `otherwise` is how
    /// many partitions there are where the bus has never said it.
    pub fn carried_by(self, bus: Arc<dyn Producer>, otherwise: u32) -> Self {
        let carrier = Some(Carrier { bus, otherwise });
        Self { carrier, ..self }
    }
}
