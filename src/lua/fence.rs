//! Fences: which state of which campaign a caller decides against, as text that scripts compare.

use crate::campaign::RecordVersion;

/// How a shard's keys are laid out. Fences say it, because what one layout keeps under other keys must not count as nothing used in
/// another. The first had none: order records lay in buckets of the order.
const LAYOUT: u8 = 3;

/// `<uid>/<version>.<layout>:<epoch>`: which state of which campaign a caller decides against, how its records travel and how
/// its keys are laid out. Builds that do not know the one or the other take it for another campaign's, and stay away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub uid: String,
    pub version: RecordVersion,
    pub epoch: u64,
}

impl Fence {
    /// `None` for one of an older layout, too: to this build such a state is lost, and is made anew from the database.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (uid, epoch) = std::str::from_utf8(text).ok()?.rsplit_once(':')?;
        // Builds of before wrote no layout, and no version where it was 1.
        let (own, version) = uid.rsplit_once('/')?;
        let (version, layout) = version.split_once('.')?;
        let known = |version: &str| version.parse::<u8>().ok()?.try_into().ok();
        let layout: u8 = layout.parse().unwrap_or(u8::MAX);
        if layout < LAYOUT {
            return None;
        }
        let ours = layout == LAYOUT;
        // What a later build has written is another campaign's, by its uid.
        let later = (uid, RecordVersion::V1);
        let (uid, version) = known(version)
            .filter(|_| ours)
            .map_or(later, |version| (own, version));
        Some(Self {
            uid: uid.to_owned(),
            version,
            epoch: epoch.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Fence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}.{LAYOUT}:{}",
            self.uid,
            self.version.number(),
            self.epoch
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_says_how_the_shard_is_laid_out() {
        let fence = |uid: &str, version| Fence {
            uid: uid.to_owned(),
            version,
            epoch: 7,
        };
        for version in [RecordVersion::V1, RecordVersion::V2] {
            let text = fence("u", version).to_string();
            assert_eq!(text, format!("u/{}.{LAYOUT}:7", version.number()));
            assert_eq!(Fence::parse(text.as_bytes()), Some(fence("u", version)));
        }
        // What a release of before wrote stands for a state that is lost to this one.
        for older in ["", "u", "u:7", "u/1:7", "u/2:7", "u/1.2:7", "u/2.2:7"] {
            assert_eq!(Fence::parse(older.as_bytes()), None, "{older}");
        }
        // A later one's is another campaign's.
        for later in ["u/3.3:7", "u/2.4:7", "u/2.256:7"] {
            let there = Fence::parse(later.as_bytes()).expect("a fence");
            assert_ne!(there.uid, "u", "{later}");
            assert_eq!(Fence::parse(there.to_string().as_bytes()), Some(there));
        }
    }

    #[test]
    fn the_scripts_read_fences_of_this_layout() {
        let read = include_str!("../../lua/parts/fence.lua");
        assert!(
            read.contains(&format!("'^([^/]*)/(%d+)%.{LAYOUT}:(%d+)$'")),
            "{read}"
        );
    }
}
