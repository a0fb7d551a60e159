//! How far another machine's clock is from this one's.

use super::report::Finding;

/// Differences above this are told: a sale opens by Redis' clock, and tokens expire by the gateway's.
const WARN_ABOVE_MS: i64 = 1_000;
/// Differences above this refuse tokens that are good: it is what a gateway forgives their issuer's clock.
const FAIL_ABOVE_MS: i64 = 10_000;

/// `theirs` was read between `before` and `after` of this machine, all in milliseconds since 1970-01-01 UTC.
pub(super) fn compare(theirs: i64, before: i64, after: i64) -> Finding {
    // What the answer's way may account for is no difference.
    let off = theirs - theirs.clamp(before, after.max(before));
    let todo = "let an NTP client keep the clocks of both machines (timedatectl; chronyc tracking)";
    match off.abs() {
        far if far > FAIL_ABOVE_MS => Finding::failed("clock", told(off), todo),
        far if far > WARN_ABOVE_MS => Finding::warning("clock", told(off), todo),
        _ => Finding::ok("clock", "less than a second from this machine's"),
    }
}

fn told(off: i64) -> String {
    let seconds = (off.abs() as f64 / 1000.0).round();
    let way = if off > 0 { "ahead of" } else { "behind" };
    format!("{seconds} s {way} this machine's: sales open and close by the one, tokens expire by the other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::FindingLevel;

    #[test]
    fn a_difference_counts_beyond_what_the_answer_took() {
        for (theirs, before, after, level) in [
            (100_000, 100_000, 100_000, FindingLevel::Ok),
            (100_900, 100_000, 100_000, FindingLevel::Ok),
            (101_100, 100_000, 100_000, FindingLevel::Warning),
            (98_000, 100_000, 100_000, FindingLevel::Warning),
            (111_000, 100_000, 100_000, FindingLevel::Failed),
            // The answer took twenty seconds: the clocks may be the same.
            (99_500, 99_000, 119_000, FindingLevel::Ok),
        ] {
            assert_eq!(compare(theirs, before, after).level, level, "{theirs}");
        }
        let behind = compare(85_000, 100_000, 100_000).found;
        assert!(behind.starts_with("15 s behind this machine's"), "{behind}");
        let ahead = compare(130_000, 100_000, 100_000).found;
        assert!(ahead.starts_with("30 s ahead of this machine's"), "{ahead}");
    }
}
