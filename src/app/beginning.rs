//! Begins the use of seals, when a deployment is made or migrated.

use std::collections::BTreeMap;

use super::ending::{self, Passed};
use super::reach::ends;
use super::seals::{agree, note_keys};
use crate::clock::now_ms;
use crate::config::Config;
use crate::store::{Store, WITHOUT_SEAL};

/// A deployment that has never had a record has nothing to cut over from. Says how seals stand, for `migrate`.
pub(crate) async fn begin(config: &Config, store: &Store, new: bool) -> anyhow::Result<String> {
    let Some(keyring) = &config.keyring else {
        agree(config, store).await?;
        return Ok(
            "without seals: whoever can write to Kafka can have any order landed (seal.keys)".to_owned(),
        );
    };
    note_keys(keyring, store).await?;
    let decided = store.cut_over().await?;
    if decided.is_some() || new {
        // A gateway without keys may have begun the moment its topic was there: what it sent lands yet.
        let passed = Passed {
            force: true,
            ..Passed::default()
        };
        let from = match decided.is_none() && ending::end(store, WITHOUT_SEAL, &passed).await? {
            true => ends(config).await?,
            false => BTreeMap::new(),
        };
        store.decide_cut_over(&from, now_ms(), &[]).await?;
        return Ok(format!("sealed by key {}", keyring.first().id()));
    }
    Ok(format!(
        "sealed by key {}; records without a seal are taken until `rushgate seal require`",
        keyring.first().id()
    ))
}
