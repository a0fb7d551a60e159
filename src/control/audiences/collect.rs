//! Changes of members as they are asked for: those of up to a second become one version of their list.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Mutex as Turn, oneshot};
use tokio::time::Instant;

use super::change::Wanted;
use super::{Asked, Control, ControlError, Repinned, check_known, invalid, unknown};
use crate::audience::{ListKind, check_member, is_range};
use crate::audit::AskedBy;
use crate::store::AudienceRow;
use crate::wire::echo;

/// Time between the versions that changes make of a list: what comes meanwhile is collected.
const COLLECT: Duration = Duration::from_secs(1);
/// Changes of one version: each may touch a bucket of its own.
const CHANGES_MAX: usize = 1000;

/// A member to be put on a list, or taken off it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberChange {
    pub id: String,
    pub member: String,
    /// Whether it is to be on the list.
    pub listed: bool,
    /// Whether what does not look like an id is refused.
    pub strict: bool,
    /// Campaigns that are to go by the list at once.
    pub activate: Vec<String>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// `false` where the list was so already.
    pub new: bool,
    pub row: AudienceRow,
    /// Whether the version has the member now: an address that was taken off may be in a range that stays.
    pub asked: Asked,
    /// Campaigns whose active revision goes on with another version: campaign, revision, version.
    pub behind: Vec<(String, u32, u32)>,
    /// Whether any active revision asks for the list.
    pub pinned: bool,
    pub activated: Vec<Repinned>,
}

type Outcome = Result<(bool, AudienceRow), ControlError>;

/// Changes that wait, by list.
#[derive(Default)]
pub(in crate::control) struct Collector(Mutex<HashMap<String, Arc<Queue>>>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    /// Held by whoever makes a version; when the last one was made.
    turn: Turn<Option<Instant>>,
}

struct Waiting {
    wanted: Wanted,
    tell: oneshot::Sender<Outcome>,
}

impl Collector {
    fn queue(&self, id: &str) -> Arc<Queue> {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody waits in are made again when they are needed.
        lists.retain(|_, queue| Arc::strong_count(queue) > 1 || queue.is_recent());
        lists.entry(id.to_owned()).or_default().clone()
    }
}

impl Queue {
    fn is_recent(&self) -> bool {
        let made = self.turn.try_lock().map(|made| *made);
        !matches!(made, Ok(made) if made.is_none_or(|made| made.elapsed() > COLLECT))
    }

    fn wait(&self, wanted: Wanted) -> oneshot::Receiver<Outcome> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(Waiting { wanted, tell });
        told
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.len().min(CHANGES_MAX);
        waiting.drain(..most).collect()
    }
}

impl Control {
    /// Puts a member on a list, or takes it off: a new version, unless the newest one is so already. The campaigns in
    /// `activate` go by it when this answers.
    pub async fn change_member(
        &self,
        by: impl Into<AskedBy<'_>>,
        change: MemberChange,
    ) -> Result<Changed, ControlError> {
        let by = by.into();
        let MemberChange {
            id,
            member,
            listed,
            strict,
            activate,
        } = change;
        check_known(&id)?;
        let newest = self.store.newest_audience(&id).await?;
        let newest = newest.ok_or_else(|| unknown(&id))?;
        // What is no address is refused as a member of a list of them, however it is asked.
        if listed && newest.kind == ListKind::Texts {
            check_member(&member, strict).map_err(|why| invalid(why.to_string()))?;
        }
        if listed && strict && newest.kind == ListKind::Texts && is_range(&member) {
            return Err(invalid(format!(
                "{} is a range of addresses, and the list {id:?} is of texts, where it matches nobody: upload the list with \
                 ?kind=addresses, or send ?strict=false",
                echo(&member)
            )));
        }
        self.can_repin(&id, &activate).await?;
        let wanted = Wanted {
            member,
            listed,
            by: by.into(),
        };
        let (new, row) = self.collected(&id, &wanted).await?;
        let activated = self.repin_all(by.otherwise(), &row, &activate).await?;
        let asked = self.asked_of(&row, &wanted.member).await?;
        Ok(Changed {
            new,
            behind: self.behind(&row),
            pinned: self.is_pinned(&row.id),
            asked,
            row,
            activated,
        })
    }

    /// Waits for its turn, and makes one version of all changes that wait then; whoever waited is told.
    async fn collected(&self, id: &str, wanted: &Wanted) -> Outcome {
        let queue = self.collector.queue(id);
        loop {
            let mut told = queue.wait(wanted.clone());
            let mut made = queue.turn.lock().await;
            match told.try_recv() {
                Ok(outcome) => return outcome,
                // Whoever made a version of it has hung up half-way. A change may be made twice.
                Err(TryRecvError::Closed) => continue,
                Err(TryRecvError::Empty) => {}
            }
            if let Some(made) = *made {
                tokio::time::sleep_until(made + COLLECT).await;
            }
            self.make(id, queue.take()).await;
            *made = Some(Instant::now());
            drop(made);
            match told.try_recv() {
                Ok(outcome) => return outcome,
                // More changes wait than one version takes.
                Err(TryRecvError::Empty) => {
                    if let Ok(outcome) = told.await {
                        return outcome;
                    }
                }
                Err(TryRecvError::Closed) => {}
            }
        }
    }

    async fn make(&self, id: &str, waiting: Vec<Waiting>) {
        let wanted: Vec<Wanted> = waiting.iter().map(|each| each.wanted.clone()).collect();
        let outcomes: Vec<Outcome> = match self.change_members(id, &wanted).await {
            Ok(made) => {
                let with_row =
                    |outcome: Result<bool, ControlError>| outcome.map(|new| (new, made.row.clone()));
                made.outcomes.into_iter().map(with_row).collect()
            }
            Err(error) => vec![Err(error); waiting.len()],
        };
        for (each, outcome) in waiting.into_iter().zip(outcomes) {
            // Nobody listens where the client has hung up.
            drop(each.tell.send(outcome));
        }
    }
}
