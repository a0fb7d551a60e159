//! Pinning: which version of which list a revision goes by.

use std::collections::{BTreeMap, BTreeSet};

use super::super::places::place_of;
use super::super::requests::RuleSpec;
use super::folded::FoldedCopy;
use super::{Control, ControlError, Problem};
use crate::audience::ListKind;
use crate::plan::fold::list_of;
use crate::plan::{AudienceRef, Audiences, Expr, Layers, Plan};
use crate::store::AudienceRow;

/// Known lists named in a hint at most.
const HINTED_MAX: usize = 20;
/// Unknown lists of one rule that are reported at most.
const REPORTED_MAX: usize = 10;

impl Control {
    /// Pins the newest version of every list the plan of a rule asks for, unless an earlier rule of the
    /// revision has pinned one; one of the campaign's merchant alone, and folded where the plan asks it so, and then with a copy in `copies` to be stored. `at` points at the rule in the request; what a merchant can
    /// mend is answered as problems.
    pub(in super::super) async fn pin_audiences(
        &self,
        at: &str,
        rule: &RuleSpec,
        plan: &Plan,
        merchant: &str,
        (pinned, copies): (&mut Audiences, &mut Vec<FoldedCopy>),
    ) -> Result<Vec<Problem>, ControlError> {
        let asked: BTreeSet<&String> = plan
            .nodes
            .iter()
            .filter_map(|expr| match expr {
                Expr::Member { audience, .. } => Some(audience),
                _ => None,
            })
            .filter(|key| !pinned.contains_key(*key))
            .collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let newest = self.audiences(Some(merchant)).await?;
        let newest: BTreeMap<String, AudienceRow> =
            newest.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut problems = Vec::new();
        for key in asked {
            let (list, fold) = list_of(key);
            let Some(row) = newest.get(list) else {
                problems.push(unknown_audience(at, rule, list, &newest));
                continue;
            };
            let row = self.in_one_version(row, pinned).await?;
            let pin = match fold {
                None => self.pin(&row).await?,
                Some(_) if row.kind != ListKind::Texts => {
                    problems.push(folded_addresses(at, rule, list));
                    continue;
                }
                Some(fold) => {
                    let (pin, copy) = self.folded(&row, key, &fold).await?;
                    copies.extend(copy);
                    pin
                }
            };
            pinned.insert(key.clone(), pin);
        }
        problems.truncate(REPORTED_MAX);
        Ok(problems)
    }

    /// The version of a list that a revision has pinned already, folded or not; the newest one where it has none.
    async fn in_one_version(
        &self,
        newest: &AudienceRow,
        pinned: &Audiences,
    ) -> Result<AudienceRow, ControlError> {
        let there = pinned.iter().find(|(key, _)| list_of(key).0 == newest.id);
        let Some((_, there)) = there.filter(|(_, there)| there.version != newest.version) else {
            return Ok(newest.clone());
        };
        self.pinned_row(&newest.id, there.version).await
    }

    /// A version that a revision pins.
    pub(in super::super) async fn pinned_row(
        &self,
        list: &str,
        version: u32,
    ) -> Result<AudienceRow, ControlError> {
        let row = self.store.audience_version(list, version).await?;
        row.ok_or_else(|| {
            ControlError::Conflict(format!(
                "version {version} of the list {list:?} is not stored any more"
            ))
        })
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

fn folded_addresses(at: &str, rule: &RuleSpec, list: &str) -> Problem {
    let problem = Problem::new(
        place_of(&rule.params, list, format!("{at}/params")),
        format!("the list {list:?} is of addresses, and is asked by a folded value"),
    );
    problem.hint("leave that attribute out of \"fold\"")
}

fn unknown_audience(at: &str, rule: &RuleSpec, id: &str, known: &BTreeMap<String, AudienceRow>) -> Problem {
    let problem = Problem::new(
        place_of(&rule.params, id, format!("{at}/params")),
        format!("no list {id:?} is uploaded"),
    );
    let names: Vec<&str> = known.keys().map(String::as_str).take(HINTED_MAX).collect();
    problem.hint(match names.as_slice() {
        [] => format!("upload it first: PUT /admin/v1/audiences/{id}, one id per line"),
        _ if known.len() > HINTED_MAX => format!("known lists: {}, …", names.join(", ")),
        _ => format!("known lists: {}", names.join(", ")),
    })
}
