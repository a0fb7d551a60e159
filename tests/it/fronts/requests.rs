//! What holds for every route of both planes: hosts, bodies as they are sent, paths, queries and methods (docs/HTTP.md).

use std::net::SocketAddr;

use rushgate::wire::problem;
use serde_json::Value;

use crate::fronts::wire::{Reply, call, send};
use crate::fronts::{control, stage};

const ADA: (&str, &str) = ("authorization", "Bearer dev:ada");
const ADMIN: (&str, &str) = ("authorization", "Bearer secret");
const JSON: (&str, &str) = ("content-type", "application/json");
const ORDERS: &str = "/v1/campaigns/spring/orders";
const ORDER: &[u8] = br#"{"sku":"mug","quantity":1}"#;

/// Method and path of every route of the data plane.
const DATA: &[(&str, &str)] = &[
    ("GET", "/v1/campaigns/spring"),
    ("GET", "/v1/campaigns"),
    ("GET", "/v1/orders"),
    ("GET", ORDERS),
    ("POST", ORDERS),
    (
        "GET",
        "/v1/campaigns/spring/orders/00000000000000000000000000000001",
    ),
    ("GET", "/v1/campaigns/spring/quota"),
    ("GET", "/problems"),
    ("GET", "/problems/sold-out"),
    ("GET", "/problems/rule/limit-per-user"),
];
/// And of the control plane.
const CONTROL: &[(&str, &str)] = &[
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/problems"),
    ("GET", "/problems/sold-out"),
    ("GET", "/admin/v1/modules"),
    ("POST", "/admin/v1/modules"),
    ("GET", "/admin/v1/modules/one-per-user"),
    ("DELETE", "/admin/v1/modules/one-per-user"),
    ("GET", "/admin/v1/audiences"),
    ("GET", "/admin/v1/audiences/vip"),
    ("PUT", "/admin/v1/audiences/vip"),
    ("DELETE", "/admin/v1/audiences/vip/1"),
    ("GET", "/admin/v1/audiences/vip/1/members"),
    ("GET", "/admin/v1/audiences/vip/members/ann"),
    ("PUT", "/admin/v1/audiences/vip/members/ann"),
    ("DELETE", "/admin/v1/audiences/vip/members/ann"),
    ("GET", "/admin/v1/campaigns"),
    ("POST", "/admin/v1/campaigns"),
    ("GET", "/admin/v1/campaigns/spring"),
    ("GET", "/admin/v1/campaigns/spring/revisions"),
    ("POST", "/admin/v1/campaigns/spring/revisions"),
    ("GET", "/admin/v1/campaigns/spring/revisions/1"),
    ("GET", "/admin/v1/campaigns/spring/revisions/1/diff"),
    ("POST", "/admin/v1/campaigns/spring/activate"),
    ("POST", "/admin/v1/campaigns/spring/simulate"),
    ("DELETE", "/admin/v1/campaigns/spring"),
    ("POST", "/admin/v1/campaigns/spring/clone"),
    ("GET", "/admin/v1/campaigns/spring/orders"),
    (
        "GET",
        "/admin/v1/campaigns/spring/orders/00000000000000000000000000000001",
    ),
];

/// Every route of a plane, asked by somebody who may.
struct Routes {
    address: SocketAddr,
    token: (&'static str, &'static str),
    all: &'static [(&'static str, &'static str)],
}

impl Routes {
    async fn call(&self, method: &str, path: &str) -> Reply {
        call(self.address, method, path, &[self.token], b"").await
    }
}

macro_rules! both_planes {
    ($routes:ident => $body:block) => {
        let (data, control) = (stage::Running::start(), control::start(Some("secret")));
        for $routes in [
            Routes { address: data.address, token: ADA, all: DATA },
            Routes { address: control.address, token: ADMIN, all: CONTROL },
        ] $body
    };
}

#[tokio::test]
async fn no_path_ends_with_a_slash() {
    both_planes!(routes => {
        for (method, path) in routes.all {
            let problem = routes.call(method, &format!("{path}/")).await.problem(404, "not-found");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("ends with a slash")), "{problem}");
        }
    });
}

#[tokio::test]
async fn a_parameter_that_a_path_does_not_know_is_refused() {
    both_planes!(routes => {
        for (method, path) in routes.all {
            let problem = routes.call(method, &format!("{path}?limits=1")).await.problem(400, "malformed");
            assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("limits")), "{path}: {problem}");
        }
    });
}

#[tokio::test]
async fn head_is_get_without_the_body_and_options_names_the_methods() {
    both_planes!(routes => {
        for (method, path) in routes.all {
            let options = routes.call("OPTIONS", path).await;
            options.problem(405, "method-not-allowed");
            let allowed = options.header("allow").unwrap_or_default().to_owned();
            assert!(allowed.contains(method), "{path}: {allowed}");
            if *method != "GET" {
                continue;
            }
            let (get, head) = (routes.call("GET", path).await, routes.call("HEAD", path).await);
            assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
            assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
            assert!(allowed.contains("HEAD"), "{path}: {allowed}");
        }
    });
}

#[tokio::test]
async fn every_request_names_one_host_that_can_be() {
    both_planes!(routes => {
        let token = format!("{}: {}", routes.token.0, routes.token.1);
        for (method, path) in routes.all {
            let head = |target: &str, version: &str, host: &str| {
                format!("{method} {target} HTTP/{version}\r\n{host}{token}\r\nconnection: close\r\n\r\n")
            };
            for host in ["", "host:\r\n", "host: a b\r\n", "host: a/b\r\n", "host: user@a\r\n", "host: a:99999\r\n",
                "host: [::1\r\n", "host: a\r\nhost: a\r\n", "host: a, b\r\n"]
            {
                let reply = send(routes.address, head(path, "1.1", host).as_bytes()).await;
                reply.problem(400, "malformed");
            }
            let two = head(&format!("http://one.example{path}"), "1.1", "host: other.example\r\n");
            send(routes.address, two.as_bytes()).await.problem(400, "malformed");
            // A balancer's check may speak HTTP/1.0, which has no Host.
            let old = send(routes.address, head(path, "1.0", "").as_bytes()).await;
            let new = send(routes.address, head(path, "1.1", "host: gate.example:8080\r\n").as_bytes()).await;
            assert_eq!(old.status, new.status, "{path}");
        }
    });
}

#[tokio::test]
async fn bodies_are_taken_uncompressed_and_the_answer_says_so() {
    let data = stage::Running::start();
    let order = async |coding: &str| {
        call(
            data.address,
            "POST",
            ORDERS,
            &[ADA, JSON, ("content-encoding", coding)],
            ORDER,
        )
        .await
    };
    for coding in ["gzip", "br", "deflate", "zstd", "x-gzip", "identity, gzip"] {
        let reply = order(coding).await;
        reply.problem(415, "unsupported-media-type");
        assert_eq!(reply.header("accept-encoding"), Some("identity"), "{coding}");
    }
    assert_eq!(order("identity").await.status, 202);
    let control = control::start(Some("secret"));
    for (method, path, media_type, taken) in [
        ("POST", "/admin/v1/campaigns", "application/json", "identity"),
        (
            "POST",
            "/admin/v1/campaigns/spring/revisions",
            "application/json",
            "identity",
        ),
        (
            "POST",
            "/admin/v1/campaigns/spring/activate",
            "application/json",
            "identity",
        ),
        (
            "POST",
            "/admin/v1/campaigns/spring/simulate",
            "application/json",
            "identity",
        ),
        (
            "POST",
            "/admin/v1/campaigns/spring/simulate",
            "application/x-ndjson",
            "identity",
        ),
        ("POST", "/admin/v1/modules", "application/wasm", "identity"),
        ("PUT", "/admin/v1/audiences/vip", "text/plain", "gzip, identity"),
    ] {
        let headers = [ADMIN, ("content-type", media_type), ("content-encoding", "br")];
        let reply = call(control.address, method, path, &headers, b"{}").await;
        reply.problem(415, "unsupported-media-type");
        assert_eq!(reply.header("accept-encoding"), Some(taken), "{path}");
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_skipped_or_named() {
    let data = stage::Running::start();
    let order = async |mark: &[u8]| {
        call(
            data.address,
            "POST",
            ORDERS,
            &[ADA, JSON],
            &[mark, ORDER].concat(),
        )
        .await
    };
    assert_eq!(order(b"\xef\xbb\xbf").await.status, 202);
    for mark in [&b"\xff\xfe"[..], b"\xfe\xff"] {
        let problem = order(mark).await.problem(400, "malformed");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("byte order mark")),
            "{problem}"
        );
    }
    let twice = order(b"\xef\xbb\xbf\xef\xbb\xbf").await;
    twice.problem(400, "malformed");
}

#[tokio::test]
async fn every_type_of_problem_is_listed_and_resolves() {
    both_planes!(routes => {
        let reply = call(routes.address, "GET", "/problems", &[], b"").await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
        let page = reply.json();
        let listed = page["problems"].as_array().expect("a list");
        assert_eq!(listed.len(), problem::ALL.len() + 1);
        for row in listed {
            let path = row["type"].as_str().expect("a path").replace("{reason}", "limit-per-user");
            let one = call(routes.address, "GET", &path, &[], b"").await;
            assert_eq!(one.status, 200, "{path}");
            assert!(row["title"].as_str().is_some_and(|title| one.body.starts_with(title)), "{path}");
            assert!(matches!(row["status"], Value::Number(_)) && row["help"].is_string(), "{row}");
        }
    });
}
