//! Tokens that are taken, and every way in which one is not.

use std::io::Write as _;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const FOREIGN: &[u8] = b"fedcba9876543210fedcba9876543210";
const ED_PRIVATE: &[u8] = include_bytes!("../../../tests/fixtures/keys/ed25519.pem");
const ED_PUBLIC: &[u8] = include_bytes!("../../../tests/fixtures/keys/ed25519.pub.pem");
const RSA_PRIVATE: &[u8] = include_bytes!("../../../tests/fixtures/keys/rsa.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("../../../tests/fixtures/keys/rsa.pub.pem");

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("written");
    file
}

fn with_secret(bytes: &[u8], config: Config) -> Result<Auth, AuthConfigError> {
    let file = file(bytes);
    Auth::new(&Config {
        jwt_hs256_secret_file: Some(file.path().to_owned()),
        ..config
    })
}

fn with_public_key(bytes: &[u8]) -> Result<Auth, AuthConfigError> {
    let file = file(bytes);
    Auth::new(&Config {
        jwt_public_key_file: Some(file.path().to_owned()),
        ..Config::default()
    })
}

fn hours_from_now(hours: i64) -> i64 {
    jsonwebtoken::get_current_timestamp() as i64 + hours * 3600
}

fn hs256(claims: &Value) -> String {
    sign(Algorithm::HS256, &EncodingKey::from_secret(SECRET), claims)
}

/// A token over this very payload.
fn signed(payload: &str) -> String {
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let message = format!(
        "{}.{}",
        text(br#"{"alg":"HS256","typ":"JWT"}"#),
        text(payload.as_bytes())
    );
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("signed");
    format!("{message}.{signature}")
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, key).expect("a token")
}

#[test]
fn a_good_token_names_user_and_claims() {
    let auth = with_secret(&[SECRET, b"\n"].concat(), Config::default()).expect("a key");
    let token = hs256(&json!({
        "sub": "ada ", "exp": hours_from_now(1), "iat": 1, "jti": "x", "aud": "somebody",
        "tier": "gold", "age": 7, "staff": false, "roles": ["a"], "groups": ["a", "b"], "place": {}, "nick": null, "long": "x".repeat(300),
    }));
    let identity = auth.verify(&token).expect("valid");
    assert_eq!(identity.user, "ada ", "a trailing space is part of the name");
    let mut claims: Vec<_> = identity
        .claims
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    claims.sort_unstable();
    let expected = [
        ("claim:age", "7"),
        ("claim:aud", "somebody"),
        ("claim:groups", "\u{1f}a\u{1f}b"),
        ("claim:roles", "a"),
        ("claim:staff", "false"),
        ("claim:tier", "gold"),
        ("unreadable:claim:long", "is longer than 256 bytes"),
        ("unreadable:claim:place", "is an object"),
    ];
    assert_eq!(claims, expected);
}

#[test]
fn other_tokens_are_refused_with_a_reason() {
    let config = Config {
        issuer: Some("login".into()),
        audience: Some("rushgate".into()),
        ..Config::default()
    };
    let auth = with_secret(SECRET, config).expect("a key");
    let exp = hours_from_now(1);
    let good = json!({"sub": "ada", "exp": exp, "iss": "login", "aud": ["rushgate", "other"]});
    assert!(auth.verify(&hs256(&good)).is_ok());
    let but = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        hs256(&claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().expect("an object").remove(name);
        hs256(&claims)
    };
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTl9.";
    let ed = EncodingKey::from_ed_pem(ED_PRIVATE).expect("a key");
    for (token, reason, text) in [
        (but("exp", json!(hours_from_now(-1))), "token-expired", "expired"),
        (but("nbf", json!(exp)), "token-not-yet-valid", "not valid yet"),
        (but("iss", json!("other")), "token-invalid", "issuer"),
        (but("aud", json!("other")), "token-invalid", "audience"),
        (without("exp"), "token-invalid", "lacks the claim exp"),
        (without("sub"), "token-invalid", "lacks the claim sub"),
        (without("iss"), "token-invalid", "lacks the claim iss"),
        (without("aud"), "token-invalid", "lacks the claim aud"),
        (
            but("sub", json!(null)),
            "token-invalid",
            "the claim sub is null; it must be a text or a number",
        ),
        (
            but("iss", json!(null)),
            "token-invalid",
            "the claim iss is null; it must be a text, or an array of texts",
        ),
        (
            but("exp", json!(null)),
            "token-invalid",
            "the claim exp is null; it must be a number of seconds since",
        ),
        (
            but("sub", json!(["ada"])),
            "token-invalid",
            "the claim sub is an array; it must be a text or a number",
        ),
        (
            but("sub", json!({"id": "ada"})),
            "token-invalid",
            "the claim sub is an object; it must be",
        ),
        (
            but("sub", json!(true)),
            "token-invalid",
            "the claim sub is a truth value; it must be",
        ),
        (
            but("exp", json!(exp.to_string())),
            "token-invalid",
            "the claim exp is a text; it must be a number of seconds since",
        ),
        (
            but("exp", json!([exp])),
            "token-invalid",
            "the claim exp is an array; it must be",
        ),
        (
            but("exp", json!(-1)),
            "token-invalid",
            "the claim exp is below 0; it must be a number of seconds since 1970-01-01 UTC, 0 or more",
        ),
        (
            but("iss", json!([7])),
            "token-invalid",
            "the claim iss is an array; it must be a text, or an array of texts",
        ),
        (
            but("nbf", json!("soon")),
            "token-invalid",
            "the claim nbf is a text; it must be a number of seconds since",
        ),
        (
            but("iss", json!(7)),
            "token-invalid",
            "the claim iss is a number; it must be a text, or an array of texts",
        ),
        (
            but("aud", json!({"a": 1})),
            "token-invalid",
            "the claim aud is an object; it must be",
        ),
        (but("sub", json!("")), "token-invalid", "empty"),
        (but("sub", json!("a\0")), "token-invalid", "control character"),
        (but("sub", json!("a".repeat(257))), "token-invalid", "257 bytes"),
        (
            sign(Algorithm::HS256, &EncodingKey::from_secret(FOREIGN), &good),
            "token-invalid",
            "signature",
        ),
        (
            sign(Algorithm::HS384, &EncodingKey::from_secret(SECRET), &good),
            "token-invalid",
            "another algorithm",
        ),
        (
            sign(Algorithm::EdDSA, &ed, &good),
            "token-invalid",
            "another algorithm",
        ),
        (none.to_owned(), "token-invalid", ""),
        ("a.b.c".to_owned(), "token-invalid", "no JSON Web Token"),
        ("x".to_owned(), "token-invalid", "no JSON Web Token"),
        ("dev:ada".to_owned(), "token-invalid", "no JSON Web Token"),
    ] {
        let problem = auth.verify(&token).expect_err(text);
        let shown = String::from_utf8(problem.to_json()).expect("UTF-8");
        assert_eq!(
            (problem.status(), problem.reason_code().as_ref()),
            (401, reason),
            "{shown}"
        );
        assert!(shown.contains(text), "{text}: {shown}");
    }
}

#[test]
fn a_user_that_is_a_number_is_its_digits() {
    let auth = with_secret(SECRET, Config::default()).expect("a key");
    let exp = hours_from_now(1);
    for digits in ["7", "9007199254740993", "123456789012345678901234567890"] {
        let token = signed(&format!(r#"{{"exp":{exp},"sub":{digits}}}"#));
        assert_eq!(auth.verify(&token).expect("valid").user, digits);
    }
    let twice = signed(&format!(r#"{{"exp":{exp},"sub":1,"sub":2}}"#));
    let problem = String::from_utf8(auth.verify(&twice).expect_err("two users").to_json()).expect("UTF-8");
    assert!(
        problem.contains("the claim sub stands in the token more than once"),
        "{problem}"
    );
}

#[test]
fn a_token_that_asks_for_more_than_is_understood_is_refused() {
    let auth = with_secret(SECRET, Config::default()).expect("a key");
    let claims = json!({"sub": "ada", "exp": hours_from_now(1)});
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".into()]);
    let key = EncodingKey::from_secret(SECRET);
    let critical = encode(&header, &claims, &key).expect("a token");
    header.crit = None;
    header.extras.insert("b64", false);
    let unencoded = encode(&header, &claims, &key).expect("a token");
    for (token, member) in [(critical, "crit"), (unencoded, "b64")] {
        let problem = auth.verify(&token).expect_err(member);
        let shown = String::from_utf8(problem.to_json()).expect("UTF-8");
        assert_eq!(problem.status(), 401);
        assert!(shown.contains(&format!("the header {member}")), "{shown}");
    }
}

#[test]
fn public_keys_take_their_own_algorithm_only() {
    let claims = json!({"sub": "ada", "exp": hours_from_now(1)});
    let ed = sign(
        Algorithm::EdDSA,
        &EncodingKey::from_ed_pem(ED_PRIVATE).expect("a key"),
        &claims,
    );
    let rsa = sign(
        Algorithm::RS256,
        &EncodingKey::from_rsa_pem(RSA_PRIVATE).expect("a key"),
        &claims,
    );
    // The classic confusion: the public key's text used as a shared secret.
    let confused = sign(Algorithm::HS256, &EncodingKey::from_secret(ED_PUBLIC), &claims);
    for (key, good, bad) in [
        (ED_PUBLIC, &ed, [&rsa, &confused]),
        (RSA_PUBLIC, &rsa, [&ed, &confused]),
    ] {
        let auth = with_public_key(key).expect("a key");
        for _ in 0..2 {
            assert_eq!(
                auth.verify(good).expect("valid").user,
                "ada",
                "the second time from the cache"
            );
        }
        for token in bad {
            assert!(auth.verify(token).is_err());
        }
    }
}

#[test]
fn a_time_is_a_number_or_is_not_there() {
    let auth = with_secret(SECRET, Config::default()).expect("a key");
    let exp = hours_from_now(1);
    let shown = |problem: Problem| String::from_utf8(problem.to_json()).expect("UTF-8");
    let token = |name: &str, value: &str| {
        let exp = if name == "exp" {
            String::new()
        } else {
            format!(r#""exp":{exp},"#)
        };
        signed(&format!(r#"{{{exp}"sub":"ada","{name}":{value}}}"#))
    };
    for good in ["1", "0", "1.5", "1e3", "1700000000.999"] {
        for name in ["nbf", "iat"] {
            assert!(auth.verify(&token(name, good)).is_ok(), "{name} {good}");
        }
    }
    let most = u64::MAX.to_string();
    assert!(auth.verify(&token("iat", &most)).is_ok(), "below 2^64");
    for good in [format!("{exp}"), format!("{exp}.25"), format!("{exp}e0"), most] {
        assert!(auth.verify(&token("exp", &good)).is_ok(), "exp {good}");
    }
    // Issued in the future is no reason to refuse a token, valid in the future is one.
    let later = exp.to_string();
    assert!(auth.verify(&token("iat", &later)).is_ok());
    let early = shown(auth.verify(&token("nbf", &later)).expect_err("early"));
    assert!(early.contains("token-not-yet-valid"), "{early}");
    for name in ["exp", "nbf", "iat"] {
        for (bad, noun) in [
            ("null", "null"),
            ("\"1700000000\"", "a text"),
            ("true", "a truth value"),
            ("[1]", "an array"),
            ("{}", "an object"),
            ("-1", "below 0"),
            ("-0.5", "below 0"),
            ("-1e400", "below 0"),
            ("18446744073709551616", "too large"),
            ("1e30", "too large"),
            ("1e400", "too large"),
        ] {
            let detail = shown(auth.verify(&token(name, bad)).expect_err(bad));
            let said = format!(
                "the claim {name} is {noun}; it must be a number of seconds since 1970-01-01 UTC, 0 or more and below 2^64"
            );
            assert!(detail.contains(&said), "{name} {bad}: {detail}");
        }
        let twice = token(name, &format!("{exp},\"{name}\":{exp}"));
        let detail = shown(auth.verify(&twice).expect_err("twice"));
        assert!(
            detail.contains(&format!("the claim {name} stands in the token more than once")),
            "{detail}"
        );
    }
}

#[test]
fn development_tokens_only_where_they_are_enabled() {
    let auth = Auth::new(&Config {
        insecure_dev_auth: true,
        ..Config::default()
    })
    .expect("development");
    let identity = auth.verify("dev:ada%20?tier=gold&region=e%75").expect("valid");
    assert_eq!(identity.user, "ada ");
    let expected = [("claim:tier", "gold"), ("claim:region", "eu")];
    assert_eq!(
        identity.claims,
        expected.map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    for bad in [
        "ada",
        "dev:",
        "dev:?tier=gold",
        "dev:a%00",
        "dev:%ff",
        "dev:a?tier=%0A",
        "dev:a?tier=gold&tier=silver",
        "dev:a?sub=b",
    ] {
        assert_eq!(auth.verify(bad).expect_err(bad).status(), 401, "{bad}");
    }
}

#[test]
fn a_gateway_that_could_not_check_tokens_does_not_start() {
    let error = |result: Result<Auth, AuthConfigError>| result.err().expect("refused").to_string();
    assert!(error(Auth::new(&Config::default())).contains("--insecure-dev-auth"));
    assert!(error(with_secret(b"short", Config::default())).contains("has 5 bytes"));
    assert!(error(with_public_key(b"-----BEGIN NOTHING-----")).contains("is no PEM public key"));
    let both = Config {
        jwt_public_key_file: Some("x".into()),
        ..Config::default()
    };
    let named = error(with_secret(SECRET, both));
    assert!(
        named.contains("auth.jwt_hs256_secret_file or auth.jwt_public_key_file, not both"),
        "{named}"
    );
    let both = Config {
        jwks_url: Some("https://login.example/keys".into()),
        jwks_file: Some("x".into()),
        ..Config::default()
    };
    assert!(error(Auth::new(&both)).contains("auth.jwks_file or auth.jwks_url, not both"));
    let private = error(with_public_key(RSA_PRIVATE));
    assert!(private.contains("holds a private key"), "{private}");
    let listed = Config {
        algorithms: "ES256".to_owned(),
        ..Config::default()
    };
    assert!(error(with_secret(SECRET, listed)).contains("is for HS256, which auth.algorithms does not list"));
    let secret = Config {
        jwt_hs256_secret_file: Some("0123456789abcdef".into()),
        ..Config::default()
    };
    assert!(
        !error(Auth::new(&secret)).contains("0123456789abcdef"),
        "a secret in the place of its file's name"
    );
    let missing = Config {
        jwt_public_key_file: Some("/nowhere/key.pem".into()),
        ..Config::default()
    };
    assert!(error(Auth::new(&missing)).contains("auth.jwt_public_key_file: cannot read /nowhere/key.pem"));
    let named = Config {
        jwks_file: Some("nope".into()),
        ..Config::default()
    };
    assert!(error(Auth::new(&named)).starts_with("auth.jwks_file: cannot read the file it names"));
    let short = error(with_secret(b"short", Config::default()));
    assert!(
        short.starts_with("auth.jwt_hs256_secret_file: the secret in "),
        "{short}"
    );
}
