//! A gateway's front over a stage, asked without a socket.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use rushgate::gateway::{self, Gateway, Stages, auth};
use serde_json::Value;
use testkit::database::{self, Database as Db};

use super::{CAMPAIGN, Stage};
use crate::store::simulate::Open;

pub struct Front {
    gateway: Gateway<Stages>,
    _db: Db,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Seconds of the header `Retry-After`.
    pub wait: Option<i64>,
    pub is_replayed: bool,
    pub json: Value,
}

impl Front {
    pub async fn over(stage: &Stage) -> Self {
        let db = database::sqlite().await;
        let auth = auth::Auth::new(&auth::Config {
            insecure_dev_auth: true,
            ..auth::Config::default()
        });
        let gateway = Gateway::new(
            gateway::Config::default(),
            auth.expect("development tokens"),
            Stages::new(stage.admission.clone(), db.store.clone(), Arc::new(Open)),
            &mut prometheus_client::registry::Registry::default(),
        );
        Self { gateway, _db: db }
    }

    /// `path` after the campaign's.
    pub async fn get(&self, path: &str) -> Reply {
        let request = Request::builder().method(Method::GET);
        self.ask(request, "dev:ada", path, "").await
    }

    pub async fn order(&self, token: &str, key: Option<&str>, body: &str) -> Reply {
        let mut request = Request::builder().method(Method::POST);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.ask(request, token, "/orders", body).await
    }

    async fn ask(
        &self,
        request: hyper::http::request::Builder,
        token: &str,
        path: &str,
        body: &str,
    ) -> Reply {
        let request = request
            .uri(format!("/v1/campaigns/{CAMPAIGN}{path}"))
            .header("host", "localhost")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))
            .expect("a request");
        let answer = self
            .gateway
            .handle(IpAddr::V4(Ipv4Addr::LOCALHOST), request)
            .await;
        let wait = answer.headers().get("retry-after").map(|wait| {
            let wait = wait.to_str().expect("ASCII");
            wait.parse().expect("seconds")
        });
        let is_replayed = answer.headers().contains_key("idempotent-replayed");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("in memory").to_bytes();
        Reply {
            status,
            wait,
            is_replayed,
            json: serde_json::from_slice(&body).expect("JSON"),
        }
    }
}
