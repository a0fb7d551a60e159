//! Compiled modules, kept by digest.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::contract::refused;
use super::{ModuleError, host};

/// Held while something is compiled: one at a time in a process, for it takes every core it gets.
pub(super) type Compiling = Arc<Mutex<()>>;

pub(super) struct Kept<T> {
    most: usize,
    /// Most recently used first.
    kept: Mutex<VecDeque<(String, T)>>,
    compiling: Compiling,
}

impl<T: Clone> Kept<T> {
    pub(super) fn new(most: usize, compiling: Compiling) -> Self {
        Self {
            most,
            kept: Mutex::default(),
            compiling,
        }
    }

    /// What is kept under this digest, or is made of these bytes now and kept.
    pub(super) fn load(
        &self,
        wanted: &str,
        bytes: &[u8],
        make: impl FnOnce(&[u8]) -> Result<T, ModuleError>,
    ) -> Result<T, ModuleError> {
        if let Some(found) = self.get(wanted) {
            return Ok(found);
        }
        // A panic of an earlier compilation left nothing behind that could be wrong.
        let _one = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = self.get(wanted) {
            return Ok(found);
        }
        let found = host::digest(bytes);
        if found != wanted {
            return Err(refused(
                "digest",
                format!("the stored bytes have digest {found}, not {wanted}: they were changed"),
            ));
        }
        let made = make(bytes)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((wanted.to_owned(), made.clone()));
        kept.truncate(self.most);
        Ok(made)
    }

    fn get(&self, digest: &str) -> Option<T> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| known == digest)?;
        let entry = kept.remove(at)?;
        let found = entry.1.clone();
        kept.push_front(entry);
        Some(found)
    }
}
