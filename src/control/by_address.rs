//! Lists that a rule asks by the buyer's address and that are of texts: an address in another spelling is not on them, and
//! a range on them covers none.

use std::collections::BTreeSet;

use serde_json::Value;

use super::places::place_of;
use crate::audience::ListKind;
use crate::plan::fold::list_of;
use crate::plan::{Attribute, Audiences, Expr, Plan};
use crate::wasm::Diagnostic;

/// A warning for each such list of the rule at `at`.
pub(super) fn texts_by_address(at: &str, plan: &Plan, params: &Value, pinned: &Audiences) -> Vec<Diagnostic> {
    let asked = plan.nodes.iter().filter_map(|expr| match expr {
        Expr::Member { audience, of } if *of.brought() == Attribute::Ip => Some(audience),
        _ => None,
    });
    let is_of_texts = |key: &&String| {
        let pin = pinned.get(*key);
        pin.is_some_and(|pin| pin.kind == ListKind::Texts)
    };
    let lists: BTreeSet<&str> = asked.filter(is_of_texts).map(|key| list_of(key).0).collect();
    lists.into_iter().map(|list| warning(at, list, params)).collect()
}

fn warning(at: &str, list: &str, params: &Value) -> Diagnostic {
    let message = format!(
        "the list {list:?} is of texts and is asked by the buyer's address: it matches addresses byte for byte, and \
         ranges match nobody"
    );
    let place = place_of(params, list, format!("{at}/params"));
    Diagnostic {
        hint: Some(format!(
            "upload it as addresses: PUT /admin/v1/audiences/{list}?kind=addresses"
        )),
        ..Diagnostic::warning(place, "texts-by-address", message)
    }
}
