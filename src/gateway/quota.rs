//! `GET /v1/campaigns/{campaign}/quota`: what this buyer has used and still has under each constraint, and whether an order
//! would be refused.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::Serialize;

use super::answer::{self, Answer};
use super::place::random;
use super::query::decoded;
use super::{Gateway, Orders, now_ms};
use crate::admission::{AdmissionError, Quota, Refusal};
use crate::order::{
    Attempt, CLIENT_ATTRIBUTES_MAX, OrderId, QUANTITY_MAX, check_client_attribute, check_sku,
};
use crate::plan::Attribute;
use crate::plan::quota::Allowance;
use crate::wire::problem::{MALFORMED, UNAVAILABLE, UNKNOWN_SKU};
use crate::wire::{Moment, Problem, check_text, echo};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Quota)]
pub(super) struct QuotaAnswer<'a> {
    campaign: &'a str,
    revision: u32,
    as_of: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<&'a str>,
    quantity: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedAnswer<'a>>,
    constraints: Vec<ConstraintAnswer<'a>>,
}

/// How an order would be answered: members of the problem document.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = QuotaRefused)]
pub(super) struct RefusedAnswer<'a> {
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraint: Option<&'a str>,
    detail: &'a str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Moment>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = QuotaConstraint)]
pub(super) struct ConstraintAnswer<'a> {
    constraint: &'a str,
    sentence: &'a str,
    enforced: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<Moment>,
    /// Query parameters that would bring the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

impl<O: Orders> Gateway<O> {
    pub(super) async fn show_quota(
        &self,
        campaign: &str,
        query: &str,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Answer, Problem> {
        let buyer = self.buyer(campaign, headers).await?;
        let asked = parse(query)?;
        let sku = asked.sku;
        let attempt = Attempt {
            // Nothing is looked up or stored under it.
            order: OrderId::fresh(now_ms(), random()),
            user: buyer.user.clone(),
            sku: sku.clone().unwrap_or_default(),
            quantity: asked.quantity,
            attributes: self.attributes(&buyer, peer, headers, asked.attributes),
        };
        let found = self.orders.quota(campaign, &attempt).await;
        let quota = found
            .map_err(|error| match error {
                AdmissionError::Engine(cause) => {
                    tracing::debug!(cause, "engine failed");
                    Problem::new(&UNAVAILABLE, "the quota cannot be read right now")
                }
                error => answer::admission_error(&error),
            })?
            .ok_or_else(|| Problem::new(&UNKNOWN_SKU, "the campaign does not sell this SKU"))?;
        Ok(show(campaign, (sku.as_deref(), asked.quantity), &quota))
    }
}

fn show(campaign: &str, (sku, quantity): (Option<&str>, u32), quota: &Quota) -> Answer {
    let shown = QuotaAnswer {
        campaign,
        revision: quota.revision,
        as_of: Moment(quota.as_of),
        sku,
        quantity,
        refused: quota.refused.as_ref().map(refused),
        constraints: quota.allowances.iter().map(constraint).collect(),
    };
    answer::json(StatusCode::OK, &shown)
}

fn refused(refusal: &Refusal) -> RefusedAnswer<'_> {
    RefusedAnswer {
        reason: refusal.reason.name(),
        constraint: refusal.constraint.as_deref(),
        detail: &refusal.detail,
        retryable: refusal.retryable,
        retry_at: refusal.retry.map(|retry| Moment(retry.at)),
    }
}

fn constraint(allowance: &Allowance) -> ConstraintAnswer<'_> {
    let numbers = allowance.numbers;
    ConstraintAnswer {
        constraint: &allowance.constraint,
        sentence: &allowance.sentence,
        enforced: &allowance.enforced,
        refused: allowance.refused,
        used: numbers.map(|numbers| numbers.used),
        limit: numbers.map(|numbers| numbers.limit),
        remaining: numbers.map(|numbers| numbers.remaining()),
        resets_at: numbers.and_then(|numbers| numbers.resets_at).map(Moment),
        missing: allowance.missing.iter().map(parameter).collect(),
    }
}

/// The query parameter that gives an attribute.
fn parameter(attribute: &Attribute) -> String {
    match attribute.brought() {
        Attribute::Client(name) => format!("client.{name}"),
        other => other.to_string(),
    }
}

/// What the query says: `sku=mug&quantity=2&client.device=d1`.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    sku: Option<String>,
    /// One, unless it is said.
    quantity: u32,
    attributes: Vec<(String, String)>,
}

fn parse(query: &str) -> Result<Asked, Problem> {
    let mut asked = Asked {
        sku: None,
        quantity: 1,
        attributes: Vec::new(),
    };
    let mut seen = BTreeSet::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        let wrong = |why: String| Problem::new(&MALFORMED, format!("query parameter {} {why}", echo(&name)));
        if !seen.insert(name.clone()) {
            return Err(wrong("was sent twice".into()));
        }
        match (name.strip_prefix("client."), name.as_str()) {
            (Some(attribute), _) => {
                check_client_attribute(attribute).map_err(|why| Problem::new(&MALFORMED, why))?;
                check_text(&value).map_err(wrong)?;
                asked.attributes.push((attribute.to_owned(), value));
            }
            (None, "sku") => {
                check_sku(&value).map_err(|why| wrong(why.to_string()))?;
                asked.sku = Some(value);
            }
            (None, "quantity") => asked.quantity = quantity(&value).map_err(wrong)?,
            (None, _) => {
                return Err(wrong(
                    "is not known; use sku, quantity and client.<attribute>".into(),
                ));
            }
        }
    }
    if asked.attributes.len() > CLIENT_ATTRIBUTES_MAX {
        let detail = format!(
            "{} client attributes; at most {CLIENT_ATTRIBUTES_MAX} are allowed",
            asked.attributes.len()
        );
        return Err(Problem::new(&MALFORMED, detail));
    }
    Ok(asked)
}

fn quantity(text: &str) -> Result<u32, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let quantity = text
        .parse()
        .ok()
        .filter(|quantity| (1..=QUANTITY_MAX).contains(quantity));
    let wrong = || format!("is no whole number from 1 to {QUANTITY_MAX}");
    quantity.filter(|_| digits).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_name_a_sku_and_attributes() {
        let nothing = Asked {
            sku: None,
            quantity: 1,
            attributes: Vec::new(),
        };
        assert_eq!(parse("").expect("nothing"), nothing);
        assert_eq!(
            parse("client.device=d+1%2B&sku=mug&quantity=3&").expect("valid"),
            Asked {
                sku: Some("mug".into()),
                quantity: 3,
                attributes: vec![("device".into(), "d 1+".into())],
            }
        );
        let asked = parse("sku=gid%3A%2F%2Fshop%2FRED/M+%C3%84%26").expect("valid");
        assert_eq!(asked.sku.as_deref(), Some("gid://shop/RED/M Ä&"));
    }

    #[test]
    fn other_queries_are_refused() {
        let many: Vec<String> = (0..17).map(|n| format!("client.a{n}=")).collect();
        for query in [
            "sku=",
            "sku=a&sku=a",
            "sku=%00",
            "sku=%ff",
            "sku=%0A",
            "sku=mug%20",
            "client.=x",
            "client.De=x",
            "client.device=%0A",
            "client.device=a&client.device=a",
            "user=bob",
            "quantity=0",
            "quantity=%2B1",
            "quantity=1.5",
            "quantity=1000001",
            "quantity=1&quantity=1",
            "device=d1",
            &many.join("&"),
        ] {
            let problem = parse(query).expect_err(query);
            assert_eq!(problem.status(), 400, "{query}");
        }
    }
}
