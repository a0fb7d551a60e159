//! The router of the data plane: a handful of paths, matched by hand.

use std::borrow::Cow;

use hyper::Method;
use percent_encoding::percent_decode_str;

use super::shop::File;
use crate::campaign::check_id;
use crate::wire::problem::{self, UNKNOWN};
use crate::wire::{Problem, echo, not_found, openapi};

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Campaigns,
    MyOrders,
    Orders {
        campaign: Cow<'a, str>,
    },
    Order {
        campaign: Cow<'a, str>,
        order: Cow<'a, str>,
    },
    Cancel {
        campaign: Cow<'a, str>,
        order: Cow<'a, str>,
    },
    OrderEvents {
        campaign: Cow<'a, str>,
        order: Cow<'a, str>,
    },
    /// Of all orders of who asks.
    MyEvents {
        campaign: Cow<'a, str>,
    },
    Campaign {
        campaign: Cow<'a, str>,
    },
    Quota {
        campaign: Cow<'a, str>,
    },
    /// What this plane is asked and answers, as JSON.
    Contract,
    /// The same for people.
    ContractPage,
    Problems,
    Problem {
        text: String,
    },
    /// Found by nobody but `rushgate dev`.
    Shop(&'static File),
}

impl Route<'_> {
    /// Label of the metrics.
    pub(super) fn name(&self, method: &Method) -> &'static str {
        match self {
            Self::Campaigns => "campaigns",
            Self::Orders { .. } if method == Method::POST => "place",
            Self::Orders { .. } | Self::MyOrders => "orders",
            Self::Order { .. } => "order",
            Self::Cancel { .. } => "cancel",
            Self::OrderEvents { .. } => "order-events",
            Self::MyEvents { .. } => "my-events",
            Self::Campaign { .. } => "campaign",
            Self::Quota { .. } => "quota",
            Self::Contract | Self::ContractPage => "contract",
            Self::Problems => "problems",
            Self::Problem { .. } => "problem",
            Self::Shop(_) => "shop",
        }
    }

    /// Value of the header `Allow`.
    pub(super) fn allow(&self) -> &'static str {
        match self {
            Self::Orders { .. } => "GET, HEAD, POST",
            Self::Cancel { .. } => "POST",
            // The head alone of a stream tells nothing, and would have to be found out.
            Self::OrderEvents { .. } | Self::MyEvents { .. } => "GET",
            _ => "GET, HEAD",
        }
    }

    pub(super) fn allows(&self, method: &Method) -> bool {
        let reads = method == Method::GET || method == Method::HEAD;
        match self {
            Self::Orders { .. } => reads || method == Method::POST,
            Self::Cancel { .. } => method == Method::POST,
            Self::OrderEvents { .. } | Self::MyEvents { .. } => method == Method::GET,
            _ => reads,
        }
    }
}

/// Finds the route of a path; none ends with a slash. Campaign ids are percent-decoded and checked here, so that nothing
/// further in sees an id that could not exist.
pub(super) fn find(path: &str) -> Result<Route<'_>, Problem> {
    if path.ends_with('/') {
        return Err(not_found(path));
    }
    if let Some(rest) = path.strip_prefix("/v1/campaigns/") {
        let mut segments = rest.split('/');
        let campaign = segments.next().unwrap_or_default();
        match (segments.next(), segments.next(), segments.next()) {
            (Some("orders"), Some(order), Some("cancel"))
                if segments.next().is_none() && !order.is_empty() =>
            {
                let campaign = campaign_id(campaign)?;
                let order = percent_decode_str(order).decode_utf8_lossy();
                return Ok(Route::Cancel { campaign, order });
            }
            (None, ..) => {
                let campaign = campaign_id(campaign)?;
                return Ok(Route::Campaign { campaign });
            }
            (Some("orders"), None, _) => {
                let campaign = campaign_id(campaign)?;
                return Ok(Route::Orders { campaign });
            }
            (Some("quota"), None, _) => {
                let campaign = campaign_id(campaign)?;
                return Ok(Route::Quota { campaign });
            }
            (Some("orders"), Some("events"), None) => {
                let campaign = campaign_id(campaign)?;
                return Ok(Route::MyEvents { campaign });
            }
            (Some("orders"), Some(order), Some("events"))
                if !order.is_empty() && segments.next().is_none() =>
            {
                let campaign = campaign_id(campaign)?;
                let order = percent_decode_str(order).decode_utf8_lossy();
                return Ok(Route::OrderEvents { campaign, order });
            }
            (Some("orders"), Some(order), None) if !order.is_empty() => {
                let campaign = campaign_id(campaign)?;
                let order = percent_decode_str(order).decode_utf8_lossy();
                return Ok(Route::Order { campaign, order });
            }
            _ => {}
        }
    } else if path == "/v1/campaigns" {
        return Ok(Route::Campaigns);
    } else if path == "/v1/orders" {
        return Ok(Route::MyOrders);
    } else if path == openapi::PATH {
        return Ok(Route::Contract);
    } else if path == openapi::PAGE_PATH {
        return Ok(Route::ContractPage);
    } else if path == problem::LIST_PATH {
        return Ok(Route::Problems);
    } else if let Some(text) = path.strip_prefix(problem::PATH).and_then(problem::explain) {
        return Ok(Route::Problem { text });
    }
    Err(not_found(path))
}

pub(super) fn campaign_id(segment: &str) -> Result<Cow<'_, str>, Problem> {
    let id = percent_decode_str(segment).decode_utf8_lossy();
    match check_id(&id) {
        Ok(()) => Ok(id),
        Err(error) => Err(Problem::new(
            &UNKNOWN,
            format!("no campaign can have the id {}: it {error}", echo(&id)),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route() {
        let campaign = || Cow::Borrowed("spring");
        for path in ["/v1/campaigns/spring/orders", "/v1/campaigns/sp%72ing/orders"] {
            assert_eq!(
                find(path).ok(),
                Some(Route::Orders { campaign: campaign() }),
                "{path}"
            );
        }
        assert_eq!(
            find("/v1/campaigns/spring").ok(),
            Some(Route::Campaign { campaign: campaign() })
        );
        assert_eq!(
            find("/v1/campaigns/spring/orders/0a").ok(),
            Some(Route::Order {
                campaign: campaign(),
                order: "0a".into()
            })
        );
        assert_eq!(
            find("/v1/campaigns/spring/orders/0a/cancel").ok(),
            Some(Route::Cancel {
                campaign: campaign(),
                order: "0a".into()
            })
        );
        assert_eq!(
            find("/v1/campaigns/spring/quota").ok(),
            Some(Route::Quota { campaign: campaign() })
        );
        assert_eq!(find("/v1/campaigns").ok(), Some(Route::Campaigns));
        assert_eq!(find("/v1/orders").ok(), Some(Route::MyOrders));
        assert_eq!(
            find("/v1/campaigns/spring/orders/0a/events").ok(),
            Some(Route::OrderEvents {
                campaign: campaign(),
                order: "0a".into()
            })
        );
        assert_eq!(
            find("/v1/campaigns/spring/orders/events").ok(),
            Some(Route::MyEvents { campaign: campaign() })
        );
        assert_eq!(find("/openapi.json").ok(), Some(Route::Contract));
        assert_eq!(find("/docs").ok(), Some(Route::ContractPage));
        assert_eq!(find("/problems").ok(), Some(Route::Problems));
        assert_eq!(
            find("/problems/sold-out").map(|r| r.name(&Method::GET)).ok(),
            Some("problem")
        );
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in [
            "/",
            "/v1",
            "/v1/order",
            "/v1/orders/1",
            "/v2/campaigns/spring",
            "/v1/campaigns/",
            "/v1/campaigns/spring/",
            "/problems/",
            "/problems/sold-out/",
            "/v1/campaigns/spring/quota/",
            "/v1/campaigns/spring/orders/",
            "/v1/campaigns/spring/orders/1/events/1",
            "/v1/campaigns/spring/orders//events",
            "/v1/campaigns/spring/orders/1/2/3",
            "/v1/campaigns/spring/orders//cancel",
            "/v1/campaigns/spring/orders/1/cancel/",
            "/v1/campaigns/spring/orders/1/cancel/2",
            "//v1/campaigns/spring",
            "/problems/nope",
        ] {
            let problem = find(path).expect_err(path);
            assert_eq!(
                (problem.status(), problem.reason_code().as_ref()),
                (404, "not-found"),
                "{path}"
            );
        }
    }

    #[test]
    fn impossible_campaign_ids_are_unknown() {
        let long = format!("/v1/campaigns/{}", "a".repeat(10_240));
        for path in [
            "/v1/campaigns//orders",
            "/v1/campaigns/a%7Bb%7D/orders",
            "/v1/campaigns/a%00/orders",
            "/v1/campaigns/a%0Ab/orders",
            "/v1/campaigns/a%27/orders",
            "/v1/campaigns/a%2Fb/orders",
            "/v1/campaigns/a%20/orders",
            "/v1/campaigns/%ff/orders",
            "/v1/campaigns/%/orders",
            "/v1/campaigns/%E4%BD%A0/orders/1",
            &long,
        ] {
            let problem = find(path).expect_err(path);
            assert_eq!(problem.reason_code(), "unknown", "{path}");
            assert!(problem.to_json().len() < 600);
        }
    }
}
