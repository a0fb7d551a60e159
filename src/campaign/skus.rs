//! The SKUs of a campaign, kept once for everything that has them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Sku;

/// The SKUs of a campaign in its order. A copy is the same list in memory until one of them is changed: each revision of
/// the campaign has one, and with their attributes they may take megabytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skus(Arc<Vec<Sku>>);

impl Skus {
    /// Keeps the list of `known` in place of this one where they say the same.
    pub fn share(&mut self, known: &Self) {
        if self == known {
            self.0 = known.0.clone();
        }
    }

    /// Whether both are one list in memory.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for Skus {
    type Target = Vec<Sku>;

    fn deref(&self) -> &Vec<Sku> {
        &self.0
    }
}

/// Changes this copy alone.
impl DerefMut for Skus {
    fn deref_mut(&mut self) -> &mut Vec<Sku> {
        Arc::make_mut(&mut self.0)
    }
}

impl From<Vec<Sku>> for Skus {
    fn from(skus: Vec<Sku>) -> Self {
        Self(Arc::new(skus))
    }
}

impl FromIterator<Sku> for Skus {
    fn from_iter<I: IntoIterator<Item = Sku>>(skus: I) -> Self {
        Self::from(Vec::from_iter(skus))
    }
}

impl<'a> IntoIterator for &'a Skus {
    type Item = &'a Sku;
    type IntoIter = std::slice::Iter<'a, Sku>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Serialize for Skus {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.as_slice().serialize(to)
    }
}

impl<'de> Deserialize<'de> for Skus {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_one_list_until_one_changes() {
        let skus: Skus = [Sku::new("mug", 5), Sku::new("cap", 3)].into_iter().collect();
        let mut copy = skus.clone();
        assert!(copy.is_shared_with(&skus));
        copy[0].stock = 6;
        assert!(!copy.is_shared_with(&skus));
        assert_eq!((skus[0].stock, copy[0].stock), (5, 6));
        copy.share(&skus);
        assert!(!copy.is_shared_with(&skus), "they say different things");

        let json = serde_json::to_string(&skus).expect("is plain data");
        assert_eq!(json, r#"[{"id":"mug","stock":5},{"id":"cap","stock":3}]"#);
        let mut read: Skus = serde_json::from_str(&json).expect("is what was written");
        assert_eq!(read, skus);
        assert!(!read.is_shared_with(&skus));
        read.share(&skus);
        assert!(read.is_shared_with(&skus));
    }
}
