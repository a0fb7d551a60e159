//! On what condition somebody asks for a change: that what it is about is as they last saw it.

use std::sync::OnceLock;

use serde_json::Value;

use crate::wire::tags::Tags;

/// The tags that the thing may have. A change has a tag of its own, which the thing has from then on: the same request again, which finds
/// it there, goes on with what it has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    tags: Option<Tags>,
    own: OnceLock<String>,
}

impl Condition {
    /// Without tags everything will do.
    pub fn new(tags: Option<Tags>) -> Self {
        Self {
            tags,
            own: OnceLock::new(),
        }
    }

    /// Whether anybody has said how it has to be.
    pub fn is_there(&self) -> bool {
        self.tags.is_some()
    }

    /// What is asked for is this operation: what it changes has its id as its tag.
    pub fn is_of(&self, operation: &str) {
        // Whoever says it twice says the same.
        let _ = self.own.set(operation.to_owned());
    }

    /// The tag that things have behind the change, where there is one already.
    pub fn own(&self) -> Option<&str> {
        self.own.get().map(String::as_str)
    }

    /// Whether a thing with this tag may be changed.
    pub fn allows(&self, tag: &str) -> bool {
        let asked = self.tags.as_ref();
        asked.is_none_or(|tags| tags.allow_change_of(tag)) || self.own() == Some(tag)
    }
}

/// A condition, and whether the change has come so far that it is asked no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Only<'a> {
    condition: &'a Condition,
    is_begun: bool,
}

impl<'a> Only<'a> {
    pub fn of(condition: &'a Condition) -> Self {
        Self {
            condition,
            is_begun: false,
        }
    }

    /// What comes behind the first step of a change: that one has changed what the condition is about.
    pub fn begun(self) -> Self {
        Self {
            is_begun: true,
            ..self
        }
    }

    pub fn condition(self) -> &'a Condition {
        self.condition
    }

    /// Whether a thing with this tag may be changed.
    pub fn allows(self, tag: &str) -> bool {
        self.is_begun || self.condition.allows(tag)
    }
}

/// A thing that is not as whoever asks for a change last saw it: how it is, and what was done to it last, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    pub tag: String,
    pub current: Value,
    pub last_change: Option<Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_goes_on_with_what_it_has_begun() {
        let tags = Tags::read("If-Match", [b"\"a\"".as_slice()].into_iter()).expect("read");
        let condition = Condition::new(tags);
        assert!(condition.allows("a") && !condition.allows("b"));
        condition.is_of("b");
        assert!(condition.allows("b") && !condition.allows("c"));
        assert!(Condition::default().allows("anything"));
        let only = Only::of(&condition);
        assert!(!only.allows("c") && only.begun().allows("c"));
    }
}
