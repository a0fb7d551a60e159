//! Which buyers a sample holds, and how many attempts it may have. Pure, and the same on every gateway and in every build.
//!
//! Each buyer of a campaign lies in a band: half of them in band 0, a quarter in band 1, and so on. A sample begins with
//! all bands; each halving of it takes the lowest one away, with the whole history of its buyers.

use sha2::{Digest, Sha256};

/// How often the share of buyers may halve: one in a million is left then.
pub const HALVINGS_MAX: u32 = 20;
/// Bands there are.
pub const BANDS: usize = HALVINGS_MAX as usize + 1;
/// Groups by which it is told how sure a sample is: see [`super::tally::Count`].
pub const GROUPS: usize = 64;
/// Seconds of attempts that may come at once: a sale begins with a rush.
const HEAD_SECONDS: u64 = 20;

/// Where a buyer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    /// 0 to [`HALVINGS_MAX`].
    pub band: u32,
    /// Below [`GROUPS`]; says nothing of the band.
    pub group: usize,
}

/// The lot of a buyer in a campaign: from SHA-256 over the campaign, a zero byte and the user. No campaign id holds a
/// zero byte.
pub fn lot(campaign: &str, user: &str) -> Lot {
    let mut hash = Sha256::new();
    hash.update(campaign.as_bytes());
    hash.update([0]);
    hash.update(user.as_bytes());
    let digest = hash.finalize();
    let high = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
    Lot {
        band: high.leading_zeros().min(HALVINGS_MAX),
        group: usize::from(digest[4]) % GROUPS,
    }
}

/// The hash by which releases before bands chose buyers.
pub fn user_hash(user: &str) -> u32 {
    crc32fast::hash(user.as_bytes())
}

/// Whether such a sample, whose share of buyers was halved so often, holds a buyer.
pub fn is_sampled(user_hash: u32, halvings: u32) -> bool {
    u64::from(user_hash) < (1 << 32) >> halvings.min(HALVINGS_MAX)
}

/// Whose attempts of a campaign are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How often it was halved: buyers of this band and of higher ones are in.
    pub halvings: u32,
    /// How often a release before bands halved it. Its rows hold no others, so those are left out here as well.
    pub before: u32,
}

impl Share {
    pub fn holds(&self, campaign: &str, user: &str) -> bool {
        let was_held = self.before == 0 || is_sampled(user_hash(user), self.before);
        was_held && (self.halvings == 0 || lot(campaign, user).band >= self.halvings)
    }

    /// Halvings of all buyers.
    pub fn total(&self) -> u32 {
        self.halvings + self.before
    }

    /// Of all buyers, 0 to 1.
    pub fn part(&self) -> f64 {
        0.5_f64.powi(self.total() as i32)
    }
}

/// How many attempts of a campaign may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// In all.
    pub most: u64,
    /// And a second, after [`HEAD_SECONDS`] at once.
    pub per_second: u64,
}

impl Bounds {
    /// Attempts that may be kept at `at`, where the first was recorded at `begun_at` (milliseconds since 1970).
    pub fn at(&self, begun_at: i64, at: i64) -> u64 {
        let seconds = u64::try_from(at.saturating_sub(begun_at)).unwrap_or(0) / 1000;
        let so_far = self
            .per_second
            .saturating_mul(HEAD_SECONDS.saturating_add(seconds));
        self.most.min(so_far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Vec<String> {
        (0..20_000).map(|n| format!("user-{n}")).collect()
    }

    #[test]
    fn every_halving_keeps_half_of_the_buyers_that_were_kept() {
        let users = users();
        let kept = |halvings, before| {
            let share = Share { halvings, before };
            let held = |user: &&String| share.holds("spring", user);
            users.iter().filter(held).collect::<Vec<_>>()
        };
        assert_eq!(kept(0, 0).len(), users.len());
        for (from, to) in [
            ((0, 0), (1, 0)),
            ((1, 0), (2, 0)),
            ((2, 0), (3, 0)),
            ((2, 0), (2, 1)),
            ((0, 3), (1, 3)),
        ] {
            let (before, after) = (kept(from.0, from.1), kept(to.0, to.1));
            assert!(after.iter().all(|user| before.contains(user)));
            let share = after.len() as f64 / before.len() as f64;
            assert!((0.45..0.55).contains(&share), "{share} at {to:?}");
        }
        let most = Share {
            halvings: HALVINGS_MAX,
            before: 0,
        };
        assert!(most.holds("spring", "581138"), "never nobody");
    }

    /// What is in databases hangs on it.
    #[test]
    fn a_lot_is_the_same_in_every_build() {
        let lots = ["ada", "bob", "eve", ""]
            .map(|user| lot("spring", user))
            .map(|lot| (lot.band, lot.group));
        assert_eq!(lots, [(2, 7), (0, 13), (0, 50), (7, 40)]);
        assert!(is_sampled(user_hash("user-3"), 0));
    }

    #[test]
    fn campaigns_have_samples_of_their_own_and_groups_are_even() {
        let (mut both, mut groups) = (0, [0; GROUPS]);
        for user in users() {
            let (spring, autumn) = (lot("spring", &user), lot("autumn", &user));
            both += u32::from(spring.band >= 2 && autumn.band >= 2);
            groups[spring.group] += u32::from(spring.band >= 2);
        }
        assert!((1000..1500).contains(&both), "a sixteenth of 20,000: {both}");
        assert!(groups.iter().all(|group| (40..120).contains(group)), "{groups:?}");
    }

    #[test]
    fn a_sale_may_begin_with_a_rush() {
        let bounds = Bounds {
            most: 200_000,
            per_second: 1000,
        };
        let begun = 1_795_176_000_123;
        for (after_ms, most) in [
            (-5000, 20_000),
            (0, 20_000),
            (999, 20_000),
            (10_000, 30_000),
            (i64::MAX - begun, 200_000),
        ] {
            assert_eq!(bounds.at(begun, begun + after_ms), most, "after {after_ms} ms");
        }
        assert_eq!(
            Bounds {
                most: 5,
                per_second: u64::MAX
            }
            .at(0, i64::MAX),
            5
        );
        assert_eq!(
            Bounds {
                most: 5,
                per_second: 1
            }
            .at(i64::MAX, i64::MIN),
            5
        );
    }
}
