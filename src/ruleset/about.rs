//! What is told of a campaign and decides nothing: it changes without an activation.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::campaign::Origins;

/// Of one campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub title: String,
    /// Whose pages may read what is said of it; `None`: those that the configuration names.
    pub origins: Option<Arc<Origins>>,
    pub seller: Seller,
}

/// Whose a campaign is, and with that, who its buyers are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seller {
    pub merchant: Arc<str>,
    /// How often the merchant's issuer of tokens was changed; 0: it never had one of its own.
    pub issuer_changes: u64,
}

type ById = HashMap<String, Arc<About>>;

/// Of all campaigns that a gateway serves, as it last heard of them.
#[derive(Debug, Default)]
pub struct Abouts(ArcSwap<ById>);

/// What was known before the database was asked.
pub struct Before(Arc<ById>);

impl Abouts {
    pub fn of(&self, campaign: &str) -> Option<Arc<About>> {
        self.0.load().get(campaign).cloned()
    }

    /// To be taken before the database is asked for [`Self::set_all`].
    pub fn before(&self) -> Before {
        Before(self.0.load_full())
    }

    /// Says what the database has of all campaigns, unless one of them was set meanwhile: what was read may be older than that.
    pub fn set_all(&self, Before(before): Before, abouts: impl IntoIterator<Item = (String, About)>) {
        let share = |(id, about): (String, About)| {
            let known = before.get(&id).filter(|known| ***known == about);
            let about = known.cloned().unwrap_or_else(|| Arc::new(about));
            (id, about)
        };
        let new: ById = abouts.into_iter().map(share).collect();
        if new != *before {
            self.0.compare_and_swap(&before, Arc::new(new));
        }
    }

    /// There is no such campaign any more.
    pub fn forget(&self, campaign: &str) {
        if self.of(campaign).is_some() {
            self.0.rcu(|abouts| {
                let mut abouts = ById::clone(abouts);
                abouts.remove(campaign);
                abouts
            });
        }
    }

    /// One campaign was read, or changed here.
    pub fn set(&self, campaign: &str, about: About) {
        if self.of(campaign).is_some_and(|known| *known == about) {
            return;
        }
        let about = Arc::new(about);
        self.0.rcu(|abouts| {
            let mut abouts = ById::clone(abouts);
            abouts.insert(campaign.to_owned(), about.clone());
            abouts
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(title: &str) -> About {
        About {
            title: title.to_owned(),
            ..About::default()
        }
    }

    fn title(abouts: &Abouts, campaign: &str) -> Option<String> {
        abouts.of(campaign).map(|about| about.title.clone())
    }

    #[test]
    fn what_was_set_while_the_database_was_asked_is_not_undone() {
        let abouts = Abouts::default();
        let all = |spring| {
            [
                ("spring".to_owned(), about(spring)),
                ("summer".to_owned(), about("S")),
            ]
        };
        abouts.set_all(abouts.before(), all("old"));
        let before = abouts.before();
        abouts.set("spring", about("new"));
        abouts.set_all(before, all("old"));
        assert_eq!(title(&abouts, "spring").as_deref(), Some("new"));
        abouts.set_all(abouts.before(), all("newer"));
        assert_eq!(title(&abouts, "spring").as_deref(), Some("newer"));
        abouts.forget("spring");
        assert_eq!(title(&abouts, "spring"), None);
        abouts.set_all(abouts.before(), all("again"));
        abouts.set_all(abouts.before(), [("summer".to_owned(), about("S"))]);
        assert_eq!(
            (title(&abouts, "spring"), title(&abouts, "summer")),
            (None, Some("S".into()))
        );
    }

    #[test]
    fn what_stays_as_it_is_is_not_copied() {
        let abouts = Abouts::default();
        abouts.set("spring", about("same"));
        let (before, there) = (abouts.before(), abouts.of("spring").expect("there"));
        abouts.set("spring", about("same"));
        abouts.set_all(abouts.before(), [("spring".to_owned(), about("same"))]);
        assert!(Arc::ptr_eq(&before.0, &abouts.before().0));
        abouts.set("summer", about("other"));
        assert!(Arc::ptr_eq(&there, &abouts.of("spring").expect("there")));
    }
}
