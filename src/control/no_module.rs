//! What is said where a selector names no module: of a known id, the versions that it has, and otherwise the ids that there are.

use std::collections::BTreeSet;

use super::modules::is_seen;
use super::{Control, ControlError};
use crate::store::{ModuleRow, is_digest};
use crate::wire::echo;

/// Names that a sentence lists.
const NAMED_MAX: usize = 32;

/// Why there is no such module, and what can be named instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoModule {
    pub(super) detail: String,
    pub(super) hint: String,
}

impl Control {
    /// As a merchant sees it; `None`: as whoever sees what all share.
    pub(super) async fn no_module(
        &self,
        selector: &str,
        merchant: Option<&str>,
    ) -> Result<NoModule, ControlError> {
        let mut rows = self.store.modules().await?;
        rows.retain(|row| is_seen(row, merchant));
        Ok(NoModule::of(selector, &rows))
    }
}

impl NoModule {
    fn of(selector: &str, there: &[ModuleRow]) -> Self {
        let (id, version) = match selector.split_once('@') {
            Some((id, version)) => (id, Some(version)),
            None => (selector, None),
        };
        let versions = versions(id, there);
        match version {
            Some(version) if !versions.is_empty() => Self {
                detail: format!("module {} has no version {}", echo(id), echo(version)),
                hint: format!(
                    "it has {}; its id alone stands for the highest",
                    listed(&versions)
                ),
            },
            _ => {
                let ids: BTreeSet<&str> = there.iter().map(|row| row.id.as_str()).collect();
                let ids: Vec<&str> = ids.into_iter().collect();
                let detail = match is_digest(selector) {
                    true => format!("no module has the digest {selector}"),
                    false => format!("no module {}", echo(id)),
                };
                let hint = match ids.as_slice() {
                    [] => "there is none yet: upload one".to_owned(),
                    ids => format!("known modules: {}", listed(ids)),
                };
                Self { detail, hint }
            }
        }
    }

    /// Both in one sentence.
    pub(super) fn told(&self) -> String {
        format!("{}; {}", self.detail, self.hint)
    }
}

/// The highest first.
fn versions<'a>(id: &str, there: &'a [ModuleRow]) -> Vec<&'a str> {
    let of_it = there.iter().filter(|row| row.id == id);
    let mut versions: Vec<&str> = of_it.map(|row| row.version.as_str()).collect();
    versions.sort_by_cached_key(|version| std::cmp::Reverse(semver::Version::parse(version).ok()));
    versions
}

fn listed(names: &[&str]) -> String {
    let shown = names
        .iter()
        .take(NAMED_MAX)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().checked_sub(NAMED_MAX) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, version: &str) -> ModuleRow {
        ModuleRow {
            merchant: None,
            digest: String::new(),
            id: id.to_owned(),
            version: version.to_owned(),
            descriptor: serde_json::Value::Null,
            uploaded_at: 0,
        }
    }

    #[test]
    fn what_there_is_instead_is_named() {
        let there = [
            row("n-per-user", "1.9.0"),
            row("n-per-user", "1.10.0"),
            row("one-per-user", "1.0.0"),
        ];
        let told = |selector: &str| NoModule::of(selector, &there).told();
        assert_eq!(
            told("n-per-user@1.1.0"),
            "module \"n-per-user\" has no version \"1.1.0\"; it has 1.10.0, 1.9.0; its id alone stands for the highest"
        );
        let known = "known modules: n-per-user, one-per-user";
        assert_eq!(
            told("n-per-usr@1.1.0"),
            format!("no module \"n-per-usr\"; {known}")
        );
        assert_eq!(told("n-per-usr"), format!("no module \"n-per-usr\"; {known}"));
        let digest = "ab".repeat(32);
        assert_eq!(
            told(&digest),
            format!("no module has the digest {digest}; {known}")
        );
        assert_eq!(
            NoModule::of("a", &[]).told(),
            "no module \"a\"; there is none yet: upload one"
        );
        let many: Vec<ModuleRow> = (0..40).map(|n| row("a", &format!("1.{n}.0"))).collect();
        assert!(NoModule::of("a@2.0.0", &many).hint.contains("1.8.0 and 8 more"));
    }
}
