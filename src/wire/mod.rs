//! What both fronts speak: problem documents, times, JSON bodies and bearer tokens. Pure data, no
//! socket and no HTTP library.

mod idempotency;
pub mod json;
pub mod mib;
pub mod millis;
pub mod openapi;
mod page;
pub mod plain;
pub mod problem;
mod request;
pub mod secret;
mod shown;
pub mod tags;
mod unfit;

pub use idempotency::idempotency_key;
pub use page::paged;
pub use problem::Problem;
pub use request::{check_headers, check_host, check_query, check_same_host, check_uncompressed, not_found};
pub use shown::{
    check_note, check_seen, check_shown, check_shown_json, is_hidden, is_selector, prints_nothing,
};
pub use unfit::Unfit;

/// A moment as clients see it: RFC 3339 in UTC with milliseconds, `2026-11-21T10:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub i64);

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A moment outside of jiff's years −9999 to 9999 is no moment of a sale: show the bound.
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or(match self.0 < 0 {
            true => jiff::Timestamp::MIN,
            false => jiff::Timestamp::MAX,
        });
        write!(f, "{moment:.3}")
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl utoipa::PartialSchema for Moment {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, SchemaType, Type};
        let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
        let moment = text.format(Some(SchemaFormat::Custom("date-time".to_owned())));
        let described = moment.description(Some("RFC 3339 in UTC with milliseconds."));
        described.examples(["2026-11-21T10:00:00.000Z"]).into()
    }
}

impl utoipa::ToSchema for Moment {}

/// The token of an `Authorization` header's value; the scheme's case does not matter (RFC 9110).
pub fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Whether a `Content-Type` names this media type, whatever its parameters.
pub fn is_media_type(value: &str, wanted: &str) -> bool {
    value
        .split(';')
        .next()
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(wanted))
}

/// An address that could not be listened on, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({what}): {cause}{hint}", hint = self.hint())]
pub struct BindError {
    /// The flag that names the address: `--listen`.
    pub what: &'static str,
    pub address: std::net::SocketAddr,
    pub cause: std::io::Error,
}

impl BindError {
    fn hint(&self) -> String {
        use std::io::ErrorKind;
        let (what, address) = (self.what, self.address);
        match self.cause.kind() {
            ErrorKind::AddrInUse => format!(
                "; another process has the port (see: ss -ltnp 'sport = :{}'): stop it or choose another \
                 address with {what}",
                address.port()
            ),
            ErrorKind::AddrNotAvailable => {
                format!("; this machine has no such address: choose another one with {what}")
            }
            ErrorKind::PermissionDenied => {
                format!("; ports below 1024 need a privilege: choose a higher one with {what}")
            }
            _ => String::new(),
        }
    }
}

/// The innermost cause of an error says what happened: "Connection refused".
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    text
}

/// Text of a client shown back to it: escaped, and short.
pub fn echo(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((cut, _)) => format!("{:?}… ({} bytes)", &text[..cut], text.len()),
    }
}

/// Bytes of a user id or of one attribute's value.
pub const VALUE_BYTES_MAX: usize = 256;

/// Checks a text that is stored and counted by: not empty, at most
/// [`VALUE_BYTES_MAX`] bytes, no control characters. `Err` says what is wrong.
pub fn check_text(text: &str) -> Result<(), String> {
    let most = VALUE_BYTES_MAX;
    if text.len() > most {
        return Err(format!(
            "is {} bytes long; at most {most} are allowed",
            text.len()
        ));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(format!("contains the control character {c:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_milliseconds_and_a_z() {
        assert_eq!(Moment(1_795_255_200_000).to_string(), "2026-11-21T10:00:00.000Z");
        assert_eq!(Moment(1_795_255_200_007).to_string(), "2026-11-21T10:00:00.007Z");
        assert_eq!(Moment(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert!(Moment(i64::MAX).to_string().starts_with("9999-12-30T"));
        assert!(Moment(i64::MIN).to_string().starts_with("-009999-"));
    }

    #[test]
    fn bearer_tokens() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for none in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer(none), None, "{none:?}");
        }
    }

    #[test]
    fn media_types_ignore_case_and_parameters() {
        assert!(is_media_type("application/json", "application/json"));
        assert!(is_media_type(
            "Application/JSON ; charset=utf-8",
            "application/json"
        ));
        assert!(!is_media_type("application/jsonp", "application/json"));
        assert!(!is_media_type("", "application/json"));
    }

    #[test]
    fn long_text_is_echoed_short() {
        assert_eq!(echo("a\0b"), "\"a\\0b\"");
        let long = echo(&"ü".repeat(5000));
        assert!(long.ends_with("… (10000 bytes)") && long.len() < 200, "{long}");
    }
}
