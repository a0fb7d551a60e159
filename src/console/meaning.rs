//! What a revision is or would be: its sentences, what it costs, and what it changes.

use askama::Template;

use super::api::Fault;
use super::figures::{Change, Cost, Diagnostic, Revision};
use super::words::{Words, fill};

/// A change against another revision, in a sentence.
pub(super) struct ChangeLine {
    pub(super) class: String,
    pub(super) sentence: String,
    /// What becomes of a counter's counts.
    pub(super) counts: String,
}

/// What a revision is or would be.
#[derive(Template)]
#[template(path = "rules_preview.html")]
pub(super) struct Meaning {
    pub(super) t: &'static Words,
    pub(super) sentences: Vec<String>,
    pub(super) cost: String,
    pub(super) sharding: String,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) against: String,
    pub(super) changes: Vec<ChangeLine>,
    pub(super) has_comparison: bool,
    pub(super) faults: Vec<Fault>,
}

impl Meaning {
    pub(super) fn of(words: &'static Words, revision: &Revision) -> Self {
        let line = |change: &Change| ChangeLine {
            class: change.class.clone(),
            sentence: change.sentence.clone(),
            counts: change
                .counter
                .as_ref()
                .map_or_else(String::new, |counter| words.counts(&counter.counts).to_owned()),
        };
        let Cost { commands, bytes } = &revision.cost;
        let changes = revision
            .changes
            .iter()
            .filter(|change| change.class != "unchanged");
        Self {
            t: words,
            sentences: revision.explain.clone(),
            cost: fill(words.commands, &[("n", commands), ("bytes", bytes)]),
            sharding: revision.sharding.clone(),
            warnings: revision.diagnostics.clone(),
            against: fill(words.against, &[("n", &revision.against.unwrap_or(0))]),
            changes: changes.map(line).collect(),
            has_comparison: revision.against.is_some(),
            faults: Vec::new(),
        }
    }

    /// What nothing can be made of.
    pub(super) fn wrong(words: &'static Words, faults: Vec<Fault>) -> Self {
        Self {
            t: words,
            sentences: Vec::new(),
            cost: String::new(),
            sharding: String::new(),
            warnings: Vec::new(),
            against: String::new(),
            changes: Vec::new(),
            has_comparison: false,
            faults,
        }
    }
}
