//! Figures of a suite, written past the capture of the test harness, so that `./x test` shows them.

use std::io::Write as _;

/// One line to standard error: `cases: <count> <what>`. `scripts/test.sh` adds the counts up.
pub fn cases(count: usize, what: &str) {
    // `eprintln!` would be captured; this is not. A closed standard error is no reason to fail.
    let _ = writeln!(std::io::stderr().lock(), "cases: {count} {what}");
}
