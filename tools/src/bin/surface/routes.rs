//! Paths of both planes with the methods they take, answers to a few requests, and every problem.

use std::collections::BTreeSet;

use hyper::Method;
use rushgate::wire::problem;
use serde_json::Value;
use testkit::control::TOKEN;
use testkit::deployment::Member;
use testkit::http::{Http, Reply};

use crate::Page;
use crate::sale::{CAMPAIGN, EARLY};

const DATA: &[&str] = &[
    "/v1/campaigns",
    "/v1/orders",
    "/v1/campaigns/surface",
    "/v1/campaigns/surface/orders",
    "/v1/campaigns/surface/orders/00000000000000000000000000000000",
    "/v1/campaigns/surface/orders/00000000000000000000000000000000/cancel",
    "/v1/campaigns/surface/orders/00000000000000000000000000000000/events",
    "/v1/campaigns/surface/orders/events",
    "/v1/campaigns/surface/quota",
    "/problems",
    "/problems/sold-out",
    "/openapi.json",
    "/docs",
    // Of `rushgate dev` alone.
    "/shop",
    "/",
    "/metrics",
    "/livez",
    "/readyz",
];
const ADMIN: &[&str] = &[
    "/livez",
    "/readyz",
    "/metrics",
    "/problems",
    "/problems/sold-out",
    "/openapi.json",
    "/docs",
    "/admin/v1/modules",
    "/admin/v1/modules/one-per-user",
    "/admin/v1/audiences",
    "/admin/v1/audiences/vip",
    "/admin/v1/audiences/vip/1",
    "/admin/v1/audiences/vip/1/members",
    "/admin/v1/audiences/vip/members/vera",
    "/admin/v1/campaigns",
    "/admin/v1/campaigns/surface",
    "/admin/v1/campaigns/surface/revisions",
    "/admin/v1/campaigns/surface/revisions/1",
    "/admin/v1/campaigns/surface/revisions/1/diff",
    "/admin/v1/campaigns/surface/revisions/1/approve",
    "/admin/v1/campaigns/surface/proposals",
    "/admin/v1/campaigns/surface/proposals/1",
    "/admin/v1/campaigns/surface/proposals/1/approve",
    "/admin/v1/campaigns/surface/reconcile",
    "/admin/v1/campaigns/surface/activate",
    "/admin/v1/campaigns/surface/pause",
    "/admin/v1/campaigns/surface/resume",
    "/admin/v1/campaigns/surface/end",
    "/admin/v1/campaigns/surface/scheduled/1",
    "/admin/v1/campaigns/surface/simulate",
    "/admin/v1/campaigns/surface/clone",
    "/admin/v1/campaigns/surface/orders",
    "/admin/v1/campaigns/surface/orders/00000000000000000000000000000000",
    "/admin/v1/campaigns/surface/orders/00000000000000000000000000000000/pay",
    "/admin/v1/campaigns/surface/orders/00000000000000000000000000000000/cancel",
    "/admin/v1/campaigns/surface/orders/00000000000000000000000000000000/refund",
    "/admin/v1/campaigns/surface/orders/cancel",
    "/admin/v1/campaigns/surface/orders/refund",
    "/admin/v1/campaigns/surface/orders/jobs",
    "/admin/v1/campaigns/surface/orders/jobs/1",
    "/admin/v1/campaigns/surface/skus",
    "/admin/v1/campaigns/surface/skus/mug/stock",
    "/admin/v1/campaigns/surface/stock",
    "/admin/v1/buyers/1/data",
    "/admin/v1/buyers/1/erase",
    "/admin/v1/buyers/1/erasure",
    "/admin/v1/letters",
    "/admin/v1/letters/replay",
    "/admin/v1/letters/cancel",
    "/admin/v1/letters/unpark",
    "/admin/v1/letters/discard",
    "/admin/v1/letters/rushgate.orders/0/1",
    "/admin/v1/letters/rushgate.orders/0/1/repair",
    "/admin/v1/audit",
    "/admin/v1/audit/head",
    "/admin/v1/webhooks",
    "/admin/v1/webhooks/1",
    "/admin/v1/webhooks/1/secret",
    "/admin/v1/webhooks/1/deliveries",
    "/admin/v1/webhooks/1/replay",
    "/admin/v1/webhooks/1/test",
    "/admin/v1/keys",
    "/admin/v1/keys/1",
    "/admin/v1/merchants",
    "/admin/v1/merchants/a",
    "/",
    "/admin/v1/nothing",
];

pub async fn write(page: &mut Page, gateway: &Member, lander: &Member) {
    page.section("routes");
    for (plane, address, paths) in [
        ("data plane", &gateway.orders, DATA),
        ("control plane of a gateway", &gateway.admin, ADMIN),
        ("control plane of a lander", &lander.admin, ADMIN),
    ] {
        page.line(format!("### {plane}"));
        for path in paths {
            // A method that nothing takes: the answer says which ones are taken.
            let reply = authorized(Method::TRACE, address, path).await;
            let allow = reply.header("allow");
            page.line(format!("{path}  {} {allow}", reply.status));
        }
    }
    page.section("members of answers");
    let campaign = format!("/v1/campaigns/{CAMPAIGN}");
    let early = format!("/v1/campaigns/{EARLY}/quota");
    for path in [
        &campaign,
        &format!("{campaign}/quota"),
        &early,
        "/v1/campaigns/none/quota",
    ] {
        shown(page, path, as_buyer(&gateway.orders, path).await);
    }
    for path in ADMIN.iter().filter(|path| path.starts_with("/admin/")) {
        shown(page, path, authorized(Method::GET, &gateway.admin, path).await);
    }
    page.section("problems");
    let http = Http::new();
    for kind in problem::ALL {
        let url = format!("http://{}/problems/{}", gateway.orders, kind.slug);
        let reply = http.get(&url, &[]).await;
        page.line(format!("### {}", kind.slug));
        reply.text().lines().for_each(|line| page.line(line));
    }
}

async fn authorized(method: Method, address: &str, path: &str) -> Reply {
    let token = format!("Bearer {TOKEN}");
    let url = format!("http://{address}{path}");
    let headers = [("authorization", token.as_str())];
    Http::new().send(method, &url, &headers, Vec::new()).await
}

async fn as_buyer(address: &str, path: &str) -> Reply {
    let url = format!("http://{address}{path}");
    Http::new()
        .get(&url, &[("authorization", "Bearer dev:ada")])
        .await
}

/// Members whose own members are reasons: which ones, is a matter of chance.
const COUNTED: &str = "rejected";

/// Names of members, wherever they stand in the answer.
fn shown(page: &mut Page, path: &str, reply: Reply) {
    let mut members = BTreeSet::new();
    match serde_json::from_slice(&reply.body) {
        Ok(value) => collect(&value, "", &mut members),
        Err(_) => members.extend(reply.text().lines().next().map(str::to_owned)),
    }
    page.line(format!(
        "### GET {path}: {}, {}",
        reply.status,
        reply.header("content-type")
    ));
    members.iter().for_each(|member| page.line(member));
}

fn collect(value: &Value, at: &str, members: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let at = format!("{at}/{name}");
                members.insert(at.clone());
                if name != COUNTED {
                    collect(value, &at, members);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(item, &format!("{at}/*"), members);
            }
        }
        _ => {}
    }
}
