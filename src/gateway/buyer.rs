//! Whoever asks, and at whose sale: a buyer is one of a merchant's, so that the same user at two merchants is two buyers.

use std::ops::Deref;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::http::request::Parts;

use super::auth::{Auth, Identity};
use super::cors::campaign_of;
use super::{Gateway, Orders, answer, query};
use crate::ruleset::Seller;
use crate::wire::problem::{MALFORMED, TOKEN_MISSING, UNAVAILABLE};
use crate::wire::{Problem, bearer};

/// The path of a buyer's orders over all campaigns.
const MY_ORDERS: &str = "/v1/orders";

/// A verified buyer of a campaign.
#[derive(Clone, Debug)]
pub(super) struct Buyer {
    identity: Arc<Identity>,
    seller: Seller,
}

impl Deref for Buyer {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl Buyer {
    pub(super) fn into_identity(self) -> Arc<Identity> {
        self.identity
    }

    /// Unlike any other merchant's: no merchant's id has a slash.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.seller.merchant, self.identity.user)
    }
}

impl<O: Orders> Gateway<O> {
    /// Whoever asks about a campaign, by the issuer of its merchant where it has one, by that of the configuration otherwise.
    pub(super) async fn buyer(&self, campaign: &str, headers: &HeaderMap) -> Result<Buyer, Problem> {
        let token = token(headers)?;
        let seller = self.orders.seller(campaign).await;
        let Some(seller) = seller.map_err(|error| answer::admission_error(&error))? else {
            // Whoever may not ask is not told so much.
            self.auth.load_full().identify(token).await?;
            return Err(answer::unknown_campaign(campaign));
        };
        let auth = self.issuers.of(&seller).await?;
        let identity = self.or_configured(auth).identify(token).await?;
        Ok(Buyer { identity, seller })
    }

    /// Whoever asks about the orders of all campaigns of a merchant, or of those that have no issuer of their own.
    pub(super) async fn buyer_of(
        &self,
        merchant: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Arc<Identity>, Problem> {
        let token = token(headers)?;
        let auth = match merchant {
            Some(merchant) => self.issuers.of_merchant(merchant).await?,
            None => None,
        };
        self.or_configured(auth).identify(token).await
    }

    fn or_configured(&self, auth: Option<Arc<Auth>>) -> Arc<Auth> {
        auth.unwrap_or_else(|| self.auth.load_full())
    }

    /// Refuses where the campaign has become another merchant's since its buyer was verified: it was removed, and another one has its id.
    pub(super) fn check_seller(&self, campaign: &str, buyer: &Buyer) -> Result<(), Problem> {
        let now = self.orders.seller_now(campaign);
        match now.is_some_and(|now| now.merchant == buyer.seller.merchant) {
            true => Ok(()),
            false => Err(Problem::new(
                &UNAVAILABLE,
                "the campaign changes just now: try again",
            )),
        }
    }

    /// Whether a request shows a token that the keys which are here verify.
    pub(super) fn is_authentic(&self, request: &Parts) -> bool {
        let Ok(token) = token(&request.headers) else {
            return false;
        };
        let path = request.uri.path();
        let seller = match campaign_of(path) {
            Some(campaign) => self.orders.seller_now(&campaign).unwrap_or_default(),
            None => Seller::default(),
        };
        let auth = match query::merchant(request.uri.query()).filter(|_| path == MY_ORDERS) {
            Some(merchant) => self.issuers.of_merchant_now(&merchant),
            None => self.issuers.now(&seller),
        };
        let auth = auth.and_then(Result::ok).map(|auth| self.or_configured(auth));
        auth.is_some_and(|auth| auth.verify(token).is_ok())
    }
}

fn token(headers: &HeaderMap) -> Result<&str, Problem> {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer)
        .ok_or_else(|| {
            Problem::new(
                &TOKEN_MISSING,
                "this path needs the header Authorization: Bearer <token>",
            )
        })?;
    // A proxy may have put two headers together. No token has such a character; names in one are percent-encoded.
    if token.contains([' ', '\t', ',']) {
        let detail = "the header Authorization holds more than one value; send one token, percent-encoded where \
                      it has spaces or commas";
        return Err(Problem::new(&MALFORMED, detail));
    }
    Ok(token)
}
