//! How far another machine's clock is from this one's.

use std::time::Duration;

use super::report::Finding;

/// Differences above this are told: a sale opens by Redis' clock, and tokens expire by the gateway's.
const WARN_ABOVE_MS: i64 = 1_000;
/// Differences above this refuse tokens that are good: it is what a gateway forgives their issuer's clock.
const FAIL_ABOVE_MS: i64 = 10_000;

/// `theirs` was read within `took` before `ours` (milliseconds since 1970-01-01 UTC).
pub(super) fn compare(theirs: i64, took: Duration, ours: i64) -> Finding {
    let took = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
    let off = theirs - (ours - took / 2);
    // What the answer's way may account for is no difference.
    let sure = off.abs() - took / 2;
    let todo = "let an NTP client keep the clocks of both machines (timedatectl; chronyc tracking)";
    match sure {
        _ if sure > FAIL_ABOVE_MS => Finding::failed("clock", told(off), todo),
        _ if sure > WARN_ABOVE_MS => Finding::warning("clock", told(off), todo),
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
    use crate::doctor::report::Verdict;

    #[test]
    fn a_difference_counts_beyond_what_the_answer_took() {
        let ms = Duration::from_millis;
        for (theirs, took, verdict) in [
            (100_000, 0, Verdict::Ok),
            (100_900, 0, Verdict::Ok),
            (101_100, 0, Verdict::Warning),
            (98_000, 0, Verdict::Warning),
            (111_000, 0, Verdict::Failed),
            // The answer took two seconds: the clocks may be the same.
            (99_000, 2_000, Verdict::Ok),
        ] {
            assert_eq!(compare(theirs, ms(took), 100_000).verdict, verdict, "{theirs}");
        }
        assert!(
            compare(85_000, ms(0), 100_000)
                .found
                .starts_with("15 s behind this machine's")
        );
        assert!(
            compare(130_000, ms(0), 100_000)
                .found
                .starts_with("30 s ahead of this machine's")
        );
    }
}
