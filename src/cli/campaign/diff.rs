//! What a file says of a campaign, against what the campaign is.

use std::collections::BTreeMap;

use super::api::{RevisionShown, Shown, SkuShown};
use super::sale::Sale;
use crate::campaign::Sku;
use crate::control::RuleSpec;
use crate::order::shown_sku;
use crate::revision::PinnedRule;

/// Where the two differ.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Difference {
    /// Rules, folds or retention: a new revision says them, and the times with them.
    pub(super) rules: bool,
    /// When it opens or closes.
    pub(super) times: bool,
    /// What it is to be called.
    pub(super) title: Option<String>,
    /// How long orders are held, who may cancel them, what comes back.
    pub(super) terms: bool,
    /// Whose pages may read what gateways say of it.
    pub(super) origins: bool,
    /// Whether what decides in it needs a second person: what is asked for.
    pub(super) four_eyes: Option<bool>,
    /// SKUs with other stock: which, how many units there are, and how many there are to be.
    pub(super) stock: Vec<(String, u64, u64)>,
    /// SKUs that are not sold yet.
    pub(super) added: Vec<Sku>,
    /// What cannot be changed, in sentences.
    pub(super) fixed: Vec<String>,
}

impl Difference {
    pub(super) fn of(sale: &Sale, shown: &Shown, revision: &RevisionShown) -> Self {
        let times = [(sale.opens_at, shown.opens_at), (sale.closes_at, shown.closes_at)];
        let mut times = times
            .iter()
            .map(|(asked, there)| (asked.as_millisecond(), there.as_millisecond()));
        let same_rules =
            same_rules(&sale.rules, &revision.rules) && same_rules(&sale.shadow, &revision.shadow);
        let other_retention = sale
            .retention_days
            .is_some_and(|days| days != shown.retention_days);
        let mut difference = Self {
            rules: !same_rules || sale.fold != revision.fold || other_retention,
            times: times.any(|(asked, there)| asked != there),
            title: Some(&sale.title)
                .filter(|title| !title.is_empty() && **title != shown.title)
                .cloned(),
            terms: (sale.hold, sale.cancel_by_buyer, &sale.releases)
                != (shown.hold, shown.cancel_by_buyer, &shown.releases),
            origins: sale.origins.is_some() && sale.origins != shown.origins,
            four_eyes: sale.four_eyes.filter(|on| *on != shown.four_eyes),
            ..Self::default()
        };
        difference.skus(sale, shown);
        difference
    }

    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn skus(&mut self, sale: &Sale, shown: &Shown) {
        let there: BTreeMap<&str, &SkuShown> = shown.skus.iter().map(|sku| (sku.id.as_str(), sku)).collect();
        for sku in &sale.skus {
            let Some(known) = there.get(sku.id.as_str()) else {
                self.added.push(sku.clone());
                continue;
            };
            if known.stock != sku.stock {
                self.stock.push((sku.id.clone(), known.stock, sku.stock));
            }
            if known.attributes != sku.attributes {
                let name = shown_sku(&sku.id);
                self.fixed.push(format!(
                    "{name} has other attributes, which are fixed at creation"
                ));
            }
        }
        let gone = shown.skus.iter();
        let gone = gone.filter(|there| sale.skus.iter().all(|sku| sku.id != there.id));
        self.fixed.extend(gone.map(|sku| {
            format!(
                "{} is sold there and not in the file, and no SKU is taken away: write it into the file",
                shown_sku(&sku.id)
            )
        }));
    }
}

fn same_rules(asked: &[RuleSpec], pinned: &[PinnedRule]) -> bool {
    asked.len() == pinned.len()
        && asked
            .iter()
            .zip(pinned)
            .all(|(asked, pinned)| same_rule(asked, pinned))
}

/// A module that is named by its id alone is whichever version is pinned: a newer one takes effect where it is asked for.
fn same_rule(asked: &RuleSpec, pinned: &PinnedRule) -> bool {
    let version = format!("{}@{}", pinned.module, pinned.version);
    let names = [&pinned.module, &version, &pinned.digest];
    let name = asked.name.as_ref().unwrap_or(&pinned.module);
    names.contains(&&asked.module) && *name == pinned.name && asked.params == pinned.params
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::order::Release;

    fn there() -> (Shown, RevisionShown) {
        let shown = json!({
            "id": "spring", "title": "Spring", "revision": 3, "state": "open", "opens_at": "2026-12-01T10:00:00.000Z",
            "closes_at": "2026-12-03T10:00:00.000Z", "retention_days": 7, "rejected": {}, "orders_to_kafka": 0,
            "units_to_database": 0, "redis_whole": true,
            "skus": [{"id": "mug", "stock": 500, "remaining": 1, "admitted": 499, "landed": 499}],
        });
        let revision = json!({
            "rules": [{"name": "n-per-user", "module": "n-per-user", "version": "1.0.0", "digest": "d", "params": {"limit": 2}}],
            "explain": [],
        });
        let shown = serde_json::from_value(shown).expect("an answer");
        (shown, serde_json::from_value(revision).expect("an answer"))
    }

    fn difference(change: impl FnOnce(&mut Sale)) -> Difference {
        let (shown, revision) = there();
        let mut sale = Sale::of(&shown, &revision);
        change(&mut sale);
        Difference::of(&sale, &shown, &revision)
    }

    #[test]
    fn what_was_written_out_is_no_difference_and_neither_is_what_a_file_leaves_open() {
        assert!(difference(|_| {}).is_none());
        assert!(difference(|sale| sale.rules[0].module = "n-per-user".into()).is_none());
        assert!(difference(|sale| sale.rules[0].module = "d".into()).is_none());
        assert!(difference(|sale| sale.rules[0].name = Some("n-per-user".into())).is_none());
        assert!(difference(|sale| sale.title.clear()).is_none());
        assert!(difference(|sale| sale.retention_days = None).is_none());
    }

    #[test]
    fn each_part_is_told_apart() {
        type Change = fn(&mut Sale);
        let rules: [Change; 5] = [
            |sale| sale.rules[0].params = json!({"limit": 3}),
            |sale| sale.rules[0].module = "n-per-user@1.1.0".into(),
            |sale| sale.rules.clear(),
            |sale| sale.shadow = sale.rules.clone(),
            |sale| sale.retention_days = Some(8),
        ];
        for change in rules {
            let expected = Difference {
                rules: true,
                ..Difference::default()
            };
            assert_eq!(difference(change), expected);
        }
        let terms: [Change; 3] = [
            |sale| sale.hold = serde_json::from_value(json!({"minutes": 15})).expect("a hold"),
            |sale| sale.cancel_by_buyer = true,
            |sale| sale.releases = [("fraud".to_owned(), Release::Stock)].into(),
        ];
        for change in terms {
            let expected = Difference {
                terms: true,
                ..Difference::default()
            };
            assert_eq!(difference(change), expected);
        }
        let other = difference(|sale| {
            sale.closes_at = "2026-12-04T10:00:00Z".parse().expect("a time");
            sale.title = "Winter".into();
            sale.origins = Some(Default::default());
            sale.skus[0].stock = 1000;
            sale.skus.push(Sku::new("cap", 1));
        });
        let expected = Difference {
            times: true,
            title: Some("Winter".into()),
            origins: true,
            stock: vec![("mug".into(), 500, 1000)],
            added: vec![Sku::new("cap", 1)],
            ..Difference::default()
        };
        assert_eq!(other, expected);
    }

    #[test]
    fn what_is_fixed_is_named() {
        let fixed = |change: fn(&mut Sale)| difference(change).fixed.concat();
        assert!(fixed(|sale| sale.skus.clear()).contains("mug is sold there"));
        let attributes: fn(&mut Sale) = |sale| drop(sale.skus[0].attributes.insert("a".into(), "b".into()));
        assert!(fixed(attributes).contains("fixed at creation"));
    }
}
