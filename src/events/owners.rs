//! Whose campaigns are: asked of the database once for each. A campaign that has orders is never removed, so its owner stays.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::order::ToldChange;
use crate::store::{Store, StoreResult};

/// Owners that are remembered; when there are more, all are forgotten, and asked for again.
const KNOWN_MAX: usize = 10_000;

/// Clones share what they know.
#[derive(Clone)]
pub(super) struct Owners {
    store: Store,
    known: Arc<Mutex<HashMap<String, String>>>,
}

impl Owners {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            known: Arc::default(),
        }
    }

    /// Has each change name the merchant of its campaign.
    pub(super) async fn name(&self, changes: &mut [ToldChange]) -> StoreResult<()> {
        let mut unknown = self.fill(changes);
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = unknown.iter().map(String::as_str).collect();
        let found = self.store.campaign_owners(&ids).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + found.len() > KNOWN_MAX {
            known.clear();
        }
        known.extend(found);
        drop(known);
        self.fill(changes);
        Ok(())
    }

    /// The campaigns whose owner is not known.
    fn fill(&self, changes: &mut [ToldChange]) -> Vec<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unknown = Vec::new();
        for change in changes.iter_mut().filter(|change| change.merchant.is_none()) {
            match known.get(&change.campaign) {
                Some(merchant) => change.merchant = Some(merchant.clone()),
                None => unknown.push(change.campaign.clone()),
            }
        }
        unknown
    }
}
