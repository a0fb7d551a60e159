//! The attributes of a campaign's SKUs. The campaign has them, so they follow from an order's SKU wherever the order is
//! found: no client, token or record says them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::Attribute;
use crate::campaign::Sku;

/// Those attributes that a plan reads: their texts by name, and then by SKU. SKUs of one text have it in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SkuTexts(BTreeMap<String, HashMap<String, Arc<str>>>);

impl SkuTexts {
    pub(super) fn of<'a>(skus: &[Sku], read: impl Iterator<Item = &'a Attribute>) -> Self {
        let names = read.filter_map(|attribute| match attribute.brought() {
            Attribute::OfSku(name) => Some(name),
            _ => None,
        });
        let names: BTreeSet<&String> = names.collect();
        Self(
            names
                .into_iter()
                .map(|name| (name.clone(), texts(skus, name)))
                .collect(),
        )
    }

    /// The empty text where the SKU has no such attribute.
    pub(super) fn text(&self, sku: &str, name: &str) -> &str {
        let found = self.0.get(name).and_then(|texts| texts.get(sku));
        found.map_or("", |text| text)
    }
}

fn texts(skus: &[Sku], name: &str) -> HashMap<String, Arc<str>> {
    let mut known: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut texts = HashMap::new();
    for sku in skus {
        let Some(text) = sku.attributes.get(name) else {
            continue;
        };
        let shared = known.get(text.as_str()).cloned();
        let shared = shared.unwrap_or_else(|| text.as_str().into());
        known.insert(shared.clone());
        texts.insert(sku.id.clone(), shared);
    }
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_plan_reads_is_kept() {
        let sku = |id: &str, category: &str| {
            let mut sku = Sku::new(id, 1);
            let said = [("category", category), ("colour", "red")];
            sku.attributes
                .extend(said.map(|(name, text)| (name.to_owned(), text.to_owned())));
            sku
        };
        let skus = [sku("mug", "cups"), sku("glass", "cups"), Sku::new("gift", 1)];
        assert_eq!(SkuTexts::of(&skus, [Attribute::Sku].iter()), SkuTexts::default());

        let read = [Attribute::User, Attribute::OfSku("category".to_owned())];
        let texts = SkuTexts::of(&skus, read.iter());
        assert_eq!(texts.text("mug", "category"), "cups");
        assert_eq!(texts.text("gift", "category"), "");
        assert_eq!(texts.text("mug", "colour"), "", "the plan does not read it");
        let of = &texts.0["category"];
        assert!(Arc::ptr_eq(&of["mug"], &of["glass"]));
    }
}
