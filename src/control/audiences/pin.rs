//! Pinning: which version of which list a revision goes by.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::requests::RuleSpec;
use super::{Control, ControlError, Problem};
use crate::plan::{AudienceRef, Audiences, Expr, Layers, Plan};
use crate::store::AudienceRow;

/// Known lists named in a hint at most.
const HINTED_MAX: usize = 20;
/// Unknown lists of one rule that are reported at most.
const REPORTED_MAX: usize = 10;

impl Control {
    /// Pins the newest version of every list the plan of a rule asks for, unless an earlier rule of the
    /// revision has pinned it. `at` points at the rule in the request; what a merchant can mend is answered
    /// as problems.
    pub(in super::super) async fn pin_audiences(
        &self,
        at: &str,
        rule: &RuleSpec,
        plan: &Plan,
        pinned: &mut Audiences,
    ) -> Result<Vec<Problem>, ControlError> {
        let asked: BTreeSet<&String> = plan
            .nodes
            .iter()
            .filter_map(|expr| match expr {
                Expr::Member { audience, .. } => Some(audience),
                _ => None,
            })
            .filter(|id| !pinned.contains_key(*id))
            .collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let newest = self.store.audiences().await?;
        let newest: BTreeMap<String, AudienceRow> =
            newest.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut unknown = Vec::new();
        for id in asked {
            match newest.get(id) {
                Some(row) => drop(pinned.insert(id.clone(), self.pin(row).await?)),
                None => unknown.push(id),
            }
        }
        Ok(unknown
            .into_iter()
            .take(REPORTED_MAX)
            .map(|id| unknown_audience(at, rule, id, &newest))
            .collect())
    }

    async fn pin(&self, row: &AudienceRow) -> Result<AudienceRef, ControlError> {
        let layers = match row.base {
            None => None,
            Some(base) => Some(Layers {
                base,
                changed: self.store.audience_changed(&row.id, row.version).await?,
            }),
        };
        Ok(AudienceRef {
            layers,
            kind: row.kind.clone(),
            ..AudienceRef::whole(row.version, row.buckets)
        })
    }
}

fn unknown_audience(at: &str, rule: &RuleSpec, id: &str, known: &BTreeMap<String, AudienceRow>) -> Problem {
    let place = place_of(&rule.params, id).unwrap_or_default();
    let problem = Problem::new(
        format!("{at}/params{place}"),
        format!("no list {id:?} is uploaded"),
    );
    let names: Vec<&str> = known.keys().map(String::as_str).take(HINTED_MAX).collect();
    problem.hint(match names.as_slice() {
        [] => format!("upload it first: PUT /admin/v1/audiences/{id}, one id per line"),
        _ if known.len() > HINTED_MAX => format!("known lists: {}, …", names.join(", ")),
        _ => format!("known lists: {}", names.join(", ")),
    })
}

/// Where the parameters say this text, as a JSON pointer.
fn place_of(params: &Value, text: &str) -> Option<String> {
    let below = |key: String, value: &Value| place_of(value, text).map(|rest| format!("/{key}{rest}"));
    match params {
        Value::String(found) if found == text => Some(String::new()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| below(index.to_string(), item)),
        Value::Object(members) => members
            .iter()
            .find_map(|(name, value)| below(name.replace('~', "~0").replace('/', "~1"), value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::place_of;

    #[test]
    fn a_list_is_found_where_the_parameters_name_it() {
        let params = json!({"limit": 2, "deny": ["bots", {"a/b": "vip"}]});
        assert_eq!(place_of(&params, "bots"), Some("/deny/0".to_owned()));
        assert_eq!(place_of(&params, "vip"), Some("/deny/1/a~1b".to_owned()));
        assert_eq!(place_of(&params, "gold"), None);
    }
}
