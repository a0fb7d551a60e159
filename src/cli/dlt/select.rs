//! From the command line to a filter: which dead letters somebody means.

use std::collections::BTreeMap;

use anyhow::bail;

use super::args::Selection;
use super::line::rfc3339;
use super::show::plain;
use crate::record::LetterId;
use crate::store::{DeadLetter, KeyMatch, LetterFilter, ReplayMatch, Stage, Store};

/// Letters read from the database at a time.
pub(super) const PAGE: u32 = 500;

impl Selection {
    /// Whether anything narrows it down.
    pub(super) fn names_some(&self) -> bool {
        let Self {
            ids,
            campaign,
            key,
            class,
            error,
            since,
            until,
            stage: _,
            limit,
        } = self;
        !ids.is_empty()
            || campaign.is_some()
            || key.is_some()
            || !class.is_empty()
            || error.is_some()
            || since.is_some()
            || until.is_some()
            || limit.is_some()
    }

    /// A filter that is empty would match everything, and one that nothing can match is a slip.
    pub(super) fn check(&self, now: i64) -> anyhow::Result<()> {
        let texts = [
            ("--campaign", self.campaign.as_deref()),
            ("--key", self.key.as_deref().map(|key| key.trim_end_matches('*'))),
            ("--error", self.error.as_deref()),
        ];
        let classes = self.class.iter().map(|class| ("--class", Some(class.as_str())));
        for (name, text) in texts.into_iter().chain(classes) {
            if text.is_some_and(|text| text.trim().is_empty()) {
                bail!("{name} is empty: leave it out, or give --all where every letter is meant");
            }
        }
        let (since, until) = (
            self.since.map(|at| at.resolve(now)),
            self.until.map(|at| at.resolve(now)),
        );
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            bail!(
                "--since {} is not before --until {}: nothing can match",
                rfc3339(since),
                rfc3339(until)
            );
        }
        Ok(())
    }

    pub(super) fn filter(&self, now: i64) -> LetterFilter {
        let key = self.key.as_deref().map(|key| match key.strip_suffix('*') {
            Some(start) => KeyMatch::Prefix(start.as_bytes().to_vec()),
            None if key.ends_with('/') => KeyMatch::Prefix(key.as_bytes().to_vec()),
            None => KeyMatch::Exact(key.as_bytes().to_vec()),
        });
        LetterFilter {
            campaign: self.campaign.clone(),
            key,
            classes: self.class.clone(),
            error: self.error.clone(),
            since: self.since.map(|moment| moment.resolve(now)),
            until: self.until.map(|moment| moment.resolve(now)),
            stages: vec![self.stage.unwrap_or(Stage::Dead)],
            ..LetterFilter::default()
        }
    }
}

/// Letters one page after the other, in order of origin: by ids, or by a filter.
pub(super) struct Letters {
    store: Store,
    source: Source,
    left: u64,
}

enum Source {
    /// Read already.
    Named(std::vec::IntoIter<DeadLetter>),
    Filter {
        /// Large beside the other.
        filter: Box<LetterFilter>,
        after: Option<LetterId>,
    },
}

impl Letters {
    /// Fails where an id is given that is no dead letter, or one of another stage than asked for.
    pub(super) async fn find(store: &Store, which: &Selection, now: i64) -> anyhow::Result<Self> {
        let source = match which.ids.is_empty() {
            true => Source::Filter {
                filter: Box::new(which.filter(now)),
                after: None,
            },
            false => Source::Named(named(store, which).await?.into_iter()),
        };
        Ok(Self {
            store: store.clone(),
            source,
            left: which.limit.unwrap_or(u64::MAX),
        })
    }

    /// Leaves letters of other topics alone, where no ids name them.
    pub(super) fn only_of(&mut self, topics: &[String]) {
        if let Source::Filter { filter, .. } = &mut self.source {
            filter.topics = topics.to_vec();
        }
    }

    /// Leaves letters alone whose replay nobody asked for, where no ids name them. Dead and parked ones are meant where
    /// no stage is.
    pub(super) fn only_scheduled(&mut self, stage: Option<Stage>) {
        if let Source::Filter { filter, .. } = &mut self.source {
            filter.replay = ReplayMatch::Asked;
            filter.stages = stage.map_or(vec![Stage::Dead, Stage::Parked], |stage| vec![stage]);
        }
    }

    /// How many there are, by class, as a person reads it; an error where one is refused, or there is none.
    pub(super) async fn tally(
        &mut self,
        check: impl Fn(&DeadLetter) -> Result<(), String>,
    ) -> anyhow::Result<String> {
        let mut classes: BTreeMap<String, u64> = BTreeMap::new();
        loop {
            let page = self.next(PAGE).await?;
            if page.is_empty() {
                break;
            }
            for letter in page {
                check(&letter).map_err(anyhow::Error::msg)?;
                *classes.entry(letter.class).or_default() += 1;
            }
        }
        if classes.is_empty() {
            bail!("no dead letter matches; `rushgate dlt list` shows what there is");
        }
        let each = classes
            .iter()
            .map(|(class, letters)| format!("{letters} {}", plain(class, usize::MAX)));
        let each: Vec<String> = each.collect();
        Ok(format!("{} ({})", classes.values().sum::<u64>(), each.join(", ")))
    }

    /// At most `most` of them; empty at the end.
    pub(super) async fn next(&mut self, most: u32) -> anyhow::Result<Vec<DeadLetter>> {
        let most = u32::try_from(self.left).unwrap_or(u32::MAX).min(most);
        if most == 0 {
            return Ok(Vec::new());
        }
        let page = match &mut self.source {
            Source::Named(letters) => letters.take(most as usize).collect(),
            Source::Filter { filter, after } => {
                let page = self.store.dead_letters(filter, after.as_ref(), most).await?;
                *after = page.last().map(|letter| letter.origin.clone());
                page
            }
        };
        self.left -= page.len() as u64;
        Ok(page)
    }
}

async fn named(store: &Store, which: &Selection) -> anyhow::Result<Vec<DeadLetter>> {
    let filters = Selection {
        ids: Vec::new(),
        stage: None,
        limit: None,
        ..which.clone()
    };
    if filters.names_some() {
        bail!("give either ids or filters: an id names one dead letter whatever its campaign, key or error");
    }
    let mut ids = which.ids.clone();
    ids.sort();
    ids.dedup();
    let mut letters = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(letter) = store.dead_letter(&id).await? else {
            bail!(
                "there is no dead letter {id} in {}: `rushgate dlt list` prints ids",
                store.place()
            );
        };
        if let Some(stage) = which.stage.filter(|stage| *stage != letter.stage) {
            bail!("{id} is in stage {}, not {stage}", letter.stage);
        }
        letters.push(letter);
    }
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::dlt::values;

    #[test]
    fn keys_are_whole_or_starts() {
        let key = |text: &str| {
            let which = Selection {
                key: Some(text.to_owned()),
                ..Selection::default()
            };
            which.filter(0).key.expect("a key")
        };
        assert_eq!(key("spring/ada"), KeyMatch::Exact(b"spring/ada".to_vec()));
        assert_eq!(key("spring/a*"), KeyMatch::Prefix(b"spring/a".to_vec()));
        assert_eq!(key("spring/"), KeyMatch::Prefix(b"spring/".to_vec()));
    }

    #[test]
    fn empty_filters_and_times_that_nothing_lies_between_are_refused() {
        let wrong = |which: Selection| which.check(1000).expect_err("a slip").to_string();
        let some = || Some(String::new());
        for (which, name) in [
            (
                Selection {
                    campaign: some(),
                    ..Selection::default()
                },
                "--campaign",
            ),
            (
                Selection {
                    key: Some("*".into()),
                    ..Selection::default()
                },
                "--key",
            ),
            (
                Selection {
                    error: Some(" ".into()),
                    ..Selection::default()
                },
                "--error",
            ),
            (
                Selection {
                    class: vec![String::new()],
                    ..Selection::default()
                },
                "--class",
            ),
        ] {
            assert!(wrong(which).starts_with(&format!("{name} is empty")));
        }
        let times = |since, until| Selection {
            since: Some(values::Moment::At(since)),
            until: Some(values::Moment::At(until)),
            ..Selection::default()
        };
        assert!(wrong(times(5, 5)).contains("nothing can match"));
        assert!(times(4, 5).check(1000).is_ok());
    }

    #[test]
    fn a_stage_alone_names_nothing() {
        let mut which = Selection {
            stage: Some(Stage::Parked),
            ..Selection::default()
        };
        assert!(!which.names_some());
        which.campaign = Some("spring".to_owned());
        assert!(which.names_some());
    }
}
