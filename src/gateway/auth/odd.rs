//! Claims about the token itself in a form that they cannot have: named, with what they are.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::errors::ErrorKind;

use super::claims::{Claims, Form};
use super::refused;
use crate::wire::Problem;

/// Claims that are moments (RFC 7519, 4.1.4 to 4.1.6).
const TIMES: [&str; 3] = ["exp", "nbf", "iat"];

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
        (name, form) if TIMES.contains(&name) => !is_time(form),
        // What is null is none, and said to be null where it is needed.
        (_, Form::Null) => named.is_some(),
        _ if named.is_some() => true,
        ("sub", form) => !matches!(form, Form::Number(_) | Form::Text(_)),
        (_, form) => !matches!(form, Form::Text(_) | Form::Array(_)),
    };
    let names = TIMES.into_iter().chain(["sub", "iss", "aud"]);
    let mut names = names.filter(|name| named.is_none_or(|named| named == *name));
    names.find_map(|name| match claims.get(name)? {
        _ if claims.is_doubled(name) => Some(doubled(name)),
        form if is_odd(name, &form) => Some(odd_form(name, &form)),
        _ => None,
    })
}

/// What a token says that its issuer is, whoever signed it.
pub(super) fn unverified_issuer(token: &str) -> Option<String> {
    let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let form = claims.get("iss").filter(|form| matches!(form, Form::Text(_)))?;
    form.text()?.ok()
}

/// Whether each time of a token has the form that RFC 7519 says: a number, with a fraction or without. `null` is none, and
/// no way to leave the claim out.
pub(super) fn check_times(claims: &Claims) -> Result<(), Problem> {
    TIMES.into_iter().try_for_each(|name| match claims.get(name) {
        Some(_) if claims.is_doubled(name) => Err(doubled(name)),
        Some(form) if !is_time(&form) => Err(odd_form(name, &form)),
        _ => Ok(()),
    })
}

/// Seconds since 1970-01-01 UTC, as many as are counted.
fn is_time(form: &Form<'_>) -> bool {
    matches!(form, Form::Number(digits) if why_no_time(digits).is_none())
}

/// What is wrong with a number of seconds.
fn why_no_time(digits: &str) -> Option<&'static str> {
    // As a float, the last ones below 2^64 are 2^64.
    if digits.parse::<u64>().is_ok() {
        return None;
    }
    match digits.parse::<f64>() {
        Ok(seconds) if seconds < 0.0 => Some("below 0"),
        Ok(seconds) if seconds < u64::MAX as f64 => None,
        _ => Some("too large"),
    }
}

fn doubled(name: &str) -> Problem {
    refused(&format!("the claim {name} stands in the token more than once"))
}

pub(super) fn odd_form(name: &str, form: &Form<'_>) -> Problem {
    let needed = match name {
        "exp" | "nbf" | "iat" => "a number of seconds since 1970-01-01 UTC, 0 or more and below 2^64",
        "sub" => "a text or a number",
        _ => "a text, or an array of texts",
    };
    let is = match form {
        Form::Number(digits) if TIMES.contains(&name) => why_no_time(digits),
        _ => None,
    };
    let is = is.unwrap_or(form.noun());
    refused(&format!("the claim {name} is {is}; it must be {needed}"))
}
