//! Ends the use of a key, or of records without one: says so to everybody, waits until those who did it have stopped,
//! and until what they sent has landed. Only then it takes effect where records are landed, so that none of ours is forged.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

use super::parts::clock;
use super::seals::{ends, landed, moment, named};
use crate::config::Config;
use crate::store::{SenderRow, Store, WITHOUT_SEAL};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long senders have to stop: what they handed over to Kafka is answered first.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// A sender that has not said a word for so long is taken for dead, with force.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long what was sent has to land.
const LAND_LIMIT: Duration = Duration::from_secs(30);
/// Senders that were not seen for so long are forgotten.
const FORGOTTEN_AFTER_MS: i64 = 24 * 3600 * 1000;

/// Announces the end of a key, or of records without a seal, and waits until nobody sends so. Refused while somebody
/// who is not known to have stopped does, unless with `force`. Says whether somebody did.
pub(super) async fn end(store: &Store, key: &str, force: bool) -> anyhow::Result<bool> {
    store.forget_senders_before(clock() - FORGOTTEN_AFTER_MS).await?;
    let mut using = store.senders(key).await?;
    let somebody = !using.is_empty();
    using.retain(|row| !row.stopped);
    if !using.is_empty() && !force {
        bail!(refused(key, &using));
    }
    store.announce_end(key, clock()).await?;
    let silence = if force { SILENCE_MAX } else { Duration::MAX };
    until_stopped(store, key, silence).await?;
    Ok(somebody)
}

fn refused(key: &str, using: &[SenderRow]) -> String {
    let (what, how) = match key {
        WITHOUT_SEAL => (
            "these send records without a seal, which would be forged".to_owned(),
            "Give them seal.keys, or end them",
        ),
        key => (
            format!("these have key {key} among seal.keys"),
            "Take it out everywhere first, and start them again",
        ),
    };
    let force = "One that was killed is listed for a day; --force passes over those that are silent, and makes those \
                 that are not send nothing any more";
    format!("{what}:\n{}{how}. {force}. Nothing was changed", listed(using))
}

fn listed(rows: &[SenderRow]) -> String {
    let row = |row: &SenderRow| format!("  {}, last seen at {}\n", row.name, moment(row.seen_at));
    rows.iter().map(row).collect()
}

/// Those that say nothing for `silence` are taken for dead.
async fn until_stopped(store: &Store, key: &str, silence: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    // When each was first seen here, and what it said of its last moment.
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    loop {
        let mut left = store.senders(key).await?;
        left.retain(|row| row.seals && !row.stopped);
        for row in &left {
            first.entry(row.process.clone()).or_insert(row.seen_at);
        }
        let silent = |row: &SenderRow| first.get(&row.process) == Some(&row.seen_at);
        if begun.elapsed() >= silence {
            left.retain(|row| !silent(row));
        }
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= STOP_LIMIT {
            bail!(
                "these have not stopped within {STOP_LIMIT:?}:\n{}They were told to, and nobody starts so any more. Run \
                 this again when Kafka answers them; --force passes over those that are silent",
                listed(&left)
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until everything that is in Kafka now has landed: nothing under an old key is left.
pub(super) async fn until_landed(config: &Config, store: &Store) -> anyhow::Result<()> {
    let ends = ends(config).await?;
    let begun = Instant::now();
    loop {
        let landed = landed(config, store).await?;
        let missing = ends.iter().find(|(place, end)| {
            let next = landed.get(place).copied().unwrap_or(0);
            next < **end
        });
        let Some((place, end)) = missing else {
            return Ok(());
        };
        if begun.elapsed() >= LAND_LIMIT {
            bail!(
                "{} has landed up to {}, and ends at {end}: records under the key may be left, and would be forged. Run this \
                 again when they have landed; --force does not wait for them",
                named(place),
                landed.get(place).copied().unwrap_or(0)
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sealing::tests::store;
    use crate::store::Sender;

    fn sender(process: &str, keys: &[&str]) -> Sender {
        Sender {
            process: process.to_owned(),
            name: format!("rushgate serve {process}"),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    #[tokio::test]
    async fn nothing_is_ended_while_somebody_uses_it() {
        let store = store().await;
        store
            .note_sender(&sender("p", &[]), false, clock())
            .await
            .expect("noted");
        let both = sender("q", &["new", "old"]);
        store.note_sender(&both, false, clock()).await.expect("noted");
        for (key, text) in [
            (
                WITHOUT_SEAL,
                "send records without a seal, which would be forged:\n  rushgate serve p,",
            ),
            ("old", "have key old among seal.keys:\n  rushgate serve q,"),
        ] {
            let error = end(&store, key, false).await.expect_err("in use").to_string();
            assert!(
                error.contains(text) && error.ends_with("Nothing was changed"),
                "{error}"
            );
        }
        assert!(store.ended_seals().await.expect("read").is_empty());
        store
            .note_sender(&sender("p", &[]), true, clock())
            .await
            .expect("noted");
        assert!(end(&store, WITHOUT_SEAL, false).await.expect("ended"));
        assert!(!end(&store, "nobodys", false).await.expect("ended"));
        // With force: whoever only verifies with it sends nothing under it, and is not waited for.
        assert!(end(&store, "old", true).await.expect("ended"));
    }

    #[tokio::test]
    async fn those_that_live_are_waited_for_and_the_dead_are_not() {
        let store = store().await;
        for process in ["dead", "lives"] {
            let noted = store.note_sender(&sender(process, &[]), false, 1).await;
            noted.expect("noted");
        }
        let waiting = store.clone();
        let silence = Duration::from_millis(100);
        let mut waited = tokio::spawn(async move { until_stopped(&waiting, WITHOUT_SEAL, silence).await });
        // Several looks long, and far longer than the dead one is waited for.
        for at in 2..200 {
            let noted = store.note_sender(&sender("lives", &[]), false, at).await;
            noted.expect("noted");
            assert!(!waited.is_finished());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let stopped = store.note_sender(&sender("lives", &[]), true, 1).await;
        stopped.expect("noted");
        (&mut waited).await.expect("no panic").expect("stopped");
    }

    #[tokio::test]
    async fn who_was_not_seen_for_a_day_is_forgotten() {
        let store = store().await;
        let long_ago = clock() - FORGOTTEN_AFTER_MS - 1;
        store
            .note_sender(&sender("p", &[]), false, long_ago)
            .await
            .expect("noted");
        assert!(!end(&store, WITHOUT_SEAL, false).await.expect("ended"));
    }
}
