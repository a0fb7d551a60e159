//! Origins: whose pages in browsers may read what a gateway answers. Browsers ask for it (CORS); nobody else does, so this keeps
//! nobody from ordering.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Origins of one list.
pub const ORIGINS_MAX: usize = 50;
/// Bytes of one origin: a scheme, a host of 253 and a port.
pub const ORIGIN_BYTES_MAX: usize = 300;
/// Every origin there is.
const ANY: &str = "*";

/// A list of origins as browsers write them, or every one there is. An empty list is of nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "Given", into = "Vec<String>")]
pub struct Origins(Vec<String>);

/// What is wrong with one origin of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct OriginError {
    /// Its place in the list, from 0; `None`: there are too many.
    pub at: Option<usize>,
    pub what: String,
}

impl Origins {
    /// The list as it was written; the first error of it.
    pub fn new(list: Vec<String>) -> Result<Self, OriginError> {
        if list.len() > ORIGINS_MAX {
            let what = format!("has {} entries; at most {ORIGINS_MAX} are allowed", list.len());
            return Err(OriginError { at: None, what });
        }
        for (at, origin) in list.iter().enumerate() {
            let wrong = |what: String| OriginError { at: Some(at), what };
            if origin == ANY && list.len() > 1 {
                let what = r#""*" is every origin: leave out the others, or it"#;
                return Err(wrong(what.to_owned()));
            }
            if origin != ANY {
                check(origin).map_err(wrong)?;
            }
            if list[..at].contains(origin) {
                return Err(wrong(format!("{} is there twice", shown(origin))));
            }
        }
        Ok(Self(list))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it is every origin.
    pub fn is_any(&self) -> bool {
        self.0.first().is_some_and(|origin| origin == ANY)
    }

    /// Whether the value of a header `Origin` is one of them, byte by byte; of every origin, `null` is one too.
    pub fn contain(&self, origin: &[u8]) -> bool {
        self.is_any() || self.0.iter().any(|known| known.as_bytes() == origin)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// As files and the environment write it: a list, or one text with commas.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "is neither a list of origins nor a text of them with commas"
)]
enum Given {
    Text(String),
    List(Vec<String>),
}

impl TryFrom<Given> for Origins {
    type Error = OriginError;

    fn try_from(given: Given) -> Result<Self, OriginError> {
        Self::new(match given {
            Given::List(list) => list,
            Given::Text(text) => {
                let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
                names.map(str::to_owned).collect()
            }
        })
    }
}

impl From<Origins> for Vec<String> {
    fn from(origins: Origins) -> Self {
        origins.0
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Whether a browser would send it so: `scheme://host` or `scheme://host:port`. `Err` says what is wrong, and what it sends.
fn check(origin: &str) -> Result<(), String> {
    let name = shown(origin);
    if origin.is_empty() {
        return Err("is empty: write an origin, https://shop.example".to_owned());
    }
    if origin == "null" {
        let why = "is what any page can be sent as, from a file or a sandboxed frame";
        return Err(format!("{name} {why}: serve the page from an origin of its own"));
    }
    if origin.len() > ORIGIN_BYTES_MAX {
        return Err(format!(
            "{name} is longer than {ORIGIN_BYTES_MAX} bytes: no browser sends it"
        ));
    }
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Err(format!("{name} has no scheme: write https://{}", cut(origin)));
    };
    check_scheme(scheme).map_err(|why| format!("{name} {why}"))?;
    if let Some(at) = rest.find(['/', '?', '#', '\\']) {
        let part = match rest.as_bytes()[at] {
            b'?' => "a query",
            b'#' => "a fragment",
            _ => "a path",
        };
        let origin = format!("{scheme}://{}", &rest[..at]);
        return Err(format!(
            "{name} has {part}, which no origin has: write {}",
            cut(&origin)
        ));
    }
    if rest.contains('@') {
        return Err(format!("{name} names a user, which no origin does"));
    }
    let (host, port) = parts(rest).ok_or_else(|| format!("{name} has an address that cannot be read"))?;
    check_host(host).map_err(|why| format!("{name} {why}"))?;
    check_port(scheme, port).map_err(|why| format!("{name} {why}"))
}

fn check_scheme(scheme: &str) -> Result<(), String> {
    let lower = scheme.to_ascii_lowercase();
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    match lower.as_bytes() {
        [first, others @ ..] if first.is_ascii_lowercase() && others.iter().all(|byte| rest(*byte)) => {}
        _ => return Err("has a scheme that is none: write https://".to_owned()),
    }
    match lower == scheme {
        true => Ok(()),
        false => Err(format!("is sent in small letters: write {lower}://")),
    }
}

/// Host and port; an address of version 6 stands in brackets.
fn parts(rest: &str) -> Option<(&str, Option<&str>)> {
    if rest.starts_with('[') {
        let end = rest.find(']')? + 1;
        return match &rest[end..] {
            "" => Some((&rest[..end], None)),
            port => Some((&rest[..end], Some(port.strip_prefix(':')?))),
        };
    }
    Some(match rest.split_once(':') {
        None => (rest, None),
        Some((host, port)) => (host, Some(port)),
    })
}

fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("has no host".to_owned());
    }
    if host.contains('*') {
        return Err(r#"has a wildcard: name each origin, or give "*" alone for every one"#.to_owned());
    }
    if !host.is_ascii() {
        return Err("has letters that browsers send as xn--…: write the host so".to_owned());
    }
    let lower = host.to_ascii_lowercase();
    if lower != host {
        return Err(format!("is sent in small letters: write {lower}"));
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return match address.parse::<Ipv6Addr>() {
            Ok(same) if same.to_string() == address => Ok(()),
            Ok(other) => Err(format!("is sent as [{other}]: write it so")),
            Err(_) => Err("has an address that cannot be read".to_owned()),
        };
    }
    let is_label = |label: &str| {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(is_name)
    };
    if !host.strip_suffix('.').unwrap_or(host).split('.').all(is_label) {
        return Err("has a host that cannot be".to_owned());
    }
    // What ends with a number is an address to browsers, whatever it is otherwise.
    let last = host
        .rsplit('.')
        .find(|label| !label.is_empty())
        .unwrap_or_default();
    match last.bytes().all(|byte| byte.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_err() {
        true => Err("has an address that cannot be read".to_owned()),
        false => Ok(()),
    }
}

fn check_port(scheme: &str, port: Option<&str>) -> Result<(), String> {
    let Some(port) = port else { return Ok(()) };
    let number = port
        .parse::<u16>()
        .ok()
        .filter(|number| number.to_string() == port);
    match (scheme, number) {
        (_, None | Some(0)) => Err("has a port that is no number from 1 to 65535".to_owned()),
        ("https", Some(443)) | ("http", Some(80)) => Err(format!(
            "names the port that {scheme} has anyway, which browsers leave out: leave out :{port}"
        )),
        _ => Ok(()),
    }
}

/// As a message names it.
fn shown(origin: &str) -> String {
    format!("{:?}", cut(origin))
}

fn cut(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

#[cfg(test)]
mod tests;
