//! What buyers show: a token for each request.

use std::fmt;
use std::sync::Arc;

/// Makes the token of a user, anew for every request, so that keys may change while a run lasts.
#[derive(Clone)]
pub struct Tokens(Arc<dyn Fn(&str) -> String + Send + Sync>);

impl Tokens {
    /// `of` is called from many workers at once and must not block for long.
    pub fn new(of: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(of))
    }

    /// The value of `Authorization`.
    pub(super) fn bearer(&self, user: &str) -> String {
        format!("Bearer {}", (self.0)(user))
    }
}

/// Tokens for trying, which a gateway takes with `--insecure-dev-auth`.
impl Default for Tokens {
    fn default() -> Self {
        Self::new(|user| format!("dev:{user}"))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens")
    }
}
