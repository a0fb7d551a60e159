//! `GET …/orders/{order}/events` and `GET …/orders/events`: who may open a stream, and what it begins with.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::event::{Event, Next};
use super::places::{Bounds, Place};
use super::stream::{End, Stream, Terms};
use super::watch::{Of, Subscription};
use super::{keep, last_id};
use crate::gateway::answer::{self, Answer};
use crate::gateway::auth::Identity;
use crate::gateway::buyer::Buyer;
use crate::gateway::client_ip::client_ip;
use crate::gateway::content::Content;
use crate::gateway::show::{Shown, no_lookup, unknown};
use crate::gateway::{Gateway, Orders};
use crate::order::OrderId;
use crate::serving::{PeerKey, share};
use crate::store::{StoreError, StoreResult};
use crate::wire::Problem;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Told to nginx and those who do like it: what comes is passed on at once.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// No stream is open for longer, whatever its token says: its client connects again, perhaps to a gateway with more room.
const AGE_MAX: Duration = Duration::from_secs(3600);
/// A client whose stream ended connects again after so long, at least and at most: all of a gateway do not come at once.
const RETRY_MS: std::ops::Range<u64> = 1000..3000;

impl<O: Orders> Gateway<O> {
    /// The stream of one order, for its owner.
    pub(in crate::gateway) async fn stream_order(
        &self,
        (campaign, order): (&str, &str),
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Answer, Problem> {
        let buyer = self.buyer(campaign, headers).await?;
        let after = last_id::of_order(headers)?;
        let order: OrderId = order.parse().map_err(|_| unknown())?;
        let place = self.take_place(&buyer, peer, headers)?;
        let subscription = self.subscribe(campaign, Of::Order(order));
        let shown = self.looked_up(campaign, order, &buyer).await?;
        let event = match &shown {
            Shown::Placed(placed, state) => Event::placed(campaign, order, placed, *state),
            Shown::Landed(row) => {
                let closes = keep::closes(&*self.orders, campaign, [row]).await;
                Event::landed(campaign, row, closes, None)
            }
        };
        let is_told = after.is_some_and(|number| number >= event.number);
        if is_told && event.next == Next::Nothing {
            // Of all answers, this one tells a client not to connect again.
            return Ok(nothing_follows());
        }
        subscription.inbox.begin(&[(order, event.number)]);
        let mut terms = self.terms(subscription, place, &buyer, false);
        if let Next::Until(until) = event.next {
            terms.end_by(until, End::Over);
        }
        let told = if is_told { Vec::new() } else { vec![event] };
        Ok(streamed(Stream::new(terms, preamble(), &told)))
    }

    /// The stream of all orders of a buyer in a campaign.
    pub(in crate::gateway) async fn stream_mine(
        &self,
        campaign: &str,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Answer, Problem> {
        let buyer = self.buyer(campaign, headers).await?;
        let after = last_id::of_several(headers)?;
        let place = self.take_place(&buyer, peer, headers)?;
        let found = self.orders.campaign(campaign).await;
        found
            .map_err(|error| answer::admission_error(&error))?
            .ok_or_else(|| answer::unknown_campaign(campaign))?;
        let subscription = self.subscribe(campaign, Of::Buyer(buyer.user.as_str().into()));
        let told = self.newest(campaign, &buyer.user).await.map_err(|error| {
            tracing::warn!(%error, "a buyer's orders could not be looked up");
            no_lookup()
        })?;
        let numbers: Vec<_> = told.iter().map(|event| (event.order, event.number)).collect();
        subscription.inbox.begin(&numbers);
        // Whose stream broke may have missed a change that nothing follows.
        let is_news = |event: &Event| match after {
            Some((order, number)) => event.order != order || event.number > number,
            None => event.next != Next::Nothing,
        };
        let told: Vec<Event> = told.into_iter().filter(is_news).collect();
        let terms = self.terms(subscription, place, &buyer, true);
        Ok(streamed(Stream::new(terms, preamble(), &told)))
    }

    fn subscribe(&self, campaign: &str, of: Of) -> Subscription {
        self.live.subscribe((&self.orders, &self.told), campaign, of)
    }

    /// The newest orders of a buyer that landed, the oldest of them first.
    async fn newest(&self, campaign: &str, user: &str) -> StoreResult<Vec<Event>> {
        let read = async {
            let newest = self.orders.newest(campaign, &[user.to_owned()]).await?;
            let ids: Vec<OrderId> = newest.iter().rev().map(|each| each.order).collect();
            self.orders.rows(campaign, &ids).await
        };
        let within = self.config.load().database_wait;
        let late = |_| StoreError::Transient(format!("no answer within {} ms", within.as_millis()));
        let rows = tokio::time::timeout(within, read).await.map_err(late)??;
        let closes = keep::closes(&*self.orders, campaign, rows.iter().map(|(row, _)| row)).await;
        let told = rows.iter().map(|(row, _)| {
            self.told.note(row.attempt.order, row.state);
            Event::landed(campaign, row, closes, None)
        });
        Ok(told.collect())
    }

    /// A place within what a gateway, a buyer and an address may have.
    fn take_place(&self, buyer: &Buyer, peer: IpAddr, headers: &HeaderMap) -> Result<Place, Problem> {
        let config = self.config.load();
        let of_peer = match config.peer_streams {
            0 => share(config.streams),
            given => given,
        };
        let bounds = Bounds {
            all: config.streams,
            of_buyer: config.buyer_streams,
            of_peer,
        };
        let address = client_ip(peer, headers, &config, &self.doubts);
        // As with connections: a proxy has no share.
        let nobody_knows = config.trusted_proxies > 0 && address == peer.to_canonical();
        let has_share = !config.proxies.contain(address) && !nobody_knows;
        let peer = has_share.then(|| PeerKey::of(address));
        self.live.places.take(&buyer.name(), peer, bounds)
    }

    fn terms(&self, subscription: Subscription, place: Place, identity: &Identity, several: bool) -> Terms {
        let now = Instant::now();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let token = identity.expires.map(|expires| {
            let left = Duration::from_secs(expires).saturating_sub(since_1970);
            (now + left.min(AGE_MAX), End::Token)
        });
        let age = (now + AGE_MAX, End::Age);
        Terms {
            subscription,
            _place: place,
            several,
            heartbeat: self.config.load().heartbeat,
            until: token.filter(|(until, _)| *until < age.0).unwrap_or(age),
            figures: self.live.figures.clone(),
        }
    }
}

/// When to come again if the stream breaks.
fn preamble() -> Vec<u8> {
    format!("retry: {}\n\n", fastrand::u64(RETRY_MS)).into_bytes()
}

fn streamed(stream: Stream) -> Answer {
    let mut answer = Answer::new(Content::Live(Box::new(stream)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, EVENT_STREAM);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    answer
}

fn nothing_follows() -> Answer {
    let mut answer = Answer::new(bytes::Bytes::new().into());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    answer
}
