//! Fetches a published key set over HTTPS: bounded in time and size, and nowhere but where the configuration says.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::Scheme;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

use super::AuthConfigError;
use crate::pem;
use crate::reaching::{Guarded, Target};
use crate::wire::innermost;
use crate::wire::secret::{shown_path, shown_url};

/// Bytes of a key set, or of a file of keys: sets of large issuers have a few thousand.
pub(super) const BYTES_MAX: usize = 256 * 1024;
/// From the look-up of the name to the last byte.
const FETCH_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Bytes of an `ETag` that is sent back.
const TAG_BYTES_MAX: usize = 256;

/// Where a key set is published.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Remote {
    url: Uri,
    /// PEM certificates of the only authorities that are believed; without, those of the machine.
    ca_file: Option<PathBuf>,
    /// Which addresses it may lead to.
    reached: Guarded,
}

/// What the server says now.
pub(super) struct Fetched {
    /// None: the same as under the tag that was sent.
    pub bytes: Option<Bytes>,
    pub tag: Option<HeaderValue>,
    /// For how long the server wants its answer to be used.
    pub good_for: Option<Duration>,
}

impl Remote {
    pub(super) fn new(url: &str, ca_file: Option<PathBuf>) -> Result<Self, AuthConfigError> {
        let wrong = |why: &str| {
            Err(AuthConfigError::Url {
                url: shown_url(url),
                why: why.to_owned(),
            })
        };
        let Ok(parsed) = url.parse::<Uri>() else {
            return wrong("is no URL");
        };
        let Some(host) = parsed.host() else {
            return wrong("names no host");
        };
        if parsed
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return wrong("holds a user or password, which are not sent");
        }
        match parsed.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => {}
            Some(scheme) if *scheme == Scheme::HTTP && is_loopback(host) => {}
            Some(scheme) if *scheme == Scheme::HTTP => {
                return wrong(
                    "is not https: whoever sits between could publish keys of their own. http is for this machine alone",
                );
            }
            _ => return wrong("is not https"),
        }
        // Whoever writes the configuration knows their own network.
        let remote = Self {
            url: parsed,
            ca_file,
            reached: Guarded::anywhere(),
        };
        // A wrong file is known at the start.
        if let Some(path) = &remote.ca_file {
            authorities(path).map_err(|why| AuthConfigError::Authorities {
                path: shown_path(path),
                why,
            })?;
        }
        Ok(remote)
    }

    /// One that a merchant named: https, or http in a private network that the configuration allows.
    pub(super) fn named(url: &str, reached: Guarded) -> Result<Self, String> {
        let target = Target::parse(url)?;
        Ok(Self {
            url: target.uri,
            ca_file: None,
            reached: reached.plain(target.is_plain),
        })
    }

    /// For logs.
    pub(super) fn shown(&self) -> String {
        shown_url(&self.url.to_string())
    }

    /// Host and port.
    pub(super) fn server(&self) -> (String, u16) {
        let port = match self.url.scheme() == Some(&Scheme::HTTP) {
            true => 80,
            false => 443,
        };
        let host = self.url.host().unwrap_or_default().to_owned();
        (host, self.url.port_u16().unwrap_or(port))
    }

    /// One request, without following anybody anywhere.
    pub(super) async fn fetch(&self, tag: Option<&HeaderValue>) -> Result<Fetched, String> {
        let fetched = tokio::time::timeout(FETCH_TIME_MAX, self.exchange(tag)).await;
        fetched.unwrap_or_else(|_| Err(format!("no whole answer within {} s", FETCH_TIME_MAX.as_secs())))
    }

    async fn exchange(&self, tag: Option<&HeaderValue>) -> Result<Fetched, String> {
        // Addresses are not looked up, so they pass nobody else who would check them.
        if let Some(address) = address(self.url.host().unwrap_or_default()) {
            self.reached
                .check(address)
                .map_err(|why| format!("leads to {why}"))?;
        }
        let mut connector = HttpConnector::new_with_resolver(self.reached.clone());
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls().await?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(connector);
        let mut request = Request::get(self.url.clone())
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(
                header::USER_AGENT,
                concat!("rushgate/", env!("CARGO_PKG_VERSION")),
            );
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let request = request.body(Empty::new()).map_err(|error| error.to_string())?;
        let response = client.request(request).await.map_err(|error| innermost(&error))?;
        let (parts, body) = response.into_parts();
        let good_for = good_for(&parts.headers);
        check(&Response::from_parts(parts.clone(), ()), tag.is_some())?;
        if parts.status == StatusCode::NOT_MODIFIED {
            return Ok(Fetched {
                bytes: None,
                tag: tag.cloned(),
                good_for,
            });
        }
        let read = Limited::new(body, BYTES_MAX).collect().await;
        let bytes = read.map_err(
            |error| match error.downcast_ref::<http_body_util::LengthLimitError>() {
                Some(_) => format!("the answer has more than {BYTES_MAX} bytes"),
                None => format!("the answer broke off: {error}"),
            },
        )?;
        let tag = parts.headers.get(header::ETAG);
        Ok(Fetched {
            bytes: Some(bytes.to_bytes()),
            tag: tag.filter(|tag| tag.len() <= TAG_BYTES_MAX).cloned(),
            good_for,
        })
    }

    /// Made anew for every fetch: the authorities' file may have changed, and a connection every few minutes costs nothing.
    async fn tls(&self) -> Result<ClientConfig, String> {
        let ca_file = self.ca_file.clone();
        let made = tokio::task::spawn_blocking(move || {
            let builder = pem::client().map_err(|error| error.to_string())?;
            let builder = match ca_file {
                Some(path) => {
                    let roots = authorities(&path)
                        .map_err(|why| format!("auth.jwks_ca_file {}: {why}", shown_path(&path)))?;
                    builder.with_root_certificates(roots)
                }
                None => builder.with_native_roots().map_err(|error| error.to_string())?,
            };
            Ok(builder.with_no_client_auth())
        });
        made.await.map_err(|error| error.to_string())?
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(path).map_err(|error| error.to_string())? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(roots)
}

/// The address that a host is, where it is no name.
fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_loopback(host: &str) -> bool {
    address(host).map_or(host.eq_ignore_ascii_case("localhost"), |address| {
        address.is_loopback()
    })
}

fn check<T>(response: &Response<T>, conditional: bool) -> Result<(), String> {
    match response.status() {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_MODIFIED if conditional => Ok(()),
        status if status.is_redirection() => Err(format!(
            "answered {}: redirects are not followed; give the URL it leads to",
            status.as_u16()
        )),
        status => Err(format!("answered {}", status.as_u16())),
    }
}

/// `max-age` of `Cache-Control`, less the time that caches on the way had the answer; nothing at all under `no-store`.
fn good_for(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter();
    let directives = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let mut least = None;
    for directive in directives.map(|each| each.trim().to_ascii_lowercase()) {
        let seconds = match directive.as_str() {
            "no-store" | "no-cache" => Some(0),
            other => other
                .strip_prefix("max-age=")
                .and_then(|text| text.trim_matches('"').parse().ok()),
        };
        least = [least, seconds].into_iter().flatten().min();
    }
    let age = headers
        .get(header::AGE)
        .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    least.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_taken_except_on_this_machine() {
        for good in [
            "https://login.example/keys",
            "https://login.example:8443/a?b=c",
            "http://127.0.0.1:1/k",
            "http://[::1]:1/k",
            "http://localhost/k",
        ] {
            assert!(Remote::new(good, None).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("http://login.example/keys", "https"),
            ("http://127.0.0.1.evil.example/", "https"),
            ("http://localhost.evil.example/", "https"),
            ("ftp://127.0.0.1/", "https"),
            ("https://me:s3cret@login.example/keys", "password"),
            ("file:///etc/keys", ""),
            ("s3cret", ""),
            ("", ""),
        ] {
            let error = Remote::new(bad, None).err().expect(bad).to_string();
            assert!(
                error.contains(why) && error.contains("auth.jwks_url") && !error.contains("s3cret"),
                "{error}"
            );
        }
        let query = Remote::new("https://login.example/keys?code=s3cret", None).expect("a URL");
        assert_eq!(query.shown(), "https://login.example/keys");
    }

    #[test]
    fn authorities_are_read_at_the_start() {
        let ca = |path: &Path| {
            Remote::new("https://x.example/", Some(path.to_owned()))
                .err()
                .expect("wrong")
                .to_string()
        };
        assert!(ca(Path::new("/no/such.pem")).contains("/no/such.pem"));
        let empty = tempfile::NamedTempFile::new().expect("a temporary file");
        assert!(ca(empty.path()).contains("holds no certificate in PEM"));
    }

    #[test]
    fn the_servers_wish_is_read() {
        let headers = |pairs: &[(header::HeaderName, &'static str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            pairs.collect::<HeaderMap>()
        };
        for (given, expected) in [
            (headers(&[]), None),
            (
                headers(&[(header::CACHE_CONTROL, "public, max-age=300")]),
                Some(300),
            ),
            (
                headers(&[(header::CACHE_CONTROL, "Max-Age=300"), (header::AGE, "100")]),
                Some(200),
            ),
            (
                headers(&[(header::CACHE_CONTROL, "max-age=10"), (header::AGE, "100")]),
                Some(0),
            ),
            (
                headers(&[(header::CACHE_CONTROL, "no-store, max-age=300")]),
                Some(0),
            ),
            (headers(&[(header::CACHE_CONTROL, "max-age=soon")]), None),
        ] {
            assert_eq!(good_for(&given).map(|wish| wish.as_secs()), expected, "{given:?}");
        }
    }
}
