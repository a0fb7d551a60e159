//! Names looked up for every connection anew, and their addresses checked each time: a host that leads somewhere public when it is
//! named, and somewhere private later, is not reached.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::address::{Reach, reach};
use super::target::{Named, Target};
use crate::serving::Networks;

/// Name servers that take longer are away.
const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(10);

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
pub struct Guarded {
    resolve: Arc<dyn Resolve>,
    /// Networks that may be reached although they are private.
    private: Arc<Networks>,
    /// The key of the configuration that names them.
    setting: &'static str,
    /// For connections without TLS, which go to allowed networks alone.
    is_plain: bool,
}

impl Guarded {
    /// With TLS, to public addresses and these networks; `setting` is the key of the configuration that names them.
    pub fn new(setting: &'static str, private: Networks, resolve: Arc<dyn Resolve>) -> Self {
        Self {
            resolve,
            private: Arc::new(private),
            setting,
            is_plain: false,
        }
    }

    /// To whatever address: for places that the configuration itself names.
    pub fn anywhere() -> Self {
        let private = "0.0.0.0/0,::/0".parse().expect("all networks");
        Self::new("the configuration", private, Arc::new(System))
    }

    /// The same for connections with TLS, or without.
    pub fn plain(&self, is_plain: bool) -> Self {
        Self {
            is_plain,
            ..self.clone()
        }
    }

    /// Whether a place may be reached now; `Err` says why not.
    pub async fn check_target(&self, target: &Target) -> Result<(), String> {
        let guarded = self.plain(target.is_plain);
        match &target.host {
            Named::Address(address) => guarded.check(*address).map_err(|why| format!("leads to {why}")),
            Named::Name(name) => {
                let found = tokio::time::timeout(LOOK_UP_TIME_MAX, guarded.look_up(name.clone())).await;
                let late = |_| Err(io::Error::other("the name servers do not answer"));
                let found = found.unwrap_or_else(late);
                found
                    .map(drop)
                    .map_err(|error| format!("names a host that cannot be reached: {error}"))
            }
        }
    }

    /// Those addresses of a name that may be reached; an error where there are none.
    pub async fn look_up(&self, name: String) -> io::Result<Vec<IpAddr>> {
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
    pub fn check(&self, address: IpAddr) -> Result<(), String> {
        let setting = self.setting;
        match (reach(address, &self.private), self.is_plain) {
            (Reach::Allowed, _) | (Reach::Public, false) => Ok(()),
            (Reach::Public, true) => Err(format!(
                "{address}, which is reached with https alone; plain http goes to the networks of {setting}"
            )),
            (Reach::Refused, _) => Err(format!(
                "{address}, which is not public; {setting} names private networks that may be reached"
            )),
        }
    }
}

/// Whether they reach the same: whoever looks names up finds the same addresses.
impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        (&self.private, self.setting, self.is_plain) == (&other.private, other.setting, other.is_plain)
    }
}

impl Eq for Guarded {}

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
