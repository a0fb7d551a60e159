//! What `[auth]` says in words of its own.

use super::{Config, ConfigError};
use crate::gateway::auth::{ALGORITHMS, Algorithm};

const AT: &str = "auth.algorithms";

/// `RS256,ES256`; none where empty.
pub(super) fn algorithms(text: &str) -> Result<Option<Vec<Algorithm>>, ConfigError> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let listed = names.map(|name| {
        let found = ALGORITHMS.iter().find(|known| format!("{known:?}") == name);
        found.copied().ok_or_else(|| ConfigError::Value {
            at: AT.to_owned(),
            message: format!("{name:?} is none of {ALGORITHMS:?}"),
        })
    });
    let listed = listed.collect::<Result<Vec<Algorithm>, _>>()?;
    Ok((!listed.is_empty()).then_some(listed))
}

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    algorithms(&config.auth.algorithms)?;
    match (&config.auth.jwks_ca_file, &config.auth.jwks_url) {
        (Some(_), None) => Err(ConfigError::Value {
            at: "auth.jwks_ca_file".to_owned(),
            message: "says whom to believe about auth.jwks_url, which is not set".to_owned(),
        }),
        _ => Ok(()),
    }
}
