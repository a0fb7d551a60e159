//! What browsers load beside a page: style, scripts, and the libraries in `static/vendor`, all of them inside the binary. They stand
//! under a folder that is named after their bytes, so that a browser keeps them for good and never mixes two builds.

use std::io::Write;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Digits of the digest in the folder's name.
const TAG_DIGITS: usize = 16;
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// The name changes with the bytes.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($kind:ident $name:literal,)*) => {
        &[$(File { name: $name, kind: $kind, text: include_str!(concat!("static/", $name)) }),*]
    };
}

static FILES: &[File] = files! {
    CSS "console.css",
    SCRIPT "page.js",
    SCRIPT "live.js",
    SCRIPT "upload.js",
    SCRIPT "vendor/htmx.min.js",
    SCRIPT "vendor/hx-sse.min.js",
    SCRIPT "vendor/uplot.min.js",
    CSS "vendor/uplot.min.css",
};

const ICON: &str = include_str!("static/icon.svg");

/// Files as they are sent, and the name of their folder.
struct Packed {
    folder: String,
    gzipped: Vec<Bytes>,
}

static PACKED: LazyLock<Packed> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for file in FILES {
        digest.update(file.name);
        digest.update(file.text);
    }
    let tag = HEXLOWER.encode(&digest.finalize());
    Packed {
        folder: format!("/console/static/{}", &tag[..TAG_DIGITS]),
        gzipped: FILES.iter().map(|file| gzip(file.text)).collect(),
    }
});

fn gzip(text: &str) -> Bytes {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory cannot fail.
    let _ = packed.write_all(text.as_bytes());
    packed.finish().unwrap_or_default().into()
}

/// Where pages find them: `/console/static/<digest>`.
pub(super) fn folder() -> &'static str {
    &PACKED.folder
}

/// Whether a browser takes gzip; one that says `q=0` does not.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok());
    let is_gzip = |coding: &str| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00")
    };
    accepted.is_some_and(|accepted| accepted.split(',').any(is_gzip))
}

/// A file under its folder; under the folder of another build there is none.
pub(super) async fn show(Path((tag, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let found = FILES.iter().position(|file| file.name == name);
    let Some(found) = found.filter(|_| PACKED.folder.ends_with(&format!("/{tag}"))) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let file = &FILES[found];
    let etag = HeaderValue::try_from(format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""));
    let is_known = headers.get(header::IF_NONE_MATCH) == Some(&etag);
    let gzipped = takes_gzip(&headers);
    let mut answer = match (is_known, gzipped) {
        (true, _) => StatusCode::NOT_MODIFIED.into_response(),
        (false, true) => PACKED.gzipped[found].clone().into_response(),
        (false, false) => file.text.into_response(),
    };
    let told = answer.headers_mut();
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    told.insert(header::CACHE_CONTROL, HeaderValue::from_static(FOR_GOOD));
    told.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    told.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    told.insert(header::ETAG, etag);
    if gzipped && !is_known {
        told.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

pub(super) async fn icon() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "public, max-age=86400"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, ICON).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of all of them as they are sent.
    const BYTES_MAX: usize = 60 * 1024;

    #[test]
    fn all_of_them_together_are_small() {
        let sizes: Vec<(usize, &str)> = FILES
            .iter()
            .zip(&PACKED.gzipped)
            .map(|(file, packed)| (packed.len(), file.name))
            .collect();
        let all: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
        assert!(all <= BYTES_MAX, "{all} bytes: {sizes:?}");
    }

    #[test]
    fn libraries_are_those_that_were_looked_at() {
        let sums = include_str!("static/vendor/SHA256SUMS");
        let named: Vec<(&str, &str)> = sums.lines().filter_map(|line| line.split_once("  ")).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/static/vendor");
        let there = std::fs::read_dir(folder).expect("the folder").count();
        assert_eq!(there, named.len() + 2, "all but the sums and the page about them");
        for (sum, name) in named {
            let bytes = std::fs::read(format!("{folder}/{name}")).expect(name);
            assert_eq!(HEXLOWER.encode(&Sha256::digest(bytes)), sum, "{name}");
        }
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere_and_nothing_runs_texts() {
        for file in FILES.iter().filter(|file| !file.name.starts_with("vendor/")) {
            for word in [
                "http://",
                "https://",
                "eval(",
                "new Function",
                "innerHTML",
                "hx-on",
                "js:",
            ] {
                assert!(!file.text.contains(word), "{}: {word}", file.name);
            }
        }
    }

    #[test]
    fn gzip_is_taken_where_it_is_said() {
        let takes = |value: &'static str| {
            let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_static(value))];
            takes_gzip(&headers.into_iter().collect())
        };
        for yes in ["gzip", "br, gzip", "GZIP;q=0.5"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "br", "gzip;q=0", "gzipped"] {
            assert!(!takes(no), "{no}");
        }
    }
}
