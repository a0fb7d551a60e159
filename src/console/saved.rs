//! Revisions that forms of this console have made: the API has no key for them, and a double click is to be one change.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

/// Forms that are remembered; a double click is not that late.
const FORMS_MAX: usize = 1024;

/// What became of a form.
pub(super) type Outcome = Arc<AsyncMutex<Option<u32>>>;

#[derive(Default)]
pub(super) struct Saved(Mutex<VecDeque<((String, String), Outcome)>>);

impl Saved {
    /// The number that a form of somebody was stored under, if it was.
    pub(super) fn of(&self, holder: &str, key: &str) -> Outcome {
        let mut forms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let form = (holder.to_owned(), key.to_owned());
        if let Some((_, outcome)) = forms.iter().find(|(known, _)| *known == form) {
            return outcome.clone();
        }
        if forms.len() == FORMS_MAX {
            forms.pop_front();
        }
        let outcome = Outcome::default();
        forms.push_back((form, outcome.clone()));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_form_has_the_same_outcome() {
        let saved = Saved::default();
        *saved.of("ann", "k").lock().await = Some(3);
        assert_eq!(*saved.of("ann", "k").lock().await, Some(3));
        assert_eq!(*saved.of("bob", "k").lock().await, None);
        (0..FORMS_MAX).for_each(|n| drop(saved.of("eve", &n.to_string())));
        assert_eq!(*saved.of("ann", "k").lock().await, None, "it was forgotten");
    }
}
