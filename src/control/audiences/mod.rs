//! Audiences: uploaded lists of ids, kept in versions, pinned by revisions.
//!
//! ```text
//!  body ─▶ intake: gunzip, lines or table ─▶ spool: partitions ─▶ different ids, digest ─▶ buckets ─▶ database
//!  members one by one ─▶ collect: up to a second ─▶ change: the buckets that differ ─▶ database ─▶ repin: revision, activation
//! ```

mod change;
mod collect;
mod folded;
mod intake;
mod members;
pub(super) mod pages;
mod pin;
mod repin;
mod spool;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{Control, ControlError, Problem};
use crate::access::DEFAULT_MERCHANT;
use crate::audience::{AUDIENCE_BYTES_MAX, AudienceError, ListKind, TableRead};
use crate::audit::{AskedBy, AuditLine, Only, Stale};
use crate::campaign::check_id;
use crate::store::{AudienceRow, NewAudience};
use crate::wire::Moment;
pub(super) use collect::Collector;
pub use collect::{Changed, MemberChange};
pub(super) use folded::FoldedCopy;
pub use intake::{Format, Reading};
use intake::{Intake, IntakeError, Taken};
pub use members::{Asked, AskedFolded, MembersStream};
pub use repin::Repinned;
use spool::{Spool, Summary};

/// Pieces of a body between the connection and the thread that reads them.
const PIECES_AHEAD: usize = 4;
/// Versions of one page at most, and one that says whether more follow.
const PAGE_MAX: u32 = 101;
/// Buckets between the thread that fills them and the database: some of their kilobytes each.
const BUCKETS_AHEAD: usize = 64;

/// A list on its way in.
pub struct AudienceUpload {
    pub id: String,
    /// Whether the body is compressed.
    pub gzip: bool,
    pub reading: Reading,
    /// Campaigns that are to go by the list at once.
    pub activate: Vec<String>,
    /// The body, piece by piece; an error where it was cut off.
    pub body: BoxStream<'static, Result<Bytes, String>>,
}

/// What became of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// `false` where the newest version has the same members.
    pub new: bool,
    pub row: AudienceRow,
    /// Campaigns whose active revision goes on with another version: campaign, revision, version.
    pub behind: Vec<(String, u32, u32)>,
    /// Whether any active revision asks for the list.
    pub pinned: bool,
    pub activated: Vec<Repinned>,
    /// How a table was read.
    pub table: Option<TableRead>,
}

impl Control {
    /// Stores a list as its next version. Nothing is stored of a body that is wrong or cut off. The campaigns in `activate`
    /// go by it when this answers; no other one changes: a revision pins the version that is newest when it is made.
    pub async fn upload_audience(
        &self,
        by: impl Into<AskedBy<'_>>,
        upload: AudienceUpload,
    ) -> Result<Uploaded, ControlError> {
        let by = by.into();
        let activate = upload.activate.clone();
        check_id(&upload.id).map_err(|error| invalid(format!("the list id {error}")))?;
        self.can_repin(&upload.id, &activate).await?;
        let (new, row, table) = self.store_upload(by, upload).await?;
        let activated = self.repin_all(by.otherwise(), &row, &activate).await?;
        Ok(Uploaded {
            new,
            behind: self.behind(&row),
            pinned: self.is_pinned(&row.id),
            activated,
            row,
            table,
        })
    }

    /// `false` where the newest version, which is the row then, has the same members.
    async fn store_upload(
        &self,
        by: AskedBy<'_>,
        upload: AudienceUpload,
    ) -> Result<(bool, AudienceRow, Option<TableRead>), ControlError> {
        let AudienceUpload {
            id,
            gzip,
            reading,
            activate,
            body,
        } = upload;
        let newest = self.store.newest_audience(&id).await?;
        let after = seen(by, &id, newest.as_ref())?;
        // A list of addresses stays one: as texts, its ranges would match nobody.
        let stays = newest.map(|row| row.kind).filter(|kind| *kind != ListKind::Texts);
        let reading = Reading {
            kind: reading.kind.or(stays),
            ..reading
        };
        let Taken {
            summary,
            kind,
            spool,
            table,
        } = collect(gzip, reading, body).await?;
        self.can_match(&id, &kind, &activate).await?;
        let new = self.new_audience(id, kind, summary, after);
        let newest = self.store.newest_audience(&new.id).await?;
        if let Some(row) = &newest
            && row.digest == new.digest
            && row.kind.name() == new.kind.name()
        {
            return Ok((false, row.clone(), table));
        }
        let from =
            newest.map(|row| json!({"version": row.version, "members": row.members, "digest": row.digest}));
        let detail = json!({"members": new.members, "digest": new.digest, "from": from});
        let line = AuditLine::new(new.uploaded_at, by, "audience.upload", new.id.as_str(), detail);
        let digest = new.digest.clone();
        let (is_new, row) = self
            .store
            .insert_audience(&new, filled(spool, new.buckets), vec![line])
            .await?;
        // Another one may have been stored meanwhile.
        if !is_new && row.digest != digest {
            return Err(stale(&row));
        }
        Ok((is_new, row, table))
    }

    /// A version that is stored whole; with `after`, only as the one after that.
    fn new_audience(&self, id: String, kind: ListKind, summary: Summary, after: Option<u32>) -> NewAudience {
        NewAudience {
            id,
            upload: new_upload(),
            members: summary.members,
            buckets: summary.buckets,
            digest: summary.partitions.digest(),
            partitions: summary.partitions.into_bytes(),
            uploaded_at: (self.clock)(),
            after,
            kind,
        }
    }

    /// Campaigns whose active revision pins another version: campaign, revision, version.
    fn behind(&self, row: &AudienceRow) -> Vec<(String, u32, u32)> {
        let mut behind: Vec<_> = self
            .ruleset
            .all()
            .iter()
            .filter_map(|active| {
                let version = active.revision.list_version(&row.id)?;
                (version != row.version)
                    .then(|| (active.campaign.id.clone(), active.revision.number, version))
            })
            .collect();
        behind.sort();
        behind
    }

    /// Whether any active revision asks for the list.
    fn is_pinned(&self, id: &str) -> bool {
        let all = self.ruleset.all();
        all.iter()
            .any(|active| active.revision.list_version(id).is_some())
    }

    /// The newest version of each list, the one that changed last first; of one merchant where it is named.
    pub async fn audiences(&self, merchant: Option<&str>) -> Result<Vec<AudienceRow>, ControlError> {
        let mut rows = self.store.audiences().await?;
        if let Some(merchant) = merchant {
            let owners = self.store.list_owners().await?;
            rows.retain(|row| owners.get(&row.id).map_or(DEFAULT_MERCHANT, String::as_str) == merchant);
        }
        Ok(rows)
    }

    /// The versions of one list, newest first, those numbered below `before`.
    pub async fn audience(
        &self,
        id: &str,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<AudienceRow>, ControlError> {
        check_known(id)?;
        let rows = self.store.audience(id, before, limit.clamp(1, PAGE_MAX)).await?;
        if rows.is_empty() && self.store.newest_audience(id).await?.is_none() {
            return Err(unknown(id));
        }
        Ok(rows)
    }

    /// Removes a version that is not the newest and that no revision pins.
    pub async fn delete_audience(
        &self,
        by: impl Into<AskedBy<'_>>,
        id: &str,
        version: u32,
    ) -> Result<(), ControlError> {
        check_known(id)?;
        let detail = json!({"version": version});
        let line = AuditLine::new((self.clock)(), by, "audience.delete", id, detail);
        if !self.store.delete_audience(id, version, &[line]).await? {
            return Err(ControlError::Unknown(format!(
                "the list {id:?} has no version {version}"
            )));
        }
        Ok(())
    }
}

/// A random key for members to be kept under.
fn new_upload() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// What is kept beside a list, under a key of its own, is no list.
fn check_known(id: &str) -> Result<(), ControlError> {
    check_id(id).map_err(|_| unknown(id))
}

/// The version that a new one has to come after, where somebody says which one they have seen.
fn seen(by: AskedBy<'_>, id: &str, newest: Option<&AudienceRow>) -> Result<Option<u32>, ControlError> {
    let Some(condition) = by
        .only_if
        .map(Only::condition)
        .filter(|condition| condition.is_there())
    else {
        return Ok(None);
    };
    match newest {
        Some(row) if condition.allows(&row.tag()) => Ok(Some(row.version)),
        Some(row) => Err(stale(row)),
        None => Err(unknown(id)),
    }
}

fn stale(row: &AudienceRow) -> ControlError {
    ControlError::Changed(Box::new(Stale {
        tag: row.tag(),
        current: json!({"id": row.id, "version": row.version, "members": row.members, "digest": row.digest,
            "uploaded_at": Moment(row.uploaded_at)}),
        last_change: None,
    }))
}

fn unknown(id: &str) -> ControlError {
    ControlError::Unknown(format!("no list {id:?}"))
}

fn invalid(detail: String) -> ControlError {
    ControlError::Invalid(vec![Problem::new("", detail)])
}

impl From<IntakeError> for ControlError {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::Audience(error) => error.into(),
            IntakeError::Gzip(_) => Self::Malformed(error.to_string()),
            IntakeError::Spool(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<AudienceError> for ControlError {
    fn from(error: AudienceError) -> Self {
        match error {
            AudienceError::TooLarge => Self::TooLarge(error.to_string()),
            AudienceError::Suspicious(found) => Self::Suspicious(found),
            _ => invalid(error.to_string()),
        }
    }
}

/// Reads a body to its end on a thread that may wait for the disk. What comes after a refusal is
/// read and dropped, so that a sender who is still sending can be told.
async fn collect(
    gzip: bool,
    reading: Reading,
    mut body: BoxStream<'static, Result<Bytes, String>>,
) -> Result<Taken, ControlError> {
    let (sender, mut pieces) = mpsc::channel::<Bytes>(PIECES_AHEAD);
    let taking = spawn_blocking(move || {
        let mut intake = Intake::new(gzip, reading, AUDIENCE_BYTES_MAX);
        while let Some(piece) = pieces.blocking_recv() {
            intake.take(&piece)?;
        }
        intake.end()
    });
    let (mut refused, mut length) = (false, 0);
    while let Some(piece) = body.next().await {
        // The thread ends with its sender, and what it has read goes with it.
        let piece = piece.map_err(ControlError::Malformed)?;
        length += piece.len() as u64;
        if length > AUDIENCE_BYTES_MAX {
            return Err(AudienceError::TooLarge.into());
        }
        refused = refused || sender.send(piece).await.is_err();
    }
    drop(sender);
    Ok(ended(taking.await)??)
}

/// The packed buckets of a spool, filled on a thread of their own.
fn filled(mut spool: Spool, buckets: u32) -> BoxStream<'static, Result<(u32, Vec<u8>), ControlError>> {
    let (sender, receiver) = mpsc::channel(BUCKETS_AHEAD);
    let filling = spawn_blocking(move || {
        let each = |bucket: Result<_, AudienceError>| {
            sender.blocking_send(bucket.map_err(ControlError::from)).is_ok()
        };
        spool.fill(buckets, each).map_err(IntakeError::Spool)
    });
    let sent = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|bucket| (bucket, receiver))
    });
    // Without its end a list would be stored that is not whole.
    let end = stream::once(filling).filter_map(async |outcome| match ended(outcome) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(Err(error.into())),
        Err(error) => Some(Err(error)),
    });
    sent.chain(end).boxed()
}

/// Work on a spool, on a thread that may wait for the disk.
async fn spooled<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ControlError> {
    Ok(ended(spawn_blocking(work).await)?.map_err(IntakeError::Spool)?)
}

fn ended<T>(outcome: Result<T, tokio::task::JoinError>) -> Result<T, ControlError> {
    outcome.map_err(|error| ControlError::Internal(format!("reading a list: {error}")))
}
