//! Which texts are origins, and what is said of the others.

use super::*;

fn origins(list: &[&str]) -> Result<Origins, OriginError> {
    Origins::new(list.iter().map(|origin| (*origin).to_owned()).collect())
}

#[test]
fn origins_that_browsers_send_are_taken() {
    for origin in [
        "*",
        "https://shop.example",
        "https://shop.example:8443",
        "http://localhost:5173",
        "http://127.0.0.1:8000",
        "http://[::1]:3000",
        "https://[2001:db8::7]",
        "https://xn--bcher-kva.example",
        "https://a_b-c.shop.example.",
        "http://shop.example:443",
        "https://shop.example:80",
        "capacitor://localhost",
        "chrome-extension://abcdefghijklmnop",
    ] {
        let list = origins(&[origin]).expect(origin);
        assert!(list.contain(origin.as_bytes()), "{origin}");
    }
}

#[test]
fn others_are_refused_with_what_to_write() {
    let long = format!("https://{}", "a.".repeat(200));
    for (origin, words) in [
        ("", "is empty"),
        ("null", "any page"),
        ("shop.example", "write https://shop.example"),
        (
            "https://shop.example/",
            "has a path, which no origin has: write https://shop.example",
        ),
        ("https://shop.example/cart", "has a path"),
        ("https://shop.example?a=1", "has a query"),
        ("https://shop.example#top", "has a fragment"),
        ("https://shop.example\\", "has a path"),
        ("https://ada@shop.example", "names a user"),
        ("https://", "has no host"),
        ("https://:8443", "has no host"),
        ("https://*.shop.example", "has a wildcard"),
        ("https://*", "has a wildcard"),
        ("https://Shop.example", "write shop.example"),
        ("HTTPS://shop.example", "write https://"),
        ("1s://shop.example", "has a scheme that is none"),
        ("://shop.example", "has a scheme that is none"),
        ("https://bücher.example", "xn--"),
        ("https://shop..example", "a host that cannot be"),
        ("https://shop example", "a host that cannot be"),
        ("https://shop.example,https://b.example", "has a path"),
        ("https://1.2.3", "an address that cannot be read"),
        ("https://256.0.0.1", "an address that cannot be read"),
        ("https://[::1", "an address that cannot be read"),
        ("https://[::1]8443", "an address that cannot be read"),
        ("https://[0:0:0:0:0:0:0:1]", "is sent as [::1]"),
        ("https://[shop]", "an address that cannot be read"),
        ("https://shop.example:443", "leave out :443"),
        ("http://shop.example:80", "leave out :80"),
        ("https://shop.example:", "a port that is no number"),
        ("https://shop.example:0", "a port that is no number"),
        ("https://shop.example:08443", "a port that is no number"),
        ("https://shop.example:65536", "a port that is no number"),
        ("https://shop.example:a", "a port that is no number"),
        (&long, "is longer than 300 bytes"),
    ] {
        let error = origins(&["https://good.example", origin]).expect_err(origin);
        assert_eq!(error.at, Some(1), "{origin}");
        assert!(error.what.contains(words), "{origin}: {error}");
        assert!(error.what.len() < 300, "{error}");
    }
}

#[test]
fn a_list_names_each_origin_once_or_every_one_by_a_star() {
    let at = |list: &[&str]| origins(list).map_err(|error| error.at);
    assert_eq!(at(&["https://a.example", "https://a.example"]), Err(Some(1)));
    assert_eq!(at(&["https://a.example", "*"]), Err(Some(1)));
    assert_eq!(at(&["*", "https://a.example"]), Err(Some(0)));
    let many: Vec<String> = (0..=ORIGINS_MAX)
        .map(|n| format!("https://s{n}.example"))
        .collect();
    assert_eq!(Origins::new(many.clone()).map_err(|error| error.at), Err(None));
    assert!(Origins::new(many[1..].to_vec()).is_ok());
}

#[test]
fn what_is_sent_is_compared_byte_by_byte() {
    let two = origins(&["https://a.example", "http://b.example:81"]).expect("origins");
    for origin in ["https://a.example", "http://b.example:81"] {
        assert!(two.contain(origin.as_bytes()), "{origin}");
    }
    for origin in [
        "",
        "null",
        "*",
        "https://A.example",
        "https://a.example:443",
        "https://a.example.evil.example",
        "http://a.example",
        "https://a.example/",
        "http://b.example",
        "https://x.a.example",
    ] {
        assert!(!two.contain(origin.as_bytes()), "{origin}");
    }
    assert!(!Origins::default().contain(b"null") && !Origins::default().is_any());
    assert!(origins(&["*"]).expect("all").contain(b"null"));
}

#[test]
fn a_list_is_written_as_json_and_read_from_a_text_too() {
    let two = origins(&["https://a.example", "http://b.example:81"]).expect("origins");
    let json = serde_json::to_string(&two).expect("JSON");
    assert_eq!(json, r#"["https://a.example","http://b.example:81"]"#);
    assert_eq!(serde_json::from_str::<Origins>(&json).expect("reads"), two);
    let text: Origins = serde_json::from_str(r#""https://a.example, http://b.example:81,""#).expect("reads");
    assert_eq!(
        (&text, text.to_string()),
        (&two, "https://a.example,http://b.example:81".into())
    );
    let wrong = serde_json::from_str::<Origins>(r#"["https://a.example/"]"#).expect_err("a path");
    assert!(wrong.to_string().contains("has a path"), "{wrong}");
}
