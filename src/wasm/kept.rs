//! Modules that are loaded, kept by digest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::ModuleError;

/// Held while a module is loaded: one at a time in a process, for it takes memory and a core. Whatever is
/// not trusted was compiled by a child before, so nobody waits here for longer than reading it takes.
pub(super) type Loading = Arc<Mutex<()>>;

pub(super) struct Kept<T> {
    most: usize,
    bytes_max: usize,
    /// Most recently used first.
    kept: Mutex<VecDeque<Entry<T>>>,
    loading: Loading,
}

struct Entry<T> {
    digest: String,
    module: T,
    /// Of its machine code.
    bytes: usize,
}

impl<T: Clone> Kept<T> {
    /// At most so many modules, with so many bytes of machine code together; the newest is always kept.
    pub(super) fn new(most: usize, bytes_max: usize, loading: Loading) -> Self {
        Self {
            most,
            bytes_max,
            kept: Mutex::default(),
            loading,
        }
    }

    /// What is kept under this digest, or what `make` gives now: it is kept, with the bytes its machine code
    /// has. `None` where `make` has nothing to load.
    pub(super) fn load(
        &self,
        digest: &str,
        make: impl FnOnce() -> Result<Option<(T, usize)>, ModuleError>,
    ) -> Result<Option<T>, ModuleError> {
        if let Some(found) = self.get(digest) {
            return Ok(Some(found));
        }
        // A panic of an earlier load left nothing behind that could be wrong.
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.get(digest) {
            return Ok(Some(found));
        }
        let Some((module, bytes)) = make()? else {
            return Ok(None);
        };
        self.keep(Entry {
            digest: digest.to_owned(),
            module: module.clone(),
            bytes,
        });
        Ok(Some(module))
    }

    fn keep(&self, entry: Entry<T>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(entry);
        kept.truncate(self.most);
        while kept.len() > 1 && kept.iter().map(|entry| entry.bytes).sum::<usize>() > self.bytes_max {
            kept.pop_back();
        }
    }

    pub(super) fn get(&self, digest: &str) -> Option<T> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|entry| entry.digest == digest)?;
        let entry = kept.remove(at)?;
        let found = entry.module.clone();
        kept.push_front(entry);
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_make_room_by_number_and_by_bytes() {
        let kept = Kept::new(3, 100, Loading::default());
        let load = |name: &str, bytes: usize| {
            let made = kept.load(name, || Ok(Some((name.to_owned(), bytes))));
            assert_eq!(made, Ok(Some(name.to_owned())));
        };
        for name in ["a", "b", "c"] {
            load(name, 30);
        }
        assert!(kept.get("a").is_some());
        load("d", 10);
        assert_eq!(kept.get("b"), None, "the fourth");
        load("e", 60);
        assert_eq!(kept.get("c"), None);
        assert!(kept.get("a").is_some() && kept.get("d").is_some() && kept.get("e").is_some());
        load("f", 500);
        assert_eq!((kept.get("e"), kept.get("f")), (None, Some("f".into())));
        assert_eq!(kept.load("g", || Ok(None)), Ok(None));
    }
}
