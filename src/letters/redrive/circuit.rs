//! What the re-drive knows of one class of errors, and what it does next. Pure: letters and moments come in.

use std::time::Duration;

use tokio::time::Instant;

use super::Fate;
use crate::record::LetterId;

/// How long a letter that was sent may be without an outcome: its partition has no lander, or the record is gone.
const OUTCOME_LIMIT: Duration = Duration::from_secs(600);
/// Longest pause between two probes.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// One class.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    state: State,
    /// Letters that failed in a row.
    failures: u32,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing is known: a letter has to land first.
    #[default]
    Unknown,
    /// Not before this moment.
    Pause { until: Instant },
    /// One letter is on its way.
    Probing { sent: Vec<LetterId>, since: Instant },
    /// Letters land.
    Open { sent: Vec<LetterId>, since: Instant },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Wait,
    /// Send one letter.
    Probe,
    /// Send the next few.
    Replay,
    /// Something failed just now, and nothing is sent for so long.
    Failed(Duration),
}

impl Circuit {
    /// Letters whose fates decide.
    pub(super) fn sent(&self) -> &[LetterId] {
        match &self.state {
            State::Probing { sent, .. } | State::Open { sent, .. } => sent,
            State::Unknown | State::Pause { .. } => &[],
        }
    }

    /// `fates` are those of [`Self::sent`].
    pub(super) fn next(&mut self, fates: &[Fate], quiet: Duration, now: Instant) -> Next {
        let since = match &self.state {
            State::Unknown => return Next::Probe,
            State::Pause { until } if now < *until => return Next::Wait,
            State::Pause { .. } => return Next::Probe,
            State::Probing { since, .. } | State::Open { since, .. } => *since,
        };
        let is_late = now.duration_since(since) >= OUTCOME_LIMIT;
        if fates.contains(&Fate::Failed) || is_late && fates.contains(&Fate::Open) {
            return Next::Failed(self.fail(quiet, now));
        }
        if fates.contains(&Fate::Open) {
            return Next::Wait;
        }
        self.failures = 0;
        Next::Replay
    }

    pub(super) fn probing(&mut self, letter: LetterId, now: Instant) {
        self.state = State::Probing {
            sent: vec![letter],
            since: now,
        };
    }

    /// None are left where none were sent: the next failure is another one, and is probed anew.
    pub(super) fn sending(&mut self, sent: Vec<LetterId>, now: Instant) {
        self.state = match sent.is_empty() {
            true => State::Unknown,
            false => State::Open { sent, since: now },
        };
    }

    /// Begins a pause, twice as long as the one before, and says how long.
    pub(super) fn fail(&mut self, quiet: Duration, now: Instant) -> Duration {
        let factor = 2_u32.checked_pow(self.failures).unwrap_or(u32::MAX);
        let pause = quiet.saturating_mul(factor).min(PAUSE_MAX);
        self.state = State::Pause { until: now + pause };
        self.failures = self.failures.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(30);

    fn letter(offset: i64) -> LetterId {
        LetterId {
            topic: "o".into(),
            partition: 0,
            offset,
            position: 0,
        }
    }

    #[test]
    fn one_letter_goes_first_and_the_others_follow_when_it_has_landed() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        assert_eq!(circuit.next(&[], QUIET, now), Next::Probe);
        circuit.probing(letter(1), now);
        assert_eq!(circuit.sent(), [letter(1)]);
        assert_eq!(circuit.next(&[Fate::Open], QUIET, now), Next::Wait);
        assert_eq!(circuit.next(&[Fate::Landed], QUIET, now), Next::Replay);
        circuit.sending(vec![letter(2), letter(3)], now);
        assert_eq!(circuit.next(&[Fate::Landed, Fate::Open], QUIET, now), Next::Wait);
        assert_eq!(
            circuit.next(&[Fate::Landed, Fate::Landed], QUIET, now),
            Next::Replay
        );
        circuit.sending(Vec::new(), now);
        assert_eq!(
            circuit.next(&[], QUIET, now),
            Next::Probe,
            "the next failure is another one"
        );
    }

    #[test]
    fn each_failure_in_a_row_makes_the_pause_longer() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut circuit = Circuit::default();
        let mut now = 0;
        for pause in [30, 60, 120, 240, 480, 600, 600] {
            circuit.probing(letter(1), at(now));
            let failed = Next::Failed(Duration::from_secs(pause));
            assert_eq!(circuit.next(&[Fate::Failed], QUIET, at(now)), failed);
            assert_eq!(circuit.next(&[], QUIET, at(now + pause - 1)), Next::Wait);
            now += pause;
            assert_eq!(circuit.next(&[], QUIET, at(now)), Next::Probe);
        }
        circuit.probing(letter(1), at(now));
        assert_eq!(circuit.next(&[Fate::Landed], QUIET, at(now)), Next::Replay);
        circuit.sending(vec![letter(2), letter(3)], at(now));
        assert_eq!(
            circuit.next(&[Fate::Landed, Fate::Failed], QUIET, at(now)),
            Next::Failed(QUIET)
        );
        assert_eq!(
            circuit.next(&[], QUIET, at(now + 30)),
            Next::Probe,
            "it had landed before"
        );
    }

    #[test]
    fn a_letter_without_an_outcome_is_not_waited_for_for_ever() {
        let start = Instant::now();
        let mut circuit = Circuit::default();
        circuit.probing(letter(1), start);
        let late = start + OUTCOME_LIMIT;
        assert_eq!(circuit.next(&[Fate::Open], QUIET, late), Next::Failed(QUIET));
    }
}
