//! Looks once at where keys come from, without checking a token: for whoever examines a deployment.

use std::time::Duration;

use super::keys::Rules;
use super::source::{Reading, Source};
use super::{Algorithm, AuthConfigError, Config, rules};

/// The one source of keys that a configuration names.
pub struct KeySource {
    source: Source,
    rules: Rules,
}

/// What a source says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// At least one.
    pub keys: Vec<PublishedKey>,
    /// Keys that cannot be used, each with why.
    pub left_out: Vec<String>,
    /// For how long its server wants the answer to be used.
    pub good_for: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedKey {
    /// `kid`.
    pub id: Option<String>,
    /// What it verifies, as far as the configuration takes it.
    pub algorithms: Vec<Algorithm>,
}

impl KeySource {
    /// Reads the file of authorities that a URL is held against. `None`: only development's tokens are taken.
    pub fn of(config: &Config) -> Result<Option<Self>, AuthConfigError> {
        let rules = rules(config)?;
        match Source::of(config)? {
            Some(source) => Ok(Some(Self { source, rules })),
            None if config.insecure_dev_auth => Ok(None),
            None => Err(AuthConfigError::Nothing),
        }
    }

    /// Where it is, as it may be shown.
    pub fn shown(&self) -> String {
        self.source.shown()
    }

    /// Host and port of a URL; none for a file.
    pub fn server(&self) -> Option<(String, u16)> {
        match &self.source {
            Source::Url(remote) => Some(remote.server()),
            Source::File(..) => None,
        }
    }

    /// Of a file; blocks.
    pub fn read_file(&self) -> Result<Published, AuthConfigError> {
        self.source.read_file(None, &self.rules).map(published)
    }

    /// Of a URL.
    pub async fn fetch(&self) -> Result<Published, String> {
        self.source.read(None, &self.rules).await.map(published)
    }
}

fn published(reading: Reading) -> Published {
    let set = reading.keys;
    let keys = set.iter().flat_map(|set| &set.keys);
    let keys = keys.map(|key| PublishedKey {
        id: key.id.clone(),
        algorithms: key.validation.algorithms.clone(),
    });
    Published {
        keys: keys.collect(),
        left_out: set.iter().flat_map(|set| set.notes.clone()).collect(),
        good_for: reading.good_for,
    }
}
