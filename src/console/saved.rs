//! What forms of this console have made where the API has no key for it: a double click is to be one change.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

/// Forms that are remembered; a double click is not that late.
const FORMS_MAX: usize = 1024;

/// What became of a form.
pub(super) type Outcome<T> = Arc<AsyncMutex<Option<T>>>;

/// Forms by whose they are and by their key, oldest first.
type Forms<T> = VecDeque<((String, String), Outcome<T>)>;

/// What each form made, by its number or id.
pub(super) struct Saved<T>(Mutex<Forms<T>>);

impl<T> Default for Saved<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Saved<T> {
    /// What a form of somebody made, if it did.
    pub(super) fn of(&self, holder: &str, key: &str) -> Outcome<T> {
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
        let saved = Saved::<u32>::default();
        *saved.of("ann", "k").lock().await = Some(3);
        assert_eq!(*saved.of("ann", "k").lock().await, Some(3));
        assert_eq!(*saved.of("bob", "k").lock().await, None);
        (0..FORMS_MAX).for_each(|n| drop(saved.of("eve", &n.to_string())));
        assert_eq!(*saved.of("ann", "k").lock().await, None, "it was forgotten");
    }
}
