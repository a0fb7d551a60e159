//! What a merchant asks of a campaign's stock, and the checks that need nothing but the request and the campaign.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::problem::Problem;
use super::super::requests::check_sku_attributes;
use super::super::{Control, ControlError};
use crate::campaign::{SKUS_MAX, STOCK_MAX, Sku};
use crate::order::{check_sku, shown_sku};
use crate::store::CampaignRow;
use crate::wire::json::once_each;

/// Body of `POST /admin/v1/campaigns/{id}/skus/{sku}/stock`, with exactly one of `add`, `remove` and `set`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = StockChange)]
#[serde(deny_unknown_fields)]
pub struct StockBody {
    /// The SKU, where the path names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub sku: Option<String>,
    /// Units more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub add: Option<i64>,
    /// Units fewer, as far as they are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub remove: Option<i64>,
    /// Units in all, sold ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub set: Option<i64>,
    /// Units in all that the merchant saw: nothing is done where there are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    pub expect: Option<i64>,
    /// Ids of counters that may be re-keyed or dropped, or start at zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// Body of `POST /admin/v1/campaigns/{id}/skus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSku {
    /// Up to 128 bytes.
    #[schema(min_length = 1, max_length = 128)]
    pub id: String,
    /// Units for sale.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub stock: i64,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "once_each"
    )]
    pub attributes: BTreeMap<String, String>,
    /// As in [`StockBody`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A change that is well-formed.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) wish: Wish,
    pub(super) expect: Option<u64>,
    pub(super) accept: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Wish {
    Add { sku: String, units: u64 },
    Remove { sku: String, units: u64 },
    Set { sku: String, total: u64 },
    New(Sku),
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// The SKU as it is to be, and how many units come.
    Add(Sku, u64),
    New(Sku),
    /// The SKU as it is, and how many units are to go, as far as they are left.
    Remove(Sku, u64),
}

impl Wanted {
    /// Of a body; `path` is the SKU that the path names.
    pub(super) fn of(body: &StockBody, path: Option<&str>) -> Result<Self, ControlError> {
        let mut problems = Vec::new();
        let sku = match (path, &body.sku) {
            (Some(path), Some(sku)) if path != sku => {
                let detail = format!("the path names {}: leave the member out", shown_sku(path));
                problems.push(Problem::new("/sku", detail));
                path
            }
            (Some(path), _) => path,
            (None, Some(sku)) => sku,
            (None, None) => {
                let missing = "is missing: the SKU whose stock is to change";
                problems.push(Problem::new("/sku", missing));
                ""
            }
        };
        let expect = body
            .expect
            .map(|expect| units("/expect", expect, 0, &mut problems));
        let members = [("add", body.add), ("remove", body.remove), ("set", body.set)];
        let mut said = members
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)));
        let sku = sku.to_owned();
        let wish = match (said.next(), said.next()) {
            (Some((name, value)), None) => {
                let least = i64::from(name != "set");
                let units = units(&format!("/{name}"), value, least, &mut problems);
                match name {
                    "add" => Wish::Add { sku, units },
                    "remove" => Wish::Remove { sku, units },
                    _ => Wish::Set { sku, total: units },
                }
            }
            (None, _) => {
                let hint = "{\"add\":500} adds units, {\"remove\":20} takes back what is left of them, {\"set\":480,\"expect\":500} sets the \
                            total";
                problems.push(Problem::new("", "says no change: one of add, remove and set").hint(hint));
                Wish::Set { sku, total: 0 }
            }
            (Some((first, _)), Some((second, _))) => {
                let detail = format!("{first} is there already: one change at a time");
                problems.push(Problem::new(format!("/{second}"), detail));
                Wish::Set { sku, total: 0 }
            }
        };
        let accept = body.accept.clone();
        match problems.is_empty() {
            true => Ok(Self { wish, expect, accept }),
            false => Err(ControlError::Invalid(problems)),
        }
    }

    pub(super) fn of_new(new: &NewSku) -> Result<Self, ControlError> {
        let mut problems = Vec::new();
        if let Err(error) = check_sku(&new.id) {
            problems.push(Problem::new("/id", format!("the SKU id {error}")));
        }
        let sku = Sku {
            id: new.id.clone(),
            stock: units("/stock", new.stock, 1, &mut problems),
            attributes: new.attributes.clone(),
        };
        check_sku_attributes("/attributes", &sku, &mut problems);
        let accept = new.accept.clone();
        match problems.is_empty() {
            true => Ok(Self {
                wish: Wish::New(sku),
                expect: None,
                accept,
            }),
            false => Err(ControlError::Invalid(problems)),
        }
    }

    pub(super) fn sku(&self) -> &str {
        match &self.wish {
            Wish::Add { sku, .. } | Wish::Remove { sku, .. } | Wish::Set { sku, .. } => sku,
            Wish::New(sku) => &sku.id,
        }
    }

    /// Where the units stand in the body.
    pub(super) fn pointer(&self) -> &'static str {
        match self.wish {
            Wish::Add { .. } => "/add",
            Wish::Remove { .. } => "/remove",
            Wish::Set { .. } => "/set",
            Wish::New(_) => "/stock",
        }
    }

    /// What that means for a campaign as it is.
    pub(super) fn step(&self, row: &CampaignRow) -> Result<Step, ControlError> {
        let there = row.campaign.skus.iter().find(|sku| sku.id == self.sku());
        let total = |sku: &Sku, stock| Sku { stock, ..sku.clone() };
        let step = match (&self.wish, there) {
            (Wish::New(sku), None) => Step::New(sku.clone()),
            (Wish::New(sku), Some(_)) => return Err(is_there(row, &sku.id)),
            (_, None) => return Err(no_sku(row, self.sku())),
            (Wish::Add { units, .. }, Some(sku)) => {
                Step::Add(total(sku, sku.stock.saturating_add(*units)), *units)
            }
            (Wish::Remove { units, .. }, Some(sku)) => Step::Remove(sku.clone(), *units),
            (Wish::Set { total: to, .. }, Some(sku)) => match to.cmp(&sku.stock) {
                std::cmp::Ordering::Greater => Step::Add(total(sku, *to), to - sku.stock),
                std::cmp::Ordering::Less => Step::Remove(sku.clone(), sku.stock - to),
                std::cmp::Ordering::Equal => Step::Nothing,
            },
        };
        if let (Some(expect), Some(sku)) = (self.expect, there)
            && expect != sku.stock
        {
            return Err(ControlError::Conflict(format!(
                "the stock of {} is {} and not {expect}, as was expected: somebody else has changed it. Look at it, and ask again \
                 with what there is",
                shown_sku(&sku.id),
                sku.stock
            )));
        }
        self.fits(row, &step)?;
        Ok(step)
    }

    /// Whether the campaign may have so many SKUs and units.
    fn fits(&self, row: &CampaignRow, step: &Step) -> Result<(), ControlError> {
        let (Step::Add(sku, _) | Step::New(sku)) = step else {
            return Ok(());
        };
        let others = row.campaign.skus.iter().filter(|other| other.id != sku.id);
        let (count, units) = others.fold((1, sku.stock), |(count, units), other| {
            (count + 1, units.saturating_add(other.stock))
        });
        let problem = match (count > SKUS_MAX, units > STOCK_MAX) {
            (true, _) => Problem::new(
                "/id",
                format!("would be SKU {count}; at most {SKUS_MAX} are allowed"),
            ),
            (_, true) => {
                let detail =
                    format!("all SKUs would have {units} units together; at most {STOCK_MAX} are allowed");
                Problem::new(self.pointer(), detail)
            }
            _ => return Ok(()),
        };
        Err(ControlError::Invalid(vec![problem]))
    }
}

impl Control {
    /// The campaign, unless it is archived: then there is nothing left to change.
    pub(super) async fn row_in_use(&self, campaign: &str) -> Result<CampaignRow, ControlError> {
        let row = self.row(campaign).await?;
        match row.schedule.is_archived((self.clock)()) {
            false => Ok(row),
            true => Err(ControlError::Conflict(format!(
                "campaign {campaign:?} is archived: its stock is what it was. Activate a revision that closes later to bring it back"
            ))),
        }
    }
}

fn units(pointer: &str, value: i64, least: i64, problems: &mut Vec<Problem>) -> u64 {
    match u64::try_from(value) {
        Ok(units) if value >= least && units <= STOCK_MAX => units,
        _ => {
            let detail = format!("is {value}, and not within {least} to {STOCK_MAX}");
            problems.push(Problem::new(pointer, detail));
            0
        }
    }
}

fn is_there(row: &CampaignRow, sku: &str) -> ControlError {
    ControlError::Conflict(format!(
        "campaign {:?} has the SKU {} already: POST …/skus/{{sku}}/stock changes its stock",
        row.campaign.id,
        shown_sku(sku)
    ))
}

fn no_sku(row: &CampaignRow, sku: &str) -> ControlError {
    ControlError::Unknown(format!(
        "campaign {:?} has no SKU {}; it sells {}",
        row.campaign.id,
        shown_sku(sku),
        shown_skus(row)
    ))
}

/// The first of a campaign's SKUs.
fn shown_skus(row: &CampaignRow) -> String {
    const SHOWN: usize = 10;
    let skus = &row.campaign.skus;
    let shown: Vec<_> = skus.iter().take(SHOWN).map(|sku| shown_sku(&sku.id)).collect();
    match skus.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(body: serde_json::Value, path: Option<&str>) -> Vec<String> {
        let body: StockBody = serde_json::from_value(body).expect("well-formed");
        match Wanted::of(&body, path) {
            Ok(_) => Vec::new(),
            Err(ControlError::Invalid(problems)) => {
                problems.into_iter().map(|problem| problem.pointer).collect()
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_problem_of_a_change_is_named_where_it_is() {
        for fine in [
            json!({"add": 1}),
            json!({"remove": STOCK_MAX, "note": "broken"}),
            json!({"set": 0, "expect": 5}),
            json!({"add": 2, "sku": "mug"}),
        ] {
            assert_eq!(pointers(fine, Some("mug")), [""; 0]);
        }
        for (body, wrong) in [
            (json!({}), vec![""]),
            (json!({"expect": 5}), vec![""]),
            (json!({"add": 0}), vec!["/add"]),
            (json!({"add": -5}), vec!["/add"]),
            (json!({"remove": 0}), vec!["/remove"]),
            (json!({"set": -1}), vec!["/set"]),
            (json!({"add": STOCK_MAX + 1}), vec!["/add"]),
            (json!({"add": 1, "remove": 1}), vec!["/remove"]),
            (json!({"add": 1, "set": 1}), vec!["/set"]),
            (json!({"add": 1, "expect": -1}), vec!["/expect"]),
            (json!({"add": 1, "sku": "cap"}), vec!["/sku"]),
        ] {
            assert_eq!(pointers(body.clone(), Some("mug")), wrong, "{body}");
        }
        assert_eq!(pointers(json!({"add": 1}), None), ["/sku"]);
        assert_eq!(pointers(json!({"add": 1, "sku": "a/b"}), None), [""; 0]);
    }
}
