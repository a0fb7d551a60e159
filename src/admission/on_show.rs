//! What this gateway knows of all campaigns, without asking anybody: for a list that everybody may see.

use std::sync::Arc;

use super::Admission;
use crate::campaign::{Origins, Paused};
use crate::clock::now_ms;
use crate::ruleset::Active;

/// A campaign as this gateway last knew it.
#[derive(Clone, Debug)]
pub struct OnShow {
    pub active: Arc<Active>,
    pub title: String,
    /// The engine's clock, milliseconds since 1970-01-01 UTC.
    pub now: i64,
    pub paused: Option<Paused>,
    /// (SKU, whether it was sold out); `None` where there are too many.
    pub skus: Option<Vec<(String, bool)>>,
}

impl Admission {
    /// Every campaign that is decided with, in no order. What the engine says of one that nobody orders from may be a minute old;
    /// of the others it is at most about a second. SKUs are told of campaigns that have at most `most`.
    pub fn on_show(&self, most: usize) -> Vec<OnShow> {
        let all = self.shared.ruleset.all().into_iter();
        all.map(|active| self.shown(active, most)).collect()
    }

    fn shown(&self, active: Arc<Active>, most: usize) -> OnShow {
        let id = &active.campaign.id;
        let lanes = self.lanes.read().expect("no panic holds this lock");
        let lane = lanes.get(id).cloned();
        drop(lanes);
        let local = lane.as_deref().map(|lane| &lane.local);
        let is_sold_out = |sku: &str| local.is_some_and(|local| local.is_sold_out(sku));
        let skus = &active.campaign.skus;
        let shown = skus.iter().map(|sku| (sku.id.clone(), is_sold_out(&sku.id)));
        let about = self.shared.ruleset.abouts.of(id);
        OnShow {
            title: about.map_or_else(|| active.campaign.title.clone(), |about| about.title.clone()),
            now: match local {
                Some(local) => local.now(),
                None => self.shared.clock.now().unwrap_or_else(now_ms),
            },
            paused: local.and_then(|local| local.paused()),
            skus: (skus.len() <= most).then(|| shown.collect()),
            active,
        }
    }

    /// Whose pages may read what is said of a campaign, as far as it is known; `None`: those that the configuration names.
    pub fn origins(&self, campaign: &str) -> Option<Arc<Origins>> {
        self.shared.ruleset.origins(campaign)
    }
}
