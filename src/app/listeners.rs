//! The sockets a process listens on, with their TLS: bound before anything else is started, so that a taken port, a
//! certificate that cannot be used or too few descriptors are known at once.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Context;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::reload::Sources;
use crate::admin;
use crate::config::Config;
use crate::serving::tls::Files;
use crate::serving::{self, Door, Figures, Limits, Tls, descriptors};

/// Requests of the control plane may take so long once everything else is drained.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// One socket.
pub(super) struct Listener {
    pub socket: TcpListener,
    pub tls: Option<Tls>,
}

impl Listener {
    /// Of the control plane, in every role.
    pub(super) fn admin(config: &Config) -> anyhow::Result<Self> {
        let socket = admin::bind(config.admin_listen, config.admin_token.as_deref())?;
        Ok(Self {
            socket,
            tls: tls("admin", config.admin.tls())?,
        })
    }

    fn orders(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            socket: serving::bind(config.listen, "--listen")?,
            tls: tls("gateway", config.gateway.tls())?,
        })
    }

    /// The same socket once more, for somebody who answers until it is served.
    pub(super) fn twin(&self) -> std::io::Result<Self> {
        let socket = std::net::TcpListener::from(self.socket.as_fd().try_clone_to_owned()?);
        Ok(Self {
            socket: TcpListener::from_std(socket)?,
            tls: self.tls.clone(),
        })
    }

    pub(super) fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The control plane's door, its figures in `registry`.
    pub(super) fn admin_door(self, config: &Config, registry: &mut Registry) -> Door {
        Door::new(self.socket, Limits::for_few(config.admin.connections))
            .tls(self.tls)
            .figures(Figures::new(registry, "admin"))
    }
}

/// Waits until the last request of a control plane that was told to close is answered, if that does not take for ever: what it
/// was asked to do would be done or not, and nobody told.
pub(super) async fn answered(mut served: JoinHandle<()>) {
    if tokio::time::timeout(ANSWERED_WITHIN, &mut served).await.is_err() {
        tracing::warn!("the control plane was still at work when the process ended");
        served.abort();
    }
}

/// TLS that follows its files for as long as the process lives.
fn tls(section: &str, files: Option<Files>) -> anyhow::Result<Option<Tls>> {
    let Some(files) = files else { return Ok(None) };
    let tls = Tls::load(files).with_context(|| format!("TLS of [{section}]"))?;
    tokio::spawn(tls.clone().watch());
    Ok(Some(tls))
}

/// Those of a gateway.
pub(super) struct Listeners {
    pub orders: Listener,
    pub admin: Listener,
}

impl Listeners {
    pub(super) fn bind(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            orders: Listener::orders(config)?,
            admin: Listener::admin(config)?,
        })
    }

    /// The same once more.
    pub(super) fn twins(&self) -> std::io::Result<Self> {
        Ok(Self {
            orders: self.orders.twin()?,
            admin: self.admin.twin()?,
        })
    }

    /// Data plane, control plane.
    pub(super) fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.orders.address()?, self.admin.address()?))
    }
}

/// Raises the limit of open files, and takes fewer connections where all of them would not fit.
pub(super) fn fitted(mut config: Config, sources: Sources) -> anyhow::Result<(Config, Sources)> {
    let wanted = config.gateway.connections;
    let limit = descriptors::raise();
    let fitting = descriptors::fit(limit, wanted, config.admin.connections)?;
    if fitting < wanted {
        tracing::warn!(
            connections = fitting,
            "gateway.connections is {wanted}, and this process may open {} files: raise the hard limit to {} \
             (LimitNOFILE, ulimit -Hn) or lower the setting",
            limit.unwrap_or_default(),
            wanted + config.admin.connections + descriptors::RESERVE,
        );
    }
    config.gateway.connections = fitting;
    let sources = sources.map(move |mut config| {
        config.gateway.connections = config.gateway.connections.min(fitting);
        config
    });
    Ok((config, sources))
}

/// The same for a process that only has a control plane.
pub(super) fn admin_fits(config: &Config) -> anyhow::Result<()> {
    descriptors::fit(descriptors::raise(), config.admin.connections, 0)?;
    Ok(())
}
