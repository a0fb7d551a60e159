//! The attributes of a campaign's SKUs. The campaign has them, so they follow from an order's SKU wherever the order is
//! found: no client, token or record says them.

use std::collections::{BTreeMap, HashMap};

use crate::campaign::Sku;

/// Attributes by SKU and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkuTexts(HashMap<String, BTreeMap<String, String>>);

impl SkuTexts {
    pub(super) fn of(skus: &[Sku]) -> Self {
        let having = skus.iter().filter(|sku| !sku.attributes.is_empty());
        Self(
            having
                .map(|sku| (sku.id.clone(), sku.attributes.clone()))
                .collect(),
        )
    }

    /// The empty text where the SKU has no such attribute.
    pub(super) fn text(&self, sku: &str, name: &str) -> &str {
        let found = self.0.get(sku).and_then(|attributes| attributes.get(name));
        found.map_or("", String::as_str)
    }
}
