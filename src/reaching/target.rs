//! The URL of a place that somebody named, read: what it may be is decided before anybody connects.

use std::net::IpAddr;

use hyper::Uri;
use url::{Host, Url};

/// Bytes of a URL.
const BYTES_MAX: usize = 2048;

/// Where a place is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it is asked for: an IPv4 address in odd digits is written in the usual way.
    pub uri: Uri,
    pub host: Named,
    /// Without TLS.
    pub is_plain: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Address(IpAddr),
    /// To be looked up whenever somebody connects.
    Name(String),
}

impl Target {
    /// Reads a URL; `Err` says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!(
                "is {} bytes long; at most {BYTES_MAX} are allowed",
                text.len()
            ));
        }
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        let is_plain = match url.scheme() {
            "https" => false,
            "http" => true,
            other => return Err(format!("has the scheme {other}; use https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user or password, which are not sent".to_owned());
        }
        if url.fragment().is_some() {
            return Err("has a fragment (#…), which is not sent".to_owned());
        }
        if url.port() == Some(0) {
            return Err("has port 0, on which nobody listens".to_owned());
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => Named::Name(name.trim_end_matches('.').to_owned()),
            Some(Host::Ipv4(address)) => Named::Address(address.into()),
            Some(Host::Ipv6(address)) => Named::Address(address.into()),
            None => return Err("names no host".to_owned()),
        };
        let uri = url
            .as_str()
            .parse()
            .map_err(|error| format!("cannot be asked for: {error}"))?;
        Ok(Self { uri, host, is_plain })
    }

    /// For logs and the audit trail: paths and queries may hold secrets.
    pub fn shown(&self) -> String {
        let scheme = if self.is_plain { "http" } else { "https" };
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{scheme}://{authority}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_or_says_what_is_wrong() {
        for (text, host, shown) in [
            (
                "https://shop.example/hooks/a?b=c",
                "shop.example",
                "https://shop.example",
            ),
            (
                "https://Shop.Example.:8443",
                "shop.example",
                "https://shop.example.:8443",
            ),
            ("http://127.0.0.1:9/x", "127.0.0.1", "http://127.0.0.1:9"),
            // However somebody writes an address, it is one.
            ("http://2130706433/", "127.0.0.1", "http://127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1", "http://127.0.0.1"),
            (
                "https://[::ffff:7f00:1]/",
                "::ffff:127.0.0.1",
                "https://[::ffff:7f00:1]",
            ),
            (
                "https://bücher.example/",
                "xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
        ] {
            let target = Target::parse(text).expect(text);
            let named = match &target.host {
                Named::Address(address) => address.to_string(),
                Named::Name(name) => name.clone(),
            };
            assert_eq!((named.as_str(), target.shown().as_str()), (host, shown), "{text}");
        }
        let long = format!("https://shop.example/{}", "a".repeat(BYTES_MAX));
        for (text, why) in [
            ("shop.example/hooks", "is no URL"),
            ("ftp://shop.example/", "use https"),
            ("https://me:secret@shop.example/", "user or password"),
            ("https://me@shop.example/", "user or password"),
            ("https:///", "is no URL"),
            ("https://shop.example/#part", "fragment"),
            ("https://shop.example:0/", "port 0"),
            ("https://1.2.3.4.5/", "is no URL"),
            (&long, "bytes long"),
        ] {
            let error = Target::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
