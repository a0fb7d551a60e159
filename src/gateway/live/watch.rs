//! Who waits for changes of which orders, and since nobody looks after what nobody waits for, what is to be looked after.
//!
//! Who wants to know of an order subscribes first and reads its state then: no change falls between the two. Changes are
//! learnt by looking ([`super::keep`]), and earlier where somebody says so ([`Changes`]).

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::event::Event;
use super::inbox::Inbox;
use super::source::Standing;
use crate::order::{OrderId, OrderState};

/// Between two looks at all orders.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While somebody waits for an answer.
const LOOK_EVERY_WHILE_AWAITED: Duration = Duration::from_millis(250);
/// While changes are told as they come.
const LOOK_EVERY_WHILE_TOLD: Duration = Duration::from_secs(5);

type Inboxes = Vec<Arc<Inbox>>;

#[derive(Debug, Default)]
pub(super) struct Watch {
    book: Mutex<Book>,
    /// Something is to be looked at before its time.
    pub(super) hurry: Notify,
    /// Changes are told as they come.
    is_told: AtomicBool,
    /// What changed before they were told is found by one look at all.
    is_behind: AtomicBool,
}

#[derive(Debug, Default)]
struct Book {
    campaigns: HashMap<Box<str>, Watched>,
    /// Subscriptions whose owners hold an answer.
    waits: usize,
    is_kept: bool,
    is_closed: bool,
}

/// What is watched in a campaign.
#[derive(Debug, Default)]
struct Watched {
    orders: HashMap<OrderId, Inboxes>,
    buyers: HashMap<Box<str>, Inboxes>,
    /// Orders that are said to have changed.
    changed: HashSet<OrderId>,
}

/// What is to be looked at in a campaign.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub campaign: String,
    /// How these stand.
    pub orders: Vec<OrderId>,
    pub buyers: Vec<String>,
    /// These have changed.
    pub changed: HashSet<OrderId>,
}

/// What somebody wants to know about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Order(OrderId),
    /// The newest orders of a buyer.
    Buyer(Box<str>),
    /// An order whose buyer is not answered before it is confirmed.
    Awaited(OrderId),
}

impl Watch {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes, and says whether somebody has to begin to look.
    pub(super) fn subscribe(self: &Arc<Self>, campaign: &str, of: Of) -> (Subscription, bool) {
        let inbox = Arc::new(Inbox::default());
        let mut book = self.book();
        if book.is_closed {
            inbox.close();
        }
        let watched = book.campaigns.entry(campaign.into()).or_default();
        match &of {
            Of::Order(order) => watched.orders.entry(*order).or_default().push(inbox.clone()),
            Of::Buyer(user) => watched
                .buyers
                .entry(user.clone())
                .or_default()
                .push(inbox.clone()),
            Of::Awaited(order) => {
                // Nobody reads its state but who looks.
                inbox.begin(&[]);
                watched.orders.entry(*order).or_default().push(inbox.clone());
                watched.changed.insert(*order);
                book.waits += 1;
                self.hurry.notify_one();
            }
        }
        let begins = !std::mem::replace(&mut book.is_kept, true);
        drop(book);
        let (watch, campaign) = (self.clone(), campaign.into());
        let subscription = Subscription {
            watch,
            campaign,
            of,
            inbox,
        };
        (subscription, begins)
    }

    /// Every stream ends, and every wait: the gateway closes.
    pub(super) fn close(&self) {
        let mut book = self.book();
        book.is_closed = true;
        for watched in book.campaigns.values() {
            let all = watched.orders.values().chain(watched.buyers.values());
            all.flatten().for_each(|inbox| inbox.close());
        }
    }

    /// Subscriptions whose owners hold an answer.
    pub(super) fn waits(&self) -> usize {
        self.book().waits
    }

    /// How often all is looked at; `None` where nobody watches any more, and who looks may go.
    pub(super) fn period(&self) -> Option<Duration> {
        let mut book = self.book();
        book.is_kept = !book.campaigns.is_empty();
        if !book.is_kept {
            return None;
        }
        Some(match (self.is_told.load(Ordering::Relaxed), book.waits) {
            (true, _) => LOOK_EVERY_WHILE_TOLD,
            (false, 0) => LOOK_EVERY,
            (false, _) => LOOK_EVERY_WHILE_AWAITED,
        })
    }

    /// Whether all is to be looked at before its time, once.
    pub(super) fn takes_behind(&self) -> bool {
        self.is_behind.swap(false, Ordering::Relaxed)
    }

    /// What is to be looked at: `all` that is watched, or what is said to have changed.
    pub(super) fn looks(&self, all: bool) -> Vec<Look> {
        let mut book = self.book();
        let looks = book.campaigns.iter_mut().map(|(campaign, watched)| {
            let changed = std::mem::take(&mut watched.changed);
            let (mut orders, mut buyers) = (Vec::new(), Vec::new());
            if all {
                orders.extend(watched.orders.keys().filter(|order| !changed.contains(order)));
                buyers.extend(watched.buyers.keys().map(|user| user.to_string()));
            }
            Look {
                campaign: campaign.to_string(),
                orders,
                buyers,
                changed,
            }
        });
        let is_any =
            |look: &Look| !(look.orders.is_empty() && look.buyers.is_empty() && look.changed.is_empty());
        looks.filter(is_any).collect()
    }

    /// These could not be read: they are read again.
    pub(super) fn put_back(&self, look: &Look) {
        let all = !(look.orders.is_empty() && look.buyers.is_empty());
        self.is_behind.fetch_or(all, Ordering::Relaxed);
        self.hurry.notify_one();
        if let Some(watched) = self.book().campaigns.get_mut(look.campaign.as_str()) {
            watched.changed.extend(&look.changed);
        }
    }

    /// Those of these orders of whose state somebody has not been told.
    pub(super) fn lacking(&self, campaign: &str, standing: &[Standing]) -> Vec<OrderId> {
        let book = self.book();
        let Some(watched) = book.campaigns.get(campaign) else {
            return Vec::new();
        };
        let lacks = |each: &&Standing| {
            let of_order = watched.orders.get(&each.order);
            let of_buyer = each.user.as_deref().and_then(|user| watched.buyers.get(user));
            let mut inboxes = of_order.into_iter().chain(of_buyer).flatten();
            inboxes.any(|inbox| inbox.lacks(each.order, each.state.number()))
        };
        standing.iter().filter(lacks).map(|each| each.order).collect()
    }

    /// These are the newest orders of a buyer.
    pub(super) fn keep_to(&self, campaign: &str, user: &str, newest: &[OrderId]) {
        let book = self.book();
        let watched = book.campaigns.get(campaign);
        let inboxes = watched.and_then(|watched| watched.buyers.get(user));
        for inbox in inboxes.into_iter().flatten() {
            inbox.keep_to(newest);
        }
    }

    /// Tells those who wait for it.
    pub(super) fn tell(&self, campaign: &str, user: &str, event: &Arc<Event>) {
        let book = self.book();
        let Some(watched) = book.campaigns.get(campaign) else {
            return;
        };
        let (of_order, of_buyer) = (watched.orders.get(&event.order), watched.buyers.get(user));
        for inbox in of_order.into_iter().chain(of_buyer).flatten() {
            inbox.put(event);
        }
    }
}

/// Where changes of orders are told as they are made, by this gateway or by others.
#[derive(Clone, Debug)]
pub struct Changes(Arc<Watch>);

impl Changes {
    pub(super) fn of(watch: &Arc<Watch>) -> Self {
        Self(watch.clone())
    }

    /// An order of a campaign is in this state now, its change of this number; it is in the database already. Without a
    /// stream or a wait that wants to know, this costs two look-ups in memory.
    pub fn changed(&self, campaign: &str, user: &str, order: OrderId, state: OrderState) {
        let mut book = self.0.book();
        let Some(watched) = book.campaigns.get_mut(campaign) else {
            return;
        };
        let (of_order, of_buyer) = (watched.orders.get(&order), watched.buyers.get(user));
        let mut inboxes = of_order.into_iter().chain(of_buyer).flatten();
        // One that has not begun reads the state itself, perhaps a moment before.
        if inboxes.any(|inbox| inbox.may_lack(order, state.number())) {
            watched.changed.insert(order);
            self.0.hurry.notify_one();
        }
    }

    /// Whether anybody waits for a change.
    pub fn are_watched(&self) -> bool {
        !self.0.book().campaigns.is_empty()
    }

    /// Whether all changes are told here from now on, so that looking at the database is only a second way. What changed
    /// before is looked up once more: between the moment somebody began to wait and this one nobody told of it.
    pub fn are_complete(&self, are: bool) {
        self.0.is_told.store(are, Ordering::Relaxed);
        self.0.is_behind.fetch_or(are, Ordering::Relaxed);
        self.0.hurry.notify_one();
    }
}

/// A place in the book, until it is dropped.
#[derive(Debug)]
pub(in crate::gateway) struct Subscription {
    watch: Arc<Watch>,
    campaign: Box<str>,
    of: Of,
    pub(super) inbox: Arc<Inbox>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut book = self.watch.book();
        if matches!(self.of, Of::Awaited(_)) {
            book.waits -= 1;
        }
        let Some(watched) = book.campaigns.get_mut(&self.campaign) else {
            return;
        };
        let is_another = |inbox: &Arc<Inbox>| !Arc::ptr_eq(inbox, &self.inbox);
        let is_left = |inboxes: Option<&mut Inboxes>| {
            inboxes.is_some_and(|inboxes| {
                inboxes.retain(is_another);
                !inboxes.is_empty()
            })
        };
        match &self.of {
            Of::Order(order) | Of::Awaited(order) => {
                if !is_left(watched.orders.get_mut(order)) {
                    watched.orders.remove(order);
                }
            }
            Of::Buyer(user) => {
                if !is_left(watched.buyers.get_mut(user)) {
                    watched.buyers.remove(user);
                }
            }
        }
        if watched.orders.is_empty() && watched.buyers.is_empty() {
            book.campaigns.remove(&self.campaign);
        }
    }
}
