//! A setting that does not fit, as the module it belongs to says it.

/// The key of a setting whose value does not fit, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct Unfit {
    /// Dotted, as the configuration names it: `landing.retry_delays`.
    pub key: &'static str,
    pub message: String,
}

impl Unfit {
    pub fn new(key: &'static str, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { key, message }
    }
}
