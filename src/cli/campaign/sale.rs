//! The file of a sale: a campaign as people keep it beside their code, in YAML; JSON is YAML as well.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::api::{RevisionShown, Shown, SkuShown};
use super::unread::unread;
use crate::campaign::{Origins, Sku};
use crate::control::RuleSpec;
use crate::order::{Hold, Release};
use crate::plan::Folds;
use crate::revision::PinnedRule;

/// Bytes of a file that is read: a control plane takes no more.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a sale is. The words are those of `POST /admin/v1/campaigns`, and `lists`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sale {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) title: String,
    pub(super) opens_at: jiff::Timestamp,
    pub(super) closes_at: jiff::Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retention_days: Option<u32>,
    pub(super) skus: Vec<Sku>,
    pub(super) rules: Vec<RuleSpec>,
    #[serde(default, skip_serializing_if = "Folds::is_empty")]
    pub(super) fold: Folds,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) shadow: Vec<RuleSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<Hold>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) cancel_by_buyer: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) releases: BTreeMap<String, Release>,
    /// Whose pages in browsers may read what gateways say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origins: Option<Origins>,
    /// Whether what decides in it needs the approval of another person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) four_eyes: Option<bool>,
    /// Lists that have to be there, because rules ask for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) lists: Vec<String>,
}

impl Sale {
    /// Reads a file; an error names file, line and column.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let place = file.display();
        let unread = || format!("cannot read the sale in {place}");
        let size = std::fs::metadata(file).with_context(unread)?.len();
        if size > FILE_BYTES_MAX {
            bail!("{place} has {size} bytes; a control plane takes at most {FILE_BYTES_MAX}");
        }
        Self::parse(&std::fs::read_to_string(file).with_context(unread)?)
            .map_err(|wrong| anyhow::anyhow!("{place}{wrong}"))
    }

    /// The error is to stand behind the file's name.
    fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| unread(text, &error))
    }

    /// As YAML, below a line that says where it comes from.
    pub(super) fn write(&self, from: &str) -> anyhow::Result<String> {
        let text = serde_saphyr::to_string(self).context("the campaign cannot be written as YAML")?;
        Ok(format!("# {from}\n{text}"))
    }

    /// A campaign that is there, under its active revision.
    pub(super) fn of(shown: &Shown, revision: &RevisionShown) -> Self {
        let sku = |sku: &SkuShown| Sku {
            id: sku.id.clone(),
            stock: sku.stock,
            attributes: sku.attributes.clone(),
        };
        let specs = |rules: &[PinnedRule]| rules.iter().map(spec).collect();
        Self {
            id: shown.id.clone(),
            title: shown.title.clone(),
            opens_at: shown.opens_at,
            closes_at: shown.closes_at,
            retention_days: Some(shown.retention_days),
            skus: shown.skus.iter().map(sku).collect(),
            rules: specs(&revision.rules),
            fold: revision.fold.clone(),
            shadow: specs(&revision.shadow),
            hold: shown.hold,
            cancel_by_buyer: shown.cancel_by_buyer,
            releases: shown.releases.clone(),
            origins: shown.origins.clone(),
            four_eyes: shown.four_eyes.then_some(true),
            lists: revision.lists.keys().cloned().collect(),
        }
    }

    /// The body that creates it.
    pub(super) fn body(&self) -> anyhow::Result<Value> {
        let mut body = serde_json::to_value(self)?;
        if let Some(members) = body.as_object_mut() {
            members.remove("lists");
        }
        Ok(body)
    }

    /// The body of a revision that says the same.
    pub(super) fn revision(&self) -> Value {
        let mut body = json!({
            "rules": self.rules,
            "fold": self.fold,
            "opens_at": self.opens_at,
            "closes_at": self.closes_at,
        });
        if !self.shadow.is_empty() {
            body["shadow"] = json!(self.shadow);
        }
        if let Some(days) = self.retention_days {
            body["retention_days"] = days.into();
        }
        body
    }
}

/// A rule as it is pinned: a version has the same bytes for good.
fn spec(rule: &PinnedRule) -> RuleSpec {
    RuleSpec {
        module: format!("{}@{}", rule.module, rule.version),
        params: rule.params.clone(),
        name: Some(rule.name.clone()).filter(|name| *name != rule.module),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALE: &str = "\
id: spring
title: Spring sale
opens_at: 2026-12-01T10:00:00Z
closes_at: 2026-12-03T10:00:00Z
skus:
  - id: mug
    stock: 500
    attributes: {category: mugs}
  - {id: \"7\", stock: 1}
rules:
  - module: n-per-user
    params: {limit: 2}
  - module: audience
    params: {list: vip}
fold: {user: [lowercase]}
hold: {minutes: 15, on_expiry: release}
cancel_by_buyer: true
releases: {fraud: stock}
origins: [\"https://shop.example\"]
lists: [vip]
";

    #[test]
    fn a_sale_is_read_and_written_back() {
        let sale = Sale::parse(SALE).expect("reads");
        assert_eq!(sale.skus[0].attributes["category"], "mugs");
        let text = sale.write("spring, revision 1").expect("writes");
        assert!(text.starts_with("# spring, revision 1\nid: spring\n"), "{text}");
        assert_eq!(Sale::parse(&text).expect("reads"), sale, "{text}");
        let json = serde_json::to_string(&sale).expect("writes");
        assert_eq!(Sale::parse(&json).expect("JSON is YAML"), sale);
        let body = sale.body().expect("a body");
        assert_eq!((body.get("lists"), &body["id"]), (None, &"spring".into()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let wrong = |from: &str, to: &str| Sale::parse(&SALE.replacen(from, to, 1)).expect_err(to);
        for (from, to, place, words) in [
            ("title:", "tittle:", ":2:", "tittle"),
            ("    stock: 500", "    stok: 500", ":7:", "stok"),
            (
                "stock: 500",
                "stock: many",
                ":7:12: ",
                "a whole number from 0 is expected, not \"many\"",
            ),
            (
                "stock: 500",
                "stock: -5",
                ":7:12: ",
                "a whole number from 0 is expected",
            ),
            ("stock: 500", "stock: [5]", ":7:", "is expected"),
            (
                "minutes: 15",
                "minutes: x",
                ":16:",
                "a whole number from 0 to 4294967295 is expected",
            ),
            (
                "cancel_by_buyer: true",
                "cancel_by_buyer: maybe",
                ":17:",
                "true or false is expected, not \"maybe\"",
            ),
            ("lists: [vip]", "lists: vip", ":20:", "an array is expected"),
            (
                "attributes: {category: mugs}",
                "attributes: mugs",
                ":8:",
                "an object is expected",
            ),
            (
                "2026-12-01T10:00:00Z",
                "tomorrow",
                ":3:11: ",
                "a moment like \"2026-11-21T10:00:00Z\" (RFC 3339) is expected, not the text \"tomorrow\"",
            ),
            (
                "2026-12-01T10:00:00Z",
                "9999-12-31T23:59:59Z",
                ":3:11: ",
                "a moment up to 9999-12-30T22:00:00Z",
            ),
            ("  - module: audience", "  - modul: audience", ":13:", "modul"),
            (
                "title: Spring sale",
                "id: summer",
                ":2:",
                "the member id stands there twice",
            ),
            ("on_expiry: release", "on_expiry: keep", ":16:", "keep"),
            ("shop.example", "shop.example/", ":", "has a path"),
            ("skus:", "skus: [", ":", ""),
        ] {
            let error = wrong(from, to);
            assert!(error.starts_with(place) && error.contains(words), "{to}: {error}");
            assert!(!error.contains('\n') && error.len() < 250, "{error}");
            for of_programmers in ["u32", "u64", "Policy", "mapping", "sequence", "struct"] {
                assert!(!error.contains(of_programmers), "{to}: {error}");
            }
        }
    }
}
