//! Queries of routes: the names of their parameters stand once, as the fields of a struct.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use super::answer::Refused;
use crate::wire::Problem;
use crate::wire::problem::MALFORMED;

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
        Err(rejection) => Err(Problem::new(&MALFORMED, rejection.body_text()).into()),
    }
}
