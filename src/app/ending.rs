//! Ends the use of a key, or of records without one: says so to everybody, waits until those who did it have stopped,
//! and until what they sent has landed. Only then it takes effect where records are landed, so that none of ours is forged.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

use super::reach::{ends, landed, named};
use super::seals::moment;
use crate::clock::now_ms;
use crate::config::Config;
use crate::store::{SenderRow, Store, WITHOUT_SEAL};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long senders have to stop: what they handed over to Kafka is answered first.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// A sender that has not said a word for so long is taken for dead, with force.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long what was sent has to land.
const LAND_LIMIT: Duration = Duration::from_secs(30);
/// A sender that was not seen for so long, fifteen of its looks, is silent: it was killed, or is cut off from the
/// database. Which of the two the database cannot know, and one that is cut off goes on sending, as all do while the
/// database is away: so silence alone never counts as an end, and somebody has to say that it is dead.
const SILENT_AFTER_MS: i64 = 30_000;
/// Senders that were not seen for so long are forgotten.
const FORGOTTEN_AFTER_MS: i64 = 24 * 3600 * 1000;

/// Which senders are no reason to refuse an end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    /// All of them: those that live stop, those that are silent are taken for dead.
    pub force: bool,
    /// Processes that somebody says are dead. One that gives a sign all the same is waited for as any other.
    pub gone: Vec<String>,
}

impl Passed {
    fn passes(&self, row: &SenderRow) -> bool {
        self.force || self.gone.contains(&row.process)
    }
}

/// Announces the end of a key, or of records without a seal, and waits until nobody sends so. Refused while somebody
/// who is not known to have stopped does, and is not passed over. Says whether somebody did.
pub(crate) async fn end(store: &Store, key: &str, passed: &Passed) -> anyhow::Result<bool> {
    store.forget_senders_before(now_ms() - FORGOTTEN_AFTER_MS).await?;
    let mut using = store.senders(key).await?;
    let somebody = !using.is_empty();
    check_gone(&passed.gone, &store.all_senders().await?, now_ms())?;
    using.retain(|row| !row.stopped && !passed.passes(row));
    if !using.is_empty() {
        bail!(refused(key, &using, now_ms()));
    }
    store.announce_end(key, now_ms()).await?;
    until_stopped(store, key, passed, SILENCE_MAX).await?;
    Ok(somebody)
}

/// Nobody is gone who was seen a moment ago, and a name that nobody has is mistyped.
fn check_gone(gone: &[String], all: &[SenderRow], now: i64) -> anyhow::Result<()> {
    for process in gone {
        let Some(row) = all.iter().find(|row| row.process == *process) else {
            bail!("no sender {process:?} is listed; `rushgate seal status` lists them. Nothing was changed");
        };
        if !is_silent(row, now) {
            bail!(
                "{} is not gone: it was last seen at {}. End it first. Nothing was changed",
                row.name,
                moment(row.seen_at)
            );
        }
    }
    Ok(())
}

pub(crate) fn is_silent(row: &SenderRow, now: i64) -> bool {
    now.saturating_sub(row.seen_at) >= SILENT_AFTER_MS
}

fn refused(key: &str, using: &[SenderRow], now: i64) -> String {
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
    let silent: Vec<&SenderRow> = using.iter().filter(|row| is_silent(row, now)).collect();
    let silent = match silent.first() {
        None => String::new(),
        Some(first) => format!(
            " {} of these {} silent: killed, or cut off from the database, and then it goes on sending what would be \
             forged. Only you can see which; where it is dead, say so with --gone {}.",
            silent.len(),
            if silent.len() == 1 { "is" } else { "are" },
            first.process
        ),
    };
    let force = "--force passes over all that are silent, and makes those that are not send nothing any more";
    format!(
        "{what}:\n{}{how}.{silent} {force}. Nothing was changed",
        listed(using)
    )
}

fn listed(rows: &[SenderRow]) -> String {
    let row = |row: &SenderRow| {
        let (name, process) = (&row.name, &row.process);
        format!("  {name} ({process}), last seen at {}\n", moment(row.seen_at))
    };
    rows.iter().map(row).collect()
}

/// Of those that are passed over, those that say nothing for `silence` are taken for dead.
async fn until_stopped(store: &Store, key: &str, passed: &Passed, silence: Duration) -> anyhow::Result<()> {
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
            left.retain(|row| !(silent(row) && passed.passes(row)));
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
pub(crate) async fn until_landed(config: &Config, store: &Store) -> anyhow::Result<()> {
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

    fn all() -> Passed {
        Passed {
            force: true,
            ..Passed::default()
        }
    }

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
            .note_sender(&sender("p", &[]), false, now_ms())
            .await
            .expect("noted");
        let both = sender("q", &["new", "old"]);
        store.note_sender(&both, false, now_ms()).await.expect("noted");
        for (key, text) in [
            (
                WITHOUT_SEAL,
                "send records without a seal, which would be forged:\n  rushgate serve p (p),",
            ),
            ("old", "have key old among seal.keys:\n  rushgate serve q (q),"),
        ] {
            let error = end(&store, key, &Passed::default()).await;
            let error = error.expect_err("in use").to_string();
            assert!(
                error.contains(text) && error.ends_with("Nothing was changed"),
                "{error}"
            );
        }
        assert!(store.ended_seals().await.expect("read").is_empty());
        store
            .note_sender(&sender("p", &[]), true, now_ms())
            .await
            .expect("noted");
        let nobody = Passed::default();
        assert!(end(&store, WITHOUT_SEAL, &nobody).await.expect("ended"));
        assert!(!end(&store, "nobodys", &nobody).await.expect("ended"));
        // With force: whoever only verifies with it sends nothing under it, and is not waited for.
        assert!(end(&store, "old", &all()).await.expect("ended"));
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
        let mut waited =
            tokio::spawn(async move { until_stopped(&waiting, WITHOUT_SEAL, &all(), silence).await });
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
    async fn who_is_silent_is_gone_where_somebody_says_so_and_not_by_itself() {
        let store = store().await;
        let silent_since = now_ms() - SILENT_AFTER_MS;
        // An hour ahead, so that it is not silent however slow this machine is.
        for (process, seen_at) in [("dead", silent_since), ("lives", now_ms() + 3_600_000)] {
            let noted = store
                .note_sender(&sender(process, &["old"]), false, seen_at)
                .await;
            noted.expect("noted");
        }
        let gone = |processes: &[&str]| Passed {
            gone: processes.iter().map(|process| (*process).to_owned()).collect(),
            ..Passed::default()
        };
        for (passed, text) in [
            (
                &[][..],
                "1 of these is silent: killed, or cut off from the database",
            ),
            (&[], "say so with --gone dead. --force"),
            (
                &["dead"],
                "have key old among seal.keys:\n  rushgate serve lives (lives)",
            ),
            (
                &["dead", "lives"],
                "rushgate serve lives is not gone: it was last seen at ",
            ),
            (&["dead", "ded"], "no sender \"ded\" is listed"),
        ] {
            let error = end(&store, "old", &gone(passed)).await;
            let error = error.expect_err("refused").to_string();
            assert!(
                error.contains(text) && error.ends_with("Nothing was changed"),
                "{error}"
            );
        }
        assert!(store.ended_seals().await.expect("read").is_empty());
        // It is not waited for; everybody else is.
        let (waiting, passed) = (store.clone(), gone(&["dead"]));
        let silence = Duration::from_millis(1);
        let waited = tokio::spawn(async move { until_stopped(&waiting, "old", &passed, silence).await });
        let stopped = store.note_sender(&sender("lives", &["old"]), true, 1).await;
        stopped.expect("noted");
        waited.await.expect("no panic").expect("stopped");
    }

    #[tokio::test]
    async fn who_was_not_seen_for_a_day_is_forgotten() {
        let store = store().await;
        let long_ago = now_ms() - FORGOTTEN_AFTER_MS - 1;
        store
            .note_sender(&sender("p", &[]), false, long_ago)
            .await
            .expect("noted");
        let ended = end(&store, WITHOUT_SEAL, &Passed::default()).await;
        assert!(!ended.expect("ended"));
    }
}
