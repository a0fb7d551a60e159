//! The buyer's address: that of the connection, or the one that the proxies in front of the gateway say.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Instant;

use hyper::header::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize};

use super::Config;
use crate::seldom::Seldom;

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";

/// The header in which proxies say the buyer's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressHeader(HeaderName);

impl Default for AddressHeader {
    fn default() -> Self {
        Self(HeaderName::from_static(X_FORWARDED_FOR))
    }
}

/// The text is no name of a header.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not the name of a header: write it like X-Forwarded-For, Forwarded, X-Real-IP or CF-Connecting-IP"
)]
pub struct AddressHeaderError(String);

impl TryFrom<String> for AddressHeader {
    type Error = AddressHeaderError;

    fn try_from(text: String) -> Result<Self, AddressHeaderError> {
        match HeaderName::try_from(text.trim()) {
            Ok(name) => Ok(Self(name)),
            Err(_) => Err(AddressHeaderError(text.chars().take(60).collect())),
        }
    }
}

impl From<AddressHeader> for String {
    fn from(header: AddressHeader) -> Self {
        header.0.as_str().to_owned()
    }
}

impl fmt::Display for AddressHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Why the address of the connection stands for the buyer's although a proxy may be in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Somebody who is no proxy sent the header.
    NotBelieved,
    /// A proxy sent no such header, or one that fewer proxies appended to than there are.
    Missing,
    /// What stands where the buyer's address should be is none.
    NotUnderstood,
    /// There are only addresses of proxies.
    OnlyProxies,
}

impl Doubt {
    const COUNT: usize = 4;

    fn what_to_do(self) -> &'static str {
        match self {
            Self::NotBelieved => {
                "it came from an address in none of the networks of gateway.proxies, so it is ignored; add the \
                 network if a proxy of yours is there"
            }
            Self::Missing => {
                "a proxy sent none, or fewer proxies appended to it than gateway.trusted_proxies says: set \
                 gateway.client_ip_header to the header that the proxy sends"
            }
            Self::NotUnderstood => "no address can be read where the buyer's should be",
            Self::OnlyProxies => "it names only addresses in the networks of gateway.proxies",
        }
    }
}

/// What was said of such requests.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<[Seldom; Doubt::COUNT]>);

impl Doubts {
    /// The log says each once a minute.
    fn met(&self, doubt: Doubt, peer: IpAddr, header: &AddressHeader) {
        let mut said = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(requests) = said[doubt as usize].met("", Instant::now()) {
            tracing::warn!(
                %header, %peer, requests,
                "the header with buyers' addresses is not used, so that a rule's `ip` is the connection's address, the \
                 same for everybody behind a proxy: {}",
                doubt.what_to_do()
            );
        }
    }
}

/// The address a rule's `ip` means.
pub(super) fn client_ip(peer: IpAddr, headers: &HeaderMap, config: &Config, doubts: &Doubts) -> IpAddr {
    let found = forwarded(peer, headers, config).unwrap_or_else(|doubt| {
        doubts.met(doubt, peer.to_canonical(), &config.client_ip_header);
        None
    });
    found.unwrap_or(peer).to_canonical()
}

/// What a proxy says; `None` where there is none.
fn forwarded(peer: IpAddr, headers: &HeaderMap, config: &Config) -> Result<Option<IpAddr>, Doubt> {
    let name = &config.client_ip_header.0;
    if !config.proxies.contain(peer) && config.trusted_proxies == 0 {
        return match headers.contains_key(name) {
            true => Err(Doubt::NotBelieved),
            false => Ok(None),
        };
    }
    let values = headers.get_all(name).iter().rev();
    // What is no text stays in its place, as something that cannot be read.
    let values = values.map(|value| value.to_str().unwrap_or("?"));
    match name.as_str() {
        X_FORWARDED_FOR => last(values.flat_map(|value| value.rsplit(',')).map(address), config),
        FORWARDED => last(values.flat_map(elements).map(element_address), config),
        _ => only(values.map(address), config),
    }
    .map(Some)
}

/// The last address of a list that is no proxy's, or the one before as many as are trusted. What cannot be read ends
/// the search: whatever stands before it may be made up.
fn last(entries: impl Iterator<Item = Entry>, config: &Config) -> Result<IpAddr, Doubt> {
    let mut entries = entries.filter(|entry| *entry != Entry::Empty);
    if let Some(skipped) = config.trusted_proxies.checked_sub(1) {
        return entries.nth(skipped).ok_or(Doubt::Missing)?.address();
    }
    let mut doubt = Doubt::Missing;
    for entry in entries {
        let address = entry.address()?;
        if !config.proxies.contain(address) {
            return Ok(address);
        }
        doubt = Doubt::OnlyProxies;
    }
    Err(doubt)
}

/// The address of a header that has one.
fn only(mut entries: impl Iterator<Item = Entry>, config: &Config) -> Result<IpAddr, Doubt> {
    let address = entries.next().ok_or(Doubt::Missing)?.address()?;
    match entries.next() {
        Some(_) => Err(Doubt::NotUnderstood),
        None if config.proxies.contain(address) => Err(Doubt::OnlyProxies),
        None => Ok(address),
    }
}

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// RFC 9110 has lists with empty elements read as if they were not there.
    Empty,
    Unreadable,
    Address(IpAddr),
}

impl Entry {
    fn address(self) -> Result<IpAddr, Doubt> {
        match self {
            Self::Address(address) => Ok(address),
            Self::Empty | Self::Unreadable => Err(Doubt::NotUnderstood),
        }
    }
}

/// `203.0.113.5`, `203.0.113.5:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`, each also in quotes.
fn address(entry: &str) -> Entry {
    let text = entry.trim();
    if text.is_empty() {
        return Entry::Empty;
    }
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    node(quoted.unwrap_or(text).trim()).map_or(Entry::Unreadable, Entry::Address)
}

/// A node of RFC 7239 that is an address; `unknown` and names that hide one are none.
fn node(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_port.then(|| version_6(address)).flatten();
    }
    match text.split_once(':') {
        None => text.parse().ok().map(IpAddr::V4),
        Some((address, port)) if !port.contains(':') => {
            let address = address.parse().ok().map(IpAddr::V4);
            address.filter(|_| is_port(port))
        }
        Some(_) => version_6(text),
    }
}

/// The zone behind `%` means something to one machine only.
fn version_6(text: &str) -> Option<IpAddr> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// A number, or a name behind `_` that hides it.
fn is_port(text: &str) -> bool {
    let is_hidden = |text: &str| text.len() > 1 && text.starts_with('_');
    is_hidden(text) || (text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

/// The elements of a `Forwarded` header, the last one first: what a proxy appended is read before anything a client
/// made up, so that no quote that it left open can swallow it.
fn elements(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let at = unquoted_rfind(value, b',');
        rest = at.map(|at| &value[..at]);
        Some(&value[at.map_or(0, |at| at + 1)..])
    })
}

/// The last such byte outside quoted strings, which are read from their end.
fn unquoted_rfind(value: &str, wanted: u8) -> Option<usize> {
    let bytes = value.as_bytes();
    let mut is_quoted = false;
    for (at, byte) in bytes.iter().enumerate().rev() {
        let escapes = || {
            bytes[..at]
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count()
        };
        if *byte == b'"' && escapes() % 2 == 0 {
            is_quoted = !is_quoted;
        } else if *byte == wanted && !is_quoted {
            return Some(at);
        }
    }
    None
}

/// The parameter `for` of an element, which has it once.
fn element_address(element: &str) -> Entry {
    if element.trim().is_empty() {
        return Entry::Empty;
    }
    let (mut rest, mut found) = (Some(element), None);
    while let Some(element) = rest {
        let at = unquoted_rfind(element, b';');
        rest = at.map(|at| &element[..at]);
        let parameter = &element[at.map_or(0, |at| at + 1)..];
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("for")
            && found.replace(address(value)).is_some()
        {
            return Entry::Unreadable;
        }
    }
    match found {
        Some(found @ Entry::Address(_)) => found,
        _ => Entry::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn header(name: &str) -> AddressHeader {
        name.to_owned().try_into().expect("a name")
    }

    fn config(name: &str, proxies: &str, trusted_proxies: usize) -> Config {
        Config {
            client_ip_header: header(name),
            proxies: proxies.parse().expect("networks"),
            trusted_proxies,
            ..Config::default()
        }
    }

    /// What `values` of the configured header mean when they come from `peer`.
    fn found(peer: &str, values: &[&str], config: &Config) -> Result<String, Doubt> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("header value");
            headers.append(config.client_ip_header.0.clone(), value);
        }
        let peer: IpAddr = peer.parse().expect("address");
        let said = forwarded(peer, &headers, config)?;
        let ip = client_ip(peer, &headers, config, &Doubts::default());
        assert_eq!(said.unwrap_or(peer).to_canonical(), ip);
        Ok(ip.to_string())
    }

    #[test]
    fn addresses_as_proxies_write_them() {
        for (entry, ip) in [
            ("203.0.113.5", "203.0.113.5"),
            (" 203.0.113.5:4711 ", "203.0.113.5"),
            ("\"203.0.113.5\"", "203.0.113.5"),
            ("\"203.0.113.5:4711\"", "203.0.113.5"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("\"[2001:db8::1]:443\"", "2001:db8::1"),
            ("[2001:db8::1]:_hidden", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
        ] {
            let ip = Entry::Address(ip.parse().expect("address"));
            assert_eq!(address(entry), ip, "{entry}");
        }
        for entry in [
            "unknown",
            "_hidden",
            "203.0.113.5:",
            "203.0.113.5:99999",
            "203.0.113.5:+1",
            "203.0.113",
            "203.0.113.5 6.6.6.6",
            "[2001:db8::1",
            "[2001:db8::1]443",
            "[203.0.113.5]:443",
            "\"203.0.113.5",
            "example.com:443",
            "0x7f000001",
        ] {
            assert_eq!(address(entry), Entry::Unreadable, "{entry}");
        }
        assert_eq!(address(" "), Entry::Empty);
    }

    #[test]
    fn the_address_comes_from_as_many_proxies_as_are_trusted() {
        let values = ["6.6.6.6, 1.1.1.1:80", "2.2.2.2"];
        for (proxies, ip) in [
            (1, Ok("2.2.2.2")),
            (2, Ok("1.1.1.1")),
            (3, Ok("6.6.6.6")),
            (4, Err(Doubt::Missing)),
            (0, Err(Doubt::NotBelieved)),
        ] {
            let said = found(
                "::ffff:10.0.0.1",
                &values,
                &config("X-Forwarded-For", "", proxies),
            );
            assert_eq!(said, ip.map(str::to_owned), "{proxies}");
        }
        let none = found("10.0.0.1", &[], &config("X-Forwarded-For", "", 0));
        assert_eq!(none, Ok("10.0.0.1".into()));
    }

    #[test]
    fn the_address_is_the_last_that_is_no_proxys() {
        let config = config("x-forwarded-for", "10.0.0.0/8,fd00::/8", 0);
        for (peer, values, ip) in [
            ("10.0.0.1", "6.6.6.6, 1.1.1.1", Ok("1.1.1.1")),
            ("10.0.0.1", "6.6.6.6:1, 1.1.1.1:2, 10.2.2.2:3", Ok("1.1.1.1")),
            (
                "::ffff:10.0.0.1",
                "6.6.6.6, 1.1.1.1, 10.2.2.2,fd00::7",
                Ok("1.1.1.1"),
            ),
            (
                "10.0.0.1",
                "[2001:db8::1]:443, [::ffff:10.0.0.3]:1",
                Ok("2001:db8::1"),
            ),
            ("10.0.0.1", "1.1.1.1,, 10.0.0.3, ", Ok("1.1.1.1")),
            (
                "10.0.0.1",
                "6.6.6.6, unknown, 10.0.0.3",
                Err(Doubt::NotUnderstood),
            ),
            ("10.0.0.1", "10.0.0.3", Err(Doubt::OnlyProxies)),
            ("10.0.0.1", "", Err(Doubt::Missing)),
            ("10.0.0.1", "6.6.6.6, \u{fc}", Err(Doubt::NotUnderstood)),
            ("9.9.9.9", "6.6.6.6", Err(Doubt::NotBelieved)),
        ] {
            assert_eq!(
                found(peer, &[values], &config),
                ip.map(str::to_owned),
                "{values:?}"
            );
        }
        assert_eq!(found("10.0.0.1", &[], &config), Err(Doubt::Missing));
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        let config = config("Forwarded", "10.0.0.0/8", 0);
        for (values, ip) in [
            (
                &["for=192.0.2.60;proto=http;by=203.0.113.43"][..],
                Ok("192.0.2.60"),
            ),
            (&["For=\"[2001:db8:cafe::17]:4711\""], Ok("2001:db8:cafe::17")),
            (
                &["proto=https; FOR=\"192.0.2.43:47011\" , for=10.1.1.1"],
                Ok("192.0.2.43"),
            ),
            (&["for=6.6.6.6", "for=192.0.2.43"], Ok("192.0.2.43")),
            // Commas and semicolons in quotes separate nothing.
            (
                &["for=192.0.2.43;host=\"a, for=6.6.6.6;for=7.7.7.7\""],
                Ok("192.0.2.43"),
            ),
            (&[r#"for=192.0.2.43;host="a\", for=6.6.6.6""#], Ok("192.0.2.43")),
            // A quote that a client left open swallows nothing of what the proxy appended.
            (&["for=\"6.6.6.6, for=192.0.2.43"], Ok("192.0.2.43")),
            (&["for=6.6.6.6, for=unknown"], Err(Doubt::NotUnderstood)),
            (&["for=6.6.6.6, for=_gazonk"], Err(Doubt::NotUnderstood)),
            (&["for=6.6.6.6, proto=https"], Err(Doubt::NotUnderstood)),
            (&["for=6.6.6.6;for=7.7.7.7"], Err(Doubt::NotUnderstood)),
            (&["192.0.2.43"], Err(Doubt::NotUnderstood)),
            (&[], Err(Doubt::Missing)),
        ] {
            assert_eq!(
                found("10.0.0.1", values, &config),
                ip.map(str::to_owned),
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_header_of_one_address_has_one() {
        for (proxies, trusted) in [("10.0.0.0/8", 0), ("", 1)] {
            let config = config("CF-Connecting-IP", proxies, trusted);
            for (values, ip) in [
                (&["203.0.113.5"][..], Ok("203.0.113.5")),
                (&["2001:db8::1"], Ok("2001:db8::1")),
                (&["203.0.113.5:4711"], Ok("203.0.113.5")),
                (&["6.6.6.6, 203.0.113.5"], Err(Doubt::NotUnderstood)),
                (&["6.6.6.6", "203.0.113.5"], Err(Doubt::NotUnderstood)),
                (&[""], Err(Doubt::NotUnderstood)),
                (&[], Err(Doubt::Missing)),
            ] {
                assert_eq!(
                    found("10.0.0.1", values, &config),
                    ip.map(str::to_owned),
                    "{values:?}"
                );
            }
        }
    }

    #[test]
    fn names_of_headers_are_checked() {
        assert_eq!(header(" X-Real-IP ").to_string(), "x-real-ip");
        for wrong in ["", "X Real", "X-Real-IP:", "ü"] {
            let error = AddressHeader::try_from(wrong.to_owned())
                .expect_err(wrong)
                .to_string();
            assert!(error.contains("is not the name of a header"), "{error}");
        }
    }
}
