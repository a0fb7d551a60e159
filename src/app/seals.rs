//! The keys that seal records, as a process that starts or migrates agrees on them with the others.

use anyhow::bail;

use crate::clock::now_ms;
use crate::config::Config;
use crate::seal::Keyring;
use crate::store::Store;

/// Writes this process' keys down before it uses them. Fails where they contradict those of others, or are missing.
pub(crate) async fn agree(config: &Config, store: &Store) -> anyhow::Result<()> {
    match &config.keyring {
        Some(keyring) => note_keys(keyring, store).await,
        None => match store.cut_over().await? {
            Some(cut_over) => bail!(
                "records have to carry a seal since {}: give seal.keys, as the other gateways and landers have it",
                moment(cut_over.decided_at)
            ),
            None => {
                tracing::warn!(
                    "records carry NO SEAL: whoever can write to Kafka can have any order landed. Set seal.keys"
                );
                Ok(())
            }
        },
    }
}

pub(crate) async fn note_keys(keyring: &Keyring, store: &Store) -> anyhow::Result<()> {
    for key in keyring.keys() {
        store.use_seal_key(key, now_ms()).await?;
    }
    Ok(())
}

pub(crate) fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| at.to_string())
}
