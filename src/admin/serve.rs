//! The control plane behind its listener.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::service::TowerToHyperService;

use super::answer::Refused;
use super::guard::Address;
use super::{Admin, Health, Parameters, door, health_routes, not_found, not_yet, openapi, query_parameters};
use crate::serving::{Door, Plane, Timely};
use crate::wire::Problem;
use crate::wire::problem::OVERLOADED;

/// Nothing of a body for so long: it ends there.
const BODY_WITHIN: Duration = Duration::from_secs(10);

impl Health {
    /// Serves health and metrics alone, until `shutdown`: see [`Door::serve`].
    pub async fn serve(self, door: Door, shutdown: impl Future<Output = ()>) {
        let has_token = self.has_token;
        let router = health_routes::<Self>().fallback(not_found).with_state(self);
        run(door, (router, query_parameters), has_token, shutdown).await;
    }

    /// The same for a process that is not up yet: the rest of its control plane comes later.
    pub async fn serve_meanwhile(self, door: Door, shutdown: impl Future<Output = ()>) {
        let has_token = self.has_token;
        let router = health_routes::<Self>().fallback(not_yet).with_state(self);
        run(door, (router, query_parameters), has_token, shutdown).await;
    }
}

impl Admin {
    /// Serves until `shutdown`, the API alone: see [`Door::serve`].
    #[cfg(feature = "testing")]
    pub async fn serve(self, door: Door, shutdown: impl Future<Output = ()>) {
        let has_token = self.token.is_some();
        run(door, (self.router(), query_parameters), has_token, shutdown).await;
    }

    /// The same with pages besides the API.
    pub async fn serve_with(self, door: Door, pages: Pages, shutdown: impl Future<Output = ()>) {
        let has_token = self.token.is_some();
        let router = self.router().merge(pages.router);
        run(door, (router, pages.parameters), has_token, shutdown).await;
    }
}

/// Pages that are served besides the API.
pub struct Pages {
    pub router: Router,
    /// Of their routes and of the API's.
    pub parameters: Parameters,
}

async fn run(
    door: Door,
    (router, parameters): (Router, Parameters),
    has_token: bool,
    shutdown: impl Future<Output = ()>,
) {
    let takes = openapi::takes;
    let known = door::Known { parameters, takes };
    // The last layer is the first to see a request.
    let guarded = router
        .layer(axum::middleware::from_fn_with_state(has_token, door::check_host))
        .layer(axum::middleware::from_fn_with_state(known, door::once));
    let served = Served(TowerToHyperService::new(guarded));
    door.serve(Arc::new(served), shutdown).await;
}

/// A router as the server of connections calls it.
struct Served(TowerToHyperService<Router>);

impl Plane for Served {
    type Body = Body;

    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
        let mut request = request.map(|body| Body::new(Timely::new(body, BODY_WITHIN)));
        request.extensions_mut().insert(Address(peer));
        let Ok(answer) = self.0.call(request).await;
        answer
    }

    fn overloaded(&self) -> Response<Body> {
        let detail = "requests in flight hold all the memory there is for them; nothing was begun";
        Refused::from(Problem::new(&OVERLOADED, detail)).into_response()
    }
}
