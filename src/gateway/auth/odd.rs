//! Claims about the token itself in a form that they cannot have: named, with what they are.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::errors::ErrorKind;

use super::claims::{Claims, Form};
use super::refused;
use crate::wire::Problem;

/// What of a token whose signature is good was refused for its form: the claim is named, with what it is.
pub(super) fn odd_claim(token: &str, error: &ErrorKind) -> Option<Problem> {
    let named = match error {
        ErrorKind::MissingRequiredClaim(name) | ErrorKind::InvalidClaimFormat(name) => Some(name.as_str()),
        // One that is an array or an object stops the reader.
        ErrorKind::Json(_) => None,
        _ => return None,
    };
    let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let is_odd = |name: &str, form: &Form<'_>| match (name, form) {
        (_, Form::Null) => false,
        _ if named.is_some() => true,
        ("exp" | "nbf", form) => !matches!(form, Form::Number(_)),
        ("sub", form) => !matches!(form, Form::Number(_) | Form::Text(_)),
        (_, form) => !matches!(form, Form::Text(_) | Form::Array(_)),
    };
    let names = ["exp", "nbf", "sub", "iss", "aud"].into_iter();
    let mut names = names.filter(|name| named.is_none_or(|named| named == *name));
    names.find_map(|name| match claims.get(name)? {
        _ if claims.is_doubled(name) => Some(refused(&format!(
            "the claim {name} stands in the token more than once"
        ))),
        form if is_odd(name, &form) => Some(odd_form(name, &form)),
        _ => None,
    })
}

pub(super) fn odd_form(name: &str, form: &Form<'_>) -> Problem {
    let needed = match name {
        "exp" | "nbf" => "a number of seconds since 1970-01-01 UTC, 0 or more",
        "sub" => "a text or a number",
        _ => "a text, or an array of texts",
    };
    refused(&format!(
        "the claim {name} is {}; it must be {needed}",
        form.noun()
    ))
}
