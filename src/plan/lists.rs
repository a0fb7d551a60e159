//! Uploaded lists as a revision pins them: which version, and where each of its buckets is kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::audience::ListKind;

/// An uploaded list as a revision pins it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct AudienceRef {
    pub version: u32,
    /// Number of buckets the members are spread over.
    pub buckets: u32,
    /// Of a version that was made from another one by changing members: where its buckets are.
    pub layers: Option<Layers>,
    /// What its members are: every gateway matches by this.
    pub kind: ListKind,
}

/// The uploaded lists a plan may ask for, by id.
pub type Audiences = BTreeMap<String, AudienceRef>;

/// Buckets that several versions of a list share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layers {
    /// The version that was uploaded whole: it has every bucket that did not change since.
    pub base: u32,
    /// Bucket → the version it changed with last.
    pub changed: BTreeMap<u32, u32>,
}

/// Where a bucket of a version is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Among all buckets of this version.
    Whole(u32),
    /// By itself: it changed with this version.
    Changed(u32),
}

impl AudienceRef {
    /// A version of texts that was uploaded whole.
    pub const fn whole(version: u32, buckets: u32) -> Self {
        Self {
            version,
            buckets,
            layers: None,
            kind: ListKind::Texts,
        }
    }

    pub fn home(&self, bucket: u32) -> Home {
        match &self.layers {
            None => Home::Whole(self.version),
            Some(Layers { base, changed }) => match changed.get(&bucket) {
                Some(version) => Home::Changed(*version),
                None => Home::Whole(*base),
            },
        }
    }

    /// The version that was uploaded whole and has what did not change since; itself where it was.
    pub fn base(&self) -> Self {
        let version = self.layers.as_ref().map_or(self.version, |layers| layers.base);
        Self {
            version,
            layers: None,
            ..self.clone()
        }
    }
}

/// As it is stored: with `buckets`, or with `spread`. A release that does not know the latter finds no `buckets`, and
/// refuses the revision: it would look for members where they are not.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    buckets: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spread: Option<Spread>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spread {
    buckets: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers: Option<Layers>,
    #[serde(default, skip_serializing_if = "is_texts")]
    kind: ListKind,
}

fn is_texts(kind: &ListKind) -> bool {
    *kind == ListKind::Texts
}

impl From<AudienceRef> for Stored {
    fn from(list: AudienceRef) -> Self {
        let AudienceRef {
            version,
            buckets,
            layers,
            kind,
        } = list;
        let spread = Spread {
            buckets,
            layers,
            kind,
        };
        let is_plain = spread.layers.is_none() && is_texts(&spread.kind);
        Self {
            version,
            buckets: is_plain.then_some(buckets),
            spread: (!is_plain).then_some(spread),
        }
    }
}

impl TryFrom<Stored> for AudienceRef {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, &'static str> {
        let whole = |buckets| Self::whole(stored.version, buckets);
        match (stored.buckets, stored.spread) {
            (Some(buckets), None) => Ok(whole(buckets)),
            (None, Some(spread)) => Ok(Self {
                layers: spread.layers,
                kind: spread.kind,
                ..whole(spread.buckets)
            }),
            _ => Err("a list has either `buckets` or `spread`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_release_stored_is_read_and_what_it_cannot_read_it_refuses() {
        let whole = AudienceRef::whole(3, 4);
        let json = serde_json::to_string(&whole).expect("JSON");
        assert_eq!(json, r#"{"version":3,"buckets":4}"#);
        assert_eq!(serde_json::from_str::<AudienceRef>(&json).ok(), Some(whole));

        let layered = AudienceRef {
            layers: Some(Layers {
                base: 3,
                changed: [(1, 7)].into(),
            }),
            ..AudienceRef::whole(8, 4)
        };
        let addresses = AudienceRef {
            kind: ListKind::addresses(),
            ..AudienceRef::whole(8, 4)
        };
        for list in [layered, addresses] {
            let json = serde_json::to_value(&list).expect("JSON");
            assert!(json.get("buckets").is_none(), "{json}");
            assert_eq!(serde_json::from_value::<AudienceRef>(json).ok(), Some(list));
        }
    }

    #[test]
    fn a_bucket_is_where_it_changed_last() {
        let list = AudienceRef {
            layers: Some(Layers {
                base: 3,
                changed: [(1, 7)].into(),
            }),
            ..AudienceRef::whole(8, 4)
        };
        assert_eq!((list.home(0), list.home(1)), (Home::Whole(3), Home::Changed(7)));
        assert_eq!(AudienceRef::whole(8, 4).home(1), Home::Whole(8));
        assert_eq!(list.base(), AudienceRef::whole(3, 4));
    }
}
