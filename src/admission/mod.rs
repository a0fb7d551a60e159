//! Admission: decides order attempts in batches, one script call for whatever arrived while the last
//! call was in flight.
//!
//! ```text
//!  place() ─▶ queue of the campaign ─▶ screen: prechecks ─▶ lane: one call at a time ─▶ answers
//!                                        │ admitted
//!                                        ▼
//!                                      outbox entries ─▶ relay
//! ```
//!
//! A lane owns what it began: a caller that goes away loses its answer, never its order.

mod call_result;
mod delivery;
mod depth;
mod engine_clock;
mod fence;
mod lane;
mod local;
mod metrics;
mod on_show;
mod pace;
mod pulse;
mod quota;
mod refusal;
mod returns;
mod screen;
mod trips;
mod verify;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

use crate::attempts::{self, Decided, Recorder};
use crate::campaign::Paused;
use crate::clock::now_ms;
use crate::engine::Engine;
use crate::lua::{calls, fixed};
use crate::needs::{Rebuilder, Rules};
use crate::order::{Attempt, OrderId, OrderState};
use crate::outbox;
use crate::plan::decision::Placed;
use crate::rejection::Own;
use crate::ruleset::{Active, Archived, Ruleset, Seller};
use crate::seal::Keyring;
use crate::seldom::Seldom;
use crate::wire::millis;

pub use on_show::OnShow;
pub use quota::Quota;
pub use refusal::{Refusal, Retry};
pub use returns::Unsold;

use call_result::CallResult;
use delivery::Delivery;
use engine_clock::EngineClock;
use lane::{Job, Lane, LaneAnswer};
use trips::Trips;

/// How long somebody who wants to see a campaign waits for its stock to be read.
const SHOW_LIMIT: Duration = Duration::from_millis(250);

/// How often an order is looked up anew because the engine turned out to be another one.
const FIND_TRIES: u32 = 3;

/// When the answer to an admitted order is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerWhen {
    /// After Kafka's acknowledgement, `pending` when that takes longer than `accept_wait`.
    Accepted,
    /// At once, as `pending`.
    Admitted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub answer: AnswerWhen,
    #[serde(rename = "accept_wait_ms", with = "millis")]
    pub accept_wait: Duration,
    /// Attempts that may wait per campaign; one more is answered 429.
    pub queue: usize,
    /// Attempts of one script call at most.
    pub batch: usize,
    /// An attempt that has no decision by then is answered 503.
    #[serde(rename = "deadline_ms", with = "millis")]
    pub deadline: Duration,
    /// How often a gateway reads the state of each campaign that orders come for: bounds, like a second, how long
    /// a reopened SKU is still answered as sold out.
    #[serde(rename = "watch_ms", with = "millis")]
    pub watch_every: Duration,
    /// Keys that seal each order before it is decided.
    #[serde(skip)]
    pub keys: Option<Arc<Keyring>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            answer: AnswerWhen::Accepted,
            accept_wait: Duration::from_millis(200),
            queue: 20_000,
            batch: 256,
            deadline: Duration::from_secs(2),
            watch_every: Duration::from_millis(250),
            keys: None,
        }
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Admitted now, or found to have been admitted before (`replayed`).
    Order {
        placed: Placed,
        state: OrderState,
        replayed: bool,
    },
    Rejected(Refusal),
}

/// Why an attempt got no decision. The order id of a keyed attempt stays the same on a retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    #[error("no campaign {0:?}")]
    UnknownCampaign(String),
    /// The sale is over and the engine has nothing to say, so only a landed order can still be answered. `archived`:
    /// for good; otherwise the campaign's state is lost, and an order may be on its way to the database.
    #[error("the sale is over")]
    Over { archived: bool },
    /// Nothing can be said for this buyer, and an order would be refused for the same reason.
    #[error("{}", .0.detail)]
    Refused(Box<Refusal>),
    /// The queue is full: nothing was begun.
    #[error("too many orders are waiting")]
    Overloaded { retry_after: Duration },
    /// Landing is too far behind: nothing was begun.
    #[error("too many orders are on their way to the database")]
    Backlog {
        retry_after: Duration,
        /// All orders are refused, not a share of them.
        refused: bool,
    },
    /// This gateway sends nothing to the bus any more; others do. Nothing was begun.
    #[error("this gateway takes no orders any more")]
    Halted,
    /// The engine has no state for the campaign, or a foreign one; or it is being rebuilt.
    #[error("the gate is closed: {why}")]
    GateClosed { why: String, retry_after: Duration },
    /// The deadline passed first; the order may have been admitted.
    #[error("no decision within {0:?}")]
    Deadline(Duration),
    /// The engine is down or failing.
    #[error("{0}")]
    Engine(String),
}

/// Says whether one more order may be taken while so many wait in the outboxes; an error where landing is too
/// far behind. Asked for each order: it returns at once.
pub trait Intake: Send + Sync + 'static {
    fn check(&self, in_outbox: u64) -> Result<(), AdmissionError>;
}

/// What every lane shares.
struct Shared {
    config: ArcSwap<Config>,
    engine: Arc<dyn Engine>,
    ruleset: Arc<Ruleset>,
    rules: Arc<dyn Rules>,
    rebuilder: Arc<dyn Rebuilder>,
    outbox: mpsc::UnboundedSender<outbox::Entry>,
    /// Runs of prechecks at the same time, over all campaigns.
    prechecks: Arc<Semaphore>,
    recorder: Option<Arc<dyn Recorder>>,
    /// There is something the other gateways, or this one's watch, should know at once.
    wake: Notify,
    delivery: Arc<Delivery>,
    trips: Arc<Trips>,
    /// Of whichever of the engine's servers answered last.
    clock: Arc<EngineClock>,
    /// What goes wrong at every turn of a loop.
    trouble: Mutex<Seldom>,
}

impl Shared {
    /// As [`Rules::load`], but a database that is silent does not hold the caller for longer than the deadline.
    async fn load(&self, campaign: &str, at_least: u64) -> Result<Option<Arc<Active>>, String> {
        let within = self.config.load().deadline;
        let load = tokio::time::timeout(within, self.rules.load(campaign, at_least));
        load.await
            .unwrap_or_else(|_| Err(format!("the rules were not read within {within:?}")))
    }

    /// `None` where the engine is whole and has no such order.
    async fn lookup(
        &self,
        lane: &Lane,
        active: &Active,
        order: (OrderId, &str),
    ) -> Result<Option<calls::Found>, CallResult> {
        let args = calls::lookup_args([order], active.campaign.buckets);
        let reply = self
            .ask(&lane.shard, &lane.local, active, &fixed::LOOKUP, args)
            .await?;
        let found = calls::lookup_reply(reply).map_err(|error| CallResult::Failed(error.to_string()))?;
        match (found.orders.into_iter().next().flatten(), found.fence) {
            (None, None) => Err(self.refence(&lane.shard, active, None).await),
            (found, _) => Ok(found),
        }
    }

    /// Whether what goes wrong is to be told now: it may do so several times a second.
    fn tells(&self, what: &str) -> bool {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.met(what, Instant::now()).is_some()
    }

    /// Whether a decided attempt of this buyer is to be recorded.
    fn keeps(&self, campaign: &str, user: &str) -> bool {
        let recorder = self.recorder.as_ref();
        recorder.is_some_and(|recorder| recorder.keeps(campaign, user))
    }

    fn record(&self, active: &Arc<Active>, at: i64, attempts: Vec<(Attempt, attempts::Outcome)>) {
        if let Some(recorder) = &self.recorder
            && !attempts.is_empty()
        {
            let compiled = active.compiled.clone();
            recorder.record(Decided {
                compiled,
                at,
                attempts,
            });
        }
    }
}

/// The stage.
pub struct Admission {
    shared: Arc<Shared>,
    lanes: RwLock<HashMap<String, Arc<Lane>>>,
    intake: Option<Arc<dyn Intake>>,
    units: Option<Arc<dyn Unsold>>,
    /// Orders in the outboxes of all campaigns when the watch last looked.
    in_outbox: AtomicU64,
    rhythm: pulse::Rhythm,
}

impl Admission {
    /// `outbox` receives every admitted batch; the relay publishes it. `recorder` receives decided
    /// attempts of the buyers it keeps, rejected ones included.
    pub fn new(
        config: Config,
        engine: Arc<dyn Engine>,
        ruleset: Arc<Ruleset>,
        rules: Arc<dyn Rules>,
        rebuilder: Arc<dyn Rebuilder>,
        outbox: mpsc::UnboundedSender<outbox::Entry>,
        recorder: Option<Arc<dyn Recorder>>,
    ) -> Self {
        let shared = Arc::new(Shared {
            config: ArcSwap::from_pointee(config),
            engine,
            ruleset,
            rules,
            rebuilder,
            outbox,
            prechecks: Arc::new(Semaphore::new(screen::runs())),
            recorder,
            wake: Notify::new(),
            delivery: Arc::default(),
            trips: Arc::default(),
            clock: Arc::default(),
            trouble: Mutex::default(),
        });
        Self {
            shared,
            lanes: RwLock::default(),
            intake: None,
            units: None,
            in_outbox: AtomicU64::new(0),
            rhythm: pulse::Rhythm::default(),
        }
    }

    /// The same, asking before every order whether it may be taken.
    pub fn behind(mut self, intake: Arc<dyn Intake>) -> Self {
        self.intake = Some(intake);
        self
    }

    /// The same, knowing which units have landed. Without, those of a SKU that is sold out may always come back.
    pub fn selling(mut self, units: Arc<dyn Unsold>) -> Self {
        self.units = Some(units);
        self
    }

    /// Orders in the outboxes of all campaigns when the watch last looked.
    pub fn in_outbox(&self) -> u64 {
        self.in_outbox.load(Ordering::Relaxed)
    }

    /// Age of the oldest entry of any outbox when the watch last looked; 0 where there is none.
    pub fn oldest_ms(&self) -> u64 {
        let lanes = self.lanes();
        lanes.iter().map(|lane| lane.local.oldest_ms()).max().unwrap_or(0)
    }

    /// Campaigns that nobody can be admitted to.
    pub fn gates_closed(&self) -> u64 {
        let lanes = self.lanes();
        let closed = lanes.iter().filter(|lane| lane.local.verified().is_none());
        closed.count() as u64
    }

    /// Decides an attempt and, where it is admitted, waits up to `accept_wait` for Kafka. What was
    /// begun goes on when the caller goes away. `keyed`: the attempt carried an `Idempotency-Key`.
    pub async fn place(
        &self,
        campaign: &str,
        attempt: Attempt,
        keyed: bool,
    ) -> Result<Placement, AdmissionError> {
        let lane = match self.lane_for_order(campaign).await {
            Err(AdmissionError::Over { .. }) if !keyed => return Ok(Placement::Rejected(Refusal::closed())),
            lane => lane?,
        };
        if lane.local.note_order() {
            self.shared.wake.notify_one();
        }
        if !keyed {
            let active = self.shared.ruleset.get(campaign);
            if let Some(own) = lane.local.refuse(&attempt.sku, active.as_deref()) {
                return Ok(self.refuse_known(&lane, active, attempt, own).await);
            }
        }
        if let Some(intake) = &self.intake {
            intake.check(self.in_outbox())?;
        }
        let order = attempt.order;
        let answer = self.enqueue(&lane, attempt, keyed)?;
        let lost = || AdmissionError::Engine("the admission lane ended".into());
        let answer = match answer.await.map_err(|_| lost())? {
            Err(AdmissionError::GateClosed { .. }) if self.is_over(campaign, &lane) => match keyed {
                true => return Err(AdmissionError::Over { archived: false }),
                false => return Ok(Placement::Rejected(Refusal::closed())),
            },
            answer => answer?,
        };
        match answer {
            LaneAnswer::Rejected(refusal) => Ok(Placement::Rejected(refusal)),
            LaneAnswer::SoldOut {
                sku,
                quantity,
                remaining,
            } => {
                let refusal = self.sold_out_of(&lane, (&sku, quantity), remaining).await;
                Ok(Placement::Rejected(refusal))
            }
            LaneAnswer::Existing(placed) => {
                let state = self
                    .find(campaign, &placed.user, order)
                    .await?
                    .map_or(OrderState::Pending, |(_, state)| state);
                Ok(Placement::Order {
                    placed,
                    state,
                    replayed: true,
                })
            }
            LaneAnswer::Admitted(placed, state) => Ok(Placement::Order {
                placed,
                state,
                replayed: false,
            }),
        }
    }

    /// What an order without an `Idempotency-Key` is answered with by what this gateway knows, before anything of it is
    /// made; [`Self::place`] would say the same. `None` where it is to be placed, as one is whose attempts are recorded.
    pub fn refused(&self, campaign: &str, user: &str, (sku, quantity): (&str, u32)) -> Option<Refusal> {
        let lanes = self.lanes.read().expect("no panic holds this lock");
        let local = &lanes.get(campaign)?.local;
        // A lane may be there for a moment after its campaign was archived.
        let active = self.shared.ruleset.get(campaign)?;
        let own = local.refuse(sku, Some(&active))?;
        let refusal = match own {
            Own::SoldOut if local.returns.recent(sku, quantity)? => Refusal::taken(0),
            Own::SoldOut => Refusal::sold_out(0),
            _ => Refusal::closed(),
        };
        if self.shared.keeps(campaign, user) {
            return None;
        }
        if local.note_order() {
            self.shared.wake.notify_one();
        }
        local.count(own.name());
        Some(refusal)
    }

    /// Refuses an attempt by what this gateway knows.
    async fn refuse_known(
        &self,
        lane: &Lane,
        active: Option<Arc<Active>>,
        attempt: Attempt,
        own: Own,
    ) -> Placement {
        lane.local.count(own.name());
        let refusal = match own {
            Own::SoldOut => self.sold_out_of(lane, (&attempt.sku, attempt.quantity), 0).await,
            _ => Refusal::closed(),
        };
        if self.shared.keeps(&lane.shard.campaign, &attempt.user)
            && let Some(active) = active
        {
            let outcome = attempts::Outcome::Named(own.name().to_owned());
            self.shared
                .record(&active, lane.local.now(), vec![(attempt, outcome)]);
        }
        Placement::Rejected(refusal)
    }

    /// So few units are left, as the engine said or is known to have said.
    async fn sold_out_of(&self, lane: &Lane, asked: (&str, u32), remaining: i64) -> Refusal {
        let (returns, units) = (&lane.local.returns, self.units.as_deref());
        match returns.may_fit(&lane.shard.campaign, asked, units).await {
            true => Refusal::taken(remaining),
            false => Refusal::sold_out(remaining),
        }
    }

    /// Puts an attempt into its lane's queue; its answer comes through what is returned.
    fn enqueue(
        &self,
        lane: &Lane,
        attempt: Attempt,
        keyed: bool,
    ) -> Result<oneshot::Receiver<Result<LaneAnswer, AdmissionError>>, AdmissionError> {
        let (answer, told) = oneshot::channel();
        let job = Job {
            attempt,
            unread: Default::default(),
            keyed,
            asked: false,
            passed: None,
            deadline: tokio::time::Instant::now() + self.shared.config.load().deadline,
            answer,
        };
        let full = |_| AdmissionError::Overloaded {
            retry_after: Duration::from_secs(1),
        };
        lane.jobs.try_send(job).map_err(full)?;
        Ok(told)
    }

    /// Whether the sale has closed, by the revision this gateway decides with and about the engine's clock.
    fn is_over(&self, campaign: &str, lane: &Lane) -> bool {
        let active = self.shared.ruleset.get(campaign);
        active.is_some_and(|active| active.revision.schedule.is_over(lane.local.now()))
    }

    /// A user's order as the engine knows it: its record and whether Kafka has it. Another user's is not found.
    pub async fn find(
        &self,
        campaign: &str,
        user: &str,
        order: OrderId,
    ) -> Result<Option<(Placed, OrderState)>, AdmissionError> {
        let lane = self.lane(campaign).await?;
        let mut tries = 1;
        let found = loop {
            let active = self.active(campaign).await?;
            match self.shared.lookup(&lane, &active, (order, user)).await {
                Ok(found) => break found,
                Err(CallResult::Again) if tries < FIND_TRIES => tries += 1,
                Err(result) => return Err(result.into()),
            }
        };
        Ok(found.map(|order| match order.waiting {
            true => (order.placed, OrderState::Pending),
            false => (order.placed, OrderState::Accepted),
        }))
    }

    /// Sees to it that [`Self::sold_out`], [`Self::paused`] and [`Self::now`] are at most about a second old, where the engine answers: nobody may have
    /// looked at a campaign that nobody orders from. Reads, and never has anything rebuilt.
    pub async fn freshen(&self, campaign: &str) {
        let Ok(lane) = self.lane(campaign).await else {
            return;
        };
        // Who wants to see it is rather shown what was last known than nothing.
        let _ = tokio::time::timeout(SHOW_LIMIT, async {
            self.show(&lane).await;
            if !lane.local.knows_now() {
                self.pulse().await;
            }
        })
        .await;
    }

    /// The engine's clock, as the campaign's last answer said it: what states and waits are told by. Where the engine has
    /// never answered, this machine's.
    pub fn now(&self, campaign: &str) -> i64 {
        let lanes = self.lanes.read().expect("no panic holds this lock");
        match lanes.get(campaign) {
            Some(lane) => lane.local.now(),
            None => self.shared.clock.now().unwrap_or_else(now_ms),
        }
    }

    /// Whether a SKU was sold out when this gateway last knew.
    pub fn sold_out(&self, campaign: &str, sku: &str) -> bool {
        let lanes = self.lanes.read().expect("no panic holds this lock");
        lanes
            .get(campaign)
            .is_some_and(|lane| lane.local.is_sold_out(sku))
    }

    /// Whether the sale was paused when this gateway last knew; whether it would be open otherwise, the schedule says.
    pub fn paused(&self, campaign: &str) -> Option<Paused> {
        let lanes = self.lanes.read().expect("no panic holds this lock");
        lanes.get(campaign)?.local.paused()
    }

    /// Attempts waiting for a decision, over all campaigns.
    pub fn waiting(&self) -> usize {
        let lanes = self.lanes.read().expect("no panic holds this lock");
        lanes
            .values()
            .map(|lane| lane.jobs.max_capacity() - lane.jobs.capacity())
            .sum()
    }

    /// What there is to say of a campaign that is archived, once somebody has asked for it.
    pub fn archived(&self, campaign: &str) -> Option<Arc<Archived>> {
        self.shared.ruleset.archived(campaign)
    }

    /// Whether there is such a campaign, be it archived. Where that cannot be found out, there may be.
    pub async fn knows(&self, campaign: &str) -> bool {
        !matches!(
            self.active(campaign).await,
            Err(AdmissionError::UnknownCampaign(_))
        )
    }

    /// Whose a campaign is; `None`: there is no such campaign.
    pub async fn seller(&self, campaign: &str) -> Result<Option<Seller>, AdmissionError> {
        if let Some(seller) = self.seller_now(campaign) {
            return Ok(Some(seller));
        }
        match self.active(campaign).await {
            Err(AdmissionError::UnknownCampaign(_)) => Ok(None),
            Ok(_) | Err(AdmissionError::Over { .. }) => {
                let changing = || AdmissionError::Engine(format!("campaign {campaign} changes just now"));
                self.seller_now(campaign).map(Some).ok_or_else(changing)
            }
            Err(error) => Err(error),
        }
    }

    /// The same as this gateway knows it.
    pub fn seller_now(&self, campaign: &str) -> Option<Seller> {
        self.shared.ruleset.seller(campaign)
    }

    /// The snapshot this gateway decides with, loaded where it is not there yet.
    pub async fn active(&self, campaign: &str) -> Result<Arc<Active>, AdmissionError> {
        if let Some(active) = self.shared.ruleset.get(campaign) {
            return Ok(active);
        }
        if self.archived(campaign).is_some() {
            return Err(AdmissionError::Over { archived: true });
        }
        let loaded = self
            .shared
            .load(campaign, 0)
            .await
            .map_err(AdmissionError::Engine)?;
        loaded.ok_or_else(|| match self.archived(campaign) {
            Some(_) => AdmissionError::Over { archived: true },
            None => AdmissionError::UnknownCampaign(campaign.to_owned()),
        })
    }

    /// As [`Self::lane`]. That a campaign is archived is read anew where it is old: a merchant may have opened it again.
    async fn lane_for_order(&self, campaign: &str) -> Result<Arc<Lane>, AdmissionError> {
        match self.lane(campaign).await {
            Err(AdmissionError::Over { archived: true }) => {}
            lane => return lane,
        }
        let within = self.shared.config.load().deadline;
        let renewed = tokio::time::timeout(within, self.shared.rules.renew(campaign)).await;
        let late = || Err(format!("the rules were not read within {within:?}"));
        renewed
            .unwrap_or_else(|_| late())
            .map_err(AdmissionError::Engine)?;
        self.lane(campaign).await
    }

    async fn lane(&self, campaign: &str) -> Result<Arc<Lane>, AdmissionError> {
        // First: the lane of a campaign that was archived meanwhile decides nothing any more.
        let active = self.active(campaign).await?;
        let is_its_own = |lane: &&Arc<Lane>| lane.uid == active.campaign.uid;
        let known = self.lanes.read().expect("no panic holds this lock");
        if let Some(lane) = known.get(campaign).filter(is_its_own) {
            return Ok(lane.clone());
        }
        drop(known);
        let mut lanes = self.lanes.write().expect("no panic holds this lock");
        if let Some(lane) = lanes.get(campaign).filter(is_its_own) {
            return Ok(lane.clone());
        }
        let lane = Lane::spawn(self.shared.clone(), &active);
        lanes.insert(campaign.to_owned(), lane.clone());
        Ok(lane)
    }

    /// Those of campaigns that are served. The others end: nobody looks at a campaign that was archived, and its gate
    /// counts as neither open nor closed.
    fn lanes(&self) -> Vec<Arc<Lane>> {
        let served = |campaign: &str| self.shared.ruleset.has(campaign);
        let lanes = self.lanes.read().expect("no panic holds this lock");
        let there: Vec<_> = lanes
            .iter()
            .map(|(id, lane)| (served(id), lane.clone()))
            .collect();
        drop(lanes);
        if there.iter().any(|(served, _)| !served) {
            let mut lanes = self.lanes.write().expect("no panic holds this lock");
            lanes.retain(|campaign, _| served(campaign));
        }
        there
            .into_iter()
            .filter_map(|(served, lane)| served.then_some(lane))
            .collect()
    }
}
