//! Uploaded lists next to a campaign shard: arguments and reply of the script `audience`.

use std::collections::{BTreeMap, BTreeSet};

use super::Args;
use super::args::text;
use super::fence::Fence;
use super::keys;
use super::reply::{CodecError, Reply};
use crate::audience::unpack;
use crate::campaign::bucket_of;
use crate::plan::{AudienceRef, CheckContext};

/// Members of one call, as long as that is not less than one bucket: a call of a thousand takes the
/// engine less than a millisecond, so orders hardly wait for it.
const CALL_MEMBERS_MAX: usize = 1000;

/// One version of a list, and the shard's state it goes next to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub uid: &'a str,
    /// Of the rebuild behind a closed gate; empty where the gate is open.
    pub token: &'a str,
    pub audience: &'a str,
    pub list: &'a AudienceRef,
    /// The one bucket that is put, where it changed with the version and the others did not.
    pub changed: Option<u32>,
    /// When the campaign's keys may go, milliseconds since 1970-01-01 UTC.
    pub expires_at: i64,
}

impl Target<'_> {
    /// Asks whether the list is there, and long enough.
    pub fn ask(&self) -> Args {
        self.args(0)
    }

    /// Packed buckets from `first` on, as arguments of one or more calls in order. The call that
    /// carries the list's last bucket makes it complete.
    pub fn put(&self, first: u32, buckets: &[Vec<u8>]) -> Vec<Args> {
        let unpacked = buckets
            .iter()
            .map(|packed| unpack(packed).map(<[u8]>::to_vec).collect());
        self.calls(first, unpacked)
    }

    fn calls(&self, first: u32, buckets: impl Iterator<Item = Vec<Vec<u8>>>) -> Vec<Args> {
        let mut all = Vec::new();
        let (mut args, mut members) = (self.args(first), 0);
        for (bucket, values) in (first..).zip(buckets) {
            if members > 0 && members + values.len() > CALL_MEMBERS_MAX {
                all.push(std::mem::replace(&mut args, self.args(bucket)));
                members = 0;
            }
            members += values.len();
            args.push_text(values.len());
            args.extend(values);
        }
        all.push(args);
        all
    }

    /// Says that a version is complete whose buckets were put as those of other versions.
    pub fn complete(&self) -> Args {
        // None is left to put.
        self.args_of(0, 0)
    }

    fn args(&self, first: u32) -> Args {
        let buckets = self.changed.map_or(self.list.buckets, |_| 1);
        self.args_of(buckets, first)
    }

    fn args_of(&self, buckets: u32, first: u32) -> Args {
        let (audience, version) = (self.audience, self.list.version);
        let family = match self.changed {
            None => keys::audience_family(audience, version),
            Some(bucket) => keys::audience_changed_family(audience, version, bucket),
        };
        Args::from([
            text(self.uid),
            text(self.token),
            text(family),
            text(buckets),
            text(self.expires_at),
            text(first),
        ])
    }
}

/// What `audience` answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// The list is there, as long as it has to be.
    Complete,
    /// Buckets are missing yet.
    Incomplete,
    /// Nothing was done: the shard's fence, `None` behind a closed gate.
    Fenced(Option<Fence>),
}

pub fn put_reply(reply: Reply) -> Result<Put, CodecError> {
    let odd = |what: String| CodecError {
        script: "audience",
        what,
    };
    let Reply::Array(parts) = reply else {
        return Err(odd(format!("{reply:?}")));
    };
    match parts.as_slice() {
        [Reply::Bulk(word), Reply::Int(complete)] if word == b"ok" => Ok(match complete {
            0 => Put::Incomplete,
            _ => Put::Complete,
        }),
        [Reply::Bulk(word), Reply::Bulk(fence)] if word == b"fence" => Ok(Put::Fenced(Fence::parse(fence))),
        _ => Err(odd(format!("{parts:?}"))),
    }
}

/// Arguments of the calls that put every list of a plan next to an open shard: for small lists that were uploaded whole
/// and are at hand, as examples and tests have them. A list that is not given is empty.
pub fn fill(context: &CheckContext, fence: &Fence, lists: &BTreeMap<String, BTreeSet<String>>) -> Vec<Args> {
    let calls = context.audiences.iter().flat_map(|(id, list)| {
        let mut buckets: Vec<Vec<Vec<u8>>> = vec![Vec::new(); list.buckets as usize];
        for member in lists.get(id).into_iter().flatten() {
            let member = member.as_bytes();
            buckets[bucket_of(member, list.buckets) as usize].push(member.to_vec());
        }
        let target = Target {
            uid: &fence.uid,
            token: "",
            audience: id,
            list,
            changed: None,
            expires_at: context.schedule.expires_at(),
        };
        target.calls(0, buckets.into_iter())
    });
    calls.collect()
}
