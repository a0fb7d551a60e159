//! `GET /v1/orders` and `GET /v1/campaigns/{campaign}/orders`: the orders of whoever asks that have landed, the one placed last
//! first. An order that is on its way is not in the database yet, and is shown by its own path.

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::Serialize;

use super::answer::{self, Answer, OrderAnswer};
use super::query::{self, Page};
use super::{Gateway, Orders};
use crate::campaign::check_id;
use crate::order::OrderId;
use crate::store::{BuyerOrder, OrdersOf};
use crate::wire::problem::{UNAVAILABLE, UNKNOWN};
use crate::wire::{Moment, Problem, echo, paged};

/// Which orders of a buyer are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuyerPage<'a> {
    pub user: &'a str,
    pub of: OrdersOf<'a>,
    /// Those behind this order, which is one of theirs, and its campaign.
    pub before: Option<(&'a str, OrderId)>,
    pub limit: u32,
}

/// What there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuyerOrders {
    Page(Vec<BuyerOrder>),
    NoCampaign,
    /// The order to begin behind is none of theirs that landed.
    NoPlace,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Orders)]
pub(super) struct ListAnswer<'a> {
    orders: Vec<OrderAnswer<'a>>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<O: Orders> Gateway<O> {
    /// Of one campaign where that is named; otherwise of those of the merchant that the query names, or of all merchants that have no
    /// issuer of their own.
    pub(super) async fn list_orders(
        &self,
        campaign: Option<&str>,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Answer, Problem> {
        let (identity, page) = match campaign {
            Some(campaign) => {
                let buyer = self.buyer(campaign, headers).await?;
                (buyer.into_identity(), query::page(query, "before")?)
            }
            None => {
                // Read once: whose token is asked for is whose orders are shown.
                let page = query::page_of_merchant(query, "before");
                let merchant = page.as_ref().ok().and_then(|page| page.merchant.as_deref());
                (self.buyer_of(merchant, headers).await?, page?)
            }
        };
        let Page {
            limit,
            place,
            merchant,
        } = page;
        let of = match (campaign, merchant.as_deref()) {
            (Some(campaign), _) => OrdersOf::Campaign(campaign),
            (None, Some(merchant)) => OrdersOf::Merchant(merchant),
            (None, None) => OrdersOf::Shared,
        };
        let before = match place.as_deref() {
            None => None,
            Some(text) => Some(parsed(campaign, text).ok_or_else(|| no_place(text))?),
        };
        let asked = BuyerPage {
            user: &identity.user,
            of,
            before,
            limit: limit + 1,
        };
        let found = self.in_time(self.orders.buyer_orders(&asked)).await;
        let rows = match found.map_err(|error| {
            tracing::warn!(%error, "the orders of a buyer could not be looked up");
            Problem::new(&UNAVAILABLE, "your orders cannot be looked up right now")
        })? {
            BuyerOrders::Page(rows) => rows,
            BuyerOrders::NoCampaign => return Err(answer::unknown_campaign(campaign.unwrap_or_default())),
            BuyerOrders::NoPlace => return Err(no_place(place.as_deref().unwrap_or_default())),
        };
        for listed in &rows {
            self.told.note(listed.row.order, listed.row.state);
        }
        let (rows, next) = paged(rows, limit, |last| match campaign {
            Some(_) => last.row.order.to_string(),
            None => format!("{}/{}", last.campaign, last.row.order),
        });
        let orders = rows.iter().map(shown).collect();
        Ok(answer::json(StatusCode::OK, &ListAnswer { orders, next }))
    }
}

fn shown(listed: &BuyerOrder) -> OrderAnswer<'_> {
    let row = &listed.row;
    OrderAnswer {
        order: row.order,
        state: row.state,
        campaign: &listed.campaign,
        sku: &row.sku,
        quantity: row.quantity,
        revision: row.revision,
        placed_at: Moment(row.placed_at),
        confirmed_at: row.confirmed_at.map(Moment),
        revoked_reason: row.revoked_reason.as_deref(),
        pay_by: row.pay_by.map(Moment),
        replaces: row.replaces,
    }
}

/// A place as `next` names it: the id of an order, behind its campaign where the list is of all of them.
fn parsed<'a>(campaign: Option<&'a str>, text: &'a str) -> Option<(&'a str, OrderId)> {
    let (campaign, order) = match campaign {
        Some(campaign) => (campaign, text),
        None => text.split_once('/')?,
    };
    check_id(campaign).ok()?;
    Some((campaign, order.parse().ok()?))
}

fn no_place(text: &str) -> Problem {
    let detail = format!(
        "you have no landed order {}: before is what the page before said in next",
        echo(text)
    );
    Problem::new(&UNKNOWN, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_an_order_and_where_it_is_needed_its_campaign() {
        let order = OrderId::keyed("spring", "ada", "k");
        let text = order.to_string();
        assert_eq!(parsed(Some("spring"), &text), Some(("spring", order)));
        let whole = format!("spring/{text}");
        assert_eq!(parsed(None, &whole), Some(("spring", order)));
        for (campaign, place) in [
            (Some("spring"), whole.as_str()),
            (Some("spring"), "x"),
            (None, text.as_str()),
            (None, "spring/x"),
            (None, "spring/"),
            (None, &format!("a b/{text}")),
            (None, &format!("/{text}")),
        ] {
            assert_eq!(parsed(campaign, place), None, "{place}");
        }
    }
}
