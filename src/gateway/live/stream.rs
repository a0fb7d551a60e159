//! One open stream: the body of an answer that goes on until nothing follows, or until it may not go on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep};

use super::event::{Event, Next};
use super::figures::Figures;
use super::inbox::Taken;
use super::places::Place;
use super::watch::Subscription;
use crate::clock::now_ms;
use crate::gateway::content::Going;

/// A comment, which clients skip: it keeps proxies from closing what is silent, and finds out who has gone.
const HEARTBEAT: &[u8] = b":\n\n";

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Final,
    Over,
    Token,
    Age,
    Drain,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Final => "final",
            Self::Over => "over",
            Self::Token => "token",
            Self::Age => "age",
            Self::Drain => "drain",
        }
    }

    /// The last comment: whoever reads the bytes learns why they end.
    fn word(self) -> &'static [u8] {
        match self {
            Self::Final => b"",
            Self::Over => b": the sale was to close now; connect again to hear whether anything follows\n\n",
            Self::Token => b": the token has expired; connect again with a new one\n\n",
            Self::Age => b": this stream is old; connect again\n\n",
            Self::Drain => b": this gateway closes; connect again\n\n",
        }
    }
}

/// What a stream is made of.
pub(super) struct Terms {
    pub subscription: Subscription,
    pub _place: Place,
    /// It tells of several orders, and no state of one of them ends it.
    pub several: bool,
    pub heartbeat: Duration,
    /// When it ends in any case, and why.
    pub until: (Instant, End),
    pub figures: Figures,
}

impl Terms {
    /// It ends then, if it does not earlier.
    pub(super) fn end_by(&mut self, until: Instant, why: End) {
        if until < self.until.0 {
            self.until = (until, why);
        }
    }
}

/// An open stream.
pub(super) struct Stream {
    terms: Terms,
    /// To be told first.
    first: Vec<u8>,
    end: Option<End>,
    /// When there is something to do if nothing happens.
    alarm: Pin<Box<Sleep>>,
}

impl Stream {
    /// Begins with what is to be told already, after `preamble`.
    pub(super) fn new(terms: Terms, preamble: Vec<u8>, told: &[Event]) -> Self {
        let mut stream = Self {
            alarm: Box::pin(tokio::time::sleep(terms.heartbeat)),
            first: preamble,
            end: None,
            terms,
        };
        let mut first = std::mem::take(&mut stream.first);
        for event in told {
            stream.write(event, &mut first);
        }
        stream.first = first;
        stream
    }

    /// Hands bytes over; the next heartbeat is counted from here.
    fn ready(&mut self, bytes: impl Into<Bytes>) -> Poll<Option<Bytes>> {
        let next = Instant::now() + self.terms.heartbeat;
        self.alarm.as_mut().reset(next.min(self.terms.until.0));
        Poll::Ready(Some(bytes.into()))
    }

    fn say(&mut self, end: End) -> Poll<Option<Bytes>> {
        self.end = Some(end);
        self.ready(end.word())
    }

    fn write(&mut self, event: &Event, to: &mut Vec<u8>) {
        event.write(self.terms.several, to);
        self.terms.figures.told(event.at.map(|at| now_ms() - at));
        match event.next {
            _ if self.terms.several => {}
            Next::Nothing => self.end = Some(End::Final),
            Next::Until(until) => self.terms.end_by(until, End::Over),
            Next::Change => {}
        }
    }
}

impl Going for Stream {
    fn has_ended(&self) -> bool {
        self.end.is_some() && self.first.is_empty()
    }

    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return self.ready(first);
        }
        if self.end.is_some() {
            return Poll::Ready(None);
        }
        match self.terms.subscription.inbox.poll(cx) {
            Poll::Ready(Taken::Events(events)) => {
                let mut bytes = Vec::new();
                for event in &events {
                    self.write(event, &mut bytes);
                }
                return self.ready(bytes);
            }
            Poll::Ready(Taken::Closed) => return self.say(End::Drain),
            Poll::Pending => {}
        }
        ready!(self.alarm.as_mut().poll(cx));
        match self.terms.until {
            (until, why) if Instant::now() >= until => self.say(why),
            _ => self.ready(HEARTBEAT),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let why = self.end.filter(|_| self.first.is_empty());
        self.terms.figures.ended(why.map_or("client", End::name));
    }
}
