//! Fail-points: named places at which a process can be made to die or to stall, to show that nothing is lost
//! there. Compiled in always, armed by `RUSHGATE_FAILPOINT`; unarmed, each costs one relaxed load.
//!
//! `G3=abort` dies at the first hit of `G3`, `C2=abort@500` at the five hundredth, `C1=stall:2000@10` sleeps two
//! seconds, blocking its thread, at the tenth.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The environment variable that arms one.
pub const VARIABLE: &str = "RUSHGATE_FAILPOINT";

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The places. `G`: a gateway with its own orders, `R`: relaying what another left behind, `C`: landing,
        /// `D`: replaying dead letters, `S`: a change of the stock, `L`: a change of
        /// landed orders, `E`: telling changes of orders, `P`: erasing a buyer, `A`: the audit trail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point { $($(#[$doc])* $name,)* }

        impl Point {
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

points! {
    /// The admission script is about to be sent.
    G1,
    /// A script ran; its reply has not been looked at. Counts every script of the gateway.
    G2,
    /// The reply was read; nothing was published.
    G3,
    /// The orders are in the producer's queue.
    G4,
    /// Kafka has acknowledged; nobody was told.
    G5,
    /// Acknowledged; the outbox entry is still there.
    G6,
    /// The outbox entry is gone; the client may be without its answer.
    G7,
    /// The lease is held and entries were read; nothing was published.
    R1,
    /// An entry of another gateway is in the producer's queue.
    R2,
    /// It is acknowledged; the entry is still there.
    R3,
    /// The entry is gone.
    R4,
    /// Records were polled; no transaction has begun.
    C1,
    /// Orders are inserted; nothing is committed.
    C2,
    /// The transaction is committed; Kafka's own offsets are not.
    C3,
    /// A record is in a retry topic or among the dead letters; its offset has not moved.
    C4,
    /// In the callback that takes partitions away.
    C5,
    /// A failing batch was halved; one half is done.
    C6,
    /// A dead letter is about to be replayed.
    D1,
    /// It was replayed; that is not recorded.
    D2,
    /// The shard is ready for units that come; the database has none of them.
    S1,
    /// A removal is in the database; no unit was taken.
    S2,
    /// The shard gave units up; their total is as it was.
    S3,
    /// Total, revision and activation are committed; the fence has not moved.
    S4,
    /// It has moved, and units that were added are on sale; the change counts as half done.
    S5,
    /// It is done; nobody was told.
    S6,
    /// The new state of orders is written; nothing is committed.
    L1,
    /// It is committed; the engine has back nothing of what they held.
    L2,
    /// The engine has it back; that is not recorded.
    L3,
    /// A change of an order is committed; its event was not published.
    E1,
    /// It is acknowledged; that is not written down.
    E2,
    /// It is written down that a buyer is to be erased; nobody was told, and nothing is erased.
    P1,
    /// Orders of the buyer have the pseudonym; nothing is committed.
    P2,
    /// That is committed; the rest is as it was.
    P3,
    /// Everything is erased; the request still names the buyer.
    P4,
    /// A change and its lines of the audit trail are written; nothing is committed.
    A1,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Abort,
    Stall(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Armed {
    point: Point,
    action: Action,
    /// Counted from 1.
    hit: u64,
}

static ANY: AtomicBool = AtomicBool::new(false);
static ARMED: OnceLock<Armed> = OnceLock::new();
static HITS: AtomicU64 = AtomicU64::new(0);

/// The text names no fail-point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}: {0:?} is not <point>=abort or <point>=stall:<ms>, each with @<hit> where it is not the first; points are {points:?}", points = Point::ALL)]
pub struct FailpointError(String);

/// Arms the one that the text names, for the rest of the process. Only the first call counts.
pub fn arm(text: &str) -> Result<(), FailpointError> {
    let armed: Armed = text.parse()?;
    ARMED.get_or_init(|| armed);
    ANY.store(true, Relaxed);
    eprintln!("rushgate: fail-point armed: {text}");
    Ok(())
}

/// A process that is to fail here does.
#[inline]
pub fn hit(point: Point) {
    if ANY.load(Relaxed) {
        fail(point);
    }
}

#[cold]
#[allow(
    clippy::disallowed_methods,
    reason = "a stall is to hold up whoever runs into it"
)]
fn fail(point: Point) {
    let Some(armed) = ARMED.get().filter(|armed| armed.point == point) else {
        return;
    };
    if HITS.fetch_add(1, Relaxed) + 1 != armed.hit {
        return;
    }
    eprintln!("rushgate: fail-point {point}: {:?}", armed.action);
    match armed.action {
        // As sudden as a kill: no destructor runs, nothing is flushed.
        Action::Abort => std::process::abort(),
        Action::Stall(time) => std::thread::sleep(time),
    }
}

impl FromStr for Armed {
    type Err = FailpointError;

    fn from_str(text: &str) -> Result<Self, FailpointError> {
        let parsed = || {
            let (point, rest) = text.split_once('=')?;
            let point = *Point::ALL.iter().find(|each| each.to_string() == point)?;
            let (action, hit) = match rest.split_once('@') {
                Some((action, hit)) => (action, hit.parse().ok().filter(|hit| *hit > 0)?),
                None => (rest, 1),
            };
            let action = match action.split_once(':') {
                None if action == "abort" => Action::Abort,
                Some(("stall", ms)) => Action::Stall(Duration::from_millis(ms.parse().ok()?)),
                _ => return None,
            };
            Some(Self { point, action, hit })
        };
        parsed().ok_or_else(|| FailpointError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_actions_and_hits_are_read() {
        let armed = |point, action, hit| Ok(Armed { point, action, hit });
        assert_eq!("G3=abort".parse(), armed(Point::G3, Action::Abort, 1));
        assert_eq!("C2=abort@500".parse(), armed(Point::C2, Action::Abort, 500));
        let stall = Action::Stall(Duration::from_millis(2000));
        assert_eq!("C1=stall:2000@10".parse(), armed(Point::C1, stall, 10));
        for wrong in [
            "",
            "G3",
            "G9=abort",
            "G3=die",
            "G3=abort@0",
            "G3=stall:soon",
            "G3=abort@",
        ] {
            let error = wrong.parse::<Armed>().expect_err(wrong).to_string();
            assert!(error.contains("G1") && error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn unarmed_points_do_nothing() {
        Point::ALL.iter().for_each(|point| hit(*point));
    }
}
