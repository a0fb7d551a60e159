//! Members changed one by one: a version that shares every bucket with the newest one but those that differ.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;

use super::members::no_address;
use super::pages::pages;
use super::spool::{Digests, PARTITIONS, Spool};
use super::{Control, ControlError, filled, new_upload, spooled, unknown};
use crate::audience::{
    AUDIENCE_BUCKET_MEMBERS, AUDIENCE_BUCKET_MEMBERS_MAX, AUDIENCE_BUCKETS_MAX, AUDIENCE_MEMBERS_MAX,
    AddressRange, AudienceError, ListKind, pack, unpack,
};
use crate::audit::{Asker, AuditLine};
use crate::campaign::bucket_of;
use crate::store::{AudienceRow, ChangedAudience};

/// Buckets that may differ from the version that was uploaded whole: a revision names each of them. With more, the
/// next version is stored whole.
const CHANGED_MAX: usize = 1024;
/// A list is spread anew when its buckets hold so many times what they should.
const CROWD: u64 = 2;
/// Tries, when others change the list meanwhile.
const TRIES: u32 = 8;

/// A member, and whether it is to be on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) member: String,
    pub(super) listed: bool,
    pub(super) by: Asker,
}

impl Wanted {
    /// What the audit trail says of it, which gets the version.
    fn line(&self, id: &str, at: i64) -> AuditLine<'_> {
        let action = match self.listed {
            true => "audience.member.put",
            false => "audience.member.delete",
        };
        let detail = serde_json::json!({"member": self.member});
        AuditLine::new(at, self.by.by(), action, id, detail)
    }
}

/// The newest version, after as many changes.
pub(super) struct Made {
    pub(super) row: AudienceRow,
    /// Per change: whether it was one, or why it was not made.
    pub(super) outcomes: Vec<Result<bool, ControlError>>,
}

type Buckets = BTreeMap<u32, BTreeSet<Vec<u8>>>;

/// The newest version with changes that are not stored yet.
struct Draft {
    row: AudienceRow,
    members: u64,
    /// The buckets of the members in question, before and after.
    before: Buckets,
    after: Buckets,
    kind: ListKind,
    outcomes: Vec<Result<bool, ControlError>>,
}

impl Control {
    /// Makes all of the changes that can be made, in their order, as one version. Where nothing differs then, there
    /// is none.
    pub(super) async fn change_members(&self, id: &str, wanted: &[Wanted]) -> Result<Made, ControlError> {
        for _ in 0..TRIES {
            let newest = self.store.newest_audience(id).await?;
            let row = newest.ok_or_else(|| unknown(id))?;
            let mut draft = self.draft_version(row, wanted).await?;
            draft.apply(wanted);
            let stored = match draft.before == draft.after {
                true => Some(draft.row.clone()),
                false => self.store_version(&draft, wanted).await?,
            };
            if let Some(row) = stored {
                let outcomes = draft.outcomes;
                return Ok(Made { row, outcomes });
            }
        }
        Err(ControlError::Conflict(format!(
            "others change the list {id:?} at the same time: try again"
        )))
    }

    async fn draft_version(&self, row: AudienceRow, wanted: &[Wanted]) -> Result<Draft, ControlError> {
        let mut before = Buckets::new();
        for Wanted { member, .. } in wanted {
            // What cannot be a member is told later, one by one.
            let Ok((member, _)) = spelt(&row.kind, member) else {
                continue;
            };
            let bucket = bucket_of(member.as_bytes(), row.buckets);
            if let Entry::Vacant(unread) = before.entry(bucket) {
                unread.insert(self.bucket(&row, bucket).await?);
            }
        }
        Ok(Draft {
            members: row.members,
            kind: row.kind.clone(),
            row,
            after: before.clone(),
            before,
            outcomes: Vec::with_capacity(wanted.len()),
        })
    }

    async fn bucket(&self, row: &AudienceRow, bucket: u32) -> Result<BTreeSet<Vec<u8>>, ControlError> {
        let packed = self
            .store
            .audience_buckets(&row.id, row.version, bucket, 1)
            .await?;
        let members = packed.iter().flat_map(|packed| unpack(packed));
        Ok(members.map(<[u8]>::to_vec).collect())
    }

    /// `None` where another version came in between.
    async fn store_version(
        &self,
        draft: &Draft,
        wanted: &[Wanted],
    ) -> Result<Option<AudienceRow>, ControlError> {
        let row = &draft.row;
        let known = self.store.audience_partitions(&row.id, row.version).await?;
        let known = known.and_then(Digests::from_bytes);
        let mut changed: BTreeSet<u32> = draft.changed().map(|(bucket, _)| bucket).collect();
        if row.base.is_some() {
            let before = self.store.audience_changed(&row.id, row.version).await?;
            changed.extend(before.into_keys());
        }
        let Some(mut partitions) = known.filter(|_| changed.len() <= CHANGED_MAX && !draft.is_crowded())
        else {
            return self.store_whole(draft, wanted).await;
        };
        for partition in draft.partitions() {
            let members = self.partition(draft, partition).await?;
            partitions.set(partition, members.iter().map(Vec::as_slice));
        }
        let new = ChangedAudience {
            from: row.clone(),
            upload: new_upload(),
            members: draft.members,
            digest: partitions.digest(),
            partitions: partitions.into_bytes(),
            uploaded_at: (self.clock)(),
            buckets: draft
                .changed()
                .map(|(bucket, members)| (bucket, pack(members.iter().map(Vec::as_slice))))
                .collect(),
            kind: draft.kind.clone(),
        };
        let lines = draft.lines(wanted, new.uploaded_at);
        Ok(self.store.change_audience(&new, lines).await?)
    }

    /// The members of a partition after the changes, of which other buckets have some, too.
    async fn partition(&self, draft: &Draft, partition: u32) -> Result<BTreeSet<Vec<u8>>, ControlError> {
        let buckets = draft.row.buckets;
        let first = partition % buckets;
        let mut all = BTreeSet::new();
        // Both numbers are powers of two.
        for bucket in (first..buckets).step_by(buckets.min(PARTITIONS) as usize) {
            let members = match draft.after.get(&bucket) {
                Some(members) => members.clone(),
                None => self.bucket(&draft.row, bucket).await?,
            };
            all.extend(
                members
                    .into_iter()
                    .filter(|member| bucket_of(member, PARTITIONS) == partition),
            );
        }
        Ok(all)
    }

    /// All buckets anew, as if the members had been uploaded.
    async fn store_whole(
        &self,
        draft: &Draft,
        wanted: &[Wanted],
    ) -> Result<Option<AudienceRow>, ControlError> {
        let row = &draft.row;
        let mut spool = Spool::default();
        let mut pages = pages(&self.store, row);
        while let Some(page) = pages.next().await {
            let (first, mut page) = page?;
            for (bucket, packed) in (first..).zip(&mut page) {
                if let Some(members) = draft.after.get(&bucket) {
                    *packed = pack(members.iter().map(Vec::as_slice));
                }
            }
            let spooling = spooled(move || {
                let members = page.iter().flat_map(|packed| unpack(packed));
                let mut members = members.map(String::from_utf8_lossy);
                members.try_for_each(|member| spool.add(&member)).map(|()| spool)
            });
            spool = spooling.await?;
        }
        let said = row.kind.clone();
        let summing = spooled(move || {
            let kind = spool.kind(Some(&said))?;
            spool.summary().map(|summary| (kind, summary, spool))
        });
        let (kind, summary, spool) = summing.await?;
        let new = self.new_audience(row.id.clone(), kind?, summary?, Some(row.version));
        let (stored, row) = self
            .store
            .insert_audience(
                &new,
                filled(spool, new.buckets),
                draft.lines(wanted, new.uploaded_at),
            )
            .await?;
        // The newest version may be another one, of other members.
        Ok((stored || row.digest == new.digest).then_some(row))
    }
}

impl Draft {
    fn apply(&mut self, wanted: &[Wanted]) {
        for wanted in wanted {
            let outcome = match spelt(&self.row.kind, &wanted.member) {
                Ok((member, range)) => self.apply_one(&member, wanted.listed, range),
                Err(why) => Err(why),
            };
            self.outcomes.push(outcome);
        }
    }

    /// Whether anything changed.
    fn apply_one(
        &mut self,
        member: &str,
        listed: bool,
        range: Option<AddressRange>,
    ) -> Result<bool, ControlError> {
        let bucket = bucket_of(member.as_bytes(), self.row.buckets);
        let is_crowded = self.is_crowded();
        let members = self.after.entry(bucket).or_default();
        if !listed {
            let removed = members.remove(member.as_bytes());
            self.members -= u64::from(removed);
            return Ok(removed);
        }
        if members.contains(member.as_bytes()) {
            return Ok(false);
        }
        if self.members >= AUDIENCE_MEMBERS_MAX {
            let members = self.members + 1;
            return Err(AudienceError::TooMany { members }.into());
        }
        if members.len() >= AUDIENCE_BUCKET_MEMBERS_MAX && !is_crowded {
            let members = members.len() + 1;
            return Err(AudienceError::Crowded { members }.into());
        }
        if let (ListKind::Addresses(lengths), Some(range)) = (&mut self.kind, range) {
            let mut more = lengths.clone();
            more.insert(&range);
            if more.is_crowded() {
                return Err(AudienceError::TooManyLengths.into());
            }
            *lengths = more;
        }
        members.insert(member.as_bytes().to_vec());
        self.members += 1;
        Ok(true)
    }

    /// What the audit trail says of those that were changes.
    fn lines<'a>(&self, wanted: &'a [Wanted], at: i64) -> Vec<AuditLine<'a>> {
        let each = wanted.iter().zip(&self.outcomes);
        let made = each.filter(|(_, outcome)| matches!(outcome, Ok(true)));
        made.map(|(wanted, _)| wanted.line(&self.row.id, at)).collect()
    }

    /// The buckets that differ.
    fn changed(&self) -> impl Iterator<Item = (u32, &BTreeSet<Vec<u8>>)> {
        let after = self.after.iter();
        after
            .filter(|(bucket, members)| self.before.get(bucket) != Some(*members))
            .map(|(bucket, members)| (*bucket, members))
    }

    /// The partitions whose members differ.
    fn partitions(&self) -> BTreeSet<u32> {
        let differing = self.changed().flat_map(|(bucket, members)| {
            let before = self.before.get(&bucket).unwrap_or(members);
            before.symmetric_difference(members)
        });
        differing.map(|member| bucket_of(member, PARTITIONS)).collect()
    }

    /// Whether there are too few buckets for the members, and may be more.
    fn is_crowded(&self) -> bool {
        let buckets = u64::from(self.row.buckets);
        self.members > CROWD * AUDIENCE_BUCKET_MEMBERS * buckets && buckets < AUDIENCE_BUCKETS_MAX
    }
}

/// A member as a list of this kind has it.
fn spelt(kind: &ListKind, member: &str) -> Result<(String, Option<AddressRange>), ControlError> {
    match kind {
        ListKind::Texts => Ok((member.to_owned(), None)),
        ListKind::Addresses(_) => {
            let range = AddressRange::parse(member).map_err(|why| no_address(member, why))?;
            Ok((range.member(), Some(range)))
        }
    }
}
