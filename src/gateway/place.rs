//! `POST /v1/campaigns/{campaign}/orders`: from headers and body to an attempt, and its answer.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::answer::{self, Answer, OrderAnswer};
use super::auth::Identity;
use super::client_ip::client_ip;
use super::live::Wait;
use super::show::{no_lookup, not_before};
use super::told::LastTold;
use super::{Gateway, Orders, body, now_ms};
use crate::admission::{AdmissionError, Placement, Refusal};
use crate::order::{Attempt, BODY, LandedOrder, OrderId, REPLACES};
use crate::store::StoreError;
use crate::wire::problem::MEDIA_TYPE;
use crate::wire::{Problem, check_uncompressed, idempotency_key, is_media_type};

/// Of the text of an address of version 6, about.
const ADDRESS_BYTES_MAX: usize = 40;
/// How long a retry waits for the database to say whether its order has landed.
const AT_ONCE: Duration = Duration::from_millis(100);

impl<O: Orders> Gateway<O> {
    pub(super) async fn place<B>(
        &self,
        campaign: &str,
        peer: IpAddr,
        headers: &HeaderMap,
        body: B,
    ) -> Result<Answer, Problem>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let buyer = self.buyer(campaign, headers).await?;
        let keys = headers.get_all("idempotency-key").iter();
        let key = idempotency_key(keys.map(HeaderValue::as_bytes))?;
        check_content_type(headers)?;
        check_uncompressed(headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes))?;
        let bytes = body::read(body, self.config.load().body_timeout).await?;
        let asked = body::parse(&bytes)?;
        self.check_seller(campaign, &buyer)?;

        if key.is_none()
            && let Some(refusal) = self
                .orders
                .refused(campaign, &buyer.user, (&asked.sku, asked.quantity))
        {
            return Err(self.rejected(&refusal));
        }
        let order = match &key {
            Some(key) => OrderId::keyed(campaign, &buyer.user, key),
            None => OrderId::fresh(now_ms(), random()),
        };
        let claim = match asked.replaces {
            Some(replaced) => {
                self.claim_replaced(campaign, &buyer.user, (replaced, order))
                    .await?
            }
            None => None,
        };
        // What a retry is known by.
        let body = key.is_some().then(|| (BODY.to_owned(), asked.fingerprint()));
        let replaces = asked
            .replaces
            .map(|order| (REPLACES.to_owned(), order.to_string()));
        let mut attributes = self.attributes(&buyer, peer, headers, asked.attributes);
        attributes.extend(body.into_iter().chain(replaces));
        let attempt = Attempt {
            order,
            user: buyer.user.clone(),
            sku: asked.sku.into_owned(),
            quantity: asked.quantity,
            attributes,
        };
        let decided = self.orders.place(campaign, attempt, key.is_some()).await;
        if let Some(claim) = claim {
            claim.settle(&decided);
        }
        match decided {
            Err(AdmissionError::Over { archived }) if key.is_some() => {
                let asked = body::parse(&bytes)?;
                let again = Attempt {
                    order,
                    user: buyer.user.clone(),
                    attributes: [(BODY.to_owned(), asked.fingerprint())].into(),
                    sku: asked.sku.into_owned(),
                    quantity: asked.quantity,
                };
                self.answer_over(campaign, &again, archived).await
            }
            decided => {
                let answer = self.answer(campaign, order, decided).await?;
                match Wait::of(headers) {
                    Some(wait) => Ok(self.hold(campaign, order, wait, answer).await),
                    None => Ok(answer),
                }
            }
        }
    }

    /// What rules may read of a request, by [`crate::plan::Attribute`]'s text form.
    pub(super) fn attributes(
        &self,
        identity: &Identity,
        peer: IpAddr,
        headers: &HeaderMap,
        client: impl IntoIterator<Item = (impl Display, impl Into<String>)>,
    ) -> BTreeMap<String, String> {
        let mut attributes: BTreeMap<String, String> = identity.claims.iter().cloned().collect();
        let named = client
            .into_iter()
            .map(|(name, value)| (format!("client:{name}"), value.into()));
        attributes.extend(named);
        let ip = client_ip(peer, headers, &self.config.load(), &self.doubts);
        let mut text = String::with_capacity(ADDRESS_BYTES_MAX);
        let _ = write!(text, "{ip}");
        attributes.insert("ip".to_owned(), text);
        attributes
    }

    async fn answer(
        &self,
        campaign: &str,
        order: OrderId,
        decided: Result<Placement, AdmissionError>,
    ) -> Result<Answer, Problem> {
        match decided {
            Ok(Placement::Order {
                placed,
                state,
                replayed,
            }) => {
                let outcome = if replayed { "replayed" } else { "admitted" };
                self.metrics.decision(outcome, Cow::Borrowed(""));
                // Most are told of for the first time, and nothing else decides what they are told.
                let told = match placed.released {
                    true => self.told.of(order),
                    false => self.told.of_or_note(order, state),
                };
                let has_landed = placed.released || told == Some(LastTold::Landed);
                let landed = match (has_landed, replayed) {
                    (true, _) => self.landed(campaign, order).await?,
                    (false, true) => self.landed_by_now(campaign, order).await,
                    (false, false) => None,
                };
                let state = match &landed {
                    Some(row) => row.state,
                    None => not_before(state, told)?,
                };
                if told.is_some() || landed.is_some() || placed.released {
                    self.told.note(order, state);
                }
                let shown = match &landed {
                    Some(row) => OrderAnswer::landed(campaign, row),
                    None => OrderAnswer::placed(campaign, order, &placed, state),
                };
                Ok(answer::accepted(&shown, replayed))
            }
            Ok(Placement::Rejected(refusal)) => Err(self.rejected(&refusal)),
            Err(error) => {
                let problem = answer::admission_error(&error);
                self.metrics.decision("failed", problem.reason_code().clone());
                Err(problem)
            }
        }
    }

    fn rejected(&self, refusal: &Refusal) -> Problem {
        let problem = answer::refusal(refusal);
        self.metrics.decision("rejected", problem.reason_code().clone());
        problem
    }

    /// An order that gave back what it held, or that its buyer knows to have landed: the database says how it stands.
    pub(super) async fn landed(
        &self,
        campaign: &str,
        order: OrderId,
    ) -> Result<Option<LandedOrder>, Problem> {
        let landed = self.landed_in_time(campaign, order).await;
        landed.map_err(|error| no_lookup_of(&error))
    }

    /// An order that is asked for again: whether it has landed meanwhile, as far as the database says so at once. Where it is busy
    /// or away, the buyer is told what the engine knows: a retry is not to wait for more than its first answer did.
    async fn landed_by_now(&self, campaign: &str, order: OrderId) -> Option<LandedOrder> {
        let asked = self.orders.landed(campaign, order);
        match tokio::time::timeout(AT_ONCE, asked).await {
            Ok(Ok(landed)) => landed,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a retry is answered without the database");
                None
            }
            Err(_) => None,
        }
    }
}

pub(super) fn no_lookup_of(error: &StoreError) -> Problem {
    tracing::warn!(%error, "a landed order could not be looked up");
    no_lookup()
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if given.is_some_and(|given| is_media_type(given, "application/json")) {
        return Ok(());
    }
    Err(Problem::new(
        &MEDIA_TYPE,
        "the body of an order is JSON: send the header Content-Type: application/json",
    ))
}

pub(super) fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    fastrand::fill(&mut bytes);
    bytes
}
