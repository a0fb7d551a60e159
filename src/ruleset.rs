//! What a gateway decides with right now: one immutable snapshot per campaign, swapped by a pointer
//! store. Building a snapshot may fail; the old one then keeps serving.

mod about;
mod active;
mod compiled;
mod precheck;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::campaign::{Activation, Origins, Pause, Schedule};

pub use about::{About, Abouts, Seller};
pub use active::Active;
pub use compiled::Compiled;
pub use precheck::{Asked, Folding, Objection, Precheck, Verdict, reads_of};

/// Archived campaigns a gateway remembers; when there are more, it forgets all, and reads again what is asked for.
const ARCHIVED_MAX: usize = 10_000;

/// A campaign that is archived: nobody decides anything about it any more, and this is what there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    pub schedule: Schedule,
    pub activation: Activation,
    /// (SKU, whether every unit was sold).
    pub skus: Vec<(String, bool)>,
    /// Whose pages may read what is said of it; `None`: those that the configuration names.
    pub origins: Option<Arc<Origins>>,
    pub seller: Seller,
    /// When this was asked for: it was so then.
    pub asked: Instant,
}

/// All campaigns a gateway serves, and archived ones that somebody asked for.
#[derive(Debug, Default)]
pub struct Ruleset {
    campaigns: ArcSwap<HashMap<String, Arc<Active>>>,
    archived: RwLock<HashMap<String, Arc<Archived>>>,
    quiet: ArcSwap<HashSet<String>>,
    pauses: ArcSwap<HashMap<String, Pause>>,
    /// What is told of the campaigns that are served.
    pub abouts: Abouts,
}

impl Ruleset {
    pub fn get(&self, campaign: &str) -> Option<Arc<Active>> {
        self.campaigns.load().get(campaign).cloned()
    }

    /// Whether it is decided with.
    pub fn has(&self, campaign: &str) -> bool {
        self.campaigns.load().contains_key(campaign)
    }

    pub fn all(&self) -> Vec<Arc<Active>> {
        self.campaigns.load().values().cloned().collect()
    }

    /// Puts a snapshot in place unless a newer epoch is already there; says whether it did.
    pub fn put(&self, active: Arc<Active>) -> bool {
        let id = active.campaign.id.clone();
        let newer = |there: &Active| {
            there.campaign.uid == active.campaign.uid && there.activation.epoch > active.activation.epoch
        };
        let before = self.campaigns.rcu(|map| {
            if map.get(&id).is_some_and(|there| newer(there)) {
                return map.clone();
            }
            let mut map = HashMap::clone(map);
            map.insert(id.clone(), active.clone());
            Arc::new(map)
        });
        let mut archived = self.archived.write().expect("no panic holds this lock");
        archived.remove(&id);
        drop(archived);
        !before.get(&id).is_some_and(|there| newer(there))
    }

    /// What is remembered of an archived campaign.
    pub fn archived(&self, campaign: &str) -> Option<Arc<Archived>> {
        let archived = self.archived.read().expect("no panic holds this lock");
        archived.get(campaign).cloned()
    }

    /// Remembers that a campaign is archived, and no longer decides with it.
    pub fn archive(&self, campaign: &str, as_it_was: Archived) {
        let mut archived = self.archived.write().expect("no panic holds this lock");
        if archived.len() >= ARCHIVED_MAX {
            archived.clear();
        }
        archived.insert(campaign.to_owned(), Arc::new(as_it_was));
        drop(archived);
        if self.has(campaign) {
            self.remove(campaign);
        }
    }

    /// Whether nobody orders from a campaign, at any gateway, and its outbox was empty when somebody last looked:
    /// there is nothing to do for it often. Until it is known, it is not.
    pub fn is_quiet(&self, campaign: &str) -> bool {
        self.quiet.load().contains(campaign)
    }

    /// Says which campaigns are quiet; all others are not.
    pub fn set_quiet(&self, campaigns: HashSet<String>) {
        self.quiet.store(Arc::new(campaigns));
    }

    /// The last pause or resume of a campaign that the database was heard to have.
    pub fn pause(&self, campaign: &str) -> Pause {
        self.pauses.load().get(campaign).copied().unwrap_or_default()
    }

    /// Says what the database has of all campaigns that were ever paused.
    pub fn set_pauses(&self, pauses: HashMap<String, Pause>) {
        self.pauses.store(Arc::new(pauses));
    }

    /// Whose pages may read what is said of a campaign, as far as it is known; `None`: those that the configuration names.
    pub fn origins(&self, campaign: &str) -> Option<Arc<Origins>> {
        match self.abouts.of(campaign) {
            Some(about) => about.origins.clone(),
            None => self.archived(campaign)?.origins.clone(),
        }
    }

    /// Whose a campaign is, as far as it is known.
    pub fn seller(&self, campaign: &str) -> Option<Seller> {
        match self.abouts.of(campaign) {
            Some(about) => Some(about.seller.clone()),
            None => Some(self.archived(campaign)?.seller.clone()),
        }
    }

    /// Forgets a campaign (ended and expired).
    pub fn remove(&self, campaign: &str) {
        self.campaigns.rcu(|map| {
            let mut map = HashMap::clone(map);
            map.remove(campaign);
            map
        });
    }
}
