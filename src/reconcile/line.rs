//! The line: in which order rebuilds have their turn, and how many at a time. Those whose buyers wait go first; of the others
//! any one, so that gateways which begin together do not all want the same.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Rebuilds that work at the same time; one that waits for landing does not count. What each asks of the database is short,
/// so lookups and leases come to a connection between them.
const AT_ONCE: usize = 12;
/// Where so many work, only those go on whose buyers wait.
const OTHERS_AT_ONCE: usize = 8;

/// Shared by all rebuilds of a process.
#[derive(Debug)]
pub(super) struct Line(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    at_once: usize,
    others_at_once: usize,
    busy: usize,
    /// In the order in which they came.
    first: VecDeque<Waiting>,
    others: Vec<Waiting>,
    /// Campaigns whose buyers wait.
    hurried: HashSet<String>,
}

#[derive(Debug)]
struct Waiting {
    campaign: String,
    turn: oneshot::Sender<Turn>,
}

impl Default for Line {
    fn default() -> Self {
        Self::of(AT_ONCE, OTHERS_AT_ONCE)
    }
}

impl Line {
    fn of(at_once: usize, others_at_once: usize) -> Self {
        Self(Mutex::new(Inner {
            at_once,
            others_at_once,
            busy: 0,
            first: VecDeque::new(),
            others: Vec::new(),
            hurried: HashSet::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody waits for this campaign: it goes before those that nobody asks for, until [`Self::done`].
    pub(super) fn hurry(self: &Arc<Self>, campaign: &str) {
        let mut inner = self.lock();
        if !inner.hurried.insert(campaign.to_owned()) {
            return;
        }
        if let Some(at) = inner.others.iter().position(|other| other.campaign == campaign) {
            let waiting = inner.others.swap_remove(at);
            inner.first.push_back(waiting);
            self.call(&mut inner);
        }
    }

    /// Its rebuild has ended, whatever came of it.
    pub(super) fn done(&self, campaign: &str) {
        self.lock().hurried.remove(campaign);
    }

    /// Waits for a turn, which lasts as long as the value.
    pub(super) async fn turn(self: &Arc<Self>, campaign: &str) -> Turn {
        let (turn, called) = oneshot::channel();
        {
            let mut inner = self.lock();
            let campaign = campaign.to_owned();
            match inner.hurried.contains(&campaign) {
                true => inner.first.push_back(Waiting { campaign, turn }),
                false => inner.others.push(Waiting { campaign, turn }),
            }
            self.call(&mut inner);
        }
        called.await.expect("whoever waits in line is called")
    }

    /// Calls whoever may begin.
    fn call(self: &Arc<Self>, inner: &mut Inner) {
        while let Some(next) = inner.next() {
            inner.busy += 1;
            if let Err(mut turn) = next.turn.send(Turn(Some(self.clone()))) {
                // Whoever waited is gone.
                turn.0 = None;
                inner.busy -= 1;
            }
        }
    }
}

impl Inner {
    fn next(&mut self) -> Option<Waiting> {
        if self.busy < self.at_once
            && let Some(first) = self.first.pop_front()
        {
            return Some(first);
        }
        if self.busy < self.others_at_once && !self.others.is_empty() {
            let any = fastrand::usize(..self.others.len());
            return Some(self.others.swap_remove(any));
        }
        None
    }
}

/// The right to work; by default none.
#[derive(Debug, Default)]
pub(super) struct Turn(Option<Arc<Line>>);

impl Turn {
    pub(super) fn is_mine(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            let mut inner = line.lock();
            inner.busy -= 1;
            line.call(&mut inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;

    use super::*;

    fn waiting<'a>(line: &'a Arc<Line>, campaign: &'a str) -> BoxFuture<'a, Turn> {
        let mut turn = line.turn(campaign).boxed();
        assert!((&mut turn).now_or_never().is_none(), "{campaign} has to wait");
        turn
    }

    #[test]
    fn those_that_are_asked_for_go_first() {
        let line = Arc::new(Line::of(1, 1));
        let held = line.turn("first").now_or_never().expect("nobody is before it");
        line.hurry("asked");
        let mut others: Vec<_> = ["a", "b", "c"].map(|campaign| waiting(&line, campaign)).into();
        let mut asked = waiting(&line, "asked");
        // While it waits, somebody asks for it.
        line.hurry("c");
        drop(held);
        let turn = (&mut asked).now_or_never().expect("it is asked for");
        assert!(others.iter_mut().all(|other| other.now_or_never().is_none()));
        drop(turn);
        let turn = others[2]
            .as_mut()
            .now_or_never()
            .expect("it came to be asked for");
        assert!(others[..2].iter_mut().all(|other| other.now_or_never().is_none()));
        drop(turn);
        let mut went: Vec<usize> = Vec::new();
        for _ in 0..2 {
            for (at, other) in others[..2].iter_mut().enumerate() {
                if !went.contains(&at)
                    && let Some(turn) = other.as_mut().now_or_never()
                {
                    went.push(at);
                    drop(turn);
                }
            }
        }
        went.sort_unstable();
        assert_eq!(went, [0, 1], "everybody has a turn");
    }

    #[test]
    fn it_is_no_longer_hurried_when_it_is_done() {
        let line = Arc::new(Line::of(1, 1));
        let held = line.turn("first").now_or_never().expect("nobody is before it");
        line.hurry("b");
        line.done("b");
        let _b = waiting(&line, "b");
        line.hurry("a");
        let mut a = waiting(&line, "a");
        drop(held);
        assert!(a.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_turn_of_somebody_who_went_away_is_not_lost() {
        let line = Arc::new(Line::of(1, 1));
        let held = line.turn("first").now_or_never().expect("nobody is before it");
        // One goes before it is called, the other after.
        drop(waiting(&line, "gone"));
        let called = waiting(&line, "called");
        drop(held);
        drop(called);
        assert!(line.turn("last").now_or_never().is_some());
        assert_eq!(line.lock().busy, 0);
    }

    #[test]
    fn slow_ones_that_nobody_asks_for_leave_room() {
        let line = Arc::new(Line::of(3, 2));
        let _slow = ["a", "b"].map(|campaign| line.turn(campaign).now_or_never().expect("there is room"));
        let mut other = waiting(&line, "c");
        line.hurry("asked");
        assert!(line.turn("asked").now_or_never().is_some());
        assert!(other.as_mut().now_or_never().is_none());
        line.hurry("c");
        assert!(other.as_mut().now_or_never().is_some(), "now it is asked for");
    }
}
