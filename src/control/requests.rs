//! Bodies of the control plane's requests, and the checks that need nothing but the body.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::folding::check_folds;
use super::problem::Problem;
use super::terms::check_terms;
use crate::access::DEFAULT_MERCHANT;
use crate::campaign::{
    CAMPAIGN_DAYS_MAX, OriginError, Origins, RETENTION_DAYS, RETENTION_DAYS_MAX, RULES_MAX,
    SKU_ATTRIBUTES_MAX, SKUS_MAX, STOCK_MAX, Schedule, Sku, check_id, days_ms,
};
use crate::order::{Hold, OrderTerms, Release, check_sku, check_sku_attribute};
use crate::plan::Folds;
use crate::wire::{check_seen, check_shown, check_shown_json, json};

/// Bytes of a campaign's title.
const TITLE_BYTES_MAX: usize = 200;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Body of `POST /admin/v1/campaigns`. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCampaign {
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
    )]
    pub id: String,
    /// Up to 200 bytes.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub title: String,
    pub opens_at: jiff::Timestamp,
    pub closes_at: jiff::Timestamp,
    /// For how many days it is kept after it closed, 1 to 366; the configuration says it where this does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 366)]
    pub retention_days: Option<u32>,
    #[schema(min_items = 1, max_items = 1000)]
    pub skus: Vec<Sku>,
    #[schema(min_items = 1, max_items = 8)]
    pub rules: Vec<RuleSpec>,
    /// How attributes are folded before rules see them.
    #[serde(default, skip_serializing_if = "Folds::is_empty")]
    pub fold: Folds,
    /// Rules that decide every attempt a second time, on counters of their own, and admit or reject
    /// nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub shadow: Vec<RuleSpec>,
    /// The time in which an order is to be paid; left out, none expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Whether buyers may cancel what is not paid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_by_buyer: bool,
    /// What comes back of an order that ends, by reason; everything does where nothing is said.
    #[serde(
        default,
        deserialize_with = "json::once_each",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub releases: BTreeMap<String, Release>,
    /// Whose pages may read what gateways say of it: `https://shop.example`, or `*` alone. The configuration says it where this
    /// does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 50)]
    pub origins: Option<Vec<String>>,
    /// Whose it is: that of the key that makes it. Who makes it with a key of all merchants and does not say it means `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub merchant: Option<String>,
    /// What decides in it needs the approval of another person, from its first revision on: it is paused until that is approved and
    /// somebody resumes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub four_eyes: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NewRule)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// `id` (its highest version), `id@version` or digest.
    pub module: String,
    #[serde(default = "no_params")]
    pub params: serde_json::Value,
    /// Namespace of the rule's counters; the module's id by default. Needed where one module
    /// stands in a revision twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,63}$")]
    pub name: Option<String>,
}

fn no_params() -> serde_json::Value {
    serde_json::json!({})
}

/// Body of `POST /admin/v1/campaigns/{id}/revisions`. Times left out stay as they are, and so does how attributes are folded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRevision {
    #[schema(min_items = 1, max_items = 8)]
    pub rules: Vec<RuleSpec>,
    /// As in [`NewCampaign`]; left out, it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Folds>,
    /// As in [`NewCampaign`]; a revision without it has no shadow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub shadow: Vec<RuleSpec>,
    #[serde(default)]
    pub opens_at: Option<jiff::Timestamp>,
    #[serde(default)]
    pub closes_at: Option<jiff::Timestamp>,
    /// As in [`NewCampaign`]; left out, it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 366)]
    pub retention_days: Option<u32>,
    /// When it is put in force by itself; left out, somebody has to activate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activate_at: Option<jiff::Timestamp>,
}

impl NewCampaign {
    /// Whose it is.
    pub fn owner(&self) -> &str {
        self.merchant.as_deref().unwrap_or(DEFAULT_MERCHANT)
    }

    /// The terms of its orders.
    pub(super) fn terms(&self) -> OrderTerms {
        OrderTerms {
            hold: self.hold,
            cancel_by_buyer: self.cancel_by_buyer,
            releases: self.releases.clone(),
        }
    }
}

/// Everything that is wrong with a new campaign, its rules' parameters aside.
pub(super) fn check_campaign(new: &NewCampaign) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Err(error) = check_id(&new.id) {
        problems.push(Problem::new("/id", format!("the campaign id {error}")));
    }
    check_title(&new.title, &mut problems);
    check_schedule(
        schedule(new.opens_at, new.closes_at, RETENTION_DAYS),
        &mut problems,
    );
    check_retention(new.retention_days, &mut problems);
    check_skus(&new.skus, &mut problems);
    check_rules(&new.rules, &mut problems);
    check_folds(&new.fold, &mut problems);
    check_shadow(&new.shadow, &mut problems);
    check_terms(&new.terms(), &mut problems);
    check_origins(new.origins.as_deref(), &mut problems);
    problems
}

/// The list, where it is one.
pub(super) fn check_origins(origins: Option<&[String]>, problems: &mut Vec<Problem>) -> Option<Origins> {
    match Origins::new(origins?.to_vec()) {
        Ok(origins) => Some(origins),
        Err(OriginError { at, what }) => {
            let at = at.map_or(String::new(), |at| format!("/{at}"));
            problems.push(Problem::new(format!("/origins{at}"), what));
            None
        }
    }
}

pub(super) fn check_title(title: &str, problems: &mut Vec<Problem>) {
    if title.len() > TITLE_BYTES_MAX {
        problems.push(Problem::new(
            "/title",
            format!("is longer than {TITLE_BYTES_MAX} bytes"),
        ));
    }
    if let Err(why) = check_shown(title, false).and_then(|()| check_seen(title)) {
        problems.push(Problem::new("/title", why));
    }
}

pub(super) fn schedule(
    opens_at: jiff::Timestamp,
    closes_at: jiff::Timestamp,
    retention_days: u32,
) -> Schedule {
    Schedule {
        opens_at: opens_at.as_millisecond(),
        closes_at: closes_at.as_millisecond(),
        retention_ms: days_ms(retention_days),
    }
}

pub(super) fn check_retention(days: Option<u32>, problems: &mut Vec<Problem>) {
    if days.is_some_and(|days| !(1..=RETENTION_DAYS_MAX).contains(&days)) {
        let detail = format!("is not within 1 to {RETENTION_DAYS_MAX}");
        problems.push(Problem::new("/retention_days", detail));
    }
}

pub(super) fn check_schedule(schedule: Schedule, problems: &mut Vec<Problem>) {
    let length = schedule.closes_at - schedule.opens_at;
    if schedule.opens_at < 0 {
        problems.push(Problem::new("/opens_at", "is before 1970"));
    } else if length <= 0 {
        problems.push(Problem::new("/closes_at", "is not after opens_at"));
    } else if length > CAMPAIGN_DAYS_MAX * DAY_MS {
        problems.push(Problem::new(
            "/closes_at",
            format!("is more than {CAMPAIGN_DAYS_MAX} days after opens_at"),
        ));
    }
}

fn check_skus(skus: &[Sku], problems: &mut Vec<Problem>) {
    if skus.is_empty() || skus.len() > SKUS_MAX {
        problems.push(Problem::new(
            "/skus",
            format!("has {} entries; 1 to {SKUS_MAX} are allowed", skus.len()),
        ));
    }
    let mut seen = HashSet::new();
    for (index, sku) in skus.iter().enumerate() {
        if let Err(error) = check_sku(&sku.id) {
            problems.push(Problem::new(
                format!("/skus/{index}/id"),
                format!("the SKU id {error}"),
            ));
        } else if !seen.insert(&sku.id) {
            problems.push(Problem::new(
                format!("/skus/{index}/id"),
                format!("{:?} is there twice", sku.id),
            ));
        }
        if sku.stock == 0 || sku.stock > STOCK_MAX {
            problems.push(Problem::new(
                format!("/skus/{index}/stock"),
                format!("is not within 1 to {STOCK_MAX}"),
            ));
        }
        check_sku_attributes(&format!("/skus/{index}/attributes"), sku, problems);
    }
    let total = skus.iter().fold(0_u64, |sum, sku| sum.saturating_add(sku.stock));
    if total > STOCK_MAX && skus.iter().all(|sku| sku.stock <= STOCK_MAX) {
        problems.push(Problem::new(
            "/skus",
            format!("sell {total} units together; at most {STOCK_MAX} are allowed"),
        ));
    }
}

pub(super) fn check_sku_attributes(at: &str, sku: &Sku, problems: &mut Vec<Problem>) {
    let count = sku.attributes.len();
    if count > SKU_ATTRIBUTES_MAX {
        let detail = format!("has {count} attributes; at most {SKU_ATTRIBUTES_MAX} are allowed");
        problems.push(Problem::new(at, detail));
        return;
    }
    for (name, value) in &sku.attributes {
        if let Err(wrong) = check_sku_attribute(name, value) {
            problems.push(Problem::new(format!("{at}/{}", json::escape(name)), wrong));
        }
    }
}

pub(super) fn check_rules(rules: &[RuleSpec], problems: &mut Vec<Problem>) {
    if rules.is_empty() || rules.len() > RULES_MAX {
        problems.push(
            Problem::new(
                "/rules",
                format!("has {} entries; 1 to {RULES_MAX} are allowed", rules.len()),
            )
            .hint("the built-in module \"n-per-user\" with a high limit hardly limits anybody"),
        );
    }
    check_names("/rules", rules, problems);
}

/// At most as many rules again.
pub(super) fn check_shadow(rules: &[RuleSpec], problems: &mut Vec<Problem>) {
    if rules.len() > RULES_MAX {
        problems.push(Problem::new(
            "/shadow",
            format!("has {} entries; at most {RULES_MAX} are allowed", rules.len()),
        ));
    }
    check_names("/shadow", rules, problems);
}

fn check_names(at: &str, rules: &[RuleSpec], problems: &mut Vec<Problem>) {
    for (index, rule) in rules.iter().enumerate() {
        let name_ok = |name: &str| {
            let body = name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            body && !name.starts_with('-') && (1..=64).contains(&name.len())
        };
        if rule.name.as_deref().is_some_and(|name| !name_ok(name)) {
            problems.push(Problem::new(
                format!("{at}/{index}/name"),
                "is not 1 to 64 of a-z, 0-9 and '-', starting with a letter or digit",
            ));
        }
        if let Err((pointer, why)) = check_shown_json(&rule.params) {
            problems.push(Problem::new(format!("{at}/{index}/params{pointer}"), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(json: serde_json::Value) -> Vec<String> {
        let mut whole = serde_json::json!({
            "id": "spring", "opens_at": "2026-03-01T10:00:00Z", "closes_at": "2026-03-02T10:00:00Z",
            "skus": [{"id": "mug", "stock": 10}], "rules": [{"module": "one-per-user"}],
        });
        whole
            .as_object_mut()
            .expect("an object")
            .extend(json.as_object().expect("an object").clone());
        let new = serde_json::from_value(whole).expect("well-formed");
        check_campaign(&new)
            .into_iter()
            .map(|problem| problem.pointer)
            .collect()
    }

    #[test]
    fn each_problem_is_named_where_it_is() {
        use serde_json::json;
        assert_eq!(campaign(json!({})), Vec::<String>::new());
        assert_eq!(campaign(json!({"id": "a{b}"})), ["/id"]);
        assert_eq!(campaign(json!({"title": "Spring \u{202e}elas"})), ["/title"]);
        assert_eq!(campaign(json!({"title": "\u{200d}"})), ["/title"]);
        assert_eq!(
            campaign(json!({"skus": [{"id": "\u{200d}", "stock": 1}]})),
            ["/skus/0/id"]
        );
        assert_eq!(campaign(json!({"title": "Spring\nsale"})), ["/title"]);
        let hidden = json!([{"module": "m", "params": {"tiers": {"a/b": ["gold\u{200b}"]}}}]);
        assert_eq!(
            campaign(json!({"rules": hidden})),
            ["/rules/0/params/tiers/a~1b/0"]
        );
        assert_eq!(
            campaign(json!({"shadow": hidden})),
            ["/shadow/0/params/tiers/a~1b/0"]
        );
        assert_eq!(
            campaign(json!({"closes_at": "2026-03-01T10:00:00Z"})),
            ["/closes_at"]
        );
        assert_eq!(
            campaign(json!({"closes_at": "2036-03-01T10:00:00Z"})),
            ["/closes_at"]
        );
        for days in [1, 366] {
            assert_eq!(campaign(json!({"retention_days": days})), Vec::<String>::new());
        }
        for days in [0, 367, u32::MAX] {
            assert_eq!(campaign(json!({"retention_days": days})), ["/retention_days"]);
        }
        assert_eq!(
            campaign(json!({"origins": ["https://a.example", "https://b.example/"]})),
            ["/origins/1"]
        );
        assert_eq!(campaign(json!({"origins": vec!["*"; 51]})), ["/origins"]);
        for origins in [json!(["*"]), json!([]), json!(null)] {
            assert_eq!(campaign(json!({"origins": origins})), [""; 0]);
        }
        assert_eq!(campaign(json!({"skus": []})), ["/skus"]);
        assert_eq!(
            campaign(
                json!({"skus": [{"id": "a", "stock": 0}, {"id": "a", "stock": 1}, {"id": "b ", "stock": 1}]})
            ),
            ["/skus/0/stock", "/skus/1/id", "/skus/2/id"]
        );
        let with =
            |attributes| campaign(json!({"skus": [{"id": "a", "stock": 1, "attributes": attributes}]}));
        assert_eq!(with(json!({"category": "mugs", "Größe / cm": "12 cm"})), [""; 0]);
        assert_eq!(with(json!({"colour": ""})), ["/skus/0/attributes/colour"]);
        assert_eq!(
            with(json!({"a/b": "x\u{7}", "": "x"})),
            ["/skus/0/attributes/", "/skus/0/attributes/a~1b"]
        );
        assert_eq!(
            with(json!({"colour": "x".repeat(257)})),
            ["/skus/0/attributes/colour"]
        );
        let many: serde_json::Map<_, _> = (0..17).map(|n| (format!("a{n}"), json!("x"))).collect();
        assert_eq!(with(json!(many)), ["/skus/0/attributes"]);
        assert_eq!(campaign(json!({"rules": []})), ["/rules"]);
        for minutes in [0, 43_201] {
            assert_eq!(campaign(json!({"hold": {"minutes": minutes}})), ["/hold/minutes"]);
        }
        assert_eq!(campaign(json!({"hold": {"minutes": 43_200}})), [""; 0]);
        assert_eq!(
            campaign(json!({"releases": {"fraud": "stock", "No/show": "none"}})),
            ["/releases/No~1show"]
        );
        let of_states = json!({"cancelled": "stock", "expired": "none", "paid": "stock", "refunded": "none", "revoked": "none"});
        assert_eq!(
            campaign(json!({"releases": of_states})),
            ["/releases/paid", "/releases/revoked"]
        );
        let long = "r".repeat(65);
        for odd in ["", "-", "a b", long.as_str()] {
            assert_eq!(
                campaign(json!({"releases": {odd: "none"}})),
                [format!("/releases/{odd}")]
            );
        }
        let reasons: serde_json::Map<_, _> = (0..33).map(|n| (format!("r{n}"), json!("none"))).collect();
        assert_eq!(campaign(json!({"releases": reasons})), ["/releases"]);
        assert_eq!(
            campaign(json!({"rules": [{"module": "m", "name": "A b"}]})),
            ["/rules/0/name"]
        );
        let rule = json!({"module": "m"});
        assert_eq!(
            campaign(json!({"shadow": vec![rule.clone(); 8]})),
            Vec::<String>::new()
        );
        assert_eq!(campaign(json!({"shadow": vec![rule; 9]})), ["/shadow"]);
        assert_eq!(
            campaign(json!({"shadow": [{"module": "m", "name": "-"}]})),
            ["/shadow/0/name"]
        );
    }
}
