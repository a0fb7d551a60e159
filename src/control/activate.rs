//! Activation: the revision proven once more, its lists loaded, compared with the one it replaces, recorded
//! under the next epoch, and the fence moved, so that no gateway can admit under an older one.

use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

use super::compile::{Compared, check_accepted};
use super::operations::{ACTIVATE, Answered, Operation};
use super::stock::older_stock;
use super::{Control, ControlError};
use crate::audit::AuditLine;
use crate::campaign::{Activation, Schedule};
use crate::lua::activate::{activate_args, activate_reply};
use crate::lua::calls;
use crate::lua::fence::Fence;
use crate::lua::fixed;
use crate::lua::keys::Shard;
use crate::needs::ANSWER_MAX;
use crate::plan::diff::{Change, Class, Part, filled};
use crate::ruleset::{Active, Compiled};
use crate::state::Whose;
use crate::store::{CampaignEdit, CampaignRow, StoreError};
use crate::wire::Moment;

/// Tries of one shard's fence before an activation is left to the gateways.
const ACTIVATE_TRIES: u32 = 5;
/// Looks at what is to be put in force, when rebuilds come in between.
const LOOK_TRIES: u32 = 5;
/// Comparisons with a revision that was replaced meanwhile by somebody else.
const COMPARE_TRIES: u32 = 5;

/// What an activation answers.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Activated {
    pub campaign: String,
    pub revision: u32,
    pub epoch: u64,
    /// The revision that decided before.
    pub replaced: u32,
    /// Whether that one is newer.
    pub rollback: bool,
    /// What it means, in sentences.
    pub meaning: Vec<String>,
    pub changes: Vec<Change>,
}

/// What a line beside the activation says, which has the revision and its schedule.
type Telling<'a> = &'a (dyn Fn(u32, Schedule) -> Value + Sync);

/// What changes with an activation, in its transaction.
#[derive(Default)]
pub(super) struct Beside<'a> {
    pub(super) edit: CampaignEdit,
    /// What the operation's own line in the audit trail says.
    pub(super) told: Option<Telling<'a>>,
}

impl Beside<'_> {
    fn line<'o>(
        &self,
        operation: Operation<'o>,
        now: i64,
        (revision, schedule): (u32, Schedule),
    ) -> Option<AuditLine<'o>> {
        let told = self.told?;
        Some(operation.line(now, told(revision, schedule)))
    }
}

impl Control {
    /// Answers when no gateway can admit under an older revision any more: the fence in the engine has moved, and the
    /// admission script compares it; nor, where the revision opens a sale that was over, say that it is. `accept` names
    /// the counters that may be re-keyed or dropped, or start anew; what is compared is what is replaced, also when others
    /// activate at the same time. What it answers is an [`Activated`].
    pub async fn activate(
        &self,
        operation: Operation<'_>,
        revision: u32,
        accept: &[String],
    ) -> Result<Answered, ControlError> {
        let asked = (revision, accept, operation.note);
        self.once(operation, &asked, async |_| {
            let activated = self
                .activate_instead_of(None, operation, revision, accept, &Beside::default())
                .await?;
            activated
                .ok_or_else(|| ControlError::Internal("no revision was expected, and another met".to_owned()))
        })
        .await
    }

    /// Activates where `expected` is the revision in force, with what changes `beside` it; `None`, with nothing changed, where it is
    /// not any more.
    pub(super) async fn activate_instead_of(
        &self,
        expected: Option<u32>,
        operation: Operation<'_>,
        revision: u32,
        accept: &[String],
        beside: &Beside<'_>,
    ) -> Result<Option<Activated>, ControlError> {
        let campaign = operation.campaign;
        let built = self.stored_revision(campaign, revision).await?;
        // What is refused is refused before the gate is closed for it.
        self.may_pass(operation, revision).await?;
        self.not_archived(&built)?;
        self.prove(&built).await?;
        // What is refused is refused before its lists are loaded.
        self.accepted(&built, accept).await?;
        // Before anything is recorded: where it cannot be served, nothing is to change.
        let servable = self.loader.can_serve(&built.revision).await;
        servable.map_err(ControlError::Unavailable)?;
        // Before any gateway can learn of the revision: the first to do so may move the fence.
        let provided = self.gate.provide(&built.campaign, &built.revision).await;
        provided.map_err(|why| {
            ControlError::Unavailable(format!("the lists of revision {revision} are not loaded: {why}"))
        })?;
        let recorded = self.record(&built, expected, accept, (operation, beside)).await?;
        let Some((activation, replaced, compared)) = recorded else {
            return Ok(None);
        };
        let activation = self.put_in_force(campaign, activation.revision).await?;
        self.reopened(&built, replaced).await;
        Ok(Some(Activated {
            campaign: campaign.to_owned(),
            revision,
            epoch: activation.epoch,
            replaced: compared.against,
            rollback: revision < compared.against,
            meaning: meaning(&built, activation.epoch, &compared),
            changes: compared.changes,
        }))
    }

    /// A revision whose retention is over would take the keys of the campaign away, orders that are on their way
    /// among them.
    fn not_archived(&self, built: &Compiled) -> Result<(), ControlError> {
        let schedule = built.revision.schedule;
        if !schedule.is_archived((self.clock)()) {
            return Ok(());
        }
        Err(ControlError::Conflict(format!(
            "revision {} closed at {} and was kept for {} days: the campaign would be archived at once. Create a \
             revision with a later closes_at, and activate that",
            built.revision.number,
            Moment(schedule.closes_at),
            schedule.retention_days()
        )))
    }

    /// What the revision changes against the one in force, and the campaign under that one; an error where it
    /// re-keys or drops counters that `accept` does not name.
    async fn accepted(
        &self,
        built: &Compiled,
        accept: &[String],
    ) -> Result<(CampaignRow, Compared), ControlError> {
        let row = self.row(&built.campaign.id).await?;
        let compared = self.compare(&row, built).await?;
        check_accepted(&compared.changes, accept)?;
        Ok((row, compared))
    }

    /// Compares and appends the activation, the epoch being the same before and after. `None` where another revision than
    /// the one expected is in force.
    async fn record(
        &self,
        built: &Compiled,
        expected: Option<u32>,
        accept: &[String],
        (operation, beside): (Operation<'_>, &Beside<'_>),
    ) -> Result<Option<(Activation, Schedule, Compared)>, ControlError> {
        let (campaign, revision) = (&built.campaign.id, built.revision.number);
        for _ in 0..COMPARE_TRIES {
            let (seen, compared) = self.accepted(built, accept).await?;
            if expected.is_some_and(|expected| expected != seen.activation.revision) {
                // A try before this one may have closed the gate.
                self.open_again(campaign).await;
                return Ok(None);
            }
            self.fill(built, &compared, accept).await?;
            let (epoch, now) = (seen.activation.epoch, (self.clock)());
            let mut detail = json!({"revision": revision, "epoch": epoch + 1, "accept": accept,
                "from": seen.activation.revision, "to": revision});
            let filled = filled(&compared.changes);
            if !filled.is_empty() {
                detail["filled"] = filled.into();
            }
            let mut lines = vec![operation.of_kind(ACTIVATE).line(now, detail)];
            lines.extend(beside.line(operation, now, (revision, built.revision.schedule)));
            let bypass = operation.bypass(now);
            let warrant = operation.pass.warrant(Some(&built.revision), &bypass);
            let appended = self
                .store
                .insert_activation_with(campaign, revision, epoch, now, warrant, (&beside.edit, &lines))
                .await;
            if matches!(&appended, Err(StoreError::Unapproved(_))) {
                // A try before this one, or what was filled, may have closed the gate.
                self.open_again(campaign).await;
            }
            if let Some(recorded) = appended? {
                self.alarm(operation, recorded.is_bypass);
                return Ok(Some((recorded.activation, seen.schedule, compared)));
            }
        }
        self.open_again(campaign).await;
        Err(others_activate(campaign))
    }

    /// The fences have moved. Where that opened a sale that was over, other gateways may go on saying so for
    /// [`ANSWER_MAX`], without asking: nobody is to be told that it is open before they have stopped. Who activates another
    /// revision meanwhile waits as long.
    async fn reopened(&self, built: &Compiled, replaced: Schedule) {
        let campaign = &built.campaign.id;
        let all_ask_from = Instant::now() + ANSWER_MAX;
        let is_open = match self.status(&built.campaign).await {
            Ok((status, _)) => {
                let is_over = |schedule: Schedule| schedule.closes_at <= status.now;
                is_over(replaced) && !is_over(built.revision.schedule)
            }
            // Whether it was over cannot be said.
            Err(_) => true,
        };
        let until = {
            let mut reopening = self.reopening.lock().expect("no panic holds this lock");
            reopening.retain(|_, until| *until > Instant::now());
            if is_open {
                reopening.insert(campaign.clone(), all_ask_from);
            }
            reopening.get(campaign).copied()
        };
        if let Some(until) = until {
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// Has the orders so far counted by the counters that are to hold them. The gate is closed then, and stays so until
    /// the activation is recorded and in force; `seen` of its caller tells whether it was opened in between.
    pub(super) async fn fill(
        &self,
        built: &Compiled,
        compared: &Compared,
        accept: &[String],
    ) -> Result<(), ControlError> {
        let counters = filled(&compared.changes);
        if counters.is_empty() {
            return Ok(());
        }
        self.none_stranded(built, &counters, accept).await?;
        let filled = self.gate.fill(built, &counters).await;
        let filled = match filled {
            // What was on its way has landed by now, or is among the dead letters.
            Ok(()) => self.none_stranded(built, &counters, accept).await,
            Err(why) => Err(ControlError::Unavailable(format!(
                "revision {} is not activated, for the orders so far are not counted: {why}",
                built.revision.number
            ))),
        };
        if filled.is_err() {
            self.open_again(&built.campaign.id).await;
        }
        filled
    }

    /// An order among the dead letters is in no row to count it by, and lands later as it was admitted.
    pub(super) async fn none_stranded(
        &self,
        built: &Compiled,
        counters: &[String],
        accept: &[String],
    ) -> Result<(), ControlError> {
        let Some(counter) = counters.iter().find(|counter| !accept.contains(counter)) else {
            return Ok(());
        };
        let campaign = &built.campaign.id;
        match self.store.stranded(campaign, None, 1).await?.first() {
            None => Ok(()),
            Some((order, _)) => Err(ControlError::Conflict(format!(
                "order {order} is admitted and waits among the dead letters: {counter} would not count it. Send it again or \
                 give it up first (rushgate dlt), or name the counter in \"accept\""
            ))),
        }
    }

    /// Under whichever revision is in force. A gateway that finds the gate closed does the same.
    pub(super) async fn open_again(&self, campaign: &str) {
        if let Err(why) = self.gate.open(campaign).await {
            tracing::warn!(campaign, why, "its gate stays closed for now");
        }
    }

    /// Moves the fences of all shards to the newest activation, as long as it is of this revision: a rebuild
    /// raises the epoch too. Answers the activation that is then in force.
    async fn put_in_force(&self, campaign: &str, revision: u32) -> Result<Activation, ControlError> {
        for _ in 0..LOOK_TRIES {
            let unknown = || ControlError::Unknown(format!("no campaign {campaign:?}"));
            let newest = self.store.activation(campaign).await?.ok_or_else(unknown)?;
            let loaded = self.loader.load(campaign, newest.epoch).await;
            let active = loaded.map_err(ControlError::Unavailable)?.ok_or_else(unknown)?;
            if active.revision.number != revision {
                return Err(superseded(active.activation.epoch));
            }
            if self.move_fences(&active).await? {
                return Ok(active.activation);
            }
        }
        Err(ControlError::Unavailable(format!(
            "revision {revision} is recorded and takes effect when the engine keeps its state: it was lost again and again"
        )))
    }

    /// `false` when a rebuild came in between, and the newest activation may be another one.
    pub(super) async fn move_fences(&self, active: &Active) -> Result<bool, ControlError> {
        let campaign = &active.campaign.id;
        for number in 0..active.campaign.shards {
            let shard = Shard::new(campaign, number);
            if let Some(there) = self.move_fence(active, &shard).await? {
                match Whose::of(there.as_ref(), &active.campaign.uid) {
                    Whose::Ours(_) => {}
                    Whose::Foreign => return Err(foreign()),
                    Whose::Nobodys => self.reopen(active).await?,
                }
                return Ok(false);
            }
            let args = calls::show_args(&active.fence(), &active.family.admit);
            if let Err(error) = self.engine.run(&fixed::SHOW, &shard.state(), args).await {
                tracing::warn!(campaign, %error, "the script is in force but not shown in the engine");
            }
        }
        Ok(true)
    }

    /// The gate is closed, so nobody is admitted under any revision. A rebuild that has begun before this
    /// activation opens it for the older revision, without the lists of this one.
    async fn reopen(&self, active: &Active) -> Result<(), ControlError> {
        let opened = self.gate.open(&active.campaign.id).await;
        opened.map_err(ControlError::Unavailable)?;
        let provided = self.gate.provide(&active.campaign, &active.revision).await;
        provided.map_err(ControlError::Unavailable)
    }

    /// `None` when the fence is this one; the shard's own fence (or none) when it did not move.
    async fn move_fence(
        &self,
        active: &Active,
        shard: &Shard,
    ) -> Result<Option<Option<Fence>>, ControlError> {
        let args = activate_args(
            &active.fence(),
            active.revision.number,
            &active.family.plan,
            active.restock.as_ref(),
        );
        let mut last = String::new();
        for _ in 0..ACTIVATE_TRIES {
            let reply = self
                .engine
                .run(&fixed::ACTIVATE, &shard.state(), args.clone())
                .await;
            match reply {
                Ok(reply) => {
                    let moved = activate_reply(reply);
                    return moved.map_err(|error| ControlError::Internal(error.to_string()));
                }
                Err(error) if error.is_transient() => last = error.to_string(),
                Err(error) => return Err(ControlError::Internal(error.to_string())),
            }
        }
        Err(ControlError::Unavailable(format!(
            "revision {} is recorded as epoch {} and takes effect when the engine is back: {last}",
            active.revision.number, active.activation.epoch
        )))
    }
}

pub(super) fn foreign() -> ControlError {
    let why = "the engine holds the state of another campaign of this name; is this the right Redis?";
    ControlError::Conflict(why.to_owned())
}

/// Somebody else's revision was in force, again and again, by the time that one was made of the active one.
pub(super) fn others_activate(campaign: &str) -> ControlError {
    ControlError::Conflict(format!(
        "others activate revisions of campaign {campaign:?} at the same time: look at it and try again"
    ))
}

fn superseded(epoch: u64) -> ControlError {
    ControlError::Conflict(format!(
        "another activation (epoch {epoch}) came later and is in force"
    ))
}

/// What the merchant reads: which revision decides, and what becomes of the counts.
fn meaning(built: &Compiled, epoch: u64, compared: &Compared) -> Vec<String> {
    let (revision, against) = (built.revision.number, compared.against);
    if revision == against {
        return vec![format!(
            "Revision {revision} goes on deciding, from epoch {epoch} on. Counters are as they were."
        )];
    }
    let mut sentences = vec![format!(
        "Revision {revision} decides from epoch {epoch} on, instead of revision {against}."
    )];
    if revision < against {
        sentences.push(
            "Counters are as they are now: orders admitted since then keep what they took, and count under the \
             earlier limits too."
                .to_owned(),
        );
    }
    sentences.extend(older_stock(&built.revision, &built.campaign));
    let filled = filled(&compared.changes);
    if !filled.is_empty() {
        sentences.push(format!("Filled with the orders so far: {}.", filled.join(", ")));
    }
    // What is pinned shows in the plan, where it means something there.
    let is_pin = |change: &&Change| matches!(change.part, Part::Module | Part::Audience);
    let plan_changes = || compared.changes.iter().filter(|change| !is_pin(change));
    let count = |class: Class| {
        let of_class = plan_changes().filter(|change| change.class == class);
        of_class.count()
    };
    let classes = [
        (Class::Tighter, "tighter"),
        (Class::Looser, "looser"),
        (Class::ReKeyed, "re-keyed"),
        (Class::Dropped, "dropped"),
        (Class::New, "new"),
        (Class::Changed, "changed"),
    ];
    let counted: Vec<String> = classes
        .into_iter()
        .map(|(class, word)| (count(class), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    sentences.push(match counted.as_slice() {
        [] if compared.changes.iter().any(|change| is_pin(&change)) => {
            "The plan decides as before; the changes name the versions that are others.".to_owned()
        }
        [] => "Nothing changes for orders.".to_owned(),
        counted => format!("Of its parts: {}.", counted.join(", ")),
    });
    sentences
}
