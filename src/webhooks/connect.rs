//! Names looked up for every connection anew, and their addresses checked each time: a host that leads somewhere public when its
//! endpoint is created, and somewhere private later, is not reached.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::address::{Reach, reach};
use crate::serving::Networks;

/// Who knows the addresses of names.
pub trait Resolve: Send + Sync + 'static {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The machine's own way.
pub struct System;

impl Resolve for System {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    }
}

/// The addresses of names that may be reached.
#[derive(Clone)]
pub(super) struct Guarded {
    pub resolve: Arc<dyn Resolve>,
    pub private: Arc<Networks>,
    /// For connections without TLS, which go to allowed networks alone.
    pub is_plain: bool,
}

impl Guarded {
    /// Those addresses of a name that may be reached; an error where there are none.
    pub(super) async fn look_up(&self, name: String) -> io::Result<Vec<IpAddr>> {
        let all = self.resolve.resolve(name.clone()).await?;
        let (mut good, mut refused) = (Vec::new(), None);
        for address in all {
            match self.check(address) {
                Ok(()) => good.push(address),
                Err(why) => refused = Some(why),
            }
        }
        match (good.is_empty(), refused) {
            (false, _) => Ok(good),
            (true, Some(why)) => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{name} is {why}"),
            )),
            (true, None) => Err(io::Error::other(format!("{name} has no address"))),
        }
    }

    /// Whether an address may be reached; `Err` says why not.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), String> {
        match (reach(address, &self.private), self.is_plain) {
            (Reach::Allowed, _) | (Reach::Public, false) => Ok(()),
            (Reach::Public, true) => Err(format!(
                "{address}, which is reached with https alone; plain http goes to the networks of webhooks.private"
            )),
            (Reach::Refused, _) => Err(format!(
                "{address}, which is not public; webhooks.private names private networks that may be reached"
            )),
        }
    }
}

impl Service<Name> for Guarded {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guarded = self.clone();
        async move {
            let addresses = guarded.look_up(name.as_str().to_owned()).await?;
            // The connector fills in the port.
            let addresses: Vec<_> = addresses.into_iter().map(|each| (each, 0).into()).collect();
            Ok(addresses.into_iter())
        }
        .boxed()
    }
}
