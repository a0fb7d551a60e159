//! Queries of routes: the names of their parameters stand once, as the fields of a struct.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::answer::Refused;
use crate::wire::problem::MALFORMED;
use crate::wire::{Problem, plain};

/// The query of a route as a struct: its fields are the parameters there are, and `PARAMETERS` names them.
macro_rules! parameters {
    (
        $(#[$about:meta])*
        struct $name:ident { $($(#[$of:meta])* $visible:vis $field:ident: $type:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name { $($(#[$of])* $visible $field: $type,)* }

        impl $name {
            pub(super) const PARAMETERS: &'static [&'static str] = &[$(stringify!($field)),*];
        }
    };
}
pub(super) use parameters;

/// The query of a request, or what is wrong with a value in it.
pub(super) fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refused> {
    match query {
        Ok(Query(query)) => Ok(query),
        Err(rejection) => Err(Problem::new(&MALFORMED, plainly(&rejection.body_text())).into()),
    }
}

/// `Failed to deserialize query string: limit: invalid digit found in string`, in plain words.
fn plainly(text: &str) -> String {
    let text = text
        .strip_prefix("Failed to deserialize query string: ")
        .unwrap_or(text);
    match text.split_once(": ") {
        Some((name, why)) if why.contains("digit") || why.contains("number") || why.contains("integer") => {
            format!("the query parameter {name} is not a whole number, or not one that can be here")
        }
        Some((name, why)) => format!("the query parameter {name}: {}", plain::plain(why)),
        None => plain::plain(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_library_is_left() {
        for (text, told) in [
            (
                "Failed to deserialize query string: limit: invalid digit found in string",
                "the query parameter limit is not a whole number, or not one that can be here",
            ),
            (
                "Failed to deserialize query string: dry_run: provided string was not `true` or `false`",
                "the query parameter dry_run: provided string was not `true` or `false`",
            ),
            (
                "Failed to deserialize query string: missing field `sku`",
                "the member sku is missing",
            ),
        ] {
            assert_eq!(plainly(text), told);
        }
    }
}
