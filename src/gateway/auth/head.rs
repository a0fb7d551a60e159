//! The protected header of a token (RFC 7515, section 4), as far as it is believed: it names an algorithm and a key, and
//! nothing in it says where a key is to be had.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Members that stand there twice are refused, because somebody else may have read the other one.
#[derive(Deserialize)]
struct Members {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// `Some` also where it is null.
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(d).map(Some)
}

/// What a token says about its signature.
pub(super) struct Head {
    pub algorithm: Algorithm,
    /// `kid`.
    pub key: Option<String>,
}

/// Why a token is refused before any key is looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHead {
    /// No JSON Web Token at all.
    Unreadable,
    /// `none`, and what nobody here knows.
    Algorithm,
    /// `crit` names what a reader has to understand (RFC 7515, 4.1.11), and `b64` (RFC 7797) says that the payload is not
    /// encoded. No extension is understood here.
    Extension(&'static str),
}

impl Head {
    pub(super) fn read(token: &str) -> Result<Self, BadHead> {
        let (head, _) = token.split_once('.').ok_or(BadHead::Unreadable)?;
        let bytes = URL_SAFE_NO_PAD.decode(head).map_err(|_| BadHead::Unreadable)?;
        let members: Members = serde_json::from_slice(&bytes).map_err(|_| BadHead::Unreadable)?;
        if members.crit.is_some() {
            return Err(BadHead::Extension("crit"));
        }
        if members.b64.is_some_and(|b64| b64 != Value::Bool(true)) {
            return Err(BadHead::Extension("b64"));
        }
        Ok(Self {
            algorithm: members.alg.parse().map_err(|_| BadHead::Algorithm)?,
            key: members.kid,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<(Algorithm, Option<String>), BadHead> {
        let token = format!("{}.e30.c2ln", URL_SAFE_NO_PAD.encode(head));
        Head::read(&token).map(|head| (head.algorithm, head.key))
    }

    #[test]
    fn names_algorithm_and_key() {
        assert_eq!(
            read(r#"{"alg":"ES256","kid":"a","typ":"JWT"}"#),
            Ok((Algorithm::ES256, Some("a".into())))
        );
        assert_eq!(
            read(r#"{"alg":"RS256","b64":true}"#),
            Ok((Algorithm::RS256, None))
        );
        assert_eq!(
            read(r#"{"alg":"RS256","jku":"https://evil.example/keys","jwk":{"kty":"oct","k":"AAAA"}}"#),
            Ok((Algorithm::RS256, None)),
            "a key that the token brings along is not looked at"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (head, wrong) in [
            (r#"{"alg":"HS256","crit":["exp"]}"#, BadHead::Extension("crit")),
            (r#"{"alg":"HS256","crit":[]}"#, BadHead::Extension("crit")),
            (r#"{"alg":"HS256","crit":null}"#, BadHead::Extension("crit")),
            (r#"{"alg":"HS256","crit":"b64"}"#, BadHead::Extension("crit")),
            (
                r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
                BadHead::Extension("crit"),
            ),
            (r#"{"alg":"HS256","b64":false}"#, BadHead::Extension("b64")),
            (r#"{"alg":"HS256","b64":"false"}"#, BadHead::Extension("b64")),
            (r#"{"alg":"none"}"#, BadHead::Algorithm),
            (r#"{"alg":"hs256"}"#, BadHead::Algorithm),
            (r#"{"alg":"HS256","alg":"none"}"#, BadHead::Unreadable),
            (r#"{"alg":"HS256","kid":"a","kid":"b"}"#, BadHead::Unreadable),
            (r#"{"alg":"HS256","kid":7}"#, BadHead::Unreadable),
            (r#"{"kid":"a"}"#, BadHead::Unreadable),
            ("[]", BadHead::Unreadable),
        ] {
            assert_eq!(read(head), Err(wrong), "{head}");
        }
        assert_eq!(Head::read("x").err(), Some(BadHead::Unreadable));
    }
}
