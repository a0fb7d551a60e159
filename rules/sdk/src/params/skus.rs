//! Which SKUs a limit is for: all of them, some of them together, or groups with a count of each.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::attribute::{Attribute, sku};
use crate::bindings::exports::rushgate::policy::types::Context;
use crate::expr::{Bool, Int, PerOrder, int, select};
use crate::id::digest;
use crate::listed_within;
use crate::rule::Diagnostic;

/// SKUs of one list.
const LIST_MAX: usize = 100;
/// Groups of one limit: a counter each.
pub const GROUPS_MAX: usize = 16;
/// Letters of SKUs in a counter's id.
const SLUG_LETTERS: usize = 16;
/// Bytes of a group's name: sentences name it beside much else.
const NAME_BYTES_MAX: usize = 24;
/// Bytes that SKUs take in a sentence.
const LISTED_BYTES_MAX: usize = 60;

/// Some SKUs of the campaign: `["tee-s", "tee-m"]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SkuList(Vec<String>);

impl JsonSchema for SkuList {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "SkuList".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": LIST_MAX, "uniqueItems": true
        })
    }
}

/// Groups of SKUs by their names: `{"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}`. No SKU is in two of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SkuGroups(BTreeMap<String, SkuList>);

impl JsonSchema for SkuGroups {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "SkuGroups".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let skus = SkuList::json_schema(generator);
        json_schema!({
            "type": "object", "additionalProperties": skus, "minProperties": 1, "maxProperties": GROUPS_MAX,
            "examples": [{"tees": ["tee-s", "tee-m"], "mugs": ["mug"]}]
        })
    }
}

/// The SKUs that one count is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// All of them together.
    All,
    /// Each of them for itself; of these alone where there are some.
    Each(Option<&'a SkuList>),
    /// These together, and no others.
    Together(&'a SkuList),
    /// Those of a named group together, and no others.
    Group(&'a str, &'a SkuList),
}

impl<'a> Scope<'a> {
    /// One for each count of a limit: `each` counts every SKU for itself, and is not meant for groups.
    pub fn of(skus: Option<&'a SkuList>, groups: Option<&'a SkuGroups>, each: bool) -> Vec<Self> {
        match (groups, skus) {
            (Some(groups), _) => {
                let groups = groups.0.iter();
                groups.map(|(name, skus)| Self::Group(name, skus)).collect()
            }
            (None, skus) if each => vec![Self::Each(skus)],
            (None, Some(skus)) => vec![Self::Together(skus)],
            (None, None) => vec![Self::All],
        }
    }

    /// Refuses SKUs that the campaign does not sell, and what cannot be meant together. `at` is the pointer of the
    /// object that `skus` and `groups` stand in; `each` is the pointer of what asks for a count of each SKU.
    pub fn check(
        (skus, groups): (Option<&SkuList>, Option<&SkuGroups>),
        context: &Context,
        at: &str,
        each: Option<&str>,
        problems: &mut Vec<Diagnostic>,
    ) {
        if let Some(skus) = skus {
            skus.check(context, &format!("{at}/skus"), problems);
        }
        let Some(groups) = groups else { return };
        let at_groups = format!("{at}/groups");
        if skus.is_some() {
            let message = "skus and groups are both there";
            let hint = "\"skus\" is one group alone: make it one of the groups, or leave the groups out";
            problems.push(Diagnostic::error(&at_groups, "skus-and-groups", message).hint(hint));
        }
        if let Some(pointer) = each {
            let message = "a count of each SKU leaves nothing for groups to count";
            let hint = "leave one of them out: groups are counted together, each for itself";
            problems.push(Diagnostic::error(pointer, "each-and-groups", message).hint(hint));
        }
        groups.check(context, &at_groups, problems);
    }

    /// The key of the counter of a limit that is otherwise counted by `key`.
    pub fn key(self, mut key: Vec<Attribute>) -> Vec<Attribute> {
        if matches!(self, Self::Each(_)) {
            key.push(sku());
        }
        key
    }

    /// Its part of a counter's id, behind for whom is counted: `per-user-and-sku`, `per-user-of-tee-m-tee-s-…`. The SKUs of a
    /// group are part of it and the name is not: with another SKU in it, what was counted is another number.
    pub fn slug(self, whom: &str) -> String {
        match self {
            Self::All => whom.into(),
            Self::Each(_) => format!("{whom}-and-sku"),
            Self::Together(skus) | Self::Group(_, skus) => format!("{whom}-of-{}", skus.slug()),
        }
    }

    /// What an order adds to the counter: nothing where its SKU is not one of them. A counter of each SKU counts all,
    /// so that others can be named later.
    pub fn cost(self, cost: Int<PerOrder>) -> Int<PerOrder> {
        match self {
            Self::All | Self::Each(_) => cost,
            Self::Together(skus) | Self::Group(_, skus) => select(skus.has(), cost, int(0)),
        }
    }

    /// Which orders the limit is for; `None` where for all.
    pub fn applies(self) -> Option<Bool<PerOrder>> {
        match self {
            Self::All | Self::Each(None) => None,
            Self::Each(Some(skus)) | Self::Together(skus) | Self::Group(_, skus) => Some(skus.has()),
        }
    }

    /// As a sentence says it behind a number of units; empty where of all: ` of each SKU`, ` of tee-s, tee-m together`.
    pub fn words(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Each(None) => " of each SKU".into(),
            Self::Each(Some(skus)) => format!(" of each of {}", skus.words()),
            Self::Together(skus) if skus.0.len() == 1 => format!(" of {}", skus.words()),
            Self::Together(skus) => format!(" of {} together", skus.words()),
            Self::Group(name, skus) if skus.0.len() == 1 => {
                format!(" of the group {name} ({})", skus.words())
            }
            Self::Group(name, skus) => format!(" of the group {name} ({}) together", skus.words()),
        }
    }

    /// The same in fewer words: a group by its name alone.
    pub fn brief(self) -> String {
        match self {
            Self::Group(name, _) => format!(" of the group {name} together"),
            scope => scope.words(),
        }
    }

    /// The same for a limit of the whole campaign, with ` in the whole campaign` where nothing else says of what.
    pub fn words_in_campaign(self) -> String {
        match self {
            Self::All => " in the whole campaign".into(),
            scope => scope.words(),
        }
    }
}

impl SkuList {
    fn has(&self) -> Bool<PerOrder> {
        sku().one_of(self.sorted())
    }

    fn sorted(&self) -> Vec<&str> {
        let mut skus: Vec<&str> = self.0.iter().map(String::as_str).collect();
        skus.sort_unstable();
        skus
    }

    /// The first letters of their ids, and a digest, so that no other SKUs, and nothing that follows, make the same.
    fn slug(&self) -> String {
        let skus = self.sorted();
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let letters: String = skus.join("-").chars().map(plain).take(SLUG_LETTERS).collect();
        format!("{}-{}", letters.trim_matches('-'), digest(&skus.join("\n")))
    }

    fn words(&self) -> String {
        let skus: Vec<&str> = self.0.iter().map(String::as_str).collect();
        listed_within(&skus, LISTED_BYTES_MAX)
    }

    fn check(&self, context: &Context, at: &str, problems: &mut Vec<Diagnostic>) {
        for (index, id) in self.0.iter().enumerate() {
            if !context.skus.iter().any(|sku| sku.id == *id) {
                let sold: Vec<&str> = context.skus.iter().take(8).map(|sku| sku.id.as_str()).collect();
                let message = format!("the campaign sells no SKU {id:?}");
                let problem = Diagnostic::error(&format!("{at}/{index}"), "unknown-sku", message);
                problems.push(problem.hint(format!("it sells {}", sold.join(", "))));
            }
        }
    }
}

impl SkuGroups {
    fn check(&self, context: &Context, at: &str, problems: &mut Vec<Diagnostic>) {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, skus) in &self.0 {
            let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            let fine = !name.is_empty()
                && name.len() <= NAME_BYTES_MAX
                && name.trim() == name
                && !name.chars().any(char::is_control);
            if !fine {
                let message = format!("{name:?} cannot be the name of a group");
                let hint = "1 to 24 bytes, on one line, without spaces at an end";
                problems.push(Diagnostic::error(&pointer, "name", message).hint(hint));
            }
            skus.check(context, &pointer, problems);
            for (index, sku) in skus.0.iter().enumerate() {
                if let Some(other) = seen.insert(sku, name) {
                    let message = format!("the SKU {sku:?} is in the groups {other:?} and {name:?}");
                    let problem = Diagnostic::error(&format!("{pointer}/{index}"), "duplicate", message);
                    problems
                        .push(problem.hint("an order counts in one group: use a second rule for the other"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sku;

    fn list(skus: &[&str]) -> SkuList {
        SkuList(skus.iter().map(|sku| (*sku).into()).collect())
    }

    #[test]
    fn ids_follow_the_skus_and_not_how_they_are_listed() {
        let slug = |skus: &[&str]| Scope::Together(&list(skus)).slug("per-user");
        assert_eq!(slug(&["Tee-M"]), "per-user-of-tee-m-9c55fdaf2abc3abf");
        assert_ne!(slug(&["Tee-M"]), slug(&["tee-m"]));
        assert_eq!(slug(&["tee-s", "tee-m"]), slug(&["tee-m", "tee-s"]));
        assert_ne!(slug(&["a-b"]), slug(&["a", "b"]));
        assert_ne!(slug(&["a,b"]), slug(&["a", "b"]));
        assert_ne!(slug(&["a", "b"]), slug(&["a", "b", "c"]));
        let skus = list(&["a", "b"]);
        assert_eq!(Scope::Group("x", &skus).slug("per-user"), slug(&["a", "b"]));
        assert_eq!(Scope::All.slug("per-user"), "per-user");
        assert_eq!(Scope::Each(Some(&skus)).slug("per-user"), "per-user-and-sku");
    }

    #[test]
    fn sentences_say_of_what() {
        let (one, two) = (list(&["mug"]), list(&["tee-s", "tee-m"]));
        for (scope, words) in [
            (Scope::All, ""),
            (Scope::Each(None), " of each SKU"),
            (Scope::Each(Some(&two)), " of each of tee-s, tee-m"),
            (Scope::Together(&one), " of mug"),
            (Scope::Together(&two), " of tee-s, tee-m together"),
            (
                Scope::Group("tees", &two),
                " of the group tees (tee-s, tee-m) together",
            ),
            (Scope::Group("mugs", &one), " of the group mugs (mug)"),
        ] {
            assert_eq!(scope.words(), words);
        }
        assert_eq!(Scope::All.words_in_campaign(), " in the whole campaign");
        assert_eq!(Scope::Together(&one).words_in_campaign(), " of mug");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let context = Context {
            campaign: "c".into(),
            opens_at_ms: 0,
            closes_at_ms: 1,
            skus: vec![
                Sku {
                    id: "a".into(),
                    stock: 1,
                },
                Sku {
                    id: "b".into(),
                    stock: 1,
                },
            ],
            contract: "1.0.0".into(),
        };
        let groups = |of: &[(&str, &[&str])]| {
            SkuGroups(
                of.iter()
                    .map(|(name, skus)| ((*name).into(), list(skus)))
                    .collect(),
            )
        };
        let problems = |skus: Option<&SkuList>, groups: Option<&SkuGroups>, each: Option<&str>| {
            let mut problems = Vec::new();
            Scope::check((skus, groups), &context, "/limits/0", each, &mut problems);
            problems.len()
        };
        let fine = groups(&[("x", &["a"]), ("y", &["b"])]);
        assert_eq!(problems(Some(&list(&["a", "b"])), None, Some("/per")), 0);
        assert_eq!(problems(None, Some(&fine), None), 0);
        assert_eq!(problems(Some(&list(&["c"])), None, None), 1);
        assert_eq!(
            problems(None, Some(&groups(&[("x", &["a"]), ("y", &["a"])])), None),
            1
        );
        assert_eq!(problems(None, Some(&groups(&[("", &["a"])])), None), 1);
        assert_eq!(problems(None, Some(&fine), Some("/per")), 1);
        assert_eq!(problems(Some(&list(&["a"])), Some(&fine), None), 1);
    }
}
