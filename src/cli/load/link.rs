//! One keep-alive HTTP/1.1 connection to one of the targets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Request, StatusCode, header};

use super::target::{Sender, Target};

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why there is no answer. Whether the gateway decided is unknown in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Refused, reset, or closed.
    Connection,
    Timeout,
}

/// Told apart no further: a buyer does the same about all of them.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What came back, whole.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) struct Link {
    targets: Arc<[Target]>,
    next: usize,
    open: Option<(Sender, String)>,
    timeout: Duration,
}

impl Link {
    /// Starts with the target `first`; connects at the first request.
    pub(super) fn new(targets: Arc<[Target]>, first: usize, timeout: Duration) -> Self {
        Self {
            next: first % targets.len().max(1),
            targets,
            open: None,
            timeout,
        }
    }

    /// The target the next request goes to.
    pub(super) fn target(&self) -> &str {
        match &self.open {
            Some((_, host)) => host,
            None => self.targets.get(self.next).map_or("", |target| &target.address),
        }
    }

    /// Sends one order. After an error the next one goes to the next target.
    pub(super) async fn post(
        &mut self,
        path: &str,
        token: &str,
        key: &str,
        body: Bytes,
    ) -> Result<Raw, Broken> {
        let result = tokio::time::timeout(self.timeout, self.exchange(path, token, key, body)).await;
        match result {
            Ok(Ok(raw)) => Ok(raw),
            Ok(Err(_)) => {
                self.drop_connection();
                Err(Broken::Connection)
            }
            Err(_) => {
                self.drop_connection();
                Err(Broken::Timeout)
            }
        }
    }

    fn drop_connection(&mut self) {
        self.open = None;
        self.next = (self.next + 1) % self.targets.len().max(1);
    }

    async fn exchange(&mut self, path: &str, token: &str, key: &str, body: Bytes) -> Result<Raw, Cause> {
        // A connection the server closed between two requests is no error of the request.
        if self.open.as_ref().is_none_or(|(sender, _)| sender.is_closed()) {
            self.open = Some(self.connect().await?);
        }
        let (sender, host) = self.open.as_mut().ok_or("no connection")?;
        sender.ready().await?;
        let request = Request::post(path)
            .header(header::HOST, host.as_str())
            .header(header::AUTHORIZATION, token)
            .header(header::CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Full::new(body))?;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok(Raw {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    async fn connect(&self) -> Result<(Sender, String), Cause> {
        let target = self.targets.get(self.next).ok_or("no target")?;
        Ok((target.connect().await?, target.address.clone()))
    }
}
