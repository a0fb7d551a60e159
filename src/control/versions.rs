//! Versions compared: which modules and lists a revision pins, against those of another.

use std::collections::BTreeSet;

use super::folding;
use crate::plan::diff::{Change, Class, Part};
use crate::plan::fold::list_of;
use crate::revision::{PinnedRule, Revision};

/// Hex digits of a digest that are shown.
const DIGITS_SHOWN: usize = 12;

/// What `new` pins otherwise than `old`: its rules' modules, in their order, and the lists that both ask for.
pub(super) fn changes(old: &Revision, new: &Revision) -> Vec<Change> {
    let mut changes = modules("", &old.rules, &new.rules);
    let shadow = |revision: &Revision| revision.shadow.as_ref().map(|shadow| shadow.rules.clone());
    changes.extend(modules(
        "In shadow, deciding nothing: ",
        &shadow(old).unwrap_or_default(),
        &shadow(new).unwrap_or_default(),
    ));
    changes.extend(folding::changes(&old.folds, &new.folds));
    let mut named = BTreeSet::new();
    for (key, list) in &new.audiences {
        // Folded in several ways it is one list, in one version.
        let id = list_of(key).0;
        let mut earlier = old.audiences.iter();
        let Some((_, before)) = earlier.find(|(key, _)| list_of(key).0 == id) else {
            continue;
        };
        if named.insert(id) && before.version != list.version {
            let mut sentence = format!("list {id}: version {} → {}", before.version, list.version);
            let (from, to) = (before.kind.name(), list.kind.name());
            if from != to {
                sentence += &format!(", {from} → {to}");
            }
            changes.push(Change::new("", Part::Audience, Class::Changed, sentence));
        }
    }
    changes
}

fn modules(prefix: &str, old: &[PinnedRule], new: &[PinnedRule]) -> Vec<Change> {
    let named = |rules: &[PinnedRule], name: &str| rules.iter().find(|rule| rule.name == name).cloned();
    let mut changes = Vec::new();
    let mut push = |rule: &PinnedRule, class, what: String| {
        let sentence = format!("{prefix}{}: {what}", rule.name);
        changes.push(Change::new(&rule.name, Part::Module, class, sentence));
    };
    for rule in new {
        match named(old, &rule.name) {
            None => push(rule, Class::New, format!("new: module {}", name(rule))),
            Some(before) if before.digest == rule.digest => {}
            // Under one name only where they were uploaded before names were for good.
            Some(before) if name(&before) == name(rule) => {
                let (from, to) = (digits(&before), digits(rule));
                let what = format!("module {}, other bytes: digest {from}… → {to}…", name(rule));
                push(rule, Class::Changed, what);
            }
            Some(before) => {
                let what = format!("module {} → {}", name(&before), name(rule));
                push(rule, Class::Changed, what);
            }
        }
    }
    for rule in old {
        if named(new, &rule.name).is_none() {
            push(rule, Class::Dropped, format!("dropped: module {}", name(rule)));
        }
    }
    changes
}

fn name(rule: &PinnedRule) -> String {
    format!("{}@{}", rule.module, rule.version)
}

fn digits(rule: &PinnedRule) -> &str {
    rule.digest.get(..DIGITS_SHOWN).unwrap_or(&rule.digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::{RETENTION_MS, Schedule};
    use crate::plan::{AudienceRef, Plan};
    use crate::revision::Shadow;

    fn rule(name: &str, module: &str, version: &str, digit: &str) -> PinnedRule {
        PinnedRule {
            name: name.into(),
            module: module.into(),
            version: version.into(),
            digest: digit.repeat(64),
            params: serde_json::json!({}),
        }
    }

    fn revision(rules: Vec<PinnedRule>, shadow: Vec<PinnedRule>, list: u32) -> Revision {
        let pinned = AudienceRef::whole(list, 1);
        Revision {
            campaign: "spring".into(),
            number: 1,
            rules,
            schedule: Schedule {
                opens_at: 0,
                closes_at: 1,
                retention_ms: RETENTION_MS,
            },
            plan: Plan::default(),
            plan_digest: String::new(),
            audiences: [("vip".to_owned(), pinned)].into(),
            folds: Default::default(),
            shadow: (!shadow.is_empty()).then(|| Shadow {
                rules: shadow,
                plan: Plan::default(),
            }),
            stock: None,
            created_at: 0,
        }
    }

    #[test]
    fn every_version_that_moves_is_named() {
        let old = revision(
            vec![
                rule("limit", "n-per-user", "1.0.0", "a"),
                rule("cap", "order-cap", "1.0.0", "b"),
                rule("same", "tiered", "1.0.0", "c"),
                rule("bytes", "tiers", "1.0.0", "d"),
            ],
            vec![rule("trial", "tiers", "1.0.0", "d")],
            3,
        );
        let new = revision(
            vec![
                rule("limit", "n-per-user", "2.0.0-rc.1", "e"),
                rule("same", "tiered", "1.0.0", "c"),
                rule("bytes", "tiers", "1.0.0", "f"),
                rule("more", "cooldown", "1.1.0", "9"),
            ],
            vec![rule("trial", "tiers", "1.1.0", "8")],
            4,
        );
        let said: Vec<(Part, Class, String)> = changes(&old, &new)
            .into_iter()
            .map(|change| (change.part, change.class, change.sentence))
            .collect();
        let module = |class, sentence: &str| (Part::Module, class, sentence.to_owned());
        let expected = [
            module(
                Class::Changed,
                "limit: module n-per-user@1.0.0 → n-per-user@2.0.0-rc.1",
            ),
            module(
                Class::Changed,
                "bytes: module tiers@1.0.0, other bytes: digest dddddddddddd… → ffffffffffff…",
            ),
            module(Class::New, "more: new: module cooldown@1.1.0"),
            module(Class::Dropped, "cap: dropped: module order-cap@1.0.0"),
            module(
                Class::Changed,
                "In shadow, deciding nothing: trial: module tiers@1.0.0 → tiers@1.1.0",
            ),
            (
                Part::Audience,
                Class::Changed,
                "list vip: version 3 → 4".to_owned(),
            ),
        ];
        assert_eq!(said, expected);
        assert_eq!(changes(&new, &new), []);
    }
}
