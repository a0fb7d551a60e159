//! What a stream or a wait has not taken yet: of each order the newest state alone, so that whoever reads slowly is told less,
//! and never later.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::event::Event;
use crate::order::OrderId;

#[derive(Debug, Default)]
pub(super) struct Inbox(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    /// The highest number that was put in, or was told before, by order.
    known: Vec<(OrderId, u32)>,
    waiting: Vec<Arc<Event>>,
    /// Its owner knows how things stood; what came since is put in.
    has_begun: bool,
    is_closed: bool,
    waker: Option<Waker>,
}

/// What there is to take.
#[derive(Debug)]
pub(super) enum Taken {
    Events(Vec<Arc<Event>>),
    /// The gateway closes, and nothing is left.
    Closed,
}

impl Inside {
    /// Notes a number; whether it is higher than the one that was known.
    fn raise(&mut self, order: OrderId, number: u32) -> bool {
        match self.known.iter_mut().find(|(known, _)| *known == order) {
            Some((_, known)) => {
                let is_news = number > *known;
                *known = number.max(*known);
                is_news
            }
            None => {
                self.known.push((order, number));
                true
            }
        }
    }
}

impl Inbox {
    fn locked(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins: its owner has told, or need not tell, these.
    pub(super) fn begin(&self, told: &[(OrderId, u32)]) {
        let mut inside = self.locked();
        for (order, number) in told {
            inside.raise(*order, *number);
            inside
                .waiting
                .retain(|event| event.order != *order || event.number > *number);
        }
        inside.has_begun = true;
    }

    /// Whether it has begun and was not told of this.
    pub(super) fn lacks(&self, order: OrderId, number: u32) -> bool {
        let inside = self.locked();
        let known = inside.known.iter().find(|(known, _)| *known == order);
        inside.has_begun && known.is_none_or(|(_, known)| number > *known)
    }

    /// The same, or it has not begun.
    pub(super) fn may_lack(&self, order: OrderId, number: u32) -> bool {
        let has_begun = self.locked().has_begun;
        !has_begun || self.lacks(order, number)
    }

    /// Puts it in, unless something at least as new was.
    pub(super) fn put(&self, event: &Arc<Event>) {
        let mut inside = self.locked();
        if !inside.raise(event.order, event.number) {
            return;
        }
        inside.waiting.retain(|waiting| waiting.order != event.order);
        inside.waiting.push(event.clone());
        wake(inside);
    }

    /// Forgets all orders but these, and what waits: nobody looks after the others any more.
    pub(super) fn keep_to(&self, orders: &[OrderId]) {
        let mut inside = self.locked();
        let Inside { known, waiting, .. } = &mut *inside;
        let waits = |order: &OrderId| waiting.iter().any(|event| event.order == *order);
        known.retain(|(order, _)| orders.contains(order) || waits(order));
    }

    pub(super) fn close(&self) {
        let mut inside = self.locked();
        inside.is_closed = true;
        wake(inside);
    }

    /// What waits, all of it.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Taken> {
        let mut inside = self.locked();
        if inside.has_begun && !inside.waiting.is_empty() {
            return Poll::Ready(Taken::Events(std::mem::take(&mut inside.waiting)));
        }
        if inside.is_closed {
            return Poll::Ready(Taken::Closed);
        }
        match &mut inside.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// Lets go of the lock first: who is woken may look at once.
fn wake(mut inside: MutexGuard<'_, Inside>) {
    let waker = inside.waker.take();
    drop(inside);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::live::event::Next;
    use crate::order::OrderState;

    fn order(n: u32) -> OrderId {
        OrderId::keyed("spring", "ada", &n.to_string())
    }

    fn event(n: u32, state: OrderState) -> Arc<Event> {
        Arc::new(Event {
            order: order(n),
            state,
            number: state.number(),
            json: Default::default(),
            next: Next::Change,
            at: None,
        })
    }

    /// Orders and numbers of what is taken.
    fn taken(inbox: &Inbox) -> Option<Vec<(OrderId, u32)>> {
        match inbox.poll(&Context::from_waker(Waker::noop())) {
            Poll::Ready(Taken::Events(events)) => {
                Some(events.iter().map(|event| (event.order, event.number)).collect())
            }
            Poll::Ready(Taken::Closed) => Some(Vec::new()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_reads_slowly_is_told_the_newest_state_alone() {
        let inbox = Inbox::default();
        inbox.begin(&[(order(1), 0)]);
        assert_eq!(taken(&inbox), None);
        for state in [OrderState::Confirmed, OrderState::Paid, OrderState::Refunded] {
            inbox.put(&event(1, state));
        }
        inbox.put(&event(2, OrderState::Confirmed));
        assert_eq!(taken(&inbox), Some(vec![(order(1), 3), (order(2), 1)]));
        assert_eq!(taken(&inbox), None);
    }

    #[test]
    fn nothing_is_told_twice_or_after_something_newer() {
        let inbox = Inbox::default();
        inbox.begin(&[(order(1), 1)]);
        inbox.put(&event(1, OrderState::Confirmed));
        assert_eq!(taken(&inbox), None);
        inbox.put(&event(1, OrderState::Paid));
        assert_eq!(taken(&inbox), Some(vec![(order(1), 2)]));
        inbox.put(&event(1, OrderState::Confirmed));
        assert_eq!((taken(&inbox), inbox.lacks(order(1), 2)), (None, false));
        assert!(inbox.lacks(order(1), 3) && inbox.lacks(order(2), 1));
    }

    #[test]
    fn what_comes_before_it_begins_is_kept_where_it_is_newer_than_what_was_read() {
        let inbox = Inbox::default();
        inbox.put(&event(1, OrderState::Confirmed));
        inbox.put(&event(2, OrderState::Paid));
        assert!(!inbox.lacks(order(3), 1), "nobody looks for it yet");
        assert_eq!(taken(&inbox), None);
        inbox.begin(&[(order(1), 1), (order(2), 1)]);
        assert_eq!(taken(&inbox), Some(vec![(order(2), 2)]));
    }

    #[test]
    fn what_waits_is_told_before_it_closes_and_forgotten_orders_take_no_room() {
        let inbox = Inbox::default();
        inbox.begin(&[(order(1), 1), (order(2), 1)]);
        inbox.put(&event(3, OrderState::Confirmed));
        inbox.keep_to(&[order(2)]);
        assert_eq!(inbox.locked().known, [(order(2), 1), (order(3), 1)]);
        inbox.close();
        assert_eq!(taken(&inbox), Some(vec![(order(3), 1)]));
        assert_eq!(taken(&inbox), Some(vec![]));
    }
}
