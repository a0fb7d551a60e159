//! `/shop`: a page to order from in a browser, of `rushgate dev` alone. It is made of the files in `shop/` and of the very client
//! that shops get (`clients/js`), all of them inside the binary.

use bytes::Bytes;
use hyper::Response;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use url::Url;

use super::query::decoded;
use super::{Answer, Content};
use crate::campaign::Origins;
use crate::wire::problem::MALFORMED;
use crate::wire::{Problem, check_query};

pub(super) const PATH: &str = "/shop";
/// Names the gateway that the page orders at, where it is not the one it comes from.
const GATEWAY: &str = "gateway";
/// What the page may do. It loads nothing from anywhere else, and speaks to its gateways alone, which are named behind it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; connect-src 'self'";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

const fn script(path: &'static str, text: &'static str) -> File {
    let kind = "text/javascript; charset=utf-8";
    File { path, kind, text }
}

static FILES: [File; 11] = [
    File {
        path: PATH,
        kind: "text/html; charset=utf-8",
        text: include_str!("shop/shop.html"),
    },
    File {
        path: "/shop/shop.css",
        kind: "text/css; charset=utf-8",
        text: include_str!("shop/shop.css"),
    },
    File {
        path: "/shop/icon.svg",
        kind: "image/svg+xml",
        text: include_str!("shop/icon.svg"),
    },
    script("/shop/shop.js", include_str!("shop/shop.js")),
    script("/shop/gateway.js", include_str!("shop/gateway.js")),
    script("/shop/live.js", include_str!("shop/live.js")),
    script("/shop/order.js", include_str!("shop/order.js")),
    script("/shop/page.js", include_str!("shop/page.js")),
    script("/shop/words.js", include_str!("shop/words.js")),
    script("/shop/client/index.js", include_str!("../../clients/js/index.js")),
    script(
        "/shop/client/events.js",
        include_str!("../../clients/js/events.js"),
    ),
];

/// The file of a path.
pub(super) fn find(path: &str) -> Option<&'static File> {
    // Orders come by here, too.
    path.starts_with(PATH)
        .then(|| FILES.iter().find(|file| file.path == path))?
}

/// A file. The page alone has a query, and its policy allows the gateway that it names.
pub(super) fn show(file: &'static File, query: Option<&str>) -> Result<Answer, Problem> {
    let is_page = file.path == PATH;
    check_query(query, if is_page { &[GATEWAY] } else { &[] })?;
    let mut answer = Response::new(Content::from(Bytes::from_static(file.text.as_bytes())));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, policy(query)?);
    Ok(answer)
}

/// With the origin of the named gateway, where it is one; where not, the page says so.
fn policy(query: Option<&str>) -> Result<HeaderValue, Problem> {
    let pairs = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let named: Vec<&str> = pairs.map(|(_, value)| value).collect();
    let origin = match named[..] {
        [] => None,
        [one] => origin(&decoded(one)?),
        _ => {
            return Err(Problem::new(
                &MALFORMED,
                "query parameter \"gateway\" was sent twice",
            ));
        }
    };
    let policy = origin.and_then(|origin| HeaderValue::from_str(&format!("{POLICY} {origin}")).ok());
    Ok(policy.unwrap_or(HeaderValue::from_static(POLICY)))
}

/// The origin of a URL of http or https. What could say more in a policy than an origin does is none: `*`, `;`, a comma.
fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let origin = url.origin().ascii_serialization();
    let is_web = ["http", "https"].contains(&url.scheme());
    let is_plain = origin != "*" && Origins::new(vec![origin.clone()]).is_ok();
    (is_web && is_plain).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names the language; nobody fetches it.
    const SVG: &str = "http://www.w3.org/2000/svg";

    #[test]
    fn every_file_of_the_folder_is_served_and_small() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/gateway/shop");
        let there = std::fs::read_dir(folder).expect("the folder");
        assert_eq!(there.count() + 2, FILES.len(), "the two are of clients/js");
        let bytes: usize = FILES.iter().map(|file| file.text.len()).sum();
        assert!(bytes < 50_000, "{bytes}");
        for file in &FILES {
            assert_eq!(find(file.path), Some(file));
            // What is loaded is there, and nothing comes from elsewhere.
            for text in file.text.split(['"', '\'']) {
                let is_there = !text.starts_with("/shop") || find(text).is_some();
                let is_elsewhere = text.starts_with("http") && text.contains("://") && text != SVG;
                assert!(is_there && !is_elsewhere, "{}: {text}", file.path);
            }
            assert!(!file.text.contains("innerHTML"), "{}", file.path);
        }
        for path in ["/shop/", "/shop/mod.rs", "/shopping", "/shop/client"] {
            assert_eq!(find(path), None, "{path}");
        }
    }

    #[test]
    fn the_policy_allows_the_named_gateway_and_nothing_else() {
        let policy = |query| {
            let policy = policy(query).expect("a policy");
            policy.to_str().expect("text").to_owned()
        };
        assert_eq!(policy(None), POLICY);
        assert!(!POLICY.contains("unsafe"));
        for (query, origin) in [
            ("gateway=http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            (
                "gateway=https%3A%2F%2Fgate.example%2Fbehind%2F",
                "https://gate.example",
            ),
            ("gateway=HTTP://Gate.Example:80", "http://gate.example"),
        ] {
            assert_eq!(policy(Some(query)), format!("{POLICY} {origin}"), "{query}");
        }
        for query in [
            "gateway=",
            "gateway",
            "gateway=*",
            "gateway=http://*",
            "gateway=https://a%3Bscript-src",
            "gateway=https://a,b",
            "gateway=https://a%20https://b",
            "gateway=javascript:alert(1)",
            "gateway=file:///etc/passwd",
            "gateway=ftp://a.example",
            "gateway=data:text/html,x",
            "gateway=127.0.0.1:8080",
        ] {
            assert_eq!(policy(Some(query)), POLICY, "{query}");
        }
        let page = find(PATH).expect("the page");
        let refused = |file, query| show(file, Some(query)).err().expect(query).status();
        assert_eq!(refused(page, "gateway=http://a&gateway=http://b"), 400);
        assert_eq!(refused(page, "gateways=http://a"), 400);
        assert_eq!(
            refused(find("/shop/shop.js").expect("a script"), "gateway=http://a"),
            400
        );
    }
}
