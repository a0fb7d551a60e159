//! Whether a sale is paused, and until when.

/// Nobody is admitted; everything else goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paused {
    /// When orders are taken again by themselves, milliseconds since 1970-01-01 UTC; `None`: when somebody says so.
    pub resume_at: Option<i64>,
}

/// What the last pause or resume of a campaign said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// Pauses and resumes so far. Of two of a campaign, the one with the higher number counts, in whatever order they arrive.
    pub number: u64,
    /// `None`: the sale goes on.
    pub paused: Option<Paused>,
}

impl Pause {
    /// Whether it is paused at `now`, which is the engine's: a moment to resume at that has passed needs nobody.
    pub fn at(self, now: i64) -> Option<Paused> {
        let holds = |paused: &Paused| paused.resume_at.is_none_or(|resume_at| now < resume_at);
        self.paused.filter(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_at_its_moment_or_when_somebody_says_so() {
        let pause = |resume_at| Pause {
            number: 1,
            paused: Some(Paused { resume_at }),
        };
        assert_eq!(Pause::default().at(5), None);
        assert_eq!(pause(None).at(i64::MAX), Some(Paused { resume_at: None }));
        assert!(pause(Some(5)).at(4).is_some());
        assert_eq!(pause(Some(5)).at(5), None);
    }
}
