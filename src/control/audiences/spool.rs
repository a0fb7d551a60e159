//! Where an upload waits until all of it is there: its ids spread over partitions, so that finding
//! repeated ones and filling buckets needs one partition in memory at a time, however long the list.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};

use crate::audience::{
    AUDIENCE_BUCKET_MEMBERS_MAX, AUDIENCE_MEMBERS_MAX, AddressRange, AudienceError, ListKind, Scan,
    buckets_for, pack, unpack,
};
use crate::campaign::bucket_of;
use crate::wasm;

/// A list of five million ids of 50 bytes has a MiB in each.
pub(super) const PARTITIONS: u32 = 256;
/// Bytes of a SHA-256.
const DIGEST_BYTES: usize = 32;
/// Bytes of a partition kept in memory before they go to the file: 4 MiB for all of them.
const BLOCK_BYTES: usize = 16 * 1024;

/// Ids on their way, in no order, repeated ones included.
pub(super) struct Spool {
    partitions: Vec<Partition>,
    /// Made when the first block is full: a short list never touches the disk.
    file: Option<File>,
    /// Bytes in the file.
    written: u64,
}

#[derive(Default)]
struct Partition {
    /// Packed ids that are not in the file yet.
    open: Vec<u8>,
    /// Place and length of each block in the file.
    blocks: Vec<(u64, usize)>,
}

/// What the whole upload amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) members: u64,
    pub(super) buckets: u32,
    pub(super) partitions: Digests,
}

/// SHA-256 of each partition's members, sorted: those that did not change need not be read to know the digest of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digests(Vec<u8>);

impl Digests {
    /// As they are stored; `None` where these are none.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == PARTITIONS as usize * DIGEST_BYTES).then_some(Self(bytes))
    }

    pub(super) fn set<'a>(&mut self, partition: u32, sorted: impl Iterator<Item = &'a [u8]>) {
        let place = partition as usize * DIGEST_BYTES;
        self.0[place..place + DIGEST_BYTES].copy_from_slice(&Sha256::digest(pack(sorted)));
    }

    /// The digest of the whole list, which depends neither on the order of its members nor on how many buckets they fill.
    pub(super) fn digest(&self) -> String {
        wasm::digest(&self.0)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl Default for Spool {
    fn default() -> Self {
        Self {
            partitions: (0..PARTITIONS).map(|_| Partition::default()).collect(),
            file: None,
            written: 0,
        }
    }
}

impl Spool {
    pub(super) fn add(&mut self, id: &str) -> io::Result<()> {
        let number = bucket_of(id.as_bytes(), PARTITIONS) as usize;
        let open = &mut self.partitions[number].open;
        open.extend_from_slice(id.as_bytes());
        open.push(b'\n');
        match open.len() < BLOCK_BYTES {
            true => Ok(()),
            false => self.spill(number),
        }
    }

    fn spill(&mut self, number: usize) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(unnamed_file()?),
        };
        let Partition { open, blocks } = &mut self.partitions[number];
        file.write_all(open)?;
        blocks.push((self.written, open.len()));
        self.written += open.len() as u64;
        open.clear();
        Ok(())
    }

    /// Everything added to a partition.
    fn read(&mut self, number: u32) -> io::Result<Vec<u8>> {
        let Partition { open, blocks } = &self.partitions[number as usize];
        let size = blocks.iter().map(|(_, length)| length).sum::<usize>() + open.len();
        let mut all = vec![0; size];
        let mut rest = all.as_mut_slice();
        for (place, length) in blocks {
            let (block, after) = rest.split_at_mut(*length);
            let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
            file.seek(SeekFrom::Start(*place))?;
            file.read_exact(block)?;
            rest = after;
        }
        rest.copy_from_slice(open);
        Ok(all)
    }

    /// What the members are; `said` where somebody did.
    pub(super) fn kind(&mut self, said: Option<&ListKind>) -> io::Result<Result<ListKind, AudienceError>> {
        let mut scan = Scan::default();
        if said != Some(&ListKind::Texts) {
            for number in 0..PARTITIONS {
                let raw = self.read(number)?;
                unpack(&raw).for_each(|id| scan.see(&String::from_utf8_lossy(id)));
            }
        }
        Ok(scan.kind(said))
    }

    /// The same addresses, in their one spelling.
    pub(super) fn of_addresses(mut self) -> io::Result<Self> {
        let mut spelt = Self::default();
        for number in 0..PARTITIONS {
            let raw = self.read(number)?;
            for id in unpack(&raw) {
                let range = AddressRange::parse(&String::from_utf8_lossy(id));
                spelt.add(&range.map_err(io::Error::other)?.member())?;
            }
        }
        Ok(spelt)
    }

    /// Counts the different ids and digests them: the digest does not depend on their order, on
    /// repeated ones, or on how many buckets they fill.
    pub(super) fn summary(&mut self) -> io::Result<Result<Summary, AudienceError>> {
        let mut members = 0;
        let mut partitions = Digests(vec![0; PARTITIONS as usize * DIGEST_BYTES]);
        for number in 0..PARTITIONS {
            let raw = self.read(number)?;
            let sorted = distinct(&raw);
            members += sorted.len() as u64;
            partitions.set(number, sorted.into_iter());
        }
        if members > AUDIENCE_MEMBERS_MAX {
            return Ok(Err(AudienceError::TooMany { members }));
        }
        Ok(Ok(Summary {
            members,
            buckets: buckets_for(members),
            partitions,
        }))
    }

    /// Hands every packed bucket to `each`, in no order; `false` from it ends that.
    pub(super) fn fill(
        &mut self,
        buckets: u32,
        mut each: impl FnMut(Result<(u32, Vec<u8>), AudienceError>) -> bool,
    ) -> io::Result<()> {
        // Both are powers of two, so the buckets of a group hold the partitions of the same group and
        // nothing else.
        let groups = buckets.min(PARTITIONS);
        for group in 0..groups {
            let mut raw = Vec::new();
            for number in (group..PARTITIONS).step_by(groups as usize) {
                raw.append(&mut self.read(number)?);
            }
            let mut filled: Vec<Vec<&[u8]>> = vec![Vec::new(); (buckets / groups) as usize];
            for id in distinct(&raw) {
                filled[(bucket_of(id, buckets) / groups) as usize].push(id);
            }
            for (bucket, members) in (group..).step_by(groups as usize).zip(filled) {
                let bucket = match members.len() <= AUDIENCE_BUCKET_MEMBERS_MAX {
                    true => Ok((bucket, pack(members.into_iter()))),
                    false => Err(AudienceError::Crowded {
                        members: members.len(),
                    }),
                };
                if !each(bucket) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The different ids, sorted.
fn distinct(raw: &[u8]) -> Vec<&[u8]> {
    let mut ids: Vec<&[u8]> = unpack(raw).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A file of this process alone, gone when it ends, however that happens: its name is taken away at
/// once.
fn unnamed_file() -> io::Result<File> {
    let name = format!("rushgate-upload-{}", uuid::Uuid::now_v7().simple());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn spool(ids: impl Iterator<Item = String>) -> Spool {
        let mut spool = Spool::default();
        ids.for_each(|id| spool.add(&id).expect("spooled"));
        spool
    }

    fn summary(spool: &mut Spool) -> Summary {
        spool.summary().expect("readable").expect("within bounds")
    }

    fn check(ids: Vec<String>) {
        let mut spool = spool(ids.iter().cloned());
        let summary = summary(&mut spool);
        let expected: BTreeSet<&[u8]> = ids.iter().map(|id| id.as_bytes()).collect();
        assert_eq!(summary.members, expected.len() as u64);
        let (mut found, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        let each = |bucket: Result<(u32, Vec<u8>), AudienceError>| {
            let (number, packed) = bucket.expect("small enough");
            assert!(numbers.insert(number));
            for id in unpack(&packed) {
                assert_eq!(bucket_of(id, summary.buckets), number);
                assert!(found.insert(id.to_vec()));
            }
            true
        };
        spool.fill(summary.buckets, each).expect("readable");
        assert_eq!(numbers, (0..summary.buckets).collect());
        assert!(found.iter().map(Vec::as_slice).eq(expected));
    }

    #[test]
    fn every_id_is_in_its_bucket_once() {
        check(Vec::new());
        for count in [1, 63, 64, 1000, 40_000] {
            check((0..count).map(|n| format!("buyer-{}", n % 30_000)).collect());
        }
        // Larger than the blocks in memory: part of it comes back from the file.
        let mut long = spool((0..60_000).map(|n| format!("{n:0>100}")));
        assert!(long.file.is_some());
        assert_eq!(summary(&mut long).members, 60_000);
        check((0..60_000).map(|n| format!("{n:0>100}")).collect());
    }

    #[test]
    fn ids_made_to_collide_are_refused() {
        let colliding = (0..)
            .map(|n| format!("buyer-{n}"))
            .filter(|id| bucket_of(id.as_bytes(), 32) == 7);
        let mut spool = spool(colliding.take(AUDIENCE_BUCKET_MEMBERS_MAX + 1));
        let summary = summary(&mut spool);
        assert_eq!(summary.buckets, 32);
        let mut errors = Vec::new();
        let each = |bucket: Result<(u32, Vec<u8>), AudienceError>| {
            errors.extend(bucket.err());
            true
        };
        spool.fill(summary.buckets, each).expect("readable");
        assert_eq!(errors, [AudienceError::Crowded { members: 1025 }]);
    }

    #[test]
    fn the_digest_knows_neither_order_nor_repetition() {
        let ids = |from: u32, to: u32| (from..to).map(|n| format!("buyer-{n}"));
        let forth = summary(&mut spool(ids(0, 3000)));
        let back = summary(&mut spool(ids(0, 3000).rev().chain(ids(5, 50))));
        assert_eq!(forth, back);
        assert_ne!(forth.partitions, summary(&mut spool(ids(0, 2999))).partitions);
        let joined = summary(&mut spool(["ab".to_owned()].into_iter()));
        assert_ne!(
            joined.partitions,
            summary(&mut spool(["a".to_owned(), "b".to_owned()].into_iter())).partitions
        );
    }
}
