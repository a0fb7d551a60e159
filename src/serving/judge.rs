//! What a connection's facts mean: stay, leave, or be cut off. Pure, so that each deadline is a line of a table.

use std::time::Duration;

use super::limits::{LEAVE_WITHIN, Limits};

/// Microseconds since the listener began; all moments of a connection.
pub(super) type Stamp = u64;

/// What is known of a connection that speaks HTTP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub now: Stamp,
    /// Requests whose answers were not handed over whole.
    pub in_flight: usize,
    /// When the last request ended, or the connection opened.
    pub idle_since: Stamp,
    /// Since when nothing could be written of what there is to write.
    pub blocked_since: Option<Stamp>,
    /// When the answer that has waited longest for its peer went on last.
    pub answer_since: Option<Stamp>,
    /// When it was asked to leave.
    pub leaving_since: Option<Stamp>,
    /// A request has begun to arrive.
    pub arriving: bool,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// No TLS, or no first bytes of a request, in time.
    Opening,
    /// No request for too long.
    Idle,
    /// It takes nothing of what it is sent.
    Stalled,
    /// Another one needed its place.
    Idlest,
    /// Its peer has as many as it may have.
    Share,
    /// Its peer makes connections faster than it may.
    Pace,
    /// Too much of what it asked came to nothing.
    InVain,
    /// It sent more than a head's bytes without asking anything, and the memory for such is used up.
    Memory,
}

impl Why {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Idlest => "idlest",
            Self::Share => "share",
            Self::Pace => "pace",
            Self::InVain => "in-vain",
            Self::Memory => "memory",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing can have become too late before that long.
    Stay(Duration),
    /// It is asked to end.
    Leave(Why),
    Close(Why),
}

pub(super) fn judge(facts: Facts, limits: &Limits) -> Action {
    let left = |since: Stamp, within: Duration| {
        let gone = Duration::from_micros(facts.now.saturating_sub(since));
        within.checked_sub(gone).filter(|left| !left.is_zero())
    };
    // What begins later than now is not late before the shortest of the limits.
    let mut next = limits.stall.min(limits.idle);
    for since in [facts.blocked_since, facts.answer_since].into_iter().flatten() {
        match left(since, limits.stall) {
            None => return Action::Close(Why::Stalled),
            Some(rest) => next = next.min(rest),
        }
    }
    if facts.in_flight > 0 {
        return Action::Stay(next);
    }
    match facts.leaving_since {
        Some(since) => {
            // What has begun to arrive is awaited for as long as a first request would be.
            let within = match facts.arriving {
                true => limits.opening.max(LEAVE_WITHIN),
                false => LEAVE_WITHIN,
            };
            match left(since.max(facts.idle_since), within) {
                None => Action::Close(Why::Idle),
                Some(rest) => Action::Stay(next.min(rest)),
            }
        }
        None => match left(facts.idle_since, limits.idle) {
            None => Action::Leave(Why::Idle),
            Some(rest) => Action::Stay(next.min(rest)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Stamp = 1_000_000;

    fn limits() -> Limits {
        Limits {
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(20),
            ..Limits::for_many(1, 1)
        }
    }

    /// A minute and forty seconds after the beginning.
    const FACTS: Facts = Facts {
        now: 100 * SECOND,
        in_flight: 0,
        idle_since: 99 * SECOND,
        blocked_since: None,
        answer_since: None,
        leaving_since: None,
        arriving: false,
    };

    #[test]
    fn every_phase_has_its_deadline() {
        let stay = |seconds| Action::Stay(Duration::from_secs(seconds));
        let half = Action::Stay(LEAVE_WITHIN);
        for (what, facts, action) in [
            ("just idle", FACTS, stay(20)),
            (
                "soon idle for too long",
                Facts {
                    idle_since: 41 * SECOND,
                    ..FACTS
                },
                stay(1),
            ),
            (
                "idle for too long",
                Facts {
                    idle_since: 40 * SECOND,
                    ..FACTS
                },
                Action::Leave(Why::Idle),
            ),
            (
                "busy",
                Facts {
                    idle_since: 0,
                    in_flight: 1,
                    ..FACTS
                },
                stay(20),
            ),
            (
                "blocked",
                Facts {
                    blocked_since: Some(85 * SECOND),
                    ..FACTS
                },
                stay(5),
            ),
            (
                "blocked for too long, busy or not",
                Facts {
                    blocked_since: Some(80 * SECOND),
                    in_flight: 9,
                    ..FACTS
                },
                Action::Close(Why::Stalled),
            ),
            (
                "an answer that nobody takes",
                Facts {
                    answer_since: Some(80 * SECOND),
                    in_flight: 1,
                    ..FACTS
                },
                Action::Close(Why::Stalled),
            ),
            (
                "leaving",
                Facts {
                    leaving_since: Some(100 * SECOND),
                    ..FACTS
                },
                half,
            ),
            (
                "leaving, and not gone",
                Facts {
                    leaving_since: Some(99 * SECOND),
                    ..FACTS
                },
                Action::Close(Why::Idle),
            ),
            (
                "leaving, and a request arrives",
                Facts {
                    leaving_since: Some(99 * SECOND),
                    arriving: true,
                    ..FACTS
                },
                stay(9),
            ),
            (
                "leaving, and a request never arrives whole",
                Facts {
                    leaving_since: Some(90 * SECOND),
                    idle_since: 0,
                    arriving: true,
                    ..FACTS
                },
                Action::Close(Why::Idle),
            ),
            (
                "leaving, with a request in flight",
                Facts {
                    leaving_since: Some(SECOND),
                    in_flight: 1,
                    ..FACTS
                },
                stay(20),
            ),
            (
                "leaving, and the last answer went out just now",
                Facts {
                    leaving_since: Some(SECOND),
                    idle_since: 100 * SECOND,
                    ..FACTS
                },
                half,
            ),
        ] {
            assert_eq!(judge(facts, &limits()), action, "{what}");
        }
    }
}
