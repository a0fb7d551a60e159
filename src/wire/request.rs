//! What both planes ask of every request, whatever its path: headers that say one thing, a host, and a query that is read.

use std::net::Ipv6Addr;

use super::problem::{MALFORMED, MEDIA_TYPE, NOT_FOUND};
use super::{Problem, echo};

/// Headers that a request has once: of two, each reader could go by another.
const SINGLE_HEADERS: [&str; 6] = [
    "authorization",
    "content-type",
    "content-encoding",
    "content-length",
    "host",
    "origin",
];
/// Bytes of a host name (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// Refuses a request that has such a header more than once, several values in one `Content-Type` or `Host`, or a body
/// in another transfer coding than `chunked`. `values` are those of a header.
pub fn check_headers<'a, V>(values: impl Fn(&'static str) -> V) -> Result<(), Problem>
where
    V: Iterator<Item = &'a [u8]>,
{
    for name in SINGLE_HEADERS {
        let mut given = values(name);
        let first = given.next();
        let is_list = |value: &[u8]| matches!(name, "content-type" | "host") && value.contains(&b',');
        if first.is_some_and(is_list) || given.next().is_some() {
            let detail = format!("the header {name} has more than one value; send it once, with one");
            return Err(Problem::new(&MALFORMED, detail));
        }
    }
    let is_chunked = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"chunked");
    if !values("transfer-encoding").all(is_chunked) {
        let detail = "the header Transfer-Encoding has another value than chunked; send the body as it is";
        return Err(Problem::new(&MALFORMED, detail));
    }
    Ok(())
}

/// Refuses a request that names no host where its protocol asks for one (`is_required`: not HTTP/1.0), or one that
/// cannot be. `authority` is the host of the target, as h2 has it, and `header` the one of `Host`.
pub fn check_host(is_required: bool, authority: Option<&str>, header: Option<&[u8]>) -> Result<(), Problem> {
    let refused = |detail: String| Err(Problem::new(&MALFORMED, detail));
    let header = header.map(|host| std::str::from_utf8(host).unwrap_or("?"));
    if is_required && authority.or(header).is_none() {
        return refused("the header Host is missing".into());
    }
    match authority.into_iter().chain(header).find(|host| !is_host(host)) {
        Some(host) => refused(format!("{} is no host, with or without a port", echo(host))),
        None => Ok(()),
    }
}

/// Refuses a request whose target names another host than its header `Host`.
pub fn check_same_host(authority: Option<&str>, header: Option<&[u8]>) -> Result<(), Problem> {
    match (authority, header) {
        (Some(authority), Some(header)) if !authority.as_bytes().eq_ignore_ascii_case(header) => {
            let detail = "the target of the request names another host than its header Host";
            Err(Problem::new(&MALFORMED, detail))
        }
        _ => Ok(()),
    }
}

/// `host` or `host:port`; an address of version 6 stands in brackets.
fn is_host(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if is_version_6(address) => ("v6", port),
            _ => return false,
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let is_port = |port: &str| {
        port.bytes().all(|b| b.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok())
    };
    (1..=HOST_BYTES_MAX).contains(&host.len())
        && host.chars().all(is_name)
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// The zone behind `%` means something to the client alone.
fn is_version_6(text: &str) -> bool {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse::<Ipv6Addr>().is_ok()
}

/// Refuses a query that has a parameter which the path does not know: what its sender means by it would not happen. So it is of one
/// that stands there twice.
pub fn check_query(query: Option<&str>, known: &[&str]) -> Result<(), Problem> {
    let pairs = query.unwrap_or_default().split('&');
    let names = pairs
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let mut seen = Vec::new();
    for name in names {
        if !known.contains(&name) {
            return Err(unknown_parameter(name, known));
        }
        if seen.contains(&name) {
            let detail = format!("the query parameter {} stands there twice", echo(name));
            return Err(Problem::new(&MALFORMED, detail));
        }
        seen.push(name);
    }
    Ok(())
}

fn unknown_parameter(name: &str, known: &[&str]) -> Problem {
    let takes = match known {
        [] => "none".to_owned(),
        known => known.join(", "),
    };
    let detail = format!(
        "this path has no query parameter {}; it takes {takes}",
        echo(name)
    );
    Problem::new(&MALFORMED, detail)
}

/// Refuses a body that its sender compressed. `coding` is the header `Content-Encoding`.
pub fn check_uncompressed(coding: Option<&[u8]>) -> Result<(), Problem> {
    let coding = String::from_utf8_lossy(coding.unwrap_or_default());
    let mut codings = coding
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty());
    match codings.find(|coding| !coding.eq_ignore_ascii_case("identity")) {
        None => Ok(()),
        Some(coding) => {
            let detail = format!(
                "the body is sent as {}; this path takes it uncompressed",
                echo(coding)
            );
            Err(Problem::new(&MEDIA_TYPE, detail).accept_encoding("identity"))
        }
    }
}

/// Nothing is served under this path.
pub fn not_found(path: &str) -> Problem {
    let hint = match path.ends_with('/') && path.len() > 1 {
        true => ": no path ends with a slash",
        false => "",
    };
    Problem::new(
        &NOT_FOUND,
        format!("nothing is served under the path {}{hint}", echo(path)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_name_one_thing_come_once() {
        let check = |headers: &[(&str, &str)]| {
            let of = |name: &'static str| {
                let named = headers.iter().filter(move |(given, _)| *given == name);
                named.map(|(_, value)| value.as_bytes())
            };
            check_headers(of).map_err(|problem| problem.status())
        };
        let plain = ("content-type", "application/json");
        assert_eq!(
            check(&[
                plain,
                ("authorization", "Bearer a"),
                ("accept", "a"),
                ("accept", "b"),
                ("transfer-encoding", "Chunked")
            ]),
            Ok(())
        );
        for name in SINGLE_HEADERS {
            assert_eq!(check(&[(name, "same"), (name, "same")]), Err(400), "{name}");
            assert_eq!(check(&[(name, "one"), (name, "")]), Err(400), "{name}");
        }
        for list in [
            ("content-type", "application/json, text/plain"),
            ("host", "localhost, evil.example"),
            ("transfer-encoding", "gzip, chunked"),
        ] {
            assert_eq!(check(&[list]), Err(400), "{list:?}");
        }
    }

    #[test]
    fn hosts_that_can_be() {
        let check =
            |host: &str| check_host(true, None, Some(host.as_bytes())).map_err(|problem| problem.status());
        for host in [
            "localhost",
            "localhost:",
            "Gate.example.:8080",
            "a_b-c.example",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:443",
            "[fe80::1%25eth0]:80",
        ] {
            assert_eq!(check(host), Ok(()), "{host}");
        }
        let long = "a".repeat(254);
        for host in [
            "", ":80", "a b", "a/b", "http://a", "user@a", "a:99999", "a:b", "a:1:2", "::1", "[::1",
            "[::1]80", "[a]", "a?b", "a#b", "a\\b", "\u{fc}", &long,
        ] {
            assert_eq!(check(host), Err(400), "{host}");
            let target = check_host(true, Some(host), Some(b"localhost")).map_err(|problem| problem.status());
            assert_eq!(target, Err(400), "{host}");
        }
        assert!(check_host(true, None, None).is_err() && check_host(false, None, None).is_ok());
        assert!(check_host(true, Some("a"), None).is_ok());
        assert!(
            check_same_host(Some("A:1"), Some(b"a:1")).is_ok() && check_same_host(None, Some(b"a")).is_ok()
        );
        assert!(check_same_host(Some("a"), Some(b"b")).is_err());
    }

    #[test]
    fn queries_are_known_or_refused() {
        let known = &["limit", "before"][..];
        for query in [None, Some(""), Some("&"), Some("limit=1&before=a"), Some("limit")] {
            assert!(check_query(query, known).is_ok(), "{query:?}");
        }
        for query in ["limits=1", "limit=1&x", "=1", "LIMIT=1", "limit%3D1"] {
            let problem = check_query(Some(query), known).expect_err(query);
            assert_eq!(problem.status(), 400, "{query}");
        }
        assert!(check_query(Some("a=1"), &[]).is_err());
        let twice = check_query(Some("limit=1&limit=1"), known).expect_err("twice");
        assert!(String::from_utf8_lossy(&twice.to_json()).contains("stands there twice"));
    }

    #[test]
    fn bodies_come_as_they_are() {
        for plain in [
            None,
            Some(&b""[..]),
            Some(b"identity"),
            Some(b" Identity, identity "),
        ] {
            assert!(check_uncompressed(plain).is_ok());
        }
        for coding in ["gzip", "br", "identity, gzip", "GZIP", "\u{fc}"] {
            let problem = check_uncompressed(Some(coding.as_bytes())).expect_err(coding);
            assert_eq!(
                (problem.status(), problem.accepted_encoding()),
                (415, Some("identity")),
                "{coding}"
            );
        }
    }
}
