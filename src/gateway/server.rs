//! The data plane behind its listener.

use std::net::IpAddr;

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use tokio::net::TcpListener;

use super::content::Content;
use super::{Answer, Config, Gateway, Orders, answer, body};
use crate::serving::{self, Door, Limits, Page, Plane};
use crate::wire::Problem;
use crate::wire::problem::OVERLOADED;

impl Config {
    /// What connections may take.
    pub fn limits(&self) -> Limits {
        let many = Limits::for_many(self.connections, self.memory);
        let peer_connections = match self.peer_connections {
            0 => many.peer_connections,
            given => given,
        };
        Limits {
            peer_connections,
            peer_connects: match self.peer_connects {
                0 => serving::pace(peer_connections),
                given => given,
            },
            in_vain: self.in_vain,
            proxies: self.proxies.clone(),
            all_proxies: self.trusted_proxies > 0 && self.proxies.is_empty(),
            opening: many.opening.min(self.header_timeout),
            idle: self.header_timeout,
            stall: self.write_timeout,
            body_bytes: body::BODY_BYTES_MAX,
            ..many
        }
    }
}

impl<O: Orders> Gateway<O> {
    /// The listener with the limits that are configured, to be served by this gateway.
    pub fn door(&self, listener: TcpListener) -> Door {
        Door::new(listener, self.config.load().limits()).figures(self.metrics.connections.clone())
    }
}

impl<O: Orders> Plane for Gateway<O> {
    type Body = Content;

    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Answer {
        self.handle(peer, request).await
    }

    fn vouches(&self, request: &Parts) -> bool {
        self.is_authentic(request)
    }

    fn overloaded(&self) -> Answer {
        let detail = "requests in flight hold all the memory there is for them; nothing was begun";
        answer::problem(&Problem::new(&OVERLOADED, detail))
    }

    fn mark(&self, page: &Page, headers: &mut HeaderMap) {
        self.mark_for(page, headers);
    }

    fn is_leaving(&self) -> bool {
        Self::is_leaving(self)
    }

    fn lasts(&self, body: &Content) -> bool {
        body.is_live()
    }

    fn closes(&self) {
        self.live.close();
    }
}
