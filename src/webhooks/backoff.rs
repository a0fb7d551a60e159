//! When what failed is tried again. Pure.

use std::time::Duration;

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// Between one attempt and the next, in seconds: a day in all.
const DELAYS: [u64; 10] = [
    5 * SECOND,
    30 * SECOND,
    2 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    8 * HOUR,
    8 * HOUR,
];

/// How long the attempts of one delivery take, at the least. An endpoint to which nothing was delivered for so long is disabled.
pub(super) const ALL_ATTEMPTS_MS: i64 = all_ms();

const fn all_ms() -> i64 {
    let (mut sum, mut at) = (0, 0);
    while at < DELAYS.len() {
        sum += DELAYS[at] as i64 * 1000;
        at += 1;
    }
    sum
}

/// How long to wait after so many failed attempts; `None`: it was the last one. `random`, from 0 to 1, makes it up to a tenth
/// longer, so that what failed together does not come back together.
pub(super) fn delay(attempts: u32, random: f64) -> Option<Duration> {
    let at = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let seconds = DELAYS.get(at)?;
    Some(Duration::from_secs(*seconds).mul_f64(1.0 + random.clamp(0.0, 1.0) / 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_go_on_for_a_day() {
        let seconds = |attempts, random| delay(attempts, random).map(|delay| delay.as_secs());
        assert_eq!(
            (seconds(0, 0.0), seconds(1, 0.0), seconds(2, 0.0)),
            (None, Some(5), Some(30))
        );
        assert_eq!((seconds(10, 1.0), seconds(11, 0.0)), (Some(31_680), None));
        let all: u64 = (1..=10).filter_map(|attempts| seconds(attempts, 0.0)).sum();
        assert_eq!(all as i64 * 1000, ALL_ATTEMPTS_MS);
        assert!((23 * HOUR..24 * HOUR).contains(&all), "{all}");
    }
}
